/* stats.h - what the worker counts (README: metrics). */
#pragma once

#include "common/err.h"
#include "common/metrics.h"

struct worker;

extern struct metric stats_jobs_started; /* queue, intent */
extern struct metric stats_jobs_ended;   /* queue, how: finished, released, lost, refused */
extern struct metric stats_job_seconds;  /* queue; from start to the written outcome */
extern struct metric stats_orders;   /* authority, result: issued, renewed, waiting_quota, or the
					failure's class */
extern struct metric stats_looks;    /* result: right, waiting */
extern struct metric stats_canaries; /* authority, way, result: passed, failed */
extern struct metric stats_probes;   /* result: right, wrong, unseen */

/** Registers them with the process's metrics; gauges of w's pools are set at each exposition. */
int stats_register(struct worker *w, struct why *why);
void stats_unregister(struct worker *w);

/* stats.h - the scheduler's metrics (common/metrics.h). Who knows a number touches it. */
#pragma once

#include "common/metrics.h"

extern struct metric stat_leader; /* 1 while this process leads */
extern struct metric stat_term;
extern struct metric stat_takeovers;
extern struct metric stat_redis_up;
extern struct metric stat_requests; /* type, result */
extern struct metric stat_requests_backlog;
extern struct metric stat_lapsed;            /* queue */
extern struct metric stat_parked_by_reaping; /* queue */
extern struct metric stat_reap_pauses;       /* reason */
extern struct metric stat_audit_passes;
extern struct metric stat_audit_found;        /* queue, finding */
extern struct metric stat_audit_repaired;     /* queue */
extern struct metric stat_audit_seconds;      /* of the last pass */
extern struct metric stat_endpoints;          /* state; by the last pass */
extern struct metric stat_jobs;               /* queue, lane, state; by the last pass */
extern struct metric stat_days_left;          /* days; by the last pass */
extern struct metric stat_queue_running;      /* queue; read each few seconds */
extern struct metric stat_queue_parked;       /* queue */
extern struct metric stat_queue_late_seconds; /* queue */
extern struct metric stat_workers;
extern struct metric stat_alerts; /* change */
extern struct metric stat_alerts_open;
extern struct metric stat_breaker; /* authority, way */
extern struct metric stat_trimmed; /* stream */
extern struct metric stat_lost;    /* stream */

/** Registers all of them in metrics_default(), with the process's own. A second call does nothing.
 */
void stats_register(void);

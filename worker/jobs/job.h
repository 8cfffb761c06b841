/* job.h - one leased piece of work in this process, between the pool that took it and the code that
 * does it.
 *
 * The pool owns the job: it decodes the endpoint, keeps the lease, and writes the outcome. The work
 * owns nothing but its own state in `work`. It ends in exactly one way: by job_finish() or
 * job_release(), or by the pool's stop() (lease lost, cancelled, drain), after which it must not
 * touch the job again.
 */
#pragma once

#include "common/endpoint.h"
#include "common/queue.h"
#include "worker/jobs/outcome.h"

#include <stdbool.h>
#include <stdint.h>

struct pool;
struct worker;

struct job {
	struct pool *pool;
	struct job *next; /* in the pool's list of running jobs */
	struct worker *worker;
	char id[ENDPOINT_ID_MAX + 1];
	char token[QUEUE_TOKEN_LEN + 1];
	enum job_intent intent;
	enum job_lane lane;
	uint32_t attempt;
	uint64_t want;
	int64_t started_mono_ms;
	int64_t lease_end_mono_ms; /* this side's view: counted from sending */
	struct endpoint endpoint;  /* decoded copy */
	struct buf key;            /* field k, sealed */
	struct buf checkpoint;     /* field o */
	struct buf conditions;     /* field av or ai */
	struct buf dropped;        /* field d */
	struct outcome *outcome;   /* set by job_finish(): being written */
	bool alone;                /* a suspect beside which no other suspect runs */
	bool releasing;            /* by job_release(): being written */
	bool given_up;             /* the lease may have lapsed; another worker may have the job */
	int64_t release_due_ms;
	const char *release_why; /* static text */
	bool in_flight;          /* the write was sent and not answered */
	bool detached;           /* of no pool any more: its answer frees it */
	int64_t retry_mono_ms;
	void *work;
};

enum job_stop {
	JOB_STOP_LOST,  /* the lease went: say nothing more to Redis, leave challenges to the next
			   worker */
	JOB_STOP_DRAIN, /* the pool releases the job: keep what makes it resumable */
};

/** What a queue's jobs are done by. */
struct job_kind {
	enum queue_id queue;
	void (*start)(struct job *job);
	/** Frees job->work at once; nothing of it may call back later. */
	void (*stop)(struct job *job, enum job_stop why);
};

/** Takes the outcome and ends the work: written again and again until Redis answers. */
void job_finish(struct job *job, struct outcome *outcome);
/** Gives the job back, due again at due_ms (0: now). */
void job_release(struct job *job, int64_t due_ms, const char *why);

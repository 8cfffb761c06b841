/* pool.h - the slots of one queue in this process: takes jobs, keeps their leases, writes their
 *outcomes.
 *
 *	 wake, poll ──► take ──► start ──► work ──► finish ──► written, again until Redis answers
 *	                  │                  ▲
 *	                  └── beat every third of a lease ── lost ──► stop
 *
 * Leases are counted from before the call was sent, so this side always gives up first. At a drain
 *nothing more is taken; what cannot finish within the grace is stopped and released with its
 *checkpoint.
 */
#pragma once

#include "common/queue.h"
#include "worker/jobs/job.h"

#include <uv.h>

struct pool;

struct pool_options {
	uv_loop_t *loop;
	struct redis *redis;
	struct barrier *barrier; /* NULL: none */
	const struct job_kind *kind;
	struct worker *worker; /* given to jobs */
	const char *name;      /* the worker's, unique in the fleet */
	uint32_t slots;
	int64_t lease_ms;
};

/** Never NULL; begins to take when Redis is up. Borrows all of options' pointers. */
struct pool *pool_new(const struct pool_options *options);
/** All jobs must be over (pool_drain). NULL is a no-op. */
void pool_free(struct pool *p);
/** Something may be due: look now. */
void pool_wake(struct pool *p);
/** Redis is back: leases are extended now, before anything else is said, for while it was away they
 * went on ending. Then comes how jobs ended meanwhile. */
void pool_redis_up(struct pool *p);
/** Takes no more; done once nothing runs. After grace_ms the rest is released. */
void pool_drain(struct pool *p, int64_t grace_ms, void (*done)(void *arg), void *arg);
uint32_t pool_running(const struct pool *p);
uint32_t pool_slots(const struct pool *p);
struct queue *pool_queue(struct pool *p);

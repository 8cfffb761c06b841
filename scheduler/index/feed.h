/* feed.h - keeps the index what Redis says: filled by pages, then by the `changes` stream.
 *
 *	connected ──► where the stream ends now ──► fill: all ids in order, 200 at a time
 *	    ▲                                            │ all seen: what was not put is swept
 *	    │                                            ▼
 *	    └── connection lost, gap in the stream ◄── follow: each changed id is read again
 *	              each hour: fill again, slowly, in case a change was not said
 *
 * Following goes on while it fills, so that nothing is missed in between. While Redis is away the
 * index stays as it was. Each scheduler has its own, leading or not. One loop; borrows all.
 */
#pragma once

#include "common/redis.h"
#include "scheduler/index/index.h"

#include <uv.h>

struct feed;

struct feed_hooks {
	/** This endpoint was put, changed or removed; not called while the index is filled for the
	 * first time. May be NULL. */
	void (*changed)(void *arg, const char *id);
	void *arg;
};

struct feed *feed_new(uv_loop_t *loop, struct redis *redis, const struct redis_options *options,
	struct index *index, const struct feed_hooks *hooks);
/** The index was filled once: what it says is the whole fleet. */
bool feed_ready(const struct feed *f);
/** Closes its connection and timers; callbacks may still come until the loop has turned. */
void feed_close(struct feed *f);
/** After feed_close() and the loop. NULL is a no-op. */
void feed_free(struct feed *f);

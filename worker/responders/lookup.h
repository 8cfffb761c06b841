/* lookup.h - reads of challenges from Redis, shared and capped.
 *
 * A question is never answered by a read that was sent before the question came: what a writer was
 * told is stored must be seen by whoever asks after that. So a question that finds a read of its
 * key under way waits for the next one, and all that came meanwhile share that: per key there is at
 * most one read under way, however many ask.
 *
 * While Redis is away a question waits for it, LOOKUP_HOLD_MS from when it came: most reconnects
 * and failovers end sooner, and an authority's resolver remembers a failure for seconds. The limits
 * are the same, so that an outage costs no more memory than a busy time.
 */
#pragma once

#include "common/redis.h"

#include <stdbool.h>
#include <stddef.h>

#define LOOKUP_KEY_MAX 128
#define LOOKUP_HOLD_MS 2000

struct lookup;
struct lookup_waiter;

/** Called once, never before lookup_start() returned. err as redis_reply_fn's; reply is borrowed.
 */
typedef void lookup_done_fn(struct lookup_waiter *w, int err, const struct reply *reply);

/** Embedded in what the caller keeps until it is called. */
struct lookup_waiter {
	lookup_done_fn *done;
	struct lookup_waiter *next; /* private */
	uint64_t until_ms;          /* private: of the loop's clock */
};

/** `command` (GET, HKEYS; borrowed) on `PREFIXkind` + key. At most max_reads at Redis, and four
 * times as many waiters. */
struct lookup *lookup_new(
	struct redis *redis, const char *command, const char *kind, size_t max_reads);
/** Calls every waiter with CF_ECANCELED; memory is freed when Redis has answered. NULL is a no-op.
 */
void lookup_free(struct lookup *l);
/** False, with w not kept: the limits are reached. key has at most LOOKUP_KEY_MAX
 * bytes. */
bool lookup_start(struct lookup *l, const char *key, struct lookup_waiter *w);

/* leader.h - at most one scheduler plans, reaps and alerts; the others stand by.
 *
 * The lease is a key in Redis with term and nonce (common/queue.h). It is renewed each third of its
 * length, and whoever stands by asks as often, so that a dead leader is replaced within lease + a
 * third. A leader steps down by its own monotonic clock a sixth of the lease before Redis could
 * give it to another, counted from when the renewal was sent: a stopped or cut-off process leads no
 * longer when it wakes. Two leaders for a moment only waste work, since everything they do is
 * idempotent.
 *
 *            won                        renewed
 *  follower ─────► leading ───────────────┐
 *      ▲              │ ▲─────────────────┘
 *      └──────────────┘ refused, silent until the lease is nearly over, or resigned
 */
#pragma once

#include "common/queue.h"
#include "common/redis.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/** The state as a value; times are of the monotonic clock. */
struct leader_state {
	int64_t lease_ms;
	bool leading;
	uint64_t term;    /* 0: not leading */
	int64_t until_ms; /* we lead until then */
};

enum leader_change {
	LEADER_SAME,
	LEADER_WON,
	LEADER_LOST,
	LEADER_AGAIN, /* lost and won with another term in between: whatever the old term began must
			 end */
};

/** The answer to a hold that was sent at sent_ms. err != 0: nothing is known. */
enum leader_change leader_state_reply(struct leader_state *s, int64_t sent_ms, int64_t now_ms,
	int err, bool leading, uint64_t term);
/** Time goes by. */
enum leader_change leader_state_tick(struct leader_state *s, int64_t now_ms);

struct leader;

struct leader_events {
	/** Called at each change, never from within leader_new(). */
	void (*changed)(void *arg, bool leading, uint64_t term);
	/** A look at Redis' clock: it said redis_ms between the two monotonic instants. */
	void (*clock)(void *arg, int64_t sent_ms, int64_t received_ms, int64_t redis_ms);
	void *arg;
};

/** Never NULL. Borrows redis; nonce is copied. Begins to ask as soon as redis is up. */
struct leader *leader_new(uv_loop_t *loop, struct redis *redis, const char *nonce, int64_t lease_ms,
	const struct leader_events *events);
bool leader_leads(const struct leader *l);
/** Who leads, as far as is known; "" if nobody. Borrowed. */
const char *leader_holder(const struct leader *l);
/** Steps down (changed is called), gives the lease back, and asks no more. done is called once the
 * lease is back or cannot be given back. */
void leader_stop(struct leader *l, void (*done)(void *arg), void *arg);
/** Closes the timer; leader_free() once the loop has turned. NULL is a no-op. */
void leader_close(struct leader *l);
void leader_free(struct leader *l);

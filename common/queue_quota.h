/* queue_quota.h - the ledger of what an authority allows, shared by the fleet.
 *
 * A limit is a bucket of `burst` that refills one in `period_ms` (GCRA): Let's Encrypt's own
 * scheme. A reservation spends of several limits at once or of none, and once per order intent: a
 * repeat with the same `once` spends nothing more. Who must wait gets a ticket in the future that
 * nobody else gets, so that waiters do not wake in a herd; it comes again at that time and says
 * which ticket it had. Time is Redis'. Nothing is spent at maxmemory (CF_EREDIS). CF_ETOOBIG: a
 * cost is over the whole limit.
 */
#pragma once

#include "common/queue.h"

#define QUOTA_ITEMS_MAX 256

struct quota_item {
	const char *key;   /* "AUTHORITY:new_orders", "AUTHORITY:domain:example.com" … */
	int64_t burst;     /* for a share kept for renewals: less for others, on the same key */
	int64_t period_ms; /* until one is refilled */
	int64_t cost;      /* 1; 0 only looks */
};

struct quota_answer {
	int64_t wait_ms;   /* 0: spent; else not before then */
	int64_t ticket_ms; /* Redis time at which to come again */
	size_t which;      /* index of the limit that is used up */
};

typedef void quota_fn(void *arg, int err, const struct quota_answer *answer);

/** once: names the intent ("ENDPOINT:WANT"); NULL: none. ticket_ms: as it was given, else 0.
 * priority: renewals, which do not stand behind other waiters. n ≥ 1. */
void quota_reserve(struct redis *r, const char *once, int64_t ticket_ms, bool priority,
	const struct quota_item *items, size_t n, quota_fn *done, void *arg);
/** Gives back what once spent; nothing if it spent nothing. */
void quota_refund(struct redis *r, const char *once, const struct quota_item *items, size_t n,
	queue_done_fn *done, void *arg);
/** Nothing is left of the limit before until_ms (the authority said rateLimited). item's cost is
 * not used. */
void quota_block(struct redis *r, const struct quota_item *item, int64_t until_ms,
	queue_done_fn *done, void *arg);

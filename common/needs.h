/* needs.h - what an endpoint needs next: the one place that decides when work is due.
 *
 * A pure function of the endpoint's fields, the fleet's policy and the time. The invariant that
 * audit proves: what it says is recorded in the endpoint's job field as due, running or parked.
 */
#pragma once

#include "common/endpoint.h"

struct needs_policy {
	int64_t verify_every_ms; /* once all is right; less often when it stays so for weeks */
	int64_t verify_fast_ms;  /* first interval while someone waits for DNS; doubles with each
				    unchanged look */
	int64_t proof_every_ms;  /* what the edge serves, once it is right; 0: never looked at */
};

struct need {
	bool any; /* false: nothing is needed from this queue */
	enum job_intent intent;
	enum job_lane lane;
	int64_t due_ms;
	char why[65]; /* one word or two: "new", "dns_right", "ari", "expiry", "asked", "retry" … */
};

/** jitter in [0, 1): drawn once per endpoint and use, e.g. from a hash of its id, so that no two
 * wake together. */
struct need needs_verify(
	const struct endpoint *e, const struct needs_policy *policy, int64_t now_ms, double jitter);
/** When it is to be looked at what the edge serves; 0: not at all. */
int64_t needs_proof(const struct endpoint *e, const struct needs_policy *policy, double jitter);
struct need needs_issue(
	const struct endpoint *e, const struct needs_policy *policy, int64_t now_ms, double jitter);

/** A stable number in [0, 1) from an endpoint's id. */
double needs_jitter(const char *id);
/** The instant of renewal without ARI: 2/3 of the lifetime, 1/2 if it is 10 days or less. */
int64_t needs_renew_at(int64_t not_before_ms, int64_t not_after_ms);
/** The latest instant that an ARI window may put it off to: a tenth of what the plan without ARI
 * leaves is gone then, and nobody is warned of the expiry yet. */
int64_t needs_renew_latest(int64_t not_before_ms, int64_t not_after_ms);
/** After failure number n (1 …) of the owner's class: 1, 10, 100 minutes, then daily, at most an
 * eighth of the remaining life (remaining_ms 0: no certificate). */
int64_t needs_backoff(uint32_t failures, int64_t remaining_ms);
/** A due renewal that failed is tried again at 1/2, 3/4, 7/8 of what remains until expiry. */
int64_t needs_renew_retry(int64_t now_ms, int64_t not_after_ms, uint32_t failures);

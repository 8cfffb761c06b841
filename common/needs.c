#include "common/needs.h"

#include "common/clock.h"

#include <stdio.h>
#include <string.h>

#define FAST_DOUBLINGS 20
/* What the edge serves, after each new certificate: edges need some seconds to load it. */
#define PROOF_FAST_MS   2000
#define PROOF_STALE_MS  (5 * CLOCK_MINUTE_MS)
#define UNSURE_RETRY_MS CLOCK_DAY_MS
/* Looks that brought nothing new. */
#define STABLE   (7 * 24)
#define HOPELESS (48 + 10)

static struct need need(enum job_intent intent, enum job_lane lane, int64_t due_ms, const char *why)
{
	struct need n = {.any = true, .intent = intent, .lane = lane, .due_ms = due_ms};

	snprintf(n.why, sizeof n.why, "%s", why);
	return n;
}

static const struct need nothing = {.any = false};

static int64_t max64(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t min64(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

double needs_jitter(const char *id)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *id; id++)
		h = (h ^ (unsigned char)*id) * UINT64_C(0x100000001b3);
	h ^= h >> 32;
	return (double)(h % 1000003) / 1000003.0;
}

/* A tenth to either side. */
static int64_t jittered(int64_t interval_ms, double jitter)
{
	return (int64_t)((double)interval_ms * (0.9 + 0.2 * jitter));
}

int64_t needs_renew_at(int64_t not_before_ms, int64_t not_after_ms)
{
	int64_t life = not_after_ms - not_before_ms;

	return life <= 10 * CLOCK_DAY_MS ? not_before_ms + life / 2 : not_before_ms + life / 3 * 2;
}

int64_t needs_renew_latest(int64_t not_before_ms, int64_t not_after_ms)
{
	int64_t own = needs_renew_at(not_before_ms, not_after_ms);

	return own + (not_after_ms - own) / 10;
}

int64_t needs_backoff(uint32_t failures, int64_t remaining_ms)
{
	static const int64_t steps[] = {
		CLOCK_MINUTE_MS, 10 * CLOCK_MINUTE_MS, 100 * CLOCK_MINUTE_MS};
	int64_t wait = failures >= 1 && failures <= 3 ? steps[failures - 1] : CLOCK_DAY_MS;

	if (!failures)
		return 0;
	if (remaining_ms > 0)
		wait = min64(wait, max64(remaining_ms / 8, CLOCK_MINUTE_MS));
	return wait;
}

int64_t needs_renew_retry(int64_t now_ms, int64_t not_after_ms, uint32_t failures)
{
	int64_t left = not_after_ms - now_ms;

	if (left <= 0)
		return now_ms + needs_backoff(failures, 0);
	/* Half of what remains is again half of what remains next time: 1/2, 3/4, 7/8. */
	return now_ms + max64(left / 2, CLOCK_MINUTE_MS);
}

static bool all_right(const struct endpoint *e)
{
	if (e->verdict.bars_n && endpoint_ready(e) != READY_YES)
		return false;
	for (size_t i = 0; i < e->verdict.names_n; i++) {
		const struct name_verdict *v = &e->verdict.names[i];
		bool traffic_ok =
			e->config.type == ENDPOINT_INTERNAL || v->traffic.status == RECORD_RIGHT;

		if (!traffic_ok || (v->http01 != VERDICT_CAN && v->dns01 != VERDICT_CAN) ||
			v->claim == CLAIM_ELSEWHERE)
			return false;
	}
	return true;
}

/* What is right for a week is looked at half as often, and after six weeks a quarter; what is
 * hopeless for two days six times less, and then once a day. */
static int64_t rare(
	int64_t every_ms, uint32_t looks, uint32_t some, uint32_t many, int64_t less, int64_t least)
{
	int64_t times = looks >= many ? least : looks >= some ? less : 1;

	return min64(every_ms * times, max64(every_ms, CLOCK_DAY_MS));
}

/* What is internal is seen from within its zone alone. */
static bool can_be_seen(const struct endpoint_config *c)
{
	return c->type == ENDPOINT_EXTERNAL || c->zone[0];
}

int64_t needs_proof(const struct endpoint *e, const struct needs_policy *policy, double jitter)
{
	const struct served *s = &e->verdict.served;
	uint32_t doublings = s->tries < FAST_DOUBLINGS ? s->tries : FAST_DOUBLINGS;
	int64_t every = policy->proof_every_ms;

	if (!every || e->config.removing || !can_be_seen(&e->config) || !e->has_verdict ||
		e->verdict.departed || !e->has_cert || e->cert.revoked_ms)
		return 0;
	if (strcmp(s->serial, e->cert.serial) != 0)
		return e->cert.issued_ms + PROOF_FAST_MS;
	if (s->status == SERVED_OK || s->status == SERVED_UNKNOWN)
		return s->looked_ms + jittered(every, jitter);
	if (s->status == SERVED_STALE)
		every = min64(every, PROOF_STALE_MS);
	return s->looked_ms + min64(PROOF_FAST_MS << doublings, every);
}

static struct need next_look(
	const struct endpoint *e, const struct needs_policy *policy, int64_t now_ms, double jitter)
{
	const struct endpoint_verdict *v = &e->verdict;
	uint32_t doublings =
		v->unchanged_looks < FAST_DOUBLINGS ? v->unchanged_looks : FAST_DOUBLINGS;
	int64_t every = policy->verify_every_ms, interval;

	if (e->config.removing)
		return nothing;
	if (!e->has_verdict || v->generation != e->generation)
		return need(INTENT_LOOK, LANE_NORMAL, now_ms, e->has_verdict ? "changed" : "new");
	if (v->departed)
		return need(INTENT_LOOK, LANE_NORMAL,
			v->looked_ms + jittered(rare(every, 2, 1, 1, 24, 24), jitter), "departed");
	if (all_right(e))
		return need(INTENT_LOOK, LANE_NORMAL,
			v->looked_ms +
				jittered(rare(every, v->unchanged_looks, STABLE, STABLE * 6, 2, 4),
					jitter),
			"routine");
	interval = min64(policy->verify_fast_ms << doublings, every);
	if (!e->has_cert)
		interval = min64(policy->verify_fast_ms << doublings,
			rare(every, v->unchanged_looks, HOPELESS, HOPELESS * 4, 6, 24));
	return need(INTENT_LOOK, LANE_NORMAL, v->looked_ms + jittered(interval, jitter), "waiting");
}

struct need needs_verify(
	const struct endpoint *e, const struct needs_policy *policy, int64_t now_ms, double jitter)
{
	struct need look = next_look(e, policy, now_ms, jitter);
	int64_t proof = needs_proof(e, policy, jitter);

	if (look.any && proof && proof < look.due_ms)
		return need(INTENT_LOOK, LANE_NORMAL, proof, "proof");
	return look;
}

/* No order before: the pause after a failure, and the turn that the quota ledger gave. */
static int64_t order_after(const struct endpoint *e)
{
	return max64(e->issuance.next_ms, endpoint_quota_ticket(e));
}

/* Waiting after a failure ends early when DNS changed since: what explained it may be gone. */
static int64_t not_before(const struct endpoint *e)
{
	bool owner = e->issuance.actor[0] == 'o' && e->issuance.actor[1] == 'w';

	if (owner && e->has_verdict && e->verdict.changed_ms > e->issuance.failed_ms)
		return endpoint_quota_ticket(e);
	return order_after(e);
}

static struct need provision(const struct endpoint *e, int64_t now_ms, double jitter,
	enum job_lane lane, const char *why)
{
	switch (endpoint_ready(e)) {
	case READY_YES:
		return need(INTENT_PROVISION, lane, max64(now_ms, not_before(e)), why);
	case READY_UNSURE:
		return need(INTENT_PROVISION, LANE_NORMAL,
			max64(max64(now_ms, order_after(e)),
				e->issuance.ordered_ms + jittered(UNSURE_RETRY_MS, jitter)),
			"unsure");
	case READY_NO:
		break;
	}
	if (e->has_dropped)
		return need(
			INTENT_REMOVE, LANE_NORMAL, max64(now_ms, e->issuance.next_ms), "dropped");
	return nothing;
}

static struct need renewal(const struct endpoint *e, int64_t now_ms)
{
	const struct endpoint_cert *x = &e->cert;
	int64_t due = x->renew_at_ms;
	enum job_lane lane = LANE_NORMAL;
	const char *why = x->ari_start_ms ? "ari_window" : "lifetime";

	if (e->config.renew_asked_ms > x->issued_ms)
		return need(INTENT_RENEW, LANE_PERSON, max64(now_ms, order_after(e)), "asked");
	if (x->ari_next_ms && x->ari_next_ms < due) {
		due = x->ari_next_ms;
		why = "ari_poll";
	}
	if (e->issuance.failures) {
		due = max64(due, e->issuance.next_ms);
		why = "retry";
	}
	if (endpoint_quota_ticket(e) > due) {
		due = endpoint_quota_ticket(e);
		why = e->issuance.wait_breaker ? "waiting_breaker" : "waiting_quota";
	}
	/* Past half of what the plan left, others can wait. */
	if (now_ms > x->renew_at_ms + (x->not_after_ms - x->renew_at_ms) / 2)
		lane = LANE_URGENT;
	return need(INTENT_RENEW, lane, due, why);
}

struct need needs_issue(
	const struct endpoint *e, const struct needs_policy *policy, int64_t now_ms, double jitter)
{
	const struct endpoint_cert *x = &e->cert;
	bool valid = e->has_cert && !x->revoked_ms;

	(void)policy;
	if (e->config.removing)
		return need(
			INTENT_REMOVE, LANE_NORMAL, max64(now_ms, e->issuance.next_ms), "removed");
	if (e->config.revoke_asked_ms > e->issuance.revoked_ms && e->has_cert)
		return need(INTENT_REVOKE, LANE_PERSON, max64(now_ms, order_after(e)), "asked");
	if (e->has_verdict && e->verdict.departed)
		return nothing;
	if (!valid)
		return provision(
			e, now_ms, jitter, LANE_NORMAL, e->has_cert ? "revoked" : "dns_right");
	if (x->wanted != endpoint_wanted(&e->config)) {
		struct need n = provision(e, now_ms, jitter, LANE_NORMAL, "changed");

		if (n.any)
			return n;
	}
	if (x->partial && endpoint_ready(e) == READY_YES)
		return provision(e, now_ms, jitter, LANE_NORMAL, "whole_again");
	if (e->has_dropped)
		return need(
			INTENT_REMOVE, LANE_NORMAL, max64(now_ms, e->issuance.next_ms), "dropped");
	return renewal(e, now_ms);
}

/* The quota ledger around an order: reserved before it is placed, given back if it was not,
 * corrected by what the CA says. What is spent is spent once: `once` is made of what a finish
 * changes, so that whoever takes the job after a crash spends nothing more. */
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/authorities.h"
#include "worker/jobs/issue_internal.h"
#include "worker/stats.h"
#include "worker/worker.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Bits of enum quota_limit. */
#define OF_ORDERS       (1u << LIMIT_NEW_ORDERS)
#define OF_CERTIFICATES (1u << LIMIT_DOMAIN | 1u << LIMIT_DUPLICATES)

void issue_quota_release(struct issue *s)
{
	issue_quota_items_free(s->quota.touches, s->quota.n);
	s->quota.touches = NULL;
	s->quota.n = 0;
}

static void name_intent(struct issue *s)
{
	const struct endpoint *e = &s->job->endpoint;

	snprintf(s->quota.once, sizeof s->quota.once,
		"%s:%s:%" PRId64 ":%" PRId64 ":%" PRId64 ":%" PRId64, s->authority, s->job->id,
		e->config.created_ms, e->issuance.ordered_ms, e->issuance.failed_ms,
		e->cert.issued_ms);
}

void issue_quota_begin(struct issue *s)
{
	struct quota_order o = {
		.authority = s->authority,
		.limits = authorities_limits(s->w->authorities, s->authority),
		.names = s->names,
		.names_n = s->names_n,
		.renewal = s->intent != INTENT_PROVISION,
	};

	issue_quota_release(s);
	s->quota.spent = s->quota.refused = false;
	if (!o.limits || s->intent == INTENT_REMOVE)
		return;
	issue_quota_exempt(&o, &s->job->endpoint, s->replaces, s->left_out, clock_wall_ms());
	s->quota.touches = issue_quota_items(&o, &s->quota.n);
	name_intent(s);
}

/* --- spending and giving back */

static void on_charged(void *arg, int err, const struct quota_answer *answer)
{
	(void)arg;
	(void)err; /* the CA counts for itself: a ledger that is behind is corrected by its
		      rateLimited */
	(void)answer;
}

static size_t pick(const struct issue_quota *q, unsigned limits, struct quota_item *out)
{
	size_t n = 0;

	for (size_t i = 0; i < q->n; i++)
		if (limits & 1u << q->touches[i].limit)
			out[n++] = issue_quota_whole(&q->touches[i]);
	return n;
}

static void charge(struct issue *s, const char *once, unsigned limits)
{
	_mem_free_ struct quota_item *items = mem_array(s->quota.n, sizeof *items);
	size_t n = pick(&s->quota, limits, items);

	if (n)
		quota_reserve(s->w->redis, once, 0, true, items, n, on_charged, NULL);
}

static void refund(struct issue *s, unsigned limits)
{
	_mem_free_ struct quota_item *items = mem_array(s->quota.n, sizeof *items);
	size_t n = pick(&s->quota, limits, items);

	if (n)
		quota_refund(s->w->redis, s->quota.once, items, n, NULL, NULL);
}

static void charge_failed(struct issue *s, const char *name)
{
	for (size_t i = 0; i < s->quota.n; i++) {
		const struct quota_touch *t = &s->quota.touches[i];
		struct quota_item item = issue_quota_whole(t);

		if (t->limit == LIMIT_FAILED && !strcmp(t->subject, name))
			quota_reserve(s->w->redis, NULL, 0, true, &item, 1, on_charged, NULL);
	}
}

/* An order that was resumed was reserved for by who placed it. A failed one leaves no certificate:
 * what was spent of those is given back, the order itself only if it never came to be. */
void issue_quota_settle(struct issue *s, const struct acme_result *r)
{
	struct issue_quota *q = &s->quota;

	if (!q->n)
		return;
	if (r->ok) {
		if (!q->spent)
			charge(s, q->once, OF_CERTIFICATES | (r->orders_placed ? OF_ORDERS : 0));
		return;
	}
	refund(s, OF_CERTIFICATES | (q->spent && !r->orders_placed ? OF_ORDERS : 0));
	if (!q->spent && r->orders_placed)
		charge(s, NULL, OF_ORDERS);
	if (r->failure->counts_as_failed_authz)
		charge_failed(s, r->failure->failed_name);
	q->spent = false;
}

/* --- waiting */

/* A leaked key's certificate is revoked after an hour, replaced or not. */
static int64_t latest(const struct issue *s, int64_t ticket_ms)
{
	const struct endpoint_config *c = &s->job->endpoint.config;
	int64_t end = c->revoke_asked_ms + COMPROMISED_MS + 1;

	if (s->intent == INTENT_REVOKE && c->revoke_reason == REASON_KEY_COMPROMISE &&
		end < ticket_ms)
		return end;
	return ticket_ms;
}

static void wait_turn(struct issue *s, const struct quota_answer *answer)
{
	struct endpoint *e = &s->job->endpoint;
	struct endpoint_issuance *i = &e->issuance;
	bool waited = endpoint_quota_ticket(e) != 0;
	char until[CLOCK_RFC3339_LEN];

	i->wait_ms = latest(s, answer->ticket_ms);
	i->wait_wanted = endpoint_wanted(&e->config);
	if (answer->which < s->quota.n)
		issue_quota_text(
			&s->quota.touches[answer->which], s->authority, i->wait, sizeof i->wait);
	clock_rfc3339(i->wait_ms, until);
	LOG(INFO, "waiting_quota", LF("endpoint", s->job->id), LF("authority", s->authority),
		LF("limit", i->wait), LF("until", until));
	metric_inc(&stats_orders, LABELS(s->authority, "waiting_quota"));
	if (!waited)
		outcome_timeline(s->outcome, clock_wall_ms(), "waiting", i->wait);
	issue_finish(s);
}

static void on_reserved(void *arg, int err, const struct quota_answer *answer)
{
	struct issue *s = arg;

	if (!issue_resume(s))
		return;
	if (err) {
		issue_redis_failed(s, err, "the quota ledger could not be asked");
	} else if (answer->wait_ms) {
		wait_turn(s, answer);
	} else if (s->quota.refused) { /* the ledger sees room where the CA saw none: the CA's word
					  counts */
		refund(s, OF_CERTIFICATES | OF_ORDERS);
		issue_fail(s, &s->quota.refusal);
	} else {
		s->quota.spent = true;
		s->job->endpoint.issuance.wait_ms = 0;
		s->job->endpoint.issuance.wait[0] = '\0';
		issue_place_order(s);
	}
}

void issue_quota_reserve(struct issue *s)
{
	_mem_free_ struct quota_item *items = mem_array(s->quota.n, sizeof *items);
	bool first = s->intent != INTENT_PROVISION || s->job->lane == LANE_PERSON;

	for (size_t i = 0; i < s->quota.n; i++)
		items[i] = s->quota.touches[i].item;
	issue_hold(s);
	quota_reserve(s->w->redis, s->quota.once, endpoint_quota_ticket(&s->job->endpoint), first,
		items, s->quota.n, on_reserved, s);
}

bool issue_quota_refused(struct issue *s, const struct acme_result *r)
{
	const struct acme_failure *f = r->failure;
	const struct quota_touch *t;
	struct quota_item whole;

	if (strcmp(f->code, "rateLimited") != 0 || f->status != 429 || f->retry_after_ms <= 0 ||
		r->orders_placed || s->quota.refused)
		return false;
	t = issue_quota_blamed(s->quota.touches, s->quota.n, f->detail);
	if (!t)
		return false;
	LOG(WARN, "rate_limited", LF("endpoint", s->job->id), LF("authority", s->authority),
		LF("limit", t->item.key), LF("why", f->detail));
	s->quota.refused = true;
	s->quota.refusal = *f;
	s->quota.refusal.rejected = NULL;
	s->quota.refusal.n_rejected = 0;
	whole = issue_quota_whole(t);
	quota_block(s->w->redis, &whole, clock_wall_ms() + f->retry_after_ms, NULL, NULL);
	issue_quota_reserve(s); /* everybody gets a turn of his own */
	return true;
}

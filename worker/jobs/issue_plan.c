/* Decisions of issue jobs: functions of values. */
#include "common/clock.h"
#include "common/str.h"
#include "worker/jobs/issue_internal.h"

#include <stdio.h>
#include <string.h>

#define DUE_SLACK_MS 1000

bool issue_decide(const struct endpoint *e, enum job_lane lane, const struct needs_policy *policy,
	int64_t now_ms, struct need *need)
{
	struct endpoint now = *e; /* shallow: read only */

	if (lane == LANE_PERSON) /* who asks does not wait */
		now.issuance.next_ms = now.issuance.wait_ms = 0;
	*need = needs_issue(&now, policy, now_ms, needs_jitter(e->config.id));
	return need->any && need->due_ms <= now_ms + DUE_SLACK_MS;
}

static bool cannot(const struct endpoint *e, const char *name)
{
	return e->has_verdict &&
	       endpoint_verdict_by(&e->verdict, name, "", CHALLENGE_HTTP01) == VERDICT_CANNOT &&
	       endpoint_verdict_by(&e->verdict, name, "", CHALLENGE_DNS01) == VERDICT_CANNOT;
}

size_t issue_names(const struct endpoint *e, int64_t now_ms, const char **names, bool *left_out)
{
	const struct endpoint_cert *x = &e->cert;
	size_t n = endpoint_order_names(&e->config, names), kept = 0;
	bool late = e->has_cert && now_ms > x->renew_at_ms + (x->not_after_ms - x->renew_at_ms) / 2;

	*left_out = false;
	if (!late)
		return n;
	for (size_t i = 0; i < n; i++)
		if (!cannot(e, names[i]))
			names[kept++] = names[i];
	if (!kept)
		return n; /* with nothing left to order, all are tried: we may be the blind ones */
	*left_out = kept < n;
	return kept;
}

/* Our codes for people, by what the CA said (design section 7 has the findings; these are the
 * CA's). */
static const char *actor_of(enum acme_class class)
{
	switch (class) {
	case ACME_OWNER:
	case ACME_OTHER_CHALLENGE:
		return "owner";
	case ACME_OPERATOR:
		return "operator";
	case ACME_AT_ONCE:
	case ACME_BACKOFF:
	case ACME_WAIT_UNTIL:
	case ACME_OTHER_AUTHORITY:
		return "authority";
	case ACME_CANCELED:
		break;
	}
	return "nobody";
}

static bool revoke_asked(const struct endpoint *e)
{
	return e->config.revoke_asked_ms > e->issuance.revoked_ms;
}

/* Only a renewal that nobody waits for may take its time: not one that was asked for, nor other
 * names, nor what must replace a certificate before it is revoked. */
static bool is_routine_renewal(const struct endpoint *e, int64_t now_ms)
{
	return e->has_cert && e->cert.not_after_ms > now_ms && !e->cert.revoked_ms &&
	       !revoke_asked(e) && e->config.renew_asked_ms <= e->cert.issued_ms &&
	       e->cert.wanted == endpoint_wanted(&e->config);
}

/* The job that comes then revokes, whether or not there is a successor. */
static int64_t before_it_must_be_revoked(const struct endpoint *e, int64_t now_ms, int64_t wait)
{
	int64_t left = e->config.revoke_asked_ms + COMPROMISED_MS + 1 - now_ms;

	if (!revoke_asked(e) || e->config.revoke_reason != REASON_KEY_COMPROMISE || left <= 0)
		return wait;
	return wait < left ? wait : left;
}

static int64_t wait_for(
	const struct endpoint *e, const struct acme_failure *f, int64_t now_ms, double jitter)
{
	int64_t left = e->has_cert ? e->cert.not_after_ms - now_ms : 0;
	int64_t wait;

	if (f->retry_after_ms > 0)
		wait = f->retry_after_ms;
	else if (f->class == ACME_BACKOFF || f->class == ACME_AT_ONCE)
		wait = needs_backoff(e->issuance.failures > 2 ? 2 : e->issuance.failures, left);
	else if (is_routine_renewal(e, now_ms))
		wait = needs_renew_retry(now_ms, e->cert.not_after_ms, e->issuance.failures) -
		       now_ms;
	else
		wait = needs_backoff(e->issuance.failures, left);
	return before_it_must_be_revoked(e, now_ms, wait + (int64_t)(jitter * 0.1 * (double)wait));
}

void issue_note_failure(struct endpoint *e, const char *authority, const struct acme_failure *f,
	int64_t now_ms, double jitter)
{
	struct endpoint_issuance *i = &e->issuance;

	i->failures++;
	i->failed_ms = now_ms;
	i->next_ms = now_ms + wait_for(e, f, now_ms, jitter);
	snprintf(i->code, sizeof i->code, "%.*s", ENDPOINT_CODE_MAX, f->code);
	snprintf(i->detail, sizeof i->detail, "%s: %.440s", authority, f->detail);
	/* The wait for what nothing explains does not end because something changed. */
	snprintf(i->actor, sizeof i->actor, "%s",
		!strcmp(i->code, "ca_disagrees") ? "authority" : actor_of(f->class));
}

static int64_t within(int64_t at_ms, int64_t least_ms, int64_t most_ms)
{
	return at_ms < least_ms ? least_ms : at_ms > most_ms ? most_ms : at_ms;
}

void issue_note_window(struct endpoint_cert *x, int64_t start_ms, int64_t end_ms, int64_t again_ms,
	double roll, int64_t now_ms)
{
	bool same = x->ari_start_ms == start_ms && x->ari_end_ms == end_ms;
	int64_t latest = needs_renew_latest(x->not_before_ms, x->not_after_ms);

	x->ari_next_ms = now_ms + again_ms;
	if (x->ari_next_ms >= x->not_after_ms)
		x->ari_next_ms = 0;
	if (same || end_ms <= start_ms)
		return;
	x->ari_start_ms = start_ms;
	x->ari_end_ms = end_ms;
	start_ms = within(start_ms, x->not_before_ms, latest);
	end_ms = within(end_ms, x->not_before_ms, latest);
	if (start_ms == latest) /* all of it is too late: drawn from what is left before that */
		start_ms = needs_renew_at(x->not_before_ms, x->not_after_ms);
	x->renew_at_ms = start_ms + (int64_t)(roll * (double)(end_ms - start_ms));
}

#include "worker/jobs/issue.h"

#include "common/clock.h"
#include "common/event.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/authorities.h"
#include "worker/jobs/events.h"
#include "worker/jobs/issue_internal.h"
#include "worker/pool.h"
#include "worker/worker.h"

#include <stdio.h>
#include <string.h>

/* --- life of the state */

static void issue_free(struct issue *s)
{
	outcome_free(s->outcome);
	for (size_t i = 0; i < s->leaving_n; i++)
		free(s->leaving[i]);
	free(s->leaving);
	free(s->old_der);
	issue_quota_release(s);
	free(s);
}

void issue_hold(struct issue *s)
{
	s->pending++;
}

bool issue_resume(struct issue *s)
{
	s->pending--;
	if (s->job)
		return true;
	if (!s->pending)
		issue_free(s);
	return false;
}

static void issue_stop(struct job *job, enum job_stop why)
{
	struct issue *s = job->work;

	(void)why;
	job->work = NULL;
	if (!s)
		return;
	s->job = NULL;
	if (s->order) {
		/* Another worker goes on with the order: its challenges stay. */
		acme_order_cancel(mem_steal(s->order), true);
		s->pending--;
	}
	if (!s->pending)
		issue_free(s);
}

static void fail_with(struct issue *s, enum acme_class class, const char *code, const char *detail)
{
	struct acme_failure f = {.class = class, .scope = ACME_ORDER, .resumable = true};

	snprintf(f.code, sizeof f.code, "%s", code);
	snprintf(f.detail, sizeof f.detail, "%s", detail);
	issue_fail(s, &f);
}

/* --- after the order: revocation of what was replaced */

static void on_revoked(void *arg, const struct acme_failure *f)
{
	struct issue *s = arg;
	struct endpoint *e;
	_buf_release_ struct buf data = BUF_INIT(EVENT_DATA_MAX);
	struct cert_info old;
	int64_t now = clock_wall_ms();

	if (!issue_resume(s))
		return;
	e = &s->job->endpoint;
	if (f) {
		issue_fail(s, f);
		return;
	}
	if (!cert_info_read(s->old_der, s->old_der_len, &old, NULL)) {
		_mem_free_ char *id = mem_printf("revoked/%s/%s", s->job->id, old.serial);

		event_revoked(&data, e, old.serial, s->authority, e->config.revoke_reason);
		outcome_event(s->outcome, EVENT_REVOKED, id, &data);
		outcome_timeline(s->outcome, now, "revoked", old.serial);
		LOG(INFO, "certificate_revoked", LF("endpoint", s->job->id),
			LF("serial", old.serial));
	}
	e->issuance.revoked_ms = now;
	if (s->old_der_len == e->cert.der_len && !memcmp(s->old_der, e->cert.der, e->cert.der_len))
		e->cert.revoked_ms = now;
	issue_finish(s);
}

static void revoke_old(struct issue *s)
{
	struct acme_authority *a = authorities_get(s->w->authorities, s->authority);

	issue_hold(s);
	acme_revoke(a, s->old_der, s->old_der_len, s->job->endpoint.config.revoke_reason,
		on_revoked, s);
}

void issue_after_order(struct issue *s)
{
	if (s->intent == INTENT_REMOVE)
		issue_release_names(s);
	else if (s->intent == INTENT_REVOKE)
		revoke_old(s);
	else
		issue_finish(s);
}

/* --- renewal information */

/* What CAs take as a renewal of this very certificate: ARI known, and asked at its own authority.
 */
static bool can_replace(const struct issue *s)
{
	const struct endpoint *e = &s->job->endpoint;
	struct acme_authority_info info;

	acme_authority_info(authorities_get(s->w->authorities, s->authority), &info);
	return e->has_cert && e->cert.ari_id[0] && !e->cert.revoked_ms && info.renewal_info &&
	       !strcmp(e->cert.authority, s->authority);
}

static void renew_if_due(struct issue *s)
{
	const struct endpoint_cert *x = &s->job->endpoint.cert;

	if (!s->asked && clock_wall_ms() < x->renew_at_ms) {
		issue_finish(s);
		return;
	}
	s->replaces = can_replace(s);
	issue_order(s);
}

static void on_renewal(void *arg, const struct acme_renewal *r, const struct acme_failure *f)
{
	struct issue *s = arg;
	struct endpoint_cert *x;
	int64_t now = clock_wall_ms();
	int64_t every, again;

	if (!issue_resume(s))
		return;
	x = &s->job->endpoint.cert;
	every = authorities_ari_every(s->w->authorities, s->authority);
	if (f) {
		/* The own schedule goes on; the question is asked again later. */
		LOG(INFO, "renewal_info_failed", LF("endpoint", s->job->id), LF("why", f->detail));
		x->ari_next_ms = now + (f->retry_after_ms > 0 ? f->retry_after_ms : every);
	} else {
		again = r->retry_after_ms < every ? r->retry_after_ms : every;
		if (x->ari_start_ms && x->ari_start_ms != r->start_wall_ms)
			outcome_timeline(s->outcome, now, "window",
				r->explanation_url ? r->explanation_url
						   : "the CA moved the renewal window");
		issue_note_window(x, r->start_wall_ms, r->end_wall_ms, again, issue_roll(), now);
	}
	renew_if_due(s);
}

static void ask_renewal_info(struct issue *s)
{
	const struct endpoint_cert *x = &s->job->endpoint.cert;
	bool home = !strcmp(x->authority, s->authority);

	if (!x->ari_next_ms || !x->ari_id[0] || !home || clock_wall_ms() < x->ari_next_ms - 1000) {
		renew_if_due(s);
		return;
	}
	issue_hold(s);
	acme_renewal_info(
		authorities_get(s->w->authorities, s->authority), x->ari_id, on_renewal, s);
}

/* --- claims and what earlier holders left */

static void go_on(struct issue *s)
{
	if (s->intent == INTENT_RENEW)
		ask_renewal_info(s);
	else
		issue_order(s);
}

struct deactivating {
	struct issue *s;
	char *name, *url;
};

static void on_forgotten(void *arg, int err)
{
	(void)arg;
	(void)err; /* it stays listed, and is deactivated again before the next order: harmless */
}

static void on_deactivated(void *arg, const struct acme_failure *f)
{
	struct deactivating *d = arg;
	struct issue *s = d->s;

	if (!f && s->job)
		queue_authz_forget(pool_queue(s->job->pool), s->job->id, s->job->token, d->name,
			d->url, on_forgotten, NULL);
	if (f && !s->stale_failed) {
		s->stale_failed = true;
		s->stale_failure = *f;
		s->stale_failure.rejected = NULL;
		s->stale_failure.n_rejected = 0;
	}
	s->stale_left--;
	free(d->name);
	free(d->url);
	free(d);
	if (!issue_resume(s) || s->stale_left)
		return;
	if (s->intent == INTENT_REMOVE)
		issue_names_released(s);
	else if (s->stale_failed)
		issue_fail(s, &s->stale_failure);
	else
		go_on(s);
}

void issue_deactivate(struct issue *s, const struct queue_authz *authz, const char *name)
{
	struct acme_authority *a = authorities_get(s->w->authorities, authz->authority);
	struct deactivating *d;

	if (!a) {
		LOG(WARN, "authorization_left", LF("endpoint", s->job->id), LF("name", name),
			LF("authority", authz->authority),
			LF("why", "this authority is not in the config any more"));
		return;
	}
	d = mem_zalloc(sizeof *d);
	*d = (struct deactivating){.s = s, .name = mem_strdup(name), .url = mem_strdup(authz->url)};
	s->stale_left++;
	issue_hold(s);
	LOG(INFO, "authorization_deactivate", LF("endpoint", s->job->id), LF("name", name),
		LF("authority", authz->authority));
	acme_deactivate_authz(a, authz->url, on_deactivated, d);
}

static void not_ours(struct issue *s, const char *name, enum claim claim)
{
	struct endpoint *e = &s->job->endpoint;
	_mem_free_ char *text =
		mem_printf(claim == CLAIM_ELSEWHERE
				   ? "%s is held by another tenant: its DNS does not name this one"
				   : "%s is not proven to be this tenant's: its _acme-challenge "
				     "CNAME was not seen",
			name);
	struct need look = {.any = true, .intent = INTENT_LOOK, .lane = LANE_NORMAL, .due_ms = 0};

	snprintf(look.why, sizeof look.why, "claim");
	outcome_ask_other(s->outcome, &look);
	if (e->has_cert) {
		fail_with(s, ACME_OWNER, claim == CLAIM_ELSEWHERE ? "held_elsewhere" : "unproven",
			text);
		return;
	}
	/* No attempt is charged: verify finds out, and asks again when it is proven. */
	for (size_t i = 0; i < e->verdict.names_n; i++)
		if (!strcmp(e->verdict.names[i].name, name)) {
			e->verdict.names[i].claim = claim;
			e->verdict.names[i].proven = false;
		}
	issue_finish(s);
}

static void on_claims(void *arg, int err, const struct queue_claim_result *results, size_t n)
{
	struct issue *s = arg;

	if (!issue_resume(s))
		return;
	if (err) {
		issue_redis_failed(s, err, "the claims of the names could not be read");
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (results[i].claim == CLAIM_HELD)
			continue;
		not_ours(s, s->names[i], results[i].claim);
		return;
	}
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < results[i].stale_n; k++)
			issue_deactivate(s, &results[i].stale[k], s->names[i]);
	if (!s->stale_left)
		go_on(s);
}

static void check_claims(struct issue *s)
{
	_mem_free_ struct queue_claim_name *names = mem_array(s->names_n, sizeof *names);

	for (size_t i = 0; i < s->names_n; i++)
		names[i].name = s->names[i];
	issue_hold(s);
	queue_claim(pool_queue(s->job->pool), s->job->id, s->job->token, names, s->names_n,
		on_claims, s);
}

/* --- start */

static void nothing_due(struct issue *s, const struct need *need)
{
	LOG(DEBUG, "issue_not_due", LF("endpoint", s->job->id), LF("why", need->why));
	issue_finish(s);
}

static bool compromised_too_long(const struct endpoint *e, int64_t now)
{
	return e->config.revoke_reason == REASON_KEY_COMPROMISE &&
	       now > e->config.revoke_asked_ms + COMPROMISED_MS;
}

static void begin_revoke(struct issue *s)
{
	const struct endpoint *e = &s->job->endpoint;

	s->old_der = mem_dup(e->cert.der, e->cert.der_len);
	s->old_der_len = e->cert.der_len;
	if (compromised_too_long(e, clock_wall_ms()))
		revoke_old(s);
	else
		check_claims(s);
}

/* An order that is still under way at the CA is taken up once more, with hooks that refuse
 * everything: it ends, and tells its authorizations. */
static void begin_remove(struct issue *s)
{
	if (s->job->endpoint.config.removing && s->job->checkpoint.len)
		issue_order(s);
	else
		issue_release_names(s);
}

static bool choose_authority(struct issue *s)
{
	const struct endpoint *e = &s->job->endpoint;
	/* CAA may bar the first. */
	const char *open =
		e->config.authority[0] || !e->has_verdict ? e->config.authority : e->verdict.via;
	const char *wanted = s->intent == INTENT_REVOKE ? e->cert.authority : open;
	const char *name = authorities_name(s->w->authorities, wanted);

	snprintf(s->authority, sizeof s->authority, "%s", name ? name : wanted);
	return name != NULL;
}

static void issue_start(struct job *job)
{
	struct issue *s = mem_zalloc(sizeof *s);
	int64_t now = clock_wall_ms();
	struct need need;

	job->work = s;
	s->job = job;
	s->w = job->worker;
	s->outcome = outcome_new();
	if (!issue_decide(&job->endpoint, job->lane, &s->w->needs_policy, now, &need)) {
		nothing_due(s, &need);
		return;
	}
	s->intent = need.intent;
	s->asked = job->endpoint.config.renew_asked_ms > job->endpoint.cert.issued_ms;
	s->names_n = issue_names(&job->endpoint, now, s->names, &s->left_out);
	if (!choose_authority(s))
		fail_with(s, ACME_OPERATOR, "unknown_authority",
			"the endpoint names an authority that is not in the config");
	else if (s->intent == INTENT_REMOVE)
		begin_remove(s);
	else if (s->intent == INTENT_REVOKE)
		begin_revoke(s);
	else
		check_claims(s);
}

const struct job_kind issue_kind = {
	.queue = QUEUE_ISSUE,
	.start = issue_start,
	.stop = issue_stop,
};

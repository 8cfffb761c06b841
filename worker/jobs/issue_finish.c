/* How an issue job ends: what it leaves in the endpoint's record, on the streams and in the plan.
 */
#include "common/clock.h"
#include "common/event.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"
#include "worker/authorities.h"
#include "worker/jobs/again.h"
#include "worker/jobs/conditions.h"
#include "worker/jobs/events.h"
#include "worker/jobs/issue_internal.h"
#include "worker/pool.h"
#include "worker/stats.h"
#include "worker/worker.h"

#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#define KEY_BYTES_MAX 8192
/* The CA's rhythm is not known before the first answer. */
#define FIRST_ARI_POLL_MS (5 * CLOCK_MINUTE_MS)

double issue_roll(void)
{
	uint32_t r = 0;

	RAND_bytes((unsigned char *)&r, sizeof r);
	return (double)r / 4294967296.0;
}

/* --- conditions */

static void describe_failure(const struct endpoint *e, const char *authority, struct condition *c)
{
	const struct endpoint_issuance *i = &e->issuance;
	char when[CLOCK_RFC3339_LEN];

	c->code = i->code[0] ? i->code : "issuance_failing";
	c->severity = condition_severity(
		e->cert.not_before_ms, e->has_cert ? e->cert.not_after_ms : 0, i->failed_ms);
	c->actor = i->actor;
	condition_cause(c->code, c->actor, authority, c->cause);
	c->deadline_ms = e->has_cert ? e->cert.not_after_ms : 0;
	snprintf(c->text, sizeof c->text, "%s of %s failed (%u in a row): %s",
		e->has_cert ? "Renewal" : "Issuance", e->config.names[0], i->failures, i->detail);
	snprintf(c->fix, sizeof c->fix, "certfleet endpoint show %s", e->config.id);
	snprintf(c->next, sizeof c->next, "tried again at %s", clock_rfc3339(i->next_ms, when));
}

static void put_conditions(struct issue *s, int64_t now)
{
	const struct endpoint *e = &s->job->endpoint;
	struct condition c = {0};
	size_t n = 0;

	if (e->issuance.failures) {
		describe_failure(e, s->authority, &c);
		n = 1;
	}
	conditions_update(
		s->outcome, "ai", &s->job->conditions, s->job->id, e->config.tenant, &c, n, now);
}

/* --- the common end */

/* Whether the edge serves a new certificate is looked at soon. */
static void ask_proof(struct issue *s, int64_t now)
{
	const struct endpoint *e = &s->job->endpoint;
	const struct needs_policy *policy = &s->w->needs_policy;
	double jitter = needs_jitter(s->job->id);
	struct need look;

	if (e->issuance.failures || !needs_proof(e, policy, jitter) ||
		!strcmp(e->verdict.served.serial, e->cert.serial))
		return;
	look = needs_verify(e, policy, now, jitter);
	outcome_ask_other(s->outcome, &look);
}

static void put_plan(struct issue *s, int64_t now)
{
	struct endpoint *e = &s->job->endpoint;
	char code[ENDPOINT_CODE_MAX + 1];
	struct need need;

	e->jobs[QUEUE_ISSUE].where = JOB_NONE;
	need = needs_issue(e, &s->w->needs_policy, now, needs_jitter(s->job->id));
	outcome_next(s->outcome, &need);
	ask_proof(s, now);
	outcome_state(s->outcome, endpoint_state_name(endpoint_state_of(e, now, code)), code);
}

static void put_records(struct issue *s)
{
	_buf_release_ struct buf x = BUF_INIT(OUTCOME_BYTES_MAX);
	_buf_release_ struct buf i = BUF_INIT(4096);

	if (s->job->endpoint.has_cert && !endpoint_cert_encode(&s->job->endpoint.cert, &x))
		outcome_set_buf(s->outcome, "x", &x);
	if (!endpoint_issuance_encode(&s->job->endpoint.issuance, &i))
		outcome_set_buf(s->outcome, "i", &i);
}

static void end(struct issue *s)
{
	struct job *job = s->job;
	struct outcome *o = mem_steal(s->outcome);

	s->job = NULL;
	issue_hold(s);
	issue_resume(s); /* frees s if no callback is left to come */
	job_finish(job, o);
}

void issue_finish(struct issue *s)
{
	int64_t now = clock_wall_ms();

	put_records(s);
	put_conditions(s, now);
	put_plan(s, now);
	end(s);
}

/* --- failure */

static void log_failure(const struct issue *s, const struct acme_failure *f)
{
	char when[CLOCK_RFC3339_LEN];

	LOG(WARN, "issuance_failed", LF("endpoint", s->job->id), LF("authority", s->authority),
		LF("code", f->code), LF("class", acme_class_name(f->class)), LF("step", f->step),
		LF("name", f->failed_name), LF("detail", f->detail),
		LF("again", clock_rfc3339(s->job->endpoint.issuance.next_ms, when)));
}

void issue_fail(struct issue *s, const struct acme_failure *f)
{
	struct endpoint *e = &s->job->endpoint;
	_buf_release_ struct buf data = BUF_INIT(EVENT_DATA_MAX);
	_mem_free_ char *id = mem_printf("failed/%s/%s", s->job->id, s->job->token);
	int64_t now = clock_wall_ms();

	metric_inc(&stats_orders, LABELS(s->authority, acme_class_name(f->class)));
	issue_note_failure(e, s->authority, f, now, needs_jitter(s->job->id));
	log_failure(s, f);
	event_failed(&data, e, s->authority, f, e->issuance.next_ms);
	outcome_event(s->outcome, EVENT_FAILED, id, &data);
	outcome_timeline(s->outcome, now, "failed", f->detail);
	if (!f->resumable) /* whoever wrote it, this run or one before */
		outcome_set(s->outcome, "o", NULL, 0);
	issue_finish(s);
}

static void give_back(struct issue *s)
{
	struct job *job = s->job;

	s->job = NULL;
	issue_hold(s);
	issue_resume(s); /* frees s if no callback is left to come */
	job_release(job, clock_wall_ms() + CLOCK_SECOND_MS, "redis was away");
}

void issue_redis_failed(struct issue *s, int err, const char *what)
{
	struct acme_failure f = {
		.class = ACME_BACKOFF, .scope = ACME_ORDER, .resumable = true, .code = "redis"};

	if (again_is_passing(err)) {
		give_back(s);
		return;
	}
	snprintf(f.detail, sizeof f.detail, "%s: %s", what, cf_strerror(err));
	issue_fail(s, &f);
}

/* --- success */

static int64_t first_ari_poll(const struct issue *s, int64_t now)
{
	struct acme_authority_info info;
	int64_t every = authorities_ari_every(s->w->authorities, s->authority);

	acme_authority_info(authorities_get(s->w->authorities, s->authority), &info);
	if (!info.renewal_info)
		return 0;
	if (every > FIRST_ARI_POLL_MS)
		every = FIRST_ARI_POLL_MS;
	return now + (int64_t)((double)every * (0.5 + 0.5 * issue_roll()));
}

static int read_leaf(struct issue *s, const struct chain *chain, struct endpoint_cert *x,
	struct cert_info *info, struct why *why)
{
	const struct endpoint_cert *old = &s->job->endpoint.cert;
	int64_t now = clock_wall_ms();
	int err = cert_info_read(chain->certs[0].der, chain->certs[0].len, info, why);

	if (err)
		return err;
	*x = (struct endpoint_cert){
		.der = mem_dup(chain->certs[0].der, chain->certs[0].len),
		.der_len = chain->certs[0].len,
		.not_before_ms = info->not_before_ms,
		.not_after_ms = info->not_after_ms,
		.issued_ms = now,
		.renew_at_ms = needs_renew_at(info->not_before_ms, info->not_after_ms),
		.ari_next_ms = info->ari_id[0] ? first_ari_poll(s, now) : 0,
		.wanted = endpoint_wanted(&s->job->endpoint.config),
		.renewals = s->job->endpoint.has_cert ? old->renewals + 1 : 0,
		.key_type = s->job->endpoint.config.key_type,
		.partial = s->left_out,
	};
	snprintf(x->authority, sizeof x->authority, "%s", s->authority);
	snprintf(x->serial, sizeof x->serial, "%s", info->serial);
	snprintf(x->ari_id, sizeof x->ari_id, "%s", info->ari_id);
	return 0;
}

static int put_chain(struct issue *s, const struct chain *chain, struct endpoint_cert *x)
{
	_buf_release_ struct buf rest = BUF_INIT(CHAIN_MAX_BYTES);
	unsigned char sha[SHA256_DIGEST_LENGTH];
	int err = chain_pack_rest(chain, &rest);

	if (err)
		return err;
	SHA256((const unsigned char *)buf_cstr(&rest), rest.len, sha);
	str_hex(sha, sizeof sha, x->chain_sha);
	outcome_chain(s->outcome, x->chain_sha, buf_cstr(&rest), rest.len);
	return 0;
}

static int put_key(struct issue *s, EVP_PKEY *key)
{
	_buf_release_secret_ struct buf packed = BUF_INIT(KEY_BYTES_MAX);
	_buf_release_ struct buf sealed = BUF_INIT(KEY_BYTES_MAX);
	char place[ENDPOINT_PLACE_SIZE];
	int err = keypair_pack(key, &packed);

	if (!err)
		err = vault_seal(s->w->vault, VAULT_CERTIFICATES,
			endpoint_key_place(s->job->id, false, place), packed.data, packed.len,
			&sealed);
	if (!err)
		outcome_set_buf(s->outcome, "k", &sealed);
	return err;
}

static void tell(struct issue *s, const struct cert_info *info, const char *replaced)
{
	const struct endpoint *e = &s->job->endpoint;
	_buf_release_ struct buf data = BUF_INIT(EVENT_DATA_MAX);
	_mem_free_ char *id = mem_printf(
		"%s/%s/%s", replaced[0] ? "renewed" : "issued", s->job->id, e->cert.serial);
	char until[CLOCK_RFC3339_LEN];
	_mem_free_ char *text = mem_printf("serial %s by %s, valid until %s", e->cert.serial,
		s->authority, clock_rfc3339(e->cert.not_after_ms, until));
	_mem_free_ char *published = mem_printf(
		"serial %s for the edges: certfleet sync, the stream results", e->cert.serial);

	event_certificate(&data, e, info->issuer, replaced);
	outcome_event(s->outcome, replaced[0] ? EVENT_RENEWED : EVENT_ISSUED, id, &data);
	outcome_timeline(s->outcome, clock_wall_ms(), replaced[0] ? "renewed" : "issued", text);
	outcome_timeline(s->outcome, clock_wall_ms(), "published", published);
	outcome_expiry(s->outcome, e->cert.not_after_ms);
	metric_inc(&stats_orders, LABELS(s->authority, replaced[0] ? "renewed" : "issued"));
	LOG(INFO, replaced[0] ? "certificate_renewed" : "certificate_issued",
		LF("endpoint", s->job->id), LF("authority", s->authority),
		LF("serial", e->cert.serial), LF("until", until), LF("replaces", replaced));
}

static void adopt(struct issue *s, struct endpoint_cert *x)
{
	struct endpoint *e = &s->job->endpoint;
	bool had = e->has_cert;

	endpoint_cert_release(&e->cert);
	e->cert = *x;
	e->has_cert = true;
	e->issuance = (struct endpoint_issuance){
		.ordered_ms = e->issuance.ordered_ms, .revoked_ms = e->issuance.revoked_ms};
	if (!had) /* a revocation asked for before there was anything to revoke has been met */
		e->issuance.revoked_ms = clock_wall_ms();
}

int issue_take_certificate(struct issue *s, struct acme_result *r)
{
	struct endpoint_cert x = {0};
	struct cert_info info;
	struct acme_failure f = {.class = ACME_BACKOFF, .scope = ACME_ORDER, .code = "chain_wrong"};
	struct why why = {""};
	char replaced[sizeof x.serial];
	int err = read_leaf(s, r->chain, &x, &info, &why);

	if (!err && ((err = put_chain(s, r->chain, &x)) || (err = put_key(s, r->key))))
		why_set(&why, err, "the new certificate could not be stored: %s", cf_strerror(err));
	if (err) {
		endpoint_cert_release(&x);
		snprintf(f.detail, sizeof f.detail, "%s", why.text);
		issue_fail(s, &f);
		return err;
	}
	snprintf(replaced, sizeof replaced, "%s",
		s->job->endpoint.has_cert ? s->job->endpoint.cert.serial : "");
	adopt(s, &x);
	outcome_set(s->outcome, "o", NULL, 0);
	tell(s, &info, replaced);
	return 0;
}

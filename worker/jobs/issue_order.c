/* The order itself: what it is placed for, and the hooks through which the engine reaches Redis. */
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/authorities.h"
#include "worker/jobs/again.h"
#include "worker/jobs/challenge.h"
#include "worker/jobs/checkpoint.h"
#include "worker/jobs/issue_internal.h"
#include "worker/nodes.h"
#include "worker/pool.h"
#include "worker/worker.h"

#include <stdio.h>
#include <string.h>

#define ORDER_DEADLINE_MS (30 * CLOCK_MINUTE_MS)
#define OUTAGE_ECHO_MS    (30 * CLOCK_SECOND_MS) /* CAs' resolvers keep a SERVFAIL for a while */

/* --- hooks */

struct saving {
	struct queue *queue;
	char id[ENDPOINT_ID_MAX + 1];
	char token[QUEUE_TOKEN_LEN + 1];
	struct buf field;
	bool barrier;
	struct again *again;
};

static void saving_free(void *arg)
{
	struct saving *s = arg;

	buf_release(&s->field);
	free(s);
}

static void on_saved(void *arg, int err)
{
	struct saving *s = arg;

	again_answer(s->again, err);
}

static void save(struct again *again, void *arg)
{
	struct saving *s = arg;

	s->again = again;
	queue_checkpoint(
		s->queue, s->id, s->token, s->field.data, s->field.len, s->barrier, on_saved, s);
}

static void hook_checkpoint(void *arg, const struct acme_checkpoint *c, bool barrier,
	acme_done_fn *done, void *done_arg)
{
	struct issue *s = arg;
	struct saving *saving;
	int err;

	if (!s->job ||
		s->intent ==
			INTENT_REMOVE) { /* an endpoint that leaves gets no certificate any more */
		done(done_arg, s->job ? CF_EREFUSED : CF_ECANCELED);
		return;
	}
	saving = mem_zalloc(sizeof *saving);
	saving->queue = pool_queue(s->job->pool);
	saving->barrier = barrier;
	saving->field = BUF_INIT(CHECKPOINT_BYTES_MAX);
	snprintf(saving->id, sizeof saving->id, "%s", s->job->id);
	snprintf(saving->token, sizeof saving->token, "%s", s->job->token);
	err = checkpoint_encode(c, s->w->vault, s->job->id, &saving->field);
	if (err) {
		saving_free(saving);
		done(done_arg, err);
		return;
	}
	again_start(s->w, save, saving_free, saving, done, done_arg);
}

static void hook_publish(
	void *arg, const struct acme_challenge *c, acme_done_fn *done, void *done_arg)
{
	struct issue *s = arg;

	if (!s->job || s->intent == INTENT_REMOVE) {
		done(done_arg, CF_EREFUSED);
		return;
	}
	issue_breaker_published(s, c->type);
	challenge_publish(s->w, s->job->endpoint.config.tenant, c, done, done_arg);
}

static void hook_visible(
	void *arg, const struct acme_challenge *c, acme_done_fn *done, void *done_arg)
{
	struct issue *s = arg;

	if (!s->job)
		done(done_arg, CF_ECANCELED);
	else
		challenge_visible(s->w, s->job->endpoint.config.tenant, c, done, done_arg);
}

static void hook_unpublish(
	void *arg, const struct acme_challenge *c, acme_done_fn *done, void *done_arg)
{
	struct issue *s = arg;

	if (!s->job)
		done(done_arg, CF_ECANCELED);
	else
		challenge_unpublish(s->w, s->job->endpoint.config.tenant, c, done, done_arg);
}

static bool hook_held(void *arg)
{
	const struct issue *s = arg;

	return s->job && clock_mono_ms() < s->job->lease_end_mono_ms;
}

static const struct acme_hooks hooks = {
	.checkpoint = hook_checkpoint,
	.publish = hook_publish,
	.visible = hook_visible,
	.unpublish = hook_unpublish,
	.held = hook_held,
};

/* --- result */

static void note_authorizations(struct issue *s, const struct acme_result *r)
{
	for (size_t i = 0; i < r->n_authorizations; i++) {
		const struct acme_authorization *z = &r->authorizations[i];

		outcome_authz(s->outcome, z->name, s->authority, z->url,
			z->expires_wall_ms ? z->expires_wall_ms
					   : clock_wall_ms() + 30 * CLOCK_DAY_MS);
	}
}

/* Of an order that was ended because its endpoint goes. */
static void deactivate_own(struct issue *s, const struct acme_result *r)
{
	buf_clear(&s->job->checkpoint);
	for (size_t i = 0; i < r->n_authorizations; i++) {
		const struct acme_authorization *z = &r->authorizations[i];
		const struct queue_authz authz = {
			.name = z->name, .authority = s->authority, .url = z->url};

		issue_deactivate(s, &authz, z->name);
	}
	issue_release_names(s);
}

static bool is_rejected(const struct acme_failure *f, const char *name)
{
	for (size_t i = 0; i < f->n_rejected; i++)
		if (!strcmp(f->rejected[i], name))
			return true;
	return false;
}

/* Names that the CA will not take are split off; true if an order for the others was begun. */
static bool order_without_rejected(struct issue *s, const struct acme_failure *f)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->names_n; i++)
		if (!is_rejected(f, s->names[i]))
			s->names[kept++] = s->names[i];
	if (!kept || kept == s->names_n) {
		s->names_n = kept ? s->names_n : 0;
		return false;
	}
	LOG(WARN, "names_rejected", LF("endpoint", s->job->id), LF("authority", s->authority),
		LF_INT("left", kept), LF("why", f->detail));
	s->names_n = kept;
	s->left_out = true;
	issue_order(s);
	return true;
}

const char *issue_next_authority(const struct issue *s)
{
	const struct endpoint *e = &s->job->endpoint;
	const char *next = s->authority;

	while ((next = authorities_after(s->w->authorities, next))) {
		bool barred = false;

		for (size_t i = 0; e->has_verdict && i < s->names_n; i++)
			barred = barred || endpoint_barred(&e->verdict, s->names[i], next);
		if (!barred)
			return next;
	}
	return NULL;
}

void issue_change_authority(struct issue *s, const char *to)
{
	snprintf(s->authority, sizeof s->authority, "%s", to);
	s->replaces = false;
	buf_clear(&s->job->checkpoint);
}

/* Another authority is tried when this one will not, or is in trouble of its own making. */
static bool order_elsewhere(struct issue *s, const struct acme_failure *f)
{
	const char *next = issue_next_authority(s);
	bool chosen = s->job->endpoint.config.authority[0] != '\0';

	if (chosen || !next ||
		(f->class != ACME_OTHER_AUTHORITY &&
			!(f->class == ACME_BACKOFF && f->scope == ACME_AUTHORITY)))
		return false;
	LOG(WARN, "authority_changed", LF("endpoint", s->job->id), LF("from", s->authority),
		LF("to", next), LF("why", f->detail));
	issue_breaker_tell(s, f);
	issue_change_authority(s, next);
	issue_order(s);
	return true;
}

static bool was_our_outage(const struct issue *s)
{
	return nodes_redis_is_silent(s->w) || s->w->redis_lost_ms >= s->ordered_ms ||
	       s->w->redis_back_ms >= s->ordered_ms - OUTAGE_ECHO_MS ||
	       nodes_silent_ms(s->w->nodes) >= s->ordered_ms;
}

/* What the order wanted of Redis while it was away, or had fewer replicas than it must: the order
 * goes on where it stands, and nothing is charged for it. */
static bool redis_failed(const struct issue *s, const struct acme_failure *f)
{
	static const char *const codes[] = {"checkpoint_failed", "publish_failed", "account_store"};

	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (!strcmp(f->code, codes[i]))
			return s->w->redis_lost_ms >= s->ordered_ms ||
			       s->w->redis_failed_ms >= s->ordered_ms;
	return false;
}

/* The verdict says that it can, and no finding says why not. */
static bool nothing_explains(const struct issue *s, const struct acme_failure *f)
{
	const struct endpoint *e = &s->job->endpoint;
	enum challenge_type type =
		!strcmp(f->failed_type, "http-01") ? CHALLENGE_HTTP01 : CHALLENGE_DNS01;

	return f->failed_name[0] && e->has_verdict && e->verdict.generation == e->generation &&
	       endpoint_verdict_by(&e->verdict, f->failed_name, s->authority, type) == VERDICT_CAN;
}

/* While Redis was away, or a responder silent, the CA could not be answered: what it found is not
 * the owner's doing. */
void issue_fail_order(struct issue *s, const struct acme_failure *f)
{
	struct acme_failure ours = *f;

	if (f->class == ACME_OWNER && was_our_outage(s)) {
		ours.class = ACME_BACKOFF;
		snprintf(ours.code, sizeof ours.code, "our_outage");
	} else if (f->class == ACME_OWNER && nothing_explains(s, f)) {
		snprintf(ours.code, sizeof ours.code, "ca_disagrees");
	}
	issue_fail(s, &ours);
}

static void on_order(void *arg, struct acme_result *r)
{
	struct issue *s = arg;
	const struct acme_failure *f = r->failure;

	s->order = NULL;
	if (!issue_resume(s))
		return;
	if (r->orders_placed)
		s->job->endpoint.issuance.ordered_ms = clock_wall_ms();
	if (s->intent == INTENT_REMOVE) {
		deactivate_own(s, r);
		return;
	}
	note_authorizations(s, r);
	issue_quota_settle(s, r);
	if (r->ok) {
		issue_breaker_passed(s);
		if (!issue_take_certificate(s, r))
			issue_after_order(s);
		return;
	}
	if (redis_failed(s, f)) {
		issue_redis_failed(s, CF_ECONN, f->detail);
		return;
	}
	if ((f->n_rejected && order_without_rejected(s, f)) || order_elsewhere(s, f) ||
		issue_quota_refused(s, r))
		return;
	if (!issue_breaker_judges(s, f))
		issue_fail_order(s, f);
}

/* --- start */

static enum acme_challenge_type to_acme(enum challenge_type t)
{
	return t == CHALLENGE_DNS01 ? ACME_DNS_01 : ACME_HTTP_01;
}

void issue_fill_choices(const struct endpoint *e, const char *name, const char *authority,
	struct acme_identifier *out)
{
	enum challenge_type allowed[2];
	size_t n = endpoint_challenges(e, name, authority, allowed);

	out->name = name;
	for (size_t i = 0; i < n; i++)
		out->choices[out->n_choices++] = to_acme(allowed[i]);
	if (n)
		return;
	out->choices[out->n_choices++] = ACME_DNS_01;
	if (e->config.type == ENDPOINT_EXTERNAL && !name_is_wildcard(name))
		out->choices[out->n_choices++] = ACME_HTTP_01;
}

static bool read_checkpoint(struct issue *s, struct checkpoint *out)
{
	struct why why;

	if (!s->job->checkpoint.len)
		return false;
	if (checkpoint_decode(&s->job->checkpoint, s->w->vault, s->job->id, out, &why)) {
		LOG(WARN, "checkpoint_unusable", LF("endpoint", s->job->id), LF("why", why.text));
		return false;
	}
	if (strcmp(out->authority, s->authority) != 0) {
		checkpoint_release(out);
		return false;
	}
	return true;
}

static bool order_is_open(struct issue *s)
{
	struct checkpoint c;
	bool has = read_checkpoint(s, &c);
	bool open = has && c.value.order_url;

	if (has)
		checkpoint_release(&c);
	return open;
}

void issue_order(struct issue *s)
{
	bool open = order_is_open(s);

	if (!open && issue_breaker_holds(s))
		return;
	issue_quota_begin(s);
	if (!s->quota.n || open)
		issue_place_order(s);
	else
		issue_quota_reserve(s);
}

void issue_place_order(struct issue *s)
{
	const struct endpoint *e = &s->job->endpoint;
	struct acme_authority *a = authorities_get(s->w->authorities, s->authority);
	_mem_free_ struct acme_identifier *ids = mem_array(s->names_n, sizeof *ids);
	struct acme_order_spec spec = {
		.names = ids,
		.n_names = s->names_n,
		.key_type = e->config.key_type,
		.profile = e->config.profile[0] ? e->config.profile : NULL,
		.replaces = s->replaces ? e->cert.ari_id : NULL,
		.deadline_ms = ORDER_DEADLINE_MS,
		.log_id = s->job->id,
	};
	struct checkpoint resume;
	bool has = read_checkpoint(s, &resume);

	for (size_t i = 0; i < s->names_n; i++) {
		issue_fill_choices(e, s->names[i], s->authority, &ids[i]);
		issue_breaker_choices(s, &ids[i]);
	}
	s->ways = 0;
	s->ordered_ms = clock_wall_ms();
	issue_hold(s);
	s->order = acme_order_start(a, &spec, has ? &resume.value : NULL, &hooks, s, on_order);
	if (has)
		checkpoint_release(&resume);
}

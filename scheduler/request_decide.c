/* A request set against the endpoint as it is: what is to be written, or why not. See request.h. */
#include "scheduler/request.h"

#include "common/event.h"
#include "common/mem.h"
#include "common/mp.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static enum request_verdict refused(struct request_refusal *no, const char *code,
	const char *format, ...) __attribute__((format(printf, 3, 4)));

static enum request_verdict refused(
	struct request_refusal *no, const char *code, const char *format, ...)
{
	va_list ap;

	snprintf(no->code, sizeof no->code, "%s", code);
	va_start(ap, format);
	vsnprintf(no->why.text, sizeof no->why.text, format, ap);
	va_end(ap);
	return REQUEST_REFUSED;
}

void request_effect_release(struct request_effect *f)
{
	endpoint_config_release(&f->config);
	free(f->added);
	free(f->dropped);
	f->added = f->dropped = NULL;
}

static bool among(const char *const *list, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(list[i], word))
			return true;
	return false;
}

static bool has_name(const struct endpoint_config *c, const char *name)
{
	for (size_t i = 0; i < c->names_n; i++)
		if (!strcmp(c->names[i], name))
			return true;
	return false;
}

/* Borrowed names of `of` that `in` lacks. */
static const char **difference(
	const struct endpoint_config *of, const struct endpoint_config *in, size_t *n)
{
	const char **out = mem_array(of->names_n ? of->names_n : 1, sizeof *out);

	*n = 0;
	for (size_t i = 0; i < of->names_n; i++)
		if (!in || !has_name(in, of->names[i]))
			out[(*n)++] = of->names[i];
	return out;
}

static void set_names(struct endpoint_config *c, const struct request *r)
{
	free(c->names);
	c->names = mem_dup(r->names, r->names_n * sizeof *r->names);
	c->names_n = r->names_n;
}

/* What the request gives replaces what stands there. */
static void overlay(struct endpoint_config *c, const struct request *r)
{
	if (r->has_type)
		c->type = r->endpoint_type;
	if (r->has_target)
		memcpy(c->target, r->target, sizeof c->target);
	if (r->has_authority)
		memcpy(c->authority, r->authority, sizeof c->authority);
	if (r->has_profile)
		memcpy(c->profile, r->profile, sizeof c->profile);
	if (r->has_zone)
		memcpy(c->zone, r->zone, sizeof c->zone);
	if (r->has_key_type)
		c->key_type = r->key_type;
	if (r->has_names)
		set_names(c, r);
}

static enum request_verdict check_config(
	struct endpoint_config *c, const struct request_policy *policy, struct request_refusal *no)
{
	if (c->authority[0] && !among(policy->authorities, policy->authorities_n, c->authority))
		return refused(no, "unknown_authority",
			"the authority \"%s\" is not in the configuration", c->authority);
	for (size_t i = 0; i < c->names_n; i++)
		for (size_t z = 0; z < policy->zones_n; z++)
			if (name_is_under(name_base(c->names[i]), policy->zones[z]))
				return refused(no, "invalid",
					"the name \"%s\" lies in the challenge zone %s, which is "
					"certfleet's own",
					c->names[i], policy->zones[z]);
	if (endpoint_config_check(c, &no->why)) {
		snprintf(no->code, sizeof no->code, "invalid");
		return REQUEST_REFUSED;
	}
	return REQUEST_APPLY;
}

static bool same_but_names(const struct endpoint_config *a, const struct endpoint_config *b)
{
	return a->type == b->type && a->key_type == b->key_type && !strcmp(a->target, b->target) &&
	       !strcmp(a->authority, b->authority) && !strcmp(a->profile, b->profile) &&
	       !strcmp(a->zone, b->zone);
}

/* A person or a program waits: what is needed now comes in the first lane. */
static struct need hastened(struct need n, int64_t now_ms)
{
	if (n.any && n.due_ms <= now_ms)
		n.lane = LANE_PERSON;
	return n;
}

/* What the endpoint will need once it is written as the effect says. */
static void plan(struct request_effect *f, const struct endpoint *e,
	const struct request_policy *policy, int64_t now_ms)
{
	struct endpoint then = e ? *e : (struct endpoint){.generation = 0};
	double jitter = needs_jitter(f->config.id);

	then.config = f->config;
	then.generation = f->generation;
	then.has_dropped |= f->dropped_n > 0;
	f->verify = hastened(needs_verify(&then, &policy->needs, now_ms, jitter), now_ms);
	f->issue = hastened(needs_issue(&then, &policy->needs, now_ms, jitter), now_ms);
}

static enum request_verdict decide_add(const struct request *r, const char *id,
	const struct endpoint *e, const struct request_policy *policy, int64_t now_ms,
	struct request_effect *f, struct request_refusal *no)
{
	const char *tenant = r->has_tenant ? r->tenant : "default";
	struct endpoint_config *c = &f->config;
	enum request_verdict verdict;

	if (e && !r->has_endpoint && strcmp(e->config.tenant, tenant))
		return REQUEST_TAKEN;
	if (e)
		return refused(no, "exists", "an endpoint \"%s\" exists already%s", id,
			e->config.removing ? " and is being removed" : "");
	snprintf(c->id, sizeof c->id, "%s", id);
	snprintf(c->tenant, sizeof c->tenant, "%s", tenant);
	c->key_type = KEY_P256;
	c->created_ms = now_ms;
	overlay(c, r);
	verdict = check_config(c, policy, no);
	if (verdict != REQUEST_APPLY)
		return verdict;
	f->op = "add";
	f->event = EVENT_ADDED;
	f->timeline = "added";
	f->generation = 1;
	f->new_generation = true;
	f->added = difference(c, NULL, &f->added_n);
	return REQUEST_APPLY;
}

static enum request_verdict decide_update(const struct request *r, const struct endpoint *e,
	const struct request_policy *policy, struct request_effect *f, struct request_refusal *no)
{
	enum request_verdict verdict;

	overlay(&f->config, r);
	verdict = check_config(&f->config, policy, no);
	if (verdict != REQUEST_APPLY)
		return verdict;
	f->op = "update";
	f->added = difference(&f->config, &e->config, &f->added_n);
	f->dropped = difference(&e->config, &f->config, &f->dropped_n);
	f->new_generation = f->added_n || f->dropped_n || !same_but_names(&f->config, &e->config);
	if (f->new_generation) {
		f->generation++;
		f->event = EVENT_UPDATED;
		f->timeline = "updated";
	} else {
		f->op = "touch"; /* it is so already */
	}
	return REQUEST_APPLY;
}

static enum request_verdict decide_touch(const struct request *r, const struct endpoint *e,
	int64_t now_ms, struct request_effect *f, struct request_refusal *no)
{
	f->op = "touch";
	if (r->op == REQUEST_OP_VERIFY) {
		f->timeline = "verify_asked";
	} else if (r->op == REQUEST_OP_RENEW) {
		f->config.renew_asked_ms = now_ms;
		f->timeline = "renew_asked";
	} else if (!e->has_cert || e->cert.revoked_ms) {
		return refused(no, "no_certificate",
			"the endpoint \"%s\" has no certificate to revoke", e->config.id);
	} else {
		f->config.revoke_asked_ms = now_ms;
		f->config.revoke_reason = r->reason;
		f->timeline = "revoke_asked";
	}
	return REQUEST_APPLY;
}

static void ask_now(struct need *n, enum job_intent intent, int64_t now_ms)
{
	*n = (struct need){.any = true, .intent = intent, .lane = LANE_PERSON, .due_ms = now_ms};
	snprintf(n->why, sizeof n->why, "asked");
}

/* The plan follows from the fields; what was asked for by name comes at once whatever they say. */
static void plan_for(const struct request *r, const struct endpoint *e,
	const struct request_policy *policy, int64_t now_ms, struct request_effect *f)
{
	plan(f, e, policy, now_ms);
	if (r->op == REQUEST_OP_VERIFY) {
		f->issue.any = false;
		ask_now(&f->verify, INTENT_LOOK, now_ms);
	} else if (r->op == REQUEST_OP_RENEW) {
		f->verify.any = false;
		if (f->issue.any)
			ask_now(&f->issue, f->issue.intent, now_ms);
		else /* nothing to renew and not ready to provision: DNS is what is missing */
			ask_now(&f->verify, INTENT_LOOK, now_ms);
	} else if (r->op == REQUEST_OP_REVOKE) {
		f->verify.any = false;
		ask_now(&f->issue, INTENT_REVOKE, now_ms);
	} else if (r->op == REQUEST_OP_REMOVE) {
		f->verify.any = false;
		ask_now(&f->issue, INTENT_REMOVE, now_ms);
	}
}

static enum request_verdict decide_known(const struct request *r, const struct endpoint *e,
	const struct request_policy *policy, int64_t now_ms, struct request_effect *f,
	struct request_refusal *no)
{
	if (r->has_tenant && strcmp(r->tenant, e->config.tenant))
		return refused(no, r->op == REQUEST_OP_UPDATE ? "invalid" : "not_found",
			r->op == REQUEST_OP_UPDATE ? "the tenant of an endpoint cannot be changed: "
						     "remove it and add it anew"
						   : "there is no endpoint \"%s\" of this tenant",
			r->endpoint);
	if (r->generation && r->generation != e->generation)
		return refused(no, "stale",
			"the endpoint \"%s\" was changed since: its generation is %" PRIu64
			", not %" PRIu64,
			r->endpoint, e->generation, r->generation);
	if (e->config.removing && r->op != REQUEST_OP_REMOVE)
		return refused(no, "removing", "the endpoint \"%s\" is being removed", r->endpoint);
	endpoint_config_copy(&f->config, &e->config);
	f->generation = e->generation;
	if (r->op == REQUEST_OP_UPDATE)
		return decide_update(r, e, policy, f, no);
	if (r->op != REQUEST_OP_REMOVE)
		return decide_touch(r, e, now_ms, f, no);
	f->op = "remove";
	f->timeline = e->config.removing ? NULL : "remove_asked";
	f->config.removing = true;
	return REQUEST_APPLY;
}

enum request_verdict request_decide(const struct request *r, const char *id,
	const struct endpoint *e, const struct request_policy *policy, int64_t now_ms,
	struct request_effect *out, struct request_refusal *no)
{
	struct request_effect f = {.op = NULL};
	enum request_verdict verdict;

	memset(no, 0, sizeof *no);
	if (r->op == REQUEST_OP_ADD)
		verdict = decide_add(r, id, e, policy, now_ms, &f, no);
	else if (!e)
		verdict = refused(no, "not_found", "there is no endpoint \"%s\"", id);
	else
		verdict = decide_known(r, e, policy, now_ms, &f, no);
	if (verdict != REQUEST_APPLY) {
		request_effect_release(&f);
		return verdict;
	}
	plan_for(r, e, policy, now_ms, &f);
	*out = f;
	return REQUEST_APPLY;
}

int request_answer(const struct request *r, const char *endpoint, uint64_t generation,
	const struct request_refusal *no, struct buf *out)
{
	size_t map = mp_map_open(out);

	mp_key_int(out, "V", 1);
	mp_key_str(out, "status", no ? "refused" : "done");
	mp_key_str(out, "request", r->type);
	mp_key_str(out, "source", r->source);
	mp_key_str(out, "id", r->id);
	mp_key_str(out, "endpoint", endpoint ? endpoint : "");
	mp_key_int(out, "generation", (int64_t)generation);
	mp_key_str(out, "code", no ? no->code : "");
	mp_key_str(out, "text", no ? no->why.text : "");
	mp_map_close(out, map);
	return buf_err(out);
}

int request_event_data(const struct request_effect *f, struct buf *out)
{
	const struct endpoint_config *c = &f->config;
	size_t map = mp_map_open(out), names;

	mp_key_int(out, "V", 1);
	mp_key_str(out, "endpoint", c->id);
	mp_key_str(out, "tenant", c->tenant);
	mp_key_int(out, "generation", (int64_t)f->generation);
	mp_key_str(out, "type", c->type == ENDPOINT_EXTERNAL ? "external" : "internal");
	mp_key_str(out, "target", c->target);
	mp_key_str(out, "authority", c->authority);
	mp_key_str(out, "profile", c->profile);
	mp_key_str(out, "zone", c->zone[0] ? c->zone : NULL);
	mp_key_str(out, "key_type", key_type_name(c->key_type));
	mp_key(out, "names");
	names = mp_array_open(out);
	for (size_t i = 0; i < c->names_n; i++)
		mp_str(out, c->names[i]);
	mp_array_close(out, names);
	mp_map_close(out, map);
	return buf_err(out);
}

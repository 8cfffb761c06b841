/* What follows from an endpoint's fields: whether it can be ordered for, and the one word for
 * people. */
#include "common/endpoint.h"

#include <stdio.h>
#include <string.h>

/* FNV-1a, 64 bits: a fingerprint against accidents, not against attackers. */
static uint64_t mix(uint64_t h, const char *s)
{
	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
	return (h ^ '\n') * UINT64_C(0x100000001b3);
}

uint64_t endpoint_wanted(const struct endpoint_config *c)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < c->names_n; i++)
		h = mix(h, c->names[i]);
	h = mix(h, c->authority);
	h = mix(h, c->profile);
	h = mix(h, key_type_name(c->key_type) ? key_type_name(c->key_type) : "");
	return h >> 1; /* fits an int64_t */
}

int64_t endpoint_quota_ticket(const struct endpoint *e)
{
	const struct endpoint_issuance *i = &e->issuance;

	return i->wait_ms && i->wait_wanted == endpoint_wanted(&e->config) ? i->wait_ms : 0;
}

static enum endpoint_ready name_ready(const struct endpoint *e, const char *name)
{
	const struct name_verdict *v = endpoint_verdict_of(&e->verdict, name);

	if (!v || v->claim == CLAIM_ELSEWHERE || (v->claim == CLAIM_UNPROVEN && !v->proven))
		return READY_NO;
	if (v->dns01 == VERDICT_CAN || v->http01 == VERDICT_CAN)
		return READY_YES;
	if (v->dns01 == VERDICT_UNSURE || v->http01 == VERDICT_UNSURE)
		return READY_UNSURE;
	return READY_NO;
}

enum endpoint_ready endpoint_ready(const struct endpoint *e)
{
	const char *names[ENDPOINT_NAMES_MAX];
	enum endpoint_ready all = READY_YES;
	size_t n;

	if (!e->has_verdict || e->verdict.generation != e->generation)
		return READY_NO;
	n = endpoint_order_names(&e->config, names);
	for (size_t i = 0; i < n; i++) {
		enum endpoint_ready one = name_ready(e, names[i]);

		if (one < all)
			all = one;
	}
	return all;
}

size_t endpoint_challenges(const struct endpoint *e, const char *name, enum challenge_type out[2])
{
	const struct name_verdict *v =
		e->has_verdict ? endpoint_verdict_of(&e->verdict, name) : NULL;
	bool http = e->config.type == ENDPOINT_EXTERNAL && !name_is_wildcard(name);
	size_t n = 0;

	for (int pass = 0; pass < 2 && !n; pass++) {
		enum verdict least = pass == 0 ? VERDICT_CAN : VERDICT_UNSURE;

		if (v ? v->dns01 == least : pass == 1)
			out[n++] = CHALLENGE_DNS01;
		if (http && (v ? v->http01 == least : pass == 1))
			out[n++] = CHALLENGE_HTTP01;
	}
	return n;
}

static bool any_parked(const struct endpoint *e)
{
	return e->jobs[QUEUE_VERIFY].where == JOB_PARKED ||
	       e->jobs[QUEUE_ISSUE].where == JOB_PARKED;
}

/* The first finding that keeps the endpoint waiting: what its owner reads first. */
static const char *first_finding(const struct endpoint *e)
{
	for (size_t i = 0; e->has_verdict && i < e->verdict.names_n; i++) {
		const struct name_verdict *v = &e->verdict.names[i];

		if (v->claim == CLAIM_ELSEWHERE)
			return "held_elsewhere";
		if (v->dns01 == VERDICT_CAN || v->http01 == VERDICT_CAN) {
			if (v->claim == CLAIM_UNPROVEN && !v->proven)
				return "unproven";
			continue;
		}
		if (v->challenge.code[0])
			return v->challenge.code;
		if (v->traffic.code[0])
			return v->traffic.code;
	}
	return "";
}

static enum endpoint_state say(enum endpoint_state s, char *code, const char *text)
{
	snprintf(code, ENDPOINT_CODE_MAX + 1, "%s", text);
	return s;
}

static enum endpoint_state state_without_certificate(
	const struct endpoint *e, int64_t now_ms, char *code)
{
	if (e->jobs[QUEUE_ISSUE].where == JOB_RUNNING)
		return say(STATE_PROVISIONING, code, "ordering");
	if (!e->has_verdict || e->verdict.generation != e->generation)
		return say(STATE_PROVISIONING, code, "not_looked_at");
	if (endpoint_ready(e) == READY_NO)
		return say(STATE_WAITING_DNS, code, first_finding(e));
	return say(STATE_PROVISIONING, code,
		now_ms < endpoint_quota_ticket(e) ? "waiting_quota" : "ready");
}

enum endpoint_state endpoint_state_of(const struct endpoint *e, int64_t now_ms, char *code)
{
	bool valid = e->has_cert && !e->cert.revoked_ms;
	const char *finding;

	if (e->config.removing)
		return say(STATE_REMOVING, code, "");
	if (any_parked(e))
		return say(STATE_PARKED, code, "lapsed_thrice");
	if (valid && now_ms >= e->cert.not_after_ms)
		return say(STATE_EXPIRED, code, e->issuance.code);
	if (e->issuance.failures)
		return say(STATE_FAILING, code, e->issuance.code);
	if (!valid)
		return state_without_certificate(e, now_ms, code);
	if (e->cert.partial)
		return say(STATE_PARTIAL, code, first_finding(e));
	finding = first_finding(e);
	return say(STATE_ACTIVE, code,
		!finding[0] && now_ms < endpoint_quota_ticket(e) ? "waiting_quota" : finding);
}

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

/* A record that each server denies, but not for long enough to be certain, is waited for. */
static bool is_open(enum verdict verdict, const struct record_look *l)
{
	return verdict == VERDICT_UNSURE && !l->bad_since_ms;
}

static enum endpoint_ready name_ready(
	const struct endpoint *e, const char *name, const char *authority)
{
	const struct name_verdict *v = endpoint_verdict_of(&e->verdict, name);
	enum verdict dns, http;

	if (!v || v->claim == CLAIM_ELSEWHERE || (v->claim == CLAIM_UNPROVEN && !v->proven))
		return READY_NO;
	dns = endpoint_verdict_by(&e->verdict, name, authority, CHALLENGE_DNS01);
	http = endpoint_verdict_by(&e->verdict, name, authority, CHALLENGE_HTTP01);
	if (dns == VERDICT_CAN || http == VERDICT_CAN)
		return READY_YES;
	return is_open(dns, &v->challenge) || is_open(http, &v->traffic) ? READY_UNSURE : READY_NO;
}

enum endpoint_ready endpoint_ready_by(const struct endpoint *e, const char *authority)
{
	const char *names[ENDPOINT_NAMES_MAX];
	enum endpoint_ready all = READY_YES;
	size_t n;

	if (!e->has_verdict || e->verdict.generation != e->generation || e->verdict.departed)
		return READY_NO;
	n = endpoint_order_names(&e->config, names);
	for (size_t i = 0; i < n; i++) {
		enum endpoint_ready one = name_ready(e, names[i], authority);

		if (one < all)
			all = one;
	}
	return all;
}

enum endpoint_ready endpoint_ready(const struct endpoint *e)
{
	return endpoint_ready_by(e, "");
}

size_t endpoint_challenges(const struct endpoint *e, const char *name, const char *authority,
	enum challenge_type out[2])
{
	bool known = e->has_verdict && endpoint_verdict_of(&e->verdict, name);
	bool http = e->config.type == ENDPOINT_EXTERNAL && !name_is_wildcard(name);
	enum verdict by_dns = endpoint_verdict_by(&e->verdict, name, authority, CHALLENGE_DNS01);
	enum verdict by_http = endpoint_verdict_by(&e->verdict, name, authority, CHALLENGE_HTTP01);
	size_t n = 0;

	for (int pass = 0; pass < 2 && !n; pass++) {
		enum verdict least = pass == 0 ? VERDICT_CAN : VERDICT_UNSURE;

		if (known ? by_dns == least : pass == 1)
			out[n++] = CHALLENGE_DNS01;
		if (http && (known ? by_http == least : pass == 1))
			out[n++] = CHALLENGE_HTTP01;
	}
	return n;
}

static bool any_parked(const struct endpoint *e)
{
	return e->jobs[QUEUE_VERIFY].where == JOB_PARKED ||
	       e->jobs[QUEUE_ISSUE].where == JOB_PARKED;
}

static const char *bar_code(const struct endpoint_verdict *v, size_t name)
{
	for (size_t i = 0; i < v->bars_n; i++)
		if (v->bars[i].name == name && !strcmp(v->bars[i].authority, v->via))
			return v->bars[i].code;
	return "";
}

static const char *name_finding(const struct endpoint *e, size_t i)
{
	const struct endpoint_verdict *all = &e->verdict;
	const struct name_verdict *v = &all->names[i];

	if (v->claim == CLAIM_ELSEWHERE)
		return "held_elsewhere";
	if (endpoint_verdict_by(all, v->name, "", CHALLENGE_DNS01) == VERDICT_CAN ||
		endpoint_verdict_by(all, v->name, "", CHALLENGE_HTTP01) == VERDICT_CAN)
		return v->claim == CLAIM_UNPROVEN && !v->proven ? "unproven" : "";
	if (v->dns01 == VERDICT_CAN || v->http01 == VERDICT_CAN)
		return bar_code(all, i);
	return v->challenge.code[0] ? v->challenge.code : v->traffic.code;
}

/* The first finding that keeps the endpoint waiting: what its owner reads first. */
static const char *first_finding(const struct endpoint *e)
{
	for (size_t i = 0; e->has_verdict && i < e->verdict.names_n; i++) {
		const char *code = name_finding(e, i);

		if (code[0])
			return code;
	}
	return "";
}

static enum endpoint_state say(enum endpoint_state s, char *code, const char *text)
{
	snprintf(code, ENDPOINT_CODE_MAX + 1, "%s", text);
	return s;
}

/* For what it waits, though nothing is wrong with it; NULL: for nothing. */
static const char *waits(const struct endpoint *e, int64_t now_ms)
{
	if (now_ms >= endpoint_quota_ticket(e))
		return NULL;
	return e->issuance.wait_breaker ? "waiting_breaker" : "waiting_quota";
}

static enum endpoint_state state_without_certificate(
	const struct endpoint *e, int64_t now_ms, char *code)
{
	if (e->jobs[QUEUE_ISSUE].where == JOB_RUNNING)
		return say(STATE_PROVISIONING, code, "ordering");
	if (!e->has_verdict || e->verdict.generation != e->generation)
		return say(STATE_PROVISIONING, code, "not_looked_at");
	if (endpoint_ready(e) == READY_NO ||
		(endpoint_ready(e) == READY_UNSURE && first_finding(e)[0]))
		return say(STATE_WAITING_DNS, code, first_finding(e));
	return say(STATE_PROVISIONING, code, waits(e, now_ms) ? waits(e, now_ms) : "ready");
}

enum endpoint_state endpoint_state_of(const struct endpoint *e, int64_t now_ms, char *code)
{
	bool valid = e->has_cert && !e->cert.revoked_ms;
	const char *finding;

	if (e->config.removing)
		return say(STATE_REMOVING, code, "");
	if (any_parked(e))
		return say(STATE_PARKED, code, "lapsed_thrice");
	if (e->has_verdict && e->verdict.departed)
		return say(STATE_DEPARTED, code, first_finding(e));
	if (valid && now_ms >= e->cert.not_after_ms)
		return say(STATE_EXPIRED, code, e->issuance.code);
	if (e->issuance.failures)
		return say(STATE_FAILING, code, e->issuance.code);
	if (!valid)
		return state_without_certificate(e, now_ms, code);
	if (e->cert.partial)
		return say(STATE_PARTIAL, code, first_finding(e));
	finding = first_finding(e);
	return say(
		STATE_ACTIVE, code, !finding[0] && waits(e, now_ms) ? waits(e, now_ms) : finding);
}

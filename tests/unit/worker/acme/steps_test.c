/* The steps are fed outcomes directly: a CA of values, with one twist at a time. The case numbers
 * are those of "ACME cases that break weak clients". */
#include "worker/acme/steps.h"

#include "common/mem.h"
#include "common/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define URN "urn:ietf:params:acme:error:"
enum { AUTHZ_MAX = 4, EFFECTS_MAX = 400 };

struct ca;
/** Answers in place of the CA; false: the CA answers as ever. */
typedef bool twist_fn(struct ca *ca, const struct effect *e, struct outcome *out);

struct ca {
	struct order o;
	const char *order_status, *order_error, *after_finalize;
	bool no_certificate;
	struct {
		const char *name, *status, *error, *challenges;
		bool wildcard;
	} authz[AUTHZ_MAX];
	size_t n;
	twist_fn *twist;
	int twisted; /* how often the twist answered */
	int new_orders, finalizes, answers, deactivated, published, unpublished, visibles, keys,
		barriers, downloads, waits, accounts;
	int64_t longest_wait_ms;
	bool both_published; /* at the first answer */
	char last_payload[2048];
	struct buf body;
};

static const char two_types[] = "{\"type\":\"http-01\",\"url\":\"https://ca/c/%zu/"
				"h\",\"token\":\"tokH%zu\",\"status\":\"%s\"},"
				"{\"type\":\"dns-01\",\"url\":\"https://ca/c/%zu/"
				"d\",\"token\":\"tokD%zu\",\"status\":\"%s\"}";

static void setup(struct ca *ca, size_t n, const char *const *names, enum acme_challenge_type first)
{
	struct acme_identifier ids[AUTHZ_MAX];
	struct order_input in = {.names = ids, .n_names = n, .seed = 7};

	*ca = (struct ca){.order_status = "pending",
		.after_finalize = "processing",
		.n = n,
		.body = BUF_INIT(65536)};
	for (size_t i = 0; i < n; i++) {
		bool wild = names[i][0] == '*';

		ids[i] = (struct acme_identifier){.name = names[i], .n_choices = wild ? 1 : 2};
		ids[i].choices[0] = wild ? ACME_DNS_01 : first;
		ids[i].choices[1] = first == ACME_DNS_01 ? ACME_HTTP_01 : ACME_DNS_01;
		ca->authz[i].name = names[i] + (wild ? 2 : 0);
		ca->authz[i].wildcard = wild;
		ca->authz[i].status = "pending";
	}
	order_init(&ca->o, &in);
	ca->o.new_order_url = "https://ca/new";
	ca->o.renewal_info = true;
}

static void setup_one(struct ca *ca)
{
	static const char *const names[] = {"a.example"};

	setup(ca, 1, names, ACME_DNS_01);
}

static void setup_pair(struct ca *ca)
{
	static const char *const names[] = {"a.example", "*.a.example"};

	setup(ca, 2, names, ACME_DNS_01);
}

static void teardown(struct ca *ca)
{
	order_release(&ca->o);
	buf_release(&ca->body);
}

static void say_order(struct ca *ca, struct outcome *out)
{
	buf_clear(&ca->body);
	buf_addf(&ca->body, "{\"status\":\"%s\",\"finalize\":\"https://ca/f\",\"authorizations\":[",
		ca->order_status);
	for (size_t i = 0; i < ca->n; i++)
		buf_addf(&ca->body, "%s\"https://ca/a/%zu\"", i ? "," : "", i);
	buf_adds(&ca->body, "]");
	if (!strcmp(ca->order_status, "valid") && !ca->no_certificate)
		buf_adds(&ca->body, ",\"certificate\":\"https://ca/cert\"");
	if (ca->order_error)
		buf_addf(&ca->body, ",\"error\":%s", ca->order_error);
	buf_adds(&ca->body, "}");
	out->status = 200;
}

static void say_authz(struct ca *ca, size_t i, struct outcome *out)
{
	const char *status =
		strcmp(ca->authz[i].status, "pending") ? ca->authz[i].status : "pending";

	buf_clear(&ca->body);
	buf_addf(&ca->body,
		"{\"status\":\"%s\",\"identifier\":{\"type\":\"dns\",\"value\":\"%s\"},%s"
		"\"expires\":\"2027-01-01T00:00:00Z\",\"challenges\":[",
		status, ca->authz[i].name, ca->authz[i].wildcard ? "\"wildcard\":true," : "");
	/* Case 4: unknown types, also without a token. */
	buf_adds(&ca->body,
		"{\"type\":\"dns-persist-01\",\"url\":\"https://ca/c/p\",\"status\":\"pending\"},");
	if (ca->authz[i].error)
		buf_addf(&ca->body,
			"{\"type\":\"dns-01\",\"url\":\"https://ca/c/%zu/d\",\"token\":\"tokD%zu\","
			"\"status\":\"invalid\",\"error\":%s}",
			i, i, ca->authz[i].error);
	else if (ca->authz[i].challenges)
		buf_adds(&ca->body, ca->authz[i].challenges);
	else
		buf_addf(&ca->body, two_types, i, i, "pending", i, i, "pending");
	buf_adds(&ca->body, "]}");
	out->status = 200;
}

static void say_problem(struct ca *ca, int status, const char *type, struct outcome *out)
{
	buf_clear(&ca->body);
	buf_addf(&ca->body, "{\"type\":\"" URN "%s\",\"detail\":\"words of the CA\"}", type);
	out->status = status;
}

static void answer_post(struct ca *ca, const struct effect *e, struct outcome *out)
{
	size_t i = 0;

	snprintf(ca->last_payload, sizeof(ca->last_payload), "%s", e->payload ? e->payload : "");
	if (!strcmp(e->url, "https://ca/new")) {
		ca->new_orders++;
		say_order(ca, out);
		out->status = 201;
		out->location = "https://ca/o";
	} else if (!strcmp(e->url, "https://ca/o")) {
		if (!strcmp(ca->order_status, "processing"))
			ca->order_status = "valid";
		say_order(ca, out);
	} else if (sscanf(e->url, "https://ca/a/%zu", &i) == 1) {
		if (e->payload) {
			assert_string_equal(e->payload, "{\"status\":\"deactivated\"}");
			ca->deactivated++;
			ca->authz[i].status = "deactivated";
		}
		say_authz(ca, i, out);
	} else if (sscanf(e->url, "https://ca/c/%zu", &i) == 1) {
		assert_string_equal(e->payload, "{}"); /* case 2 */
		if (!ca->answers++)
			ca->both_published = ca->published >= (int)ca->n;
		if (!ca->authz[i].error)
			ca->authz[i].status = "valid";
		else
			ca->authz[i].status = "invalid";
		say_problem(ca, 200, "none", out);
	} else if (!strcmp(e->url, "https://ca/f")) {
		ca->finalizes++;
		ca->order_status = ca->after_finalize;
		say_order(ca, out);
	} else if (!strcmp(e->url, "https://ca/cert")) {
		assert_true(e->pem);
		ca->downloads++;
		buf_clear(&ca->body);
		buf_adds(&ca->body, "PEM");
		out->status = 200;
	} else {
		fail_msg("posted to %s", e->url);
	}
}

static void perform(struct ca *ca, const struct effect *e, struct outcome *out)
{
	switch (e->kind) {
	case EFFECT_POST:
		answer_post(ca, e, out);
		break;
	case EFFECT_MAKE_KEY:
		ca->keys++;
		break;
	case EFFECT_MAKE_CSR:
		buf_clear(&ca->body);
		buf_addf(&ca->body, "CSR%d", ca->keys);
		break;
	case EFFECT_CHECKPOINT:
		ca->barriers += e->barrier;
		break;
	case EFFECT_PUBLISH:
		ca->published++;
		break;
	case EFFECT_UNPUBLISH:
		ca->unpublished++;
		break;
	case EFFECT_VISIBLE:
		ca->visibles++;
		break;
	case EFFECT_WAIT:
		ca->waits++;
		if (e->wait_ms > ca->longest_wait_ms)
			ca->longest_wait_ms = e->wait_ms;
		break;
	case EFFECT_ACCOUNT:
		ca->accounts++;
		break;
	case EFFECT_CHECK:
		assert_string_equal(ca->o.pem, "PEM");
		break;
	case EFFECT_NONE:
	case EFFECT_DONE:
	case EFFECT_FAIL:
		fail();
	}
}

/* One effect of one unit; false if it has none. */
static bool turn(struct ca *ca, int unit)
{
	struct outcome out = {0};
	struct effect e;

	if (unit != ORDER_UNIT && order_unwanted(&ca->o, unit)) {
		out.canceled = true;
		order_consume(&ca->o, unit, &out);
		return true;
	}
	order_next(&ca->o, unit, &e);
	if (e.kind == EFFECT_NONE || e.kind == EFFECT_DONE || e.kind == EFFECT_FAIL)
		return false;
	if (ca->twist && ca->twist(ca, &e, &out))
		ca->twisted++;
	else
		perform(ca, &e, &out);
	out.body = buf_cstr(&ca->body);
	out.len = ca->body.len;
	order_consume(&ca->o, unit, &out);
	free((char *)e.payload);
	return true;
}

static void run(struct ca *ca)
{
	for (int n = 0; !order_is_over(&ca->o); n++) {
		bool moved = turn(ca, ORDER_UNIT);

		for (int i = 0; ca->o.step == ORDER_AUTHORIZE && i < (int)ca->o.n_authz; i++)
			moved |= turn(ca, i);
		if (!moved)
			fail_msg("stuck at %s", order_step_name(ca->o.step));
		if (n > EFFECTS_MAX)
			fail_msg("runs for ever at %s", order_step_name(ca->o.step));
	}
	assert_int_equal(ca->published, ca->unpublished);
}

static void run_well(struct ca *ca)
{
	run(ca);
	if (ca->o.step != ORDER_DONE)
		fail_msg("%s at %s: %s", ca->o.failure->code, ca->o.failure->step,
			ca->o.failure->detail);
}

static void run_badly(struct ca *ca, const char *code, enum acme_class class)
{
	run(ca);
	assert_int_equal(ca->o.step, ORDER_FAILED);
	assert_string_equal(ca->o.failure->code, code);
	assert_int_equal(ca->o.failure->class, class);
}

static bool posts_to(const struct effect *e, const char *url)
{
	return e->kind == EFFECT_POST && str_starts_with(e->url, url);
}

/* --- the plain way --- */

static void test_plain(void **state)
{
	struct ca ca;

	(void)state;
	setup_pair(&ca);
	run_well(&ca);
	assert_int_equal(ca.new_orders, 1);
	assert_int_equal(ca.finalizes, 1);
	assert_int_equal(ca.barriers, 1);
	assert_int_equal(ca.o.placed, 1);
	assert_true(ca.both_published); /* case 13 */
	assert_int_equal(ca.o.n_authz, 2);
	assert_true(ca.o.authz[1].wildcard);
	assert_int_equal(ca.deactivated, 0);
	teardown(&ca);
}

/* Case 1. */
static bool bad_nonces(struct ca *ca, const struct effect *e, struct outcome *out)
{
	if (e->kind != EFFECT_POST || ca->twisted % 4 == 3) {
		ca->twisted += e->kind == EFFECT_POST;
		return false;
	}
	say_problem(ca, 400, "badNonce", out);
	return true;
}

static bool only_bad_nonces(struct ca *ca, const struct effect *e, struct outcome *out)
{
	if (e->kind != EFFECT_POST)
		return false;
	say_problem(ca, 400, "badNonce", out);
	return true;
}

static void test_bad_nonce(void **state)
{
	struct ca ca;

	(void)state;
	setup_one(&ca);
	ca.twist = bad_nonces;
	run_well(&ca);
	assert_int_equal(ca.new_orders, 1);
	teardown(&ca);
	setup_one(&ca);
	ca.twist = only_bad_nonces;
	run_badly(&ca, "badNonce", ACME_BACKOFF);
	assert_in_range(ca.twisted, 5, 20);
	teardown(&ca);
}

/* Case 3: a short Retry-After is waited for here, a long one ends the attempt. */
static bool limited(struct ca *ca, const struct effect *e, struct outcome *out)
{
	if (!posts_to(e, "https://ca/new") || ca->twisted)
		return false;
	say_problem(ca, 429, "rateLimited", out);
	out->retry_after_ms = 20000;
	return true;
}

static bool limited_long(struct ca *ca, const struct effect *e, struct outcome *out)
{
	if (!limited(ca, e, out))
		return false;
	out->retry_after_ms = 3600000;
	return true;
}

static void test_retry_after(void **state)
{
	struct ca ca;

	(void)state;
	setup_one(&ca);
	ca.twist = limited;
	run_well(&ca);
	assert_true(ca.longest_wait_ms >= 20000);
	teardown(&ca);
	setup_one(&ca);
	ca.twist = limited_long;
	run_badly(&ca, "rateLimited", ACME_WAIT_UNTIL);
	assert_int_equal(ca.o.failure->retry_after_ms, 3600000);
	assert_false(ca.o.failure->resumable);
	teardown(&ca);
}

/* Case 4: nothing in the authorization that we could answer. */
static void test_unknown_challenges_only(void **state)
{
	struct ca ca;

	(void)state;
	setup_pair(&ca);
	ca.authz[0].challenges =
		"{\"type\":\"dns-01\",\"url\":\"https://ca/c/0/d\",\"token\":\"not base64url!\"}";
	run_badly(&ca, "no_challenge", ACME_OTHER_CHALLENGE);
	assert_string_equal(ca.o.failure->failed_name, "a.example");
	assert_int_equal(ca.deactivated, 2); /* case 12 */
	teardown(&ca);
}

/* Case 6. */
static bool no_account(struct ca *ca, const struct effect *e, struct outcome *out)
{
	if (!posts_to(e, "https://ca/new") || ca->twisted)
		return false;
	say_problem(ca, 400, "accountDoesNotExist", out);
	return true;
}

static bool never_account(struct ca *ca, const struct effect *e, struct outcome *out)
{
	if (!posts_to(e, "https://ca/new"))
		return false;
	say_problem(ca, 400, "accountDoesNotExist", out);
	return true;
}

static void test_account_does_not_exist(void **state)
{
	struct ca ca;

	(void)state;
	setup_one(&ca);
	ca.twist = no_account;
	run_well(&ca);
	assert_int_equal(ca.accounts, 1);
	teardown(&ca);
	setup_one(&ca);
	ca.twist = never_account;
	run_badly(&ca, "accountDoesNotExist", ACME_OPERATOR);
	teardown(&ca);
}

/* Case 7. */
static const char *wanted_type;
static int wanted_status;
static bool refuse_new_order(struct ca *ca, const struct effect *e, struct outcome *out)
{
	if (!posts_to(e, "https://ca/new"))
		return false;
	say_problem(ca, wanted_status, wanted_type, out);
	return true;
}

static void test_account_trouble(void **state)
{
	static const struct {
		const char *type;
		int status;
		enum acme_class class;
	} cases[] = {
		{"userActionRequired", 403, ACME_OPERATOR},
		{"unauthorized", 403, ACME_OPERATOR},
		{"externalAccountRequired", 403, ACME_OPERATOR},
		{"invalidProfile", 400, ACME_OPERATOR},
		{"rejectedIdentifier", 403, ACME_OTHER_AUTHORITY},
		{"unsupportedIdentifier", 400, ACME_OTHER_AUTHORITY},
		{"neverHeardOf", 403, ACME_OTHER_AUTHORITY},
		{"caa", 403, ACME_OWNER},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct ca ca;

		setup_one(&ca);
		ca.twist = refuse_new_order;
		wanted_type = cases[i].type;
		wanted_status = cases[i].status;
		run_badly(&ca, cases[i].type, cases[i].class);
		assert_string_equal(ca.o.failure->step, "new_order");
		assert_int_equal(ca.barriers, 0);
		teardown(&ca);
	}
}

/* Case 8. */
static void test_reused_authorizations(void **state)
{
	struct ca ca;

	(void)state;
	setup_pair(&ca);
	ca.order_status = "ready";
	ca.authz[0].status = ca.authz[1].status = "valid";
	run_well(&ca);
	assert_int_equal(ca.published, 0);
	assert_int_equal(ca.answers, 0);
	teardown(&ca);
	setup_pair(&ca);
	ca.authz[1].status = "valid"; /* one of two */
	run_well(&ca);
	assert_int_equal(ca.published, 1);
	assert_int_equal(ca.o.authz[1].end, AUTHZ_VALID);
	teardown(&ca);
	setup_pair(&ca);
	ca.order_status = "valid";
	ca.authz[0].status = ca.authz[1].status = "valid";
	run_well(&ca);
	assert_int_equal(ca.finalizes, 0);
	teardown(&ca);
}

/* Case 9. */
static bool not_ready(struct ca *ca, const struct effect *e, struct outcome *out)
{
	if (posts_to(e, "https://ca/f") && !ca->twisted) {
		say_problem(ca, 403, "orderNotReady", out);
		return true;
	}
	if (posts_to(e, "https://ca/o") && ca->twisted == 3)
		ca->order_status = "ready";
	if (posts_to(e, "https://ca/o"))
		ca->twisted++;
	return false;
}

static void test_order_not_ready(void **state)
{
	struct ca ca;

	(void)state;
	setup_one(&ca);
	ca.twist = not_ready;
	run_well(&ca);
	assert_int_equal(ca.finalizes, 1);
	assert_int_equal(ca.new_orders, 1);
	teardown(&ca);
}

/* Case 10: the answer to finalize is lost, whether it arrived or not. */
static bool lose_after_finalize(struct ca *ca, const struct effect *e, struct outcome *out)
{
	if (!posts_to(e, "https://ca/f") || ca->twisted)
		return false;
	answer_post(ca, e, out);
	*out = (struct outcome){.err = CF_ETIMEDOUT, .sent = true};
	return true;
}

static bool lose_before_finalize(struct ca *ca, const struct effect *e, struct outcome *out)
{
	if (!posts_to(e, "https://ca/f") || ca->twisted)
		return false;
	ca->order_status = "ready";
	*out = (struct outcome){.err = CF_ETIMEDOUT, .sent = true};
	return true;
}

static void test_lost_finalize(void **state)
{
	struct ca ca;

	(void)state;
	setup_one(&ca);
	ca.twist = lose_after_finalize;
	run_well(&ca);
	assert_int_equal(ca.finalizes, 1);
	teardown(&ca);
	setup_one(&ca);
	ca.twist = lose_before_finalize;
	run_well(&ca);
	assert_int_equal(ca.finalizes, 1);
	assert_int_equal(ca.new_orders, 1);
	teardown(&ca);
	setup_one(&ca); /* valid at once */
	ca.after_finalize = "valid";
	run_well(&ca);
	teardown(&ca);
	setup_one(&ca); /* stays ready for ever: bounded */
	ca.after_finalize = "ready";
	run_badly(&ca, "not_acme", ACME_BACKOFF);
	assert_in_range(ca.finalizes, 2, 10);
	assert_true(ca.o.failure->resumable);
	teardown(&ca);
}

static bool lose_new_order(struct ca *ca, const struct effect *e, struct outcome *out)
{
	(void)ca;
	if (!posts_to(e, "https://ca/new") || ca->twisted)
		return false;
	*out = (struct outcome){.err = CF_ETIMEDOUT, .sent = true};
	return true;
}

static bool lose_answer(struct ca *ca, const struct effect *e, struct outcome *out)
{
	if (!posts_to(e, "https://ca/c/") || ca->twisted)
		return false;
	if (wanted_status) /* it had arrived */
		answer_post(ca, e, out);
	*out = (struct outcome){.err = CF_ETIMEDOUT, .sent = true};
	return true;
}

static void test_lost_answers(void **state)
{
	struct ca ca;

	(void)state;
	setup_one(&ca);
	ca.twist = lose_new_order;
	run_well(&ca);
	assert_int_equal(ca.o.placed, 2); /* at most: the lost one may have been taken */
	teardown(&ca);
	for (wanted_status = 0; wanted_status < 2; wanted_status++) {
		setup_one(&ca);
		ca.twist = lose_answer;
		run_well(&ca);
		assert_int_equal(ca.answers, 1);
		teardown(&ca);
	}
}

static bool dead_ca(struct ca *ca, const struct effect *e, struct outcome *out)
{
	(void)ca;
	if (e->kind != EFFECT_POST || (wanted_type && !posts_to(e, wanted_type)))
		return false;
	*out = (struct outcome){.err = CF_ECONN, .why = "connection refused"};
	return true;
}

static void test_ca_away(void **state)
{
	struct ca ca;

	(void)state;
	wanted_type = NULL;
	setup_one(&ca);
	ca.twist = dead_ca;
	run_badly(&ca, "no_answer", ACME_BACKOFF);
	assert_false(ca.o.failure->resumable);
	assert_int_equal(ca.o.placed, 0);
	teardown(&ca);
	setup_pair(&ca);
	wanted_type = "https://ca/a/1";
	ca.twist = dead_ca;
	run_badly(&ca, "no_answer", ACME_BACKOFF);
	assert_true(ca.o.failure->resumable);
	assert_int_equal(ca.deactivated, 0); /* the order is taken up again */
	teardown(&ca);
}

/* Case 11: a challenge fails. Its sibling is given up, withdrawn and deactivated; the CA's words
 * are kept. */
static void test_challenge_fails(void **state)
{
	static const char *const names[] = {"bad.example", "good.example"};
	struct ca ca;

	(void)state;
	setup(&ca, 2, names, ACME_DNS_01);
	ca.authz[0].error =
		"{\"type\":\"" URN "dns\",\"detail\":\"no TXT\\u0007 record\",\"status\":400}";
	ca.authz[0].challenges = NULL;
	ca.authz[0].error = NULL;
	ca.authz[0].status = "invalid";
	ca.authz[0].error =
		"{\"type\":\"" URN "dns\",\"detail\":\"no TXT\\u0007 record\",\"status\":400}";
	run_badly(&ca, "dns", ACME_OWNER);
	assert_string_equal(ca.o.failure->failed_name, "bad.example");
	assert_string_equal(ca.o.failure->failed_type, "dns-01");
	assert_string_equal(ca.o.failure->detail, "no TXT? record");
	assert_true(ca.o.failure->counts_as_failed_authz);
	assert_false(ca.o.failure->resumable);
	assert_int_equal(ca.deactivated, 1); /* case 12 */
	assert_int_equal(ca.finalizes, 0);
	teardown(&ca);
}

static bool order_expired(struct ca *ca, const struct effect *e, struct outcome *out)
{
	if (!posts_to(e, "https://ca/o") || ca->twisted)
		return false;
	ca->order_status = "pending";
	say_problem(ca, 404, "malformed", out);
	return true;
}

static void test_resume(void **state)
{
	struct ca ca;

	(void)state;
	setup_one(&ca); /* only the key was made */
	order_resume(&ca.o, NULL);
	run_well(&ca);
	assert_int_equal(ca.keys, 0);
	teardown(&ca);
	setup_pair(&ca); /* at each status of the order */
	ca.order_status = "valid";
	ca.authz[0].status = ca.authz[1].status = "valid";
	order_resume(&ca.o, "https://ca/o");
	run_well(&ca);
	assert_int_equal(ca.new_orders + ca.finalizes, 0);
	assert_int_equal(ca.o.authz[0].end, AUTHZ_VALID);
	teardown(&ca);
	setup_one(&ca);
	order_resume(&ca.o, "https://ca/o");
	run_well(&ca);
	assert_int_equal(ca.new_orders, 0);
	teardown(&ca);
	setup_one(&ca); /* gone meanwhile: a new one, once */
	ca.twist = order_expired;
	order_resume(&ca.o, "https://ca/o");
	run_well(&ca);
	assert_int_equal(ca.new_orders, 1);
	assert_int_equal(ca.keys, 0);
	teardown(&ca);
	setup_one(&ca); /* it failed while nobody looked */
	ca.order_status = ca.authz[0].status = "invalid";
	ca.authz[0].error = "{\"type\":\"" URN "connection\",\"detail\":\"x\"}";
	order_resume(&ca.o, "https://ca/o");
	run_badly(&ca, "connection", ACME_OWNER);
	assert_string_equal(ca.o.failure->failed_type, "dns-01");
	teardown(&ca);
	setup_one(&ca); /* invalid for a reason of its own */
	ca.order_status = "invalid";
	ca.authz[0].status = "valid";
	ca.order_error = "{\"type\":\"" URN "caa\",\"detail\":\"forbidden\"}";
	order_resume(&ca.o, "https://ca/o");
	run_badly(&ca, "caa", ACME_OWNER);
	teardown(&ca);
	setup_one(&ca); /* dead, and nobody knows why */
	ca.authz[0].status = "deactivated";
	order_resume(&ca.o, "https://ca/o");
	run_badly(&ca, "order_gone", ACME_BACKOFF);
	assert_int_equal(ca.new_orders, 1);
	assert_false(ca.o.failure->resumable);
	teardown(&ca);
}

/* The CA looks already: published again, but not answered again. */
static void test_resume_while_processing(void **state)
{
	struct ca ca;
	char json[512];

	(void)state;
	setup_one(&ca);
	snprintf(json, sizeof(json), two_types, (size_t)0, (size_t)0, "processing", (size_t)0,
		(size_t)0, "pending");
	ca.authz[0].challenges = json;
	order_resume(&ca.o, "https://ca/o");
	for (int i = 0; i < 20 && !(ca.o.n_authz && ca.o.authz[0].step == AUTHZ_POLL); i++) {
		turn(&ca, ORDER_UNIT);
		if (ca.o.n_authz)
			turn(&ca, 0);
	}
	assert_int_equal(ca.published, 1);
	assert_int_equal(ca.answers, 0);
	assert_int_equal(ca.o.authz[0].type, ACME_HTTP_01);
	ca.authz[0].status = "valid";
	run_well(&ca);
	teardown(&ca);
}

/* Case 13, in detail: nothing is looked at or answered while the sibling's value is not there. */
static bool slow_publish(struct ca *ca, const struct effect *e, struct outcome *out)
{
	(void)out;
	if (e->kind == EFFECT_PUBLISH && e->challenge.wildcard && ca->twisted < 3) {
		assert_int_equal(ca->visibles + ca->answers, 0);
		out->err = CF_EREDIS;
		return true;
	}
	return false;
}

static void test_base_and_wildcard(void **state)
{
	struct ca ca;

	(void)state;
	setup_pair(&ca);
	ca.twist = slow_publish;
	run_well(&ca);
	assert_true(ca.both_published);
	teardown(&ca);
}

static bool publish_dns_fails(struct ca *ca, const struct effect *e, struct outcome *out)
{
	if (e->kind != EFFECT_PUBLISH || e->challenge.type != ACME_DNS_01)
		return false;
	ca->published = 1; /* even so it is withdrawn */
	out->err = CF_EREDIS;
	return true;
}

static bool never_visible(struct ca *ca, const struct effect *e, struct outcome *out)
{
	(void)ca;
	if (e->kind != EFFECT_VISIBLE || (!wanted_status && e->challenge.type != ACME_DNS_01))
		return false;
	out->err = CF_EAGAIN;
	return true;
}

static void test_falls_back_before_answering(void **state)
{
	struct ca ca;

	(void)state;
	setup_one(&ca);
	ca.twist = publish_dns_fails;
	run_well(&ca);
	assert_int_equal(ca.o.authz[0].type, ACME_HTTP_01);
	teardown(&ca);
	wanted_status = 0;
	setup_one(&ca);
	ca.twist = never_visible;
	run_well(&ca);
	assert_int_equal(ca.o.authz[0].type, ACME_HTTP_01);
	assert_int_equal(ca.answers, 1);
	teardown(&ca);
	wanted_status = 1;
	setup_one(&ca);
	ca.twist = never_visible;
	run_badly(&ca, "not_visible", ACME_BACKOFF);
	assert_int_equal(
		ca.answers, 0); /* the CA was never told: nothing is charged to the owner */
	assert_false(ca.o.failure->counts_as_failed_authz);
	teardown(&ca);
}

/* Case 15. */
static bool reject_some(struct ca *ca, const struct effect *e, struct outcome *out)
{
	if (!posts_to(e, "https://ca/new"))
		return false;
	buf_clear(&ca->body);
	buf_adds(&ca->body,
		"{\"type\":\"" URN
		"rejectedIdentifier\",\"detail\":\"some\",\"subproblems\":[{\"type\":\"" URN
		"rejectedIdentifier\",\"detail\":\"bad\",\"identifier\":{\"type\":\"dns\","
		"\"value\":\"B.example\"}}]}");
	out->status = 403;
	return true;
}

static void test_rejected_names(void **state)
{
	struct ca ca;

	(void)state;
	setup_one(&ca);
	ca.twist = reject_some;
	run_badly(&ca, "rejectedIdentifier", ACME_OTHER_AUTHORITY);
	assert_int_equal(ca.o.failure->n_rejected, 1);
	assert_string_equal(ca.o.failure->rejected[0], "b.example");
	assert_string_equal(ca.o.failure->failed_name, "b.example");
	teardown(&ca);
}

/* Case 17. */
static bool wrong_chain(struct ca *ca, const struct effect *e, struct outcome *out)
{
	(void)ca;
	if (e->kind != EFFECT_CHECK)
		return false;
	*out = (struct outcome){.err = CF_EPROTO, .why = "the key is not ours"};
	return true;
}

/* Case 18. */
static bool late_certificate(struct ca *ca, const struct effect *e, struct outcome *out)
{
	if (!posts_to(e, "https://ca/cert") || ca->twisted >= 3)
		return false;
	say_problem(ca, ca->twisted ? 404 : 500, "malformed", out);
	return true;
}

static void test_certificate(void **state)
{
	struct ca ca;

	(void)state;
	setup_one(&ca);
	ca.twist = wrong_chain;
	run_badly(&ca, "chain_wrong", ACME_OTHER_AUTHORITY);
	assert_string_equal(ca.o.failure->detail, "the key is not ours");
	assert_false(ca.o.failure->resumable);
	teardown(&ca);
	setup_one(&ca);
	ca.twist = late_certificate;
	run_well(&ca);
	assert_int_equal(ca.downloads, 1);
	teardown(&ca);
}

/* Case 19. */
static bool bad_key(struct ca *ca, const struct effect *e, struct outcome *out)
{
	if (!posts_to(e, "https://ca/f") || ca->twisted)
		return false;
	ca->order_status = "ready";
	say_problem(ca, 400, "badPublicKey", out);
	return true;
}

static void test_bad_key(void **state)
{
	struct ca ca;

	(void)state;
	setup_one(&ca);
	ca.twist = bad_key;
	run_well(&ca);
	assert_int_equal(ca.keys, 2);
	assert_int_equal(ca.barriers, 2); /* the new key is durable before it is used */
	assert_int_equal(ca.new_orders, 1);
	assert_non_null(strstr(ca.last_payload, ""));
	teardown(&ca);
}

/* RFC 9773 section 5: `replaces` that the CA does not take is left out, once. */
static bool replaced_already(struct ca *ca, const struct effect *e, struct outcome *out)
{
	if (!posts_to(e, "https://ca/new") || !strstr(e->payload, "replaces"))
		return false;
	say_problem(ca, wanted_status, wanted_type, out);
	return true;
}

static void test_replaces(void **state)
{
	static const struct {
		const char *type;
		int status;
	} cases[] = {{"alreadyReplaced", 409}, {"conflict", 409}, {"malformed", 400},
		{"unauthorized", 403}};
	struct ca ca;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		setup_one(&ca);
		ca.o.replaces = mem_strdup("aki.serial");
		ca.twist = replaced_already;
		wanted_type = cases[i].type;
		wanted_status = cases[i].status;
		run_well(&ca);
		assert_int_equal(ca.twisted, 1);
		assert_false(ca.o.replaced);
		teardown(&ca);
	}
	setup_one(&ca);
	ca.o.replaces = mem_strdup("aki.serial");
	run_well(&ca);
	assert_true(ca.o.replaced);
	teardown(&ca);
}

static bool no_barrier(struct ca *ca, const struct effect *e, struct outcome *out)
{
	(void)ca;
	if (e->kind != EFFECT_CHECKPOINT || !e->barrier)
		return false;
	out->err = CF_EAGAIN;
	return true;
}

static void test_no_finalize_without_barrier(void **state)
{
	struct ca ca;

	(void)state;
	setup_one(&ca);
	ca.twist = no_barrier;
	run_badly(&ca, "checkpoint_failed", ACME_BACKOFF);
	assert_int_equal(ca.finalizes, 0);
	assert_true(ca.o.failure->resumable);
	teardown(&ca);
}

static void test_deadline(void **state)
{
	struct acme_failure f = {.class = ACME_BACKOFF, .code = "deadline"};
	struct ca ca;

	(void)state;
	setup_pair(&ca);
	for (int i = 0; i < 12; i++) {
		turn(&ca, ORDER_UNIT);
		for (int u = 0; u < (int)ca.o.n_authz && i > 6; u++)
			turn(&ca, u);
	}
	assert_int_equal(ca.o.step, ORDER_AUTHORIZE);
	assert_true(ca.published > 0);
	order_give_up(&ca.o, &f);
	run(&ca);
	assert_int_equal(ca.o.step, ORDER_FAILED);
	assert_true(ca.o.failure->resumable);
	assert_int_equal(ca.deactivated, 0);
	teardown(&ca);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_bad_nonce),
		cmocka_unit_test(test_retry_after),
		cmocka_unit_test(test_unknown_challenges_only),
		cmocka_unit_test(test_account_does_not_exist),
		cmocka_unit_test(test_account_trouble),
		cmocka_unit_test(test_reused_authorizations),
		cmocka_unit_test(test_order_not_ready),
		cmocka_unit_test(test_lost_finalize),
		cmocka_unit_test(test_lost_answers),
		cmocka_unit_test(test_ca_away),
		cmocka_unit_test(test_challenge_fails),
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_resume_while_processing),
		cmocka_unit_test(test_base_and_wildcard),
		cmocka_unit_test(test_falls_back_before_answering),
		cmocka_unit_test(test_rejected_names),
		cmocka_unit_test(test_certificate),
		cmocka_unit_test(test_bad_key),
		cmocka_unit_test(test_replaces),
		cmocka_unit_test(test_no_finalize_without_barrier),
		cmocka_unit_test(test_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

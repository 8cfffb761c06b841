/* The steps in trouble: a CA that is away, orders taken up again, refusals. */
#include "tests/unit/worker/acme/steps_ca.h"

#include "common/mem.h"
#include "common/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *wanted_type;
static int wanted_status;

static bool dead_ca(struct ca *ca, const struct effect *e, struct outcome *out)
{
	(void)ca;
	if (e->kind != EFFECT_POST || (wanted_type && !ca_posts_to(e, wanted_type)))
		return false;
	*out = (struct outcome){.err = CF_ECONN, .why = "connection refused"};
	return true;
}

static void test_ca_away(void **state)
{
	struct ca ca;

	(void)state;
	wanted_type = NULL;
	ca_setup_one(&ca);
	ca.twist = dead_ca;
	ca_run_badly(&ca, "no_answer", ACME_BACKOFF);
	assert_false(ca.o.failure->resumable);
	assert_int_equal(ca.o.placed, 0);
	ca_teardown(&ca);
	ca_setup_pair(&ca);
	wanted_type = "https://ca/a/1";
	ca.twist = dead_ca;
	ca_run_badly(&ca, "no_answer", ACME_BACKOFF);
	assert_true(ca.o.failure->resumable);
	assert_int_equal(ca.deactivated, 0); /* the order is taken up again */
	ca_teardown(&ca);
}

/* Case 11: a challenge fails. Its sibling is given up, withdrawn and deactivated; the CA's words
 * are kept. */
static void test_challenge_fails(void **state)
{
	static const char *const names[] = {"bad.example", "good.example"};
	struct ca ca;

	(void)state;
	ca_setup(&ca, 2, names, ACME_DNS_01);
	ca.authz[0].error =
		"{\"type\":\"" URN "dns\",\"detail\":\"no TXT\\u0007 record\",\"status\":400}";
	ca.authz[0].challenges = NULL;
	ca.authz[0].error = NULL;
	ca.authz[0].status = "invalid";
	ca.authz[0].error =
		"{\"type\":\"" URN "dns\",\"detail\":\"no TXT\\u0007 record\",\"status\":400}";
	ca_run_badly(&ca, "dns", ACME_OWNER);
	assert_string_equal(ca.o.failure->failed_name, "bad.example");
	assert_string_equal(ca.o.failure->failed_type, "dns-01");
	assert_string_equal(ca.o.failure->detail, "no TXT? record");
	assert_true(ca.o.failure->counts_as_failed_authz);
	assert_false(ca.o.failure->resumable);
	assert_int_equal(ca.deactivated, 1); /* case 12 */
	assert_int_equal(ca.finalizes, 0);
	ca_teardown(&ca);
}

static bool order_expired(struct ca *ca, const struct effect *e, struct outcome *out)
{
	if (!ca_posts_to(e, "https://ca/o") || ca->twisted)
		return false;
	ca->order_status = "pending";
	ca_say_problem(ca, 404, "malformed", out);
	return true;
}

static void test_resume(void **state)
{
	struct ca ca;

	(void)state;
	ca_setup_one(&ca); /* only the key was made */
	order_resume(&ca.o, NULL);
	ca_run_well(&ca);
	assert_int_equal(ca.keys, 0);
	ca_teardown(&ca);
	ca_setup_pair(&ca); /* at each status of the order */
	ca.order_status = "valid";
	ca.authz[0].status = ca.authz[1].status = "valid";
	order_resume(&ca.o, "https://ca/o");
	ca_run_well(&ca);
	assert_int_equal(ca.new_orders + ca.finalizes, 0);
	assert_int_equal(ca.o.authz[0].end, AUTHZ_VALID);
	ca_teardown(&ca);
	ca_setup_one(&ca);
	order_resume(&ca.o, "https://ca/o");
	ca_run_well(&ca);
	assert_int_equal(ca.new_orders, 0);
	ca_teardown(&ca);
	ca_setup_one(&ca); /* gone meanwhile: a new one, once */
	ca.twist = order_expired;
	order_resume(&ca.o, "https://ca/o");
	ca_run_well(&ca);
	assert_int_equal(ca.new_orders, 1);
	assert_int_equal(ca.keys, 0);
	ca_teardown(&ca);
	ca_setup_one(&ca); /* it failed while nobody looked */
	ca.order_status = ca.authz[0].status = "invalid";
	ca.authz[0].error = "{\"type\":\"" URN "connection\",\"detail\":\"x\"}";
	order_resume(&ca.o, "https://ca/o");
	ca_run_badly(&ca, "connection", ACME_OWNER);
	assert_string_equal(ca.o.failure->failed_type, "dns-01");
	ca_teardown(&ca);
	ca_setup_one(&ca); /* invalid for a reason of its own */
	ca.order_status = "invalid";
	ca.authz[0].status = "valid";
	ca.order_error = "{\"type\":\"" URN "caa\",\"detail\":\"forbidden\"}";
	order_resume(&ca.o, "https://ca/o");
	ca_run_badly(&ca, "caa", ACME_OWNER);
	ca_teardown(&ca);
	ca_setup_one(&ca); /* dead, and nobody knows why */
	ca.authz[0].status = "deactivated";
	order_resume(&ca.o, "https://ca/o");
	ca_run_badly(&ca, "order_gone", ACME_BACKOFF);
	assert_int_equal(ca.new_orders, 1);
	assert_false(ca.o.failure->resumable);
	ca_teardown(&ca);
}

/* The CA looks already: published again, but not answered again. */
static void test_resume_while_processing(void **state)
{
	struct ca ca;
	char json[512];

	(void)state;
	ca_setup_one(&ca);
	snprintf(json, sizeof(json), CA_TWO_TYPES, (size_t)0, (size_t)0, "processing", (size_t)0,
		(size_t)0, "pending");
	ca.authz[0].challenges = json;
	order_resume(&ca.o, "https://ca/o");
	for (int i = 0; i < 20 && !(ca.o.n_authz && ca.o.authz[0].step == AUTHZ_POLL); i++) {
		ca_turn(&ca, ORDER_UNIT);
		if (ca.o.n_authz)
			ca_turn(&ca, 0);
	}
	assert_int_equal(ca.published, 1);
	assert_int_equal(ca.answers, 0);
	assert_int_equal(ca.o.authz[0].type, ACME_HTTP_01);
	ca.authz[0].status = "valid";
	ca_run_well(&ca);
	ca_teardown(&ca);
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
	ca_setup_pair(&ca);
	ca.twist = slow_publish;
	ca_run_well(&ca);
	assert_true(ca.both_published);
	ca_teardown(&ca);
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
	ca_setup_one(&ca);
	ca.twist = publish_dns_fails;
	ca_run_well(&ca);
	assert_int_equal(ca.o.authz[0].type, ACME_HTTP_01);
	ca_teardown(&ca);
	wanted_status = 0;
	ca_setup_one(&ca);
	ca.twist = never_visible;
	ca_run_well(&ca);
	assert_int_equal(ca.o.authz[0].type, ACME_HTTP_01);
	assert_int_equal(ca.answers, 1);
	ca_teardown(&ca);
	wanted_status = 1;
	ca_setup_one(&ca);
	ca.twist = never_visible;
	ca_run_badly(&ca, "not_visible", ACME_BACKOFF);
	assert_int_equal(
		ca.answers, 0); /* the CA was never told: nothing is charged to the owner */
	assert_false(ca.o.failure->counts_as_failed_authz);
	ca_teardown(&ca);
}

/* Case 15. */
static bool reject_some(struct ca *ca, const struct effect *e, struct outcome *out)
{
	if (!ca_posts_to(e, "https://ca/new"))
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
	ca_setup_one(&ca);
	ca.twist = reject_some;
	ca_run_badly(&ca, "rejectedIdentifier", ACME_OTHER_AUTHORITY);
	assert_int_equal(ca.o.failure->n_rejected, 1);
	assert_string_equal(ca.o.failure->rejected[0], "b.example");
	assert_string_equal(ca.o.failure->failed_name, "b.example");
	ca_teardown(&ca);
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
	if (!ca_posts_to(e, "https://ca/cert") || ca->twisted >= 3)
		return false;
	ca_say_problem(ca, ca->twisted ? 404 : 500, "malformed", out);
	return true;
}

static void test_certificate(void **state)
{
	struct ca ca;

	(void)state;
	ca_setup_one(&ca);
	ca.twist = wrong_chain;
	ca_run_badly(&ca, "chain_wrong", ACME_OTHER_AUTHORITY);
	assert_string_equal(ca.o.failure->detail, "the key is not ours");
	assert_false(ca.o.failure->resumable);
	ca_teardown(&ca);
	ca_setup_one(&ca);
	ca.twist = late_certificate;
	ca_run_well(&ca);
	assert_int_equal(ca.downloads, 1);
	ca_teardown(&ca);
}

/* Case 19. */
static bool bad_key(struct ca *ca, const struct effect *e, struct outcome *out)
{
	if (!ca_posts_to(e, "https://ca/f") || ca->twisted)
		return false;
	ca->order_status = "ready";
	ca_say_problem(ca, 400, "badPublicKey", out);
	return true;
}

static void test_bad_key(void **state)
{
	struct ca ca;

	(void)state;
	ca_setup_one(&ca);
	ca.twist = bad_key;
	ca_run_well(&ca);
	assert_int_equal(ca.keys, 2);
	assert_int_equal(ca.barriers, 2); /* the new key is durable before it is used */
	assert_int_equal(ca.new_orders, 1);
	assert_non_null(strstr(ca.last_payload, ""));
	ca_teardown(&ca);
}

/* RFC 9773 section 5: `replaces` that the CA does not take is left out, once. */
static bool replaced_already(struct ca *ca, const struct effect *e, struct outcome *out)
{
	if (!ca_posts_to(e, "https://ca/new") || !strstr(e->payload, "replaces"))
		return false;
	ca_say_problem(ca, wanted_status, wanted_type, out);
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
		ca_setup_one(&ca);
		ca.o.replaces = mem_strdup("aki.serial");
		ca.twist = replaced_already;
		wanted_type = cases[i].type;
		wanted_status = cases[i].status;
		ca_run_well(&ca);
		assert_int_equal(ca.twisted, 1);
		assert_false(ca.o.replaced);
		ca_teardown(&ca);
	}
	ca_setup_one(&ca);
	ca.o.replaces = mem_strdup("aki.serial");
	ca_run_well(&ca);
	assert_true(ca.o.replaced);
	ca_teardown(&ca);
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
	ca_setup_one(&ca);
	ca.twist = no_barrier;
	ca_run_badly(&ca, "checkpoint_failed", ACME_BACKOFF);
	assert_int_equal(ca.finalizes, 0);
	assert_true(ca.o.failure->resumable);
	ca_teardown(&ca);
}

static void test_deadline(void **state)
{
	struct acme_failure f = {.class = ACME_BACKOFF, .code = "deadline"};
	struct ca ca;

	(void)state;
	ca_setup_pair(&ca);
	for (int i = 0; i < 12; i++) {
		ca_turn(&ca, ORDER_UNIT);
		for (int u = 0; u < (int)ca.o.n_authz && i > 6; u++)
			ca_turn(&ca, u);
	}
	assert_int_equal(ca.o.step, ORDER_AUTHORIZE);
	assert_true(ca.published > 0);
	order_give_up(&ca.o, &f);
	ca_run(&ca);
	assert_int_equal(ca.o.step, ORDER_FAILED);
	assert_true(ca.o.failure->resumable);
	assert_int_equal(ca.deactivated, 0);
	ca_teardown(&ca);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
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

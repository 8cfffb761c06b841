/* The steps are fed outcomes directly, by a CA of values. The case numbers are those of "ACME cases
 * that break weak clients". */
#include "tests/unit/worker/acme/steps_ca.h"

#include "common/mem.h"
#include "common/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* --- the plain way --- */

static void test_plain(void **state)
{
	struct ca ca;

	(void)state;
	ca_setup_pair(&ca);
	ca_run_well(&ca);
	assert_int_equal(ca.new_orders, 1);
	assert_int_equal(ca.finalizes, 1);
	assert_int_equal(ca.barriers, 1);
	assert_int_equal(ca.o.placed, 1);
	assert_true(ca.both_published); /* case 13 */
	assert_int_equal(ca.o.n_authz, 2);
	assert_true(ca.o.authz[1].wildcard);
	assert_int_equal(ca.deactivated, 0);
	ca_teardown(&ca);
}

/* Case 1. */
static bool bad_nonces(struct ca *ca, const struct effect *e, struct outcome *out)
{
	if (e->kind != EFFECT_POST || ca->twisted % 4 == 3) {
		ca->twisted += e->kind == EFFECT_POST;
		return false;
	}
	ca_say_problem(ca, 400, "badNonce", out);
	return true;
}

static bool only_bad_nonces(struct ca *ca, const struct effect *e, struct outcome *out)
{
	if (e->kind != EFFECT_POST)
		return false;
	ca_say_problem(ca, 400, "badNonce", out);
	return true;
}

static void test_bad_nonce(void **state)
{
	struct ca ca;

	(void)state;
	ca_setup_one(&ca);
	ca.twist = bad_nonces;
	ca_run_well(&ca);
	assert_int_equal(ca.new_orders, 1);
	ca_teardown(&ca);
	ca_setup_one(&ca);
	ca.twist = only_bad_nonces;
	ca_run_badly(&ca, "badNonce", ACME_BACKOFF);
	assert_in_range(ca.twisted, 5, 20);
	ca_teardown(&ca);
}

/* Case 3: a short Retry-After is waited for here, a long one ends the attempt. */
static bool limited(struct ca *ca, const struct effect *e, struct outcome *out)
{
	if (!ca_posts_to(e, "https://ca/new") || ca->twisted)
		return false;
	ca_say_problem(ca, 429, "rateLimited", out);
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
	ca_setup_one(&ca);
	ca.twist = limited;
	ca_run_well(&ca);
	assert_true(ca.longest_wait_ms >= 20000);
	ca_teardown(&ca);
	ca_setup_one(&ca);
	ca.twist = limited_long;
	ca_run_badly(&ca, "rateLimited", ACME_WAIT_UNTIL);
	assert_int_equal(ca.o.failure->retry_after_ms, 3600000);
	assert_false(ca.o.failure->resumable);
	ca_teardown(&ca);
}

/* Case 4: nothing in the authorization that we could answer. */
static void test_unknown_challenges_only(void **state)
{
	struct ca ca;

	(void)state;
	ca_setup_pair(&ca);
	ca.authz[0].challenges =
		"{\"type\":\"dns-01\",\"url\":\"https://ca/c/0/d\",\"token\":\"not base64url!\"}";
	ca_run_badly(&ca, "no_challenge", ACME_OTHER_CHALLENGE);
	assert_string_equal(ca.o.failure->failed_name, "a.example");
	assert_int_equal(ca.deactivated, 2); /* case 12 */
	ca_teardown(&ca);
}

/* Case 6. */
static bool no_account(struct ca *ca, const struct effect *e, struct outcome *out)
{
	if (!ca_posts_to(e, "https://ca/new") || ca->twisted)
		return false;
	ca_say_problem(ca, 400, "accountDoesNotExist", out);
	return true;
}

static bool never_account(struct ca *ca, const struct effect *e, struct outcome *out)
{
	if (!ca_posts_to(e, "https://ca/new"))
		return false;
	ca_say_problem(ca, 400, "accountDoesNotExist", out);
	return true;
}

static void test_account_does_not_exist(void **state)
{
	struct ca ca;

	(void)state;
	ca_setup_one(&ca);
	ca.twist = no_account;
	ca_run_well(&ca);
	assert_int_equal(ca.accounts, 1);
	ca_teardown(&ca);
	ca_setup_one(&ca);
	ca.twist = never_account;
	ca_run_badly(&ca, "accountDoesNotExist", ACME_OPERATOR);
	ca_teardown(&ca);
}

/* Case 7. */
static const char *wanted_type;
static int wanted_status;
static bool refuse_new_order(struct ca *ca, const struct effect *e, struct outcome *out)
{
	if (!ca_posts_to(e, "https://ca/new"))
		return false;
	ca_say_problem(ca, wanted_status, wanted_type, out);
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

		ca_setup_one(&ca);
		ca.twist = refuse_new_order;
		wanted_type = cases[i].type;
		wanted_status = cases[i].status;
		ca_run_badly(&ca, cases[i].type, cases[i].class);
		assert_string_equal(ca.o.failure->step, "new_order");
		assert_int_equal(ca.barriers, 0);
		ca_teardown(&ca);
	}
}

/* Case 8. */
static void test_reused_authorizations(void **state)
{
	struct ca ca;

	(void)state;
	ca_setup_pair(&ca);
	ca.order_status = "ready";
	ca.authz[0].status = ca.authz[1].status = "valid";
	ca_run_well(&ca);
	assert_int_equal(ca.published, 0);
	assert_int_equal(ca.answers, 0);
	ca_teardown(&ca);
	ca_setup_pair(&ca);
	ca.authz[1].status = "valid"; /* one of two */
	ca_run_well(&ca);
	assert_int_equal(ca.published, 1);
	assert_int_equal(ca.o.authz[1].end, AUTHZ_VALID);
	ca_teardown(&ca);
	ca_setup_pair(&ca);
	ca.order_status = "valid";
	ca.authz[0].status = ca.authz[1].status = "valid";
	ca_run_well(&ca);
	assert_int_equal(ca.finalizes, 0);
	ca_teardown(&ca);
}

/* Case 9. */
static bool not_ready(struct ca *ca, const struct effect *e, struct outcome *out)
{
	if (ca_posts_to(e, "https://ca/f") && !ca->twisted) {
		ca_say_problem(ca, 403, "orderNotReady", out);
		return true;
	}
	if (ca_posts_to(e, "https://ca/o") && ca->twisted == 3)
		ca->order_status = "ready";
	if (ca_posts_to(e, "https://ca/o"))
		ca->twisted++;
	return false;
}

static void test_order_not_ready(void **state)
{
	struct ca ca;

	(void)state;
	ca_setup_one(&ca);
	ca.twist = not_ready;
	ca_run_well(&ca);
	assert_int_equal(ca.finalizes, 1);
	assert_int_equal(ca.new_orders, 1);
	ca_teardown(&ca);
}

/* Case 10: the answer to finalize is lost, whether it arrived or not. */
static bool lose_after_finalize(struct ca *ca, const struct effect *e, struct outcome *out)
{
	if (!ca_posts_to(e, "https://ca/f") || ca->twisted)
		return false;
	ca_answer_post(ca, e, out);
	*out = (struct outcome){.err = CF_ETIMEDOUT, .sent = true};
	return true;
}

static bool lose_before_finalize(struct ca *ca, const struct effect *e, struct outcome *out)
{
	if (!ca_posts_to(e, "https://ca/f") || ca->twisted)
		return false;
	ca->order_status = "ready";
	*out = (struct outcome){.err = CF_ETIMEDOUT, .sent = true};
	return true;
}

static void test_lost_finalize(void **state)
{
	struct ca ca;

	(void)state;
	ca_setup_one(&ca);
	ca.twist = lose_after_finalize;
	ca_run_well(&ca);
	assert_int_equal(ca.finalizes, 1);
	ca_teardown(&ca);
	ca_setup_one(&ca);
	ca.twist = lose_before_finalize;
	ca_run_well(&ca);
	assert_int_equal(ca.finalizes, 1);
	assert_int_equal(ca.new_orders, 1);
	ca_teardown(&ca);
	ca_setup_one(&ca); /* valid at once */
	ca.after_finalize = "valid";
	ca_run_well(&ca);
	ca_teardown(&ca);
	ca_setup_one(&ca); /* stays ready for ever: bounded */
	ca.after_finalize = "ready";
	ca_run_badly(&ca, "not_acme", ACME_BACKOFF);
	assert_in_range(ca.finalizes, 2, 10);
	assert_true(ca.o.failure->resumable);
	ca_teardown(&ca);
}

static bool lose_new_order(struct ca *ca, const struct effect *e, struct outcome *out)
{
	(void)ca;
	if (!ca_posts_to(e, "https://ca/new") || ca->twisted)
		return false;
	*out = (struct outcome){.err = CF_ETIMEDOUT, .sent = true};
	return true;
}

static bool lose_answer(struct ca *ca, const struct effect *e, struct outcome *out)
{
	if (!ca_posts_to(e, "https://ca/c/") || ca->twisted)
		return false;
	if (wanted_status) /* it had arrived */
		ca_answer_post(ca, e, out);
	*out = (struct outcome){.err = CF_ETIMEDOUT, .sent = true};
	return true;
}

static void test_lost_answers(void **state)
{
	struct ca ca;

	(void)state;
	ca_setup_one(&ca);
	ca.twist = lose_new_order;
	ca_run_well(&ca);
	assert_int_equal(ca.o.placed, 2); /* at most: the lost one may have been taken */
	ca_teardown(&ca);
	for (wanted_status = 0; wanted_status < 2; wanted_status++) {
		ca_setup_one(&ca);
		ca.twist = lose_answer;
		ca_run_well(&ca);
		assert_int_equal(ca.answers, 1);
		ca_teardown(&ca);
	}
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

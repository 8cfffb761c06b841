/* What is said of a circuit breaker: a function of values. */
#include "scheduler/breakers.h"

#include "common/runbook.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define CANARY "canary.platform.example"

static struct alert_edge edges[BREAKERS_CONDITIONS];

static void judge(
	enum breaker_way way, enum breaker_state state, uint32_t tries, const char *canary)
{
	struct breaker_row row = {.authority = "letsencrypt",
		.way = way,
		.state = state,
		.tries = tries,
		.from_ms = INT64_C(1800000000000),
		.next_ms = INT64_C(1800000030000),
		.why = "connection refused"};

	breakers_judge(&row, canary, edges);
}

static void test_an_outage_is_told_when_the_canary_failed(void **state)
{
	(void)state;
	judge(BREAKER_HTTP01, BREAKER_HALF_OPEN, 0, CANARY);
	assert_false(edges[0].open);
	judge(BREAKER_HTTP01, BREAKER_OPEN, 1, CANARY);
	assert_true(edges[0].open);
	assert_false(edges[1].open);
	assert_string_equal(edges[0].key, "fleet/breaker_open:letsencrypt:http-01");
	assert_string_equal(edges[0].actor, "operator");
	assert_non_null(strstr(edges[0].text, CANARY));
	assert_non_null(strstr(edges[0].text, "connection refused"));
	assert_non_null(strstr(edges[0].text, "Due renewals wait"));
	assert_string_equal(edges[0].next, "the canary is tried again at 2027-01-15T08:00:30.000Z");
	judge(BREAKER_HTTP01, BREAKER_HALF_OPEN, 3, CANARY);
	assert_true(edges[0].open);
	judge(BREAKER_HTTP01, BREAKER_CLOSED, 0, CANARY);
	assert_false(edges[0].open);
}

static void test_an_authority_acts_for_itself(void **state)
{
	(void)state;
	judge(BREAKER_ORDERS, BREAKER_OPEN, 2, CANARY);
	assert_string_equal(edges[0].actor, "authority");
	judge(BREAKER_DNS01, BREAKER_OPEN, 2, CANARY);
	assert_non_null(strstr(edges[0].fix, "challenge zone"));
}

static void test_a_canary_that_fails_alone_is_told(void **state)
{
	(void)state;
	judge(BREAKER_DNS01, BREAKER_CLOSED, 2, CANARY);
	assert_false(edges[1].open);
	judge(BREAKER_DNS01, BREAKER_CLOSED, 3, CANARY);
	assert_false(edges[0].open);
	assert_true(edges[1].open);
	assert_string_equal(edges[1].key, "fleet/canary_failing:letsencrypt:dns-01");
}

static void test_without_a_canary_in_the_config_all_is_over(void **state)
{
	(void)state;
	judge(BREAKER_DNS01, BREAKER_OPEN, 3, NULL);
	assert_false(edges[0].open);
	judge(BREAKER_DNS01, BREAKER_CLOSED, 3, NULL);
	assert_false(edges[1].open);
}

static void test_both_have_a_runbook(void **state)
{
	(void)state;
	judge(BREAKER_DNS01, BREAKER_OPEN, 3, CANARY);
	for (size_t i = 0; i < BREAKERS_CONDITIONS; i++)
		assert_non_null(runbook_of(edges[i].condition));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_outage_is_told_when_the_canary_failed),
		cmocka_unit_test(test_an_authority_acts_for_itself),
		cmocka_unit_test(test_a_canary_that_fails_alone_is_told),
		cmocka_unit_test(test_without_a_canary_in_the_config_all_is_over),
		cmocka_unit_test(test_both_have_a_runbook),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

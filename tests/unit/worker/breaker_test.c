/* Which failures may be everybody's: a function of values. */
#include "worker/breaker.h"

#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct {
	enum acme_class class;
	enum acme_scope scope;
	const char *code, *type;
	int way; /* -1: about this endpoint alone */
} cases[] = {
	{ACME_OWNER, ACME_IDENTIFIER, "connection", "http-01", BREAKER_HTTP01},
	{ACME_OWNER, ACME_IDENTIFIER, "unauthorized", "http-01", BREAKER_HTTP01},
	{ACME_OWNER, ACME_IDENTIFIER, "dns", "dns-01", BREAKER_DNS01},
	{ACME_BACKOFF, ACME_ORDER, "not_visible", "dns-01", BREAKER_DNS01},
	{ACME_BACKOFF, ACME_ORDER, "publish_failed", "http-01", BREAKER_HTTP01},
	{ACME_BACKOFF, ACME_AUTHORITY, "serverInternal", "", BREAKER_ORDERS},
	{ACME_BACKOFF, ACME_AUTHORITY, "no_answer", "http-01", BREAKER_ORDERS},
	{ACME_OWNER, ACME_IDENTIFIER, "caa", "dns-01", -1},
	{ACME_OWNER, ACME_IDENTIFIER, "connection", "tls-alpn-01", -1},
	{ACME_OTHER_CHALLENGE, ACME_IDENTIFIER, "no_challenge", "", -1},
	{ACME_OTHER_AUTHORITY, ACME_IDENTIFIER, "rejectedIdentifier", "", -1},
	{ACME_WAIT_UNTIL, ACME_ACCOUNT, "rateLimited", "", -1},
	{ACME_OPERATOR, ACME_ACCOUNT, "userActionRequired", "", -1},
	{ACME_CANCELED, ACME_AUTHORITY, "canceled", "http-01", -1},
};

static void test_way_of_a_failure(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct acme_failure f = {.class = cases[i].class, .scope = cases[i].scope};
		enum breaker_way way = BREAKER_WAYS;
		bool any;

		snprintf(f.code, sizeof f.code, "%s", cases[i].code);
		snprintf(f.failed_type, sizeof f.failed_type, "%s", cases[i].type);
		any = breaker_way_of(&f, &way);
		if (any != (cases[i].way >= 0) || (any && (int)way != cases[i].way))
			fail_msg("%s by %s: %s", cases[i].code, cases[i].type,
				any ? breaker_way_name(way) : "none");
	}
}

static void test_without_breakers_nothing_is_shut(void **state)
{
	(void)state;
	assert_null(breaker_shut(NULL, "ca", BREAKER_HTTP01));
	breaker_passed(NULL, "ca", BREAKER_ORDERS);
	breaker_drain(NULL);
	breaker_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_way_of_a_failure),
		cmocka_unit_test(test_without_breakers_nothing_is_shut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

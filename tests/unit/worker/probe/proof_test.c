/* What edges showed, put together: n of m, who is behind, and what to do at which edge. */
#include "worker/probe/proof.h"

#include "common/clock.h"
#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOW   INT64_C(1795000000000) /* 2026-11-18T11:06:40Z */
#define MARCH INT64_C(1772532000000) /* 2026-03-03T10:00:00Z */

static const struct endpoint_cert cert = {.serial = "0f",
	.issued_ms = NOW - CLOCK_HOUR_MS,
	.not_before_ms = NOW - CLOCK_HOUR_MS,
	.not_after_ms = NOW + 60 * CLOCK_DAY_MS};
static const struct proof_case here = {.endpoint = "shop", .cert = &cert, .now_ms = NOW};
static struct proof p;

static struct served_seen seen(const char *at, const char *code)
{
	struct served_seen s = {.from_ms = MARCH, .ends_ms = NOW + CLOCK_DAY_MS, .serial = "0a"};

	snprintf(s.name, sizeof s.name, "shop.example.com");
	snprintf(s.at, sizeof s.at, "%s", at);
	snprintf(s.code, sizeof s.code, "%s", code);
	snprintf(s.what, sizeof s.what, "serial 0a by CA until then");
	return s;
}

static void all_is_right_or_not_known(void **state)
{
	struct served_seen two[] = {seen("192.0.2.1:443", ""), seen("192.0.2.2:443", "")};

	(void)state;
	proof_sum(&here, two, 2, &p);
	assert_int_equal(p.served.status, SERVED_OK);
	assert_true(p.served.right == 2 && p.served.addresses == 2 && !p.found_n);
	assert_int_equal(p.served.behind_n, 0);
	proof_sum(&here, two, 0, &p);
	assert_int_equal(p.served.status, SERVED_UNKNOWN);
	assert_string_equal(p.served.why, "no_address");
	two[0] = seen("10.0.0.1:443", SERVED_NOT_ALLOWED);
	proof_sum(&here, two, 1, &p);
	assert_int_equal(p.served.status, SERVED_UNKNOWN);
	assert_string_equal(p.served.why, "forbidden");
	proof_sum(&here, two, 2, &p); /* what we may not see does not count */
	assert_int_equal(p.served.status, SERVED_OK);
	assert_int_equal(p.served.addresses, 1);
}

static void no_connection_is_no_finding(void **state)
{
	const struct served_seen two[] = {
		seen("192.0.2.1:443", ""), seen("192.0.2.2:443", SERVED_UNREACHED)};

	(void)state;
	proof_sum(&here, two, 2, &p);
	assert_int_equal(p.served.status, SERVED_UNREACHABLE);
	assert_true(p.served.right == 1 && p.served.addresses == 2 && !p.found_n);
	assert_string_equal(p.served.behind[0].at, "192.0.2.2:443");
	assert_string_equal(p.served.behind[0].code, SERVED_UNREACHED);
}

static void an_address_is_right_when_each_name_is(void **state)
{
	struct served_seen four[] = {seen("192.0.2.1:443", ""), seen("192.0.2.2:443", ""),
		seen("192.0.2.1:443", "served_name"), seen("192.0.2.2:443", "")};
	_buf_release_ struct buf words = BUF_INIT(1024);

	(void)state;
	snprintf(four[2].name, sizeof four[2].name, "www.shop.example.com");
	proof_sum(&here, four, 4, &p);
	assert_int_equal(p.served.status, SERVED_STALE);
	assert_true(p.served.right == 1 && p.served.addresses == 2);
	assert_string_equal(p.found[0].name, "www.shop.example.com");
	assert_non_null(strstr(p.found[0].fix, "not for www.shop.example.com."));
	proof_words(&p.served, &words);
	assert_string_equal(
		buf_cstr(&words), "1 of 2 addresses; behind: 192.0.2.1:443 (served_name)");
	four[0] = seen("192.0.2.1:443", "served_name"); /* both names: it is about the endpoint */
	proof_sum(&here, four, 4, &p);
	assert_int_equal(p.found_n, 1);
	assert_string_equal(p.found[0].name, "");
	assert_int_equal(p.found[0].observed_n, 1);
}

static void an_old_one_is_named_with_its_edges(void **state)
{
	struct served_seen edges[7];
	char at[32];

	(void)state;
	edges[0] = seen("192.0.2.100:443", "");
	for (int i = 1; i < 7; i++) {
		snprintf(at, sizeof at, "192.0.2.%d:443", i);
		edges[i] = seen(at, i < 6 ? "served_old" : "served_chain");
	}
	edges[3].ends_ms = NOW + CLOCK_HOUR_MS;
	proof_sum(&here, edges, 7, &p);
	assert_true(p.served.right == 1 && p.served.addresses == 7 && p.served.behind_n == 6);
	assert_int_equal(p.found_n, 2);
	assert_string_equal(p.found[0].code, "served_old");
	assert_int_equal(p.found[0].actor, ACTOR_OPERATOR);
	assert_int_equal(p.found[0].observed_n, 5);
	assert_string_equal(p.found[0].expected, "serial 0f until 2027-01-17T11:06:40.000Z");
	assert_string_equal(p.found[0].fix,
		"Reload the edge at 192.0.2.1:443, 192.0.2.2:443, 192.0.2.3:443 and 2 more: it "
		"still "
		"presents the certificate of 2026-03-03, serial 0a.\nSerial 0f is published under "
		"shop since 2026-11-18T10:06:40Z: certfleet sync writes it there and runs its "
		"--reload.\nBy hand: certfleet certificate export shop --dir DIR");
	assert_true(p.found[0].effect_ms == NOW + CLOCK_HOUR_MS); /* what ends first */
	assert_non_null(strstr(p.found[1].fix, "without its intermediates"));
}

static void each_code_has_its_fix(void **state)
{
	static const struct {
		const char *code, *says;
	} rows[] = {
		{"served_old", "Reload the edge at 192.0.2.1:443"},
		{"served_expired", "ended at 2026-11-19T11:06:40Z, serial 0a"},
		{"served_other", "somebody else issued, serial 0a"},
		{"served_name", "is not for shop.example.com"},
		{"served_chain", "fullchain.pem"},
		{"served_handshake", "presents nothing for shop.example.com"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct served_seen one = seen("192.0.2.1:443", rows[i].code);

		proof_sum(&here, &one, 1, &p);
		assert_int_equal(p.found_n, 1);
		assert_non_null(diagnosis_kind(p.found[0].code));
		assert_non_null(strstr(p.found[0].fix, rows[i].says));
		assert_non_null(strstr(p.found[0].fix, "certificate export shop"));
	}
}

static void only_so_many_are_kept(void **state)
{
	struct served_seen many[20];
	_buf_release_ struct buf words = BUF_INIT(4096);
	char at[32];

	(void)state;
	for (int i = 0; i < 20; i++) {
		snprintf(at, sizeof at, "192.0.2.%d:443", i);
		many[i] = seen(at, "served_old");
	}
	proof_sum(&here, many, 20, &p);
	assert_int_equal(p.served.addresses, 20);
	assert_int_equal(p.served.behind_n, SERVED_BEHIND_MAX);
	assert_int_equal(p.found[0].observed_n + p.found[0].observed_more, 20);
	proof_words(&p.served, &words);
	assert_non_null(strstr(buf_cstr(&words), "0 of 20 addresses; behind: 192.0.2.0:443"));
	assert_non_null(strstr(buf_cstr(&words), " and 12 more"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_is_right_or_not_known),
		cmocka_unit_test(no_connection_is_no_finding),
		cmocka_unit_test(an_address_is_right_when_each_name_is),
		cmocka_unit_test(an_old_one_is_named_with_its_edges),
		cmocka_unit_test(each_code_has_its_fix),
		cmocka_unit_test(only_so_many_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

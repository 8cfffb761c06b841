#include "scheduler/reap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void looks_before_it_reaps(void **state)
{
	struct reap_guard g = {.lease_ms = 30000};

	(void)state;
	assert_false(reap_guard_allows(&g, 100));
	assert_null(reap_guard_look(&g, 100, "aaaa", "", false));
	assert_true(reap_guard_allows(&g, 100));
	reap_guard_connected(&g);
	assert_false(reap_guard_allows(&g, 200));
	assert_null(reap_guard_look(&g, 200, "aaaa", "aaaa", false));
	assert_true(reap_guard_allows(&g, 200));
}

static void pauses_after_a_failover(void **state)
{
	struct reap_guard g = {.lease_ms = 30000};

	(void)state;
	reap_guard_look(&g, 100, "aaaa", "", false);
	reap_guard_connected(&g);
	assert_string_equal(
		reap_guard_look(&g, 1000, "bbbb", "aaaa", false), "replication_id_changed");
	assert_false(reap_guard_allows(&g, 30999));
	assert_null(reap_guard_look(&g, 3000, "bbbb", "aaaa", false));
	assert_true(reap_guard_allows(&g, 31000));
}

/* A scheduler that has just started knows of the failover by what the last leader wrote down. */
static void a_fresh_process_believes_what_was_remembered(void **state)
{
	struct reap_guard g = {.lease_ms = 30000};

	(void)state;
	assert_string_equal(
		reap_guard_look(&g, 1000, "bbbb", "aaaa", false), "replication_id_changed");
	assert_false(reap_guard_allows(&g, 2000));
}

static void pauses_while_loading(void **state)
{
	struct reap_guard g = {.lease_ms = 30000};

	(void)state;
	assert_string_equal(reap_guard_look(&g, 1000, "aaaa", "", true), "loading");
	assert_false(reap_guard_allows(&g, 30999));
	assert_true(reap_guard_allows(&g, 31000));
}

/* Nobody could extend a lease meanwhile. */
static void pauses_after_a_silence(void **state)
{
	struct reap_guard g = {.lease_ms = 30000};

	(void)state;
	assert_null(reap_guard_look(&g, 1000, "aaaa", "", false));
	assert_null(
		reap_guard_look(&g, 13000, "aaaa", "", false)); /* one beat of three was missed */
	assert_string_equal(reap_guard_look(&g, 25001, "aaaa", "", false), "silent");
	assert_false(reap_guard_allows(&g, 55000));
	assert_null(reap_guard_look(&g, 27000, "aaaa", "", false));
	assert_true(reap_guard_allows(&g, 55001));
}

static void pauses_when_the_clock_steps(void **state)
{
	struct reap_guard g = {.lease_ms = 30000};

	(void)state;
	reap_guard_look(&g, 0, "aaaa", "", false);
	assert_null(reap_guard_clock(&g, 1000, 1002, 1700000001001));
	assert_null(reap_guard_clock(&g, 3000, 3002, 1700000003010)); /* drift */
	assert_null(reap_guard_clock(
		&g, 5000, 9000, 1700000005001)); /* too slow a trip to say anything */
	assert_null(reap_guard_clock(&g, 10000, 10400, 1700000010001));
	assert_string_equal(reap_guard_clock(&g, 12000, 12000, 1700000072000), "clock_stepped");
	assert_false(reap_guard_allows(&g, 41999));
	assert_true(reap_guard_allows(&g, 42000));
}

static void reads_info(void **state)
{
	static const char info[] =
		"# Replication\r\nrole:master\r\nmaster_replid:0123abc\r\nmaster_replid2:0\r\n";
	char out[16];

	(void)state;
	assert_string_equal(info_field(info, strlen(info), "role", out, sizeof out), "master");
	assert_string_equal(
		info_field(info, strlen(info), "master_replid", out, sizeof out), "0123abc");
	assert_string_equal(info_field(info, strlen(info), "master_repl", out, sizeof out), "");
	assert_string_equal(info_field("", 0, "x", out, sizeof out), "");
	assert_string_equal(
		info_field("x:12345678901234567890", 22, "x", out, sizeof out), "123456789012345");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(looks_before_it_reaps),
		cmocka_unit_test(pauses_after_a_failover),
		cmocka_unit_test(a_fresh_process_believes_what_was_remembered),
		cmocka_unit_test(pauses_while_loading),
		cmocka_unit_test(pauses_after_a_silence),
		cmocka_unit_test(pauses_when_the_clock_steps),
		cmocka_unit_test(reads_info),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

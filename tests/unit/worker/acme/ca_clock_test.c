/* Our clock beside an authority's. */
#include "worker/acme/ca_clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define DATE "Fri, 15 Jan 2027 08:00:00 GMT"
#define WALL INT64_C(1800000000000) /* the same instant */
#define BOOT INT64_C(5000000)

static struct ca_clock noted(int64_t took_ms)
{
	struct ca_clock c = {.known = false};

	ca_clock_note(&c, DATE, took_ms, BOOT);
	return c;
}

static void test_what_the_answer_cannot_tell_is_no_difference(void **state)
{
	struct ca_clock c = noted(200), none = {.known = false};

	(void)state;
	assert_int_equal(ca_clock_apart(&c, WALL, BOOT), 0);
	assert_int_equal(ca_clock_apart(&c, WALL + 1200, BOOT), 0);
	assert_int_equal(ca_clock_apart(&c, WALL + 1201, BOOT), 1);
	assert_int_equal(ca_clock_apart(&c, WALL - 1, BOOT), -1);
	assert_int_equal(ca_clock_apart(&none, WALL, BOOT), 0);
}

static void test_a_slow_answer_is_no_difference(void **state)
{
	struct ca_clock c = noted(60000);

	(void)state;
	assert_int_equal(ca_clock_apart(&c, WALL + 60500, BOOT), 0);
	assert_int_equal(ca_clock_apart(&c, WALL + 62000, BOOT), 1000);
}

static void test_a_clock_that_is_set_is_seen_at_once(void **state)
{
	struct ca_clock c = noted(0);

	(void)state;
	assert_int_equal(ca_clock_apart(&c, WALL + 3600000, BOOT + 3600000), 0);
	assert_int_equal(ca_clock_apart(&c, WALL + 3600000 - 120000, BOOT + 3600000), -120000);
	assert_int_equal(ca_clock_apart(&c, WALL + 7200000, BOOT + 7200000), 0);
}

static void test_what_is_no_date_changes_nothing(void **state)
{
	static const char *const wrong[] = {NULL, "", "now", "Fri, 15 Jan 2027 08:00:00 +0100",
		"Fri, 15 Jan 2027 08:00:00 GMT, and more that makes it longer than any date is"};
	struct ca_clock c = noted(0);

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		ca_clock_note(&c, wrong[i], 0, BOOT + 999999);
	assert_int_equal(ca_clock_apart(&c, WALL, BOOT), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_the_answer_cannot_tell_is_no_difference),
		cmocka_unit_test(test_a_slow_answer_is_no_difference),
		cmocka_unit_test(test_a_clock_that_is_set_is_seen_at_once),
		cmocka_unit_test(test_what_is_no_date_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "common/clock.h"

#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <string.h>

static void test_rfc3339_out(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} cases[] = {
		{0, "1970-01-01T00:00:00.000Z"},
		{-1, "1969-12-31T23:59:59.999Z"},
		{INT64_C(1795000000123), "2026-11-18T11:06:40.123Z"},
		{INT64_C(951782400000), "2000-02-29T00:00:00.000Z"},
		{INT64_C(253402300799999), "9999-12-31T23:59:59.999Z"},
		{INT64_C(253402300800000), "0000-00-00T00:00:00.000Z"},
		{INT64_MIN, "0000-00-00T00:00:00.000Z"},
		{INT64_MAX, "0000-00-00T00:00:00.000Z"},
	};
	char out[CLOCK_RFC3339_LEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(clock_rfc3339(cases[i].ms, out), cases[i].text);
}

static void test_rfc3339_in(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"2026-11-18T11:06:40.123Z", INT64_C(1795000000123)},
		{"2026-11-18t11:06:40.123456789z", INT64_C(1795000000123)},
		{"2026-11-18 11:06:40.1Z", INT64_C(1795000000100)},
		{"2026-11-18T12:36:40+01:30", INT64_C(1795000000000)},
		{"2026-11-18T09:36:40-01:30", INT64_C(1795000000000)},
		{"2026-11-18T11:06:40-00:00", INT64_C(1795000000000)},
		{"2000-02-29T00:00:00Z", INT64_C(951782400000)},
		{"1990-12-31T23:59:60Z",
			INT64_C(662688000000)}, /* RFC 3339 section 5.8: a leap second */
		{"1937-01-01T12:00:27.87+00:20", INT64_C(-1041337172130)},
	};
	int64_t ms;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(clock_parse_rfc3339(good[i].text, &ms), 0);
		assert_true(ms == good[i].ms);
	}
}

static void test_rfc3339_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"2026",
		"2026-11-18",
		"2026-11-18T11:06:40",
		"2026-11-18T11:06Z",
		"2026-11-18T11:06:40Z ",
		" 2026-11-18T11:06:40Z",
		"+026-11-18T11:06:40Z",
		"2026-+1-18T11:06:40Z",
		"2026-11-18T11:06: 4Z",
		"2026-13-01T00:00:00Z",
		"2026-00-01T00:00:00Z",
		"2026-02-29T00:00:00Z",
		"1900-02-29T00:00:00Z",
		"2026-04-31T00:00:00Z",
		"2026-11-00T00:00:00Z",
		"2026-11-18T24:00:00Z",
		"2026-11-18T11:60:00Z",
		"2026-11-18T11:06:61Z",
		"2026-11-18T11:06:40.Z",
		"2026-11-18T11:06:40+1:00",
		"2026-11-18T11:06:40+01",
		"2026-11-18T11:06:40+0100",
		"2026-11-18T11:06:40+24:00",
		"2026-11-18T11:06:40+00:60",
		"2026-11-18T11:06:40+ 1:00",
		"2026/11/18T11:06:40Z",
		"2026-11-18X11:06:40Z",
		"Wed, 18 Nov 2026 11:06:40 GMT",
	};
	int64_t ms = 5;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (clock_parse_rfc3339(bad[i], &ms) != CF_EINVAL)
			fail_msg("\"%s\" was accepted", bad[i]);
	assert_int_equal(ms, 5);
}

static void test_durations(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = {
		{"0", 0},
		{"0s", 0},
		{"250ms", 250},
		{"90s", 90000},
		{"1h30m", 5400000},
		{"7d", 604800000},
		{"2w", 1209600000},
		{"1d1h1m1s1ms", 90061001},
		{"007s", 7000},
		{"366000d", 366000 * CLOCK_DAY_MS},
	};
	static const char *const bad[] = {
		"",
		"5",
		"s",
		"-5s",
		"+5s",
		" 5s",
		"5s ",
		"5 s",
		"5x",
		"5S",
		"1.5h",
		"5mss",
		"1h30",
		"366001d",
		"99999999999s",
		"9999999999w",
		"9999999999w9999999999w9999999999w",
		"00",
	};
	int64_t ms = 5;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (clock_parse_duration(bad[i], &ms) != CF_EINVAL)
			fail_msg("\"%s\" was accepted", bad[i]);
	assert_int_equal(ms, 5);
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(clock_parse_duration(good[i].text, &ms), 0);
		assert_true(ms == good[i].ms);
	}
}

static void test_human(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} cases[] = {
		{0, "0ms"},
		{120, "120ms"},
		{999, "999ms"},
		{1000, "1s"},
		{45999, "45s"},
		{61000, "1m 1s"},
		{60000, "1m"},
		{3 * CLOCK_HOUR_MS, "3h"},
		{-3 * CLOCK_HOUR_MS, "-3h"},
		{3 * CLOCK_HOUR_MS + 59000, "3h"},
		{3 * CLOCK_HOUR_MS + 5 * CLOCK_MINUTE_MS, "3h 5m"},
		{2 * CLOCK_DAY_MS + 3 * CLOCK_HOUR_MS, "2d 3h"},
		{99 * CLOCK_DAY_MS + CLOCK_HOUR_MS, "99d 1h"},
		{100 * CLOCK_DAY_MS + CLOCK_HOUR_MS, "100d"},
		{INT64_MAX, "106751991167d"},
		{INT64_MIN, "-106751991167d"},
	};
	char out[CLOCK_HUMAN_LEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(clock_human(cases[i].ms, out), cases[i].text);
}

static void test_clocks(void **state)
{
	int64_t wall = clock_wall_ms(), mono = clock_mono_ms();

	(void)state;
	assert_true(wall > INT64_C(1700000000000)); /* 2023 */
	assert_true(mono > 0 && clock_mono_ms() >= mono);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc3339_out),
		cmocka_unit_test(test_rfc3339_in),
		cmocka_unit_test(test_rfc3339_refused),
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_human),
		cmocka_unit_test(test_clocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

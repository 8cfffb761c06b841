/* Words on a screen: widths, cutting, wrapping, times, tables. */
#include "scheduler/cli/term.h"

#include "common/clock.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct view PLAIN = {.now_ms = INT64_C(1800000000000)};

static int utf8(void **state)
{
	(void)state;
	assert_non_null(setlocale(LC_CTYPE, "C.UTF-8"));
	return 0;
}

static void width_of_text(void **state)
{
	(void)state;
	assert_int_equal(term_width(""), 0);
	assert_int_equal(term_width("shop"), 4);
	assert_int_equal(term_width("bücher"), 6);
	assert_int_equal(term_width("日本"), 4);
	assert_int_equal(term_width("e\xcc\x81"), 1); /* a combining accent */
	assert_int_equal(term_width("\xff\xfe"), 2);
}

static void cut(const char *s, size_t columns, const char *expected)
{
	_buf_release_ struct buf out = BUF_INIT(1000);

	term_cut(&out, s, columns);
	assert_string_equal(buf_cstr(&out), expected);
}

static void cutting(void **state)
{
	(void)state;
	cut("shop.example", 12, "shop.example");
	cut("shop.example", 8, "shop.ex…");
	cut("日本語", 5, "日本…");
	cut("日本語", 4, "日…");
	cut("abc", 1, "…");
	cut("abc", 0, "");
}

static void wrap(const char *s, size_t indent, size_t columns, const char *expected)
{
	_buf_release_ struct buf out = BUF_INIT(4000);

	term_wrap(&out, s, indent, columns);
	assert_string_equal(buf_cstr(&out), expected);
}

static void wrapping(void **state)
{
	(void)state;
	wrap("one two three four five six seven", 2, 24,
		"  one two three four\n  five six seven\n");
	wrap("a\n\nb", 1, 40, " a\n\n b\n");
	wrap("  kept as it is, however long this line may be\nx", 0, 20,
		"  kept as it is, however long this line may be\nx\n");
	wrap("no terminal, so nothing is broken, however long it is, and so on", 0, 0,
		"no terminal, so nothing is broken, however long it is, and so on\n");
}

static void when(int64_t offset_ms, const char *expected)
{
	_buf_release_ struct buf out = BUF_INIT(100);

	term_when(&out, &PLAIN, PLAIN.now_ms + offset_ms);
	assert_string_equal(buf_cstr(&out), expected);
}

static void times(void **state)
{
	_buf_release_ struct buf out = BUF_INIT(100);

	(void)state;
	when(0, "now");
	when(-12 * CLOCK_SECOND_MS, "12s ago");
	when(3 * CLOCK_DAY_MS + 4 * CLOCK_HOUR_MS + 5000, "in 3d 4h");
	term_time(&out, PLAIN.now_ms);
	buf_addc(&out, '|');
	term_time(&out, 0);
	assert_string_equal(buf_cstr(&out), "2027-01-15 08:00:00 UTC|never");
}

static void counts(void **state)
{
	_buf_release_ struct buf out = BUF_INIT(100);

	(void)state;
	term_count(&out, 0);
	buf_addc(&out, ' ');
	term_count(&out, 999);
	buf_addc(&out, ' ');
	term_count(&out, 1234567);
	assert_string_equal(buf_cstr(&out), "0 999 1,234,567");
}

static const struct table_column COLUMNS[] = {
	{"ID", false, true},
	{"N", true, false},
	{"TEXT", false, true},
};

static void tables(void **state)
{
	_buf_release_ struct buf out = BUF_INIT(4000);
	struct table t = TABLE_INIT(COLUMNS, 3, 2);

	(void)state;
	table_cell(&t, TINT_NONE, "bücher");
	table_cell(&t, TINT_NONE, "7");
	table_cell(&t, TINT_NONE, "x");
	table_cell(&t, TINT_NONE, "a");
	table_cell(&t, TINT_NONE, "1234");
	table_cell(&t, TINT_NONE, "%s", "");
	table_flush(&t, &PLAIN, &out);
	assert_string_equal(buf_cstr(&out), "  ID         N  TEXT\n"
					    "  bücher     7  x\n"
					    "  a       1234\n");
	/* A later part has no head again, and its columns stand where they stood. */
	buf_clear(&out);
	table_cell(&t, TINT_NONE, "b");
	table_cell(&t, TINT_NONE, "2");
	table_cell(&t, TINT_NONE, "y");
	table_flush(&t, &PLAIN, &out);
	assert_string_equal(buf_cstr(&out), "  b          2  y\n");
	table_release(&t);
}

static void table_on_a_narrow_screen(void **state)
{
	_buf_release_ struct buf out = BUF_INIT(4000);
	struct table t = TABLE_INIT(COLUMNS, 3, 0);
	struct view narrow = {.width = 30};

	(void)state;
	table_cell(&t, TINT_NONE, "a-rather-long-name.example.com");
	table_cell(&t, TINT_NONE, "1");
	table_cell(&t, TINT_NONE, "short");
	table_flush(&t, &narrow, &out);
	assert_string_equal(buf_cstr(&out), "ID                    N  TEXT\n"
					    "a-rather-long-name.…  1  short\n");
	table_release(&t);
}

static void terminals_are_safe(void **state)
{
	_buf_release_ struct buf out = BUF_INIT(4000);
	struct view color = {.color = true};

	(void)state;
	term_tint(&out, &color, TINT_BAD, "%s", "\033[2Jx\n\xff");
	assert_string_equal(buf_cstr(&out), "\033[31m?[2Jx?\xef\xbf\xbd\033[0m");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(width_of_text),
		cmocka_unit_test(cutting),
		cmocka_unit_test(wrapping),
		cmocka_unit_test(times),
		cmocka_unit_test(counts),
		cmocka_unit_test(tables),
		cmocka_unit_test(table_on_a_narrow_screen),
		cmocka_unit_test(terminals_are_safe),
	};

	return cmocka_run_group_tests(tests, utf8, NULL);
}

#include "common/mp.h"

#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define OPEN(bytes, n)         \
	struct why why = {""}; \
	struct mp_doc doc;     \
	struct mp root;        \
	int opened = mp_open(&doc, bytes, n, &root, &why)

static void test_map_round_trip(void **state)
{
	_buf_release_ struct buf b = BUF_INIT(4096);
	size_t map = mp_map_open(&b);
	const char *const names[] = {"a.example", "b.example"};
	_mem_free_ char *id = NULL;
	char text[16];
	unsigned char fixed[3];
	const unsigned char *bytes;
	size_t n;
	int64_t i, big;
	double d;
	bool yes = false;
	struct mp array, v;

	(void)state;
	mp_key_str(&b, "id", "shop-1");
	mp_key_str(&b, "none", NULL);
	mp_key_int(&b, "n", -129);
	mp_key_int(&b, "big", INT64_MIN);
	mp_key_bool(&b, "yes", true);
	mp_key_double(&b, "d", 1.5);
	mp_key_bin(&b, "bin", "\0\1\2", 3);
	mp_key_strn(&b, "raw", "\0x", 2);
	mp_key_strs(&b, "names", names, 2);
	mp_key(&b, "nil");
	mp_nil(&b);
	mp_map_close(&b, map);
	assert_int_equal(buf_err(&b), 0);

	OPEN(b.data, b.len);
	assert_int_equal(opened, 0);
	assert_int_equal(mp_count(&root), 9);
	assert_int_equal(mp_get_str(&root, "id", &id), 0);
	assert_string_equal(id, "shop-1");
	mp_get_int(&root, "n", &i);
	mp_get_int(&root, "big", &big);
	mp_get_bool(&root, "yes", &yes);
	mp_get_double(&root, "d", &d);
	mp_get_fixed(&root, "bin", fixed, 3);
	mp_get_text(&root, "id", text, sizeof text);
	mp_get_bytes(&root, "raw", &bytes, &n);
	mp_get_array(&root, "names", &array);
	assert_int_equal(mp_err(&doc), 0);
	assert_int_equal(i, -129);
	assert_true(big == INT64_MIN);
	assert_true(yes);
	assert_true(d == 1.5);
	assert_memory_equal(fixed, "\0\1\2", 3);
	assert_string_equal(text, "shop-1");
	assert_int_equal(n, 2);
	assert_memory_equal(bytes, "\0x", 2);
	n = 0;
	for (struct mp_iter it = mp_iter(&array); mp_next(&it, &v); n++) {
		assert_int_equal(mp_as_text(&v, text, sizeof text), 0);
		assert_string_equal(text, names[n]);
	}
	assert_int_equal(n, 2);
	assert_false(mp_get(&root, "nil", &v));
	assert_false(mp_get(&root, "none", &v));
}

static void test_counts_of_all_widths(void **state)
{
	static const uint32_t counts[] = {0, 1, 15, 16, 17, 300, 20000};

	(void)state;
	for (size_t c = 0; c < ARRAY_LEN(counts); c++) {
		_buf_release_ struct buf b = BUF_INIT(1 << 20);
		size_t outer = mp_map_open(&b), array, map;
		struct mp a, m;
		int64_t last = -1;

		mp_key(&b, "a");
		array = mp_array_open(&b);
		for (uint32_t i = 0; i < counts[c]; i++)
			mp_uint(&b, i);
		mp_array_close(&b, array);
		mp_key(&b, "m");
		map = mp_map_open(&b);
		for (uint32_t i = 0; i < counts[c]; i++) {
			char key[16];
			snprintf(key, sizeof key, "%u", i);
			mp_key_int(&b, key, i);
		}
		mp_map_close(&b, map);
		mp_map_close(&b, outer);

		OPEN(b.data, b.len);
		assert_int_equal(opened, 0);
		assert_int_equal(mp_count(&root), 2);
		assert_int_equal(mp_get_array(&root, "a", &a), 0);
		assert_int_equal(mp_count(&a), counts[c]);
		assert_int_equal(mp_get_map(&root, "m", &m), 0);
		assert_int_equal(mp_count(&m), counts[c]);
		if (counts[c]) {
			char key[16];
			snprintf(key, sizeof key, "%u", counts[c] - 1);
			assert_int_equal(mp_get_int(&m, key, &last), 0);
			assert_int_equal(last, counts[c] - 1);
		}
	}
}

static void test_ints_of_all_widths(void **state)
{
	static const int64_t ints[] = {0, 1, 127, 128, 255, 256, 65535, 65536, UINT32_MAX,
		INT64_C(1) << 40, INT64_MAX, -1, -32, -33, -128, -129, -32768, -32769, INT32_MIN,
		-INT64_C(1099511627776), INT64_MIN};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ints); i++) {
		_buf_release_ struct buf b = BUF_INIT(64);
		int64_t v = 7;

		mp_int(&b, ints[i]);
		OPEN(b.data, b.len);
		assert_int_equal(opened, 0);
		assert_int_equal(mp_as_int(&root, &v), 0);
		assert_true(v == ints[i]);
	}
}

static void test_numbers_of_lua(void **state)
{
	int64_t v = 7;

	(void)state;
	{
		OPEN("\xca\x40\x40\x00\x00", 5); /* 3.0 as a float */
		assert_int_equal(opened, 0);
		assert_int_equal(mp_as_int(&root, &v), 0);
		assert_int_equal(v, 3);
	}
	{
		OPEN("\xca\x3f\xc0\x00\x00", 5); /* 1.5 */
		assert_int_equal(opened, 0);
		assert_int_equal(mp_as_int(&root, &v), CF_EPROTO);
		assert_string_equal(why.text, "an integer is expected, not a fraction");
	}
	{
		OPEN("\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9);
		assert_int_equal(opened, 0);
		assert_int_equal(mp_as_int(&root, &v), CF_EPROTO);
	}
	assert_int_equal(v, 3);
}

static void test_empty_array_reads_as_map(void **state)
{
	struct mp m, v;
	int64_t i = 5;

	(void)state;
	OPEN("\x81\xa1t\x90", 4);
	assert_int_equal(opened, 0);
	assert_int_equal(mp_get_map(&root, "t", &m), 0);
	assert_false(mp_get(&m, "x", &v));
	assert_int_equal(mp_opt_int(&m, "x", &i), 0);
	assert_int_equal(mp_get_int(&m, "x", &i), CF_EPROTO);
	assert_string_equal(why.text, "at t.x: it is missing");
	assert_int_equal(i, 5);
}

static void test_failures_name_path_and_expectation(void **state)
{
	char *s = NULL;
	char small[3] = "ab";
	int64_t i = 5;
	struct mp a, m, v;
	struct mp_iter it;

	(void)state;
	/* {"a": {"b": [1, "xyz"]}} */
	OPEN("\x81\xa1"
	     "a\x81\xa1"
	     "b\x92\x01\xa3xyz",
		12);
	assert_int_equal(opened, 0);
	assert_int_equal(mp_get_map(&root, "a", &m), 0);
	assert_int_equal(mp_get_array(&m, "b", &a), 0);
	it = mp_iter(&a);
	assert_true(mp_next(&it, &v));
	assert_int_equal(mp_as_str(&v, &s), CF_EPROTO);
	assert_string_equal(why.text, "at a.b[0]: a string is expected, not an integer");
	assert_null(s);
	/* The first failure stays. */
	assert_int_equal(mp_get_int(&root, "zzz", &i), CF_EPROTO);
	assert_string_equal(why.text, "at a.b[0]: a string is expected, not an integer");
	doc.err = 0;
	assert_int_equal(mp_as_int_in(&v, 2, 9, &i), CF_EPROTO);
	assert_string_equal(why.text, "at a.b[0]: an integer of 2 to 9 is expected, not 1");
	doc.err = 0;
	assert_true(mp_next(&it, &v));
	assert_int_equal(mp_as_text(&v, small, sizeof small), CF_EPROTO);
	assert_string_equal(why.text, "at a.b[1]: the string has 3 bytes, at most 2 are allowed");
	assert_string_equal(small, "ab");
	assert_false(mp_next(&it, &v));
	doc.err = 0;
	assert_false(mp_opt_map(&m, "b", &a));
	assert_int_equal(mp_err(&doc), CF_EPROTO);
	assert_string_equal(why.text, "at a.b: a map is expected, not an array");
	doc.err = 0;
	assert_int_equal(mp_fail(&m, CF_EVERSION, "version %d", 9), CF_EVERSION);
	assert_string_equal(why.text, "at a: version 9");
	assert_int_equal(i, 5);
}

static void test_hostile(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} bad[] = {
		{"", 0}, {"\xc1", 1}, /* never used */
		{"\xd4\x01\x00", 3},  /* ext */
		{"\xa5"
		 "abc",
			4},                  /* cut string */
		{"\xdb\xff\xff\xff\xff", 5}, /* 4 GiB string */
		{"\xdd\xff\xff\xff\xff", 5}, /* 4 G elements */
		{"\xdf\xff\xff\xff\xff\xa1"
		 "a",
			7},
		{"\x81\x01\x01", 3}, /* integer key */
		{"\x81\xa1"
		 "a",
			3},      /* key without value */
		{"\xcd\x01", 2}, /* cut integer */
		{"\x01\x01", 2}, /* two values */
	};
	int64_t i;

	(void)state;
	for (size_t b = 0; b < ARRAY_LEN(bad); b++) {
		OPEN(bad[b].bytes, bad[b].n);
		assert_int_equal(opened, CF_EPROTO);
		assert_true(why.text[0] != '\0');
		/* Getters on what did not open fail quietly and keep the first sentence. */
		assert_int_equal(mp_get_int(&root, "a", &i), CF_EPROTO);
		assert_int_equal(mp_err(&doc), CF_EPROTO);
	}
}

static void test_limits(void **state)
{
	_buf_release_ struct buf deep = BUF_INIT(1024), many = BUF_INIT(MP_MAX_BYTES + 10);

	(void)state;
	for (int i = 0; i < MP_MAX_DEPTH; i++)
		buf_addc(&deep, (char)0x91);
	buf_addc(&deep, 1);
	{
		OPEN(deep.data, deep.len);
		assert_int_equal(opened, 0);
	}
	{
		struct buf deeper = BUF_INIT(1024);
		buf_addc(&deeper, (char)0x91);
		buf_add(&deeper, deep.data, deep.len);
		OPEN(deeper.data, deeper.len);
		assert_int_equal(opened, CF_ETOOBIG);
		buf_release(&deeper);
	}
	{
		OPEN(many.data, MP_MAX_BYTES + 1);
		assert_int_equal(opened, CF_ETOOBIG);
	}
	buf_add(&many, "\xdd\x00\x01\x00\x00", 5);
	for (size_t i = 0; i < MP_MAX_ITEMS; i++)
		buf_addc(&many, 0);
	{
		OPEN(many.data, many.len);
		assert_int_equal(opened, CF_ETOOBIG);
	}
}

static void test_writer_over_its_limit(void **state)
{
	(void)state;
	for (size_t limit = 0; limit < 40; limit++) {
		_buf_release_ struct buf b = BUF_INIT(limit);
		size_t map = mp_map_open(&b), array;

		mp_key(&b, "names");
		array = mp_array_open(&b);
		for (int i = 0; i < 20; i++)
			mp_int(&b, i);
		mp_array_close(&b, array);
		mp_map_close(&b, map);
		if (limit < 30)
			assert_int_equal(buf_err(&b), CF_ETOOBIG);
		else
			assert_int_equal(buf_err(&b), 0);
	}
}

static void test_a_key_without_value_is_no_record(void **state)
{
	_buf_release_ struct buf b = BUF_INIT(64);
	size_t map = mp_map_open(&b);

	(void)state;
	mp_key(&b, "a");
	mp_map_close(&b, map);
	assert_int_equal(buf_err(&b), CF_ETOOBIG);
}

static void test_nul_in_text(void **state)
{
	char *s = NULL;

	(void)state;
	OPEN("\xa2"
	     "a\0",
		3);
	assert_int_equal(opened, 0);
	assert_int_equal(mp_as_str(&root, &s), CF_EPROTO);
	assert_string_equal(why.text, "the string holds a NUL");
	assert_null(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_map_round_trip),
		cmocka_unit_test(test_counts_of_all_widths),
		cmocka_unit_test(test_ints_of_all_widths),
		cmocka_unit_test(test_numbers_of_lua),
		cmocka_unit_test(test_empty_array_reads_as_map),
		cmocka_unit_test(test_failures_name_path_and_expectation),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_writer_over_its_limit),
		cmocka_unit_test(test_a_key_without_value_is_no_record),
		cmocka_unit_test(test_nul_in_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

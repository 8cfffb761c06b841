#include "common/str.h"

#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <string.h>

#define BAD "\xef\xbf\xbd"

static void test_clean(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"", ""},
		{"plain", "plain"},
		{"Bücher €10 \xf0\x9f\x94\x92", "Bücher €10 \xf0\x9f\x94\x92"},
		{"a\nb\tc\x1b[31m\x7f", "a?b?c?[31m?"},
		{"\xc2\x85", "?"}, /* NEL */
		{"\xe2\x80\xae"
		 "evil",
			"?evil"},        /* right-to-left override */
		{"\xe2\x81\xa6x", "?x"}, /* isolate */
		{"\xe2\x80\xa8", "?"},   /* line separator */
		{"\xef\xbb\xbfx", "?x"}, /* byte order mark */
		{"\xc0\xaf", BAD BAD},   /* overlong "/" */
		{"\xe0\x80\xaf", BAD BAD BAD},
		{"\xed\xa0\x80", BAD BAD BAD},         /* a surrogate */
		{"\xf4\x90\x80\x80", BAD BAD BAD BAD}, /* above U+10FFFF */
		{"\xff\xfe", BAD BAD},
		{"\x80", BAD},
		{"a\xe2\x82", "a" BAD BAD}, /* cut off */
		{"\xc3(", BAD "("},
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(
			str_clean(cases[i].in, strlen(cases[i].in), out, sizeof out), cases[i].out);
	assert_string_equal(str_clean("a\0b", 3, out, sizeof out), "a?b");
}

static void test_clean_cuts_on_an_edge(void **state)
{
	char out[8];

	(void)state;
	assert_string_equal(str_clean("123456789", 9, out, 8), "1234567");
	assert_string_equal(str_clean("12345ü€", 10, out, 8), "12345ü");
	assert_string_equal(str_clean("123456ü", 8, out, 8), "123456");
	assert_string_equal(str_clean("ü", 2, out, 1), "");
	assert_string_equal(str_clean("ü", 1, out, 8), BAD);
}

static void test_compare(void **state)
{
	char s[] = "AbC-Ü9Z";

	(void)state;
	assert_string_equal(str_lower(s), "abc-Ü9z");
	assert_true(str_ends_with("a.example", ".example"));
	assert_false(str_ends_with("ample", "example"));
	assert_true(str_starts_with("example", "exa"));
	assert_false(str_starts_with("ex", "exa"));
	assert_true(str_eq("a", "a") && str_eq(NULL, NULL));
	assert_false(str_eq("a", "b") || str_eq(NULL, "a") || str_eq("a", NULL));
}

static void test_parse_u64(void **state)
{
	static const char *const bad[] = {"", "-1", "+1", " 1", "1 ", "1a", "0x1",
		"18446744073709551616", "99999999999999999999", "000000000000000000001"};
	uint64_t v = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(str_parse_u64(bad[i], UINT64_MAX, &v), CF_EINVAL);
	assert_int_equal(str_parse_u64("101", 100, &v), CF_EINVAL);
	assert_int_equal(v, 7);
	assert_int_equal(str_parse_u64("18446744073709551615", UINT64_MAX, &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(str_parse_u64("100", 100, &v), 0);
	assert_int_equal(v, 100);
	assert_int_equal(str_parse_u64("0", 0, &v), 0);
	assert_int_equal(v, 0);
}

static void test_hex(void **state)
{
	unsigned char bytes[3] = {7, 7, 7};
	char text[7];

	(void)state;
	str_hex("\x00\xab\xff", 3, text);
	assert_string_equal(text, "00abff");
	assert_int_equal(str_unhex("00AbfF", bytes, 3), 0);
	assert_memory_equal(bytes, "\x00\xab\xff", 3);
	assert_int_equal(str_unhex("00abf", bytes, 3), CF_EINVAL);
	assert_int_equal(str_unhex("00abfff", bytes, 3), CF_EINVAL);
	assert_int_equal(str_unhex("00abxx", bytes, 3), CF_EINVAL);
	assert_int_equal(str_unhex("00ab f", bytes, 3), CF_EINVAL);
	assert_memory_equal(bytes, "\x00\xab\xff", 3);
	str_hex("", 0, text);
	assert_string_equal(text, "");
}

/* RFC 4648 section 10, without padding; base32 in lower case. */
static void test_rfc4648_vectors(void **state)
{
	static const struct {
		const char *plain, *base64, *base32;
	} cases[] = {
		{"", "", ""},
		{"f", "Zg", "my"},
		{"fo", "Zm8", "mzxq"},
		{"foo", "Zm9v", "mzxw6"},
		{"foob", "Zm9vYg", "mzxw6yq"},
		{"fooba", "Zm9vYmE", "mzxw6ytb"},
		{"foobar", "Zm9vYmFy", "mzxw6ytboi"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		_buf_release_ struct buf b64 = BUF_INIT(100), b32 = BUF_INIT(100),
					 back = BUF_INIT(100);

		str_base64url(&b64, cases[i].plain, strlen(cases[i].plain));
		str_base32(&b32, cases[i].plain, strlen(cases[i].plain));
		assert_string_equal(buf_cstr(&b64), cases[i].base64);
		assert_string_equal(buf_cstr(&b32), cases[i].base32);
		assert_int_equal(str_unbase64url(&back, b64.data, b64.len), 0);
		assert_string_equal(buf_cstr(&back), cases[i].plain);
	}
}

static void test_base64url_alphabet(void **state)
{
	_buf_release_ struct buf text = BUF_INIT(1000), back = BUF_INIT(1000);
	unsigned char all[256];

	(void)state;
	for (unsigned i = 0; i < 256; i++)
		all[i] = (unsigned char)i;
	str_base64url(&text, all, sizeof all);
	assert_null(strpbrk(text.data, "+/="));
	assert_int_equal(str_unbase64url(&back, text.data, text.len), 0);
	assert_int_equal(back.len, 256);
	assert_memory_equal(back.data, all, 256);
	buf_clear(&text);
	str_base64url(&text, "\xfb\xff\xbf", 3);
	assert_string_equal(buf_cstr(&text), "-_-_");
}

static void test_unbase64url_refuses(void **state)
{
	static const char *const bad[] = {
		"A", "AAAAA", "Zg==", "Zm8=", "Zh", "Zm9", "Z+9v", "Z/9v", "Z g", "Zg\n", "Z\xc3g"};
	_buf_release_ struct buf out = BUF_INIT(100), small = BUF_INIT(2);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(str_unbase64url(&out, bad[i], strlen(bad[i])), CF_EINVAL);
		assert_int_equal(out.len, 0);
	}
	assert_int_equal(str_unbase64url(&out, "Zg\0A", 4), CF_EINVAL);
	assert_int_equal(str_unbase64url(&small, "Zm9v", 4), CF_ETOOBIG);
}

static void test_json(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"", "\"\""},
		{"plain ü", "\"plain ü\""},
		{"a\"b\\c", "\"a\\\"b\\\\c\""},
		{"a\nb\x1b", "\"a?b?\""},
		{"\xff", "\"" BAD "\""},
		{"</script>", "\"</script>\""},
	};
	_buf_release_ struct buf small = BUF_INIT(4);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		_buf_release_ struct buf out = BUF_INIT(100);

		str_json(&out, cases[i].in);
		assert_string_equal(buf_cstr(&out), cases[i].out);
	}
	str_json(&small, "12345");
	assert_int_equal(buf_err(&small), CF_ETOOBIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean),
		cmocka_unit_test(test_clean_cuts_on_an_edge),
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_parse_u64),
		cmocka_unit_test(test_hex),
		cmocka_unit_test(test_rfc4648_vectors),
		cmocka_unit_test(test_base64url_alphabet),
		cmocka_unit_test(test_unbase64url_refuses),
		cmocka_unit_test(test_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

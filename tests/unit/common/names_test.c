#include "common/names.h"

#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <string.h>

static void test_accepted(void **state)
{
	static const struct {
		const char *text, *name;
	} good[] = {
		{"example.com", "example.com"},
		{"Shop.EXAMPLE.com.", "shop.example.com"},
		{"*.Example.com", "*.example.com"},
		{"Bücher.Example", "xn--bcher-kva.example"},
		{"BÜCHER.example.", "xn--bcher-kva.example"},
		{"*.bücher.example", "*.xn--bcher-kva.example"},
		{"XN--BCHER-KVA.example", "xn--bcher-kva.example"},
		{"straße.example", "xn--strae-oqa.example"}, /* non-transitional: not "strasse" */
		{"faß.de", "xn--fa-hia.de"},
		{"bu\xcc\x88"
		 "cher.example",
			"xn--bcher-kva.example"},           /* u and a combining diaeresis */
		{"例え。テスト", "xn--r8jz45g.xn--zckzah"}, /* ideographic full stop */
		{"a-b.1.example.co.uk", "a-b.1.example.co.uk"},
		{"user.github.io", "user.github.io"},
		{"github.io", "github.io"}, /* a private suffix: its owner may */
		{"*.github.io", "*.github.io"},
		{"www.ck", "www.ck"}, /* the exception to *.ck */
		{"foo.platform.example", "foo.platform.example"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct why why = {""};
		char out[NAME_SIZE];

		if (name_parse(good[i].text, out, &why))
			fail_msg("%s", why.text);
		assert_string_equal(out, good[i].name);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *rule;
	} bad[] = {
		{"", "a name is expected"}, {".", "empty label"}, {"*.", "a name is expected"},
		{"localhost", "two labels"}, {"com", "two labels"}, {"co.uk", "public suffix"},
		{"*.co.uk", "directly above a public suffix"}, {"*.com", "two labels"},
		{"foo.ck", "public suffix"}, {"公司.cn", "public suffix"},
		{"a..example.com", "empty label"}, {".example.com", "empty label"},
		{"example.com..", "empty label"}, {"_dmarc.example.com", "underscores"},
		{"a.*.example.com", "wildcard may only"}, {"*.*.example.com", "wildcard may only"},
		{"a*.example.com", "wildcard may only"},
		{"-a.example.com", "begin or end with a hyphen"},
		{"a-.example.com", "begin or end with a hyphen"},
		{"ab--c.example.com", "third and fourth"}, {"192.0.2.1", "IP addresses"},
		{"example.123", "IP addresses"}, {"2001:db8::1", "no address"},
		{"[::1]", "no address"}, {"https://example.com/", "no address"},
		{"example.com/path", "only letters"}, {"a b.example.com", "only letters"},
		{"a\nb.example.com", "only letters"},
		{"xn--zzzzzzzzzzz.example", "internationalized"},
		{"xn--a.example", "internationalized"}, {"xn--.example", "internationalized"},
		{"\xff\xfe.example", "internationalized"},
		{"a\xe2\x80\x8d"
		 "b.example",
			"internationalized"}, /* a zero-width joiner out of context */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct why why = {""};
		char out[NAME_SIZE] = "untouched";

		if (name_parse(bad[i].text, out, &why) != CF_EINVAL)
			fail_msg("\"%s\" was accepted as \"%s\"", bad[i].text, out);
		assert_string_equal(out, "untouched");
		if (!strstr(why.text, bad[i].rule))
			fail_msg("%s", why.text);
	}
}

static void fill(char *out, size_t labels, size_t label_bytes, const char *end)
{
	*out = '\0';
	for (size_t i = 0; i < labels; i++) {
		memset(out, 'a', label_bytes);
		out += label_bytes;
		*out++ = '.';
	}
	strcpy(out, end);
}

static void test_lengths(void **state)
{
	char text[1200], out[NAME_SIZE];

	(void)state;
	fill(text, 1, 63, "example.com");
	assert_int_equal(name_parse(text, out, NULL), 0);
	fill(text, 1, 64, "example.com");
	assert_int_equal(name_parse(text, out, NULL), CF_EINVAL);
	fill(text, 3, 63, "x1234567890123456789012345678901234567890123456789012345.com"); /* 252 */
	assert_int_equal(strlen(text), 252);
	assert_int_equal(name_parse(text, out, NULL), 0);
	strcat(text, ".");
	assert_int_equal(name_parse(text, out, NULL), 0);
	fill(text, 3, 63, "x123456789012345678901234567890123456789012345678901234567.com");
	assert_int_equal(strlen(text), 254);
	assert_int_equal(name_parse(text, out, NULL), CF_EINVAL);
	fill(text + 2, 3, 63, "x1234567890123456789012345678901234567890123456789012345.com");
	memcpy(text, "*.", 2); /* 254 with the star */
	assert_int_equal(name_parse(text, out, NULL), CF_EINVAL);
	memset(text, 'a', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	assert_int_equal(name_parse(text, out, NULL), CF_EINVAL);
	assert_int_equal(name_parse_host(text, out, NULL), CF_EINVAL);
}

static void test_a_hostile_name_is_quoted_clean(void **state)
{
	struct why why;
	char out[NAME_SIZE];

	(void)state;
	assert_int_equal(name_parse("\x1b[31mevil\xff.example", out, &why), CF_EINVAL);
	assert_null(strchr(why.text, 0x1b));
	assert_non_null(strstr(why.text, "?[31mevil\xef\xbf\xbd"));
}

static void test_hosts(void **state)
{
	static const char *const good[] = {
		"localhost", "redis", "co.uk", "ns1.acme.platform.example"};
	static const char *const bad[] = {"*.example.com", "", "1.2.3.4", "a_b", "a:80"};
	char out[NAME_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_int_equal(name_parse_host(good[i], out, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(name_parse_host(bad[i], out, NULL), CF_EINVAL);
	assert_int_equal(name_parse_host("Ingress.Platform.Example.", out, NULL), 0);
	assert_string_equal(out, "ingress.platform.example");
}

static void test_unicode(void **state)
{
	char out[256], small[8];

	(void)state;
	name_to_unicode("*.xn--bcher-kva.example", out, sizeof out);
	assert_string_equal(out, "*.bücher.example");
	name_to_unicode("shop.example.com", out, sizeof out);
	assert_string_equal(out, "shop.example.com");
	name_to_unicode("xn--zzzzzzzzzzz.example", out, sizeof out);
	assert_string_equal(out, "xn--zzzzzzzzzzz.example");
	name_to_unicode("shop.example.com", small, sizeof small);
	assert_string_equal(small, "shop.ex");
}

static void test_covers(void **state)
{
	(void)state;
	assert_true(name_covers("*.example.com", "a.example.com"));
	assert_false(name_covers("*.example.com", "example.com"));
	assert_false(name_covers("*.example.com", "a.b.example.com"));
	assert_false(name_covers("*.example.com", "*.example.com"));
	assert_false(name_covers("*.example.com", "aexample.com"));
	assert_false(name_covers("a.example.com", "a.example.com"));
	assert_false(name_covers("*.example.com", ".example.com"));
	assert_false(name_covers("*.b.example.com", "*.a.b.example.com"));
}

static void test_registered_domain(void **state)
{
	static const struct {
		const char *name, *domain;
	} cases[] = {
		{"a.b.example.com", "example.com"},
		{"example.com", "example.com"},
		{"*.shop.example.co.uk", "example.co.uk"},
		{"x.user.github.io", "user.github.io"},
		{"github.io", "github.io"},
		{"a.www.ck", "www.ck"},
		{"a.b.foo.ck", "b.foo.ck"},
		{"a.b.example", "b.example"},
		{"a.xn--55qx5d.cn", "a.xn--55qx5d.cn"},
		{"*.example.com", "example.com"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(name_registered_domain(cases[i].name), cases[i].domain);
}

static void test_is_under(void **state)
{
	(void)state;
	assert_true(name_is_under("example.com", "example.com"));
	assert_true(name_is_under("a.example.com", "example.com"));
	assert_true(name_is_under("*.example.com", "example.com"));
	assert_false(name_is_under("aexample.com", "example.com"));
	assert_false(name_is_under("com", "example.com"));
	assert_false(name_is_under("example.com", "a.example.com"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_a_hostile_name_is_quoted_clean),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_unicode),
		cmocka_unit_test(test_covers),
		cmocka_unit_test(test_registered_domain),
		cmocka_unit_test(test_is_under),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Locations of redirects, as servers write them. */
#include "worker/net/http_url.h"

#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define BASE "http://shop.example/.well-known/acme-challenge/token"

static const struct {
	const char *location, *text, *host, *path;
	uint16_t port;
	bool https, literal;
} right[] = {
	{"https://Shop.Example/x?y=1#z", "https://Shop.Example/x?y=1", "shop.example", "/x", 443,
		true, false},
	{"/login", "http://shop.example/login", "shop.example", "/login", 80, false, false},
	{"//www.shop.example", "http://www.shop.example/", "www.shop.example", "/", 80, false,
		false},
	{"next", "http://shop.example/.well-known/acme-challenge/next", "shop.example",
		"/.well-known/acme-challenge/next", 80, false, false},
	{"http://a:b@shop.example:8080/", "http://shop.example:8080/", "shop.example", "/", 8080,
		false, false},
	{"https://shop.example.well-known/acme-challenge/token",
		"https://shop.example.well-known/acme-challenge/token", "shop.example.well-known",
		"/acme-challenge/token", 443, true, false},
	{"http://shop.example./", NULL, "shop.example", "/", 80, false, false},
	{"http://169.254.169.254/", "http://169.254.169.254/", "169.254.169.254", "/", 80, false,
		true},
	{"http://[::1]/", "http://[::1]/", "[::1]", "/", 80, false, true},
	{"http://2130706433/", "http://127.0.0.1/", "127.0.0.1", "/", 80, false, true},
	{"http://0x7f.1/", "http://127.0.0.1/", "127.0.0.1", "/", 80, false, true},
};

static void what_is_right_is_taken_apart(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(right); i++) {
		struct http_url u;
		struct why why = {""};

		if (http_url_join(BASE, right[i].location, &u, &why))
			fail_msg("%s: %s", right[i].location, why.text);
		if (right[i].text)
			assert_string_equal(strstr(u.text, "//"), strstr(right[i].text, "//"));
		assert_string_equal(u.host, right[i].host);
		assert_string_equal(u.path, right[i].path);
		assert_int_equal(u.port, right[i].port);
		assert_int_equal(u.https, right[i].https);
		assert_int_equal(u.literal, right[i].literal);
	}
}

static void what_is_wrong_is_refused(void **state)
{
	static const char *const wrong[] = {"ftp://shop.example/", "javascript:alert(1)",
		"file:///etc/passwd", "http://", "http://b\303\274cher.example/",
		"http://a.example/\001", "http://a.example:99999/", "mailto:a@b.example"};
	struct http_url u = {.port = 7};
	struct why why;
	_mem_free_ char *long_one = mem_printf("http://a.example/%0*d", HTTP_URL_MAX, 1);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		why.text[0] = '\0';
		if (!http_url_join(BASE, wrong[i], &u, &why))
			fail_msg("%s was taken for %s", wrong[i], u.text);
		assert_true(why.text[0]);
	}
	assert_int_equal(http_url_join(BASE, long_one, &u, NULL), CF_EINVAL);
	assert_int_equal(http_url_join(NULL, "/relative", &u, NULL), CF_EINVAL);
	assert_int_equal(u.port, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_right_is_taken_apart),
		cmocka_unit_test(what_is_wrong_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

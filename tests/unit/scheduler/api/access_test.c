/* Who may do what: tokens, hosts, other sites' pages, tenants, links. */
#include "scheduler/api/access.h"

#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *const hosts[] = {"dash.example", "127.0.0.1", "::1", "localhost"};

static struct access_tokens *parse(const char *text)
{
	struct access_tokens *t = NULL;
	struct why why = {""};

	if (access_tokens_parse(text, strlen(text), &t, &why))
		fail_msg("%s", why.text);
	return t;
}

static void expect_refused(const char *text, const char *says)
{
	struct access_tokens *t = NULL;
	struct why why = {""};

	assert_true(access_tokens_parse(text, strlen(text), &t, &why) < 0);
	assert_null(t);
	if (!strstr(why.text, says))
		fail_msg("\"%s\" does not say \"%s\"", why.text, says);
}

static void tokens_are_found_by_themselves(void **state)
{
	char secret[ACCESS_SECRET_SIZE], hash[65], text[400];
	const struct access_identity *who;
	struct access_tokens *t;

	(void)state;
	access_new_secret(secret);
	assert_int_equal(strlen(secret), 46);
	access_hash(secret, hash);
	snprintf(text, sizeof text,
		"# who may do what\n\nops write - "
		"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n"
		"acme-ro\tread  acme\t%s # theirs\r\n",
		hash);
	t = parse(text);
	assert_int_equal(access_tokens_n(t), 2);
	who = access_tokens_find(t, secret);
	assert_non_null(who);
	assert_string_equal(who->name, "acme-ro");
	assert_string_equal(who->tenant, "acme");
	assert_int_equal(who->scope, ACCESS_READ);
	who = access_tokens_find(t, "test"); /* SHA-256 of "test", by everybody's tools */
	assert_non_null(who);
	assert_string_equal(who->name, "ops");
	assert_string_equal(who->tenant, "");
	assert_null(access_tokens_find(t, "Test"));
	assert_null(access_tokens_find(t, ""));
	assert_ptr_equal(access_tokens_named(t, "ops"), who);
	assert_null(access_tokens_named(t, "nobody"));
	access_tokens_free(t);
	access_tokens_free(parse(""));
}

#define HASH "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

static void wrong_files_are_refused_by_line(void **state)
{
	struct access_tokens *t = NULL;
	struct why why = {""};

	(void)state;
	expect_refused("ops write -\n", "line 1: expected a name");
	expect_refused("\nops write - " HASH " more\n", "line 2: expected a name");
	expect_refused("o/s write - " HASH "\n", "line 1: a name has");
	expect_refused("ops admin - " HASH "\n", "line 1: the scope is");
	expect_refused("ops write a/b " HASH "\n", "line 1: a tenant");
	expect_refused("ops write - abc\n", "line 1: the SHA-256");
	expect_refused("ops write - " HASH "\nops read - " HASH "\n", "line 2: the name \"ops\"");
	assert_int_equal(access_tokens_parse("a\0b", 3, &t, &why), CF_EINVAL);
	assert_non_null(strstr(why.text, "NUL"));
}

static void too_much_is_refused(void **state)
{
	_mem_free_ char *text = mem_alloc(ACCESS_FILE_MAX + 1);
	struct access_tokens *t = NULL;
	size_t n = 0;

	(void)state;
	memset(text, '#', ACCESS_FILE_MAX + 1);
	assert_int_equal(access_tokens_parse(text, ACCESS_FILE_MAX + 1, &t, NULL), CF_ETOOBIG);
	for (int i = 0; i <= ACCESS_TOKENS_MAX; i++)
		n += (size_t)snprintf(text + n, ACCESS_FILE_MAX - n, "t%d read - " HASH "\n", i);
	assert_int_equal(access_tokens_parse(text, n, &t, NULL), CF_ETOOBIG);
}

static void browsers_are_not_turned_against_us(void **state)
{
	const struct {
		struct access_request r;
		bool body;
		enum access_denial want;
	} rows[] = {
		{{.host = "dash.example"}, false, ACCESS_OK},
		{{.host = "DASH.example:8080"}, false, ACCESS_OK},
		{{.host = "[::1]:8080"}, false, ACCESS_OK},
		{{.host = NULL}, false, ACCESS_NO_HOST},
		{{.host = ""}, false, ACCESS_NO_HOST},
		{{.host = "[::1"}, false, ACCESS_NO_HOST},
		/* DNS rebinding: an attacker's name that leads here. */
		{{.host = "evil.example:8080"}, false, ACCESS_FOREIGN_HOST},
		{{.host = "dash.example.evil.example"}, false, ACCESS_FOREIGN_HOST},
		/* A program. */
		{{.host = "dash.example", .changes = true, .content_type = "application/json"},
			true, ACCESS_OK},
		{{.host = "dash.example", .changes = true}, false, ACCESS_OK},
		/* Our own page. */
		{{.host = "dash.example",
			 .changes = true,
			 .by_cookie = true,
			 .origin = "https://dash.example",
			 .content_type = "application/json"},
			true, ACCESS_OK},
		{{.host = "dash.example:8080",
			 .changes = true,
			 .by_cookie = true,
			 .fetch_site = "same-origin"},
			false, ACCESS_OK},
		/* Another site's page. */
		{{.host = "dash.example",
			 .changes = true,
			 .by_cookie = true,
			 .origin = "https://evil.example",
			 .content_type = "application/json"},
			true, ACCESS_FOREIGN_SITE},
		{{.host = "dash.example:8080",
			 .changes = true,
			 .origin = "http://dash.example:9090"},
			false, ACCESS_FOREIGN_SITE},
		{{.host = "dash.example", .changes = true, .origin = "null"}, false,
			ACCESS_FOREIGN_SITE},
		{{.host = "dash.example",
			 .changes = true,
			 .by_cookie = true,
			 .fetch_site = "cross-site"},
			false, ACCESS_FOREIGN_SITE},
		{{.host = "dash.example", .changes = true, .by_cookie = true}, false,
			ACCESS_FOREIGN_SITE},
		/* A form. */
		{{.host = "dash.example",
			 .changes = true,
			 .content_type = "application/x-www-form-urlencoded"},
			true, ACCESS_NOT_JSON},
		{{.host = "dash.example", .changes = true, .content_type = "text/plain"}, true,
			ACCESS_NOT_JSON},
		{{.host = "dash.example",
			 .changes = true,
			 .content_type = "application/json; charset=utf-8"},
			true, ACCESS_OK},
		{{.host = "dash.example", .changes = true}, true, ACCESS_NOT_JSON},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum access_denial got =
			access_judge(&rows[i].r, hosts, ARRAY_LEN(hosts), rows[i].body);

		if (got != rows[i].want)
			fail_msg("row %zu: %d, expected %d", i, got, rows[i].want);
	}
}

static void scopes_tenants_and_links_bound_what_is_seen(void **state)
{
	const struct access_identity ops = {.name = "ops", .scope = ACCESS_WRITE};
	const struct access_identity acme = {
		.name = "acme", .scope = ACCESS_READ, .tenant = "acme"};
	const struct access_identity link = {
		.name = "link", .scope = ACCESS_READ, .tenant = "acme", .endpoint = "shop"};

	(void)state;
	assert_true(access_allows(&ops, true, "acme", "shop"));
	assert_true(access_allows(&acme, false, "acme", "shop"));
	assert_false(access_allows(&acme, true, "acme", "shop"));
	assert_false(access_allows(&acme, false, "other", "shop"));
	assert_true(access_allows(&link, false, "acme", "shop"));
	assert_false(access_allows(&link, false, "acme", "wiki"));
	assert_false(access_allows(&link, true, "acme", "shop"));
}

static void headers_are_read(void **state)
{
	char value[16];

	(void)state;
	assert_true(access_cookie("a=1; sid=abc; b=2", "sid", value, sizeof value));
	assert_string_equal(value, "abc");
	assert_true(access_cookie("sid=", "sid", value, sizeof value));
	assert_string_equal(value, "");
	assert_false(access_cookie("xsid=abc", "sid", value, sizeof value));
	assert_false(access_cookie("sid=0123456789abcdef", "sid", value, sizeof value));
	assert_false(access_cookie(NULL, "sid", value, sizeof value));
	assert_false(access_cookie(";;;", "sid", value, sizeof value));
	assert_string_equal(access_bearer("Bearer  x"), "x");
	assert_string_equal(access_bearer("bearer x"), "x");
	assert_null(access_bearer("Bearer "));
	assert_null(access_bearer("Basic x"));
	assert_null(access_bearer(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tokens_are_found_by_themselves),
		cmocka_unit_test(wrong_files_are_refused_by_line),
		cmocka_unit_test(too_much_is_refused),
		cmocka_unit_test(browsers_are_not_turned_against_us),
		cmocka_unit_test(scopes_tenants_and_links_bound_what_is_seen),
		cmocka_unit_test(headers_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

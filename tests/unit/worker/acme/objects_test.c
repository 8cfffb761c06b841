#include "worker/acme/objects.h"

#include "common/mem.h"
#include "worker/acme/nonces.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct why why;

static void test_directory(void **state)
{
	static const char full[] =
		"{\"newNonce\":\"https://ca/n\",\"newAccount\":\"https://ca/"
		"a\",\"newOrder\":\"https://ca/o\","
		"\"renewalInfo\":\"https://ca/r\",\"random\":\"https://"
		"x\",\"meta\":{\"termsOfService\":\"https://ca/t\","
		"\"caaIdentities\":[\"CA.example\",7],\"externalAccountRequired\":true,"
		"\"profiles\":{\"classic\":\"x\"}}}";
	static const char bare[] = "{\"newNonce\":\"https://ca/n\",\"newAccount\":\"https://ca/"
				   "a\",\"newOrder\":\"https://ca/o\"}";
	static const char *const bad[] = {"", "[]", "<html>", "{}",
		"{\"newNonce\":\"https://ca/n\"}",
		"{\"newNonce\":\"ftp://ca/n\",\"newAccount\":\"https://ca/"
		"a\",\"newOrder\":\"https://ca/o\"}",
		"{\"newNonce\":\"https://ca/n\",\"newAccount\":\"https://ca/"
		"a\",\"newOrder\":\"http://ca/o\"}"};
	struct ca_directory d;

	(void)state;
	assert_int_equal(ca_directory_parse(full, strlen(full), false, &d, &why), 0);
	assert_string_equal(d.renewal_info, "https://ca/r");
	assert_null(d.revoke_cert);
	assert_true(d.eab_required);
	assert_int_equal(d.n_caa, 1);
	assert_string_equal(d.caa[0], "ca.example");
	assert_string_equal(d.profiles[0], "classic");
	ca_directory_release(&d);
	assert_int_equal(ca_directory_parse(bare, strlen(bare), false, &d, &why), 0); /* case 5 */
	assert_null(d.terms);
	ca_directory_release(&d);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(
			ca_directory_parse(bad[i], strlen(bad[i]), false, &d, &why), CF_EPROTO);
	assert_int_equal(
		ca_directory_parse(full, OBJECT_BYTES_MAX + 1, false, &d, &why), CF_ETOOBIG);
}

static void test_order(void **state)
{
	static const char text[] =
		"{\"status\":\"invalid\",\"expires\":\"2027-01-01T00:00:00Z\",\"finalize\":\"https:"
		"//ca/f\","
		"\"authorizations\":[\"https://ca/1\",\"https://ca/2\"],\"replaces\":\"a.b\","
		"\"error\":{\"type\":\"urn:ietf:params:acme:error:caa\",\"detail\":\"no\"}}";
	static const char *const bad[] = {"{\"status\":\"odd\",\"finalize\":\"https://ca/f\"}",
		"{\"status\":\"ready\"}",
		"{\"status\":\"ready\",\"finalize\":\"https://ca/f\",\"authorizations\":[1]}",
		"{\"status\":\"ready\",\"finalize\":\"https://ca/\\\"\"}"};
	struct ca_order o;

	(void)state;
	assert_int_equal(ca_order_parse(text, strlen(text), &o, &why), 0);
	assert_int_equal(o.status, CA_INVALID);
	assert_int_equal(o.n_authorizations, 2);
	assert_true(o.expires_wall_ms > 0 && o.replaces);
	assert_string_equal(o.error->type, "caa");
	ca_order_release(&o);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(ca_order_parse(bad[i], strlen(bad[i]), &o, &why), CF_EPROTO);
}

static void test_authorization(void **state)
{
	static const char text[] =
		"{\"status\":\"pending\",\"identifier\":{\"type\":\"dns\",\"value\":\"A.Example\"},"
		"\"wildcard\":true,\"challenges\":["
		"{\"type\":\"dns-persist-01\",\"url\":\"https://ca/p\",\"status\":\"pending\"},"
		"{\"type\":\"dns-01\",\"url\":\"https://ca/d\",\"token\":\"to/ken\"},"
		"{\"type\":\"dns-01\",\"url\":\"https://ca/"
		"d\",\"token\":\"to-ken_1\",\"status\":\"pending\"},7,"
		"{\"type\":\"odd-01\",\"error\":{\"type\":\"urn:ietf:params:acme:error:dns\"}}]}";
	static const char *const bad[] = {
		"{\"status\":\"pending\",\"identifier\":{\"type\":\"ip\",\"value\":\"1.2.3.4\"}}",
		"{\"status\":\"pending\",\"identifier\":{\"type\":\"dns\",\"value\":\"a b\"}}",
		"{\"status\":\"pending\"}"};
	struct ca_authz a;

	(void)state;
	assert_int_equal(ca_authz_parse(text, strlen(text), &a, &why), 0);
	assert_string_equal(a.name, "a.example");
	assert_true(a.wildcard);
	assert_int_equal(a.n_challenges, 1); /* case 4, case 14 */
	assert_string_equal(a.challenges[0].token, "to-ken_1");
	assert_string_equal(a.error->type, "dns");
	ca_authz_release(&a);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(ca_authz_parse(bad[i], strlen(bad[i]), &a, &why), CF_EPROTO);
}

static void test_renewal(void **state)
{
	static const char text[] = "{\"suggestedWindow\":{\"start\":\"2026-01-01T00:00:00Z\","
				   "\"end\":\"2026-01-02T00:00:00Z\"},"
				   "\"explanationURL\":\"https://ca/why\"}";
	static const char backwards[] = "{\"suggestedWindow\":{\"start\":\"2026-01-02T00:00:00Z\","
					"\"end\":\"2026-01-02T00:00:00Z\"}}";
	struct acme_renewal r;

	(void)state;
	assert_int_equal(ca_renewal_parse(text, strlen(text), &r, &why), 0);
	assert_int_equal(r.end_wall_ms - r.start_wall_ms, 86400000);
	assert_string_equal(r.explanation_url, "https://ca/why");
	free((char *)r.explanation_url);
	assert_int_equal(ca_renewal_parse(backwards, strlen(backwards), &r, &why), CF_EPROTO);
	assert_int_equal(ca_renewal_parse("{}", 2, &r, &why), CF_EPROTO);
}

static void test_retry_after(void **state)
{
	static const struct {
		const char *value;
		int64_t ms;
	} cases[] = {
		{NULL, 0},
		{"", 0},
		{"120", 120000},
		{"0", 0},
		{"-5", 0},
		{" 7 ", 7000},
		{"7x", 0},
		{"99999999999999999999999", RETRY_AFTER_MAX_MS},
		{"86400000", RETRY_AFTER_MAX_MS},
		{"Sun, 06 Nov 1994 08:49:37 GMT", 37000},
		{"Sunday, 06-Nov-94 08:49:37 GMT", 37000},
		{"Sun Nov  6 08:49:37 1994", 37000},
		{"Sun, 06 Nov 1994 08:48:59 GMT", 0},
		{"Sun, 06 Nov 2094 08:48:59 GMT", RETRY_AFTER_MAX_MS},
		{"soon", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (retry_after_parse(cases[i].value, INT64_C(784111740000)) != cases[i].ms)
			fail_msg("%s", cases[i].value);
}

static void on_link(void *arg, const char *target, const char *rel)
{
	char *seen = arg;

	snprintf(seen + strlen(seen), 512 - strlen(seen), "%s=%s|", rel, target);
}

static void test_links(void **state)
{
	static const char *const cases[][2] = {
		{"<https://ca/1>;rel=\"alternate\"", "alternate=https://ca/1|"},
		{"<https://ca/1>; title=\"a,b;c\\\"\"; rel=\"up Index\", <https://ca/2> ; REL = "
		 "next",
			"up=https://ca/1|index=https://ca/1|next=https://ca/2|"},
		{"<https://ca/1>", "=https://ca/1|"},
		{"<https://ca/1>;rel=\"open", ""},
		{"<https://ca/1", ""},
		{"nonsense", ""},
		{"<a>;rel=x junk, <b>;rel=y", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char seen[512] = "";

		link_each(cases[i][0], on_link, seen);
		assert_string_equal(seen, cases[i][1]);
	}
}

static void test_problem(void **state)
{
	static const char text[] = "{\"type\":\"urn:ietf:params:acme:error:compound\",\"detail\":"
				   "\"two\",\"status\":403,\"subproblems\":["
				   "{\"type\":\"urn:ietf:params:acme:error:caa\",\"detail\":\"x\","
				   "\"identifier\":{\"type\":\"dns\",\"value\":\"A.example\"}},"
				   "{\"type\":\"urn:ietf:params:acme:error:dns\",\"identifier\":{"
				   "\"value\":\"b.example\"}},5]}";
	struct acme_failure f = {0};
	struct problem p;

	(void)state;
	assert_int_equal(problem_parse(text, strlen(text), &p), 0);
	assert_int_equal(p.n_subs, 2);
	problem_to_failure(&p, 403, 0, &f);
	assert_string_equal(f.code, "caa");
	assert_int_equal(f.class, ACME_OWNER);
	assert_int_equal(f.n_rejected, 2);
	assert_string_equal(f.rejected[0], "a.example");
	assert_string_equal(f.failed_name, "");
	problem_release(&p);
	failure_release(&f);
	assert_int_equal(problem_parse("nonsense", 8, &p), CF_EPROTO);
	assert_int_equal(problem_parse("{\"type\":5,\"detail\":[]}", 22, &p), 0);
	assert_string_equal(p.type, "");
	problem_release(&p);
}

static void test_problem_classes(void **state)
{
	static const struct {
		const char *json;
		int status;
		int64_t retry_ms;
		enum acme_class class;
		const char *code;
	} cases[] = {
		{NULL, 503, 0, ACME_BACKOFF, "serverInternal"},
		{NULL, 404, 0, ACME_OTHER_AUTHORITY, "other"},
		{NULL, 429, 60000, ACME_WAIT_UNTIL, "rateLimited"},
		{NULL, 429, 0, ACME_BACKOFF, "rateLimited"},
		{"{\"type\":\"urn:ietf:params:acme:error:rateLimited\"}", 503, 5000,
			ACME_WAIT_UNTIL, "rateLimited"},
		{"{\"type\":\"urn:ietf:params:acme:error:rateLimited\",\"detail\":\"temporarily "
		 "prevented from requesting "
		 "certificates: see https://ca/sfe/v1/unpause?x\"}",
			429, 0, ACME_OPERATOR, "rateLimited"},
		{"{\"type\":\"urn:ietf:params:acme:error:unauthorized\"}", 403, 0, ACME_OPERATOR,
			"unauthorized"},
		{"{\"type\":\"urn:ietf:params:acme:error:unauthorized\"}", 0, 0, ACME_OWNER,
			"unauthorized"},
		{"{\"type\":\"urn:ietf:params:acme:error:malformed\"}", 500, 0, ACME_BACKOFF,
			"malformed"},
		{"{\"type\":\"about:blank\"}", 400, 0, ACME_OTHER_AUTHORITY, "other"},
		{"{\"type\":\"https://evil/x\"}", 0, 0, ACME_OWNER, "other"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct acme_failure f = {0};
		struct problem p = {0};

		if (cases[i].json)
			assert_int_equal(
				problem_parse(cases[i].json, strlen(cases[i].json), &p), 0);
		problem_to_failure(
			cases[i].json ? &p : NULL, cases[i].status, cases[i].retry_ms, &f);
		if (f.class != cases[i].class || strcmp(f.code, cases[i].code) != 0)
			fail_msg("case %zu: %s %s", i, f.code, acme_class_name(f.class));
		assert_true(f.detail[0]);
		if (f.class == ACME_OPERATOR && cases[i].status == 429)
			assert_string_equal(f.instance, "https://ca/sfe/v1/unpause?x");
		problem_release(&p);
		failure_release(&f);
	}
}

static void test_nonces(void **state)
{
	struct nonces *p = mem_zalloc(sizeof(*p));
	char text[32], *got;

	(void)state;
	assert_null(nonces_take(p, 0));
	nonces_put(p, "bad nonce", 0);
	nonces_put(p, NULL, 0);
	assert_null(nonces_take(p, 0));
	for (int i = 0; i < NONCES_MAX + 10; i++) {
		snprintf(text, sizeof(text), "n%d", i);
		nonces_put(p, text, i);
	}
	assert_int_equal(p->n, NONCES_MAX);
	got = nonces_take(p, 300);
	assert_string_equal(got, "n265"); /* the newest first */
	free(got);
	assert_null(nonces_take(p, NONCE_AGE_MS + 1000)); /* all too old */
	nonces_release(p);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_directory),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_authorization),
		cmocka_unit_test(test_renewal),
		cmocka_unit_test(test_retry_after),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_problem),
		cmocka_unit_test(test_problem_classes),
		cmocka_unit_test(test_nonces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Which names edges are asked for, and what an endpoint keeps of what was seen. */
#include "common/clock.h"
#include "common/mem.h"
#include "tests/unit/testca.h"
#include "worker/jobs/proof_look.h"
#include "worker/jobs/verify_internal.h"
#include "worker/probe/proof.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOW INT64_C(1795000000000)

static struct endpoint e;
static struct proof p;

static void put_name(size_t i, const char *name, enum record_status traffic)
{
	struct name_verdict *n = &e.verdict.names[i];

	snprintf(n->name, sizeof n->name, "%s", name);
	n->traffic.status = traffic;
}

static int setup(void **state)
{
	EVP_PKEY *key;
	X509 *x;
	unsigned char *der = NULL;

	(void)state;
	if (keypair_make(KEY_P256, &key))
		return -1;
	x = testca_make(&(struct testca_spec){.cn = "x",
		.san = "DNS:shop.example.com,DNS:cdn.example.com,DNS:*.apps.example.com,"
		       "DNS:new.example.com",
		.serial_hex = "0f",
		.key = key,
		.issuer_key = key,
		.not_before_ms = NOW,
		.not_after_ms = NOW + CLOCK_DAY_MS});
	e = (struct endpoint){.has_cert = true, .has_verdict = true};
	e.cert.der_len = (size_t)i2d_X509(x, &der);
	e.cert.der = mem_dup(der, e.cert.der_len);
	snprintf(e.cert.serial, sizeof e.cert.serial, "0f");
	e.verdict.names = mem_array(5, sizeof *e.verdict.names);
	OPENSSL_free(der);
	X509_free(x);
	EVP_PKEY_free(key);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	endpoint_release(&e);
	certificate_cache_clear();
	return 0;
}

static void names_are_asked_where_they_point_here(void **state)
{
	struct proof_name names[5] = {0};
	_mem_free_ struct diagnosis *cdn = mem_zalloc(sizeof *cdn);

	(void)state;
	put_name(0, "shop.example.com", RECORD_RIGHT);
	put_name(1, "left-out.example.com", RECORD_RIGHT);
	put_name(2, "*.apps.example.com", RECORD_RIGHT);
	put_name(3, "new.example.com", RECORD_WRONG);
	put_name(4, "cdn.example.com", RECORD_RIGHT);
	e.verdict.names_n = 5;
	diagnosis_init(cdn, "cdn_in_front", "cdn.example.com");
	verify_add_diagnosis(&e.verdict, cdn);
	assert_int_equal(verify_proof_names(&e, &e.verdict, names), 4);
	assert_string_equal(names[0].name, "shop.example.com");
	assert_true(names[0].resolved);
	assert_string_equal(names[1].name, "certfleet-proof.apps.example.com");
	assert_false(names[1].resolved);
	assert_string_equal(names[2].name, "new.example.com");
	assert_false(names[2].resolved);
	assert_string_equal(names[3].name, "cdn.example.com");
	assert_false(names[3].resolved);
}

/* Of an internal one no record says where it points. */
static void an_internal_name_is_asked_where_it_resolves(void **state)
{
	struct proof_name names[5] = {0};

	(void)state;
	e.config.type = ENDPOINT_INTERNAL;
	assert_int_equal(verify_proof_names(&e, &e.verdict, names), 4);
	assert_true(names[0].resolved && names[2].resolved);
	assert_false(names[1].resolved); /* the wildcard's */
	e.config.type = ENDPOINT_EXTERNAL;
}

static void see(const char *at, const char *code)
{
	const struct proof_case c = {.endpoint = "shop", .cert = &e.cert, .now_ms = NOW};
	struct served_seen seen = {.name = "shop.example.com"};

	snprintf(seen.at, sizeof seen.at, "%s", at);
	snprintf(seen.code, sizeof seen.code, "%s", code);
	proof_sum(&c, &seen, 1, &p);
}

static size_t found(const char *code)
{
	for (size_t i = 0; i < e.verdict.diagnoses_n; i++)
		if (!strcmp(e.verdict.diagnoses[i].code, code))
			return i;
	return e.verdict.diagnoses_n;
}

static void what_was_seen_is_kept_until_it_is_right(void **state)
{
	struct served was = {.status = SERVED_OK, .serial = "0a", .proven = "0a"};

	(void)state;
	see("192.0.2.1:443", "served_old");
	verify_put_proof(&e, &p, &was, NOW);
	assert_int_equal(e.verdict.served.status, SERVED_STALE);
	assert_string_equal(e.verdict.served.serial, "0f");
	assert_string_equal(e.verdict.served.proven, "0a");
	assert_int_equal(e.verdict.served.tries, 1);
	assert_true(e.verdict.diagnoses[found("served_old")].since_ms == NOW);

	was = e.verdict.served;
	see("192.0.2.1:443", "served_old");
	p.found[0].since_ms = NOW + 5;
	verify_put_proof(&e, &p, &was, NOW + 5);
	assert_int_equal(e.verdict.served.tries, 2);
	assert_true(e.verdict.served.looked_ms == NOW + 5);
	assert_true(e.verdict.diagnoses[found("served_old")].since_ms == NOW); /* still that one */

	was = e.verdict.served;
	see("192.0.2.1:443", SERVED_UNREACHED); /* says nothing of the certificate */
	verify_put_proof(&e, &p, &was, NOW + 7);
	assert_int_equal(e.verdict.served.status, SERVED_UNREACHABLE);
	assert_int_equal(e.verdict.served.tries, 3);
	assert_int_equal(found("served_old"), e.verdict.diagnoses_n);

	was = e.verdict.served;
	see("192.0.2.1:443", "");
	verify_put_proof(&e, &p, &was, NOW + 9);
	assert_int_equal(e.verdict.served.status, SERVED_OK);
	assert_int_equal(e.verdict.served.tries, 0);
	assert_string_equal(e.verdict.served.proven, "0f");
	assert_int_equal(e.verdict.diagnoses_n, 1); /* the CDN's, which is another matter */
}

static const char *words(const struct served *was, const struct served *now)
{
	static char text[256];
	_buf_release_ struct buf b = BUF_INIT(1024);

	verify_served_words(was, now, &b);
	snprintf(text, sizeof text, "%s", buf_cstr(&b));
	return text;
}

static void the_timeline_tells_each_step_once(void **state)
{
	struct served was = {.status = SERVED_OK, .serial = "0a", .looked_ms = 1}, now;

	(void)state;
	see("192.0.2.1:443", "served_old");
	now = p.served;
	snprintf(now.serial, sizeof now.serial, "0f");
	assert_string_equal(words(&was, &now), ""); /* nothing was looked at */
	now.looked_ms = NOW;
	assert_string_equal(words(&was, &now),
		"serial 0f at 0 of 1 addresses; behind: 192.0.2.1:443 (served_old)");
	was = now;
	now.looked_ms++;
	now.tries++;
	assert_string_equal(words(&was, &now), "");
	snprintf(now.behind[0].code, sizeof now.behind[0].code, "served_chain");
	assert_string_equal(words(&was, &now),
		"serial 0f at 0 of 1 addresses; behind: 192.0.2.1:443 (served_chain)");
	now = (struct served){SERVED_OK, 1, 1, .looked_ms = NOW, .serial = "0f"};
	assert_string_equal(words(&was, &now), "serial 0f at 1 of 1 addresses");
	now = (struct served){.looked_ms = NOW, .serial = "0f", .why = "no_worker"};
	assert_string_equal(words(&was, &now), "");
}

static void an_alert_says_at_how_many(void **state)
{
	static struct condition c[CONDITIONS_MAX];
	struct served was = {.serial = "0f", .tries = 3};

	(void)state;
	see("192.0.2.1:443", "served_old");
	verify_put_proof(&e, &p, &was, NOW);
	e.cert.not_before_ms = NOW;
	e.cert.not_after_ms = NOW + CLOCK_DAY_MS;
	assert_int_equal(verify_conditions(&e, NOW, NOW + 5, 0, c), 1);
	assert_string_equal(c[0].code, "served_old");
	assert_string_equal(c[0].actor, "operator");
	assert_non_null(strstr(
		c[0].text, "Served at 0 of 1 addresses; behind: 192.0.2.1:443 (served_old). "));
	assert_non_null(strstr(c[0].fix, "Reload the edge at 192.0.2.1:443"));
	e.verdict.served.tries = 2; /* edges need some time */
	assert_int_equal(verify_conditions(&e, NOW, NOW + 5, 0, c), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_asked_where_they_point_here),
		cmocka_unit_test(an_internal_name_is_asked_where_it_resolves),
		cmocka_unit_test(what_was_seen_is_kept_until_it_is_right),
		cmocka_unit_test(the_timeline_tells_each_step_once),
		cmocka_unit_test(an_alert_says_at_how_many),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

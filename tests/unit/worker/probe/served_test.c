/* Every code of what an edge can serve, told apart. */
#include "worker/probe/served.h"

#include "common/clock.h"
#include "common/mem.h"
#include "tests/unit/testca.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOW INT64_C(1795000000000)
#define DAY CLOCK_DAY_MS

static EVP_PKEY *key;
static X509 *root, *middle, *stranger;

static X509 *make(const char *cn, const char *san, const char *serial, X509 *issuer,
	int64_t from_ms, int64_t to_ms)
{
	return testca_make(&(struct testca_spec){.cn = cn,
		.san = san,
		.serial_hex = serial,
		.key = key,
		.issuer = issuer,
		.issuer_key = key,
		.ca = !san,
		.not_before_ms = from_ms,
		.not_after_ms = to_ms});
}

static void add(struct chain *c, X509 *x)
{
	unsigned char *der = NULL;
	int n = i2d_X509(x, &der);

	c->certs = mem_grow(c->certs, c->n + 1, sizeof *c->certs);
	c->certs[c->n++] = (struct chain_cert){.der = mem_dup(der, (size_t)n), .len = (size_t)n};
	OPENSSL_free(der);
}

enum who { OURS, OLD, PROVEN, EXPIRED, OTHER, NAMELESS };

static const struct {
	enum who leaf;
	bool middle, root;
	const char *code;
} rows[] = {
	{OURS, true, false, ""},
	{OURS, true, true, ""},
	{OURS, false, false, "served_chain"},
	{OURS, false, true, "served_chain"},
	{OLD, true, false, "served_old"},
	{PROVEN, false, false, "served_old"},
	{EXPIRED, true, false, "served_expired"},
	{OTHER, false, false, "served_other"},
	{NAMELESS, true, false, "served_name"},
};

static X509 *leaf_of(enum who who)
{
	switch (who) {
	case OLD:
		return make("x", "DNS:shop.example.com", "0a", middle, NOW - 60 * DAY, NOW + DAY);
	case PROVEN:
		return make("x", "DNS:*.example.com", "0b", stranger, NOW, NOW + DAY);
	case EXPIRED:
		return make("x", "DNS:shop.example.com", "0c", middle, NOW - 60 * DAY, NOW - DAY);
	case OTHER:
		return make("x", "DNS:shop.example.com", "0d", stranger, NOW - DAY, NOW + DAY);
	case NAMELESS:
		return make("x", "DNS:other.example.com", "0e", middle, NOW - DAY, NOW + DAY);
	case OURS:
		break;
	}
	return make("x", "DNS:shop.example.com", "0f", middle, NOW - DAY, NOW + 60 * DAY);
}

static void judge(enum who who, bool with_middle, bool with_root, int64_t now, const char *want)
{
	struct handshake_result r = {.end = HANDSHAKE_PRESENTED};
	struct chain mine = {0};
	X509 *ours = leaf_of(OURS), *leaf = leaf_of(who);
	struct served_case c = {.before = "0b", .name = "shop.example.com", .now_ms = now};
	struct served_seen seen;

	add(&mine, ours);
	c.der = mine.certs[0].der;
	c.der_len = mine.certs[0].len;
	add(&r.chain, who == OURS ? ours : leaf);
	if (with_middle)
		add(&r.chain, middle);
	if (with_root)
		add(&r.chain, root);
	served_judge(&c, &r, &seen);
	assert_string_equal(seen.code, want);
	assert_string_equal(seen.name, "shop.example.com");
	assert_non_null(strstr(seen.what, "serial "));
	assert_true(seen.serial[0] && seen.from_ms > 0 && seen.ends_ms > seen.from_ms);
	assert_true(served_is_wrong(seen.code) == (want[0] != '\0'));
	chain_release(&mine);
	chain_release(&r.chain);
	X509_free(ours);
	X509_free(leaf);
}

static void codes_are_told_apart(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		judge(rows[i].leaf, rows[i].middle, rows[i].root, NOW, rows[i].code);
	judge(OURS, true, false, NOW + 61 * DAY, "served_expired");
}

static void without_a_certificate(void **state)
{
	static const struct {
		enum handshake_end end;
		const char *code;
		bool wrong;
	} ends[] = {
		{HANDSHAKE_FAILED, "served_handshake", true},
		{HANDSHAKE_UNREACHABLE, SERVED_UNREACHED, false},
		{HANDSHAKE_FORBIDDEN, SERVED_NOT_ALLOWED, false},
	};
	struct handshake_result r = {.why = "unrecognized name"};
	const struct served_case c = {.before = "", .name = "a.example.com"};
	struct served_seen seen;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		r.end = ends[i].end;
		served_judge(&c, &r, &seen);
		assert_string_equal(seen.code, ends[i].code);
		assert_string_equal(seen.what, "unrecognized name");
		assert_true(!seen.serial[0] && !seen.ends_ms);
		assert_true(served_is_wrong(seen.code) == ends[i].wrong);
	}
	r.end = HANDSHAKE_PRESENTED;
	r.chain.certs = &(struct chain_cert){.der = (unsigned char *)"\x30\x00", .len = 2};
	r.chain.n = 1;
	served_judge(&c, &r, &seen);
	assert_string_equal(seen.code, "served_handshake");
}

static int setup(void **state)
{
	(void)state;
	if (keypair_make(KEY_P256, &key))
		return -1;
	root = make("Root", NULL, "01", NULL, NOW - 90 * DAY, NOW + 900 * DAY);
	middle = make("Middle", NULL, "02", root, NOW - 90 * DAY, NOW + 900 * DAY);
	stranger = make("Stranger", NULL, "03", NULL, NOW - 90 * DAY, NOW + 900 * DAY);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	certificate_cache_clear();
	X509_free(root);
	X509_free(middle);
	X509_free(stranger);
	EVP_PKEY_free(key);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(codes_are_told_apart),
		cmocka_unit_test(without_a_certificate),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

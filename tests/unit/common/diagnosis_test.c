/* Diagnoses: the table, the one rendering, and the codec. */
#include "common/diagnosis.h"

#include "common/mp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW INT64_C(1800000000000) /* 2027-01-15T08:00:00Z */

/* Design section 7. */
static const char *const codes[] = {"record_missing", "cname_elsewhere", "cname_typo",
	"label_not_yours", "label_old", "target_doubled", "name_doubled", "name_typo", "wrong_type",
	"cname_beside_others", "txt_shadows", "challenge_delegated", "cname_loop", "chain_long",
	"wildcard_answers", "wildcard_would_hide", "apex_cname", "addresses_elsewhere",
	"addresses_mixed", "aaaa_elsewhere", "aaaa_unreachable", "cdn_in_front", "servers_disagree",
	"lame_server", "lame_delegation", "ns_dangling", "servers_silent", "tcp_refused",
	"nxdomain", "servfail", "dnssec_bogus", "dnssec_ds", "zone_ds", "zone_not_delegated",
	"caa_forbids", "caa_wildcard", "caa_account", "caa_critical", "caa_unreadable",
	"split_view", "probe_foreign", "probe_redirect", "redirect_slash", "probe_refused",
	"probe_timeout", "held_elsewhere", "ca_disagrees", "our_outage", "served_other",
	"served_old", "served_expired", "served_chain", "served_name", "served_handshake"};

static void the_table_has_every_code_once(void **state)
{
	size_t n;
	const struct diagnosis_kind *k = diagnosis_kinds(&n);

	(void)state;
	assert_int_equal(n, sizeof codes / sizeof *codes);
	for (size_t i = 0; i < n; i++) {
		assert_ptr_equal(diagnosis_kind(k[i].code), &k[i]);
		assert_true(k[i].means[0] && k[i].advice[0] && k[i].why[0]);
		assert_true(strlen(k[i].code) <= ENDPOINT_CODE_MAX);
		assert_null(strchr(k[i].means, '\n'));
	}
	for (size_t i = 0; i < n; i++)
		assert_non_null(diagnosis_kind(codes[i]));
	assert_null(diagnosis_kind("no_such"));
}

static void missing(struct diagnosis *d)
{
	diagnosis_init(d, "record_missing", "shop.example.com");
	snprintf(d->record, sizeof d->record, "_acme-challenge.shop.example.com CNAME");
	snprintf(d->expected, sizeof d->expected, "CNAME abc.acme.platform.example");
	diagnosis_observe(d, "ns1.dns.example 192.0.2.1", "NXDOMAIN", 300);
	diagnosis_observe(d, "ns2.dns.example 192.0.2.2", "NXDOMAIN", 300);
	snprintf(d->fix, sizeof d->fix, "first line\nsecond line");
	snprintf(d->effect, sizeof d->effect, "The renewal will fail.");
	d->effect_ms = NOW + 1000;
	d->since_ms = NOW - 3600000;
	d->next_check_ms = NOW + 60000;
}

static void said(const struct diagnosis *d, const char *expected)
{
	_buf_release_ struct buf out = BUF_INIT(4096);

	diagnosis_sentence(d, &out);
	assert_string_equal(buf_cstr(&out), expected);
}

static void a_sentence_says_what_was_expected_and_found(void **state)
{
	struct diagnosis d;

	(void)state;
	missing(&d);
	said(&d,
		"_acme-challenge.shop.example.com CNAME: the record does not exist; expected CNAME "
		"abc.acme.platform.example, found NXDOMAIN at all 2 servers");
	snprintf(d.observed[1].what, sizeof d.observed[1].what, "CNAME x.example");
	said(&d,
		"_acme-challenge.shop.example.com CNAME: the record does not exist; expected CNAME "
		"abc.acme.platform.example, found NXDOMAIN at ns1.dns.example 192.0.2.1, and CNAME "
		"x.example at ns2.dns.example 192.0.2.2");
	diagnosis_init(&d, "caa_forbids", "shop.example.com");
	snprintf(d.authority, sizeof d.authority, "letsencrypt");
	said(&d, "shop.example.com: CAA forbids this authority (authority letsencrypt)");
	diagnosis_init(&d, "of_the_future", "");
	said(&d, "of_the_future");
}

static void a_text_has_everything(void **state)
{
	_buf_release_ struct buf out = BUF_INIT(4096);
	struct diagnosis d;

	(void)state;
	missing(&d);
	diagnosis_text(&d, NOW, &out);
	assert_string_equal(buf_cstr(&out),
		"_acme-challenge.shop.example.com CNAME: the record does not exist\n"
		"  code      record_missing, warning; to act: owner\n"
		"  expected  CNAME abc.acme.platform.example\n"
		"  found     ns1.dns.example 192.0.2.1  NXDOMAIN (TTL 300 s)\n"
		"            ns2.dns.example 192.0.2.2  NXDOMAIN (TTL 300 s)\n"
		"  to do     first line\n"
		"            second line\n"
		"  effect    The renewal will fail.\n"
		"  since     2027-01-15T07:00:00.000Z\n"
		"  next look 2027-01-15T08:01:00.000Z, in 1m\n");
}

static void hostile_words_are_cleaned_and_many_are_counted(void **state)
{
	struct diagnosis d;
	char longer[400];

	(void)state;
	diagnosis_init(&d, "cname_elsewhere", "a.example");
	memset(longer, 'x', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	diagnosis_observe(&d, "ns\x1b[31m", "TXT \"a\r\nb\"", 0);
	for (int i = 0; i < DIAGNOSIS_OBSERVED_MAX + 2; i++)
		diagnosis_observe(&d, longer, longer, 0);
	assert_string_equal(d.observed[0].server, "ns?[31m");
	assert_string_equal(d.observed[0].what, "TXT \"a??b\"");
	assert_int_equal(d.observed_n, DIAGNOSIS_OBSERVED_MAX);
	assert_int_equal(d.observed_more, 3);
	assert_int_equal(strlen(d.observed[1].what), sizeof d.observed[1].what - 1);
}

static void the_gravest_come_first(void **state)
{
	struct diagnosis d[3];

	(void)state;
	diagnosis_init(&d[0], "label_old", "a");
	diagnosis_init(&d[1], "record_missing", "b");
	diagnosis_init(&d[2], "nxdomain", "c");
	diagnoses_sort(d, 3);
	assert_string_equal(d[0].name, "c");
	assert_string_equal(d[1].name, "b");
	assert_string_equal(d[2].name, "a");
	assert_false(diagnosis_same(&d[0], &d[1]));
	assert_true(diagnosis_same(&d[0], &d[0]));
}

static void it_reads_back_as_it_was(void **state)
{
	_buf_release_ struct buf out = BUF_INIT(65536);
	struct diagnosis d[2], *back = NULL;
	size_t n = 0;
	struct why why;

	(void)state;
	missing(&d[0]);
	diagnosis_init(&d[1], "caa_account", "b.example");
	snprintf(d[1].authority, sizeof d[1].authority, "letsencrypt");
	snprintf(d[1].provider, sizeof d[1].provider, "Cloudflare");
	assert_int_equal(diagnoses_encode(d, 2, &out), 0);
	assert_int_equal(diagnoses_decode(out.data, out.len, &back, &n, &why), 0);
	assert_int_equal(n, 2);
	for (int i = 0; i < 2; i++) {
		_buf_release_ struct buf a = BUF_INIT(4096), b = BUF_INIT(4096);

		diagnosis_text(&d[i], NOW, &a);
		diagnosis_text(&back[i], NOW, &b);
		assert_string_equal(buf_cstr(&a), buf_cstr(&b));
	}
	assert_string_equal(back[1].provider, "Cloudflare");
	assert_int_equal(back[0].effect_ms, NOW + 1000);
	free(back);
}

static void refused(const struct buf *b, int err, const char *says)
{
	struct diagnosis *d = NULL;
	size_t n = 7;
	struct why why = {""};

	assert_int_equal(diagnoses_decode(b->data, b->len, &d, &n, &why), err);
	assert_null(d);
	assert_int_equal(n, 7);
	assert_non_null(strstr(why.text, says));
}

static void what_it_does_not_know_is_refused(void **state)
{
	_buf_release_ struct buf future = BUF_INIT(4096), many = BUF_INIT(65536);
	_buf_release_ struct buf map = BUF_INIT(4096), grave = BUF_INIT(4096);
	struct diagnosis d;
	size_t a;

	(void)state;
	a = mp_array_open(&future);
	mp_int(&future, 2);
	mp_array_close(&future, a);
	refused(&future, CF_EVERSION, "version 2");
	a = mp_array_open(&many);
	mp_int(&many, 1);
	for (int i = 0; i < DIAGNOSES_MAX + 1; i++)
		mp_nil(&many);
	mp_array_close(&many, a);
	refused(&many, CF_ETOOBIG, "at most 16");
	a = mp_map_open(&map);
	mp_map_close(&map, a);
	refused(&map, CF_EPROTO, "array");
	missing(&d);
	d.severity = (enum diagnosis_severity)7;
	assert_int_equal(diagnoses_encode(&d, 1, &grave), 0);
	refused(&grave, CF_EPROTO, "s");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_has_every_code_once),
		cmocka_unit_test(a_sentence_says_what_was_expected_and_found),
		cmocka_unit_test(a_text_has_everything),
		cmocka_unit_test(hostile_words_are_cleaned_and_many_are_counted),
		cmocka_unit_test(the_gravest_come_first),
		cmocka_unit_test(it_reads_back_as_it_was),
		cmocka_unit_test(what_it_does_not_know_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "worker/diagnose/facts.h"

#include "common/mem.h"
#include "common/str.h"
#include "tests/unit/worker/dns/reply_aid.h"
#include "worker/dns/dnskey.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct fact_answer *answer(struct facts *f, const struct reply_aid *m, const char *zone)
{
	struct dns_result *r = reply_aid_read(m);
	struct ask q = {zone ? ASK_SERVERS : ASK_RESOLVER, m->type, m->name};
	struct fact *fact = facts_add(f, &q, 1);

	facts_answer(f, &fact->answers[0], "ns1.dns.example", r, zone);
	dns_result_free(r);
	return &fact->answers[0];
}

static void expect_end(const struct reply_aid *m, const char *zone, enum fact_end end)
{
	struct facts *f = facts_new();
	struct fact_answer *a = answer(f, m, zone);

	if (a->end != end)
		fail_msg("%s instead of %s", fact_end_word(a->end), fact_end_word(end));
	facts_free(f);
}

static void test_bag(void **state)
{
	struct facts *f = facts_new();
	char owner[32];
	(void)state;

	for (unsigned i = 0; i < FACTS_MAX; i++) {
		snprintf(owner, sizeof(owner), "n%u.example", i);
		struct fact *fact = facts_add(f, &(struct ask){ASK_SERVERS, DNS_A, owner}, i % 3);
		assert_non_null(fact);
		assert_ptr_equal(facts_at(f, i), fact);
		for (size_t j = 0; j < fact->n; j++)
			assert_int_equal(fact->answers[j].end, FACT_SKIPPED);
	}
	assert_null(facts_add(f, &(struct ask){ASK_SERVERS, DNS_A, "more.example"}, 1));
	assert_int_equal(facts_n(f), FACTS_MAX);
	assert_string_equal(
		facts_find(f, ASK_SERVERS, DNS_A, "n7.example")->ask.owner, "n7.example");
	assert_null(facts_find(f, ASK_RESOLVER, DNS_A, "n7.example"));
	assert_null(facts_find(f, ASK_SERVERS, DNS_AAAA, "n7.example"));
	assert_null(facts_find(f, ASK_SERVERS, DNS_A, "n7.example.com"));
	assert_null(facts_at(f, FACTS_MAX));
	facts_free(f);
	facts_free(NULL);
}

/* What a server of shop.example says of a name in it. */
static void test_ends_at_a_server(void **state)
{
	struct reply_aid m;
	const char *zone = "shop.example", *name = "www.shop.example";
	(void)state;

	m = reply_aid(name, DNS_A, REPLY_AA);
	reply_aid_a(&m, REPLY_ANSWER, name, 60, "192.0.2.1");
	expect_end(&m, zone, FACT_RECORDS);
	m = reply_aid(name, DNS_A, 0);
	reply_aid_a(&m, REPLY_ANSWER, name, 60, "192.0.2.1");
	expect_end(&m, zone, FACT_LAME); /* out of a cache */
	m = reply_aid(name, DNS_A, REPLY_AA);
	expect_end(&m, zone, FACT_NODATA);
	m = reply_aid(name, DNS_A, REPLY_AA | 3);
	expect_end(&m, zone, FACT_NXDOMAIN);
	m = reply_aid(name, DNS_A, 5);
	expect_end(&m, zone, FACT_LAME);
	m = reply_aid(name, DNS_A, 9);
	expect_end(&m, zone, FACT_LAME);
	m = reply_aid(name, DNS_A, 2);
	expect_end(&m, zone, FACT_SERVFAIL);
	m = reply_aid(name, DNS_A, 4);
	expect_end(&m, zone, FACT_ERROR);
	m = reply_aid(name, DNS_A, 0);
	reply_aid_name(&m, REPLY_AUTHORITY, name, DNS_NS, 60, "ns.elsewhere.example");
	expect_end(&m, zone, FACT_REFERRAL);
	m = reply_aid(name, DNS_A, 0); /* upwards, to itself, beside the name */
	reply_aid_name(&m, REPLY_AUTHORITY, ".", DNS_NS, 60, "a.root.example");
	expect_end(&m, zone, FACT_LAME);
	m = reply_aid(name, DNS_A, 0);
	reply_aid_name(&m, REPLY_AUTHORITY, zone, DNS_NS, 60, "ns.elsewhere.example");
	expect_end(&m, zone, FACT_LAME);
	m = reply_aid(name, DNS_A, 0);
	reply_aid_name(&m, REPLY_AUTHORITY, "mail.shop.example", DNS_NS, 60, "ns.x.example");
	expect_end(&m, zone, FACT_LAME);
	m = reply_aid(
		"shop.example", DNS_NS, REPLY_AA); /* the root's servers, and the root's zone */
	reply_aid_name(&m, REPLY_AUTHORITY, "example", DNS_NS, 60, "ns.x.example");
	expect_end(&m, ".", FACT_NODATA);
}

static void expect_status(enum dns_status status, bool tcp, const char *zone, enum fact_end end)
{
	struct facts *f = facts_new();
	struct dns_result *r = dns_result_new("a.example", DNS_A, status);
	struct fact *fact = facts_add(f, &(struct ask){ASK_SERVERS, DNS_A, "a.example"}, 1);

	r->tcp = tcp;
	facts_answer(f, &fact->answers[0], "x", r, zone);
	if (fact->answers[0].end != end)
		fail_msg("%s: %s instead of %s", dns_status_word(status),
			fact_end_word(fact->answers[0].end), fact_end_word(end));
	dns_result_free(r);
	facts_free(f);
}

static void test_ends_without_an_answer(void **state)
{
	(void)state;

	expect_status(DNS_TIMEOUT, false, "example", FACT_TIMEOUT);
	expect_status(DNS_TIMEOUT, true, "example", FACT_TCP_REFUSED);
	expect_status(DNS_NETWORK, false, "example", FACT_NETWORK);
	expect_status(DNS_NETWORK, true, "example", FACT_TCP_REFUSED);
	expect_status(DNS_NETWORK, true, NULL, FACT_NETWORK); /* our own resolver's trouble */
	expect_status(DNS_BOGUS, false, NULL, FACT_BOGUS);
	expect_status(DNS_REFUSED, false, NULL, FACT_ERROR);
	expect_status(DNS_MALFORMED, false, "example", FACT_ERROR);
	expect_status(DNS_CANCELED, false, "example", FACT_SKIPPED);
	assert_string_equal(fact_end_word(FACT_TCP_REFUSED), "tcp_refused");
}

static void test_hops(void **state)
{
	struct facts *f = facts_new();
	struct reply_aid m = reply_aid("a.example", DNS_A, REPLY_AA);
	(void)state;

	reply_aid_name(&m, REPLY_ANSWER, "a.example", DNS_CNAME, 300, "B.Example");
	reply_aid_name(&m, REPLY_ANSWER, "b.example", DNS_CNAME, 30, "c.elsewhere");
	struct fact_answer *a = answer(f, &m, "example");
	assert_int_equal(a->end, FACT_NODATA);
	assert_true(a->elsewhere);
	assert_int_equal(a->n_hops, 2);
	assert_string_equal(a->hops[0], "b.example");
	assert_string_equal(a->hops[1], "c.elsewhere");
	assert_int_equal(a->ttl_s, 30);
	assert_false(a->loop);

	reply_aid_soa(&m, "elsewhere", 20, 10);
	a = answer(f, &m, "example");
	assert_false(a->elsewhere); /* it serves the end, too, and denies */
	assert_int_equal(a->ttl_s, 10);

	m = reply_aid("a.example", DNS_CNAME, REPLY_AA);
	reply_aid_name(&m, REPLY_ANSWER, "example", DNS_DNAME, 40, "example.org");
	reply_aid_name(&m, REPLY_ANSWER, "a.example", DNS_CNAME, 40, "a.example.org");
	a = answer(f, &m, "example");
	assert_int_equal(a->end, FACT_RECORDS);
	assert_true(a->dname);
	assert_int_equal(a->n_hops, 1);
	assert_string_equal(a->hops[0], "a.example.org");
	assert_string_equal(a->records[0], "a.example.org");

	m = reply_aid("a.example", DNS_CNAME, REPLY_AA);
	reply_aid_name(&m, REPLY_ANSWER, "a.example", DNS_CNAME, 40, "a.example");
	assert_true(answer(f, &m, "example")->loop);
	facts_free(f);
}

static void test_texts(void **state)
{
	static const struct {
		uint16_t type;
		const char *rdata;
		size_t n;
		const char *text;
	} rows[] = {
		{DNS_A, "\xc0\0\2\1", 4, "192.0.2.1"},
		{DNS_AAAA, "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16, "2001:db8::1"},
		{DNS_NS, "\2Ns\1x\0", 6, "ns.x"},
		{DNS_TXT, "\2ab\3c\nd", 7, "abc?d"},
		{DNS_CAA, "\0\5issueca.example", 17, "0 issue \"ca.example\""},
		{DNS_CAA, "\x80\3TBS\xff", 6, "128 tbs \"\xef\xbf\xbd\""},
		{DNS_DS, "\x30\x39\xd\2\xab\xcd", 6, "12345 13 2 abcd"},
		{DNS_DNSKEY, "\1\1\3\xd\xab", 5, "257 3 13 44814"},
		{65280, "\1\2", 2, "\\# 2 0102"},
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct facts *f = facts_new();
		struct reply_aid m = reply_aid("a.example", rows[i].type, REPLY_AA);

		reply_aid_rr(
			&m, REPLY_ANSWER, "a.example", rows[i].type, 60, rows[i].rdata, rows[i].n);
		struct fact_answer *a = answer(f, &m, "example");
		assert_int_equal(a->n_records, 1);
		assert_string_equal(a->records[0], rows[i].text);
		assert_int_equal(a->raw[0].type, rows[i].type);
		facts_free(f);
	}
}

static void test_many_and_long(void **state)
{
	struct facts *f = facts_new();
	struct reply_aid m = reply_aid("a.example", DNS_A, REPLY_AA);
	char txt[256] = "\xff";
	(void)state;

	for (int i = 0; i < 40; i++)
		reply_aid_a(&m, REPLY_ANSWER, "a.example", 60, "192.0.2.1");
	struct fact_answer *a = answer(f, &m, "example");
	assert_int_equal(a->n_records, FACT_RECORDS_MAX);
	assert_int_equal(a->n_more, 8);
	m = reply_aid("a.example", DNS_TXT, REPLY_AA);
	memset(txt + 1, 'x', 255);
	char all[4 * sizeof(txt)];
	for (size_t i = 0; i < 4; i++)
		memcpy(all + i * sizeof(txt), txt, sizeof(txt));
	reply_aid_rr(&m, REPLY_ANSWER, "a.example", DNS_TXT, 60, all, sizeof(all));
	a = answer(f, &m, "example");
	assert_int_equal(strlen(a->records[0]), FACT_TEXT_MAX);
	assert_int_equal(a->raw[0].txt.len, 4 * 255);
	facts_free(f);
}

/* RFC 4509 section 2.3: the key of dskey.example.com and its DS. */
static void test_key_of_a_ds(void **state)
{
	static const char key_hex[] =
		"0100030501039e8a247418e318903b215a848acfd5f37f026bd4062db26c774c690968d5d56df8bf"
		"da91e6f36d9a279888f41333357c5e6029990d10fdf5663062a512763326980a615ddbf17a05ddfc"
		"ce7e5fb3abcca05a31b0957452d4521e83870789063115bf97f6c308ccf57cdc9ce7fe10f6ed1bd0"
		"cc0660038c50dcdb0feb963c2f17";
	static const char ds_hex[] =
		"ec450502d4b7d520e7bb5f0f67674a0cceb1e3e0614b93c4f9e99b8383f6a1e4469da50a";
	uint8_t key[(sizeof(key_hex) - 1) / 2], ds[(sizeof(ds_hex) - 1) / 2];
	(void)state;

	assert_int_equal(str_unhex(key_hex, key, sizeof(key)), 0);
	assert_int_equal(str_unhex(ds_hex, ds, sizeof(ds)), 0);
	assert_int_equal(dnskey_tag(key, sizeof(key)), 60485);
	assert_true(dnskey_is_named("DSkey.example.com", key, sizeof(key), ds, sizeof(ds)));
	assert_false(dnskey_is_named("key.example.com", key, sizeof(key), ds, sizeof(ds)));
	for (size_t n = 0; n < sizeof(ds); n++)
		assert_false(dnskey_is_named("dskey.example.com", key, sizeof(key), ds, n));
	assert_false(dnskey_is_named("dskey.example.com", key, 3, ds, sizeof(ds)));
	ds[3] = 3; /* a digest that we cannot make */
	assert_true(dnskey_is_named("dskey.example.com", key, sizeof(key), ds, sizeof(ds)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bag),
		cmocka_unit_test(test_ends_at_a_server),
		cmocka_unit_test(test_ends_without_an_answer),
		cmocka_unit_test(test_hops),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_many_and_long),
		cmocka_unit_test(test_key_of_a_ds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

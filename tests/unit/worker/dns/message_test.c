#include "worker/dns/message.h"

#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct msg {
	uint8_t bytes[4096];
	size_t n;
};

static void add(struct msg *m, const void *bytes, size_t n)
{
	memcpy(m->bytes + m->n, bytes, n);
	m->n += n;
}

static void add16(struct msg *m, unsigned v)
{
	add(m, (uint8_t[]){(uint8_t)(v >> 8), (uint8_t)v}, 2);
}

static void add_name(struct msg *m, const char *name)
{
	uint8_t wire[DNSNAME_MAX_BYTES];
	size_t n;

	assert_int_equal(dnsname_from_text(name, wire, &n), 0);
	add(m, wire, n);
}

static struct msg answer_to(const char *name, unsigned type, unsigned flags)
{
	struct msg m = {.n = 0};

	add16(&m, 0x1234);
	add16(&m, 0x8000 | flags);
	add(&m, "\0\1\0\0\0\0\0\0", 8);
	add_name(&m, name);
	add16(&m, type);
	add16(&m, 1);
	return m;
}

/* section: 7 answer, 9 authority, 11 additional: where the count's low byte stands. */
static void add_rr(
	struct msg *m, int section, const char *owner, unsigned type, const void *rdata, size_t n)
{
	m->bytes[section]++;
	add_name(m, owner);
	add16(m, type);
	add16(m, 1);
	add(m, "\0\0\1\0", 4); /* 256 s */
	add16(m, (unsigned)n);
	add(m, rdata, n);
}

static void add_rr_name(
	struct msg *m, int section, const char *owner, unsigned type, const char *target)
{
	uint8_t wire[DNSNAME_MAX_BYTES];
	size_t n;

	assert_int_equal(dnsname_from_text(target, wire, &n), 0);
	add_rr(m, section, owner, type, wire, n);
}

static struct dns_result *read_answer(const char *name, uint16_t type, const struct msg *m)
{
	uint8_t wire[DNSNAME_MAX_BYTES];
	size_t n;
	uint8_t *exact = mem_dup(m->bytes, m->n);

	assert_int_equal(dnsname_from_text(name, wire, &n), 0);
	struct dns_result *r = dns_result_read(wire, n, type, exact, m->n);
	free(exact); /* nothing is borrowed from the message */
	return r;
}

static void test_query(void **state)
{
	uint8_t out[DNS_QUERY_BYTES];
	static const uint8_t name[] = "\1a\7example";
	(void)state;

	size_t n = dns_query_write(0xabcd, name, sizeof(name), DNS_TXT, DNS_RECURSE, out);
	assert_int_equal(n, 12 + sizeof(name) + 4 + 11);
	assert_memory_equal(out,
		"\xab\xcd\x01\x20\0\1\0\0\0\0\0\1\1a\7example\0\0\x10\0\1\0\0\x29\x04\xd0\0\0\0\0\0"
		"\0",
		n);
	n = dns_query_write(1, name, sizeof(name), DNS_CAA, DNS_NO_EDNS | DNS_NO_VALIDATION, out);
	assert_int_equal(n, 12 + sizeof(name) + 4);
	assert_memory_equal(out, "\0\1\0\x30\0\1\0\0\0\0\0\0\1a\7example\0\1\1\0\1", n);
}

static void test_matching(void **state)
{
	uint8_t q[DNS_QUERY_BYTES];
	static const uint8_t name[] = "\1a\7example";
	size_t n = dns_query_write(0x1234, name, sizeof(name), DNS_TXT, DNS_RECURSE, q);
	struct msg good = answer_to("A.Example", DNS_TXT, 0), m = good;
	(void)state;

	assert_true(dns_reply_matches(q, n, m.bytes, m.n));
	for (size_t len = 0; len < good.n; len++)
		assert_false(dns_reply_matches(q, n, m.bytes, len));
	m.bytes[0]++;
	assert_false(dns_reply_matches(q, n, m.bytes, m.n));
	m = good;
	m.bytes[2] &= 0x7f;
	assert_false(dns_reply_matches(q, n, m.bytes, m.n));
	m = good;
	m.bytes[2] |= 0x28;
	assert_false(dns_reply_matches(q, n, m.bytes, m.n));
	m = answer_to("b.example", DNS_TXT, 0);
	assert_false(dns_reply_matches(q, n, m.bytes, m.n));
	m = answer_to("a.example", DNS_A, 0);
	assert_false(dns_reply_matches(q, n, m.bytes, m.n));
	m = good;
	m.bytes[5] = 0;
	assert_false(dns_reply_matches(q, n, m.bytes, m.n)); /* no question, but no error either */
	m.bytes[3] = 1;
	assert_true(dns_reply_matches(q, n, m.bytes, 12));
}

static void test_chain(void **state)
{
	struct msg m = answer_to("www.example", DNS_A, 0x180);
	char text[ADDR_TEXT_SIZE];
	(void)state;

	add_rr(&m, 7, "end.example", DNS_A, "\300\0\2\1", 4); /* any order */
	add_rr_name(&m, 7, "Mid.example", DNS_CNAME, "END.example");
	add_rr_name(&m, 7, "www.EXAMPLE", DNS_CNAME, "mid.Example");
	add_rr(&m, 7, "other.example", DNS_A, "\300\0\2\2", 4);
	add_rr(&m, 7, "end.example", DNS_A, "\300\0\2\3", 4);
	struct dns_result *r = read_answer("WWW.example", DNS_A, &m);
	assert_int_equal(r->status, DNS_ANSWERED);
	assert_string_equal(r->name, "www.example");
	assert_int_equal(r->n_chain, 2);
	assert_string_equal(r->chain[0].owner, "www.example");
	assert_string_equal(r->chain[0].target, "mid.example");
	assert_string_equal(r->chain[1].target, "end.example");
	assert_int_equal(r->chain[1].ttl_s, 256);
	assert_string_equal(r->end, "end.example");
	assert_int_equal(r->n_records, 2);
	assert_string_equal(addr_format_host(&r->records[0].address, text), "192.0.2.1");
	assert_string_equal(addr_format_host(&r->records[1].address, text), "192.0.2.3");
	dns_result_free(r);

	r = read_answer("www.example", DNS_CNAME, &m); /* asked for itself, it is an answer */
	assert_int_equal(r->status, DNS_ANSWERED);
	assert_int_equal(r->n_chain, 0);
	assert_int_equal(r->n_records, 1);
	assert_string_equal(r->records[0].name, "mid.example");
	dns_result_free(r);
}

static void test_loops_and_long_chains(void **state)
{
	struct msg m = answer_to("a.example", DNS_TXT, 0);
	char owner[32], target[32];
	(void)state;

	add_rr_name(&m, 7, "a.example", DNS_CNAME, "b.example");
	add_rr_name(&m, 7, "b.example", DNS_CNAME, "a.example");
	struct dns_result *r = read_answer("a.example", DNS_TXT, &m);
	assert_int_equal(r->status, DNS_NODATA);
	assert_true(r->chain_loops);
	dns_result_free(r);
	m = answer_to("n0.example", DNS_TXT, 0);
	for (int i = 0; i < 40; i++) {
		snprintf(owner, sizeof(owner), "n%d.example", i);
		snprintf(target, sizeof(target), "n%d.example", i + 1);
		add_rr_name(&m, 7, owner, DNS_CNAME, target);
	}
	r = read_answer("n0.example", DNS_TXT, &m);
	assert_int_equal(r->n_chain, DNS_MAX_CHAIN);
	assert_true(r->chain_loops);
	dns_result_free(r);
}

static void test_txt_and_caa(void **state)
{
	struct msg m = answer_to("a.example", DNS_TXT, 0);
	(void)state;

	add_rr(&m, 7, "a.example", DNS_TXT, "\3abc\0\4d\0ef", 10);
	add_rr(&m, 7, "a.example", DNS_TXT, "", 0);
	struct dns_result *r = read_answer("a.example", DNS_TXT, &m);
	assert_int_equal(r->n_records, 2);
	assert_int_equal(r->records[0].txt.len, 7);
	assert_memory_equal(r->records[0].txt.bytes, "abcd\0ef", 8);
	assert_int_equal(r->records[1].txt.len, 0);
	dns_result_free(r);

	m = answer_to("a.example", DNS_CAA, 0);
	add_rr(&m, 7, "a.example", DNS_CAA, "\0\5IssueCa.test; a=b", 19);
	add_rr(&m, 7, "a.example", DNS_CAA, "\200\3tbs", 5);
	r = read_answer("a.example", DNS_CAA, &m);
	assert_int_equal(r->n_records, 2);
	assert_false(r->records[0].caa.critical);
	assert_string_equal(r->records[0].caa.tag, "issue");
	assert_string_equal((const char *)r->records[0].caa.value.bytes, "Ca.test; a=b");
	assert_true(r->records[1].caa.critical);
	assert_int_equal(r->records[1].caa.value.len, 0);
	dns_result_free(r);
}

static void test_statuses_and_errors(void **state)
{
	static const enum dns_status statuses[] = {DNS_NODATA, DNS_RCODE, DNS_SERVFAIL,
		DNS_NXDOMAIN, DNS_RCODE, DNS_REFUSED, DNS_RCODE};
	(void)state;

	for (unsigned rcode = 0; rcode < ARRAY_LEN(statuses); rcode++) {
		struct msg m = answer_to("a.example", DNS_TXT, 0x0420 | rcode);
		struct dns_result *r = read_answer("a.example", DNS_TXT, &m);
		assert_int_equal(r->status, statuses[rcode]);
		assert_int_equal(r->rcode, rcode);
		assert_true(r->authoritative && r->authenticated);
		assert_int_equal(r->ede, DNS_NO_EDE);
		dns_result_free(r);
	}
	struct msg m = answer_to("a.example", DNS_TXT, 2);
	m.bytes[11] = 1;
	add(&m, "\0\0\x29\x04\xd0\1\0\0\0\0\x0c\0\3\0\0\0\17\0\4\0\x06hi", 23);
	struct dns_result *r = read_answer("a.example", DNS_TXT, &m);
	assert_int_equal(r->ede, 6);
	assert_int_equal(r->rcode, 18); /* the OPT holds the upper bits */
	dns_result_free(r);
}

static void test_referral(void **state)
{
	struct msg m = answer_to("a.example", DNS_A, 0);
	(void)state;

	add_rr_name(&m, 9, "example", DNS_NS, "ns.example");
	add_rr(&m, 11, "ns.example", DNS_AAAA, "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16);
	struct dns_result *r = read_answer("a.example", DNS_A, &m);
	assert_int_equal(r->status, DNS_NODATA);
	assert_int_equal(r->n_others, 2);
	assert_string_equal(r->others[0].owner, "example");
	assert_string_equal(r->others[0].name, "ns.example");
	assert_int_equal(r->others[1].type, DNS_AAAA);
	dns_result_free(r);
}

static void test_malformed(void **state)
{
	static const struct {
		uint16_t type;
		const char *rdata;
		size_t n;
	} rows[] = {
		{DNS_A, "abc", 3},
		{DNS_AAAA, "abcd", 4},
		{DNS_TXT, "\5abc", 4},
		{DNS_CNAME, "\1", 1},
		{DNS_NS, "\1a\0x", 4},
		{DNS_CAA, "\0\0", 2},
		{DNS_CAA, "\0\7issue", 7},
		{DNS_SOA, "\0\0abc", 5},
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct msg m = answer_to("a.example", rows[i].type, 0);
		add_rr(&m, 7, "a.example", rows[i].type, rows[i].rdata, rows[i].n);
		struct dns_result *r = read_answer("a.example", rows[i].type, &m);
		assert_int_equal(r->status, DNS_MALFORMED);
		dns_result_free(r);
	}
	struct msg m = answer_to("a.example", DNS_A, 0);
	add_rr(&m, 7, "a.example", DNS_A, "\300\0\2\1", 4);
	for (size_t full = m.n, n = full - 15; n < full; n++) {
		m.n = n;
		struct dns_result *r = read_answer("a.example", DNS_A, &m);
		assert_int_equal(r->status, DNS_MALFORMED);
		dns_result_free(r);
	}
}

static void test_keeping(void **state)
{
	struct dns_result *r = dns_result_new("a.example", DNS_A, DNS_TIMEOUT),
			  *same = dns_result_keep(r);
	(void)state;

	assert_ptr_equal(r, same);
	dns_result_free(r);
	assert_string_equal(same->name, "a.example");
	dns_result_free(same);
	dns_result_free(NULL);
	assert_string_equal(dns_status_word(DNS_BOGUS), "bogus");
	assert_string_equal(dns_type_word(DNS_CAA), "CAA");
	assert_string_equal(dns_type_word(999), "TYPE999");
	assert_string_equal(dns_rcode_word(3), "NXDOMAIN");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_query),
		cmocka_unit_test(test_matching),
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_loops_and_long_chains),
		cmocka_unit_test(test_txt_and_caa),
		cmocka_unit_test(test_statuses_and_errors),
		cmocka_unit_test(test_referral),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_keeping),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

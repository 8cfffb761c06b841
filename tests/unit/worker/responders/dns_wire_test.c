#include "worker/responders/dns_wire.h"

#include "common/buf.h"
#include "common/mem.h"

#include <ldns/ldns.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#define LABEL "abcdefghijklmnopqrstuvwxyz"

static struct dns_zones *zones;

static int setup(void **state)
{
	static struct addr one[2], two[1];
	static const char *const names[] = {
		"acme.platform.example", "old.example.", "sub.acme.platform.example"};
	static struct dns_nameserver ns[] = {
		{"NS1.acme.platform.example", one, 2},
		{"ns2.acme.platform.example", two, 1},
		{"ns.elsewhere.example", NULL, 0},
	};
	struct dns_zones_config c = {names, 3, ns, 3, 7};
	struct why why;
	(void)state;

	assert_int_equal(addr_parse("203.0.113.10:53", 0, &one[0], &why), 0);
	assert_int_equal(addr_parse("2001:db8::10", 53, &one[1], &why), 0);
	assert_int_equal(addr_parse("203.0.113.11", 53, &two[0], &why), 0);
	assert_int_equal(dns_zones_new(&c, &zones, &why), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	dns_zones_free(zones);
	return 0;
}

struct query {
	uint8_t bytes[1024];
	size_t n;
};

static void add16(struct query *q, unsigned v)
{
	q->bytes[q->n++] = (uint8_t)(v >> 8);
	q->bytes[q->n++] = (uint8_t)v;
}

static struct query query(const char *name, unsigned type)
{
	struct query q = {.bytes = {0x12, 0x34, 0x01, 0x00, 0, 1}, .n = 12};
	size_t n;

	assert_int_equal(dnsname_from_text(name, q.bytes + q.n, &n), 0);
	q.n += n;
	add16(&q, type);
	add16(&q, 1);
	return q;
}

static void add_opt(struct query *q, unsigned size, unsigned version, bool dnssec_ok)
{
	q->bytes[11]++;
	q->bytes[q->n++] = 0;
	add16(q, 41);
	add16(q, size);
	add16(q, version);
	add16(q, dnssec_ok ? 0x8000 : 0);
	add16(q, 0);
}

struct answer {
	enum dns_wire_step step;
	struct dns_ask ask;
	uint8_t bytes[65536];
	size_t n;
	ldns_pkt *pkt;
	char text[8192];
};

static void answer_clear(struct answer *a)
{
	if (a->pkt)
		ldns_pkt_free(a->pkt);
	a->pkt = NULL;
}

static void section(struct answer *a, const char *title, ldns_rr_list *list)
{
	size_t n = strlen(a->text);

	n += (size_t)snprintf(a->text + n, sizeof(a->text) - n, "%s:\n", title);
	for (size_t i = 0; list && i < ldns_rr_list_rr_count(list); i++) {
		char *s = ldns_rr2str(ldns_rr_list_rr(list, i));
		n += (size_t)snprintf(a->text + n, sizeof(a->text) - n, "%s", s);
		free(s);
	}
}

/* What any parser must be able to read, as text. */
static void digest(struct answer *a)
{
	a->text[0] = '\0';
	assert_int_equal(ldns_wire2pkt(&a->pkt, a->bytes, a->n), LDNS_STATUS_OK);
	section(a, "ANSWER", ldns_pkt_answer(a->pkt));
	section(a, "AUTHORITY", ldns_pkt_authority(a->pkt));
	section(a, "ADDITIONAL", ldns_pkt_additional(a->pkt));
}

static void ask_as(struct answer *a, const struct query *q, enum dns_transport transport)
{
	uint8_t *exact = mem_dup(q->bytes, q->n); /* so that a sanitizer sees reads past the end */

	memset(a, 0, sizeof(*a));
	a->step = dns_wire_ask(zones, transport, exact, q->n, &a->ask, a->bytes, &a->n);
	free(exact);
	if (a->step == DNS_WIRE_DONE)
		digest(a);
}

static void ask(struct answer *a, const struct query *q)
{
	ask_as(a, q, DNS_UDP);
}

static void give(struct answer *a, const struct dns_txt *values, size_t n)
{
	assert_int_equal(a->step, DNS_WIRE_NEED_TXT);
	a->n = dns_wire_answer_txt(zones, &a->ask, values, n, a->bytes);
	digest(a);
}

static void expect_text(struct answer *a, unsigned rcode, const char *text)
{
	assert_int_equal(a->step == DNS_WIRE_DROP, false);
	assert_int_equal(a->bytes[3] & 0x0f, rcode & 0x0f);
	assert_int_equal(a->bytes[3] & 0x80, 0); /* never RA */
	assert_int_equal(a->bytes[2] & 0x80, 0x80);
	if (strcasecmp(a->text, text) != 0) /* owners come in the question's case */
		assert_string_equal(a->text, text);
	answer_clear(a);
}

#define SOA_LINE(owner, ttl)                                                     \
	owner "\t" ttl "\tIN\tSOA\tns1.acme.platform.example. hostmaster." owner \
	      " 7 3600 600 604800 1\n"
#define NODATA "ANSWER:\nAUTHORITY:\n" SOA_LINE("acme.platform.example.", "1") "ADDITIONAL:\n"
#define EMPTY  "ANSWER:\nAUTHORITY:\nADDITIONAL:\n"

static void test_apex(void **state)
{
	struct answer a;
	struct query q = query("acme.platform.example", LDNS_RR_TYPE_SOA);
	(void)state;

	ask(&a, &q);
	assert_true(a.bytes[2] & 0x04); /* AA */
	assert_true(a.bytes[2] & 0x01); /* RD as asked */
	assert_int_equal(a.bytes[0] << 8 | a.bytes[1], 0x1234);
	expect_text(&a, 0,
		"ANSWER:\n" SOA_LINE("acme.platform.example.", "300") "AUTHORITY:\nADDITIONAL:\n");

	q = query("acme.platform.example", LDNS_RR_TYPE_NS);
	ask_as(&a, &q, DNS_TCP);
	expect_text(&a, 0,
		"ANSWER:\n"
		"acme.platform.example.\t300\tIN\tNS\tns1.acme.platform.example.\n"
		"acme.platform.example.\t300\tIN\tNS\tns2.acme.platform.example.\n"
		"acme.platform.example.\t300\tIN\tNS\tns.elsewhere.example.\n"
		"AUTHORITY:\nADDITIONAL:\n"
		"ns1.acme.platform.example.\t300\tIN\tA\t203.0.113.10\n"
		"ns1.acme.platform.example.\t300\tIN\tAAAA\t2001:db8::10\n"
		"ns2.acme.platform.example.\t300\tIN\tA\t203.0.113.11\n");
	/* Over UDP it has to fit into three times the question: addresses go first, and without TC.
	 */
	ask(&a, &q);
	assert_true(a.n <= 3 * q.n);
	assert_false(a.bytes[2] & 0x02);
	assert_int_equal(ldns_pkt_ancount(a.pkt), 3);
	answer_clear(&a);

	q = query("acme.platform.example", LDNS_RR_TYPE_TXT);
	ask(&a, &q);
	expect_text(&a, 0, NODATA);
	q = query("acme.platform.example", 48); /* DNSKEY: the zone is not signed */
	ask(&a, &q);
	expect_text(&a, 0, NODATA);
}

static void test_second_zone(void **state)
{
	struct answer a;
	struct query q = query("old.example", LDNS_RR_TYPE_SOA);
	(void)state;

	ask_as(&a, &q, DNS_TCP);
	expect_text(&a, 0, "ANSWER:\n" SOA_LINE("old.example.", "300") "AUTHORITY:\nADDITIONAL:\n");
	q = query("x.sub.acme.platform.example", LDNS_RR_TYPE_TXT); /* the closest zone counts */
	ask(&a, &q);
	assert_int_equal(a.step, DNS_WIRE_NEED_TXT);
	assert_int_equal(a.ask.zone, 2);
	assert_string_equal(a.ask.label, "x");
	give(&a, NULL, 0);
	expect_text(&a, 0,
		"ANSWER:\nAUTHORITY:\n" SOA_LINE(
			"sub.acme.platform.example.", "1") "ADDITIONAL:\n");
}

static void test_nameserver_addresses(void **state)
{
	struct answer a;
	struct query q = query("nS1.Acme.platform.example", LDNS_RR_TYPE_A);
	(void)state;

	ask(&a, &q);
	expect_text(&a, 0,
		"ANSWER:\nns1.acme.platform.example.\t300\tIN\tA\t203.0.113.10\nAUTHORITY:"
		"\nADDITIONAL:\n");
	q = query("ns1.acme.platform.example", LDNS_RR_TYPE_AAAA);
	ask(&a, &q);
	expect_text(&a, 0,
		"ANSWER:\nns1.acme.platform.example.\t300\tIN\tAAAA\t2001:db8::10\nAUTHORITY:"
		"\nADDITIONAL:\n");
	q = query("ns2.acme.platform.example", LDNS_RR_TYPE_AAAA);
	ask(&a, &q);
	expect_text(&a, 0, NODATA);
}

static void test_txt(void **state)
{
	struct answer a;
	char big[600];
	struct query q =
		query("AbCdEfGhIjKlMnOpQrStUvWxYz.acme.platform.EXAMPLE", LDNS_RR_TYPE_TXT);
	struct dns_txt v[] = {{"one", 3}, {"two", 3}, {"", 0}};
	(void)state;

	ask(&a, &q);
	assert_string_equal(a.ask.label, LABEL);
	give(&a, v, 3);
	assert_memory_equal(
		a.bytes + 12, q.bytes + 12, q.n - 12); /* the case of the question is echoed */
	assert_true(a.bytes[2] & 0x04);
	expect_text(&a, 0,
		"ANSWER:\n" LABEL ".acme.platform.example.\t1\tIN\tTXT\t\"one\"\n" LABEL
		".acme.platform.example.\t1\tIN\tTXT\t\"two\"\n" LABEL
		".acme.platform.example.\t1\tIN\tTXT\t\"\"\nAUTHORITY:\nADDITIONAL:\n");
	ask(&a, &q);
	give(&a, NULL, 0);
	expect_text(&a, 0, NODATA);
	ask(&a, &q);
	a.n = dns_wire_answer_failure(&a.ask, a.bytes);
	digest(&a);
	expect_text(&a, LDNS_RCODE_SERVFAIL, EMPTY);

	/* Over 255 bytes: several strings. */
	memset(big, 'x', sizeof(big));
	ask_as(&a, &q, DNS_TCP);
	give(&a, &(struct dns_txt){big, 600}, 1);
	ldns_rr *rr = ldns_rr_list_rr(ldns_pkt_answer(a.pkt), 0);
	assert_int_equal(ldns_rr_rd_count(rr), 3);
	assert_int_equal(ldns_rdf_size(ldns_rr_rdf(rr, 2)), 91);
	answer_clear(&a);
}

/* Below an apex nothing is ever NXDOMAIN, and only plain labels are looked up. */
static void test_nodata(void **state)
{
	static const struct {
		const char *name;
		unsigned type;
	} rows[] = {
		{LABEL ".acme.platform.example", LDNS_RR_TYPE_A},
		{LABEL ".acme.platform.example", LDNS_RR_TYPE_CNAME},
		{LABEL ".acme.platform.example", LDNS_RR_TYPE_CAA},
		{LABEL ".acme.platform.example", LDNS_RR_TYPE_NS},
		{LABEL ".acme.platform.example", LDNS_RR_TYPE_SOA},
		{LABEL ".acme.platform.example", 65280},
		{"deeper." LABEL ".acme.platform.example", LDNS_RR_TYPE_TXT},
		{"_acme-challenge.acme.platform.example", LDNS_RR_TYPE_TXT},
		{"*.acme.platform.example", LDNS_RR_TYPE_TXT},
		{"a\\000b.acme.platform.example", LDNS_RR_TYPE_TXT},
		{"a\\.b.acme.platform.example", LDNS_RR_TYPE_TXT},
	};
	struct answer a;
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct query q = query(rows[i].name, rows[i].type);
		ask(&a, &q);
		assert_int_equal(a.step, DNS_WIRE_DONE);
		expect_text(&a, 0, NODATA);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *name;
		unsigned type;
	} rows[] = {
		{"platform.example", LDNS_RR_TYPE_A},
		{"example", LDNS_RR_TYPE_NS},
		{".", LDNS_RR_TYPE_NS},
		{"xacme.platform.example", LDNS_RR_TYPE_TXT},
		{"acme.platform.example.org", LDNS_RR_TYPE_TXT},
		{"acme.platform.example", LDNS_RR_TYPE_AXFR},
		{"acme.platform.example", LDNS_RR_TYPE_IXFR},
		{"acme.platform.example", LDNS_RR_TYPE_OPT},
		{LABEL ".acme.platform.example", LDNS_RR_TYPE_MAILA},
	};
	struct answer a;
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct query q = query(rows[i].name, rows[i].type);
		ask_as(&a, &q, i % 2 ? DNS_TCP : DNS_UDP);
		assert_int_equal(a.ask.rcode, LDNS_RCODE_REFUSED);
		assert_false(a.bytes[2] & 0x04);
		expect_text(&a, LDNS_RCODE_REFUSED, EMPTY);
	}
	struct query q = query("version.bind", LDNS_RR_TYPE_TXT);
	q.bytes[q.n - 1] = 3; /* CHAOS */
	ask(&a, &q);
	expect_text(&a, LDNS_RCODE_REFUSED, EMPTY);
	q = query(LABEL ".acme.platform.example", LDNS_RR_TYPE_TXT);
	q.bytes[q.n - 1] = 3;
	ask(&a, &q);
	expect_text(&a, LDNS_RCODE_REFUSED, EMPTY);
}

static void test_opcodes(void **state)
{
	struct answer a;
	(void)state;

	for (unsigned opcode = 1; opcode < 16; opcode++) { /* NOTIFY is 4, UPDATE 5 */
		struct query q = query("acme.platform.example", LDNS_RR_TYPE_SOA);
		q.bytes[2] = (uint8_t)(opcode << 3);
		ask(&a, &q);
		assert_int_equal(a.n, 12);
		assert_int_equal(a.bytes[2], 0x80 | opcode << 3);
		expect_text(&a, LDNS_RCODE_NOTIMPL, EMPTY);
	}
}

static void expect_formerr(const struct query *q)
{
	struct answer a;

	ask(&a, q);
	assert_int_equal(a.step, DNS_WIRE_DONE);
	assert_int_equal(a.bytes[3] & 0x0f, LDNS_RCODE_FORMERR);
	answer_clear(&a);
}

static void test_malformed(void **state)
{
	struct answer a;
	struct query good = query(LABEL ".acme.platform.example", LDNS_RR_TYPE_TXT), q = good;
	(void)state;

	for (size_t n = 0; n < good.n; n++) { /* cut anywhere */
		q = good;
		q.n = n;
		ask(&a, &q);
		assert_int_equal(a.step, n < 12 ? DNS_WIRE_DROP : DNS_WIRE_DONE);
		answer_clear(&a);
		if (n >= 12)
			expect_formerr(&q);
	}
	q = good;
	q.bytes[2] |= 0x80; /* an answer */
	ask(&a, &q);
	assert_int_equal(a.step, DNS_WIRE_DROP);
	q = good;
	q.bytes[5] = 0;
	expect_formerr(&q);
	q.bytes[5] = 2;
	expect_formerr(&q);
	q = good;
	q.bytes[12] = 0xc0; /* a pointer in the question */
	expect_formerr(&q);
	q.bytes[12] = 64; /* an over-long label */
	expect_formerr(&q);
	q = good;
	q.bytes[11] = 1; /* a record is promised, but there is none */
	expect_formerr(&q);
	q = (struct query){.bytes = {0x12, 0x34, 0, 0, 0, 1}, .n = 12};
	for (int i = 0; i < 5; i++) { /* a name of 256 bytes */
		q.bytes[q.n] = i < 4 ? 62 : 2;
		memset(q.bytes + q.n + 1, 'a', 62);
		q.n += (i < 4 ? 62u : 2u) + 1;
	}
	q.n++;
	add16(&q, 16);
	add16(&q, 1);
	expect_formerr(&q);
}

static void test_any(void **state)
{
	struct answer a;
	struct query q = query(LABEL ".acme.platform.example", LDNS_RR_TYPE_ANY);
	(void)state;

	ask(&a, &q);
	expect_text(&a, 0,
		"ANSWER:\n" LABEL ".acme.platform.example.\t300\tIN\tHINFO\t\"RFC8482\" \"\"\n"
		"AUTHORITY:\nADDITIONAL:\n");
}

static void test_edns(void **state)
{
	struct answer a;
	struct query plain = query(LABEL ".acme.platform.example", LDNS_RR_TYPE_A), q = plain;
	(void)state;

	ask(&a, &q);
	assert_false(ldns_pkt_edns(a.pkt)); /* only when asked */
	answer_clear(&a);

	add_opt(&q, 4096, 0, true);
	ask(&a, &q);
	assert_true(ldns_pkt_edns(a.pkt));
	assert_int_equal(ldns_pkt_edns_udp_size(a.pkt), 1232);
	assert_true(ldns_pkt_edns_do(a.pkt));
	expect_text(&a, 0, NODATA);

	q = plain;
	add_opt(&q, 4096, 1, false);
	ask(&a, &q);
	assert_int_equal(ldns_pkt_edns_extended_rcode(a.pkt), 1); /* 16 is BADVERS */
	assert_int_equal(a.ask.rcode, 16);
	expect_text(&a, 0, EMPTY);

	add_opt(&q, 4096, 0, false); /* two of them */
	expect_formerr(&q);

	q = plain;
	add_opt(&q, 4096, 0, false);
	q.bytes[9] = 1; /* in the authority section */
	q.bytes[11] = 0;
	expect_formerr(&q);

	q = plain;
	add_opt(&q, 4096, 0, false);
	q.bytes[plain.n + 10] = 1; /* options of one byte that is not there */
	expect_formerr(&q);
}

/* TC above min(size, 1232), and above three times the question. */
static void test_truncation(void **state)
{
	struct answer a;
	char bytes[40 * 43];
	struct dns_txt v[40];
	struct query q;
	(void)state;

	for (size_t i = 0; i < 40; i++) {
		memset(bytes + i * 43, 'a' + (int)i % 26, 43);
		v[i] = (struct dns_txt){bytes + i * 43, 43};
	}
	q = query(LABEL ".acme.platform.example", LDNS_RR_TYPE_TXT);
	for (size_t n = 1; n <= 40; n++) {
		size_t full = q.n + n * 56;
		ask(&a, &q);
		give(&a, v, n);
		bool fits = full <= 3 * q.n;
		assert_int_equal((a.bytes[2] & 0x02) == 0, fits);
		assert_int_equal(a.n, fits ? full : q.n);
		answer_clear(&a);
		ask_as(&a, &q, DNS_TCP);
		give(&a, v, n);
		assert_int_equal(a.bytes[2] & 0x02, 0);
		assert_int_equal(a.n, full);
		answer_clear(&a);
	}
	/* A long question (padded by an unknown record) may have as much as its size says. */
	for (size_t size = 100; size < 4000; size += 61) {
		q = query(LABEL ".acme.platform.example", LDNS_RR_TYPE_TXT);
		size_t question = q.n;
		add_opt(&q, (unsigned)size, 0, false);
		q.bytes[11]++;
		q.bytes[q.n++] = 0;
		add16(&q, 65280);
		add16(&q, 1);
		add16(&q, 0);
		add16(&q, 0);
		add16(&q, 600);
		q.n += 600;
		size_t limit = size < 512 ? 512 : size > 1232 ? 1232 : size;
		for (size_t n = 1; n <= 40; n++) {
			size_t full = question + n * 56 + 11;
			ask(&a, &q);
			give(&a, v, n);
			assert_int_equal(a.n, full <= limit ? full : question + 11);
			assert_int_equal((a.bytes[2] & 0x02) == 0, full <= limit);
			answer_clear(&a);
		}
	}
}

static void expect_config_error(const struct dns_zones_config *c, const char *part)
{
	struct dns_zones *out = NULL;
	struct why why = {""};

	assert_int_equal(dns_zones_new(c, &out, &why), CF_EINVAL);
	assert_null(out);
	if (!strstr(why.text, part))
		fail_msg("no \"%s\" in: %s", part, why.text);
}

static void test_config(void **state)
{
	const char *zone = "acme.example";
	struct addr a;
	struct dns_nameserver ns[] = {{"ns1.acme.example", &a, 1}, {"ns2.acme.example", &a, 1}};
	struct dns_zones_config c = {&zone, 1, ns, 2, 1};
	(void)state;

	assert_int_equal(addr_parse("192.0.2.1", 53, &a, NULL), 0);
	c.n_nameservers = 1;
	expect_config_error(&c, "expected 2 to 13");
	c.n_nameservers = 2;
	c.n_zones = 0;
	expect_config_error(&c, "challenge zones: expected 1");
	c.n_zones = 1;
	ns[1].n_addresses = 0;
	expect_config_error(&c, "ns2.acme.example lies in a challenge zone");
	ns[1].name = "bad..name";
	expect_config_error(&c, "\"bad..name\" is not a domain name");
	zone = "";
	expect_config_error(&c, "challenge zone \"\" is not a domain name");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_apex),
		cmocka_unit_test(test_second_zone),
		cmocka_unit_test(test_nameserver_addresses),
		cmocka_unit_test(test_txt),
		cmocka_unit_test(test_nodata),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_opcodes),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_any),
		cmocka_unit_test(test_edns),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_config),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}

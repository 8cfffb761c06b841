#include "worker/dns/delegation.h"

#include "tests/unit/worker/dns/reply_aid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_names(void **state)
{
	(void)state;

	assert_true(delegation_under("a.example", "example"));
	assert_true(delegation_under("example", "example"));
	assert_true(delegation_under("example", "."));
	assert_true(delegation_under(".", "."));
	assert_false(delegation_under("aexample", "example"));
	assert_false(delegation_under("a\\.example", "example"));
	assert_false(delegation_under("example", "a.example"));
	assert_int_equal(delegation_labels("."), 0);
	assert_int_equal(delegation_labels("example"), 1);
	assert_int_equal(delegation_labels("a\\.b.example"), 2);
	assert_string_equal(delegation_parent("a\\.b.example"), "example");
	assert_string_equal(delegation_parent("example"), ".");
	assert_null(delegation_parent("."));
	assert_string_equal(delegation_next("a.b.c.example", "."), "example");
	assert_string_equal(delegation_next("a.b.c.example", "c.example"), "b.c.example");
	assert_null(delegation_next("c.example", "c.example"));
	assert_null(delegation_next("c.example", "d.example"));
}

static void test_referral(void **state)
{
	struct reply_aid m = reply_aid("www.shop.example", DNS_A, 0);
	struct delegation d;
	(void)state;

	reply_aid_name(&m, REPLY_AUTHORITY, "shop.example", DNS_NS, 100, "NS1.shop.example");
	reply_aid_name(&m, REPLY_AUTHORITY, "shop.example", DNS_NS, 90, "ns.other.example");
	reply_aid_name(&m, REPLY_AUTHORITY, "shop.example", DNS_NS, 100, "ns.elsewhere.org");
	reply_aid_name(&m, REPLY_AUTHORITY, "shop.example", DNS_NS, 100, "ns1.shop.example");
	reply_aid_a(&m, REPLY_ADDITIONAL, "ns1.shop.example", 100, "192.0.2.1");
	reply_aid_a(&m, REPLY_ADDITIONAL, "ns1.shop.example", 100, "192.0.2.1");
	reply_aid_a(&m, REPLY_ADDITIONAL, "ns1.shop.example", 100, "2001:db8::1");
	reply_aid_a(&m, REPLY_ADDITIONAL, "ns.other.example", 100, "192.0.2.2");
	reply_aid_a(&m, REPLY_ADDITIONAL, "ns.elsewhere.org", 100, "192.0.2.3");
	reply_aid_a(&m, REPLY_ADDITIONAL, "stray.example", 100, "192.0.2.4");
	struct dns_result *r = reply_aid_read(&m);
	assert_int_equal(delegation_read(r, "example", &d), DELEGATION_BELOW);
	assert_string_equal(d.apex, "shop.example");
	assert_int_equal(d.ttl_s, 90);
	assert_int_equal(d.n_ns, 3);
	assert_string_equal(d.ns[0].name, "ns1.shop.example");
	assert_int_equal(d.ns[0].n, 2);
	assert_int_equal(d.ns[1].n, 1); /* beside the zone, but in the bailiwick of who said so */
	assert_int_equal(d.ns[2].n, 0); /* hearsay */
	/* The same words from a server of another zone lead nowhere. */
	assert_int_equal(delegation_read(r, "shop.example", &d), DELEGATION_LAME);
	assert_int_equal(delegation_read(r, "www.shop.example", &d), DELEGATION_LAME);
	assert_int_equal(delegation_read(r, "org", &d), DELEGATION_LAME);
	dns_result_free(r);
}

static void test_thousands_of_name_servers(void **state)
{
	struct reply_aid m = reply_aid("www.shop.example", DNS_A, 0);
	struct delegation d;
	char name[64], address[32];
	(void)state;

	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "n%u.shop.example", i);
		reply_aid_name(&m, REPLY_AUTHORITY, "shop.example", DNS_NS, 100, name);
	}
	for (unsigned i = 0; i < 40; i++) {
		snprintf(address, sizeof(address), "192.0.2.%u", i);
		reply_aid_a(&m, REPLY_ADDITIONAL, "n0.shop.example", 100, address);
	}
	struct dns_result *r = reply_aid_read(&m);
	assert_int_equal(delegation_read(r, "example", &d), DELEGATION_BELOW);
	assert_int_equal(d.n_ns, DELEGATION_NS_MAX);
	assert_int_equal(d.ns[0].n, DELEGATION_ADDRESSES_MAX);
	dns_result_free(r);
}

static enum delegation_kind kind(const struct reply_aid *m, const char *zone, const char *apex)
{
	struct dns_result *r = reply_aid_read(m);
	struct delegation d;
	enum delegation_kind k = delegation_read(r, zone, &d);

	if (apex)
		assert_string_equal(d.apex, apex);
	dns_result_free(r);
	return k;
}

static void test_kinds(void **state)
{
	struct reply_aid m;
	const char *name = "www.shop.example";
	(void)state;

	m = reply_aid(name, DNS_A, REPLY_AA);
	reply_aid_a(&m, REPLY_ANSWER, name, 60, "192.0.2.1");
	assert_int_equal(kind(&m, "example", NULL), DELEGATION_NONE);
	m = reply_aid(name, DNS_A, 0);
	reply_aid_a(&m, REPLY_ANSWER, name, 60, "192.0.2.1");
	reply_aid_name(&m, REPLY_AUTHORITY, "shop.example", DNS_NS, 100, "ns.x");
	assert_int_equal(kind(&m, "example", NULL), DELEGATION_LAME); /* a resolver */
	m = reply_aid(name, DNS_A, 5);
	assert_int_equal(kind(&m, "example", NULL), DELEGATION_LAME);
	m = reply_aid(name, DNS_A, 2);
	assert_int_equal(kind(&m, "example", NULL), DELEGATION_FAILED);
	m = reply_aid(name, DNS_A, REPLY_AA | 3);
	reply_aid_soa(&m, "example", 60, 60);
	assert_int_equal(kind(&m, "example", NULL), DELEGATION_NONE);
	m = reply_aid(name, DNS_A, REPLY_AA | 3);
	reply_aid_soa(&m, "shop.example", 60, 60);
	assert_int_equal(kind(&m, "example", "shop.example"), DELEGATION_HIDDEN);
	m = reply_aid(name, DNS_A, REPLY_AA); /* the denial is of where the CNAME leads */
	reply_aid_name(&m, REPLY_ANSWER, name, DNS_CNAME, 60, "www.shop.example");
	reply_aid_soa(&m, "shop.example", 60, 60);
	assert_int_equal(kind(&m, "example", NULL), DELEGATION_NONE);
	m = reply_aid(name, DNS_A, REPLY_AA);
	reply_aid_soa(&m, "other.example", 60, 60);
	assert_int_equal(kind(&m, "example", NULL), DELEGATION_NONE);
	m = reply_aid(name, DNS_A, 0); /* upwards */
	reply_aid_name(&m, REPLY_AUTHORITY, ".", DNS_NS, 100, "a.root");
	assert_int_equal(kind(&m, "example", NULL), DELEGATION_LAME);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_referral),
		cmocka_unit_test(test_thousands_of_name_servers),
		cmocka_unit_test(test_kinds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

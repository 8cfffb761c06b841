/* Typing errors, CDNs, DNS providers, and our own zone. */
#include "common/mem.h"
#include "worker/diagnose/cdn.h"
#include "worker/diagnose/diagnose.h"
#include "worker/diagnose/provider.h"
#include "worker/diagnose/typo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void distances(void **state)
{
	(void)state;
	assert_int_equal(typo_distance("abc", "abc", 2), 0);
	assert_int_equal(typo_distance("abc", "abd", 2), 1);
	assert_int_equal(typo_distance("abc", "acb", 2), 1);
	assert_int_equal(typo_distance("abc", "ab", 2), 1);
	assert_int_equal(typo_distance("", "ab", 2), 2);
	assert_int_equal(typo_distance("abcdef", "uvwxyz", 2), 3);
	assert_true(typo_near("ingres.platform.test", "ingress.platform.test"));
	assert_false(typo_near("ingress.platform.test", "ingress.platform.test"));
	assert_false(typo_near("other.platform.test", "ingress.platform.test"));
	assert_true(typo_doubled("a.test.shop.test", "a.test"));
	assert_false(typo_doubled("a.test", "a.test"));
}

static void networks(void **state)
{
	struct addr a;

	(void)state;
	assert_string_equal(cdn_of_name("d1.cloudfront.net"), "Amazon CloudFront");
	assert_null(cdn_of_name("notcloudfront.net"));
	assert_int_equal(addr_parse("104.16.1.2", 53, &a, NULL), 0);
	assert_string_equal(cdn_of_address(&a), "Cloudflare");
	assert_int_equal(addr_parse("2606:4700::1", 53, &a, NULL), 0);
	assert_string_equal(cdn_of_address(&a), "Cloudflare");
	assert_int_equal(addr_parse("192.0.2.1", 53, &a, NULL), 0);
	assert_null(cdn_of_address(&a));
}

static void providers(void **state)
{
	(void)state;
	assert_string_equal(provider_of("amy.ns.cloudflare.com")->name, "Cloudflare");
	assert_string_equal(provider_of("ns-1536.awsdns-00.co.uk")->name, "Amazon Route 53");
	assert_string_equal(provider_of("ns57.domaincontrol.com")->name, "GoDaddy");
	assert_string_equal(provider_of("hydrogen.ns.hetzner.com")->name, "Hetzner DNS");
	assert_string_equal(provider_of("ns1-03.azure-dns.com")->name, "Azure DNS");
	assert_null(provider_of("ns1.example.com"));
}

static const char *const ours[] = {"ns1.acme.test", "ns2.acme.test"};

static struct fact_zone *add(struct facts *f, const char *apex, const char *server)
{
	struct ask ask[1];
	struct fact_zone *z = facts_add_zone(f, apex, server ? 1 : 0);
	struct fact *fact;

	assert_int_equal(diagnose_zone_next("acme.test", f, ask), 1);
	assert_int_equal(ask[0].how, ASK_SERVERS);
	fact = facts_add(f, &ask[0], 0);
	fact->zone = z;
	z->end = FACT_RECORDS;
	z->parent = "test";
	if (server)
		z->servers[0] = (struct fact_ns){.name = server, .at_parent = true};
	assert_int_equal(diagnose_zone_next("acme.test", f, ask), 0);
	return z;
}

static void zone_is(struct facts *f, const char *code)
{
	struct diagnosis *d = mem_zalloc(sizeof *d);
	bool wrong = diagnose_zone_judge("acme.test", ours, 2, f, d);

	assert_int_equal(wrong, code != NULL);
	if (code) {
		assert_string_equal(d->code, code);
		assert_int_equal(d->actor, ACTOR_OPERATOR);
		assert_true(d->fix[0] && d->observed_n);
	}
	free(d);
	facts_free(f);
}

static void our_own_zone(void **state)
{
	struct facts *f = facts_new();

	(void)state;
	add(f, "acme.test", "ns2.acme.test");
	zone_is(f, NULL);
	f = facts_new();
	add(f, "acme.test", "ns1.acme.test")->ds = FACT_DS_THERE;
	zone_is(f, "zone_ds");
	f = facts_new();
	add(f, "acme.test", "ns.elsewhere.test");
	zone_is(f, "zone_not_delegated");
	f = facts_new();
	add(f, "test", "ns.registry.test");
	zone_is(f, "zone_not_delegated");
	/* Who cannot see says nothing. */
	f = facts_new();
	add(f, ".", NULL)->end = FACT_TIMEOUT;
	zone_is(f, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(distances),
		cmocka_unit_test(networks),
		cmocka_unit_test(providers),
		cmocka_unit_test(our_own_zone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

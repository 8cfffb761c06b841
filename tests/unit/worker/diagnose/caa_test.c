/* CAA as authorities read it: RFC 8659's examples, RFC 8657's parameters. */
#include "worker/diagnose/caa.h"

#include "common/label.h"
#include "common/mem.h"
#include "tests/unit/worker/diagnose/dns_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ACCOUNT "https://ca.test/acct/1"

static const char *const identities[] = {"ca.test", "alias.ca.test"};
static const struct diagnose_authority ca = {
	.name = "ca", .identities = identities, .n_identities = 2, .account_url = ACCOUNT};

static void judged(const struct world_record *records, const char *base, bool wildcard,
	enum challenge_type type, const char *code)
{
	struct dns_world w = {.zone = "shop.test"};
	struct facts *f = facts_new();
	struct caa_judgement j;

	for (; records->owner; records++)
		w.records[w.n++] = *records;
	for (const char *at = base; at; at = strchr(at, '.') ? strchr(at, '.') + 1 : NULL)
		dns_world_answer(&w, &(struct ask){ASK_RESOLVER, DNS_CAA, at}, f);
	caa_judge(f, base, wildcard, &ca, type, &j);
	if (code ? !j.code || strcmp(j.code, code) != 0 : j.code != NULL)
		fail_msg("%s instead of %s", j.code ? j.code : "allowed", code ? code : "allowed");
	assert_int_equal(j.said, code ? CAA_FORBIDS : CAA_ALLOWS);
	facts_free(f);
}

#define SET(...)                      \
	(const struct world_record[]) \
	{                             \
		__VA_ARGS__,          \
		{                     \
			0             \
		}                     \
	}
#define CAA(owner, text)                    \
	{                                   \
		owner, DNS_CAA, text, 60, 0 \
	}

static void the_tree_is_climbed(void **state)
{
	(void)state;
	judged(SET(CAA("other.test", "0 issue x.test")), "a.b.shop.test", false, CHALLENGE_DNS01,
		NULL);
	judged(SET(CAA("shop.test", "0 issue x.test")), "a.b.shop.test", false, CHALLENGE_DNS01,
		"caa_forbids");
	judged(SET(CAA("shop.test", "0 issue x.test"), CAA("b.shop.test", "0 issue ca.test")),
		"a.b.shop.test", false, CHALLENGE_DNS01, NULL);
	judged(SET(CAA("test", "0 issue x.test")), "shop.test", false, CHALLENGE_DNS01,
		"caa_forbids");
	/* An alias is followed: RFC 8659 section 3. */
	judged(SET({"www.shop.test", DNS_CNAME, "edge.test", 60, 0},
		       CAA("edge.test", "0 issue x.test")),
		"www.shop.test", false, CHALLENGE_DNS01, "caa_forbids");
}

static void properties(void **state)
{
	(void)state;
	judged(SET(CAA("shop.test", "0 issue ;")), "shop.test", false, CHALLENGE_DNS01,
		"caa_forbids");
	judged(SET(CAA("shop.test", "0 issue CA.test ")), "shop.test", false, CHALLENGE_DNS01,
		NULL);
	judged(SET(CAA("shop.test", "0 issue alias.ca.test")), "shop.test", false, CHALLENGE_DNS01,
		NULL);
	judged(SET(CAA("shop.test", "0 issue x.test"), CAA("shop.test", "0 issue ca.test")),
		"shop.test", false, CHALLENGE_DNS01, NULL);
	judged(SET(CAA("shop.test", "0 iodef mailto:a@b.test")), "shop.test", false,
		CHALLENGE_DNS01, NULL);
	judged(SET(CAA("shop.test", "128 tbs unknown"), CAA("shop.test", "0 issue ca.test")),
		"shop.test", false, CHALLENGE_DNS01, "caa_critical");
	judged(SET(CAA("shop.test", "128 issue ca.test")), "shop.test", false, CHALLENGE_DNS01,
		NULL);
	judged(SET(CAA("shop.test", "0 tbs unknown")), "shop.test", false, CHALLENGE_DNS01, NULL);
}

static void wildcards(void **state)
{
	(void)state;
	judged(SET(CAA("shop.test", "0 issue ca.test"), CAA("shop.test", "0 issuewild ;")),
		"shop.test", true, CHALLENGE_DNS01, "caa_wildcard");
	judged(SET(CAA("shop.test", "0 issue ca.test"), CAA("shop.test", "0 issuewild ;")),
		"shop.test", false, CHALLENGE_DNS01, NULL);
	judged(SET(CAA("shop.test", "0 issue ;"), CAA("shop.test", "0 issuewild ca.test")),
		"shop.test", true, CHALLENGE_DNS01, NULL);
	judged(SET(CAA("shop.test", "0 issue ;")), "shop.test", true, CHALLENGE_DNS01,
		"caa_forbids");
	judged(SET(CAA("shop.test", "0 issuewild x.test")), "shop.test", false, CHALLENGE_DNS01,
		NULL);
}

static void accounts_and_methods(void **state)
{
	(void)state;
	judged(SET(CAA("shop.test", "0 issue ca.test; accounturi=" ACCOUNT)), "shop.test", false,
		CHALLENGE_DNS01, NULL);
	judged(SET(CAA("shop.test", "0 issue ca.test;accounturi=https://ca.test/acct/2")),
		"shop.test", false, CHALLENGE_DNS01, "caa_account");
	judged(SET(CAA("shop.test", "0 issue ca.test; validationmethods=http-01")), "shop.test",
		false, CHALLENGE_DNS01, "caa_account");
	judged(SET(CAA("shop.test", "0 issue ca.test; validationmethods=tls-alpn-01,dns-01")),
		"shop.test", false, CHALLENGE_DNS01, NULL);
	judged(SET(CAA("shop.test", "0 issue ca.test; validationmethods=http-01")), "shop.test",
		false, CHALLENGE_HTTP01, NULL);
	judged(SET(CAA("shop.test", "0 issue ca.test; policy=ev")), "shop.test", false,
		CHALLENGE_DNS01, NULL);
}

static void what_cannot_be_read_forbids_for_now(void **state)
{
	struct dns_world w = {.zone = "shop.test"};
	struct facts *f = facts_new();
	struct caa_judgement j;

	(void)state;
	dns_world_fault(&w, ASK_RESOLVER, "shop.test", FACT_SERVFAIL);
	dns_world_answer(&w, &(struct ask){ASK_RESOLVER, DNS_CAA, "a.shop.test"}, f);
	dns_world_answer(&w, &(struct ask){ASK_RESOLVER, DNS_CAA, "shop.test"}, f);
	caa_judge(f, "a.shop.test", false, &ca, CHALLENGE_DNS01, &j);
	assert_int_equal(j.said, CAA_UNREADABLE);
	assert_string_equal(j.code, "caa_unreadable");
	assert_string_equal(j.owner, "shop.test");
	facts_free(f);
}

/* No answer at all may be our own resolver's fault. */
static void a_silent_resolver_leaves_it_to_the_servers(void **state)
{
	struct dns_world w = {.zone = "shop.test", .servers = {"ns.dns.test"}, .n_servers = 1};
	struct facts *f = facts_new();
	struct caa_judgement j;

	(void)state;
	dns_world_fault(&w, ASK_RESOLVER, NULL, FACT_TIMEOUT);
	dns_world_add(&w, "shop.test", DNS_CAA, "0 issue other.test");
	dns_world_answer(&w, &(struct ask){ASK_RESOLVER, DNS_CAA, "shop.test"}, f);
	dns_world_answer(&w, &(struct ask){ASK_SERVERS, DNS_CAA, "shop.test"}, f);
	caa_judge(f, "shop.test", false, &ca, CHALLENGE_DNS01, &j);
	assert_int_equal(j.said, CAA_FORBIDS);
	facts_free(f);
}

static void a_case_is_barred_by_authority(void **state)
{
	static const uint8_t key[LABEL_KEY_BYTES] = {7};
	static const char *const zones[] = {"acme.platform.test"};
	static const char *const others[] = {"other.test"};
	struct endpoint_config config = {.type = ENDPOINT_INTERNAL, .tenant = "t1"};
	struct diagnose_policy policy = {.zones = zones, .zones_n = 1, .label_key = key};
	struct diagnose_authority both[2] = {
		ca, {.name = "other", .identities = others, .n_identities = 1}};
	struct diagnose_case c = {.config = &config,
		.name = "shop.test",
		.policy = &policy,
		.authorities = both,
		.n_authorities = 2};
	struct dns_world w = {.zone = "shop.test", .servers = {"ns.dns.test"}, .n_servers = 1};
	struct diagnose_result *r = mem_zalloc(sizeof *r);
	char label[LABEL_SIZE], wanted[64];

	(void)state;
	label_make(key, "t1", "shop.test", label);
	snprintf(wanted, sizeof wanted, "%s.acme.platform.test", label);
	dns_world_add(&w, "_acme-challenge.shop.test", DNS_CNAME, wanted);
	dns_world_add(&w, "shop.test", DNS_CAA, "0 issue other.test");
	dns_world_look(&w, &c, r);
	assert_int_equal(r->verdict.dns01, VERDICT_CAN);
	assert_int_equal(r->bars_n, 1);
	assert_string_equal(r->bars[0].authority, "ca");
	assert_int_equal(r->bars[0].dns01, VERDICT_CANNOT);
	assert_string_equal(r->bars[0].code, "caa_forbids");
	assert_int_equal(r->diagnoses_n, 1);
	assert_int_equal(r->diagnoses[0].severity, DIAGNOSIS_INFO); /* the other may */
	assert_string_equal(r->diagnoses[0].authority, "ca");
	assert_string_equal(r->diagnoses[0].fix, "Add: shop.test CAA 0 issue \"ca.test\"");
	c.n_authorities = 1;
	dns_world_look(&w, &c, r);
	assert_int_equal(r->diagnoses[0].severity, DIAGNOSIS_CRITICAL);
	free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tree_is_climbed),
		cmocka_unit_test(properties),
		cmocka_unit_test(wildcards),
		cmocka_unit_test(accounts_and_methods),
		cmocka_unit_test(what_cannot_be_read_forbids_for_now),
		cmocka_unit_test(a_silent_resolver_leaves_it_to_the_servers),
		cmocka_unit_test(a_case_is_barred_by_authority),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* From what a little DNS says to diagnoses, verdicts and fixes. */
#include "common/clock.h"
#include "common/label.h"
#include "common/mem.h"
#include "tests/unit/worker/diagnose/dns_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOW    INT64_C(1800000000000)
#define NAME   "www.shop.test"
#define OWNER  "_acme-challenge.www.shop.test"
#define TARGET "ingress.platform.test"
#define EDGE   "198.51.100.7"
#define EDGE6  "2001:db8::7"

static const uint8_t label_key[LABEL_KEY_BYTES] = {7};
static const char *const zones[] = {"acme.platform.test", "old.platform.test"};

/* One test's world, case and result. */
static struct dns_world w;
static struct endpoint_config config;
static char (*names)[NAME_SIZE];
static struct diagnose_policy policy;
static struct diagnose_case c;
static struct diagnose_result r;
static struct name_verdict before;
static char wanted[NAME_SIZE];

static const char *label_of(const char *tenant, const char *name, const char *zone)
{
	static char out[4][NAME_SIZE];
	static int turn;
	char label[LABEL_SIZE];
	char *text = out[turn++ % 4];

	label_make(label_key, tenant, name, label);
	snprintf(text, NAME_SIZE, "%s.%s", label, zone);
	return text;
}

static int set_up(void **state)
{
	(void)state;
	memset(&before, 0, sizeof before);
	memset(&config, 0, sizeof config);
	free(names);
	names = mem_array(1, sizeof *names);
	snprintf(names[0], NAME_SIZE, NAME);
	w = (struct dns_world){
		.zone = "shop.test", .servers = {"ns1.dns.test", "ns2.dns.test"}, .n_servers = 2};
	dns_world_add(&w, "shop.test", DNS_SOA, "ns1.dns.test 1");
	dns_world_add(&w, TARGET, DNS_A, EDGE);
	dns_world_add(&w, TARGET, DNS_AAAA, EDGE6);
	config.type = ENDPOINT_EXTERNAL;
	config.names = names;
	config.names_n = 1;
	snprintf(config.tenant, sizeof config.tenant, "t1");
	snprintf(config.target, sizeof config.target, TARGET);
	policy = (struct diagnose_policy){.zones = zones,
		.zones_n = 2,
		.label_key = label_key,
		.confirm_ms = 5 * CLOCK_MINUTE_MS};
	c = (struct diagnose_case){
		.config = &config, .name = names[0], .policy = &policy, .now_ms = NOW};
	snprintf(wanted, sizeof wanted, "%s", label_of("t1", NAME, zones[0]));
	return 0;
}

static void is_right(void)
{
	dns_world_add(&w, NAME, DNS_CNAME, TARGET);
	dns_world_add(&w, OWNER, DNS_CNAME, wanted);
}

static unsigned look(void)
{
	return dns_world_look(&w, &c, &r);
}

/* Once more, after a while, knowing what was seen before. */
static void look_again(int64_t later_ms)
{
	before = r.verdict;
	c.before = &before;
	c.now_ms += later_ms;
	look();
}

static const struct diagnosis *found(const char *code)
{
	for (size_t i = 0; i < r.diagnoses_n; i++)
		if (!strcmp(r.diagnoses[i].code, code))
			return &r.diagnoses[i];
	for (size_t i = 0; i < r.diagnoses_n; i++)
		print_message("there is %s\n", r.diagnoses[i].code);
	fail_msg("no diagnosis %s", code);
	return NULL;
}

static void says(const struct diagnosis *d, const char *fix)
{
	if (!strstr(d->fix, fix))
		fail_msg("\"%s\" is not in the fix:\n%s", fix, d->fix);
}

/* What of the challenge record, with the fix's words. */
static void challenge_is(const char *code, enum record_status status, const char *fix)
{
	const struct diagnosis *d = found(code);

	assert_string_equal(r.verdict.challenge.code, code);
	assert_int_equal(r.verdict.challenge.status, status);
	assert_string_equal(d->record, OWNER " CNAME");
	assert_non_null(strstr(d->expected, wanted));
	assert_true(d->observed_n > 0);
	says(d, fix);
}

static void right_records_can_at_once_by_the_resolver_alone(void **state)
{
	(void)state;
	is_right();
	assert_int_equal(look(), 1);
	assert_int_equal(w.asked, 2);
	assert_int_equal(r.verdict.dns01, VERDICT_CAN);
	assert_int_equal(r.verdict.http01, VERDICT_CAN);
	assert_int_equal(r.verdict.traffic.status, RECORD_RIGHT);
	assert_true(r.verdict.proven && r.verdict.proof_exclusive);
	assert_int_equal(r.diagnoses_n, 0);
	assert_false(r.deep || r.gone || r.blind);
}

static void missing_is_certain_after_two_looks(void **state)
{
	(void)state;
	dns_world_add(&w, NAME, DNS_CNAME, TARGET);
	look();
	challenge_is("record_missing", RECORD_MISSING, "Create: " OWNER " CNAME ");
	says(found("record_missing"), "the name is \"_acme-challenge.www\"");
	assert_int_equal(found("record_missing")->observed_n, 2);
	assert_string_equal(found("record_missing")->observed[0].server, "ns1.dns.test 192.0.2.1");
	assert_string_equal(found("record_missing")->observed[0].what, "NXDOMAIN");
	assert_int_equal(r.verdict.dns01, VERDICT_UNSURE);
	assert_int_equal(r.verdict.challenge.bad_since_ms, NOW);
	look_again(CLOCK_MINUTE_MS);
	assert_int_equal(r.verdict.dns01, VERDICT_UNSURE);
	look_again(5 * CLOCK_MINUTE_MS);
	assert_int_equal(r.verdict.dns01, VERDICT_CANNOT);
	assert_int_equal(r.verdict.challenge.bad_since_ms, NOW);
	dns_world_add(&w, OWNER, DNS_CNAME, wanted);
	look_again(1000);
	assert_int_equal(r.verdict.dns01, VERDICT_CAN);
	assert_int_equal(r.verdict.challenge.bad_since_ms, 0);
}

static void what_one_server_does_not_say_is_not_certain(void **state)
{
	(void)state;
	dns_world_add(&w, NAME, DNS_CNAME, TARGET);
	w.faults[w.n_faults++] = (struct world_fault){ASK_SERVERS, NULL, 1, FACT_TIMEOUT};
	look();
	look_again(10 * CLOCK_MINUTE_MS);
	assert_int_equal(r.verdict.dns01, VERDICT_UNSURE);
	assert_int_equal(found("servers_silent")->severity, DIAGNOSIS_INFO);
	found("record_missing");
}

static void a_chain_is_followed(void **state)
{
	(void)state;
	dns_world_add(&w, NAME, DNS_CNAME, "hop.other.test");
	dns_world_add(&w, "hop.other.test", DNS_CNAME, TARGET);
	dns_world_add(&w, OWNER, DNS_CNAME, "a.other.test");
	dns_world_add(&w, "a.other.test", DNS_CNAME, wanted);
	look();
	assert_int_equal(r.verdict.dns01, VERDICT_CAN);
	assert_int_equal(r.verdict.http01, VERDICT_CAN);
	assert_int_equal(r.diagnoses_n, 0);
}

static void wrong_targets_are_told_apart(void **state)
{
	static char doubled[NAME_SIZE + 16], typo[NAME_SIZE], others[NAME_SIZE];
	const struct {
		const char *target, *code, *fix;
	} rows[] = {
		{"elsewhere.test", "cname_elsewhere", "Change it to: " OWNER " CNAME"},
		{doubled, "target_doubled", "ends with a dot"},
		{typo, "cname_typo", "Change it to"},
		{others, "label_not_yours", "Change it to"},
		{OWNER, "cname_loop", "Change it to"},
	};

	snprintf(doubled, sizeof doubled, "%s.shop.test", wanted);
	snprintf(others, sizeof others, "%s", label_of("t2", NAME, zones[0]));
	snprintf(typo, sizeof typo, "%s", wanted);
	typo[3] = typo[3] == 'a' ? 'b' : 'a';
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		set_up(state);
		dns_world_add(&w, NAME, DNS_CNAME, TARGET);
		dns_world_add(&w, OWNER, DNS_CNAME, rows[i].target);
		look();
		challenge_is(rows[i].code, RECORD_WRONG, rows[i].fix);
		assert_string_equal(r.verdict.challenge.observed, rows[i].target);
		look_again(5 * CLOCK_MINUTE_MS);
		assert_int_equal(r.verdict.dns01, VERDICT_CANNOT);
	}
}

static void anothers_label_of_the_same_endpoint_is_named(void **state)
{
	(void)state;
	config.names = names = mem_grow(names, 2, sizeof *names);
	c.name = names[0];
	config.names_n = 2;
	snprintf(names[1], NAME_SIZE, "api.shop.test");
	dns_world_add(&w, NAME, DNS_CNAME, TARGET);
	dns_world_add(&w, OWNER, DNS_CNAME, label_of("t1", "api.shop.test", zones[0]));
	look();
	challenge_is("label_not_yours", RECORD_WRONG, "is the label of api.shop.test");
}

static void the_label_in_an_older_zone_is_right(void **state)
{
	(void)state;
	dns_world_add(&w, NAME, DNS_CNAME, TARGET);
	dns_world_add(&w, OWNER, DNS_CNAME, label_of("t1", NAME, zones[1]));
	c.deep = true;
	look();
	assert_int_equal(r.verdict.dns01, VERDICT_CAN);
	assert_int_equal(found("label_old")->severity, DIAGNOSIS_INFO);
	says(found("label_old"), wanted);
}

static void long_chains_are_too_long(void **state)
{
	static char hops[12][32];

	(void)state;
	dns_world_add(&w, NAME, DNS_CNAME, TARGET);
	for (int i = 0; i < 12; i++)
		snprintf(hops[i], sizeof hops[i], "h%d.chain.test", i);
	dns_world_add(&w, OWNER, DNS_CNAME, hops[0]);
	for (int i = 0; i < 11; i++)
		dns_world_add(&w, hops[i], DNS_CNAME, hops[i + 1]);
	look();
	challenge_is("chain_long", RECORD_WRONG, "Change it to");
}

static void records_at_wrong_names_are_found(void **state)
{
	const struct {
		const char *owner, *code;
	} rows[] = {
		{OWNER ".shop.test", "name_doubled"},
		{"_acme-challange." NAME, "name_typo"},
		{"acme-challenge." NAME, "name_typo"},
		{"_acme_challenge." NAME, "name_typo"},
		{"_acme-challenge.shop.test", "name_typo"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		set_up(state);
		dns_world_add(&w, NAME, DNS_CNAME, TARGET);
		dns_world_add(&w, rows[i].owner, DNS_CNAME, wanted);
		look();
		challenge_is(rows[i].code, RECORD_MISSING, "Then remove ");
		says(found(rows[i].code), rows[i].owner);
	}
}

static void other_types_at_the_name(void **state)
{
	(void)state;
	dns_world_add(&w, NAME, DNS_CNAME, TARGET);
	dns_world_add(&w, OWNER, DNS_TXT, "an old challenge");
	look();
	challenge_is("txt_shadows", RECORD_MISSING, "Remove the TXT");
	set_up(state);
	dns_world_add(&w, NAME, DNS_CNAME, TARGET);
	dns_world_add(&w, OWNER, DNS_TXT, wanted);
	look();
	challenge_is("wrong_type", RECORD_MISSING, "Remove the TXT");
	set_up(state);
	dns_world_add(&w, NAME, DNS_CNAME, TARGET);
	dns_world_add(&w, OWNER, DNS_A, "192.0.2.80");
	look();
	challenge_is("wrong_type", RECORD_MISSING, "Remove the TXT and address");
	set_up(state);
	is_right();
	dns_world_add(&w, OWNER, DNS_TXT, "beside");
	c.deep = true;
	look();
	challenge_is("cname_beside_others", RECORD_RIGHT, "the CNAME stays");
	assert_int_equal(r.verdict.dns01, VERDICT_UNSURE);
}

static void a_delegated_challenge_name(void **state)
{
	(void)state;
	dns_world_add(&w, NAME, DNS_CNAME, TARGET);
	w.facts.apex = OWNER;
	look();
	challenge_is("challenge_delegated", RECORD_MISSING, "Remove the NS records");
}

static void wildcards(void **state)
{
	(void)state;
	/* A wildcard of the base answers at the challenge name. */
	dns_world_add(&w, NAME, DNS_CNAME, TARGET);
	dns_world_add(&w, "*." NAME, DNS_CNAME, "old.test");
	look();
	challenge_is("wildcard_answers", RECORD_WRONG, "Create: " OWNER);
	/* The base lives off the wildcard above. */
	set_up(state);
	dns_world_add(&w, "*.shop.test", DNS_CNAME, TARGET);
	look();
	challenge_is("wildcard_would_hide", RECORD_WRONG, "First give " NAME);
	assert_true(strstr(found("wildcard_would_hide")->fix, NAME " CNAME") <
		    strstr(found("wildcard_would_hide")->fix, "Only then:"));
	assert_int_equal(r.verdict.traffic.status, RECORD_RIGHT);
	/* The same with addresses. */
	set_up(state);
	dns_world_add(&w, "*.shop.test", DNS_A, EDGE);
	look();
	challenge_is("wildcard_would_hide", RECORD_MISSING, "First give " NAME);
}

static void an_apex_is_advised_as_an_apex(void **state)
{
	(void)state;
	snprintf(names[0], NAME_SIZE, "shop.test");
	dns_world_add(
		&w, "_acme-challenge.shop.test", DNS_CNAME, label_of("t1", "shop.test", zones[0]));
	dns_world_add(&w, "shop.test", DNS_A, "192.0.2.80");
	look();
	says(found("addresses_elsewhere"), "create an ALIAS or ANAME to " TARGET);
	says(found("addresses_elsewhere"), "A and AAAA with the addresses of " TARGET);
	assert_null(strstr(found("addresses_elsewhere")->fix, "CNAME " TARGET));
	assert_int_equal(r.verdict.http01, VERDICT_UNSURE);
	assert_int_equal(r.verdict.dns01, VERDICT_CAN);
	/* Flattened. */
	w.n--;
	dns_world_add(&w, "shop.test", DNS_A, EDGE);
	dns_world_add(&w, "shop.test", DNS_AAAA, EDGE6);
	look();
	assert_int_equal(r.diagnoses_n, 0);
	assert_int_equal(r.verdict.http01, VERDICT_CAN);
	/* A CNAME that some let stand there. */
	w.n -= 2;
	dns_world_add(&w, "shop.test", DNS_CNAME, TARGET);
	c.deep = true;
	look();
	says(found("apex_cname"), "Replace the CNAME");
	assert_int_equal(found("apex_cname")->severity, DIAGNOSIS_WARNING);
}

static void addresses(void **state)
{
	const struct {
		const char *a, *more, *aaaa, *code;
	} rows[] = {
		{"192.0.2.80", NULL, NULL, "addresses_elsewhere"},
		{EDGE, "192.0.2.80", NULL, "addresses_mixed"},
		{EDGE, NULL, "2001:db8::bad", "aaaa_elsewhere"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		set_up(state);
		dns_world_add(&w, OWNER, DNS_CNAME, wanted);
		dns_world_add(&w, NAME, DNS_A, rows[i].a);
		if (rows[i].more)
			dns_world_add(&w, NAME, DNS_A, rows[i].more);
		if (rows[i].aaaa)
			dns_world_add(&w, NAME, DNS_AAAA, rows[i].aaaa);
		look();
		assert_string_equal(r.verdict.traffic.code, rows[i].code);
		assert_int_equal(r.verdict.traffic.status, RECORD_WRONG);
		assert_int_equal(r.verdict.http01, VERDICT_UNSURE);
		says(found(rows[i].code), NAME);
		says(found(rows[i].code), "is no address that the internet can reach: ");
		/* What depends on addresses stays unsure. */
		look_again(CLOCK_HOUR_MS);
		assert_int_equal(r.verdict.http01, VERDICT_UNSURE);
	}
}

static void a_cdn_is_no_error(void **state)
{
	(void)state;
	dns_world_add(&w, OWNER, DNS_CNAME, wanted);
	dns_world_add(&w, NAME, DNS_A, "104.16.1.2");
	look();
	assert_int_equal(found("cdn_in_front")->severity, DIAGNOSIS_INFO);
	assert_string_equal(found("cdn_in_front")->provider, "Cloudflare");
	assert_int_equal(r.verdict.traffic.status, RECORD_RIGHT);
	assert_int_equal(r.verdict.http01, VERDICT_UNSURE);
	assert_int_equal(r.verdict.dns01, VERDICT_CAN);
	set_up(state);
	dns_world_add(&w, OWNER, DNS_CNAME, wanted);
	dns_world_add(&w, NAME, DNS_CNAME, "d1.cloudfront.net");
	dns_world_add(&w, "d1.cloudfront.net", DNS_A, "192.0.2.33");
	look();
	assert_string_equal(found("cdn_in_front")->provider, "Amazon CloudFront");
}

static void a_missing_traffic_record_is_certain(void **state)
{
	(void)state;
	dns_world_add(&w, OWNER, DNS_CNAME, wanted);
	look();
	assert_string_equal(r.verdict.traffic.code, "record_missing");
	assert_int_equal(r.verdict.http01, VERDICT_UNSURE);
	says(found("record_missing"), "Create: " NAME " CNAME " TARGET);
	look_again(5 * CLOCK_MINUTE_MS);
	assert_int_equal(r.verdict.http01, VERDICT_CANNOT);
	assert_int_equal(r.verdict.dns01, VERDICT_CAN);
	assert_false(r.gone);
}

static void servers_and_their_faults(void **state)
{
	(void)state;
	is_right();
	w.records[w.n - 1].servers = 1;
	c.deep = true;
	look();
	says(found("servers_disagree"), "wait until the change is at each server");
	assert_int_equal(r.verdict.dns01, VERDICT_UNSURE);
	assert_int_equal(found("servers_disagree")->observed_n, 2);

	set_up(state);
	is_right();
	c.deep = true;
	w.faults[w.n_faults++] = (struct world_fault){ASK_SERVERS, NULL, 1, FACT_LAME};
	look();
	says(found("lame_server"), "ns2.dns.test");
	assert_int_equal(r.verdict.dns01, VERDICT_CAN);

	set_up(state);
	dns_world_fault(&w, ASK_SERVERS, NULL, FACT_LAME);
	dns_world_fault(&w, ASK_RESOLVER, OWNER, FACT_SERVFAIL);
	look();
	says(found("lame_delegation"), "At the registrar");
	assert_int_equal(r.verdict.dns01, VERDICT_UNSURE);
	assert_int_equal(r.verdict.challenge.status, RECORD_ERROR);
	assert_false(r.blind);

	set_up(state);
	dns_world_fault(&w, ASK_SERVERS, NULL, FACT_TIMEOUT);
	dns_world_fault(&w, ASK_RESOLVER, OWNER, FACT_SERVFAIL);
	look();
	assert_int_equal(found("servers_silent")->severity, DIAGNOSIS_WARNING);
	assert_int_equal(r.verdict.dns01, VERDICT_UNSURE);

	set_up(state);
	is_right();
	c.deep = true;
	w.faults[w.n_faults++] = (struct world_fault){ASK_SERVERS, NULL, 0, FACT_TCP_REFUSED};
	w.dangling = true;
	look();
	says(found("tcp_refused"), "ns1.dns.test");
	says(found("ns_dangling"), "ns2.dns.test");
}

static void a_domain_that_does_not_exist(void **state)
{
	(void)state;
	w.n = 3;
	w.records[0].owner = "else.test";
	w.facts.apex = "test";
	look();
	assert_int_equal(found("nxdomain")->severity, DIAGNOSIS_CRITICAL);
	says(found("nxdomain"), "Register shop.test");
}

static void dnssec_forbids(void **state)
{
	(void)state;
	is_right();
	dns_world_fault(&w, ASK_RESOLVER, OWNER, FACT_BOGUS);
	w.facts.ds = FACT_DS_THERE;
	w.facts.signed_ = w.facts.ds_matches = true;
	look();
	says(found("dnssec_bogus"), "sign shop.test anew");
	assert_int_equal(r.verdict.dns01, VERDICT_CANNOT);
	w.facts.ds_matches = false;
	look();
	says(found("dnssec_ds"), "remove the DS record of shop.test");
	assert_string_equal(r.verdict.challenge.code, "dnssec_ds");
}

static void servfail_alone(void **state)
{
	(void)state;
	is_right();
	dns_world_fault(&w, ASK_RESOLVER, OWNER, FACT_SERVFAIL);
	look();
	found("servfail");
	assert_int_equal(r.verdict.dns01, VERDICT_UNSURE);
	assert_false(r.blind);
}

static void while_we_are_blind_nothing_turns_bad(void **state)
{
	(void)state;
	is_right();
	look();
	/* The resolver is silent, and it is not known why: what was possible stays. */
	dns_world_fault(&w, ASK_RESOLVER, NULL, FACT_TIMEOUT);
	look_again(CLOCK_HOUR_MS);
	assert_true(r.unanswered && !r.blind);
	assert_int_equal(r.verdict.dns01, VERDICT_CAN);
	assert_int_equal(r.verdict.http01, VERDICT_CAN);
	assert_int_equal(r.verdict.traffic.status, RECORD_RIGHT);
	c.before = NULL;
	look();
	assert_int_equal(r.verdict.dns01, VERDICT_UNSURE);
	/* It is ours: what the servers say is certain, also of a new endpoint. */
	policy.resolver_broken = true;
	look();
	assert_true(r.blind);
	found("our_outage");
	assert_int_equal(r.verdict.dns01, VERDICT_CAN);
	/* Nothing answers at all, the registries neither. */
	set_up(state);
	is_right();
	look();
	dns_world_fault(&w, ASK_RESOLVER, NULL, FACT_SERVFAIL);
	dns_world_fault(&w, ASK_SERVERS, NULL, FACT_TIMEOUT);
	w.facts = (struct fact_zone){.apex = ".", .end = FACT_TIMEOUT};
	for (int i = 0; i < 3; i++) {
		look_again(CLOCK_HOUR_MS);
		assert_true(r.blind);
		assert_int_equal(r.verdict.dns01, VERDICT_CAN);
		assert_int_equal(r.verdict.challenge.status, RECORD_RIGHT);
		assert_int_equal(r.diagnoses_n, 1);
		assert_int_equal(found("our_outage")->actor, ACTOR_OPERATOR);
	}
}

static void a_view_of_our_own(void **state)
{
	(void)state;
	is_right();
	w.records[w.n - 1].servers = 3; /* not at the resolver */
	look();
	assert_int_equal(r.verdict.dns01, VERDICT_CAN);
	says(found("split_view"), "resolver.servers");
}

static void an_internal_endpoint_needs_one_record(void **state)
{
	(void)state;
	config.type = ENDPOINT_INTERNAL;
	config.target[0] = '\0';
	dns_world_add(&w, NAME, DNS_A, "10.0.0.1");
	dns_world_add(&w, OWNER, DNS_CNAME, wanted);
	c.deep = true;
	look();
	assert_int_equal(r.diagnoses_n, 0);
	assert_int_equal(r.verdict.dns01, VERDICT_CAN);
	assert_int_equal(r.verdict.http01, VERDICT_CANNOT);
	assert_int_equal(r.verdict.traffic.status, RECORD_UNKNOWN);
}

static void the_departed(void **state)
{
	(void)state;
	dns_world_add(&w, NAME, DNS_A, "192.0.2.80");
	look();
	assert_true(r.gone);
}

static void effects_name_the_date(void **state)
{
	struct endpoint_cert cert = {
		.renew_at_ms = NOW + 30 * CLOCK_DAY_MS, .not_after_ms = NOW + 60 * CLOCK_DAY_MS};

	(void)state;
	c.cert = &cert;
	look();
	assert_int_equal(found("record_missing")->effect_ms, cert.renew_at_ms);
	assert_non_null(strstr(found("record_missing")->effect,
		"The renewal due at 2027-02-14T08:00:00.000Z will fail; the certificate ends at"));
	c.cert = NULL;
	look();
	assert_string_equal(found("record_missing")->effect,
		"No certificate can be issued before this is right.");
}

static void providers_are_spoken_to_in_their_words(void **state)
{
	(void)state;
	w.servers[0] = "amy.ns.cloudflare.com";
	w.servers[1] = "bob.ns.cloudflare.com";
	dns_world_add(&w, NAME, DNS_CNAME, TARGET);
	look();
	assert_string_equal(found("record_missing")->provider, "Cloudflare");
	says(found("record_missing"), "Name \"_acme-challenge.www\"");
	says(found("record_missing"), "Proxy status \"DNS only\"");
	w.servers[0] = w.servers[1] = "dns1.registrar-servers.com";
	look();
	says(found("record_missing"), ".acme.platform.test.\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup(name, set_up)
		T(right_records_can_at_once_by_the_resolver_alone),
		T(missing_is_certain_after_two_looks),
		T(what_one_server_does_not_say_is_not_certain),
		T(a_chain_is_followed),
		T(wrong_targets_are_told_apart),
		T(anothers_label_of_the_same_endpoint_is_named),
		T(the_label_in_an_older_zone_is_right),
		T(long_chains_are_too_long),
		T(records_at_wrong_names_are_found),
		T(other_types_at_the_name),
		T(a_delegated_challenge_name),
		T(wildcards),
		T(an_apex_is_advised_as_an_apex),
		T(addresses),
		T(a_cdn_is_no_error),
		T(a_missing_traffic_record_is_certain),
		T(servers_and_their_faults),
		T(a_domain_that_does_not_exist),
		T(dnssec_forbids),
		T(servfail_alone),
		T(while_we_are_blind_nothing_turns_bad),
		T(a_view_of_our_own),
		T(an_internal_endpoint_needs_one_record),
		T(the_departed),
		T(effects_name_the_date),
		T(providers_are_spoken_to_in_their_words),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	free(names);
	return failed;
}

#include "worker/dns/survey.h"

#include "common/mem.h"
#include "tests/unit/net_aid.h"
#include "tests/unit/worker/dns/fake_dns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/*
 *	.  127.0.1.1 ──► test  127.0.1.2 ─┬─► shop.test   127.0.1.3, 127.0.1.4, [::1]
 *	                                  ├─► far.test    ns.else.org, by the resolver 127.0.1.4
 *	                                  ├─► evil.test   127.0.0.1's neighbour, 169.254.169.254
 *	                                  └─► void.test   names that do not exist
 */
enum { ROOT, TLD, ONE, TWO, RESOLVER, N_SERVERS };

static const struct fake_record root_records[] = {
	{"test", DNS_NS, "ns.test"},
	{"ns.test", DNS_A, "127.0.1.2"},
	{NULL, 0, NULL},
};
static const struct fake_record tld_records[] = {
	{"test", DNS_NS, "ns.test"},
	{"ns.test", DNS_A, "127.0.1.2"},
	{"shop.test", DNS_NS, "ns1.shop.test"},
	{"shop.test", DNS_NS, "ns2.shop.test"},
	{"ns1.shop.test", DNS_A, "127.0.1.3"},
	{"ns2.shop.test", DNS_A, "127.0.1.4"},
	{"far.test", DNS_NS, "ns.else.org"},
	{"evil.test", DNS_NS, "ns.evil.test"},
	{"ns.evil.test", DNS_A, "127.0.0.1"},
	{"ns.evil.test", DNS_A, "169.254.169.254"},
	{"void.test", DNS_NS, "a.gone.org"},
	{"void.test", DNS_NS, "b.gone.org"},
	{"plain.test", DNS_A, "192.0.2.9"},
	{"ring.test", DNS_NS, "ns.gnir.test"},
	{"gnir.test", DNS_NS, "ns.ring.test"},
	{"flood.test", DNS_NS, "n01.victim.org"},
	{"flood.test", DNS_NS, "n02.victim.org"},
	{"flood.test", DNS_NS, "n03.victim.org"},
	{"flood.test", DNS_NS, "n04.victim.org"},
	{"flood.test", DNS_NS, "n05.victim.org"},
	{"flood.test", DNS_NS, "n06.victim.org"},
	{"flood.test", DNS_NS, "n07.victim.org"},
	{"flood.test", DNS_NS, "n08.victim.org"},
	{"flood.test", DNS_NS, "n09.victim.org"},
	{"flood.test", DNS_NS, "n10.victim.org"},
	{"flood.test", DNS_NS, "n11.victim.org"},
	{"flood.test", DNS_NS, "n12.victim.org"},
	{"flood.test", DNS_NS, "n13.victim.org"},
	{"flood.test", DNS_NS, "n14.victim.org"},
	{"flood.test", DNS_NS, "n15.victim.org"},
	{NULL, 0, NULL},
};
static const struct fake_record shop_records[] = {
	{"shop.test", DNS_NS, "ns1.shop.test"},
	{"shop.test", DNS_NS, "ns3.else.org"},
	{"ns1.shop.test", DNS_A, "127.0.1.3"},
	{"ns2.shop.test", DNS_A, "127.0.1.33"},
	{"www.shop.test", DNS_A, "192.0.2.1"},
	{"sub.shop.test", DNS_NS, "ns.sub.shop.test"},
	{"ns.sub.shop.test", DNS_A, "127.0.1.4"},
	{NULL, 0, NULL},
};
static const struct fake_record other_records[] = {
	{"shop.test", DNS_NS, "ns1.shop.test"},
	{"shop.test", DNS_NS, "ns3.else.org"},
	{"ns1.shop.test", DNS_A, "127.0.1.3"},
	{"ns2.shop.test", DNS_A, "127.0.1.33"},
	{"www.shop.test", DNS_A, "192.0.2.2"},
	{"far.test", DNS_NS, "ns.else.org"},
	{"www.far.test", DNS_TXT, "hello"},
	{"sub.shop.test", DNS_NS, "ns.sub.shop.test"},
	{"sub.shop.test", DNS_A, "192.0.2.3"},
	{NULL, 0, NULL},
};
static const struct fake_record resolver_records[] = {
	{"ns.else.org", DNS_A, "127.0.1.4"},
	{"ns3.else.org", DNS_A, "127.0.1.4"},
	{"www.shop.test", DNS_A, "192.0.2.1"},
	{NULL, 0, NULL},
};
static const char *const root_zones[] = {".", NULL}, *const tld_zones[] = {"test", NULL};
static const char *const one_zones[] = {"shop.test", NULL};
static const char *const two_zones[] = {"shop.test", "far.test", "sub.shop.test", NULL};

struct world {
	uv_loop_t loop;
	struct fake_server servers[N_SERVERS];
	struct dns_exchanger *x;
	struct resolver *resolver;
	struct survey *s;
	struct facts *facts;
	struct survey_look *look;
	bool done;
};

static bool on_loopback(void *arg, const struct addr *a)
{
	struct addr_range neighbours;
	(void)arg;

	assert_int_equal(addr_range_parse("127.0.1.0/24", &neighbours, NULL), 0);
	return addr_range_has(&neighbours, a);
}

static void make_survey(struct world *w, unsigned per_second)
{
	struct survey_options o = {.roots = &w->servers[ROOT].address,
		.n_roots = 1,
		.port = addr_port(&w->servers[ROOT].address),
		.allowed = on_loopback,
		.per_second = per_second,
		.try_ms = 150,
		.ipv6 = true};

	survey_free(w->s);
	w->s = survey_new(&w->loop, w->x, w->resolver, &o);
}

static int setup(void **state)
{
	struct world *w = mem_zalloc(sizeof(*w));
	const struct fake_server servers[N_SERVERS] = {
		[ROOT] = {.host = "127.0.1.1", .zones = root_zones, .records = root_records},
		[TLD] = {.host = "127.0.1.2", .zones = tld_zones, .records = tld_records},
		[ONE] = {.host = "127.0.1.3", .zones = one_zones, .records = shop_records},
		[TWO] = {.host = "127.0.1.4", .zones = two_zones, .records = other_records},
		[RESOLVER] = {.host = "127.0.1.5",
			.zones = root_zones,
			.records = resolver_records},
	};

	memcpy(w->servers, servers, sizeof(servers));
	uv_loop_init(&w->loop);
	fake_dns_start(&w->loop, w->servers, N_SERVERS);
	w->x = dns_exchanger_new(&w->loop, 0);
	struct resolver_options ro = {
		.servers = &w->servers[RESOLVER].address, .n_servers = 1, .timeout_ms = 500};
	w->resolver = resolver_new(&w->loop, w->x, &ro);
	make_survey(w, 10000);
	*state = w;
	return 0;
}

static void end_look(struct world *w)
{
	survey_look_free(mem_steal(w->look));
	facts_free(mem_steal(w->facts));
}

static int teardown(void **state)
{
	struct world *w = *state;

	end_look(w);
	survey_free(w->s);
	resolver_free(w->resolver);
	dns_exchanger_free(w->x);
	fake_dns_stop(w->servers, N_SERVERS);
	aid_loop_end(&w->loop);
	free(w);
	return 0;
}

static void on_done(void *arg)
{
	struct world *w = arg;

	assert_false(w->done);
	w->done = true;
}

static void begin_look(struct world *w, const struct survey_budget *budget)
{
	end_look(w);
	w->facts = facts_new();
	w->look = survey_look_new(w->s, w->facts, budget);
}

static void ask_all(struct world *w, const struct ask *asks, size_t n)
{
	w->done = false;
	survey_ask(w->look, asks, n, on_done, w);
	assert_false(w->done);
	aid_until_flag(&w->loop, &w->done);
}

static const struct fact *ask(struct world *w, enum ask_how how, uint16_t type, const char *owner)
{
	struct ask a = {how, type, owner};

	if (!w->look)
		begin_look(w, &(struct survey_budget){0});
	ask_all(w, &a, 1);
	const struct fact *f = facts_find(w->facts, how, type, owner);
	assert_non_null(f);
	return f;
}

static size_t asked(const struct world *w)
{
	size_t n = 0;

	for (size_t i = 0; i < N_SERVERS; i++)
		n += w->servers[i].asked;
	return n;
}

static void forget_asked(struct world *w)
{
	for (size_t i = 0; i < N_SERVERS; i++)
		w->servers[i].asked = 0;
}

static const struct fact_ns *ns_of(const struct fact_zone *z, const char *name)
{
	for (size_t i = 0; i < z->n_servers; i++)
		if (strcmp(z->servers[i].name, name) == 0)
			return &z->servers[i];
	fail_msg("%s is no name server of %s", name, z->apex);
	return NULL;
}

static void test_every_server_is_asked(void **state)
{
	struct world *w = *state;
	const struct fact *f = ask(w, ASK_SERVERS, DNS_A, "www.shop.test");

	/* ns2's glue is 127.0.1.4, the zone says 127.0.1.33: nobody is there. ns3 is also
	 * 127.0.1.4. */
	assert_int_equal(f->n, 3);
	assert_string_equal(f->answers[0].server, "ns1.shop.test");
	assert_int_equal(f->answers[0].end, FACT_RECORDS);
	assert_string_equal(f->answers[0].records[0], "192.0.2.1");
	assert_int_equal(f->answers[0].ttl_s, 300);
	assert_string_equal(f->answers[1].server, "ns2.shop.test");
	assert_string_equal(f->answers[1].records[0], "192.0.2.2");
	assert_int_equal(f->answers[2].end, FACT_NETWORK);
	const struct fact_zone *z = f->zone;
	assert_string_equal(z->apex, "shop.test");
	assert_string_equal(z->parent, "test");
	assert_int_equal(z->end, FACT_RECORDS);
	assert_int_equal(z->ds, FACT_DS_NONE);
	assert_false(z->signed_ || z->lame);
	assert_int_equal(z->delegation_ttl_s, 300);
	assert_true(ns_of(z, "ns1.shop.test")->at_parent && ns_of(z, "ns1.shop.test")->in_zone);
	assert_false(ns_of(z, "ns1.shop.test")->glue_differs);
	assert_true(ns_of(z, "ns2.shop.test")->at_parent);
	if (ns_of(z, "ns2.shop.test")->in_zone)
		fail_msg("ns2 is named by the parent alone");
	assert_true(ns_of(z, "ns2.shop.test")->glue_differs);
	assert_false(ns_of(z, "ns3.else.org")->at_parent);
	assert_true(ns_of(z, "ns3.else.org")->in_zone);
}

static void test_warm_looks_walk_nothing(void **state)
{
	struct world *w = *state;

	ask(w, ASK_SERVERS, DNS_A, "www.shop.test");
	forget_asked(w);
	begin_look(w, &(struct survey_budget){0});
	ask(w, ASK_SERVERS, DNS_A, "www.shop.test");
	assert_int_equal(asked(w), 2);
	assert_int_equal(survey_queries_left(w->look), 100 - 3);
	begin_look(w, &(struct survey_budget){.fresh = true});
	ask(w, ASK_SERVERS, DNS_A, "www.shop.test");
	assert_int_equal(w->servers[ROOT].asked, 0);
	assert_int_equal(w->servers[TLD].asked, 2); /* the referral, DS */
	assert_true(asked(w) > 6);
	assert_int_equal(survey_zones(w->s), 2);
}

static void test_side_by_side_share_the_walk(void **state)
{
	struct world *w = *state;
	const struct ask asks[] = {
		{ASK_SERVERS, DNS_A, "www.shop.test"},
		{ASK_SERVERS, DNS_TXT, "www.shop.test"},
		{ASK_SERVERS, DNS_A, "a.shop.test"},
		{ASK_ZONE, 0, "www.shop.test"},
		{ASK_SERVERS, DNS_A, "www.shop.test"},
		{ASK_RESOLVER, DNS_A, "www.shop.test"},
	};

	begin_look(w, &(struct survey_budget){0});
	ask_all(w, asks, ARRAY_LEN(asks));
	assert_int_equal(facts_n(w->facts), 5); /* one was asked twice */
	assert_int_equal(w->servers[ROOT].asked, 1);
	assert_true(w->servers[TLD].asked <= 3);
	const struct fact *f = facts_find(w->facts, ASK_SERVERS, DNS_A, "a.shop.test");
	assert_int_equal(f->answers[0].end, FACT_NXDOMAIN);
	f = facts_find(w->facts, ASK_SERVERS, DNS_TXT, "www.shop.test");
	assert_int_equal(f->answers[0].end, FACT_NODATA);
	f = facts_find(w->facts, ASK_ZONE, 0, "www.shop.test");
	assert_int_equal(f->n, 0);
	assert_string_equal(f->zone->apex, "shop.test");
	f = facts_find(w->facts, ASK_RESOLVER, DNS_A, "www.shop.test");
	assert_int_equal(f->n, 1);
	assert_string_equal(f->answers[0].server, "resolver");
	assert_string_equal(f->answers[0].records[0], "192.0.2.1");
	assert_null(f->zone);
	forget_asked(w);
	ask_all(w, asks, ARRAY_LEN(asks));
	assert_int_equal(asked(w), 0); /* the bag has them */
}

static void test_cuts_below_are_found(void **state)
{
	struct world *w = *state;

	ask(w, ASK_SERVERS, DNS_A, "www.shop.test"); /* so that the walk begins at shop.test */
	const struct fact *f = ask(w, ASK_SERVERS, DNS_A, "sub.shop.test");
	assert_string_equal(f->zone->apex, "sub.shop.test");
	assert_string_equal(f->zone->parent, "shop.test");
	assert_int_equal(f->n, 1);
	assert_string_equal(f->answers[0].server, "ns.sub.shop.test");
	assert_int_equal(f->answers[0].end, FACT_RECORDS);
	assert_string_equal(ask(w, ASK_ZONE, 0, "x.y.sub.shop.test")->zone->apex, "sub.shop.test");
	assert_string_equal(ask(w, ASK_ZONE, 0, "www.shop.test")->zone->apex, "shop.test");
}

static void test_name_servers_elsewhere(void **state)
{
	struct world *w = *state;
	const struct fact *f = ask(w, ASK_SERVERS, DNS_TXT, "www.far.test");

	assert_int_equal(f->n, 1);
	assert_string_equal(f->answers[0].server, "ns.else.org");
	assert_string_equal(f->answers[0].records[0], "hello");
	assert_false(f->zone->servers[0].dangling);
	f = ask(w, ASK_SERVERS, DNS_A, "www.void.test");
	assert_int_equal(f->n, 0);
	assert_string_equal(f->zone->apex, "void.test");
	assert_int_equal(f->zone->end, FACT_RECORDS);
	assert_true(f->zone->servers[0].dangling && f->zone->servers[1].dangling);
}

static void test_unsafe_addresses_are_not_asked(void **state)
{
	struct world *w = *state;
	const struct fact *f = ask(w, ASK_SERVERS, DNS_A, "www.evil.test");

	assert_int_equal(f->n, 2);
	assert_int_equal(f->answers[0].end, FACT_UNSAFE);
	assert_int_equal(f->answers[1].end, FACT_UNSAFE);
	assert_int_equal(addr_port(&f->answers[1].address), addr_port(&w->servers[0].address));
	assert_false(f->zone->lame);
}

/* Each needs the other: the resolver cannot find out, and the walk ends. */
static void test_name_servers_in_a_ring(void **state)
{
	struct world *w = *state;

	w->servers[RESOLVER].mood = FAKE_SERVFAIL;
	const struct fact *f = ask(w, ASK_SERVERS, DNS_A, "www.ring.test");
	assert_string_equal(f->zone->apex, "ring.test");
	assert_int_equal(f->n, 0);
	assert_false(f->zone->servers[0].dangling); /* that was not said */
	assert_int_equal(f->zone->servers[0].n_addresses, 0);
}

/* NXNSAttack: one question of ours would become hundreds to a victim's servers. */
static void test_a_flood_is_bounded(void **state)
{
	struct world *w = *state;

	begin_look(w, &(struct survey_budget){.queries = 20});
	const struct fact *f = ask(w, ASK_SERVERS, DNS_A, "www.flood.test");
	assert_int_equal(f->zone->end, FACT_SKIPPED);
	assert_in_range(w->servers[RESOLVER].asked, 1, 20);
	assert_int_equal(survey_queries_left(w->look), 0);
	begin_look(w, &(struct survey_budget){0});
	forget_asked(w);
	f = ask(w, ASK_SERVERS, DNS_A, "www.flood.test");
	assert_int_equal(f->zone->n_servers, 13);
	assert_in_range(w->servers[RESOLVER].asked, 1, 2 * 13);
	for (size_t i = 0; i < f->zone->n_servers; i++)
		assert_true(f->zone->servers[i].dangling);
}

static void test_no_such_domain(void **state)
{
	struct world *w = *state;
	const struct fact *f = ask(w, ASK_SERVERS, DNS_A, "www.nothing.test");

	assert_string_equal(f->zone->apex, "test");
	assert_int_equal(f->zone->end, FACT_NXDOMAIN);
	assert_int_equal(f->answers[0].end, FACT_NXDOMAIN);
	f = ask(w, ASK_SERVERS, DNS_A, "plain.test"); /* in the top-level domain itself */
	assert_string_equal(f->zone->apex, "test");
	assert_int_equal(f->zone->end, FACT_RECORDS);
	assert_int_equal(f->answers[0].end, FACT_RECORDS);
	f = ask(w, ASK_ZONE, 0, "nowhere");
	assert_string_equal(f->zone->apex, ".");
	assert_int_equal(f->zone->end, FACT_NXDOMAIN);
}

static void test_moods(void **state)
{
	struct world *w = *state;
	static const struct {
		enum fake_mood mood;
		enum fact_end end;
	} rows[] = {
		{FAKE_REFUSES, FACT_LAME},
		{FAKE_SERVFAIL, FACT_SERVFAIL},
		{FAKE_TRUNCATES, FACT_TCP_REFUSED},
		{FAKE_RECURSES, FACT_LAME},
		{FAKE_SILENT, FACT_TIMEOUT},
		{FAKE_FINE, FACT_RECORDS},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		w->servers[TWO].mood = rows[i].mood;
		begin_look(w, &(struct survey_budget){.fresh = true});
		const struct fact *f = ask(w, ASK_SERVERS, DNS_A, "www.shop.test");
		assert_int_equal(f->answers[0].end, FACT_RECORDS);
		if (f->answers[1].end != rows[i].end)
			fail_msg("row %zu: %s instead of %s", i, fact_end_word(f->answers[1].end),
				fact_end_word(rows[i].end));
		assert_false(f->zone->lame);
	}
}

static void test_lame_delegation(void **state)
{
	struct world *w = *state;

	w->servers[ONE].mood = w->servers[TWO].mood = FAKE_REFUSES;
	const struct fact *f = ask(w, ASK_SERVERS, DNS_A, "www.shop.test");
	assert_true(f->zone->lame);
	assert_string_equal(f->zone->apex, "shop.test");
	assert_int_equal(f->answers[0].end, FACT_LAME);
	assert_int_equal(f->answers[1].end, FACT_LAME);
}

static void test_nobody_home(void **state)
{
	struct world *w = *state;

	w->servers[TLD].mood = FAKE_SILENT;
	const struct fact *f = ask(w, ASK_SERVERS, DNS_A, "www.shop.test");
	assert_string_equal(f->zone->apex, "test");
	assert_int_equal(f->zone->end, FACT_TIMEOUT);
	assert_int_equal(f->answers[0].end, FACT_TIMEOUT);
}

static void test_budget(void **state)
{
	struct world *w = *state;

	for (unsigned queries = 1; queries < 16; queries++) {
		make_survey(w, 10000);
		begin_look(w, &(struct survey_budget){.queries = queries});
		forget_asked(w);
		const struct fact *f = ask(w, ASK_SERVERS, DNS_A, "www.shop.test");
		assert_true(asked(w) <= queries);
		if (queries == 1)
			assert_int_equal(f->zone->end, FACT_SKIPPED);
		end_look(w);
	}
	make_survey(w, 10000);
	begin_look(w, &(struct survey_budget){.addresses = 1});
	assert_int_equal(ask(w, ASK_SERVERS, DNS_A, "www.shop.test")->n, 1);
	begin_look(w, &(struct survey_budget){.servers = 2, .addresses = 9});
	assert_int_equal(ask(w, ASK_SERVERS, DNS_A, "www.shop.test")->n, 3);
}

static void test_deadline(void **state)
{
	struct world *w = *state;

	w->servers[TLD].mood = FAKE_SILENT;
	begin_look(w, &(struct survey_budget){.timeout_ms = 50});
	const struct fact *f = ask(w, ASK_SERVERS, DNS_A, "www.shop.test");
	assert_int_equal(f->n, 0);
	f = ask(w, ASK_SERVERS, DNS_A, "late.shop.test"); /* over before it began */
	assert_int_equal(f->n, 0);
	f = ask(w, ASK_RESOLVER, DNS_A, "late.shop.test");
	assert_true(f->n == 0 || f->answers[0].end == FACT_SKIPPED);
}

/* Everything is under way; the look goes, then the survey. */
static void test_free_in_the_middle(void **state)
{
	struct world *w = *state;
	const struct ask asks[] = {
		{ASK_SERVERS, DNS_A, "www.shop.test"},
		{ASK_SERVERS, DNS_A, "www.void.test"},
		{ASK_ZONE, 0, "www.far.test"},
		{ASK_RESOLVER, DNS_A, "www.shop.test"},
	};

	for (int turns = 0; turns < 40; turns++) {
		make_survey(w, 10000);
		begin_look(w, &(struct survey_budget){0});
		w->done = false;
		survey_ask(w->look, asks, ARRAY_LEN(asks), on_done, w);
		for (int i = 0; i < turns && !w->done; i++)
			uv_run(&w->loop, UV_RUN_ONCE);
		end_look(w);
	}
}

static void test_a_slow_pace_is_kept(void **state)
{
	struct world *w = *state;
	struct ask asks[60];
	char names[60][32];

	make_survey(w, 50); /* 25 at once, then one in 20 ms */
	ask(w, ASK_ZONE, 0, "shop.test");
	begin_look(w, &(struct survey_budget){.queries = 1000});
	for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
		snprintf(names[i], sizeof(names[i]), "n%zu.shop.test", i);
		asks[i] = (struct ask){ASK_SERVERS, DNS_A, names[i]};
	}
	int64_t began = (int64_t)uv_now(&w->loop);
	ask_all(w, asks, ARRAY_LEN(asks));
	assert_true((int64_t)uv_now(&w->loop) - began >= 500);
	for (size_t i = 0; i < ARRAY_LEN(asks); i++)
		assert_int_equal(facts_find(w->facts, ASK_SERVERS, DNS_A, names[i])->answers[0].end,
			FACT_NXDOMAIN);
}

struct many {
	struct facts *facts;
	struct survey_look *look;
	size_t *left;
};

static void on_one_done(void *arg)
{
	struct many *m = arg;

	survey_look_free(mem_steal(m->look));
	--*m->left;
}

static bool none_left(void *arg)
{
	return *(size_t *)arg == 0;
}

static void test_thousands(void **state)
{
	struct world *w = *state;
	enum { N = 1000 };
	static struct many many[N];
	size_t left = N;

	make_survey(w, 1000000);
	for (size_t i = 0; i < N; i++) {
		const struct ask a[] = {{ASK_SERVERS, DNS_A, "www.shop.test"},
			{ASK_SERVERS, DNS_TXT, "www.far.test"}};
		many[i] = (struct many){.facts = facts_new(), .left = &left};
		many[i].look = survey_look_new(w->s, many[i].facts, &(struct survey_budget){0});
		survey_ask(many[i].look, a, 2, on_one_done, &many[i]);
	}
	aid_until(&w->loop, none_left, &left);
	assert_int_equal(w->servers[ROOT].asked, 1);
	assert_true(w->servers[TLD].asked < 10);
	for (size_t i = 0; i < N; i++) {
		const struct fact *f =
			facts_find(many[i].facts, ASK_SERVERS, DNS_TXT, "www.far.test");
		assert_int_equal(f->answers[0].end, FACT_RECORDS);
		facts_free(many[i].facts);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_server_is_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_warm_looks_walk_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_side_by_side_share_the_walk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cuts_below_are_found, setup, teardown),
		cmocka_unit_test_setup_teardown(test_name_servers_elsewhere, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_unsafe_addresses_are_not_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_name_servers_in_a_ring, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_flood_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_such_domain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_moods, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lame_delegation, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nobody_home, setup, teardown),
		cmocka_unit_test_setup_teardown(test_budget, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deadline, setup, teardown),
		cmocka_unit_test_setup_teardown(test_free_in_the_middle, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_slow_pace_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_thousands, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* alerts.c, sweep.c, fleet.c and common/lua/alert*.lua against a real Redis. */
#include "scheduler/alerts.h"

#include "common/clock.h"
#include "common/event.h"
#include "common/mem.h"
#include "common/mp.h"
#include "scheduler/fleet.h"
#include "scheduler/sweep.h"
#include "tests/unit/scheduler/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct group_policy policy = {
	.settle_ms = 300, .hold_ms = 1500, .window_ms = 3600000, .least = 5};

static const struct fleet_options fleet_options = {
	.name = "test", .nonce = "me", .cap = 1000000, .keep_ms = CLOCK_DAY_MS};

struct scene {
	struct world w;
	struct alerts *alerts;
	struct sweep *sweep;
	struct fleet *fleet;
	const char *type; /* waited for */
	int n;
};

static void start(struct scene *s)
{
	memset(s, 0, sizeof *s);
	world_start(&s->w);
	s->alerts = alerts_new(&s->w.loop, s->w.redis, &policy);
}

static void finish(struct scene *s)
{
	fleet_close(s->fleet);
	sweep_close(s->sweep);
	alerts_close(s->alerts);
	world_finish(&s->w);
	fleet_free(s->fleet);
	sweep_free(s->sweep);
	alerts_free(s->alerts);
}

static bool said(void *arg)
{
	struct scene *s = arg;

	return world_count_events(&s->w, "alerts", s->type) >= s->n;
}

static void expect(struct scene *s, const char *type, int n)
{
	s->type = type;
	s->n = n;
	if (!loop_until(&s->w.loop, said, s, SOON_MS))
		fail_msg("%s was said %d times, not %d", type,
			world_count_events(&s->w, "alerts", type), n);
	assert_int_equal(world_count_events(&s->w, "alerts", type), n);
}

static void put_caused(struct scene *s, const char *endpoint, const char *condition, bool open,
	const char *severity, const char *cause)
{
	_buf_release_ struct buf b = BUF_INIT(1024);
	_mem_free_ char *key = mem_printf("%sedges", redis_sync_prefix(s->w.sync));
	const struct reply *reply;
	size_t map = mp_map_open(&b);

	mp_key_str(&b, "condition", condition);
	mp_key_bool(&b, "open", open);
	mp_key_str(&b, "endpoint", endpoint);
	mp_key_str(&b, "severity", severity);
	mp_key_str(&b, "cause", cause);
	mp_map_close(&b, map);
	const char *argv[] = {
		"XADD", key, "*", "type", condition, "subject", endpoint, "data", b.data};
	const size_t lens[] = {
		4, strlen(key), 1, 4, strlen(condition), 7, strlen(endpoint), 4, b.len};
	assert_int_equal(
		redis_sync_command(s->w.sync, &reply, NULL, ARRAY_LEN(argv), argv, lens), 0);
}

static void put_edge(struct scene *s, const char *endpoint, const char *condition, bool open,
	const char *severity)
{
	put_caused(s, endpoint, condition, open, severity, NULL);
}

static bool no_edges(void *arg)
{
	struct scene *s = arg;

	return world_ask_int(&s->w, "XLEN", "@edges") == 0;
}

static void one_alert_from_first_to_last(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	put_edge(&s, "shop", "caa_forbids", true, "warning");
	world_ask(&s.w, "XADD", "@edges", "*", "data", "rubbish", NULL);
	alerts_lead(s.alerts, true, 7);
	expect(&s, EVENT_ALERT_OPENED, 1);
	expect(&s, EVENT_ALERT_SNAPSHOT, 1);
	assert_string_equal(
		reply_str(world_ask(&s.w, "HGET", "@alert:shop/caa_forbids", "s", NULL), NULL),
		"open");
	put_edge(&s, "shop", "caa_forbids", true, "warning"); /* a retry: nothing new */
	put_edge(&s, "shop", "caa_forbids", true, "critical");
	expect(&s, EVENT_ALERT_ESCALATED, 1);
	put_edge(&s, "shop", "caa_forbids", false, "");
	expect(&s, EVENT_ALERT_RESOLVED, 1);
	assert_int_equal(world_ask_int(&s.w, "ZCARD", "@alerts:open"), 0);
	put_edge(&s, "shop", "caa_forbids", true, "warning");
	expect(&s, EVENT_ALERT_OPENED, 2);
	assert_string_equal(
		reply_str(world_ask(&s.w, "HGET", "@alert:shop/caa_forbids", "n", NULL), NULL),
		"2");
	assert_true(loop_until(&s.w.loop, no_edges, &s, SOON_MS));
	finish(&s);
}

static void flutter_says_nothing(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	put_edge(&s, "shop", "nxdomain", true, "warning");
	put_edge(&s, "shop", "nxdomain", false, "");
	alerts_lead(s.alerts, true, 7);
	assert_true(loop_until(&s.w.loop, no_edges, &s, SOON_MS));
	assert_int_equal(world_count_events(&s.w, "alerts", EVENT_ALERT_OPENED), 0);
	finish(&s);
}

static void what_another_read_is_told(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	put_edge(&s, "shop", "nxdomain", true, "warning");
	world_ask(&s.w, "XGROUP", "CREATE", "@edges", "alerts", "0", NULL);
	world_ask(&s.w, "XREADGROUP", "GROUP", "alerts", "leader", "STREAMS", "@edges", ">", NULL);
	alerts_lead(s.alerts, true, 7);
	expect(&s, EVENT_ALERT_OPENED, 1);
	finish(&s);
}

/* By one that led before and does not know yet that it leads no more. */
static void what_is_read_by_another_meanwhile_is_told(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	alerts_lead(s.alerts, true, 7);
	expect(&s, EVENT_ALERT_SNAPSHOT, 1);
	put_edge(&s, "shop", "nxdomain", true, "warning");
	world_ask(&s.w, "XREADGROUP", "GROUP", "alerts", "leader", "STREAMS", "@edges", ">", NULL);
	expect(&s, EVENT_ALERT_OPENED, 1);
	assert_true(loop_until(&s.w.loop, no_edges, &s, SOON_MS));
	expect(&s, EVENT_ALERT_SNAPSHOT, 1);
	finish(&s);
}

/* 70 open: two pages, the last says so. */
static void snapshots_in_pages(void **state)
{
	struct scene s;
	char id[16];

	(void)state;
	start(&s);
	for (int i = 0; i < 70; i++) {
		snprintf(id, sizeof id, "e%d", i);
		put_edge(&s, id, "nxdomain", true, "warning");
	}
	world_ask(&s.w, "XGROUP", "CREATE", "@edges", "alerts", "0", NULL);
	world_ask(&s.w, "XREADGROUP", "GROUP", "alerts", "leader", "STREAMS", "@edges", ">", NULL);
	alerts_lead(s.alerts, true, 7);
	expect(&s, EVENT_ALERT_SNAPSHOT, 2);
	assert_int_equal(world_count_events(&s.w, "alerts", EVENT_ALERT_OPENED), 70);
	finish(&s);
}

/* An endpoint whose certificate nobody renewed: no job says so, the sweep does; and sees that it is
 * over. */
static void put_endpoint(struct scene *s, int64_t not_before, int64_t not_after)
{
	_buf_release_ struct buf c = BUF_INIT(65536), x = BUF_INIT(65536);
	struct endpoint_config config = {
		.id = "shop", .tenant = "acme", .type = ENDPOINT_INTERNAL, .key_type = KEY_P256};
	char names[1][NAME_SIZE] = {"shop.example.com"};
	unsigned char der[1] = {0x30};
	struct endpoint_cert cert = {.der = der,
		.der_len = 1,
		.not_before_ms = not_before,
		.not_after_ms = not_after,
		.key_type = KEY_P256};
	_mem_free_ char *key = mem_printf("%se:shop", redis_sync_prefix(s->w.sync));
	const struct reply *reply;
	char score[24];

	config.names = names;
	config.names_n = 1;
	assert_int_equal(endpoint_config_encode(&config, &c), 0);
	assert_int_equal(endpoint_cert_encode(&cert, &x), 0);
	const char *argv[] = {"HSET", key, "c", c.data, "x", x.data, "g", "1", "n", "acme"};
	const size_t lens[] = {4, strlen(key), 1, c.len, 1, x.len, 1, 1, 1, 4};
	assert_int_equal(
		redis_sync_command(s->w.sync, &reply, NULL, ARRAY_LEN(argv), argv, lens), 0);
	snprintf(score, sizeof score, "%lld", (long long)not_after);
	world_ask(&s->w, "ZADD", "@expiry", score, "shop", NULL);
}

#define NS "ns:provider.example"

static void put_many(struct scene *s, int from, int to, bool open)
{
	char id[16];

	for (int i = from; i < to; i++) {
		snprintf(id, sizeof id, "e%d", i);
		put_caused(s, id, "servers_silent", open, "warning", open ? NS : NULL);
	}
}

static int64_t members(struct scene *s)
{
	return world_ask_int(&s->w, "ZCARD", "@incident:" NS);
}

/* Nobody led for ten minutes, says the sign that the last leader left. */
static void a_fleet_without_a_leader_is_told(void **state)
{
	const struct fleet_options more = {.name = "test",
		.nonce = "me",
		.replicas = 1,
		.cap = 1000000,
		.keep_ms = CLOCK_DAY_MS,
		.limits = {{.authority = "ca", .count = 10, .window_ms = 1000000}},
		.limits_n = 1};
	struct scene s;
	char seen[24], full[24];

	(void)state;
	start(&s);
	snprintf(seen, sizeof seen, "%lld", (long long)(clock_wall_ms() - 600000));
	snprintf(full, sizeof full, "%lld", (long long)(clock_wall_ms() + 999000));
	world_ask(&s.w, "HSET", "@leader", "seen", seen, NULL);
	world_ask(&s.w, "SET", "@quota:ca:new_orders", full, NULL);
	s.fleet = fleet_new(&s.w.loop, s.w.redis, s.alerts, &more);
	fleet_lead(s.fleet, true, 7);
	expect(&s, EVENT_ALERT_OPENED, 3);
	assert_int_equal(world_ask_int(&s.w, "EXISTS", "@alert:fleet/no_leader"), 1);
	assert_int_equal(world_ask_int(&s.w, "EXISTS", "@alert:fleet/redis_replicas"), 1);
	assert_int_equal(world_ask_int(&s.w, "EXISTS", "@alert:fleet/quota_low:ca"), 1);
	finish(&s);
}

static void one_incident_for_a_thousand(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	alerts_lead(s.alerts, true, 7);
	put_many(&s, 0, 1000, true);
	expect(&s, EVENT_ALERT_OPENED, 1);
	assert_true(loop_until(&s.w.loop, no_edges, &s, SOON_MS));
	assert_int_equal(members(&s), 1000);
	assert_int_equal(world_count_events(&s.w, "alerts", EVENT_ALERT_OPENED), 1);
	put_many(&s, 0, 1000, false);
	expect(&s, EVENT_ALERT_RESOLVED, 1);
	assert_true(loop_until(&s.w.loop, no_edges, &s, SOON_MS));
	assert_int_equal(world_ask_int(&s.w, "EXISTS", "@incident:" NS), 0);
	assert_int_equal(world_ask_int(&s.w, "ZCARD", "@alerts:open"), 0);
	finish(&s);
}

/* They come one by one, each after the one before was told. */
static void singles_become_an_incident(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	alerts_lead(s.alerts, true, 7);
	put_many(&s, 0, 1, true);
	expect(&s, EVENT_ALERT_OPENED, 1);
	put_many(&s, 1, 3, true); /* two: held for others, in vain */
	expect(&s, EVENT_ALERT_OPENED, 3);
	put_many(&s, 3, 5, true);
	expect(&s, EVENT_ALERT_OPENED, 4); /* the incident */
	expect(&s, EVENT_ALERT_RESOLVED, 3);
	assert_int_equal(members(&s), 5);
	finish(&s);
}

static bool held_by_the_first(void *arg)
{
	struct scene *s = arg;

	return world_ask_int(&s->w, "ZCARD", "@alerts:open") == 0 &&
	       reply_int(reply_at(world_ask(&s->w, "XPENDING", "@edges", "alerts", NULL), 0)) == 3;
}

/* The leader dies while it holds edges that may become an incident: the next one has them. */
static void what_a_dead_leader_held_is_not_lost(void **state)
{
	struct alerts *first;
	struct scene s;

	(void)state;
	start(&s);
	first = s.alerts;
	alerts_lead(first, true, 7);
	expect(&s, EVENT_ALERT_SNAPSHOT, 1);
	put_many(&s, 0, 3, true);
	assert_true(loop_until(&s.w.loop, held_by_the_first, &s, SOON_MS));
	alerts_close(first);
	put_many(&s, 3, 6, true);
	s.alerts = alerts_new(&s.w.loop, s.w.redis, &policy);
	alerts_lead(s.alerts, true, 8);
	expect(&s, EVENT_ALERT_OPENED, 1);
	assert_true(loop_until(&s.w.loop, no_edges, &s, SOON_MS));
	assert_int_equal(members(&s), 6);
	loop_for(&s.w.loop, 10);
	alerts_free(first);
	finish(&s);
}

static void start_sweep(struct scene *s)
{
	s->sweep = sweep_new(&s->w.loop, s->w.redis, s->alerts);
	sweep_lead(s->sweep, true);
}

static void the_sweep_believes_no_job(void **state)
{
	int64_t now = clock_wall_ms();
	struct scene s;

	(void)state;
	start(&s);
	put_endpoint(&s, now - 85 * CLOCK_DAY_MS, now + 5 * CLOCK_DAY_MS);
	alerts_lead(s.alerts, true, 7);
	start_sweep(&s);
	expect(&s, EVENT_ALERT_OPENED, 1);
	assert_int_equal(world_ask_int(&s.w, "EXISTS", "@alert:shop/expiry"), 1);
	put_endpoint(&s, now, now + 90 * CLOCK_DAY_MS);
	sweep_close(s.sweep); /* the next round begins at once instead of in a minute */
	struct sweep *old = s.sweep;
	start_sweep(&s);
	expect(&s, EVENT_ALERT_RESOLVED, 1);
	loop_for(&s.w.loop, 10);
	sweep_free(old);
	finish(&s);
}

/* servfail began and ended, and its end was told before its beginning. */
static void the_sweep_believes_the_record(void **state)
{
	_buf_release_ struct buf b = BUF_INIT(64);
	_mem_free_ char *field = NULL;
	size_t map = mp_map_open(&b);
	int64_t now = clock_wall_ms();
	const struct reply *left;
	struct scene s;

	(void)state;
	mp_key_int(&b, "nxdomain", 1);
	mp_map_close(&b, map);
	field = mem_printf("%s", buf_cstr(&b));
	start(&s);
	put_endpoint(&s, now, now + 90 * CLOCK_DAY_MS);
	world_ask(&s.w, "HSET", "@e:shop", "av", field, NULL);
	alerts_lead(s.alerts, true, 7);
	put_edge(&s, "shop", "nxdomain", true, "warning");
	put_edge(&s, "shop", "servfail", true, "warning");
	expect(&s, EVENT_ALERT_OPENED, 2);
	start_sweep(&s);
	expect(&s, EVENT_ALERT_RESOLVED, 1);
	left = world_ask(&s.w, "ZRANGE", "@alerts:open", "0", "-1", NULL);
	assert_string_equal(reply_str(reply_at(left, 0), NULL), "shop/nxdomain");
	finish(&s);
}

static void the_fleet_beats(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	s.fleet = fleet_new(&s.w.loop, s.w.redis, s.alerts, &fleet_options);
	fleet_lead(s.fleet, true, 7);
	expect(&s, EVENT_HEARTBEAT, 1);
	finish(&s);
}

/* Ids of all entries in the alerts stream differ: a consumer drops what it has seen. */
static void assert_ids_differ(struct scene *s)
{
	const struct reply *reply = world_ask(&s->w, "XRANGE", "@alerts", "-", "+", NULL);

	for (size_t i = 0; i < reply_len(reply); i++)
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(
				reply_str(reply_at(reply_at(reply_at(reply, i), 1), 1), NULL),
				reply_str(reply_at(reply_at(reply_at(reply, k), 1), 1), NULL));
}

static void led_twice_in_one_term(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	s.fleet = fleet_new(&s.w.loop, s.w.redis, s.alerts, &fleet_options);
	for (int i = 1; i <= 2; i++) {
		alerts_lead(s.alerts, true, 7);
		fleet_lead(s.fleet, true, 7);
		expect(&s, EVENT_ALERT_SNAPSHOT, i);
		alerts_lead(s.alerts, false, 0);
		fleet_lead(s.fleet, false, 0);
	}
	assert_ids_differ(&s);
	finish(&s);
}

static void redis_dies_while_edges_are_read(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	alerts_lead(s.alerts, true, 7);
	expect(&s, EVENT_ALERT_SNAPSHOT, 1);
	redis_server_pause(s.w.server);
	loop_for(&s.w.loop, 2500); /* the next read is sent */
	redis_server_kill(s.w.server);
	loop_for(&s.w.loop, 100);
	redis_server_restart(s.w.server);
	redis_sync_close(s.w.sync);
	assert_int_equal(redis_sync_open(&s.w.options, &s.w.sync, NULL), 0);
	put_edge(&s, "shop", "caa_forbids", true, "warning");
	expect(&s, EVENT_ALERT_OPENED, 1);
	finish(&s);
}

/* Of a condition that began and ended, Redis remembers of before it died only that the beginning
 * was read. */
static void what_is_pending_comes_first_when_redis_is_back(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	alerts_lead(s.alerts, true, 7);
	expect(&s, EVENT_ALERT_SNAPSHOT, 1);
	put_edge(&s, "shop", "caa_forbids", true, "warning");
	world_ask(&s.w, "XREADGROUP", "GROUP", "alerts", "leader", "STREAMS", "@edges", ">", NULL);
	put_edge(&s, "shop", "caa_forbids", false, "");
	alerts_connected(s.alerts);
	assert_true(loop_until(&s.w.loop, no_edges, &s, SOON_MS));
	assert_int_equal(world_ask_int(&s.w, "ZCARD", "@alerts:open"), 0);
	finish(&s);
}

/* A sweep that read the alert before its end came, and finds it graver, after the end was read. */
static void what_is_looked_at_again_speaks_for_nothing(void **state)
{
	struct alert_edge again = {
		.open = true, .again = true, .severity = ALERT_CRITICAL, .since_ms = 1};
	struct scene s;

	(void)state;
	start(&s);
	snprintf(again.key, sizeof again.key, "shop/caa_forbids");
	snprintf(again.condition, sizeof again.condition, "caa_forbids");
	snprintf(again.endpoint, sizeof again.endpoint, "shop");
	snprintf(again.cause, sizeof again.cause, "ns:provider.example");
	put_edge(&s, "shop", "caa_forbids", true, "warning");
	alerts_lead(s.alerts, true, 7);
	expect(&s, EVENT_ALERT_OPENED, 1);
	put_edge(&s, "shop", "caa_forbids", false, "");
	loop_for(&s.w.loop, 1000); /* it is read, and held for a moment */
	alerts_tell(s.alerts, &again, 1);
	expect(&s, EVENT_ALERT_RESOLVED, 1);
	assert_true(loop_until(&s.w.loop, no_edges, &s, SOON_MS));
	alerts_tell(s.alerts, &again, 1);
	loop_for(&s.w.loop, 200);
	assert_int_equal(world_ask_int(&s.w, "ZCARD", "@alerts:open"), 0);
	finish(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_alert_from_first_to_last),
		cmocka_unit_test(flutter_says_nothing),
		cmocka_unit_test(what_another_read_is_told),
		cmocka_unit_test(what_is_read_by_another_meanwhile_is_told),
		cmocka_unit_test(snapshots_in_pages),
		cmocka_unit_test(the_sweep_believes_no_job),
		cmocka_unit_test(the_sweep_believes_the_record),
		cmocka_unit_test(the_fleet_beats),
		cmocka_unit_test(led_twice_in_one_term),
		cmocka_unit_test(redis_dies_while_edges_are_read),
		cmocka_unit_test(what_is_pending_comes_first_when_redis_is_back),
		cmocka_unit_test(what_is_looked_at_again_speaks_for_nothing),
		cmocka_unit_test(one_incident_for_a_thousand),
		cmocka_unit_test(a_fleet_without_a_leader_is_told),
		cmocka_unit_test(singles_become_an_incident),
		cmocka_unit_test(what_a_dead_leader_held_is_not_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

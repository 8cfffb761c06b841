#include "common/clock.h"
#include "common/mem.h"
#include "common/mp.h"
#include "scheduler/alert.h"
#include "scheduler/fleet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void edge_data(struct buf *b, const char *condition, bool open)
{
	size_t map = mp_map_open(b);

	mp_key_int(b, "V", 1);
	mp_key_str(b, "condition", condition);
	mp_key_bool(b, "open", open);
	mp_key_str(b, "endpoint", "shop");
	mp_key_str(b, "severity", "critical");
	mp_key_int(b, "deadline", 12345);
	mp_key_str(b, "text", "a\nb");
	mp_map_close(b, map);
}

static void reads_an_edge(void **state)
{
	_buf_release_ struct buf b = BUF_INIT(1024);
	struct alert_edge e;

	(void)state;
	edge_data(&b, "caa_forbids", true);
	assert_int_equal(alert_edge_decode(b.data, b.len, "shop", &e, NULL), 0);
	assert_string_equal(e.key, "shop/caa_forbids");
	assert_true(e.open);
	assert_int_equal(e.severity, ALERT_CRITICAL);
	assert_int_equal(e.deadline_ms, 12345);
	assert_string_equal(e.text, "a?b");
}

static void refuses_what_is_no_edge(void **state)
{
	_buf_release_ struct buf b = BUF_INIT(1024);
	struct alert_edge e;
	struct why why;

	(void)state;
	assert_int_equal(alert_edge_decode("", 0, "x", &e, &why), CF_EPROTO);
	edge_data(&b, "", true);
	assert_int_equal(alert_edge_decode(b.data, b.len, "x", &e, &why), CF_EPROTO);
	assert_int_equal(alert_edge_decode(b.data, ALERT_EDGE_MAX + 1, "x", &e, &why), CF_ETOOBIG);
}

static void escalates_as_the_deadline_nears(void **state)
{
	(void)state;
	assert_int_equal(alert_escalation(ALERT_INFO, 0, 0, 999), ALERT_INFO);
	assert_int_equal(alert_escalation(ALERT_INFO, 0, 1000, 499), ALERT_INFO);
	assert_int_equal(alert_escalation(ALERT_INFO, 0, 1000, 500), ALERT_WARNING);
	assert_int_equal(alert_escalation(ALERT_INFO, 0, 1000, 750), ALERT_CRITICAL);
	assert_int_equal(alert_escalation(ALERT_CRITICAL, 0, 1000, 1), ALERT_CRITICAL);
	assert_int_equal(alert_escalation(ALERT_WARNING, 0, 1000, 5000), ALERT_CRITICAL);
}

static void expiry_by_fractions_of_life(void **state)
{
	enum alert_severity s = ALERT_INFO;
	int64_t day = CLOCK_DAY_MS;

	(void)state;
	assert_false(alert_expiry(0, 90 * day, 60 * day, &s)); /* due, not late */
	assert_true(alert_expiry(0, 90 * day, 64 * day, &s));
	assert_int_equal(s, ALERT_WARNING);
	assert_true(alert_expiry(0, 90 * day, 82 * day, &s));
	assert_int_equal(s, ALERT_CRITICAL);
	assert_true(alert_expiry(0, 90 * day, 91 * day, &s));
	assert_int_equal(s, ALERT_CRITICAL);
	assert_false(alert_expiry(0, 160 * CLOCK_HOUR_MS, 100 * CLOCK_HOUR_MS, &s));
}

static void an_open_alert_ends_with_its_reason(void **state)
{
	struct endpoint e = {.has_cert = true};
	struct alert_edge was, out;

	(void)state;
	snprintf(e.config.id, sizeof e.config.id, "shop");
	e.cert.not_after_ms = 100 * CLOCK_DAY_MS;
	alert_expiry_edge(&e, 95 * CLOCK_DAY_MS, &was);
	assert_true(was.open);
	assert_string_equal(was.key, "shop/expiry");
	assert_false(alert_review(&was, 70 * CLOCK_DAY_MS, &e, false, 95 * CLOCK_DAY_MS,
		&out)); /* is critical already */
	was.severity = ALERT_WARNING;
	assert_true(alert_review(&was, 70 * CLOCK_DAY_MS, &e, false, 95 * CLOCK_DAY_MS, &out));
	assert_true(out.open && out.again && out.severity == ALERT_CRITICAL);
	e.cert.not_after_ms = 190 * CLOCK_DAY_MS; /* renewed */
	e.cert.not_before_ms = 94 * CLOCK_DAY_MS;
	assert_true(alert_review(&was, 70 * CLOCK_DAY_MS, &e, false, 95 * CLOCK_DAY_MS, &out));
	assert_false(out.open);
	assert_true(alert_review(&was, 0, NULL, false, 95 * CLOCK_DAY_MS, &out)); /* removed */
	assert_false(out.open);
}

static void parked_ends_when_nothing_is(void **state)
{
	struct alert_edge was = {.open = true, .severity = ALERT_CRITICAL}, out;
	struct endpoint e = {.generation = 1};

	(void)state;
	snprintf(was.endpoint, sizeof was.endpoint, "shop");
	snprintf(was.condition, sizeof was.condition, "parked");
	e.jobs[QUEUE_ISSUE].where = JOB_PARKED;
	assert_false(alert_review(&was, 0, &e, false, 1, &out));
	e.jobs[QUEUE_ISSUE].where = JOB_DUE;
	assert_true(alert_review(&was, 0, &e, false, 1, &out));
}

static void over_when_the_record_does_not_have_it(void **state)
{
	struct alert_edge was = {.open = true, .severity = ALERT_CRITICAL}, out;
	struct endpoint e = {.generation = 1};

	(void)state;
	snprintf(was.endpoint, sizeof was.endpoint, "shop");
	snprintf(was.condition, sizeof was.condition, "servfail");
	assert_false(alert_review(&was, 0, &e, true, 1, &out));
	assert_true(alert_review(&was, 0, &e, false, 1, &out));
	assert_false(out.open);
}

static void what_is_stored(void **state)
{
	_buf_release_ struct buf b = BUF_INIT(1024);
	size_t map = mp_map_open(&b);

	(void)state;
	mp_key_int(&b, "servfail", 1);
	mp_map_close(&b, map);
	assert_true(alert_is_stored(b.data, b.len, "servfail"));
	assert_false(alert_is_stored(b.data, b.len, "nxdomain"));
	assert_false(alert_is_stored(NULL, 0, "servfail"));
	assert_true(alert_is_stored(b.data, b.len - 1, "servfail")); /* unreadable: unknown */
	assert_true(alert_is_stored(b.data, 3, "nxdomain"));
}

static void causes_and_keys_are_read(void **state)
{
	_buf_release_ struct buf b = BUF_INIT(1024);
	char cause[ALERT_CAUSE_SIZE];
	size_t map = mp_map_open(&b), inner;
	struct alert_edge e;

	(void)state;
	mp_key(&b, "nxdomain");
	inner = mp_map_open(&b);
	mp_map_close(&b, inner);
	mp_key(&b, "serverInternal");
	inner = mp_map_open(&b);
	mp_key_str(&b, "cause", "authority:ca");
	mp_map_close(&b, inner);
	mp_map_close(&b, map);
	alert_cause_of(b.data, b.len, cause);
	assert_string_equal(cause, "authority:ca");
	alert_cause_of("\xc1", 1, cause);
	assert_string_equal(cause, "");
	alert_cause_of(NULL, 0, cause);
	assert_string_equal(cause, "");
	alert_edge_of_key("shop.example/servers_silent", &e);
	assert_string_equal(e.endpoint, "shop.example");
	assert_string_equal(e.condition, "servers_silent");
	alert_edge_of_key("odd", &e);
	assert_string_equal(e.condition, "");
}

static bool is_open(const struct fleet_facts *f, const char *condition)
{
	struct alert_edge edges[FLEET_CONDITIONS];
	size_t n = fleet_judge(f, edges);

	for (size_t i = 0; i < n; i++)
		if (!strcmp(edges[i].condition, condition))
			return edges[i].open;
	fail_msg("no condition %s", condition);
	return false;
}

static void judges_the_fleet(void **state)
{
	struct fleet_facts f = {.workers = 2, .led_ms = 3600000};

	(void)state;
	assert_false(is_open(&f, "no_worker"));
	assert_false(is_open(&f, "queue_late"));
	assert_false(is_open(&f, "requests_backlog"));
	assert_false(is_open(&f, "clocks_apart"));
	f.workers = 0;
	assert_true(is_open(&f, "no_worker"));
	f.late_ms[1] = 400000;
	assert_true(is_open(&f, "queue_late"));
	f.requests = 1;
	f.request_age_ms = 200000;
	assert_true(is_open(&f, "requests_backlog"));
	f.led_ms = 1000; /* they may be starting too */
	assert_false(is_open(&f, "no_worker"));
	assert_false(is_open(&f, "requests_backlog"));
	f.clock_apart_ms = -31000;
	assert_true(is_open(&f, "clocks_apart"));
}

static void judges_redis_and_who_leads(void **state)
{
	static const char info[] =
		"# Memory\r\nused_memory:910\r\nused_memory_human:910B\r\nmaxmemory:1000\r\n"
		"# Persistence\r\nrdb_last_bgsave_status:ok\r\naof_last_write_status:err\r\n"
		"# Replication\r\nconnected_slaves:1\r\n";
	struct fleet_facts f = {.workers = 1, .led_ms = 5000, .replicas_wanted = 2};

	(void)state;
	fleet_read_info(info, strlen(info), &f);
	assert_true(is_open(&f, "redis_memory"));
	assert_true(is_open(&f, "redis_persistence"));
	assert_true(is_open(&f, "redis_replicas"));
	assert_false(is_open(&f, "no_leader"));
	fleet_read_info("", 0, &f); /* it would not tell */
	assert_false(is_open(&f, "redis_memory"));
	assert_false(is_open(&f, "redis_persistence"));
	f.leaderless_ms = 61000;
	assert_true(is_open(&f, "no_leader"));
	f.led_ms = CLOCK_HOUR_MS;
	assert_false(is_open(&f, "no_leader"));
	f.head_ms[1] = 301000;
	assert_true(is_open(&f, "queue_stuck"));
	f.workers = 0; /* no_worker says it better */
	assert_false(is_open(&f, "queue_stuck"));
}

static void must_be_ready_to_use(const struct alert_edge *e)
{
	static const char *const words[] = {
		" ID", " KEY", " NAME", " GROUP ", " GROUP;", "FLEET", "STREAM", "<", "(null)"};
	_buf_release_ struct buf packed = BUF_INIT(8192);

	assert_int_equal(alert_edge_encode(e, NULL, &packed), 0);
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (memmem(packed.data, packed.len, words[i], strlen(words[i])))
			fail_msg("%s has \"%s\": %s %s", e->key, words[i], e->text, e->fix);
}

static const struct alert_edge *stream_cap(const char *group, struct alert_edge *edges)
{
	struct fleet_facts f = {
		.fleet = "prod", .loss = {.n = 7, .ago_ms = 1, .stream = "results"}};
	size_t n;

	snprintf(f.loss.group, sizeof f.loss.group, "%s", group);
	n = fleet_judge(&f, edges);
	for (size_t i = 0; i < n; i++) {
		edges[i].open = true; /* whether or not it holds */
		must_be_ready_to_use(&edges[i]);
	}
	for (size_t i = 0; i < n; i++)
		if (!strcmp(edges[i].condition, "stream_cap"))
			return &edges[i];
	fail();
	return NULL;
}

static void what_is_to_be_done_can_be_done_as_it_stands(void **state)
{
	static const char *const endpoints[] = {"expiry", "parked", "account_trouble"};
	struct alert_edge edges[FLEET_CONDITIONS], e;

	(void)state;
	assert_non_null(strstr(stream_cap("billing", edges)->fix,
		"redis-cli XGROUP DESTROY cf:{prod}:results billing;"));
	assert_null(strstr(stream_cap("", edges)->fix, "XGROUP"));
	for (size_t i = 0; i < ARRAY_LEN(endpoints); i++) {
		alert_fleet(endpoints[i], true, ALERT_WARNING, "text", "", &e);
		snprintf(e.endpoint, sizeof e.endpoint, "shop");
		must_be_ready_to_use(&e);
	}
	alert_fleet("webhook_gone:ops", true, ALERT_WARNING, "text", "", &e);
	must_be_ready_to_use(&e);
}

static void a_quota_is_low_near_its_end(void **state)
{
	struct fleet_limit l = {.authority = "ca", .count = 300, .window_ms = 10800000};
	struct alert_edge e;

	(void)state;
	fleet_judge_limit(&l, 1000, &e);
	assert_false(e.open);
	assert_string_equal(e.key, "fleet/quota_low:ca");
	l.free_ms = 1000 + 10800000 / 100 * 94;
	fleet_judge_limit(&l, 1000, &e);
	assert_false(e.open);
	l.free_ms = 1000 + 10800000 / 100 * 96;
	fleet_judge_limit(&l, 1000, &e);
	assert_true(e.open);
	assert_string_equal(e.text, "96 % of the 300 new orders that ca allows in 3h are used");
}

static void the_fleet_doubts_itself_at_five_percent(void **state)
{
	struct fleet_facts f = {.workers = 1, .looked = 1000, .turned = 49};

	(void)state;
	assert_false(is_open(&f, "self_doubt"));
	f.turned = 50;
	assert_true(is_open(&f, "self_doubt"));
	f = (struct fleet_facts){.workers = 1, .looked = 19, .turned = 19};
	assert_false(is_open(&f, "self_doubt")); /* too few to say */
	f.resolvers = 1;
	assert_true(is_open(&f, "resolver_broken"));
	f.zone_lost = 1;
	assert_true(is_open(&f, "zone_not_delegated"));
	assert_false(is_open(&f, "zone_ds"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(over_when_the_record_does_not_have_it),
		cmocka_unit_test(what_is_stored),
		cmocka_unit_test(causes_and_keys_are_read),
		cmocka_unit_test(reads_an_edge),
		cmocka_unit_test(refuses_what_is_no_edge),
		cmocka_unit_test(escalates_as_the_deadline_nears),
		cmocka_unit_test(expiry_by_fractions_of_life),
		cmocka_unit_test(an_open_alert_ends_with_its_reason),
		cmocka_unit_test(parked_ends_when_nothing_is),
		cmocka_unit_test(judges_the_fleet),
		cmocka_unit_test(judges_redis_and_who_leads),
		cmocka_unit_test(what_is_to_be_done_can_be_done_as_it_stands),
		cmocka_unit_test(a_quota_is_low_near_its_end),
		cmocka_unit_test(the_fleet_doubts_itself_at_five_percent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

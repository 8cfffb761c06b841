/* Looks lent through a real Redis: by nobody, by who is inside, by one that answers nonsense. */
#include "worker/zones.h"

#include "common/mem.h"
#include "tests/unit/support/loop.h"
#include "tests/unit/support/redis_server.h"
#include "worker/jobs/proof_pack.h"
#include "worker/lookups.h"
#include "worker/worker.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SOON_MS 8000

static struct redis_server *server;
static struct worker w;
static int ups, ended;
static char why_ended[32];
static struct served_seen first;
static size_t seen_n;

/* Port 1 of loopback, where nobody listens, is the edge. */
static const char text[] = "fleet: test\nredis: { url: \"redis://127.0.0.1:1/0\" }\n"
			   "resolver: { servers: [\"127.0.0.1:1\"], timeout: 100ms }\n"
			   "edge: { addresses: [\"127.0.0.1:1\"] }\n"
			   "worker: { name: w1, roles: [look], zone: inside }\n";

static const struct proof_name names[] = {{"shop.example.com", false}, {"www.example.com", false}};
static const struct proof_ask ask = {.der = "der", .der_len = 3, .names = names, .names_n = 2};

static void on_state(void *arg, bool up, const struct why *why)
{
	(void)arg;
	(void)why;
	ups += up;
}

static void on_end(void *arg, const char *why, const struct served_seen *seen, size_t n)
{
	(void)arg;
	ended++;
	snprintf(why_ended, sizeof why_ended, "%s", why ? why : "");
	seen_n = n;
	if (n)
		first = seen[0];
}

static int start(void **state)
{
	struct config_errors errors;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	server = redis_server_start(NULL);
	if (config_parse("test", text, sizeof text - 1, &w.config, &errors))
		return -1;
	uv_loop_init(&w.loop);
	snprintf(w.name, sizeof w.name, "w1");
	redis_server_options(server, &w.redis_options);
	lookups_start(&w);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	lookups_stop(&w);
	loop_finish(&w.loop);
	config_free(w.config);
	redis_server_stop(server);
	return 0;
}

static void begin(void)
{
	_mem_free_ char *flushed = redis_server_cli(server, "flushall");

	assert_string_equal(flushed, "OK");
	ups = 0;
	w.redis = redis_new(&w.loop, &w.redis_options, on_state, NULL);
	assert_true(loop_until_count(&w.loop, &ups, 1, SOON_MS));
	w.draining = false;
	w.zones = zones_new(&w);
	ended = 0;
}

static void finish(void)
{
	zones_free(mem_steal(w.zones));
	redis_free(mem_steal(w.redis));
	loop_for(&w.loop, 10);
}

static void look(const char *zone, int n)
{
	zones_look(w.zones, zone, &ask, on_end, NULL);
	assert_int_equal(ended, n - 1); /* not from inside the call */
	assert_true(loop_until_count(&w.loop, &ended, n, SOON_MS));
}

static char workers[] = "zcard cf:{test}:zone:inside";
static char asks[] = "zcard cf:{test}:zone:inside:asks";

static bool is_there(void *arg)
{
	_mem_free_ char *said = redis_server_cli(server, arg);

	return said[0] == '1';
}

static bool is_gone(void *arg)
{
	return !is_there(arg);
}

static void nobody_is_there(void **state)
{
	(void)state;
	begin();
	look("outside", 1);
	assert_string_equal(why_ended, "no_worker");
	assert_int_equal(seen_n, 0);
	finish();
}

static void who_is_inside_looks(void **state)
{
	(void)state;
	begin();
	assert_true(loop_until(&w.loop, is_there, workers, SOON_MS));
	look("inside", 1);
	assert_string_equal(why_ended, "");
	assert_int_equal(seen_n, 2);
	assert_string_equal(first.name, "shop.example.com");
	assert_string_equal(first.at, "127.0.0.1:1");
	assert_string_equal(first.code, SERVED_UNREACHED);
	assert_string_equal(first.what, "connection refused");
	finish();
}

static void nonsense_is_passed_over(void **state)
{
	_mem_free_ char *asked = NULL;

	(void)state;
	begin();
	assert_true(loop_until(&w.loop, is_there, workers, SOON_MS));
	asked = redis_server_cli(server,
		"eval \"redis.call('ZADD', KEYS[1], redis.call('TIME')[1] * 1000, 'nonsense') "
		"return 1\" 1 cf:{test}:zone:inside:asks");
	look("inside", 1);
	assert_string_equal(why_ended, "");
	finish();
}

/* Another worker of the zone has taken the question, and leaves what cannot be read. */
static void an_answer_that_cannot_be_read_is_none(void **state)
{
	(void)state;
	begin();
	assert_true(loop_until(&w.loop, is_there, workers, SOON_MS));
	w.draining = true; /* it takes no more */
	assert_true(loop_until(&w.loop, is_gone, workers, SOON_MS));
	_mem_free_ char *other =
		redis_server_cli(server, "eval \"local t = redis.call('TIME') "
					 "return redis.call('ZADD', KEYS[1], t[1] * 1000 + 60000, "
					 "'w2')\" 1 cf:{test}:zone:inside");
	zones_look(w.zones, "inside", &ask, on_end, NULL);
	assert_true(loop_until(&w.loop, is_there, asks, SOON_MS));
	_mem_free_ char *answer = redis_server_cli(server,
		"eval \"local ask = redis.call('ZRANGE', KEYS[1], 0, 0)[1] "
		"local id = cmsgpack.unpack((ask:gsub('\\196(.)', '\\217%1'))).id "
		"return redis.call('SET', 'cf:{test}:look:' .. id, 'nonsense')\" 1 "
		"cf:{test}:zone:inside:asks");
	assert_string_equal(answer, "OK");
	assert_true(loop_until_count(&w.loop, &ended, 1, SOON_MS));
	assert_string_equal(why_ended, "no_answer");
	finish();
}

static void who_waits_no_more_is_not_called(void **state)
{
	struct zone_look *l;

	(void)state;
	begin();
	l = zones_look(w.zones, "inside", &ask, on_end, NULL);
	zone_look_cancel(l);
	l = zones_look(w.zones, "inside", &ask, on_end, NULL);
	loop_for(&w.loop, 50);
	zone_look_cancel(ended ? NULL : l);
	finish(); /* also with looks for others under way */
	loop_for(&w.loop, 300);
	assert_true(ended <= 1);
	zone_look_cancel(NULL);
	zones_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_is_there),
		cmocka_unit_test(who_is_inside_looks),
		cmocka_unit_test(nonsense_is_passed_over),
		cmocka_unit_test(an_answer_that_cannot_be_read_is_none),
		cmocka_unit_test(who_waits_no_more_is_not_called),
	};

	return cmocka_run_group_tests(tests, start, stop);
}

/* common/redis_guide.c with Sentinels: real ones, over real servers that are killed and stopped. */
#include "common/clock.h"
#include "common/lua_scripts.h"
#include "common/mem.h"
#include "common/redis.h"
#include "common/redis_sync.h"
#include "tests/unit/support/loop.h"
#include "tests/unit/support/redis_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
/* cmocka.h wants setjmp.h, stdarg.h and stddef.h. */
#include <cmocka.h>

/* In place of the embedded ones. */
static const char count_text[] = "return redis.call('INCR', KEYS[1] .. 'n')";
const struct lua_script lua_scripts[] = {
	{"count", count_text, sizeof count_text - 1}, {NULL, NULL, 0}};
const size_t lua_scripts_n = 1;

#define SOON_MS 20000

struct seen {
	uv_loop_t loop;
	struct redis *redis, *other;
	struct redis_options options;
	int ups, downs, replies, messages;
	int last_err;
	int64_t last_int;
	char why[512];
};

static void on_state(void *arg, bool up, const struct why *why)
{
	struct seen *s = arg;

	if (up)
		s->ups++;
	else
		s->downs++;
	snprintf(s->why, sizeof s->why, "%s", why->text);
}

static void on_reply(void *arg, int err, const struct reply *reply)
{
	struct seen *s = arg;

	s->last_err = err;
	s->last_int = reply ? reply_int(reply) : 0;
	s->replies++;
}

static void on_message(void *arg, const char *channel, const char *text, size_t len)
{
	struct seen *s = arg;

	(void)channel;
	(void)text;
	(void)len;
	s->messages++;
}

static void guided(struct redis_options *o, uint16_t nothing, const struct redis_server *sentinel)
{
	*o = (struct redis_options){
		.nodes = {{"127.0.0.1", nothing}, {"localhost", redis_server_port(sentinel)}},
		.nodes_n = 2,
		.sentinel_master = "certfleet",
		.fleet = "test",
		.client_name = "unit-test"};
}

static void open_seen(struct seen *s)
{
	uv_loop_init(&s->loop);
	s->redis = redis_new(&s->loop, &s->options, on_state, s);
}

static void close_seen(struct seen *s)
{
	redis_free(s->redis);
	redis_free(s->other);
	loop_finish(&s->loop);
}

static void await_ups(struct seen *s, int n)
{
	if (!loop_until_count(&s->loop, &s->ups, n, SOON_MS))
		fail_msg("not up: %s", s->why);
}

static void await_why(struct seen *s, const char *expected)
{
	int64_t end = clock_mono_ms() + SOON_MS;

	while (!strstr(s->why, expected)) {
		if (clock_mono_ms() > end)
			fail_msg("\"%s\" lacks \"%s\" (up %d times, down %d)", s->why, expected,
				s->ups, s->downs);
		loop_for(&s->loop, 20);
	}
}

static void ask(struct seen *s, const char *a, const char *b, const char *c)
{
	redis_commandv(s->redis, on_reply, s, a, b, c, NULL);
	assert_true(loop_until_count(&s->loop, &s->replies, s->replies + 1, SOON_MS));
}

static bool is_at(const struct redis *r, const struct redis_server *server)
{
	char at[300];
	_mem_free_ char *expected = mem_printf("127.0.0.1:%u", redis_server_port(server));

	return redis_is_up(r) && !strcmp(redis_server(r, at, sizeof at), expected);
}

/* Links come over one after the other. */
static void await_at(struct seen *s, const struct redis *r, const struct redis_server *server)
{
	int64_t end = clock_mono_ms() + SOON_MS;

	while (!is_at(r, server) && clock_mono_ms() < end)
		loop_for(&s->loop, 20);
	assert_true(is_at(r, server));
}

/* How many connections of ours a server has. */
static size_t ours(const struct redis_server *server)
{
	_mem_free_ char *list = redis_server_cli(server, "CLIENT LIST TYPE normal");
	_mem_free_ char *subscribed = redis_server_cli(server, "CLIENT LIST TYPE pubsub");
	size_t n = 0;

	for (const char *p = list; (p = strstr(p, "name=unit-test")); p++)
		n++;
	for (const char *p = subscribed; (p = strstr(p, "name=unit-test")); p++)
		n++;
	return n;
}

/* The first node is not there; the primary is killed, and its replica found without anyone's help.
 */
static void test_a_failover_is_followed(void **state)
{
	struct redis_server *a = redis_server_start(NULL), *b = redis_server_start_replica(a);
	struct redis_server *sentinel =
		redis_server_start_sentinel("certfleet", redis_server_port(a), 1, "");
	struct seen s = {0};

	(void)state;
	guided(&s.options, 1, sentinel);
	open_seen(&s);
	await_ups(&s, 1);
	await_at(&s, s.redis, a);
	redis_subscribe(s.redis, "news", on_message, &s);
	ask(&s, "SET", "k", "v");
	ask(&s, "WAIT", "1", "5000");
	assert_int_equal(s.last_int, 1);
	redis_server_kill(a);
	await_ups(&s, 2);
	await_at(&s, s.redis, b);
	ask(&s, "EXISTS", "k", NULL);
	assert_int_equal(s.last_int, 1);
	redis_script(s.redis, "count", 0, NULL, NULL, on_reply, &s);
	assert_true(loop_until_count(&s.loop, &s.replies, s.replies + 1, SOON_MS));
	assert_int_equal(s.last_err, 0);
	while (!s.messages) { /* until the subscription is there too */
		redis_commandv(s.redis, NULL, NULL, "PUBLISH", "news", "hi", NULL);
		loop_for(&s.loop, 20);
	}
	close_seen(&s);
	redis_server_stop(sentinel);
	redis_server_stop(b);
	redis_server_stop(a);
}

/* Makes the Sentinel believe that another one, of a newer epoch, says that the primary is there:
 * so the old one stays alive and does not know that it was deposed. */
static void publish_switch(
	const struct redis_server *sentinel, const struct redis_server *primary, int epoch)
{
	_mem_free_ char *hello = mem_printf(
		"PUBLISH __sentinel__:hello 127.0.0.1,9,%040d,%d,certfleet,127.0.0.1,%u,%d", epoch,
		epoch, redis_server_port(primary), epoch);

	free(redis_server_cli(sentinel, hello));
}

static void test_a_deposed_primary_is_left_at_once(void **state)
{
	struct redis_server *a = redis_server_start(NULL), *b = redis_server_start(NULL);
	struct redis_server *sentinel =
		redis_server_start_sentinel("certfleet", redis_server_port(a), 0, "");
	struct seen s = {0};

	(void)state;
	guided(&s.options, 1, sentinel);
	open_seen(&s);
	s.other = redis_new(&s.loop, &s.options, NULL, NULL);
	redis_subscribe(s.redis, "news", on_message, &s);
	await_ups(&s, 1);
	await_at(&s, s.redis, a);
	loop_for(&s.loop, 1000); /* the subscription at the Sentinel comes up; if it has not, the
				    question that follows it finds the same */
	publish_switch(sentinel, b, 5);
	await_ups(&s, 2);
	await_at(&s, s.redis, b);
	assert_int_equal(s.downs, 1);
	for (int64_t end = clock_mono_ms() + SOON_MS; ours(a) && clock_mono_ms() < end;)
		loop_for(&s.loop, 20);
	assert_int_equal(ours(a), 0); /* neither of the two, nor what they are subscribed by */
	await_at(&s, s.other, b);
	/* And back. */
	publish_switch(sentinel, a, 6);
	await_ups(&s, 3);
	await_at(&s, s.redis, a);
	close_seen(&s);
	redis_server_stop(sentinel);
	redis_server_stop(b);
	redis_server_stop(a);
}

/* The connection to the primary hangs, as when its host is gone: the Sentinel's word ends it before
 * any deadline does. */
static void test_a_stopped_primary(void **state)
{
	struct redis_server *a = redis_server_start(NULL), *b = redis_server_start_replica(a);
	struct redis_server *sentinel =
		redis_server_start_sentinel("certfleet", redis_server_port(a), 1, "");
	struct seen s = {0};

	(void)state;
	guided(&s.options, 1, sentinel);
	s.options.timeout_ms = 60000;
	open_seen(&s);
	await_ups(&s, 1);
	ask(&s, "SET", "k", "v");
	ask(&s, "WAIT", "1", "5000");
	loop_for(&s.loop, 1000);
	redis_server_pause(a);
	redis_commandv(s.redis, on_reply, &s, "PING", NULL);
	await_ups(&s, 2);
	assert_int_equal(s.last_err, CF_ECONN);
	await_at(&s, s.redis, b);
	redis_server_resume(a);
	loop_for(&s.loop, 500);
	assert_int_equal(ours(a), 0);
	await_at(&s, s.redis, b);
	close_seen(&s);
	redis_server_stop(sentinel);
	redis_server_stop(b);
	redis_server_stop(a);
}

/* The Sentinel that we are subscribed to dies: another one is. */
static void test_the_subscription_moves(void **state)
{
	struct redis_server *a = redis_server_start(NULL), *b = redis_server_start(NULL);
	struct redis_server *one =
		redis_server_start_sentinel("certfleet", redis_server_port(a), 0, "");
	struct redis_server *two =
		redis_server_start_sentinel("certfleet", redis_server_port(a), 0, "");
	struct seen s = {0};

	(void)state;
	guided(&s.options, redis_server_port(one), two);
	open_seen(&s);
	await_ups(&s, 1);
	loop_for(&s.loop, 600);
	redis_server_pause(one);
	publish_switch(two, b, 7);
	await_ups(&s, 2);
	await_at(&s, s.redis, b);
	/* The stopped one comes back and knows less: it is not believed. */
	redis_server_kill(two);
	redis_server_restart(one);
	redis_server_restart(b);
	await_why(&s, "name a primary of before the last failover");
	assert_int_equal(s.ups, 2);
	close_seen(&s);
	redis_server_stop(two);
	redis_server_stop(one);
	redis_server_stop(b);
	redis_server_stop(a);
}

static void expect_why(struct redis_options o, const char *expected)
{
	struct seen s = {.options = o};
	struct redis_sync *r = NULL;
	struct why why = {""};

	open_seen(&s);
	await_why(&s, expected);
	assert_int_equal(s.ups, 0);
	close_seen(&s);
	assert_int_not_equal(redis_sync_open(&o, &r, &why), 0);
	if (!strstr(why.text, expected))
		fail_msg("\"%s\" lacks \"%s\"", why.text, expected);
}

static void test_what_goes_wrong_is_said(void **state)
{
	struct redis_server *a = redis_server_start(NULL);
	struct redis_server *sentinel = redis_server_start_sentinel(
		"certfleet", redis_server_port(a), 0, "requirepass sesame");
	struct redis_options o;
	struct seen s = {0};

	(void)state;
	guided(&o, 1, sentinel);
	o.nodes[0] = o.nodes[1];
	o.nodes_n = 1;
	expect_why(o, "asks for a password: set redis.sentinel.password_file");
	o.sentinel_password = "wrong";
	expect_why(o, "check redis.sentinel.username and redis.sentinel.password_file");
	o.sentinel_password = "sesame";
	o.sentinel_master = "other";
	expect_why(o, "knows no primary of the name \"other\": check redis.sentinel.master");
	o.sentinel_password = NULL;
	o.nodes[0] = (struct redis_node){"127.0.0.1", redis_server_port(a)};
	expect_why(o, "(is it a Sentinel?)");
	o.nodes[0].port = 1;
	expect_why(o, "Sentinel at 127.0.0.1:1: Connection refused");
	guided(&s.options, 1, sentinel);
	s.options.sentinel_password = "sesame";
	open_seen(&s);
	await_ups(&s, 1);
	close_seen(&s);
	redis_server_stop(sentinel);
	redis_server_stop(a);
}

/* The command line opens a connection whenever it needs one, and waits while a failover is on. */
static void test_the_blocking_connection(void **state)
{
	struct redis_server *a = redis_server_start(NULL), *b = redis_server_start_replica(a);
	struct redis_server *sentinel =
		redis_server_start_sentinel("certfleet", redis_server_port(a), 1, "");
	struct redis_options o;
	struct redis_sync *r;
	const struct reply *reply;
	struct why why;

	(void)state;
	guided(&o, 1, sentinel);
	assert_int_equal(redis_sync_open(&o, &r, &why), 0);
	assert_int_equal(redis_sync_commandv(r, NULL, &why, "SET", "k", "v", NULL), 0);
	assert_int_equal(redis_sync_commandv(r, NULL, &why, "WAIT", "1", "4000", NULL), 0);
	redis_server_kill(a);
	assert_int_equal(redis_sync_commandv(r, NULL, &why, "PING", NULL), CF_ECONN);
	redis_sync_close(r);
	if (redis_sync_open(&o, &r, &why))
		fail_msg("%s", why.text);
	assert_int_equal(redis_sync_commandv(r, &reply, &why, "GET", "k", NULL), 0);
	assert_string_equal(reply_str(reply, NULL), "v");
	/* A primary that becomes a replica meanwhile is lost, not wrong. */
	free(redis_server_cli(b, "REPLICAOF 127.0.0.1 1"));
	assert_int_equal(redis_sync_commandv(r, NULL, &why, "SET", "k", "v", NULL), CF_ECONN);
	assert_non_null(strstr(why.text, "READONLY"));
	redis_sync_close(r);
	redis_server_stop(sentinel);
	redis_server_stop(b);
	redis_server_stop(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_failover_is_followed),
		cmocka_unit_test(test_a_deposed_primary_is_left_at_once),
		cmocka_unit_test(test_a_stopped_primary),
		cmocka_unit_test(test_the_subscription_moves),
		cmocka_unit_test(test_what_goes_wrong_is_said),
		cmocka_unit_test(test_the_blocking_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

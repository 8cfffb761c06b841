/* Subscriptions outlive their connection. */
#include "common/redis.h"

#include "common/mem.h"
#include "tests/unit/support/loop.h"
#include "tests/unit/support/redis_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SOON_MS 5000

struct seen {
	uv_loop_t loop;
	struct redis *redis;
	struct redis_options options;
	int messages;
	char message[64];
};

static void open_seen(struct seen *s)
{
	uv_loop_init(&s->loop);
	s->redis = redis_new(&s->loop, &s->options, NULL, NULL);
}

static void close_seen(struct seen *s)
{
	redis_free(s->redis);
	loop_finish(&s->loop);
}

static bool is_up(void *arg)
{
	return redis_is_up(((struct seen *)arg)->redis);
}

static void on_message(void *arg, const char *channel, const char *text, size_t len)
{
	struct seen *s = arg;

	s->messages++;
	assert_int_equal(strlen(text), len);
	snprintf(s->message, sizeof s->message, "%s:%s", channel, text);
}

static bool published(void *arg)
{
	struct seen *s = arg;

	if (redis_is_up(s->redis) && redis_in_flight(s->redis) == 0)
		redis_commandv(s->redis, NULL, NULL, "PUBLISH", "b", "again", NULL);
	return s->messages > 0;
}

static void test_subscribe(void **state)
{
	struct redis_server *server = redis_server_start(NULL);
	struct seen s = {0};

	(void)state;
	redis_server_options(server, &s.options);
	open_seen(&s);
	redis_subscribe(s.redis, "a", on_message, &s);
	redis_subscribe(s.redis, "b", on_message, &s);
	assert_true(loop_until(&s.loop, is_up, &s, SOON_MS));
	redis_subscribe(s.redis, "c", on_message, &s);
	assert_true(loop_until(&s.loop, published, &s, SOON_MS));
	assert_string_equal(s.message, "b:again");
	redis_server_restart(server);
	s.messages = 0;
	assert_true(loop_until(&s.loop, published, &s, SOON_MS));
	close_seen(&s);
	redis_server_stop(server);
}

static char *subscriber(const struct redis_server *server)
{
	return redis_server_cli(
		server, "CLIENT LIST TYPE pubsub | grep -o '^id=[0-9]*' | head -n1");
}

struct cut_off {
	const struct redis_server *server;
	char *was;
};

static bool subscribed_anew(void *arg)
{
	const struct cut_off *c = arg;
	_mem_free_ char *is = subscriber(c->server);

	return is[0] && strcmp(is, c->was) != 0;
}

/* Redis cuts off subscribers alone: by hand, and for what it had to hold for them. */
static void test_subscriber_is_cut_off(void **state)
{
	static const char *const cuts[] = {"CLIENT KILL TYPE pubsub",
		"EVAL 'return redis.call(\"publish\", \"b\", (\"x\"):rep(99999))' 0"};
	struct redis_server *server = redis_server_start(NULL);
	struct seen s = {0};

	(void)state;
	redis_server_options(server, &s.options);
	open_seen(&s);
	redis_subscribe(s.redis, "b", on_message, &s);
	assert_true(loop_until(&s.loop, is_up, &s, SOON_MS));
	free(redis_server_cli(server, "CONFIG SET client-output-buffer-limit 'pubsub 16384 0 0'"));
	assert_true(loop_until(&s.loop, published, &s, SOON_MS));
	for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
		struct cut_off c = {server, subscriber(server)};

		free(redis_server_cli(server, cuts[i]));
		assert_true(loop_until(&s.loop, subscribed_anew, &c, SOON_MS));
		free(c.was);
		s.messages = 0;
		assert_true(loop_until(&s.loop, published, &s, SOON_MS));
		assert_string_equal(s.message, "b:again");
	}
	close_seen(&s);
	redis_server_stop(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_subscribe),
		cmocka_unit_test(test_subscriber_is_cut_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

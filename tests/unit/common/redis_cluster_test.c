/* common/redis_guide.c with a cluster: two real nodes, between which a slot is moved. */
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
	struct redis *redis;
	struct redis_options options;
	int ups, replies, waits;
	int last_err;
	int64_t last_int;
	char why[512];
};

static void on_state(void *arg, bool up, const struct why *why)
{
	struct seen *s = arg;

	s->ups += up;
	s->waits += strstr(why->text, "is being moved to another node") != NULL;
	snprintf(s->why, sizeof s->why, "%s", why->text);
}

static void on_reply(void *arg, int err, const struct reply *reply)
{
	struct seen *s = arg;

	s->last_err = err;
	s->last_int = reply ? reply_int(reply) : 0;
	s->replies++;
}

static void count(struct seen *s)
{
	redis_script(s->redis, "count", 0, NULL, NULL, on_reply, s);
	assert_true(loop_until_count(&s->loop, &s->replies, s->replies + 1, SOON_MS));
}

static void cli(const struct redis_server *s, const char *command)
{
	_mem_free_ char *out = redis_server_cli(s, command);

	if (strcmp(out, "OK") != 0)
		fail_msg("%s: %s", command, out);
}

static void await_cli(const struct redis_server *s, const char *command, const char *expected)
{
	for (int i = 0; i < 400; i++) {
		_mem_free_ char *out = redis_server_cli(s, command);

		if (strstr(out, expected))
			return;
		usleep(50000);
	}
	fail_msg("%s does not say %s", command, expected);
}

static bool is_at(const struct redis *r, const struct redis_server *server)
{
	char at[300];
	_mem_free_ char *expected = mem_printf("127.0.0.1:%u", redis_server_port(server));

	return redis_is_up(r) && !strcmp(redis_server(r, at, sizeof at), expected);
}

static void url_is_told(const struct redis_server *not_owner)
{
	struct redis_options o;
	struct redis_sync *r = NULL;
	struct why why = {""};

	redis_server_options(not_owner, &o);
	assert_int_equal(redis_sync_open(&o, &r, &why), CF_EREDIS);
	assert_non_null(strstr(why.text, "give redis.cluster in place of redis.url"));
}

static void test_the_slot_is_followed(void **state)
{
	struct redis_server *a = redis_server_start_node(), *b = redis_server_start_node();
	_mem_free_ char *slot = redis_server_cli(a, "CLUSTER KEYSLOT 'cf:{test}:'");
	_mem_free_ char *a_id = redis_server_cli(a, "CLUSTER MYID");
	_mem_free_ char *b_id = redis_server_cli(b, "CLUSTER MYID");
	_mem_free_ char *meet = mem_printf(
		"CLUSTER MEET 127.0.0.1 %u %u", redis_server_port(b), redis_server_bus_port(b));
	_mem_free_ char *import = mem_printf("CLUSTER SETSLOT %s IMPORTING %s", slot, a_id);
	_mem_free_ char *migrate = mem_printf("CLUSTER SETSLOT %s MIGRATING %s", slot, b_id);
	_mem_free_ char *give = mem_printf("CLUSTER SETSLOT %s NODE %s", slot, b_id);
	_mem_free_ char *move =
		mem_printf("MIGRATE 127.0.0.1 %u 'cf:{test}:n' 0 5000", redis_server_port(b));
	struct seen s = {.options = {.nodes_n = 2, .fleet = "test"}};
	struct redis_sync *r = NULL;
	struct why why;

	(void)state;
	cli(a, "CLUSTER SET-CONFIG-EPOCH 1");
	cli(b, "CLUSTER SET-CONFIG-EPOCH 2");
	cli(a, "CLUSTER ADDSLOTSRANGE 0 16383");
	cli(a, meet);
	await_cli(a, "CLUSTER INFO", "cluster_known_nodes:2");
	await_cli(a, "CLUSTER INFO", "cluster_state:ok");
	await_cli(b, "CLUSTER INFO", "cluster_state:ok");
	url_is_told(b);
	s.options.nodes[0] = (struct redis_node){"127.0.0.1", redis_server_port(b)};
	s.options.nodes[1] = (struct redis_node){"127.0.0.1", redis_server_port(a)};
	uv_loop_init(&s.loop);
	s.redis = redis_new(&s.loop, &s.options, on_state, &s);
	assert_true(loop_until_count(&s.loop, &s.ups, 1, SOON_MS));
	assert_true(is_at(s.redis, a)); /* the first node said MOVED */
	count(&s);
	assert_int_equal(s.last_int, 1);

	cli(b, import);
	cli(a, migrate);
	count(&s); /* refused before it ran */
	assert_int_equal(s.last_err, CF_ECONN);
	assert_true(loop_until_count(&s.loop, &s.waits, 1, SOON_MS));
	cli(a, move);
	cli(b, give);
	cli(a, give);
	assert_true(loop_until_count(&s.loop, &s.ups, 2, SOON_MS));
	assert_true(is_at(s.redis, b));
	count(&s);
	assert_int_equal(s.last_int, 2); /* neither lost nor done twice */
	assert_int_equal(redis_sync_open(&s.options, &r, &why), 0);
	redis_sync_close(r);
	redis_free(s.redis);
	loop_finish(&s.loop);
	redis_server_stop(b);
	redis_server_stop(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_slot_is_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* common/redis.*: against a real redis-server, started and killed here. */
#include "common/redis.h"

#include "common/clock.h"
#include "common/lua_scripts.h"
#include "common/mem.h"
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
static const char echo_text[] = "return {KEYS[1], ARGV[1], #ARGV}";
static const char broken_text[] = "return redis.call('INCR', KEYS[1] .. 'n')";
const struct lua_script lua_scripts[] = {
	{"count", broken_text, sizeof broken_text - 1},
	{"echo", echo_text, sizeof echo_text - 1},
	{NULL, NULL, 0},
};
const size_t lua_scripts_n = 2;

#define SOON_MS 5000

struct seen {
	uv_loop_t loop;
	struct redis *redis;
	struct redis_options options;
	int ups, downs;
	char why[512];
	int replies;
	int last_err;
	char last[256];
	int64_t last_int;
	int order[64];
	bool free_on_reply;
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
	size_t len;
	const char *text = reply ? reply_str(reply, &len) : NULL;

	s->last_err = err;
	s->last_int = reply ? reply_int(reply) : 0;
	snprintf(s->last, sizeof s->last, "%s", text ? text : "");
	s->order[s->replies % 64] = err;
	s->replies++;
	if (s->free_on_reply) {
		s->free_on_reply = false;
		redis_free(s->redis);
		s->redis = NULL;
	}
}

static void open_seen(struct seen *s)
{
	uv_loop_init(&s->loop);
	s->redis = redis_new(&s->loop, &s->options, on_state, s);
}

static void close_seen(struct seen *s)
{
	redis_free(s->redis);
	loop_finish(&s->loop);
}

static void await_up(struct seen *s)
{
	if (!loop_until_count(&s->loop, &s->ups, 1, SOON_MS))
		fail_msg("not up: %s", s->why);
}

static void await_down(struct seen *s, const char *expected)
{
	assert_true(loop_until_count(&s->loop, &s->downs, 1, SOON_MS));
	if (!strstr(s->why, expected))
		fail_msg("\"%s\" lacks \"%s\"", s->why, expected);
}

/* Sends and waits for the reply. */
static void ask(struct seen *s, const char *a, const char *b, const char *c)
{
	int n = s->replies;

	redis_commandv(s->redis, on_reply, s, a, b, c, NULL);
	assert_int_equal(s->replies, n);
	assert_true(loop_until_count(&s->loop, &s->replies, n + 1, SOON_MS));
}

static void test_commands(void **state)
{
	struct redis_server *server = redis_server_start(NULL);
	struct seen s = {0};
	const char *argv[] = {"SET", "k", "a\0b"};
	const size_t len[] = {3, 1, 3};

	(void)state;
	redis_server_options(server, &s.options);
	s.options.client_name = "unit-test";
	open_seen(&s);
	assert_false(redis_is_up(s.redis));
	await_up(&s);
	assert_true(redis_is_up(s.redis));
	assert_string_equal(redis_prefix(s.redis), "cf:{test}:");

	redis_command(s.redis, 3, argv, len, NULL, NULL);
	ask(&s, "STRLEN", "k", NULL);
	assert_int_equal(s.last_int, 3);
	ask(&s, "GET", "nothing", NULL);
	assert_int_equal(s.last_err, 0);
	ask(&s, "CLIENT", "GETNAME", NULL);
	assert_string_equal(s.last, "unit-test");
	ask(&s, "NOSUCH", NULL, NULL);
	assert_int_equal(s.last_err, CF_EREDIS);
	assert_non_null(strstr(s.last, "unknown command"));
	assert_int_equal(redis_in_flight(s.redis), 0);
	close_seen(&s);
	redis_server_stop(server);
}

static void on_array(void *arg, int err, const struct reply *reply)
{
	struct seen *s = arg;

	assert_int_equal(err, 0);
	assert_int_equal(reply_type(reply), REPLY_ARRAY);
	assert_int_equal(reply_len(reply), 3);
	assert_string_equal(reply_str(reply_at(reply, 0), NULL), "cf:{test}:");
	assert_memory_equal(reply_str(reply_at(reply, 1), NULL), "x\0y", 3);
	assert_int_equal(reply_int(reply_at(reply, 2)), 2);
	assert_int_equal(reply_type(reply_at(reply, 3)), REPLY_NIL);
	s->replies++;
}

static void test_scripts(void **state)
{
	struct redis_server *server = redis_server_start(NULL);
	struct seen s = {0};
	const char *argv[] = {"x\0y", "second"};
	const size_t len[] = {3, 6};
	char *out;

	(void)state;
	redis_server_options(server, &s.options);
	open_seen(&s);
	await_up(&s);
	redis_script(s.redis, "echo", 2, argv, len, on_array, &s);
	assert_true(loop_until_count(&s.loop, &s.replies, 1, SOON_MS));
	out = redis_server_cli(server, "INFO commandstats | grep -c cmdstat_eval:");
	assert_string_equal(out, "0"); /* they were loaded */
	free(out);
	/* Another client flushes them: the reply is the same. */
	free(redis_server_cli(server, "SCRIPT FLUSH"));
	redis_script(s.redis, "echo", 2, argv, len, on_array, &s);
	redis_script(s.redis, "count", 0, NULL, NULL, on_reply, &s);
	assert_true(loop_until_count(&s.loop, &s.replies, 3, SOON_MS));
	assert_int_equal(s.last_int, 1);
	close_seen(&s);
	redis_server_stop(server);
}

static void test_down_at_start_then_up(void **state)
{
	struct redis_server *server = redis_server_start(NULL);
	struct seen s = {0};

	(void)state;
	redis_server_kill(server);
	redis_server_options(server, &s.options);
	open_seen(&s);
	redis_commandv(s.redis, on_reply, &s, "PING", NULL);
	assert_int_equal(s.replies, 0);
	assert_true(loop_until_count(&s.loop, &s.replies, 1, SOON_MS));
	assert_int_equal(s.last_err, CF_ECONN);
	await_down(&s, "Connection refused");
	assert_non_null(strstr(s.why, "Redis at 127.0.0.1:"));
	loop_for(&s.loop, 300);
	assert_int_equal(s.downs, 1); /* the same sentence is told once */
	redis_server_restart(server);
	await_up(&s);
	close_seen(&s);
	redis_server_stop(server);
}

static void test_kill_and_restart(void **state)
{
	struct redis_server *server = redis_server_start(NULL);
	struct seen s = {0};

	(void)state;
	redis_server_options(server, &s.options);
	open_seen(&s);
	await_up(&s);
	redis_server_pause(server);
	for (int i = 0; i < 10; i++)
		redis_commandv(s.redis, on_reply, &s, "INCR", "n", NULL);
	assert_int_equal(redis_in_flight(s.redis), 10);
	loop_for(&s.loop, 50);
	redis_server_kill(server);
	assert_true(loop_until_count(&s.loop, &s.replies, 10, SOON_MS));
	for (int i = 0; i < 10; i++)
		assert_int_equal(s.order[i], CF_ECONN);
	assert_int_equal(s.downs, 1);
	redis_server_restart(server);
	assert_true(loop_until_count(&s.loop, &s.ups, 2, SOON_MS));
	/* Scripts were loaded anew. */
	redis_script(s.redis, "count", 0, NULL, NULL, on_reply, &s);
	assert_true(loop_until_count(&s.loop, &s.replies, 11, SOON_MS));
	assert_int_equal(s.last_err, 0);
	close_seen(&s);
	redis_server_stop(server);
}

static bool greets_in_vain(void *arg)
{
	const struct seen *s = arg;

	return strstr(s->why, "timed out after 200 ms while greeting") != NULL;
}

static void test_deadline_cuts(void **state)
{
	struct redis_server *server = redis_server_start(NULL);
	struct seen s = {0};
	int64_t begin;

	(void)state;
	redis_server_options(server, &s.options);
	s.options.timeout_ms = 200;
	open_seen(&s);
	await_up(&s);
	redis_server_pause(server);
	begin = clock_mono_ms();
	redis_commandv(s.redis, on_reply, &s, "PING", NULL);
	assert_true(loop_until_count(&s.loop, &s.replies, 1, SOON_MS));
	assert_int_equal(s.last_err, CF_ETIMEDOUT);
	assert_true(clock_mono_ms() - begin >= 200);
	assert_true(clock_mono_ms() - begin < 2000);
	assert_false(redis_is_up(s.redis));
	assert_non_null(strstr(s.why, "did not answer in time"));
	/* It now connects to a server that never greets. */
	if (!loop_until(&s.loop, greets_in_vain, &s, SOON_MS))
		fail_msg("%s", s.why);
	redis_server_resume(server);
	assert_true(loop_until_count(&s.loop, &s.ups, 2, SOON_MS));
	close_seen(&s);
	redis_server_stop(server);
}

/* A reply that came while the loop was busy beyond the deadline is not a time-out. */
static void test_busy_loop_is_no_timeout(void **state)
{
	struct redis_server *server = redis_server_start(NULL);
	struct seen s = {0};

	(void)state;
	redis_server_options(server, &s.options);
	s.options.timeout_ms = 100;
	open_seen(&s);
	await_up(&s);
	redis_commandv(s.redis, on_reply, &s, "PING", NULL);
	uv_run(&s.loop, UV_RUN_NOWAIT); /* sent */
	usleep(250000);                 /* the loop is busy, which is what is tested */
	assert_true(loop_until_count(&s.loop, &s.replies, 1, SOON_MS));
	assert_int_equal(s.last_err, 0);
	close_seen(&s);
	redis_server_stop(server);
}

static void test_free_cancels(void **state)
{
	struct redis_server *server = redis_server_start(NULL);
	struct seen s = {0};

	(void)state;
	redis_server_options(server, &s.options);
	open_seen(&s);
	await_up(&s);
	for (int i = 0; i < 3; i++)
		redis_commandv(s.redis, on_reply, &s, "PING", NULL);
	redis_free(s.redis);
	s.redis = NULL;
	assert_int_equal(s.replies, 3);
	assert_int_equal(s.last_err, CF_ECANCELED);
	close_seen(&s);

	/* And from within a callback, with others in flight. */
	s = (struct seen){.options = s.options, .free_on_reply = true};
	open_seen(&s);
	await_up(&s);
	for (int i = 0; i < 3; i++)
		redis_commandv(s.redis, on_reply, &s, "PING", NULL);
	assert_true(loop_until_count(&s.loop, &s.replies, 3, SOON_MS));
	assert_int_equal(s.order[0], 0);
	assert_int_equal(s.order[1], CF_ECANCELED);
	assert_int_equal(s.order[2], CF_ECANCELED);
	close_seen(&s);

	/* Before anything happened. */
	s = (struct seen){.options = s.options};
	open_seen(&s);
	close_seen(&s);
	redis_free(NULL);
	redis_server_stop(server);
}

static void test_unix_socket_and_database(void **state)
{
	struct redis_server *server = redis_server_start(NULL);
	struct seen s = {0};
	char *out;

	(void)state;
	redis_server_unix_options(server, &s.options);
	s.options.db = 3;
	open_seen(&s);
	await_up(&s);
	ask(&s, "SET", "there", "1");
	close_seen(&s);
	out = redis_server_cli(server, "-n 3 EXISTS there");
	assert_string_equal(out, "1");
	free(out);

	s = (struct seen){.options = s.options};
	s.options.unix_path = "/nonexistent/redis.sock";
	open_seen(&s);
	await_down(&s, "/nonexistent/redis.sock: No such file");
	close_seen(&s);

	s = (struct seen){.options = s.options};
	redis_server_unix_options(server, &s.options);
	s.options.db = 99;
	open_seen(&s);
	await_down(&s, "refuses database 99");
	close_seen(&s);
	redis_server_stop(server);
}

static void expect_login(
	struct redis_server *server, const char *user, const char *password, const char *expected)
{
	struct seen s = {0};

	redis_server_options(server, &s.options);
	s.options.username = user;
	s.options.password = password;
	open_seen(&s);
	if (expected)
		await_down(&s, expected);
	else
		await_up(&s);
	close_seen(&s);
}

static void test_passwords(void **state)
{
	struct redis_server *server = redis_server_start(NULL);

	(void)state;
	free(redis_server_cli(server, "ACL SETUSER fleet on '>open' '~*' '&*' +@all"));
	free(redis_server_cli(server, "ACL SETUSER reader on '>look' '~*' '&*' +get +auth"));
	free(redis_server_cli(server, "CONFIG SET requirepass sesame"));
	expect_login(server, NULL, "sesame", NULL);
	expect_login(server, "fleet", "open", NULL);
	expect_login(server, "reader", "look", NULL); /* may not load scripts: no error */
	expect_login(server, NULL, NULL, "set redis.password_file");
	expect_login(server, NULL, "wrong", "refuses user \"default\"");
	expect_login(server, "fleet", "wrong", "refuses user \"fleet\"");
	redis_server_stop(server);
}

static void test_tls(void **state)
{
	struct redis_server *server = redis_server_start_tls();
	struct seen s = {0};

	(void)state;
	redis_server_tls_options(server, &s.options);
	open_seen(&s);
	await_up(&s);
	ask(&s, "SET", "k", "v");
	ask(&s, "GET", "k", NULL);
	assert_string_equal(s.last, "v");
	close_seen(&s);

	s = (struct seen){.options = s.options};
	s.options.host = "127.0.0.1";
	open_seen(&s);
	await_down(&s, "not for \"127.0.0.1\"");
	close_seen(&s);

	s = (struct seen){.options = s.options};
	s.options.host = "localhost";
	s.options.tls_ca_file = NULL;
	open_seen(&s);
	await_down(&s, "check redis.tls.ca_file");
	close_seen(&s);

	s = (struct seen){.options = s.options};
	s.options.tls_ca_file = "/nonexistent/ca.pem";
	open_seen(&s);
	await_down(&s, "/nonexistent/ca.pem");
	close_seen(&s);

	s = (struct seen){0};
	redis_server_tls_options(server, &s.options);
	s.options.port = redis_server_port(server);
	s.options.timeout_ms = 500;
	open_seen(&s);
	await_down(&s, "TLS");
	close_seen(&s);
	redis_server_stop(server);
}

static void test_tls_client_certificate(void **state)
{
	struct redis_server *server = redis_server_start_tls();
	struct seen s = {0};
	_mem_free_ char *cert = mem_printf("%s/server.pem", redis_server_folder(server));
	_mem_free_ char *key = mem_printf("%s/server.key", redis_server_folder(server));

	(void)state;
	free(redis_server_cli(server, "CONFIG SET tls-auth-clients yes"));
	redis_server_tls_options(server, &s.options);
	open_seen(&s);
	await_down(&s, "localhost");
	close_seen(&s);

	s = (struct seen){.options = s.options};
	s.options.tls_cert_file = cert;
	s.options.tls_key_file = key;
	open_seen(&s);
	await_up(&s);
	ask(&s, "PING", NULL, NULL);
	assert_string_equal(s.last, "PONG");
	close_seen(&s);

	s = (struct seen){.options = s.options};
	s.options.tls_key_file = "/nonexistent.key";
	open_seen(&s);
	await_down(&s, "redis.tls.key_file /nonexistent.key");
	close_seen(&s);
	redis_server_stop(server);
}

/* TLS with much data in both directions: records, partial writes. */
static void test_tls_large(void **state)
{
	struct redis_server *server = redis_server_start_tls();
	struct seen s = {0};
	size_t big = 3000000;
	_mem_free_ char *text = mem_alloc(big + 1);

	(void)state;
	memset(text, 'x', big);
	text[big] = '\0';
	redis_server_tls_options(server, &s.options);
	open_seen(&s);
	await_up(&s);
	ask(&s, "SET", "k", text);
	ask(&s, "STRLEN", "k", NULL);
	assert_int_equal(s.last_int, big);
	ask(&s, "GET", "k", NULL);
	assert_int_equal(s.last_err, 0);
	close_seen(&s);
	redis_server_stop(server);
}

static void test_names_resolve(void **state)
{
	struct redis_server *server = redis_server_start(NULL);
	struct seen s = {0};

	(void)state;
	redis_server_options(server, &s.options);
	s.options.host = "localhost"; /* ::1 may come first, where nobody listens */
	open_seen(&s);
	await_up(&s);
	close_seen(&s);
	s = (struct seen){.options = s.options};
	s.options.host = "no-such-host.invalid";
	open_seen(&s);
	assert_true(loop_until_count(&s.loop, &s.downs, 1, 6000));
	assert_non_null(strstr(s.why, "no-such-host.invalid"));
	close_seen(&s);
	redis_server_stop(server);
}

static void test_readonly_reconnects(void **state)
{
	struct redis_server *server = redis_server_start(NULL);
	struct seen s = {0};

	(void)state;
	redis_server_options(server, &s.options);
	open_seen(&s);
	await_up(&s);
	free(redis_server_cli(server, "REPLICAOF 127.0.0.1 1"));
	ask(&s, "SET", "k", "v");
	assert_int_equal(s.last_err, CF_ECONN); /* it may be repeated */
	assert_int_equal(s.downs, 1);
	assert_non_null(strstr(s.why, "READONLY"));
	/* And a replica is not taken. */
	assert_true(loop_until_count(&s.loop, &s.downs, 2, SOON_MS));
	assert_non_null(strstr(s.why, "not the primary but a replica"));
	assert_int_equal(s.ups, 1);
	free(redis_server_cli(server, "REPLICAOF NO ONE"));
	assert_true(loop_until_count(&s.loop, &s.ups, 2, SOON_MS));
	ask(&s, "SET", "k", "v");
	assert_int_equal(s.last_err, 0);
	close_seen(&s);
	redis_server_stop(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_scripts),
		cmocka_unit_test(test_down_at_start_then_up),
		cmocka_unit_test(test_kill_and_restart),
		cmocka_unit_test(test_deadline_cuts),
		cmocka_unit_test(test_busy_loop_is_no_timeout),
		cmocka_unit_test(test_free_cancels),
		cmocka_unit_test(test_unix_socket_and_database),
		cmocka_unit_test(test_passwords),
		cmocka_unit_test(test_tls),
		cmocka_unit_test(test_tls_client_certificate),
		cmocka_unit_test(test_tls_large),
		cmocka_unit_test(test_names_resolve),
		cmocka_unit_test(test_readonly_reconnects),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

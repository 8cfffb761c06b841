/* common/redis_sync.c: against a real redis-server. */
#include "common/redis_sync.h"

#include "common/lua_scripts.h"
#include "common/mem.h"
#include "tests/unit/support/redis_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
/* cmocka.h wants setjmp.h, stdarg.h and stddef.h. */
#include <cmocka.h>

/* In place of the embedded ones. */
static const char echo_text[] = "return {KEYS[1], ARGV[1]}";
const struct lua_script lua_scripts[] = {
	{"echo", echo_text, sizeof echo_text - 1}, {NULL, NULL, 0}};
const size_t lua_scripts_n = 1;

static struct redis_sync *open_it(const struct redis_options *o)
{
	struct redis_sync *r;
	struct why why = {""};

	if (redis_sync_open(o, &r, &why))
		fail_msg("%s", why.text);
	return r;
}

static void refused(const struct redis_options *o, int err, const char *text)
{
	struct redis_sync *r = NULL;
	struct why why = {""};

	assert_int_equal(redis_sync_open(o, &r, &why), err);
	assert_null(r);
	if (!strstr(why.text, text))
		fail_msg("\"%s\" lacks \"%s\"", why.text, text);
}

static void test_commands(void **state)
{
	struct redis_server *server = redis_server_start(NULL);
	struct redis_options o;
	struct redis_sync *r;
	const struct reply *reply;
	struct why why;
	const char *incr[] = {"INCR", "n"};

	(void)state;
	redis_server_options(server, &o);
	r = open_it(&o);
	assert_string_equal(redis_sync_prefix(r), "cf:{test}:");
	assert_int_equal(redis_sync_commandv(r, NULL, NULL, "SET", "k", "v", NULL), 0);
	assert_int_equal(redis_sync_commandv(r, &reply, &why, "GET", "k", NULL), 0);
	assert_string_equal(reply_str(reply, NULL), "v");
	assert_int_equal(redis_sync_commandv(r, &reply, &why, "NOSUCH", NULL), CF_EREDIS);
	assert_non_null(strstr(why.text, "unknown command"));
	for (int i = 0; i < 100; i++)
		redis_sync_send(r, 2, incr, NULL);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(redis_sync_receive(r, &reply, &why), 0);
		assert_int_equal(reply_int(reply), i + 1);
	}
	redis_sync_close(r);
	redis_sync_close(NULL);
	redis_server_stop(server);
}

static void test_scripts(void **state)
{
	struct redis_server *server = redis_server_start(NULL);
	struct redis_options o;
	struct redis_sync *r;
	const struct reply *reply;
	struct why why;
	const char *argv[] = {"a\0b"};
	const size_t len[] = {3};

	(void)state;
	redis_server_unix_options(server, &o);
	r = open_it(&o);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(redis_sync_script(r, &reply, &why, "echo", 1, argv, len), 0);
		assert_string_equal(reply_str(reply_at(reply, 0), NULL), "cf:{test}:");
		assert_memory_equal(reply_str(reply_at(reply, 1), NULL), "a\0b", 3);
		assert_int_equal(redis_sync_commandv(r, NULL, &why, "SCRIPT", "FLUSH", NULL), 0);
	}
	redis_sync_close(r);
	redis_server_stop(server);
}

static void test_lost_and_slow(void **state)
{
	struct redis_server *server = redis_server_start(NULL);
	struct redis_options o;
	struct redis_sync *r;
	struct why why;

	(void)state;
	redis_server_options(server, &o);
	o.timeout_ms = 200;
	r = open_it(&o);
	redis_server_pause(server);
	assert_int_equal(redis_sync_commandv(r, NULL, &why, "PING", NULL), CF_ETIMEDOUT);
	redis_server_resume(server);
	redis_sync_close(r);
	r = open_it(&o);
	redis_server_kill(server);
	/* Neither the first write nor a second, which meets a reset connection, ends the program.
	 */
	assert_int_equal(redis_sync_commandv(r, NULL, &why, "PING", NULL), CF_ECONN);
	assert_int_equal(redis_sync_commandv(r, NULL, &why, "PING", NULL), CF_ECONN);
	redis_sync_close(r);
	refused(&o, CF_ECONN, "Connection refused");
	redis_server_stop(server);
}

static void test_login(void **state)
{
	struct redis_server *server = redis_server_start(NULL);
	struct redis_options o;

	(void)state;
	free(redis_server_cli(server, "ACL SETUSER fleet on '>open' '~*' '&*' +@all"));
	free(redis_server_cli(server, "CONFIG SET requirepass sesame"));
	redis_server_options(server, &o);
	refused(&o, CF_EAUTH, "set redis.password_file");
	o.password = "wrong";
	refused(&o, CF_EAUTH, "refuses user \"default\"");
	o.username = "fleet";
	o.password = "open";
	redis_sync_close(open_it(&o));
	redis_server_stop(server);
}

static void test_tls(void **state)
{
	struct redis_server *server = redis_server_start_tls();
	struct redis_options o;

	(void)state;
	redis_server_tls_options(server, &o);
	redis_sync_close(open_it(&o));
	o.host = "127.0.0.1";
	refused(&o, CF_ECONN, "not for \"127.0.0.1\"");
	o.host = "localhost";
	o.tls_ca_file = NULL;
	refused(&o, CF_ECONN, "check redis.tls.ca_file");
	o.port = redis_server_port(server);
	o.timeout_ms = 300;
	refused(&o, CF_ECONN, " TLS "); /* Redis 7 is silent, 8 answers in plain: two texts */
	redis_server_stop(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_scripts),
		cmocka_unit_test(test_lost_and_slow),
		cmocka_unit_test(test_login),
		cmocka_unit_test(test_tls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

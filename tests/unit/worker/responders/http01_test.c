/* http-01 answers from a real Redis, asked by curl. */
#include "worker/responders/http01.h"

#include "common/clock.h"
#include "common/mem.h"
#include "tests/unit/support/redis_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
	uv_loop_t loop;
	struct redis_server *server;
	struct redis_options options;
	struct redis *redis;
	struct http01 *http01;
	bool exited;
};

static void on_exit_(uv_process_t *p, int64_t status, int signal_number)
{
	struct fixture *f = p->data;

	(void)status;
	(void)signal_number;
	f->exited = true;
	uv_close((uv_handle_t *)p, NULL);
}

/* Runs curl on the path while the loop serves; headers and body come back as one text. */
static char *fetch(struct fixture *f, const char *method, const char *path)
{
	char address[ADDR_TEXT_SIZE], out[8192];
	_mem_free_ char *file = mem_printf("%s/answer", redis_server_folder(f->server));
	_mem_free_ char *command = mem_printf("curl -s -i -m 5 -X %s --path-as-is 'http://%s%s' >%s", method,
					      addr_format(http01_address(f->http01, 0), address), path, file);
	char shell[] = "/bin/sh", flag[] = "-c";
	char *args[] = { shell, flag, command, NULL };
	uv_process_options_t options = { .exit_cb = on_exit_, .file = args[0], .args = args };
	uv_process_t process = { .data = f };
	FILE *in;
	size_t n;

	f->exited = false;
	assert_int_equal(uv_spawn(&f->loop, &process, &options), 0);
	while (!f->exited)
		uv_run(&f->loop, UV_RUN_ONCE);
	uv_run(&f->loop, UV_RUN_NOWAIT);
	in = fopen(file, "r");
	assert_non_null(in);
	n = fread(out, 1, sizeof out - 1, in);
	fclose(in);
	out[n] = '\0';
	return mem_strdup(out);
}

static void expect(struct fixture *f, const char *method, const char *path, const char *status, const char *body)
{
	_mem_free_ char *answer = fetch(f, method, path);

	if (!strstr(answer, status))
		fail_msg("%s %s: expected %s, got:\n%s", method, path, status, answer);
	if (body && !strstr(answer, body))
		fail_msg("%s %s: expected \"%s\" in:\n%s", method, path, body, answer);
}

static int setup(void **state)
{
	struct fixture *f = mem_zalloc(sizeof *f);
	struct http01_options options = { .n_listen = 1, .reuseport = true };
	struct addr listen;
	int64_t deadline = clock_mono_ms() + 10000;

	uv_loop_init(&f->loop);
	f->server = redis_server_start(NULL);
	redis_server_options(f->server, &f->options);
	f->redis = redis_new(&f->loop, &f->options, NULL, NULL);
	while (!redis_is_up(f->redis) && clock_mono_ms() < deadline)
		uv_run(&f->loop, UV_RUN_ONCE);
	assert_true(redis_is_up(f->redis));
	assert_int_equal(addr_parse("127.0.0.1:0", 0, &listen, NULL), 0);
	options.listen = &listen;
	assert_int_equal(http01_new(&f->loop, f->redis, &options, &f->http01, NULL), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	http01_free(f->http01);
	redis_free(f->redis);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	redis_server_stop(f->server);
	free(f);
	return 0;
}

#define PATH "/.well-known/acme-challenge/"

static void what_is_published_is_answered(void **state)
{
	struct fixture *f = *state;
	_mem_free_ char *set = redis_server_cli(f->server, "SET 'cf:{test}:http:tok_EN-1' tok_EN-1.thumbprint");

	assert_string_equal(set, "OK");
	expect(f, "GET", PATH "tok_EN-1", "200 OK", "\r\n\r\ntok_EN-1.thumbprint");
	expect(f, "GET", PATH "tok_EN-1", "200 OK", "no-store");
}

static void anything_else_is_not_found(void **state)
{
	struct fixture *f = *state;

	expect(f, "GET", PATH "unknown", "404", "no-store");
	expect(f, "GET", PATH, "404", NULL);
	expect(f, "GET", PATH "a.b", "404", NULL);
	expect(f, "GET", PATH "a/../tok", "404", NULL);
	expect(f, "GET", PATH "%00", "40", NULL); /* refused by the server shell or unknown here */
	expect(f, "GET", "/", "404", NULL);
	expect(f, "POST", PATH "unknown", "405", NULL);
}

static void a_store_that_is_away_is_no_no(void **state)
{
	struct fixture *f = *state;

	redis_server_kill(f->server);
	expect(f, "GET", PATH "tok_EN-1", "503", "Retry-After");
}

static void a_wrong_type_under_the_key_is_no_no(void **state)
{
	struct fixture *f = *state;
	_mem_free_ char *set = redis_server_cli(f->server, "SADD 'cf:{test}:http:odd' x");

	assert_string_equal(set, "1");
	expect(f, "GET", PATH "odd", "503", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_published_is_answered, setup, teardown),
		cmocka_unit_test_setup_teardown(anything_else_is_not_found, setup, teardown),
		cmocka_unit_test_setup_teardown(a_wrong_type_under_the_key_is_no_no, setup, teardown),
		cmocka_unit_test_setup_teardown(a_store_that_is_away_is_no_no, setup, teardown),
	};

	return cmocka_run_group_tests_name("http01", tests, NULL, NULL);
}

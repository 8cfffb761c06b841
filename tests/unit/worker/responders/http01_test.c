#include "worker/responders/http01.h"

#include "common/mem.h"
#include "tests/unit/net_aid.h"
#include "tests/unit/support/redis_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define TOKEN "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"

struct world {
	uv_loop_t loop;
	struct redis_server *server;
	struct redis_options redis_options;
	struct redis *redis;
	struct http01 *h;
	bool drained;
};

static bool redis_up(void *arg)
{
	return redis_is_up(((struct world *)arg)->redis);
}

static bool redis_down(void *arg)
{
	return !redis_is_up(((struct world *)arg)->redis);
}

static int setup(void **state)
{
	struct world *w = mem_zalloc(sizeof(*w));
	struct addr listen;
	struct why why = {""};

	uv_loop_init(&w->loop);
	w->server = redis_server_start(NULL);
	redis_server_options(w->server, &w->redis_options);
	w->redis = redis_new(&w->loop, &w->redis_options, NULL, NULL);
	aid_until(&w->loop, redis_up, w);
	assert_int_equal(addr_parse("127.0.0.1:0", 0, &listen, &why), 0);
	struct http01_options o = {.listen = &listen, .n_listen = 1, .max_reads = 2};
	assert_int_equal(http01_new(&w->loop, w->redis, &o, &w->h, &why), 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	http01_free(w->h);
	redis_free(w->redis);
	aid_loop_end(&w->loop);
	redis_server_stop(w->server);
	free(w);
	return 0;
}

static void cli(struct world *w, const char *args)
{
	free(redis_server_cli(w->server, args));
}

static int begin(struct world *w, const char *method, const char *path)
{
	char text[1024];
	int fd = aid_connect(http01_address(w->h, 0));

	snprintf(text, sizeof(text),
		"%s %s HTTP/1.1\r\nHost: www.any.example\r\nConnection: close\r\n\r\n", method,
		path);
	aid_sends(fd, text);
	return fd;
}

/* The whole answer holds each of the texts. */
static void finish(struct world *w, int fd, const char *const *parts)
{
	struct buf b = BUF_INIT(65536);

	aid_read(&w->loop, fd, &b, 0, NULL);
	close(fd);
	for (; *parts; parts++)
		if (!strstr(buf_cstr(&b), *parts))
			fail_msg("no \"%s\" in:\n%s", *parts, buf_cstr(&b));
	buf_release(&b);
}

#define EXPECT(w, method, path, ...) \
	finish(w, begin(w, method, path), (const char *const[]){__VA_ARGS__, NULL})
#define PATH "/.well-known/acme-challenge/"

static void test_found(void **state)
{
	struct world *w = *state;
	struct buf b = BUF_INIT(65536);

	cli(w, "SET cf:{test}:http:" TOKEN " " TOKEN ".thumbprint EX 60");
	EXPECT(w, "GET", PATH TOKEN, "HTTP/1.1 200 OK\r\n", "Cache-Control: no-store\r\n",
		"application/octet-stream", "\r\n\r\n" TOKEN ".thumbprint");
	int fd = begin(w, "HEAD", PATH TOKEN);
	aid_read(&w->loop, fd, &b, 0, NULL);
	assert_non_null(strstr(buf_cstr(&b), "Content-Length: 54\r\n"));
	assert_null(strstr(buf_cstr(&b), "thumbprint"));
	close(fd);
	buf_release(&b);
	cli(w, "DEL cf:{test}:http:" TOKEN); /* nothing is kept */
	EXPECT(w, "GET", PATH TOKEN, "404 ");
}

static void test_not_found(void **state)
{
	static const char *const paths[] = {PATH TOKEN, PATH, PATH "a.b", PATH "a%2Fb", PATH "a/b",
		PATH "x%00", PATH "%C3%BC", PATH "sp%20ace"};
	char path[512];

	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		EXPECT(*state, "GET", paths[i], "HTTP/1.1 404 ", "Cache-Control: no-store\r\n");
	snprintf(path, sizeof(path), PATH "%0129d", 0);
	EXPECT(*state, "GET", path, "HTTP/1.1 404 ", "Cache-Control: no-store\r\n");
	EXPECT(*state, "GET", "/", "HTTP/1.1 404 ");
	EXPECT(*state, "POST", PATH TOKEN, "HTTP/1.1 405 ", "Allow: GET, HEAD");
}

static void test_redis_away(void **state)
{
	struct world *w = *state;

	redis_server_kill(w->server);
	aid_until(&w->loop, redis_down, w);
	EXPECT(w, "GET", PATH TOKEN, "HTTP/1.1 503 ", "Cache-Control: no-store\r\n",
		"Retry-After: 1\r\n");
	redis_server_restart(w->server);
	aid_until(&w->loop, redis_up, w);
	EXPECT(w, "GET", PATH TOKEN, "HTTP/1.1 404 ");
}

/* Redis holds nothing after its restart, and says so: none of these was answered without it. */
static void test_held_while_redis_is_away(void **state)
{
	struct world *w = *state;
	static const char *const paths[] = {PATH "a", PATH "b", PATH "b", PATH "c"};
	int fds[ARRAY_LEN(paths)];

	redis_server_pause(w->server);
	fds[0] = begin(w, "GET", paths[0]); /* under way when the connection breaks */
	for (int turn = 0; turn < 5; turn++)
		aid_turn(&w->loop);
	redis_server_kill(w->server);
	aid_until(&w->loop, redis_down, w);
	for (size_t i = 1; i < ARRAY_LEN(paths); i++)
		fds[i] = begin(w, "GET", paths[i]);
	finish(w, fds[3],
		(const char *const[]){"HTTP/1.1 503 ", NULL}); /* over max_reads: at once */
	redis_server_restart(w->server);
	for (size_t i = 0; i < 3; i++)
		finish(w, fds[i], (const char *const[]){"404 ", NULL});
	assert_true(redis_is_up(w->redis));
}

static void test_freed_while_redis_is_away(void **state)
{
	struct world *w = *state;

	redis_server_kill(w->server);
	aid_until(&w->loop, redis_down, w);
	int fd = begin(w, "GET", PATH "a");
	for (int turn = 0; turn < 5; turn++)
		aid_turn(&w->loop);
	http01_free(mem_steal(w->h));
	assert_true(aid_read_end(&w->loop, fd));
	close(fd);
}

static void test_wrong_type_is_not_404(void **state)
{
	struct world *w = *state;

	cli(w, "HSET cf:{test}:http:" TOKEN " a b");
	EXPECT(w, "GET", PATH TOKEN, "HTTP/1.1 503 ");
}

/* A hanging Redis: two keys are read at once, equal ones share, the rest is shed. */
static void test_cap_and_sharing(void **state)
{
	struct world *w = *state;
	static const char *const paths[] = {PATH "a", PATH "a", PATH "b", PATH "c", PATH "a"};
	int fds[ARRAY_LEN(paths)];

	cli(w, "SET cf:{test}:http:a key-of-a");
	redis_server_pause(w->server);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		fds[i] = begin(w, "GET", paths[i]);
		for (int turn = 0; turn < 5; turn++)
			aid_turn(&w->loop);
	}
	finish(w, fds[3], (const char *const[]){"HTTP/1.1 503 ", NULL});
	redis_server_resume(w->server);
	finish(w, fds[0], (const char *const[]){"200 OK", "key-of-a", NULL});
	finish(w, fds[1], (const char *const[]){"200 OK", "key-of-a", NULL});
	finish(w, fds[4], (const char *const[]){"200 OK", "key-of-a", NULL});
	finish(w, fds[2], (const char *const[]){"404 ", NULL});
	char *reads = redis_server_cli(
		w->server, "INFO commandstats | grep -o 'cmdstat_get:calls=[0-9]*'");
	assert_string_equal(reads,
		"cmdstat_get:calls=3"); /* a, b, and a again for who came after it was sent */
	free(reads);
}

static void on_drained(void *arg)
{
	((struct world *)arg)->drained = true;
}

static void test_drain_and_free_while_reading(void **state)
{
	struct world *w = *state;

	redis_server_pause(w->server);
	int fd = begin(w, "GET", PATH "a");
	for (int i = 0; i < 5; i++)
		aid_turn(&w->loop);
	http01_drain(w->h, 30, on_drained, w);
	aid_until_flag(&w->loop, &w->drained);
	http01_free(mem_steal(w->h));
	redis_server_resume(w->server);
	assert_true(aid_read_end(&w->loop, fd));
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_found, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_found, setup, teardown),
		cmocka_unit_test_setup_teardown(test_redis_away, setup, teardown),
		cmocka_unit_test_setup_teardown(test_held_while_redis_is_away, setup, teardown),
		cmocka_unit_test_setup_teardown(test_freed_while_redis_is_away, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrong_type_is_not_404, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cap_and_sharing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_drain_and_free_while_reading, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

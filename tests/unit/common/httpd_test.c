#include "common/httpd.h"

#include "common/mem.h"
#include "tests/unit/net_aid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
	uv_loop_t loop;
	struct httpd *httpd;
	struct httpd_request *held[8];
	size_t n_held;
	bool drained;
	unsigned last_status, answers;
};

static void get_hello(void *arg, struct httpd_request *r)
{
	(void)arg;
	httpd_answer_text(r, 200, "hello");
}

static void post_echo(void *arg, struct httpd_request *r)
{
	size_t n;
	const char *body = httpd_body(r, &n);
	(void)arg;

	httpd_answer(
		r, &(struct httpd_answer){.status = 201,
			   .content_type = "application/octet-stream",
			   .body = body,
			   .len = n,
			   .headers = (const char *const[]){"X-One", "1", "X-Two", "2", NULL}});
}

static void get_show(void *arg, struct httpd_request *r)
{
	struct buf b = BUF_INIT(4096);
	char remote[ADDR_TEXT_SIZE];
	const char *q = httpd_query(r, "q"), *flag = httpd_query(r, "flag"),
		   *x = httpd_header(r, "x-thing");
	(void)arg;

	buf_addf(&b, "path=%s rest=%s q=%s flag=%s x=%s from=%s", httpd_path(r), httpd_path_rest(r),
		q ? q : "(none)", flag ? flag : "(none)", x ? x : "(none)",
		addr_format_host(httpd_remote(r), remote));
	httpd_answer_buf(r, 200, "text/plain", &b);
}

static void get_later(void *arg, struct httpd_request *r)
{
	struct world *w = arg;

	w->held[w->n_held++] = r;
}

static const struct httpd_route routes[] = {
	{HTTPD_GET, "/hello", get_hello},
	{HTTPD_POST | HTTPD_PUT, "/echo", post_echo},
	{HTTPD_GET, "/echo", get_hello},
	{HTTPD_GET, "/show/*", get_show},
	{HTTPD_GET, "/later", get_later},
};

static void on_answered(void *arg, const struct httpd_request *r, unsigned status)
{
	struct world *w = arg;
	(void)r;

	w->last_status = status;
	w->answers++;
}

static int setup(void **state)
{
	struct world *w = mem_zalloc(sizeof(*w));
	struct addr listen[2];
	struct why why;

	uv_loop_init(&w->loop);
	assert_int_equal(addr_parse("127.0.0.1:0", 0, &listen[0], &why), 0);
	assert_int_equal(addr_parse("[::1]:0", 0, &listen[1], &why), 0);
	struct httpd_options o = {
		.listen = listen,
		.n_listen = 2,
		.reuseport = true,
		.routes = routes,
		.n_routes = ARRAY_LEN(routes),
		.arg = w,
		.max_body_bytes = 1000,
		.answered = on_answered,
	};
	assert_int_equal(httpd_new(&w->loop, &o, &w->httpd, &why), 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	httpd_free(w->httpd);
	for (size_t i = 0; i < w->n_held; i++)
		if (w->held[i])
			httpd_answer_text(w->held[i], 200, "into the void");
	aid_loop_end(&w->loop);
	free(w);
	return 0;
}

/* Sends on a connection of its own, returns the whole answer up to the close. */
static struct buf ask(struct world *w, size_t address, const char *request)
{
	struct buf b = BUF_INIT(1 << 20);
	int fd = aid_connect(httpd_address(w->httpd, address));

	aid_sends(fd, request);
	aid_read(&w->loop, fd, &b, 0, NULL);
	close(fd);
	return b;
}

static void expect(struct world *w, const char *request, const char *const *parts)
{
	struct buf b = ask(w, 0, request);

	for (; *parts; parts++)
		if (!strstr(buf_cstr(&b), *parts))
			fail_msg("no \"%s\" in the answer to \"%.60s\":\n%s", *parts, request,
				buf_cstr(&b));
	buf_release(&b);
}

#define EXPECT(w, request, ...) expect(w, request, (const char *const[]){__VA_ARGS__, NULL})
#define END                     "Host: x\r\nConnection: close\r\n\r\n"

static void test_get_and_head(void **state)
{
	struct world *w = *state;

	EXPECT(w, "GET /hello HTTP/1.1\r\n" END, "HTTP/1.1 200 OK\r\n", "text/plain",
		"\r\n\r\nhello\n");
	assert_int_equal(w->last_status, 200);
	struct buf b = ask(w, 1, "HEAD /hello HTTP/1.1\r\n" END);
	assert_non_null(strstr(buf_cstr(&b), "200 OK"));
	assert_non_null(strstr(buf_cstr(&b), "Content-Length: 6\r\n"));
	assert_null(strstr(buf_cstr(&b), "hello"));
	buf_release(&b);
}

static void test_query_headers_and_rest(void **state)
{
	EXPECT(*state, "GET /show/a%2Fb%00c?q=x%20y&flag HTTP/1.1\r\nX-Thing: t\r\n" END,
		"path=/show/a/b%00c rest=a/b%00c q=x y flag= x=t from=127.0.0.1");
	EXPECT(*state, "GET /show/ HTTP/1.1\r\n" END,
		"path=/show/ rest= q=(none) flag=(none) x=(none)");
}

static void test_bodies(void **state)
{
	struct world *w = *state;

	EXPECT(w, "POST /echo HTTP/1.1\r\nContent-Length: 4\r\n" END "abcd", "201 Created",
		"X-One: 1", "X-Two: 2", "\r\n\r\nabcd");
	EXPECT(w,
		"PUT /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END
		"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
		"201 Created", "\r\n\r\nabcde");
	EXPECT(w, "POST /echo HTTP/1.1\r\nContent-Length: 1001\r\n" END, "413 ",
		"the body has more than");
	struct buf b = BUF_INIT(1 << 16);
	buf_adds(&b, "PUT /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END);
	for (int i = 0; i < 20; i++)
		buf_addf(&b, "40\r\n%064d\r\n", i);
	buf_adds(&b, "0\r\n\r\n");
	EXPECT(w, buf_cstr(&b), "413 ");
	buf_release(&b);
}

static void test_refusals(void **state)
{
	struct world *w = *state;
	struct buf b = BUF_INIT(1 << 16);

	EXPECT(w, "GET /nothing HTTP/1.1\r\n" END, "404 Not Found", "there is nothing here");
	EXPECT(w, "GET /nothing HTTP/1.1\r\nAccept: application/json\r\n" END, "404 ",
		"application/json",
		"{\"error\":\"not_found\",\"message\":\"there is nothing here\"}");
	EXPECT(w, "POST /hello HTTP/1.1\r\nContent-Length: 0\r\n" END, "405 ",
		"Allow: GET, HEAD\r\n");
	EXPECT(w, "BREW /echo HTTP/1.1\r\n" END, "405 ", "Allow: GET, HEAD, POST, PUT\r\n");
	EXPECT(w, "GET /hello HTTP/1.1\r\nContent-Length: x\r\n" END, "400 ");
	buf_addf(&b, "GET /%03000d HTTP/1.1\r\n" END, 0);
	EXPECT(w, buf_cstr(&b), "414 ");
	buf_clear(&b);
	buf_addf(&b, "GET /hello HTTP/1.1\r\nX-Long: %020000d\r\n" END, 0);
	EXPECT(w, buf_cstr(&b), "431 ");
	buf_release(&b);
}

static void test_keep_alive_and_pipelining(void **state)
{
	struct world *w = *state;
	struct buf b = BUF_INIT(1 << 16);
	int fd = aid_connect(httpd_address(w->httpd, 0));
	const char *one = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";

	for (int i = 0; i < 3; i++) {
		buf_clear(&b);
		aid_sends(fd, one);
		aid_read(&w->loop, fd, &b, 0, "hello\n");
		assert_non_null(strstr(buf_cstr(&b), "200 OK"));
	}
	buf_clear(&b);
	aid_sends(fd, one);
	aid_sends(fd, "GET /show/2 HTTP/1.1\r\nHost: x\r\n\r\n");
	aid_read(&w->loop, fd, &b, 0, "rest=2");
	assert_non_null(strstr(buf_cstr(&b), "hello\n"));
	close(fd);
	buf_release(&b);
}

static bool three_are_held(void *arg)
{
	return ((struct world *)arg)->n_held == 3;
}

static void test_answers_later_in_any_order(void **state)
{
	struct world *w = *state;
	int fd[3];

	for (int i = 0; i < 3; i++) {
		fd[i] = aid_connect(httpd_address(w->httpd, 0));
		aid_sends(fd[i], "GET /later HTTP/1.1\r\n" END);
	}
	aid_until(&w->loop, three_are_held, w);
	assert_int_equal(httpd_pending(w->httpd), 3);
	aid_turn(&w->loop);
	close(fd[1]); /* this client does not wait */
	for (size_t i = 3; i-- > 0;) {
		httpd_answer_text(w->held[i], 200, "at last");
		w->held[i] = NULL;
	}
	assert_int_equal(httpd_pending(w->httpd), 0);
	for (int i = 0; i < 3; i += 2) {
		struct buf b = BUF_INIT(4096);
		aid_read(&w->loop, fd[i], &b, 0, NULL);
		assert_non_null(strstr(buf_cstr(&b), "at last\n"));
		buf_release(&b);
		close(fd[i]);
	}
}

static void on_drained(void *arg)
{
	((struct world *)arg)->drained = true;
}

static bool one_is_held(void *arg)
{
	return ((struct world *)arg)->n_held == 1;
}

static void test_drain_waits_for_answers(void **state)
{
	struct world *w = *state;
	struct buf b = BUF_INIT(4096);
	int fd = aid_connect(httpd_address(w->httpd, 0));

	aid_sends(fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
	aid_until(&w->loop, one_is_held, w);
	httpd_drain(w->httpd, 60000, on_drained, w);
	aid_turn(&w->loop);
	assert_false(w->drained);
	int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct addr *a = httpd_address(w->httpd, 0);
	assert_int_not_equal(connect(other, &a->sa, addr_len(a)), 0);
	close(other);
	httpd_answer_text(w->held[0], 200, "the last one");
	w->held[0] = NULL;
	aid_until_flag(&w->loop, &w->drained);
	aid_read(&w->loop, fd, &b, 0, NULL);
	assert_non_null(strstr(buf_cstr(&b), "Connection: close"));
	assert_non_null(strstr(buf_cstr(&b), "the last one"));
	buf_release(&b);
	close(fd);
}

static void test_drain_has_an_end(void **state)
{
	struct world *w = *state;
	int fd = aid_connect(httpd_address(w->httpd, 0));

	aid_sends(fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
	aid_until(&w->loop, one_is_held, w);
	httpd_drain(w->httpd, 20, on_drained, w);
	aid_until_flag(&w->loop, &w->drained);
	assert_int_equal(httpd_pending(w->httpd), 1); /* answered by teardown, after httpd_free() */
	close(fd);
}

static void test_address_in_use(void **state)
{
	struct world *w = *state;
	struct httpd_options o = {.listen = httpd_address(w->httpd, 0), .n_listen = 1};
	struct httpd *second;
	struct why why;

	assert_int_equal(httpd_new(&w->loop, &o, &second, &why), CF_EIO);
	assert_non_null(strstr(why.text, "127.0.0.1:"));
	assert_non_null(strstr(why.text, "another process has it"));
	o.n_listen = 0;
	assert_int_equal(httpd_new(&w->loop, &o, &second, &why), CF_EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_get_and_head, setup, teardown),
		cmocka_unit_test_setup_teardown(test_query_headers_and_rest, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bodies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keep_alive_and_pipelining, setup, teardown),
		cmocka_unit_test_setup_teardown(test_answers_later_in_any_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_drain_waits_for_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_drain_has_an_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_address_in_use, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The client against a server of canned answers on a loopback socket, on the same loop. */
#include "worker/net/http.h"

#include "tests/unit/support/loop.h"

#include "common/buf.h"
#include "common/clock.h"
#include "common/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { LIMIT_MS = 10000, SEEN_MAX = 64 };

struct seen {
	int calls, err, status, os_error;
	bool sent, connected;
	size_t len;
	char body[64], location[64], nonce[64], retry[64], why[512];
	size_t n_links;
	char link[2][64];
};

struct world {
	uv_loop_t loop;
	uv_tcp_t listener;
	struct http_client *client;
	const char *answer; /* NULL: never */
	char request[4096];
	int port, connections, requests;
	uv_tcp_t *peers[SEEN_MAX];
};

static void on_alloc(uv_handle_t *h, size_t n, uv_buf_t *buf)
{
	struct world *w = h->data;

	(void)n;
	*buf = uv_buf_init(w->request, sizeof(w->request) - 1);
}

static void on_closed(uv_handle_t *h)
{
	free(h);
}

static void on_written(uv_write_t *req, int status)
{
	(void)status;
	free(req);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	struct world *w = s->data;
	uv_buf_t out;

	(void)buf;
	if (n <= 0) {
		for (int i = 0; i < w->connections; i++)
			if (w->peers[i] == (uv_tcp_t *)s)
				w->peers[i] = NULL;
		uv_close((uv_handle_t *)s, on_closed);
		return;
	}
	w->request[n] = '\0';
	w->requests++;
	if (!w->answer)
		return;
	out = uv_buf_init((char *)(uintptr_t)w->answer, (unsigned)strlen(w->answer));
	uv_write(mem_zalloc(sizeof(uv_write_t)), s, &out, 1, on_written);
}

static void on_connection(uv_stream_t *s, int status)
{
	struct world *w = s->data;
	uv_tcp_t *peer = mem_zalloc(sizeof(*peer));

	assert_int_equal(status, 0);
	uv_tcp_init(&w->loop, peer);
	peer->data = w;
	assert_int_equal(uv_accept(s, (uv_stream_t *)peer), 0);
	assert_true(w->connections < SEEN_MAX);
	w->peers[w->connections++] = peer;
	uv_read_start((uv_stream_t *)peer, on_alloc, on_read);
}

static int set_up(void **state)
{
	struct world *w = mem_zalloc(sizeof(*w));
	struct http_options o = {.allow_http = true, .max_requests = 4};
	struct sockaddr_in a;
	int n = sizeof(a);

	uv_loop_init(&w->loop);
	uv_tcp_init(&w->loop, &w->listener);
	w->listener.data = w;
	uv_ip4_addr("127.0.0.1", 0, &a);
	uv_tcp_bind(&w->listener, (struct sockaddr *)&a, 0);
	uv_listen((uv_stream_t *)&w->listener, 64, on_connection);
	uv_tcp_getsockname(&w->listener, (struct sockaddr *)&a, &n);
	w->port = ntohs(a.sin_port);
	w->client = http_client_new(&w->loop, &o);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	http_client_free(w->client);
	uv_close((uv_handle_t *)&w->listener, NULL);
	for (int i = 0; i < w->connections; i++)
		if (w->peers[i])
			uv_close((uv_handle_t *)w->peers[i], on_closed);
	loop_finish(&w->loop);
	free(w);
	return 0;
}

static void copy(char out[64], const char *text)
{
	snprintf(out, 64, "%s", text ? text : "-");
}

static void on_answer(void *arg, const struct http_answer *a)
{
	struct seen *s = arg;

	s->calls++;
	s->err = a->err;
	s->status = a->status;
	s->sent = a->sent;
	s->connected = a->connected;
	s->os_error = a->os_error;
	s->len = a->len;
	s->n_links = a->n_links;
	copy(s->body, a->body);
	copy(s->location, a->location);
	copy(s->nonce, a->replay_nonce);
	copy(s->retry, a->retry_after);
	for (size_t i = 0; i < a->n_links && i < 2; i++)
		copy(s->link[i], a->links[i]);
	snprintf(s->why, sizeof(s->why), "%s", a->why.text);
}

static struct http_request *ask(struct world *w, struct http_call *call, struct seen *s)
{
	static char url[128];

	if (!call->url) {
		snprintf(url, sizeof(url), "http://127.0.0.1:%d/x", w->port);
		call->url = url;
	}
	return http_send(w->client, call, on_answer, s);
}

static void wait_for(struct world *w, struct seen *s)
{
	assert_int_equal(s->calls, 0); /* never from inside */
	assert_true(loop_until_count(&w->loop, &s->calls, 1, LIMIT_MS));
}

static void test_headers(void **state)
{
	static const char *const headers[] = {"Content-Type: application/jose+json"};
	struct world *w = *state;
	struct http_call call = {
		.headers = headers, .n_headers = 1, .body = "hello", .body_len = 5};
	struct seen s = {0};

	w->answer =
		"HTTP/1.1 103 Early\r\nLink: <https://early>\r\n\r\n"
		"HTTP/1.1 201 Created\r\nlocation: https://ca/1 "
		"\r\nReplay-Nonce:abc\r\nRetry-After: 7\r\n"
		"Link: <https://ca/a>;rel=\"index\"\r\nLINK: <https://ca/b>;rel=\"alternate\"\r\n"
		"Content-Length: 2\r\n\r\nok";
	ask(w, &call, &s);
	wait_for(w, &s);
	assert_int_equal(s.err, 0);
	assert_int_equal(s.status, 201);
	assert_string_equal(s.body, "ok");
	assert_string_equal(s.location, "https://ca/1");
	assert_string_equal(s.nonce, "abc");
	assert_string_equal(s.retry, "7");
	assert_int_equal(s.n_links, 2);
	assert_string_equal(s.link[1], "<https://ca/b>;rel=\"alternate\"");
	assert_non_null(strstr(w->request, "POST /x HTTP/1.1"));
	assert_non_null(strstr(w->request, "User-Agent: certfleet/"));
	assert_non_null(strstr(w->request, "Content-Type: application/jose+json\r\n"));
	assert_non_null(strstr(w->request, "\r\n\r\nhello"));
}

static void test_limit(void **state)
{
	struct world *w = *state;
	struct http_call call = {.max_bytes = 10};
	struct seen s = {0};

	w->answer = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n01234567890";
	ask(w, &call, &s);
	wait_for(w, &s);
	assert_int_equal(s.err, CF_ETOOBIG);
	assert_non_null(strstr(s.why, "too long"));
}

/* The silent connection is shut down: the next request opens another. */
static void test_deadline(void **state)
{
	struct world *w = *state;
	struct http_call call = {.timeout_ms = 200};
	struct seen s[2] = {0};
	int64_t since = clock_mono_ms();

	w->answer = NULL;
	ask(w, &call, &s[0]);
	wait_for(w, &s[0]);
	assert_int_equal(s[0].err, CF_ETIMEDOUT);
	assert_true(s[0].sent);
	assert_in_range(clock_mono_ms() - since, 150, 5000);
	w->answer = "HTTP/1.1 204 No Content\r\n\r\n";
	ask(w, &call, &s[1]);
	wait_for(w, &s[1]);
	assert_int_equal(s[1].status, 204);
	assert_int_equal(w->connections, 2);
}

static void test_refused(void **state)
{
	struct world *w = *state;
	struct http_call nobody = {.url = "http://127.0.0.1:1/"},
			 scheme = {.url = "ftp://127.0.0.1/"};
	struct http_call empty = {.url = ""};
	struct seen s[3] = {0};

	ask(w, &nobody, &s[0]);
	ask(w, &scheme, &s[1]);
	ask(w, &empty, &s[2]);
	for (int i = 0; i < 3; i++)
		assert_true(loop_until_count(&w->loop, &s[i].calls, 1, LIMIT_MS));
	assert_int_equal(s[0].err, CF_ECONN);
	assert_false(s[0].sent);
	assert_int_equal(s[1].err, CF_EINVAL);
	assert_int_equal(s[2].err, CF_EINVAL);
}

static void test_only_https_by_default(void **state)
{
	struct world *w = *state;
	struct http_options o = {0};
	struct http_client *strict = http_client_new(&w->loop, &o);
	struct http_call call = {.url = "http://127.0.0.1:1/"};
	struct seen s = {0};

	http_send(strict, &call, on_answer, &s);
	wait_for(w, &s);
	assert_int_equal(s.err, CF_EINVAL);
	http_client_free(strict);
}

/* Redirects are answers, not orders. */
static void test_redirect_is_an_answer(void **state)
{
	struct world *w = *state;
	struct http_call call = {0};
	struct seen s = {0};

	w->answer =
		"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
	ask(w, &call, &s);
	wait_for(w, &s);
	assert_int_equal(s.status, 302);
	assert_int_equal(w->requests, 1);
}

static void test_checked_address(void **state)
{
	struct world *w = *state;
	struct http_call call = {.address = "127.0.0.1"};
	struct seen s = {0};
	char url[128];

	snprintf(url, sizeof(url), "http://does-not-resolve.invalid:%d/", w->port);
	call.url = url;
	w->answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	ask(w, &call, &s);
	wait_for(w, &s);
	assert_int_equal(s.status, 200);
	assert_non_null(strstr(w->request, "Host: does-not-resolve.invalid"));
}

/* For a server that a customer chose: the address and port that were judged, and no other. */
static void test_pinned(void **state)
{
	struct world *w = *state;
	struct http_options o = {.allow_http = true, .strangers = true};
	struct http_client *client = http_client_new(&w->loop, &o);
	struct addr at;
	struct http_call call = {.url = "http://does-not-resolve.invalid/", .pinned = &at};
	struct seen s[3] = {0};

	addr_parse("127.0.0.1", (uint16_t)w->port, &at, NULL);
	w->answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	for (int i = 0; i < 2; i++) {
		http_send(client, &call, on_answer, &s[i]);
		wait_for(w, &s[i]);
		assert_int_equal(s[i].status, 200);
		assert_true(s[i].connected);
	}
	assert_int_equal(w->connections, 2); /* nothing is kept */
	assert_non_null(strstr(w->request, "Host: does-not-resolve.invalid\r\n"));
	addr_set_port(&at, 1);
	http_send(client, &call, on_answer, &s[2]);
	wait_for(w, &s[2]);
	assert_int_equal(s[2].err, CF_ECONN);
	assert_int_equal(s[2].os_error, ECONNREFUSED);
	assert_false(s[2].connected);
	http_client_free(client);
}

/* Headers without an end. */
static void test_head_limit(void **state)
{
	struct world *w = *state;
	struct http_call call = {0};
	struct seen s = {0};
	_mem_free_ char *line = mem_printf("X-More: %0*d\r\n", 1000, 1);
	struct buf answer = BUF_INIT(1 << 20);

	buf_adds(&answer, "HTTP/1.1 200 OK\r\n");
	while (answer.len < HTTP_HEAD_BYTES_MAX + 2000)
		buf_adds(&answer, line);
	w->answer = buf_cstr(&answer);
	ask(w, &call, &s);
	wait_for(w, &s);
	assert_int_equal(s.err, CF_ETOOBIG);
	assert_int_equal(s.status, 200);
	buf_release(&answer);
}

static void test_queue_and_cancel(void **state)
{
	struct world *w = *state;
	struct http_call call = {.timeout_ms = LIMIT_MS};
	struct http_request *r[12];
	struct seen s[12] = {0};
	unsigned live, waiting;
	int done = 0;

	w->answer = NULL;
	for (int i = 0; i < 12; i++)
		r[i] = ask(w, &call, &s[i]);
	while (w->requests <
		1) /* the others wait to see whether one connection is enough for all */
		uv_run(&w->loop, UV_RUN_ONCE);
	http_client_load(w->client, &live, &waiting);
	assert_int_equal(live, 4);
	assert_int_equal(waiting, 8);
	http_cancel(r[0]);  /* live */
	http_cancel(r[11]); /* waiting */
	while (w->connections < 2)
		uv_run(&w->loop, UV_RUN_ONCE);
	http_client_free(w->client); /* completes the rest */
	w->client = NULL;
	for (int i = 0; i < 12; i++) {
		done += s[i].calls;
		if (s[i].calls)
			assert_int_equal(s[i].err, CF_ECANCELED);
	}
	assert_int_equal(done, 10);
	assert_int_equal(s[0].calls + s[11].calls, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_headers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_limit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_deadline, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_only_https_by_default, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_redirect_is_an_answer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_checked_address, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_pinned, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_head_limit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_queue_and_cancel, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

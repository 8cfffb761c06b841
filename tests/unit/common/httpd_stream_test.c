/* Answers that come bit by bit: what was written arrives, ends arrive on both sides, and a client
 * that does not read holds no more than was allowed. */
#include "common/httpd.h"

#include "common/mem.h"
#include "tests/unit/net_aid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LIMIT 4096

struct world {
	uv_loop_t loop;
	struct httpd *httpd;
	struct httpd_stream *stream;
	bool open, closed, drained;
};

static void on_closed(void *arg)
{
	struct world *w = arg;

	w->closed = true;
	httpd_stream_end(mem_steal(w->stream));
}

static void get_events(void *arg, struct httpd_request *r)
{
	struct world *w = arg;
	const char *const headers[] = {"Cache-Control", "no-store", NULL};

	w->stream = httpd_answer_stream(r,
		&(struct httpd_answer){
			.status = 200, .content_type = "text/event-stream", .headers = headers},
		LIMIT, on_closed, w);
	w->open = w->stream != NULL;
}

static const struct httpd_route routes[] = {{HTTPD_GET, "/events", get_events}};

static int setup(void **state)
{
	struct world *w = mem_zalloc(sizeof *w);
	struct httpd_options o = {.n_listen = 1, .routes = routes, .n_routes = 1, .arg = w};
	struct addr listen;
	struct why why;

	uv_loop_init(&w->loop);
	assert_int_equal(addr_parse("127.0.0.1:0", 0, &listen, &why), 0);
	o.listen = &listen;
	assert_int_equal(httpd_new(&w->loop, &o, &w->httpd, &why), 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	httpd_free(w->httpd);
	aid_loop_end(&w->loop);
	free(w);
	return 0;
}

static int begin(struct world *w, struct buf *in)
{
	int fd = aid_connect(httpd_address(w->httpd, 0));

	aid_sends(fd, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n");
	aid_until_flag(&w->loop, &w->open);
	assert_int_equal(httpd_stream_write(w->stream, "first\n", 6), 0);
	aid_read(&w->loop, fd, in, 0, "first\n");
	return fd;
}

static void what_is_written_arrives_until_the_end(void **state)
{
	struct world *w = *state;
	struct buf in = BUF_INIT(1 << 20);
	int fd = begin(w, &in);

	assert_non_null(strstr(in.data, "text/event-stream"));
	assert_non_null(strstr(in.data, "no-store"));
	aid_turn(&w->loop);
	assert_int_equal(httpd_stream_write(w->stream, "second\n", 7), 0);
	aid_read(&w->loop, fd, &in, 0, "second\n");
	assert_int_equal(httpd_stream_write(w->stream, "last\n", 5), 0);
	httpd_stream_end(w->stream);
	aid_read(&w->loop, fd, &in, 0, "0\r\n\r\n");
	assert_non_null(strstr(in.data, "last\n"));
	assert_false(w->closed);
	close(fd);
	buf_release(&in);
}

static void a_client_that_goes_is_noticed_at_the_next_write(void **state)
{
	struct world *w = *state;
	struct buf in = BUF_INIT(1 << 20);
	int fd = begin(w, &in);

	close(fd);
	for (int i = 0; i < 1000 && !w->closed; i++) {
		httpd_stream_write(w->stream, ": ping\n", 7);
		aid_turn(&w->loop);
	}
	assert_true(w->closed);
	buf_release(&in);
}

static void a_client_that_does_not_read_is_refused_more(void **state)
{
	struct world *w = *state;
	struct buf in = BUF_INIT(64 << 20);
	char block[1000];
	int fd = begin(w, &in), err = 0;

	memset(block, 'x', sizeof block);
	for (int i = 0; i < 100000 && !err; i++) {
		err = httpd_stream_write(w->stream, block, sizeof block);
		if (i % 4 == 3)
			aid_turn(&w->loop);
	}
	assert_int_equal(err, CF_ETOOBIG);
	httpd_stream_end(mem_steal(w->stream));
	aid_read(&w->loop, fd, &in, 0, "0\r\n\r\n"); /* all that was taken still comes */
	close(fd);
	buf_release(&in);
}

static void on_drained(void *arg)
{
	((struct world *)arg)->drained = true;
}

static void a_drain_ends_streams(void **state)
{
	struct world *w = *state;
	struct buf in = BUF_INIT(1 << 20);
	int fd = begin(w, &in);

	httpd_drain(w->httpd, 5000, on_drained, w);
	aid_read(&w->loop, fd, &in, 0, "0\r\n\r\n");
	assert_true(w->closed);
	aid_until_flag(&w->loop, &w->drained);
	close(fd);
	buf_release(&in);
}

/* The teardown frees the server while the stream waits. */
static void a_server_that_goes_tells(void **state)
{
	struct world *w = *state;
	struct buf in = BUF_INIT(1 << 20);
	int fd = begin(w, &in);

	aid_turn(&w->loop);
	close(fd);
	buf_release(&in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			what_is_written_arrives_until_the_end, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_client_that_goes_is_noticed_at_the_next_write, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_client_that_does_not_read_is_refused_more, setup, teardown),
		cmocka_unit_test_setup_teardown(a_drain_ends_streams, setup, teardown),
		cmocka_unit_test_setup_teardown(a_server_that_goes_tells, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

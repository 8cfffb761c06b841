/* Looks through front doors on loopback sockets: redirects as authorities follow them, and what
 * must not be followed. */
#include "worker/probe/door.h"

#include "common/mem.h"
#include "tests/unit/support/loop.h"
#include "tests/unit/worker/dns/fake_dns.h"
#include "worker/dns/exchange.h"
#include "worker/dns/resolver.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATIENT_MS = 20000 };

#define NAME   "shop.example"
#define TOKEN  "token"
#define ANSWER "token.secret"

/* What the server says by the Host that it is asked for. */
static const struct {
	const char *host, *answer;
} pages[] = {
	{"right.example", "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n" ANSWER "\r\n"},
	{"foreign.example",
		"HTTP/1.1 404 No\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nno"},
	{"prefix.example", "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n" ANSWER "x"},
	{"long.example", "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n%1024"},
	{"to-right.example", "HTTP/1.1 301 M\r\nLocation: "
			     "http://right.example/.well-known/acme-challenge/token\r\n"
			     "Content-Length: 0\r\n\r\n"},
	{"to-page.example",
		"HTTP/1.1 301 M\r\nLocation: http://foreign.example/\r\nContent-Length: 0\r\n\r\n"},
	{"long-redirect.example", "HTTP/1.1 302 M\r\nLocation: "
				  "http://right.example/.well-known/acme-challenge/token\r\n"
				  "Content-Length: 100000000\r\n\r\n%1024"},
	{"circle.example", "HTTP/1.1 302 M\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"},
	{"see-other.example",
		"HTTP/1.1 303 S\r\nLocation: http://right.example/\r\nContent-Length: 0\r\n\r\n"},
	{"no-location.example", "HTTP/1.1 302 M\r\nContent-Length: 0\r\n\r\n"},
	{"to-port.example", "HTTP/1.1 302 M\r\nLocation: "
			    "http://right.example:8080/\r\nContent-Length: 0\r\n\r\n"},
	{"to-address.example",
		"HTTP/1.1 302 M\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n"},
	{"to-forbidden.example", "HTTP/1.1 302 M\r\nLocation: "
				 "http://forbidden.example/\r\nContent-Length: 0\r\n\r\n"},
	{"to-nobody.example",
		"HTTP/1.1 302 M\r\nLocation: http://nobody.example/\r\nContent-Length: 0\r\n\r\n"},
	{"to-refusing.example",
		"HTTP/1.1 302 M\r\nLocation: https://right.example/\r\nContent-Length: 0\r\n\r\n"},
	{"to-scheme.example",
		"HTTP/1.1 302 M\r\nLocation: ftp://right.example/\r\nContent-Length: 0\r\n\r\n"},
	{"babble.example", "220 mail.example ESMTP\r\n"},
	{"silent.example", NULL},
};

static const struct fake_record records[] = {
	{"right.example", DNS_A, "127.0.0.1"},
	{"foreign.example", DNS_A, "127.0.0.1"},
	{"circle.example", DNS_A, "127.0.0.1"},
	{"forbidden.example", DNS_A, "127.9.9.9"},
	{NULL, 0, NULL},
};
static const char *const zones[] = {"example", NULL};

struct seen {
	int calls;
	struct door_result r;
	struct door *cancel; /* when called */
};

struct world {
	uv_loop_t loop;
	uv_tcp_t listener;
	struct fake_server dns;
	struct dns_exchanger *x;
	struct resolver *resolver;
	struct doors *doors;
	struct addr at;
	uint16_t port;
	char request[4096];
	int requests, connections;
};

static bool loopback_one(void *arg, const struct addr *a)
{
	char text[ADDR_TEXT_SIZE];

	(void)arg;
	addr_format_host(a, text);
	return !strcmp(text, "127.0.0.1") || !strcmp(text, "::1");
}

static bool hears;

static bool hears_ipv6(void *arg)
{
	(void)arg;
	return hears;
}

/* --- the server */

static void on_alloc(uv_handle_t *h, size_t n, uv_buf_t *buf)
{
	struct world *w = h->data;

	(void)n;
	*buf = uv_buf_init(w->request, sizeof w->request - 1);
}

static void on_closed(uv_handle_t *h)
{
	free(h);
}

static void on_written(uv_write_t *req, int status)
{
	(void)status;
	free(req->data);
	free(req);
}

static const char *page_of(const char *request)
{
	for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
		_mem_free_ char *line = mem_printf("\r\nHost: %s\r\n", pages[i].host);

		if (strstr(request, line))
			return pages[i].answer;
	}
	fail_msg("nobody knows the host of %s", request);
	return NULL;
}

/* "%1024": so many KiB more. */
static void say(uv_stream_t *s, const char *page)
{
	const char *more = strchr(page, '%');
	size_t head = more ? (size_t)(more - page) : strlen(page);
	size_t n = head + (more ? (size_t)atoi(more + 1) * 1024 : 0);
	char *text = mem_alloc(n);
	uv_write_t *req = mem_zalloc(sizeof *req);
	uv_buf_t out = uv_buf_init(text, (unsigned)n);

	memset(text, 'x', n);
	memcpy(text, page, head);
	req->data = text;
	uv_write(req, s, &out, 1, on_written);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	struct world *w = s->data;
	const char *page;

	(void)buf;
	if (n <= 0) {
		uv_close((uv_handle_t *)s, on_closed);
		return;
	}
	w->request[n] = '\0';
	w->requests++;
	page = page_of(w->request);
	if (page)
		say(s, page);
}

static void on_connection(uv_stream_t *s, int status)
{
	struct world *w = s->data;
	uv_tcp_t *peer = mem_zalloc(sizeof *peer);

	assert_int_equal(status, 0);
	uv_tcp_init(&w->loop, peer);
	peer->data = w;
	assert_int_equal(uv_accept(s, (uv_stream_t *)peer), 0);
	w->connections++;
	uv_read_start((uv_stream_t *)peer, on_alloc, on_read);
}

/* --- the world */

static int set_up(void **state)
{
	struct world *w = mem_zalloc(sizeof *w);
	struct sockaddr_in a;
	struct addr dns;
	int n = sizeof a;

	signal(SIGPIPE, SIG_IGN);
	uv_loop_init(&w->loop);
	uv_tcp_init(&w->loop, &w->listener);
	w->listener.data = w;
	uv_ip4_addr("127.0.0.1", 0, &a);
	uv_tcp_bind(&w->listener, (struct sockaddr *)&a, 0);
	uv_listen((uv_stream_t *)&w->listener, 64, on_connection);
	uv_tcp_getsockname(&w->listener, (struct sockaddr *)&a, &n);
	w->dns = (struct fake_server){
		.host = "127.0.1.1", .zones = zones, .records = records, .mood = FAKE_RECURSES};
	addr_parse("127.0.1.1", fake_dns_start(&w->loop, &w->dns, 1), &dns, NULL);
	w->x = dns_exchanger_new(&w->loop, 0);
	w->resolver = resolver_new(
		&w->loop, w->x, &(struct resolver_options){.servers = &dns, .n_servers = 1});
	w->doors = doors_new(&w->loop, &(struct doors_options){.resolver = w->resolver,
					       .allowed = loopback_one,
					       .hears_ipv6 = hears_ipv6,
					       .ipv6 = true,
					       .http_port = ntohs(a.sin_port),
					       .https_port = 1,
					       .max = 4,
					       .timeout_ms = 1500});
	w->port = ntohs(a.sin_port);
	addr_parse("127.0.0.1", 7, &w->at, NULL);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	doors_free(w->doors);
	resolver_free(w->resolver);
	dns_exchanger_free(w->x);
	fake_dns_stop(&w->dns, 1);
	uv_close((uv_handle_t *)&w->listener, NULL);
	loop_finish(&w->loop);
	free(w);
	return 0;
}

static void on_seen(void *arg, const struct door_result *r)
{
	struct seen *s = arg;

	s->calls++;
	s->r = *r;
	door_cancel(mem_steal(s->cancel));
}

static struct door *look(struct world *w, const char *name, struct seen *s)
{
	return door_start(w->doors, &w->at, name, TOKEN, ANSWER, on_seen, s);
}

/* --- tests */

static const struct {
	const char *name;
	enum door_end end;
	unsigned redirects;
	bool path_kept;
	const char *what;
} rows[] = {
	{"right.example", DOOR_RIGHT, 0, true, "the answer to the challenge"},
	{"foreign.example", DOOR_FOREIGN, 0, true, "HTTP 404 (text/html)"},
	{"prefix.example", DOOR_FOREIGN, 0, true, "HTTP 200"},
	{"long.example", DOOR_FOREIGN, 0, true, "HTTP 200"},
	{"to-right.example", DOOR_RIGHT, 1, true,
		"the answer to the challenge at http://right.example/.well-known/acme-challenge/"},
	{"long-redirect.example", DOOR_RIGHT, 1, true, "the answer to the challenge at"},
	{"to-page.example", DOOR_FOREIGN, 1, false,
		"HTTP 404 (text/html) at http://foreign.example/"},
	{"circle.example", DOOR_AWAY, 10, false,
		"over 10 redirects, at last to http://circle.example/x"},
	{"see-other.example", DOOR_AWAY, 0, true, "HTTP 303, which authorities do not follow"},
	{"no-location.example", DOOR_FOREIGN, 0, true, "HTTP 302 without a Location"},
	{"to-port.example", DOOR_AWAY, 0, false,
		"HTTP 302 to http://right.example:8080/: another port than 80 and 443"},
	{"to-address.example", DOOR_AWAY, 0, false,
		"HTTP 302 to http://127.0.0.1/: an address instead of a name"},
	{"to-forbidden.example", DOOR_AWAY, 1, false,
		"redirects to http://forbidden.example/, where 127.9.9.9 is loopback"},
	{"to-nobody.example", DOOR_AWAY, 1, false,
		"redirects to http://nobody.example/, which has no address"},
	{"to-refusing.example", DOOR_REFUSED, 1, false,
		"connection refused at https://right.example/"},
	{"to-scheme.example", DOOR_AWAY, 0, true,
		"HTTP 302 to what is neither http nor https: ftp:"},
	{"babble.example", DOOR_BROKEN, 0, true, "a connection, but no HTTP answer"},
	{"silent.example", DOOR_TIMEOUT, 0, true, "a connection, but no whole answer in 1 s"},
};

/* All at once, with four places. */
static void each_kind_of_door(void **state)
{
	struct world *w = *state;
	static struct seen s[ARRAY_LEN(rows)];

	memset(s, 0, sizeof s);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		look(w, rows[i].name, &s[i]);
		assert_int_equal(s[i].calls, 0); /* never from inside */
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(loop_until_count(&w->loop, &s[i].calls, 1, PATIENT_MS));
		if (s[i].r.end != rows[i].end || !strstr(s[i].r.what, rows[i].what) ||
			s[i].r.redirects != rows[i].redirects ||
			s[i].r.path_kept != rows[i].path_kept)
			fail_msg("%s: end %d, %u redirects, path %d: %s", rows[i].name, s[i].r.end,
				s[i].r.redirects, s[i].r.path_kept, s[i].r.what);
	}
	loop_for(&w->loop, 20);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(s[i].calls, 1);
}

/* Nothing is sent to what may not be asked, and nothing is learnt from where we have no way to. */
static void what_is_not_asked(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *at;
		enum door_end end;
	} refused[] = {
		{"127.9.9.9", DOOR_FORBIDDEN},
		{"169.254.169.254", DOOR_FORBIDDEN},
		{"::ffff:127.0.0.1", DOOR_FORBIDDEN},
		{"64:ff9b::7f00:1", DOOR_FORBIDDEN},
		{"10.0.0.1", DOOR_FORBIDDEN},
	};

	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct seen s = {0};

		addr_parse(refused[i].at, 80, &w->at, NULL);
		look(w, "right.example", &s);
		assert_true(loop_until_count(&w->loop, &s.calls, 1, PATIENT_MS));
		assert_int_equal(s.r.end, refused[i].end);
	}
	assert_int_equal(w->connections, 0);
}

static void cancelled_ones_say_nothing(void **state)
{
	struct world *w = *state;
	struct seen s[8] = {0};
	struct door *d[8];

	for (int i = 0; i < 8; i++)
		d[i] = look(w, i == 5 ? "right.example" : "silent.example", &s[i]);
	while (w->requests < 4)
		uv_run(&w->loop, UV_RUN_ONCE);
	door_cancel(d[0]); /* live */
	door_cancel(d[6]); /* waiting */
	s[5].cancel = d[1];
	door_cancel(d[2]);
	assert_true(loop_until_count(&w->loop, &s[5].calls, 1, PATIENT_MS));
	assert_int_equal(s[5].r.end, DOOR_RIGHT);
	doors_free(w->doors); /* with three under way */
	w->doors = NULL;
	loop_for(&w->loop, 20);
	for (int i = 0; i < 8; i++)
		assert_int_equal(s[i].calls, i == 5);
}

/* A listener whose queue is full drops what else would come: -1 if there is no ::1. */
static int listen_deaf(const struct addr *at, int callers[2])
{
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, &at->sa, addr_len(at)) || listen(fd, 0)) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	for (int i = 0; i < 2; i++) {
		callers[i] = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		connect(callers[i], &at->sa, addr_len(at));
	}
	return fd;
}

/* Silence by IPv6 is the other's only if something was ever heard by it. */
static void silence_by_ipv6_may_be_ours(void **state)
{
	struct world *w = *state;
	struct seen s[2] = {0};
	int callers[2], fd;

	addr_parse("::1", w->port, &w->at, NULL);
	fd = listen_deaf(&w->at, callers);
	if (fd < 0)
		skip();
	for (int i = 0; i < 2; i++) {
		hears = i;
		look(w, "right.example", &s[i]);
		assert_true(loop_until_count(&w->loop, &s[i].calls, 1, PATIENT_MS));
	}
	assert_int_equal(s[0].r.end, DOOR_NO_WAY);
	assert_int_equal(s[1].r.end, DOOR_TIMEOUT);
	assert_non_null(strstr(s[1].r.what, "no connection in 1 s"));
	close(fd);
	close(callers[0]);
	close(callers[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_kind_of_door, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_not_asked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(silence_by_ipv6_may_be_ours, set_up, tear_down),
		cmocka_unit_test_setup_teardown(cancelled_ones_say_nothing, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

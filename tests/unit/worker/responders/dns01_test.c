#include "worker/responders/dns01.h"

#include "common/clock.h"
#include "common/mem.h"
#include "tests/unit/net_aid.h"
#include "tests/unit/support/redis_server.h"
#include "worker/dns/exchange.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LABEL "abcdefghijklmnopqrstuvwxyz"
#define NAME  LABEL ".acme.example"

struct world {
	uv_loop_t loop;
	struct redis_server *server;
	struct redis_options redis_options;
	struct redis *redis;
	struct dns01 *d;
	struct dns_exchanger *x;
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
	struct addr listen[3], ns;
	const char *zone = "acme.example";
	struct dns_nameserver servers[] = {
		{"ns1.acme.example", &ns, 1}, {"ns2.acme.example", &ns, 1}};
	struct why why = {""};

	uv_loop_init(&w->loop);
	w->server = redis_server_start(NULL);
	redis_server_options(w->server, &w->redis_options);
	w->redis = redis_new(&w->loop, &w->redis_options, NULL, NULL);
	aid_until(&w->loop, redis_up, w);
	assert_int_equal(addr_parse("127.0.0.1:0", 0, &listen[0], &why), 0);
	assert_int_equal(addr_parse("[::1]:0", 0, &listen[1], &why), 0);
	assert_int_equal(addr_parse("0.0.0.0:0", 0, &listen[2], &why), 0);
	assert_int_equal(addr_parse("203.0.113.10", 53, &ns, &why), 0);
	struct dns01_options o = {
		.listen = listen,
		.n_listen = 3,
		.zones = {&zone, 1, servers, 2, 1},
		.max_reads = 2,
		.tcp_connections = 4,
		.tcp_per_address = 3,
		.tcp_idle_ms = 600,
	};
	assert_int_equal(dns01_new(&w->loop, w->redis, &o, &w->d, &why), 0);
	w->x = dns_exchanger_new(&w->loop, 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	dns_exchanger_free(w->x);
	dns01_free(w->d);
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

struct got {
	bool done;
	struct dns_result *result;
};

static void on_result(void *arg, const struct dns_result *result)
{
	struct got *g = arg;

	g->result = dns_result_keep(result);
	g->done = true;
}

static struct dns_result *ask_at(
	struct world *w, struct addr server, const char *name, uint16_t type, bool tcp)
{
	struct dns_question q = {
		.server = server, .name = name, .type = type, .timeout_ms = 5000, .tcp = tcp};
	struct got g = {0};

	dns_ask(w->x, &q, on_result, &g);
	aid_until_flag(&w->loop, &g.done);
	return g.result;
}

static struct dns_result *ask(struct world *w, const char *name, uint16_t type, bool tcp)
{
	return ask_at(w, *dns01_address(w->d, 0), name, type, tcp);
}

static bool has_value(const struct dns_result *r, const char *value)
{
	for (size_t i = 0; i < r->n_records; i++)
		if (r->records[i].txt.len == strlen(value) &&
			memcmp(r->records[i].txt.bytes, value, strlen(value)) == 0)
			return true;
	return false;
}

static void test_all_values_by_every_transport(void **state)
{
	struct world *w = *state;

	cli(w, "HSET cf:{test}:txt:" LABEL " value-one order1 value-two order2");
	for (int i = 0; i < 4; i++) {
		struct dns_result *r =
			ask_at(w, *dns01_address(w->d, (size_t)i / 2), NAME, DNS_TXT, i % 2);
		assert_int_equal(r->status, DNS_ANSWERED);
		assert_true(r->authoritative);
		assert_int_equal(r->n_records, 2);
		assert_true(has_value(r, "value-one") && has_value(r, "value-two"));
		assert_int_equal(r->records[0].ttl_s, 1);
		dns_result_free(r);
	}
	cli(w, "HDEL cf:{test}:txt:" LABEL " value-one"); /* nothing is kept */
	struct dns_result *r = ask(w, "ABCDEFGHIJKLMNOPQRSTUVWXYZ.Acme.Example", DNS_TXT, false);
	assert_int_equal(r->n_records, 1);
	assert_true(has_value(r, "value-two"));
	dns_result_free(r);
	r = ask(w, "other.acme.example", DNS_TXT, false);
	assert_int_equal(r->status, DNS_NODATA);
	assert_int_equal(r->others[0].type, DNS_SOA);
	dns_result_free(r);
}

/* The answer comes from the address that was asked, also of a socket bound to all: the client's
 * socket is connected, so it would not see another. */
static void test_wildcard_address(void **state)
{
	struct world *w = *state;
	struct addr server;

	assert_int_equal(addr_parse("127.0.0.77:53", 0, &server, NULL), 0);
	addr_set_port(&server, addr_port(dns01_address(w->d, 2)));
	struct dns_result *r = ask_at(w, server, "acme.example", DNS_SOA, false);
	assert_int_equal(r->status, DNS_ANSWERED);
	dns_result_free(r);
}

static void test_many_values_come_by_tcp(void **state)
{
	struct world *w = *state;
	struct buf args = BUF_INIT(65536);

	buf_adds(&args, "HSET cf:{test}:txt:" LABEL);
	for (int i = 0; i < 100; i++)
		buf_addf(&args, " %043d x", i);
	cli(w, buf_cstr(&args));
	buf_release(&args);
	struct dns_result *r = ask(w, NAME, DNS_TXT, false);
	assert_int_equal(r->status, DNS_ANSWERED);
	assert_true(r->tcp);
	assert_int_equal(r->n_records, 100);
	dns_result_free(r);
}

static void test_redis_away(void **state)
{
	struct world *w = *state;

	redis_server_kill(w->server);
	aid_until(&w->loop, redis_down, w);
	for (int tcp = 0; tcp < 2; tcp++) {
		struct dns_result *r = ask(w, NAME, DNS_TXT, tcp);
		assert_int_equal(r->status, DNS_SERVFAIL);
		dns_result_free(r);
		r = ask(w, "acme.example", DNS_SOA, tcp); /* needs no Redis */
		assert_int_equal(r->status, DNS_ANSWERED);
		dns_result_free(r);
	}
	redis_server_restart(w->server);
	aid_until(&w->loop, redis_up, w);
	struct dns_result *r = ask(w, NAME, DNS_TXT, false);
	assert_int_equal(r->status, DNS_NODATA);
	dns_result_free(r);
	cli(w, "SET cf:{test}:txt:" LABEL " not-a-hash");
	r = ask(w, NAME, DNS_TXT, false);
	assert_int_equal(r->status, DNS_SERVFAIL);
	dns_result_free(r);
}

/* A hanging Redis: two labels are read at once, equal ones share, the rest is shed. */
static void test_cap_and_sharing(void **state)
{
	struct world *w = *state;
	static const char *const names[] = {"a.acme.example", "a.acme.example", "b.acme.example",
		"c.acme.example", "a.acme.example"};
	struct got got[ARRAY_LEN(names)] = {0};

	cli(w, "HSET cf:{test}:txt:a value x");
	redis_server_pause(w->server);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct dns_question q = {
			*dns01_address(w->d, 0), names[i], DNS_TXT, 0, 5000, i == 4};
		dns_ask(w->x, &q, on_result, &got[i]);
		for (int turn = 0; turn < 5; turn++)
			aid_turn(&w->loop);
	}
	aid_until_flag(&w->loop, &got[3].done);
	redis_server_resume(w->server);
	static const enum dns_status expected[] = {
		DNS_ANSWERED, DNS_ANSWERED, DNS_NODATA, DNS_SERVFAIL, DNS_ANSWERED};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		aid_until_flag(&w->loop, &got[i].done);
		assert_int_equal(got[i].result->status, expected[i]);
		dns_result_free(got[i].result);
	}
	char *reads = redis_server_cli(
		w->server, "INFO commandstats | grep -o 'cmdstat_hkeys:calls=[0-9]*'");
	assert_string_equal(reads, "cmdstat_hkeys:calls=3");
	free(reads);
}

static void test_a_burst(void **state)
{
	struct world *w = *state;
	enum { N = 150 };
	static struct got got[N];
	char name[64];

	memset(got, 0, sizeof(got));
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "%s.acme.example", i % 2 ? "ns1" : "x.y");
		struct dns_question q = {*dns01_address(w->d, 0), name, DNS_A, 0, 5000, false};
		dns_ask(w->x, &q, on_result, &got[i]);
	}
	for (int i = 0; i < N; i++) {
		aid_until_flag(&w->loop, &got[i].done);
		assert_int_equal(got[i].result->status, i % 2 ? DNS_ANSWERED : DNS_NODATA);
		dns_result_free(got[i].result);
	}
}

/* --- TCP by hand */

static size_t tcp_question(uint8_t *out, uint16_t id, const char *name, uint16_t type)
{
	uint8_t wire[DNSNAME_MAX_BYTES];
	size_t n;

	assert_int_equal(dnsname_from_text(name, wire, &n), 0);
	size_t len = dns_query_write(id, wire, n, type, 0, out + 2);
	out[0] = (uint8_t)(len >> 8);
	out[1] = (uint8_t)len;
	return len + 2;
}

static int connect_to(struct world *w)
{
	int fd = aid_connect(dns01_address(w->d, 0));

	aid_turn(&w->loop);
	return fd;
}

static void test_tcp_pipelining_in_pieces(void **state)
{
	struct world *w = *state;
	uint8_t bytes[64 * 64];
	size_t n = 0, answers = 0;
	struct buf in = BUF_INIT(65536);
	int fd = connect_to(w);

	cli(w, "HSET cf:{test}:txt:a value x");
	for (uint16_t i = 0; i < 40; i++) /* more than may wait at once */
		n += tcp_question(bytes + n, i, i % 3 ? "a.acme.example" : "acme.example",
			i % 3 ? DNS_TXT : DNS_SOA);
	for (size_t at = 0; at < n; at += 7) {
		aid_send(fd, bytes + at, n - at < 7 ? n - at : 7);
		aid_turn(&w->loop);
	}
	shutdown(fd, SHUT_WR); /* it asks no more, but wants all answers */
	aid_read(&w->loop, fd, &in, 0, NULL);
	uint64_t seen = 0;
	for (size_t at = 0; at < in.len; answers++) {
		const uint8_t *p = (const uint8_t *)in.data + at;
		seen |= UINT64_C(1) << p[3];
		assert_int_equal(p[5] & 0x0f, 0);
		assert_int_equal(p[9], 1);
		at += 2 + ((size_t)p[0] << 8 | p[1]);
	}
	assert_int_equal(answers, 40);
	assert_true(seen == (UINT64_C(1) << 40) - 1);
	buf_release(&in);
	close(fd);
}

static void test_tcp_idle_and_trickling(void **state)
{
	struct world *w = *state;
	uint8_t bytes[512];
	size_t n = tcp_question(bytes, 1, "acme.example", DNS_SOA), at = 0;
	int idle = connect_to(w), trickle = connect_to(w);
	int64_t start = clock_mono_ms();
	struct buf in = BUF_INIT(4096);

	while (clock_mono_ms() - start < 500) {
		if (at + 1 < n && (clock_mono_ms() - start) / 20 > (int64_t)at)
			aid_send(trickle, bytes + at++, 1);
		aid_turn(&w->loop);
	}
	assert_true(aid_read_end(&w->loop, idle));
	assert_true(aid_read_end(&w->loop, trickle));
	assert_true(clock_mono_ms() - start >= 550);
	close(idle);
	close(trickle);
	buf_release(&in);
}

static void test_tcp_limits(void **state)
{
	struct world *w = *state;
	struct buf in = BUF_INIT(4096);
	uint8_t bytes[512];
	int fds[3];

	for (int i = 0; i < 3; i++)
		fds[i] = connect_to(w);
	int one_too_many = connect_to(w);
	assert_true(aid_read_end(&w->loop, one_too_many));
	close(one_too_many);
	size_t n = tcp_question(bytes, 1, "acme.example", DNS_SOA);
	aid_send(fds[0], bytes, n);
	aid_read(&w->loop, fds[0], &in, 40, NULL);
	assert_true(in.len >= 40);
	aid_send(fds[1], "\xff\xff", 2); /* no question is that long */
	assert_true(aid_read_end(&w->loop, fds[1]));
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	buf_release(&in);
}

static void test_free_while_reading(void **state)
{
	struct world *w = *state;
	struct got got[2] = {0};

	redis_server_pause(w->server);
	for (int i = 0; i < 2; i++) {
		struct dns_question q = {*dns01_address(w->d, 0), NAME, DNS_TXT, 0, 300, i};
		dns_ask(w->x, &q, on_result, &got[i]);
	}
	for (int i = 0; i < 10; i++)
		aid_turn(&w->loop);
	dns01_free(mem_steal(w->d));
	redis_server_resume(w->server);
	for (int i = 0; i < 2; i++) {
		aid_until_flag(&w->loop, &got[i].done);
		assert_true(got[i].result->status == DNS_TIMEOUT ||
			    got[i].result->status == DNS_NETWORK);
		dns_result_free(got[i].result);
	}
}

static void test_bad_options(void **state)
{
	struct world *w = *state;
	struct addr taken = *dns01_address(w->d, 0), ns = taken;
	const char *zone = "acme.example";
	struct dns_nameserver servers[] = {
		{"ns1.acme.example", &ns, 1}, {"ns2.acme.example", &ns, 0}};
	struct dns01_options o = {
		.listen = &taken, .n_listen = 1, .zones = {&zone, 1, servers, 2, 1}};
	struct dns01 *d;
	struct why why = {""};

	assert_int_equal(dns01_new(&w->loop, w->redis, &o, &d, &why), CF_EINVAL);
	assert_non_null(strstr(why.text, "ns2.acme.example"));
	servers[1].n_addresses = 1;
	assert_int_equal(dns01_new(&w->loop, w->redis, &o, &d, &why), CF_EIO);
	assert_non_null(strstr(why.text, "another process has it"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_all_values_by_every_transport, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wildcard_address, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_values_come_by_tcp, setup, teardown),
		cmocka_unit_test_setup_teardown(test_redis_away, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cap_and_sharing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_burst, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tcp_pipelining_in_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tcp_idle_and_trickling, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tcp_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_free_while_reading, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_options, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

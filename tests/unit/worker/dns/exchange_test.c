#include "worker/dns/exchange.h"

#include "common/mem.h"
#include "tests/unit/net_aid.h"
#include "tests/unit/worker/dns/odd_server.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct world {
	uv_loop_t loop;
	struct odd_server server;
	struct dns_exchanger *x;
};

static int setup(void **state)
{
	struct world *w = mem_zalloc(sizeof(*w));

	uv_loop_init(&w->loop);
	odd_server_start(&w->server, &w->loop);
	w->x = dns_exchanger_new(&w->loop, 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	dns_exchanger_free(w->x);
	odd_server_stop(&w->server);
	aid_loop_end(&w->loop);
	free(w);
	return 0;
}

struct got {
	bool done;
	struct dns_result *result;
};

static void on_result(void *arg, const struct dns_result *result)
{
	struct got *g = arg;

	assert_false(g->done);
	g->done = true;
	g->result = dns_result_keep(result);
}

static struct dns_result *ask(struct world *w, const char *name, int64_t timeout_ms)
{
	struct dns_question q = {w->server.address, name, DNS_TXT, DNS_RECURSE, timeout_ms, false};
	struct got g = {0};

	dns_ask(w->x, &q, on_result, &g);
	assert_false(g.done);
	aid_until_flag(&w->loop, &g.done);
	assert_int_equal(dns_exchanger_in_flight(w->x), 0);
	return g.result;
}

static void test_answer(void **state)
{
	struct world *w = *state;
	struct dns_result *r = ask(w, "Ok.Example", 2000);

	assert_int_equal(r->status, DNS_ANSWERED);
	assert_int_equal(r->n_records, 1);
	assert_memory_equal(r->records[0].txt.bytes, "ok", 3);
	assert_true(addr_equal(&r->server, &w->server.address));
	assert_false(r->tcp);
	assert_true(r->latency_us > 0);
	dns_result_free(r);
}

static void test_wrong_answers_are_not_believed(void **state)
{
	static const char *const names[] = {"badid.x", "badquestion.x", "short.x"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct dns_result *r = ask(*state, names[i], 2000);
		assert_int_equal(r->status, DNS_ANSWERED);
		assert_memory_equal(r->records[0].txt.bytes, "ok", 3);
		dns_result_free(r);
	}
}

static void test_truncated_goes_on_by_tcp(void **state)
{
	struct world *w = *state;
	struct dns_result *r = ask(w, "tc.x", 5000);

	assert_int_equal(r->status, DNS_ANSWERED);
	assert_true(r->tcp);
	assert_int_equal(r->n_records, 200);
	assert_int_equal(w->server.udp, 1);
	assert_int_equal(w->server.tcp, 1);
	dns_result_free(r);
}

static void test_formerr_without_edns(void **state)
{
	struct world *w = *state;
	struct dns_result *r = ask(w, "formerr.x", 5000);

	assert_int_equal(r->status, DNS_ANSWERED);
	assert_int_equal(w->server.udp, 2);
	dns_result_free(r);
}

static void test_timeout(void **state)
{
	struct dns_result *r = ask(*state, "drop.x", 30);

	assert_int_equal(r->status, DNS_TIMEOUT);
	assert_string_equal(r->name, "drop.x");
	assert_true(r->latency_us >= 25000);
	dns_result_free(r);
}

static void test_nobody_there(void **state)
{
	struct world *w = *state;
	struct odd_server gone;
	struct addr here = w->server.address;

	odd_server_start(&gone, &w->loop);
	w->server.address = gone.address;
	odd_server_stop(&gone);
	aid_turn(&w->loop);
	struct dns_result *r = ask(w, "ok.x", 2000);
	assert_int_equal(r->status, DNS_NETWORK);
	assert_int_equal(r->error, ECONNREFUSED);
	dns_result_free(r);
	w->server.address = (struct addr){0};
	r = ask(w, "ok.x", 2000);
	assert_int_equal(r->status, DNS_NETWORK);
	dns_result_free(r);
	w->server.address = here;
	r = ask(w, "not..a.name", 2000);
	assert_int_equal(r->status, DNS_BADNAME);
	assert_string_equal(r->name, "not..a.name");
	dns_result_free(r);
}

static void never(void *arg, const struct dns_result *result)
{
	(void)arg;
	(void)result;
	fail_msg("called after it was cancelled");
}

static void test_cancel(void **state)
{
	struct world *w = *state;

	dns_exchange_cancel(dns_ask_txt(w->x, &w->server.address, "ok.x", 1000, never, NULL));
	dns_exchange_cancel(dns_ask_txt(w->x, &w->server.address, "..", 1000, never, NULL));
	dns_exchange_cancel(NULL);
	assert_int_equal(dns_exchanger_in_flight(w->x), 0);
	aid_turn(&w->loop);
}

static void test_many_wait_in_line(void **state)
{
	struct world *w = *state;
	enum { N = 500 };
	static struct got got[N];
	char name[32];

	memset(got, 0, sizeof(got));
	dns_exchanger_free(w->x);
	w->x = dns_exchanger_new(&w->loop, 10);
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "%s.n%d", i % 50 ? "ok" : "drop", i);
		dns_ask_txt(w->x, &w->server.address, name, i % 50 ? 3000 : 20, on_result, &got[i]);
		assert_true(dns_exchanger_in_flight(w->x) <= 10);
	}
	for (int i = 0; i < N; i++) {
		aid_until_flag(&w->loop, &got[i].done);
		assert_int_equal(got[i].result->status, i % 50 ? DNS_ANSWERED : DNS_TIMEOUT);
		dns_result_free(got[i].result);
	}
}

/* A port that is used for ever could be guessed; one a question costs three times as much. */
static void test_ports_are_shared_and_change(void **state)
{
	enum { ROUNDS = 20, AT_ONCE = 50 };
	struct world *w = *state;
	unsigned ports = 0, most = 0;

	for (int round = 0; round < ROUNDS; round++) {
		struct got got[AT_ONCE] = {{0}};
		for (int i = 0; i < AT_ONCE; i++)
			dns_ask_txt(w->x, &w->server.address, "ok.x", 5000, on_result, &got[i]);
		for (int i = 0; i < AT_ONCE; i++) {
			aid_until_flag(&w->loop, &got[i].done);
			assert_int_equal(got[i].result->status, DNS_ANSWERED);
			dns_result_free(got[i].result);
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(w->server.asked_from); i++) {
		ports += w->server.asked_from[i] > 0;
		most = w->server.asked_from[i] > most ? w->server.asked_from[i] : most;
	}
	assert_int_equal(w->server.udp, ROUNDS * AT_ONCE);
	assert_in_range(most, 2, 64);
	assert_in_range(ports, ROUNDS * AT_ONCE / 64, ROUNDS * AT_ONCE / 2);
}

static void test_a_refused_port_fails_all(void **state)
{
	struct world *w = *state;
	struct got got[100] = {{0}};
	struct addr nobody;

	assert_int_equal(addr_parse("127.0.0.1:1", 0, &nobody, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(got); i++)
		dns_ask_txt(w->x, &nobody, "ok.x", 20000, on_result, &got[i]);
	for (size_t i = 0; i < ARRAY_LEN(got); i++) {
		aid_until_flag(&w->loop, &got[i].done);
		assert_int_equal(got[i].result->status, DNS_NETWORK);
		assert_int_equal(got[i].result->error, ECONNREFUSED);
		dns_result_free(got[i].result);
	}
}

static bool all_arrived(void *arg)
{
	const struct world *w = arg;

	return w->server.udp == 600;
}

/* No burst overflows a server's buffer; but who is silent does not stop the others for long. */
static void test_silence_opens_the_window_slowly(void **state)
{
	struct world *w = *state;
	struct dns_exchange *all[600];

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		all[i] = dns_ask_txt(w->x, &w->server.address, "drop.x", 60000, on_result, NULL);
	aid_turn(&w->loop);
	assert_in_range(w->server.udp, 1, 2 * 192);
	aid_until(&w->loop, all_arrived, w);
	assert_int_equal(dns_exchanger_in_flight(w->x), 600);
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		dns_exchange_cancel(all[i]);
	assert_int_equal(dns_exchanger_in_flight(w->x), 0);
}

static void test_free_ends_everything(void **state)
{
	struct world *w = *state;
	struct got got[20] = {0};

	dns_exchanger_free(w->x);
	w->x = dns_exchanger_new(&w->loop, 5);
	for (int i = 0; i < 20; i++)
		dns_ask_txt(w->x, &w->server.address, "drop.x", 60000, on_result, &got[i]);
	dns_exchanger_free(mem_steal(w->x));
	for (int i = 0; i < 20; i++) {
		assert_true(got[i].done);
		assert_int_equal(got[i].result->status, DNS_CANCELED);
		dns_result_free(got[i].result);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_wrong_answers_are_not_believed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_truncated_goes_on_by_tcp, setup, teardown),
		cmocka_unit_test_setup_teardown(test_formerr_without_edns, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timeout, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nobody_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_wait_in_line, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ports_are_shared_and_change, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_refused_port_fails_all, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_silence_opens_the_window_slowly, setup, teardown),
		cmocka_unit_test_setup_teardown(test_free_ends_everything, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

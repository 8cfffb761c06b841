#include "worker/dns/resolver.h"

#include "common/mem.h"
#include "tests/unit/net_aid.h"
#include "tests/unit/worker/dns/odd_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct world {
	uv_loop_t loop;
	struct odd_server a, b;
	struct dns_exchanger *x;
	struct resolver *r;
};

static void make(struct world *w, size_t n_servers, int64_t timeout_ms)
{
	struct addr servers[] = {w->a.address, w->b.address};
	struct resolver_options o = {
		.servers = servers, .n_servers = n_servers, .timeout_ms = timeout_ms};

	resolver_free(w->r);
	w->r = resolver_new(&w->loop, w->x, &o);
}

static int setup(void **state)
{
	struct world *w = mem_zalloc(sizeof(*w));

	uv_loop_init(&w->loop);
	odd_server_start(&w->a, &w->loop);
	odd_server_start(&w->b, &w->loop);
	w->x = dns_exchanger_new(&w->loop, 0);
	make(w, 2, 300);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	resolver_free(w->r);
	dns_exchanger_free(w->x);
	odd_server_stop(&w->a);
	odd_server_stop(&w->b);
	aid_loop_end(&w->loop);
	free(w);
	return 0;
}

struct got {
	bool done;
	struct dns_result *result;
	struct resolver_query *cancel; /* when called */
};

static void on_result(void *arg, const struct dns_result *result)
{
	struct got *g = arg;

	assert_false(g->done);
	g->done = true;
	g->result = dns_result_keep(result);
	resolver_cancel(mem_steal(g->cancel));
}

static void expect(struct world *w, const char *name, enum dns_status status)
{
	struct got g = {0};

	resolver_query(w->r, name, DNS_TXT, 0, on_result, &g);
	assert_false(g.done);
	aid_until_flag(&w->loop, &g.done);
	if (g.result->status != status)
		fail_msg("%s: %s instead of %s", name, dns_status_word(g.result->status),
			dns_status_word(status));
	assert_int_equal(resolver_in_flight(w->r), 0);
	dns_result_free(g.result);
}

static void test_statuses(void **state)
{
	struct world *w = *state;

	expect(w, "ok.x", DNS_ANSWERED);
	expect(w, "nodata.x", DNS_NODATA);
	expect(w, "nx.x", DNS_NXDOMAIN);
	assert_int_equal(w->a.udp + w->b.udp, 3);
	expect(w, "servfail.x", DNS_SERVFAIL);
	assert_int_equal(w->a.udp + w->b.udp, 6); /* each, and once without validation */
	expect(w, "bogus.x", DNS_BOGUS);
	expect(w, "drop.x", DNS_TIMEOUT);
	expect(w, "tc.x", DNS_ANSWERED);
	expect(w, "a..b", DNS_BADNAME);
	w->a.refuse = w->b.refuse = true;
	expect(w, "ok.x", DNS_REFUSED);
}

static void test_one_server(void **state)
{
	struct world *w = *state;

	make(w, 1, 300);
	w->a.drop = 2; /* lost twice, answered at the third try */
	expect(w, "ok.x", DNS_ANSWERED);
	assert_int_equal(w->a.udp, 3);
	expect(w, "bogus.x", DNS_BOGUS);
	expect(w, "servfail.x", DNS_SERVFAIL);
	assert_int_equal(w->b.udp, 0);
}

static void test_the_other_server_helps(void **state)
{
	struct world *w = *state;

	w->a.refuse = true;
	expect(w, "ok.x", DNS_ANSWERED);
	assert_int_equal(w->b.udp, 1);
	w->a.refuse = false;
	w->a.drop = 1;
	expect(w, "ok.x", DNS_ANSWERED);
	assert_int_equal(w->b.udp, 2);
	size_t a = w->a.udp;
	expect(w, "ok.x", DNS_ANSWERED); /* the silent one is not asked first any more */
	assert_int_equal(w->a.udp, a);
	assert_int_equal(w->b.udp, 3);
}

static void test_equal_questions_share(void **state)
{
	struct world *w = *state;
	struct got got[4] = {0};

	resolver_query(w->r, "ok.x", DNS_TXT, 0, on_result, &got[0]);
	resolver_query(w->r, "OK.x.", DNS_TXT, 0, on_result, &got[1]);
	resolver_query(w->r, "ok.x", DNS_A, 0, on_result, &got[2]);
	resolver_cancel(resolver_query(w->r, "ok.x", DNS_TXT, 0, on_result, &got[3]));
	assert_int_equal(resolver_in_flight(w->r), 2);
	for (int i = 0; i < 3; i++)
		aid_until_flag(&w->loop, &got[i].done);
	assert_ptr_equal(got[0].result, got[1].result);
	assert_int_equal(w->a.udp + w->b.udp, 2);
	assert_false(got[3].done);
	for (int i = 0; i < 3; i++)
		dns_result_free(got[i].result);
}

/* A callback may cancel another question that waits for the same answer. */
static void test_cancel_from_a_callback(void **state)
{
	struct world *w = *state;
	struct got first = {0}, second = {0};
	struct resolver_query *q1 = resolver_query(w->r, "ok.x", DNS_TXT, 0, on_result, &first);

	second.cancel = q1; /* the last one is called first */
	resolver_query(w->r, "ok.x", DNS_TXT, 0, on_result, &second);
	aid_until_flag(&w->loop, &second.done);
	aid_turn(&w->loop);
	assert_false(first.done);
	dns_result_free(second.result);
}

static void test_thousands(void **state)
{
	struct world *w = *state;
	enum { N = 2000 };
	static struct got got[N];
	char name[32];

	memset(got, 0, sizeof(got));
	make(w, 2, 10000);
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "ok.n%d", i);
		resolver_query(w->r, name, DNS_TXT, 0, on_result, &got[i]);
	}
	assert_int_equal(resolver_in_flight(w->r), N);
	for (int i = 0; i < N; i++) {
		aid_until_flag(&w->loop, &got[i].done);
		if (got[i].result->status != DNS_ANSWERED)
			fail_msg("question %d of %d: %s; a saw %zu, b saw %zu", i, N,
				dns_status_word(got[i].result->status), w->a.udp, w->b.udp);
		dns_result_free(got[i].result);
	}
}

static void test_free_ends_everything(void **state)
{
	struct world *w = *state;
	struct got got[3] = {0};

	resolver_query(w->r, "drop.a", DNS_TXT, 0, on_result, &got[0]);
	resolver_query(w->r, "drop.a", DNS_TXT, 0, on_result, &got[1]);
	resolver_query(w->r, "drop.b", DNS_TXT, 0, on_result, &got[2]);
	resolver_cancel(resolver_query(w->r, "drop.c", DNS_TXT, 0, on_result, NULL));
	resolver_free(mem_steal(w->r));
	for (int i = 0; i < 3; i++) {
		assert_true(got[i].done);
		assert_int_equal(got[i].result->status, DNS_CANCELED);
		dns_result_free(got[i].result);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_statuses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_server, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_other_server_helps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_equal_questions_share, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel_from_a_callback, setup, teardown),
		cmocka_unit_test_setup_teardown(test_thousands, setup, teardown),
		cmocka_unit_test_setup_teardown(test_free_ends_everything, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

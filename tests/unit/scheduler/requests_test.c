/* scheduler/requests.c and request_job.c against a real Redis: each entry is answered once, in
 * order, whatever it holds. */
#include "scheduler/requests.h"

#include "common/event.h"
#include "common/mem.h"
#include "tests/unit/scheduler/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *const authorities[] = {"letsencrypt"};

struct scene {
	struct world w;
	struct requests *requests;
	struct request_context context;
	const char *wait_for; /* id of a request */
};

static void start(struct scene *s, bool with_barrier)
{
	memset(s, 0, sizeof *s);
	world_start(&s->w);
	s->context = (struct request_context){.redis = s->w.redis,
		.policy = {.authorities = authorities,
			.authorities_n = 1,
			.needs = {.verify_every_ms = 3600000, .verify_fast_ms = 5000}}};
	if (with_barrier)
		s->context.barrier = barrier_new(&s->w.loop, &s->w.options, 1, 300);
	s->requests = requests_new(&s->w.loop, s->w.block, &s->context);
}

static void finish(struct scene *s)
{
	requests_close(s->requests);
	barrier_free(s->context.barrier);
	world_finish(&s->w);
	requests_free(s->requests);
}

static bool answered(void *arg)
{
	struct scene *s = arg;

	return world_answer(&s->w, s->wait_for)[0] != 0;
}

static void expect_answer(struct scene *s, const char *id, const char *answer)
{
	s->wait_for = id;
	if (!loop_until(&s->w.loop, answered, s, SOON_MS))
		fail_msg("no answer to %s", id);
	assert_string_equal(world_answer(&s->w, id), answer);
}

static bool stream_empty(void *arg)
{
	struct scene *s = arg;

	return world_ask_int(&s->w, "XLEN", "@requests") == 0;
}

static void applies_and_answers(void **state)
{
	struct scene s;

	(void)state;
	start(&s, false);
	world_request(
		&s.w, "1", REQUEST_ADD, "id=shop names=shop.example.com type=internal tenant=acme");
	requests_lead(s.requests, true);
	expect_answer(&s, "1", "done");
	assert_int_equal(world_ask_int(&s.w, "EXISTS", "@e:shop"), 1);
	assert_int_equal(world_ask_int(&s.w, "ZCARD", "@due:verify:0:acme"), 1);
	assert_int_equal(world_count_events(&s.w, "results", EVENT_ADDED), 1);
	assert_int_equal(world_count_events(&s.w, "results", EVENT_REQUEST_DONE), 1);
	world_request(&s.w, "2", REQUEST_UPDATE, "id=shop names=shop.example.com,www.example.com");
	expect_answer(&s, "2", "done");
	assert_int_equal(world_count_events(&s.w, "results", EVENT_UPDATED), 1);
	world_request(&s.w, "3", REQUEST_VERIFY, "id=shop");
	expect_answer(&s, "3", "done");
	world_request(&s.w, "4", REQUEST_REMOVE, "id=shop");
	expect_answer(&s, "4", "done");
	assert_int_equal(world_ask_int(&s.w, "ZCARD", "@due:issue:0:acme"), 1);
	assert_true(stream_empty(&s));
	finish(&s);
}

static void refuses_and_goes_on(void **state)
{
	struct scene s;

	(void)state;
	start(&s, false);
	world_ask(&s.w, "XADD", "@requests", "*", "rubbish", "x", NULL);
	world_request(&s.w, "1", "endpoint.explode", "id=shop");
	world_request(&s.w, "2", REQUEST_RENEW, "id=nobody");
	world_request(&s.w, "3", REQUEST_ADD, "id=a names=a.example.com type=internal");
	world_request(&s.w, "4", REQUEST_ADD, "id=a names=b.example.com type=internal");
	world_request(&s.w, "5", REQUEST_ADD, "id=c names=a.example.com type=internal");
	requests_lead(s.requests, true);
	expect_answer(&s, "1", "refused/invalid");
	expect_answer(&s, "2", "refused/not_found");
	expect_answer(&s, "3", "done");
	expect_answer(&s, "4", "refused/exists");
	expect_answer(&s, "5", "refused/exists");
	assert_true(loop_until(&s.w.loop, stream_empty, &s, SOON_MS));
	assert_int_equal(world_count_events(&s.w, "results", EVENT_REQUEST_REFUSED), 5);
	finish(&s);
}

/* Two hundred at once, four for each endpoint: an update must never overtake its add. */
static void keeps_the_order_of_each_endpoint(void **state)
{
	struct scene s;
	char id[32], words[256];

	(void)state;
	start(&s, false);
	for (int i = 0; i < 50; i++) {
		static const char *const names[] = {"a", "a,b", "a,b,c"};

		for (int k = 0; k < 3; k++) {
			char list[128] = "";

			for (const char *c = names[k]; *c; c++)
				if (*c != ',')
					snprintf(list + strlen(list), sizeof list - strlen(list),
						"%s%c%d.example.com", list[0] ? "," : "", *c, i);
			snprintf(id, sizeof id, "%d.%d", i, k);
			snprintf(words, sizeof words, "id=e%d names=%s%s", i, list,
				k ? "" : " type=internal");
			world_request(&s.w, id, k ? REQUEST_UPDATE : REQUEST_ADD, words);
		}
	}
	requests_lead(s.requests, true);
	for (int i = 0; i < 50; i++)
		for (int k = 0; k < 3; k++) {
			snprintf(id, sizeof id, "%d.%d", i, k);
			expect_answer(&s, id, "done");
		}
	assert_string_equal(reply_str(world_ask(&s.w, "HGET", "@e:e7", "g", NULL), NULL), "3");
	finish(&s);
}

/* What a leader had read when it died is found by the next. */
static void finishes_what_another_left_pending(void **state)
{
	struct scene s;

	(void)state;
	start(&s, false);
	world_request(&s.w, "1", REQUEST_ADD, "id=shop names=shop.example.com type=internal");
	world_request(&s.w, "2", REQUEST_ADD, "id=gone names=gone.example.com type=internal");
	world_ask(&s.w, "XGROUP", "CREATE", "@requests", "scheduler", "0", NULL);
	const struct reply *r = world_ask(&s.w, "XREADGROUP", "GROUP", "scheduler", "leader",
		"STREAMS", "@requests", ">", NULL);
	_mem_free_ char *second =
		mem_strdup(reply_str(reply_at(reply_at(reply_at(reply_at(r, 0), 1), 1), 0), NULL));
	world_ask(&s.w, "XDEL", "@requests", second,
		NULL); /* pending, but deleted: must not stop the walk */
	world_request(&s.w, "3", REQUEST_VERIFY, "id=shop");
	requests_lead(s.requests, true);
	expect_answer(&s, "1", "done");
	expect_answer(&s, "3", "done");
	finish(&s);
}

static void the_same_request_twice_is_one(void **state)
{
	struct scene s;

	(void)state;
	start(&s, false);
	world_request(&s.w, "1", REQUEST_ADD, "id=shop names=shop.example.com type=internal");
	world_request(&s.w, "1", REQUEST_ADD, "id=shop names=shop.example.com type=internal");
	requests_lead(s.requests, true);
	assert_true(loop_until(&s.w.loop, stream_empty, &s, SOON_MS));
	assert_string_equal(world_answer(&s.w, "1"), "done");
	assert_int_equal(world_count_events(&s.w, "results", EVENT_REQUEST_DONE), 1);
	finish(&s);
}

static void an_id_of_another_tenant_gets_a_number(void **state)
{
	struct scene s;

	(void)state;
	start(&s, false);
	world_request(&s.w, "1", REQUEST_ADD, "names=shop.example.com type=internal tenant=acme");
	world_request(&s.w, "2", REQUEST_ADD, "names=shop.example.com type=internal tenant=rival");
	requests_lead(s.requests, true);
	expect_answer(&s, "1", "done");
	expect_answer(&s, "2", "done");
	assert_int_equal(world_ask_int(&s.w, "EXISTS", "@e:shop.example.com-2"), 1);
	finish(&s);
}

static bool replica_online(void *arg)
{
	struct scene *s = arg;

	return strstr(reply_str(world_ask(&s->w, "INFO", "replication", NULL), NULL),
		       "state=online") != NULL;
}

static struct redis_server *start_replica(struct scene *s)
{
	struct redis_server *replica;
	char port[8];

	snprintf(port, sizeof port, "%u", (unsigned)redis_server_port(s->w.server));
	const char *args[] = {"--replicaof", "127.0.0.1", port, NULL};
	replica = redis_server_start(args);
	assert_true(loop_until(&s->w.loop, replica_online, s, 3 * SOON_MS));
	return replica;
}

static bool hidden_answer(void *arg)
{
	struct scene *s = arg;

	return world_ask_int(&s->w, "EXISTS", "@req:~/test%3A1:1") == 1;
}

/* One replica is asked for and there is none: applied, but nobody may be told. Once there is one,
 * what was done is told; it is not decided a second time, against what it did itself. */
static void tells_nobody_before_the_barrier(void **state)
{
	struct redis_server *replica;
	struct scene s;

	(void)state;
	start(&s, true);
	world_request(&s.w, "1", REQUEST_ADD, "id=shop names=shop.example.com type=internal");
	requests_lead(s.requests, true);
	assert_true(loop_until(&s.w.loop, hidden_answer, &s, SOON_MS));
	loop_for(&s.w.loop, 600);
	assert_string_equal(world_answer(&s.w, "1"), "");
	assert_int_equal(world_ask_int(&s.w, "EXISTS", "@e:shop"), 1);
	assert_int_equal(world_ask_int(&s.w, "XLEN", "@results"), 0);
	assert_int_equal(world_ask_int(&s.w, "XLEN", "@requests"), 1);
	replica = start_replica(&s);
	expect_answer(&s, "1", "done");
	assert_true(loop_until(&s.w.loop, stream_empty, &s, SOON_MS));
	assert_int_equal(world_count_events(&s.w, "results", EVENT_ADDED), 1);
	finish(&s);
	redis_server_stop(replica);
}

/* With the replica there, the same is told once WAIT has heard from it; and what is asked for twice
 * is done once. */
static void tells_after_the_barrier(void **state)
{
	struct redis_server *replica;
	struct scene s;

	(void)state;
	start(&s, true);
	replica = start_replica(&s);
	world_request(&s.w, "1", REQUEST_ADD, "id=shop names=shop.example.com type=internal");
	requests_lead(s.requests, true);
	expect_answer(&s, "1", "done");
	assert_int_equal(world_count_events(&s.w, "results", EVENT_REQUEST_DONE), 1);
	assert_int_equal(world_count_events(&s.w, "results", EVENT_ADDED), 1);
	assert_true(loop_until(&s.w.loop, stream_empty, &s, SOON_MS));
	world_request(&s.w, "1", REQUEST_ADD, "id=shop names=shop.example.com type=internal");
	world_request(&s.w, "2", REQUEST_RENEW, "id=nobody");
	expect_answer(&s, "2", "refused/not_found");
	assert_true(loop_until(&s.w.loop, stream_empty, &s, SOON_MS));
	assert_int_equal(world_count_events(&s.w, "results", EVENT_REQUEST_DONE), 1);
	finish(&s);
	redis_server_stop(replica);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(applies_and_answers),
		cmocka_unit_test(refuses_and_goes_on),
		cmocka_unit_test(keeps_the_order_of_each_endpoint),
		cmocka_unit_test(finishes_what_another_left_pending),
		cmocka_unit_test(the_same_request_twice_is_one),
		cmocka_unit_test(an_id_of_another_tenant_gets_a_number),
		cmocka_unit_test(tells_nobody_before_the_barrier),
		cmocka_unit_test(tells_after_the_barrier),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* reap.c against a real Redis: what a dead worker held is due again, but not right after a
 * failover. */
#include "scheduler/reap.h"

#include "scheduler/requests.h"
#include "tests/unit/scheduler/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define LEASE_MS 700

struct scene {
	struct world w;
	struct requests *requests;
	struct request_context context;
	struct queue *queue;
	struct reap *reap;
	int taken, moved;
	size_t jobs;
};

static bool stream_empty(void *arg)
{
	struct scene *s = arg;

	return world_ask_int(&s->w, "XLEN", "@requests") == 0;
}

static void on_taken(void *arg, int err, const struct queue_job *jobs, size_t n, int64_t next_ms)
{
	struct scene *s = arg;

	(void)jobs;
	(void)next_ms;
	assert_int_equal(err, 0);
	s->jobs = n;
	s->taken++;
}

static void on_moved(void *arg)
{
	((struct scene *)arg)->moved++;
}

/* One endpoint, whose first look a worker has taken and will never finish. */
static void start(struct scene *s)
{
	memset(s, 0, sizeof *s);
	world_start(&s->w);
	s->context = (struct request_context){.redis = s->w.redis,
		.policy = {.needs = {.verify_every_ms = 3600000, .verify_fast_ms = 5000}}};
	s->requests = requests_new(&s->w.loop, s->w.block, &s->context);
	world_request(&s->w, "1", "endpoint.add", "id=shop names=shop.example.com type=internal");
	requests_lead(s->requests, true);
	assert_true(loop_until(&s->w.loop, stream_empty, s, SOON_MS));
	s->queue = queue_new(s->w.redis, QUEUE_VERIFY, "w1", LEASE_MS);
	queue_take(s->queue, 1, 10, 0, QUEUE_SUSPECTS, on_taken, s);
	assert_true(loop_until_count(&s->w.loop, &s->taken, 1, SOON_MS));
	assert_int_equal(s->jobs, 1);
}

static void finish(struct scene *s)
{
	reap_close(s->reap);
	requests_close(s->requests);
	queue_free(s->queue);
	world_finish(&s->w);
	requests_free(s->requests);
	reap_free(s->reap);
}

static bool runs(void *arg)
{
	struct scene *s = arg;

	return world_ask_int(&s->w, "ZCARD", "@run:verify") == 1;
}

static bool suspect(void *arg)
{
	struct scene *s = arg;

	return world_ask_int(&s->w, "ZCARD", "@due:verify:3:default") == 1;
}

static void what_lapsed_is_due_again(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	s.reap = reap_new(&s.w.loop, s.w.redis, LEASE_MS, on_moved, &s);
	reap_lead(s.reap, true);
	assert_true(loop_until(&s.w.loop, suspect, &s, SOON_MS));
	assert_false(runs(&s));
	assert_int_equal(s.moved, 0);
	assert_int_equal(world_ask_int(&s.w, "EXISTS", "@replid"), 1);
	finish(&s);
}

static void who_follows_reaps_nothing(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	s.reap = reap_new(&s.w.loop, s.w.redis, LEASE_MS, on_moved, &s);
	loop_for(&s.w.loop, LEASE_MS + 1500);
	assert_true(runs(&s));
	finish(&s);
}

/* The last leader knew another Redis: for a lease everybody may still be alive. */
static void waits_a_lease_after_a_failover(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	world_ask(&s.w, "SET", "@replid", "0123456789012345678901234567890123456789", NULL);
	s.reap = reap_new(&s.w.loop, s.w.redis, 4000, on_moved, &s);
	reap_lead(s.reap, true);
	assert_true(loop_until_count(&s.w.loop, &s.moved, 1, SOON_MS));
	loop_for(&s.w.loop, LEASE_MS + 1500);
	assert_true(runs(&s)); /* lapsed by now, and left alone */
	assert_true(loop_until(&s.w.loop, suspect, &s, SOON_MS));
	finish(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_lapsed_is_due_again),
		cmocka_unit_test(who_follows_reaps_nothing),
		cmocka_unit_test(waits_a_lease_after_a_failover),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

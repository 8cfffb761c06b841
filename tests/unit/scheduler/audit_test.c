/* scheduler/audit*.c: judging is a function of values; a pass over a broken fleet in a real Redis
 * mends it. */
#include "scheduler/audit.h"

#include "common/clock.h"
#include "common/event.h"
#include "common/mem.h"
#include "scheduler/requests.h"
#include "tests/unit/scheduler/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct needs_policy policy = {.verify_every_ms = 3600000, .verify_fast_ms = 5000};

/* --- values */

static void judges(void **state)
{
	struct endpoint e = {.generation = 1};
	struct need plan;
	int64_t now = INT64_C(1800000000000);

	(void)state;
	snprintf(e.config.id, sizeof e.config.id, "shop");
	assert_int_equal(audit_judge(&e, QUEUE_VERIFY, true, &policy, now, &plan), AUDIT_MISSING);
	assert_true(plan.any);
	assert_int_equal(plan.intent, INTENT_LOOK);
	e.jobs[QUEUE_VERIFY].where = JOB_DUE;
	e.jobs[QUEUE_VERIFY].due_ms = now;
	assert_int_equal(audit_judge(&e, QUEUE_VERIFY, true, &policy, now, &plan), AUDIT_RIGHT);
	assert_int_equal(audit_judge(&e, QUEUE_VERIFY, false, &policy, now, &plan), AUDIT_INDEX);
	e.jobs[QUEUE_VERIFY].due_ms = now + 4 * CLOCK_HOUR_MS;
	assert_int_equal(audit_judge(&e, QUEUE_VERIFY, true, &policy, now, &plan), AUDIT_LATE);
	e.jobs[QUEUE_VERIFY].where = JOB_PARKED;
	assert_int_equal(audit_judge(&e, QUEUE_VERIFY, true, &policy, now, &plan), AUDIT_RIGHT);
	e.jobs[QUEUE_VERIFY].where = JOB_RUNNING;
	assert_int_equal(audit_judge(&e, QUEUE_VERIFY, true, &policy, now, &plan), AUDIT_RIGHT);
	assert_int_equal(audit_judge(&e, QUEUE_ISSUE, true, &policy, now, &plan),
		AUDIT_RIGHT); /* not ready: nothing needed */
	assert_false(plan.any);
	e.config.removing = true;
	assert_int_equal(audit_judge(&e, QUEUE_ISSUE, true, &policy, now, &plan), AUDIT_MISSING);
	assert_int_equal(plan.intent, INTENT_REMOVE);
	e.jobs[QUEUE_ISSUE].where = JOB_DUE;
	e.jobs[QUEUE_ISSUE].due_ms = now + CLOCK_MINUTE_MS / 2;
	assert_int_equal(audit_judge(&e, QUEUE_ISSUE, true, &policy, now, &plan), AUDIT_RIGHT);
	e.jobs[QUEUE_ISSUE].due_ms = now + CLOCK_HOUR_MS;
	assert_int_equal(audit_judge(&e, QUEUE_ISSUE, true, &policy, now, &plan), AUDIT_LATE);
	e.issuance.next_ms = now + CLOCK_HOUR_MS; /* a pause after a failure */
	assert_int_equal(audit_judge(&e, QUEUE_ISSUE, true, &policy, now, &plan), AUDIT_RIGHT);
}

static void counts(void **state)
{
	struct endpoint e = {.generation = 1, .has_cert = true};
	struct audit_counts c = {.endpoints = 0};
	int64_t now = 1000 * CLOCK_DAY_MS;

	(void)state;
	e.cert.not_before_ms = now - 80 * CLOCK_DAY_MS;
	e.cert.not_after_ms = now + 10 * CLOCK_DAY_MS;
	e.jobs[QUEUE_ISSUE].where = JOB_DUE;
	e.jobs[QUEUE_ISSUE].lane = LANE_NORMAL;
	audit_census(&c, &e, now);
	assert_int_equal(c.endpoints, 1);
	assert_int_equal(c.states[STATE_ACTIVE], 1);
	assert_int_equal(c.jobs[QUEUE_ISSUE][LANE_NORMAL][JOB_DUE], 1);
	assert_int_equal(c.days_left[3], 0); /* 7 */
	assert_int_equal(c.days_left[4], 1); /* 14 */
	assert_int_equal(c.longest_life_ms, 90 * CLOCK_DAY_MS);
}

/* --- a fleet */

struct scene {
	struct world w;
	struct requests *requests;
	struct request_context context;
	struct audit *audit;
	struct audit_counts counts;
	int done, err;
};

static bool stream_empty(void *arg)
{
	struct scene *s = arg;

	return world_ask_int(&s->w, "XLEN", "@requests") == 0;
}

/* 150 endpoints: three slices. */
static void start(struct scene *s)
{
	char id[24], words[96];

	memset(s, 0, sizeof *s);
	world_start(&s->w);
	s->context = (struct request_context){.redis = s->w.redis, .policy = {.needs = policy}};
	s->requests = requests_new(&s->w.loop, s->w.block, &s->context);
	for (int i = 0; i < 150; i++) {
		snprintf(id, sizeof id, "%d", i);
		snprintf(words, sizeof words,
			"id=e%03d names=n%d.example.com type=internal tenant=t%d", i, i, i % 3);
		world_request(&s->w, id, REQUEST_ADD, words);
	}
	requests_lead(s->requests, true);
	assert_true(loop_until(&s->w.loop, stream_empty, s, SOON_MS));
}

static void finish(struct scene *s)
{
	requests_close(s->requests);
	world_finish(&s->w);
	requests_free(s->requests);
}

static void on_done(void *arg, int err, const struct audit_counts *c)
{
	struct scene *s = arg;

	s->err = err;
	s->counts = *c;
	s->done++;
	audit_free(s->audit);
	s->audit = NULL;
}

static void pass(struct scene *s, bool repair)
{
	struct audit_options options = {
		.policy = policy, .repair = repair, .done = on_done, .arg = s};

	s->done = 0;
	s->audit = audit_run(&s->w.loop, s->w.redis, &options);
	assert_true(loop_until_count(&s->w.loop, &s->done, 1, SOON_MS));
	assert_int_equal(s->err, 0);
}

static void finds_nothing_in_a_sound_fleet(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	pass(&s, true);
	assert_int_equal(s.counts.endpoints, 150);
	assert_int_equal(audit_found(&s.counts), 0);
	assert_int_equal(s.counts.jobs[QUEUE_VERIFY][LANE_PERSON][JOB_DUE], 150);
	finish(&s);
}

static void mends_what_is_broken(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	world_ask(&s.w, "HDEL", "@e:e001", "jv", NULL);               /* forgotten */
	world_ask(&s.w, "ZREM", "@due:verify:0:t2", "e002", NULL);    /* recorded, in no index */
	world_ask(&s.w, "ZADD", "@parked:verify", "1", "e003", NULL); /* in one too many */
	/* Its id and its name without it: in the list, among the due, and in a claim. */
	world_ask(&s.w, "DEL", "@e:e100", NULL);
	world_ask(&s.w, "HSET", "@e:e149", "c", "rubbish", NULL); /* beyond repair */
	pass(&s, false);
	assert_int_equal(audit_found(&s.counts), 7);
	assert_int_equal(audit_repaired(&s.counts), 0);
	pass(&s, true);
	assert_int_equal(s.counts.found[QUEUE_VERIFY][AUDIT_MISSING] +
				 s.counts.found[QUEUE_VERIFY][AUDIT_INDEX],
		3);
	assert_int_equal(s.counts.found[QUEUE_VERIFY][AUDIT_ORPHAN], 1);
	assert_int_equal(s.counts.found[QUEUE_VERIFY][AUDIT_STRAY], 2);
	assert_int_equal(s.counts.found[QUEUE_VERIFY][AUDIT_UNREADABLE], 1);
	assert_int_equal(audit_repaired(&s.counts), 6);
	pass(&s, true);
	assert_int_equal(audit_found(&s.counts), 1); /* what only a person can mend */
	assert_int_equal(s.counts.endpoints, 148);
	finish(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(judges),
		cmocka_unit_test(counts),
		cmocka_unit_test(finds_nothing_in_a_sound_fleet),
		cmocka_unit_test(mends_what_is_broken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

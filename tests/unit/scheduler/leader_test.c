/* leader.c against a real Redis: one leads, and another does soon after it fell silent or resigned.
 */
#include "scheduler/leader.h"

#include "common/mem.h"
#include "tests/unit/scheduler/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define LEASE_MS 900

struct candidate {
	struct leader *leader;
	int won, lost, clocks, resigned;
	uint64_t term;
};

struct scene {
	struct world w;
	struct candidate a, b;
};

static void on_changed(void *arg, bool leading, uint64_t term)
{
	struct candidate *c = arg;

	c->won += leading;
	c->lost += !leading;
	if (leading)
		c->term = term;
}

static void on_clock(void *arg, int64_t sent_ms, int64_t received_ms, int64_t redis_ms)
{
	struct candidate *c = arg;

	assert_true(sent_ms <= received_ms && redis_ms > INT64_C(1700000000000));
	c->clocks++;
}

static void on_resigned(void *arg)
{
	((struct candidate *)arg)->resigned++;
}

static void stand(struct scene *s, struct candidate *c, const char *nonce)
{
	struct leader_events events = {.changed = on_changed, .clock = on_clock, .arg = c};

	c->leader = leader_new(&s->w.loop, s->w.redis, nonce, LEASE_MS, &events);
}

static void start(struct scene *s)
{
	memset(s, 0, sizeof *s);
	world_start(&s->w);
	stand(s, &s->a, "a");
	assert_true(loop_until_count(&s->w.loop, &s->a.won, 1, SOON_MS));
	stand(s, &s->b, "b");
	assert_true(loop_until_count(&s->w.loop, &s->b.clocks, 2, SOON_MS));
	assert_int_equal(s->b.won, 0);
	assert_string_equal(leader_holder(s->b.leader), "a");
}

static void finish(struct scene *s)
{
	leader_close(s->a.leader);
	leader_close(s->b.leader);
	world_finish(&s->w);
	leader_free(s->a.leader);
	leader_free(s->b.leader);
}

static void the_next_one_takes_over_after_resignation(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	leader_stop(s.a.leader, on_resigned, &s.a);
	assert_int_equal(s.a.lost, 1);
	assert_true(loop_until_count(&s.w.loop, &s.b.won, 1, LEASE_MS)); /* sooner than by lapse */
	assert_int_equal(s.a.resigned, 1);
	assert_true(s.b.term > s.a.term);
	finish(&s);
}

static void the_next_one_takes_over_after_silence(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	leader_close(s.a.leader); /* asks no more, and does not resign */
	assert_true(loop_until_count(&s.w.loop, &s.b.won, 1, SOON_MS));
	loop_for(&s.w.loop, 1);
	leader_free(s.a.leader);
	s.a.leader = NULL;
	assert_true(s.b.term > s.a.term);
	finish(&s);
}

/* A Redis that does not answer: the leader is none before its lease is over. */
static void a_cut_off_leader_steps_down(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	redis_server_pause(s.w.server);
	assert_true(loop_until_count(&s.w.loop, &s.a.lost, 1, LEASE_MS));
	assert_false(leader_leads(s.a.leader));
	redis_server_resume(s.w.server);
	finish(&s);
}

/* A process is stopped where it waits, and its timers are overdue when it wakes, whichever is
 * first.
 */
struct sleeper {
	uv_prepare_t stop;
	uv_timer_t other;
	struct leader *leader;
	bool slept, woke, led;
};

static void sleep_once(uv_prepare_t *stop)
{
	struct sleeper *z = stop->data;

	if (!z->slept)
		uv_sleep(LEASE_MS);
	z->slept = true;
}

static void other_timer(uv_timer_t *other)
{
	struct sleeper *z = other->data;

	if (z->slept && !z->woke)
		z->led = leader_leads(z->leader);
	z->woke = z->slept;
}

static bool woke(void *arg)
{
	return ((struct sleeper *)arg)->woke;
}

static void a_stopped_leader_knows_it_first(void **state)
{
	struct sleeper z = {.slept = false};
	struct scene s;

	(void)state;
	start(&s);
	z.leader = s.a.leader;
	z.stop.data = z.other.data = &z;
	uv_prepare_init(&s.w.loop, &z.stop);
	uv_timer_init(&s.w.loop, &z.other);
	uv_timer_start(&z.other, other_timer, 1, 1);
	uv_prepare_start(&z.stop, sleep_once);
	assert_true(loop_until(&s.w.loop, woke, &z, SOON_MS));
	assert_false(z.led);
	uv_close((uv_handle_t *)&z.stop, NULL);
	uv_close((uv_handle_t *)&z.other, NULL);
	loop_for(&s.w.loop, 1);
	finish(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_next_one_takes_over_after_resignation),
		cmocka_unit_test(the_next_one_takes_over_after_silence),
		cmocka_unit_test(a_cut_off_leader_steps_down),
		cmocka_unit_test(a_stopped_leader_knows_it_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

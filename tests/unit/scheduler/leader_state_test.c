#include "scheduler/leader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct leader_state fresh(void)
{
	return (struct leader_state){.lease_ms = 6000};
}

static void wins_and_keeps(void **state)
{
	struct leader_state s = fresh();

	(void)state;
	assert_int_equal(leader_state_reply(&s, 1000, 1010, 0, true, 7), LEADER_WON);
	assert_true(s.leading);
	assert_int_equal(s.term, 7);
	assert_int_equal(s.until_ms, 1000 + 5000);
	assert_int_equal(leader_state_reply(&s, 3000, 3010, 0, true, 7), LEADER_SAME);
	assert_int_equal(s.until_ms, 8000);
}

static void steps_down_before_the_lease_can_lapse(void **state)
{
	struct leader_state s = fresh();

	(void)state;
	leader_state_reply(&s, 1000, 1010, 0, true, 7);
	assert_int_equal(leader_state_tick(&s, 5999), LEADER_SAME);
	assert_int_equal(leader_state_tick(&s, 6000), LEADER_LOST);
	assert_int_equal(s.term, 0);
	assert_int_equal(leader_state_tick(&s, 6001), LEADER_SAME);
}

static void a_failed_renewal_changes_nothing_until_then(void **state)
{
	struct leader_state s = fresh();

	(void)state;
	leader_state_reply(&s, 1000, 1010, 0, true, 7);
	assert_int_equal(leader_state_reply(&s, 3000, 3100, CF_ECONN, false, 0), LEADER_SAME);
	assert_true(s.leading);
	assert_int_equal(leader_state_reply(&s, 5000, 6100, CF_ETIMEDOUT, false, 0), LEADER_LOST);
}

static void refused_means_lost(void **state)
{
	struct leader_state s = fresh();

	(void)state;
	assert_int_equal(leader_state_reply(&s, 0, 1, 0, false, 0), LEADER_SAME);
	leader_state_reply(&s, 1000, 1010, 0, true, 7);
	assert_int_equal(leader_state_reply(&s, 3000, 3010, 0, false, 0), LEADER_LOST);
}

/* A process that was stopped between asking and hearing must not believe an old answer. */
static void an_answer_that_comes_too_late_is_none(void **state)
{
	struct leader_state s = fresh();

	(void)state;
	assert_int_equal(leader_state_reply(&s, 1000, 6000, 0, true, 7), LEADER_SAME);
	assert_false(s.leading);
	leader_state_reply(&s, 7000, 7001, 0, true, 8);
	assert_int_equal(leader_state_reply(&s, 8000, 20000, 0, true, 8), LEADER_LOST);
}

static void another_term_is_another_lead(void **state)
{
	struct leader_state s = fresh();

	(void)state;
	leader_state_reply(&s, 1000, 1010, 0, true, 7);
	assert_int_equal(leader_state_reply(&s, 3000, 3010, 0, true, 9), LEADER_AGAIN);
	assert_int_equal(s.term, 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wins_and_keeps),
		cmocka_unit_test(steps_down_before_the_lease_can_lapse),
		cmocka_unit_test(a_failed_renewal_changes_nothing_until_then),
		cmocka_unit_test(refused_means_lost),
		cmocka_unit_test(an_answer_that_comes_too_late_is_none),
		cmocka_unit_test(another_term_is_another_lead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What is sent next, and when again. */
#include "worker/notify/plan.h"

#include "common/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NOW 1000

static void order_holds_for_each_alert(void **state)
{
	struct plan_item items[] = {{PLAN_WAITING, "a", 0}, {PLAN_WAITING, "b", 0},
		{PLAN_WAITING, "a", 0}, {PLAN_WAITING, "c", 0}};
	struct plan_target t = {.most = 8};

	(void)state;
	assert_int_equal(plan_next(items, 4, &t, NOW), 0);
	items[0].state = PLAN_SENT;
	assert_int_equal(plan_next(items, 4, &t, NOW), 1);
	items[1].state = PLAN_SENT;
	assert_int_equal(plan_next(items, 4, &t, NOW), 3);
	items[3].state = PLAN_DONE;
	assert_int_equal(plan_next(items, 4, &t, NOW), PLAN_NONE);
	items[0].state = PLAN_DONE;
	assert_int_equal(plan_next(items, 4, &t, NOW), 2);
	t.in_flight = 8;
	assert_int_equal(plan_next(items, 4, &t, NOW), PLAN_NONE);
}

static void a_refused_event_holds_up_its_alert_alone(void **state)
{
	struct plan_item items[] = {
		{PLAN_WAITING, "a", NOW + 1}, {PLAN_WAITING, "a", 0}, {PLAN_WAITING, "b", 0}};
	struct plan_target t = {.most = 8};

	(void)state;
	assert_int_equal(plan_next(items, 3, &t, NOW), 2);
	assert_int_equal(plan_next(items, 3, &t, NOW + 1), 0);
}

static void a_target_that_fails_is_asked_with_one(void **state)
{
	struct plan_item items[] = {{PLAN_WAITING, "a", 0}, {PLAN_WAITING, "b", 0}};
	struct plan_target t = {.most = 8, .failures = 3, .not_before_ms = NOW + 5};

	(void)state;
	assert_int_equal(plan_next(items, 2, &t, NOW), PLAN_NONE);
	assert_int_equal(plan_next(items, 2, &t, NOW + 5), 0);
	items[0].state = PLAN_SENT;
	t.in_flight = 1;
	assert_int_equal(plan_next(items, 2, &t, NOW + 5), PLAN_NONE);
}

static void a_snapshot_keeps_its_place(void **state)
{
	struct plan_item items[] = {
		{PLAN_SENT, "a", 0}, {PLAN_WAITING, "", 0}, {PLAN_WAITING, "b", 0}};
	struct plan_target t = {.most = 8, .in_flight = 1};

	(void)state;
	assert_int_equal(plan_next(items, 3, &t, NOW), PLAN_NONE);
	items[0].state = PLAN_DONE;
	assert_int_equal(plan_next(items, 3, &t, NOW), 1);
}

static void answers_are_judged(void **state)
{
	static const struct {
		int err, status;
		enum plan_result result;
	} rows[] = {{0, 200, PLAN_DELIVERED}, {0, 204, PLAN_DELIVERED}, {0, 410, PLAN_GONE},
		{0, 400, PLAN_REFUSED}, {0, 401, PLAN_REFUSED}, {0, 302, PLAN_REFUSED},
		{0, 408, PLAN_FAILED}, {0, 429, PLAN_FAILED}, {0, 500, PLAN_FAILED},
		{0, 503, PLAN_FAILED}, {CF_ECONN, 0, PLAN_FAILED},
		{CF_ETIMEDOUT, 200, PLAN_FAILED}};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_int_equal(plan_judge(rows[i].err, rows[i].status), rows[i].result);
}

static void pauses_grow_with_jitter_up_to_a_bound(void **state)
{
	static const int64_t steps[] = {
		1000, 2000, 4000, 8000, 16000, 32000, 64000, 128000, 256000, 300000, 300000};

	(void)state;
	for (uint32_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		assert_int_equal(plan_backoff(i + 1, 1000, 300000, 0, 0), steps[i]);
		assert_int_equal(plan_backoff(i + 1, 1000, 300000, 0, 1), steps[i] * 3 / 4);
	}
	assert_int_equal(plan_backoff(UINT32_MAX, 1000, 300000, 0, 0), 300000);
	assert_int_equal(plan_backoff(1, 1000, 300000, 5000, 0), 5000);
	assert_int_equal(plan_backoff(9, 1000, 300000, 5000, 0), 256000);
	assert_int_equal(plan_backoff(1, 1000, 300000, 7 * INT64_C(86400000), 0), 6 * 3600000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_holds_for_each_alert),
		cmocka_unit_test(a_refused_event_holds_up_its_alert_alone),
		cmocka_unit_test(a_target_that_fails_is_asked_with_one),
		cmocka_unit_test(a_snapshot_keeps_its_place),
		cmocka_unit_test(answers_are_judged),
		cmocka_unit_test(pauses_grow_with_jitter_up_to_a_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

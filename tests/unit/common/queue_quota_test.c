/* common/queue_quota.c against a real redis-server. */
#include "common/queue_quota.h"

#include "common/clock.h"
#include "tests/unit/support/loop.h"
#include "tests/unit/support/redis_server.h"

#include <setjmp.h>
#include <stdarg.h>
/* cmocka.h wants setjmp.h, stdarg.h and stddef.h. */
#include <cmocka.h>

#define SOON_MS 5000

struct world {
	uv_loop_t loop;
	struct redis_server *server;
	struct redis_options options;
	struct redis *redis;
	int ups, answers, err;
	struct quota_answer last;
};

static void on_state(void *arg, bool up, const struct why *why)
{
	(void)why;
	((struct world *)arg)->ups += up;
}

static void on_answer(void *arg, int err, const struct quota_answer *answer)
{
	struct world *w = arg;

	w->answers++;
	w->err = err;
	w->last = *answer;
}

static void on_done(void *arg, int err)
{
	struct world *w = arg;

	w->answers++;
	w->err = err;
}

static int wait_answer(struct world *w, int n)
{
	assert_true(loop_until_count(&w->loop, &w->answers, n, SOON_MS));
	return w->err;
}

static void test_ledger(void **state)
{
	struct world w = {0};
	struct quota_item items[] = {{"ca:orders", 100, 1000, 1}, {"ca:set", 1, CLOCK_HOUR_MS, 1}};
	struct quota_item huge = {"ca:set", 1, 1000, 2};

	(void)state;
	uv_loop_init(&w.loop);
	w.server = redis_server_start(NULL);
	redis_server_options(w.server, &w.options);
	w.redis = redis_new(&w.loop, &w.options, on_state, &w);
	assert_true(loop_until_count(&w.loop, &w.ups, 1, SOON_MS));

	for (int i = 1; i <= 2; i++) { /* the second is a repeat */
		quota_reserve(w.redis, "a:1", 0, false, items, 2, on_answer, &w);
		assert_int_equal(wait_answer(&w, i), 0);
		assert_int_equal(w.last.wait_ms, 0);
	}
	quota_reserve(w.redis, "b:1", 0, false, items, 2, on_answer, &w);
	assert_int_equal(wait_answer(&w, 3), 0);
	assert_int_equal(w.last.which, 1);
	assert_in_range(w.last.wait_ms, CLOCK_HOUR_MS - 5000, CLOCK_HOUR_MS);
	quota_refund(w.redis, "a:1", items, 2, on_done, &w);
	assert_int_equal(wait_answer(&w, 4), 0);
	quota_reserve(w.redis, "b:1", 0, true, items, 2, on_answer, &w);
	assert_int_equal(wait_answer(&w, 5), 0);
	assert_int_equal(w.last.wait_ms, 0);
	quota_block(w.redis, &items[0], clock_wall_ms() + CLOCK_HOUR_MS, on_done, &w);
	assert_int_equal(wait_answer(&w, 6), 0);
	quota_reserve(w.redis, NULL, 0, true, items, 1, on_answer, &w);
	assert_int_equal(wait_answer(&w, 7), 0);
	assert_in_range(w.last.wait_ms, CLOCK_HOUR_MS - 5000, CLOCK_HOUR_MS);
	quota_reserve(w.redis, NULL, 0, false, &huge, 1, on_answer, &w);
	assert_int_equal(wait_answer(&w, 8), CF_ETOOBIG);

	redis_free(w.redis);
	loop_finish(&w.loop);
	redis_server_stop(w.server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_ledger)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/unit/support/loop.h"

#include "common/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h wants the three above. */
#include <cmocka.h>

#define LOOK_EVERY_MS 5

static void on_tick(uv_timer_t *timer)
{
	(void)timer;
}

bool loop_until(uv_loop_t *loop, bool (*cond)(void *arg), void *arg, int64_t ms)
{
	int64_t end = clock_mono_ms() + ms;
	uv_timer_t tick;
	bool met;

	uv_timer_init(loop, &tick);
	uv_timer_start(&tick, on_tick, LOOK_EVERY_MS, LOOK_EVERY_MS);
	while (!(met = cond(arg)) && clock_mono_ms() < end)
		uv_run(loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&tick, NULL);
	uv_run(loop, UV_RUN_NOWAIT);
	return met || cond(arg);
}

struct count {
	const int *counter;
	int n;
};

static bool reached(void *arg)
{
	const struct count *c = arg;

	return *c->counter >= c->n;
}

bool loop_until_count(uv_loop_t *loop, const int *counter, int n, int64_t ms)
{
	struct count c = {counter, n};

	return loop_until(loop, reached, &c, ms);
}

static bool never(void *arg)
{
	(void)arg;
	return false;
}

void loop_for(uv_loop_t *loop, int64_t ms)
{
	loop_until(loop, never, NULL, ms);
}

static bool closed(void *arg)
{
	return uv_loop_close(arg) == 0;
}

void loop_finish(uv_loop_t *loop)
{
	int64_t end = clock_mono_ms() + 5000;

	while (!closed(loop)) {
		if (clock_mono_ms() > end)
			fail_msg("the loop still has handles or requests");
		uv_run(loop, UV_RUN_NOWAIT);
	}
}

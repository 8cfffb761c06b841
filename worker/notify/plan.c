#include "worker/notify/plan.h"

#include "common/clock.h"

#include <string.h>

#define RETRY_AFTER_MOST_MS (6 * CLOCK_HOUR_MS)

/* An event of no alert (a snapshot) speaks of all before it, and those after it wait for it. */
static bool blocks(const struct plan_item *earlier, const struct plan_item *item)
{
	return earlier->state != PLAN_DONE &&
	       (!earlier->key[0] || !item->key[0] || !strcmp(earlier->key, item->key));
}

static bool is_blocked(const struct plan_item *items, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (blocks(&items[k], &items[i]))
			return true;
	return false;
}

size_t plan_next(
	const struct plan_item *items, size_t n, const struct plan_target *t, int64_t now_ms)
{
	if (t->in_flight >= (t->failures ? 1 : t->most) ||
		(t->failures && now_ms < t->not_before_ms))
		return PLAN_NONE;
	for (size_t i = 0; i < n; i++)
		if (items[i].state == PLAN_WAITING && now_ms >= items[i].not_before_ms &&
			!is_blocked(items, i))
			return i;
	return PLAN_NONE;
}

enum plan_result plan_judge(int err, int status)
{
	if (err || status == 408 || status == 429 || status >= 500)
		return PLAN_FAILED;
	if (status >= 200 && status < 300)
		return PLAN_DELIVERED;
	return status == 410 ? PLAN_GONE : PLAN_REFUSED;
}

int64_t plan_backoff(uint32_t failures, int64_t first_ms, int64_t longest_ms,
	int64_t retry_after_ms, double roll)
{
	int64_t ms = first_ms;

	for (uint32_t i = 1; i < failures && ms < longest_ms; i++)
		ms *= 2;
	if (ms > longest_ms)
		ms = longest_ms;
	ms -= (int64_t)(roll * 0.25 * (double)ms);
	if (retry_after_ms > RETRY_AFTER_MOST_MS)
		retry_after_ms = RETRY_AFTER_MOST_MS;
	return ms > retry_after_ms ? ms : retry_after_ms;
}

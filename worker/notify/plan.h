/* plan.h - what is sent next, and when a failure is tried again. Functions of values.
 *
 * Events wait in the order of the stream. One goes out when no earlier one of the same alert is
 * undelivered, so order holds for each alert, and one that is refused holds up its own alert alone.
 * A target that does not answer is asked again with the oldest event only, after growing pauses;
 * its first answer lets all go on.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum plan_state { PLAN_WAITING, PLAN_SENT, PLAN_DONE };

struct plan_item {
	enum plan_state state;
	const char *key;       /* the alert; "" : of none, after all before it */
	int64_t not_before_ms; /* it was refused */
};

struct plan_target {
	unsigned in_flight, most;
	uint32_t failures;     /* in a row, of the target */
	int64_t not_before_ms; /* of a target that fails */
};

#define PLAN_NONE SIZE_MAX
/** The item to send now, or PLAN_NONE. */
size_t plan_next(
	const struct plan_item *items, size_t n, const struct plan_target *t, int64_t now_ms);

enum plan_result {
	PLAN_DELIVERED, /* 2xx */
	PLAN_GONE,      /* 410: nothing more is sent there */
	PLAN_REFUSED,   /* it answered, and will not have this event now */
	PLAN_FAILED,    /* it does not answer, or is busy: 408, 429, 5xx */
};
enum plan_result plan_judge(int err, int status);

/** The pause after so many failures in a row (1: the first): doubled each time up to longest, with
 * jitter of a quarter (roll in [0, 1)), and no shorter than the target asked for. */
int64_t plan_backoff(uint32_t failures, int64_t first_ms, int64_t longest_ms,
	int64_t retry_after_ms, double roll);

/* api.h - the scheduler's HTTP: /metrics, /healthz, /readyz, and / that names them.
 *
 * /healthz says 200 as long as the loop turns, with "leader" or "follower" behind it. /readyz says
 * 200 while Redis is there and 503 with the reason while it is not, or while the process drains.
 */
#pragma once

#include "common/addr.h"
#include "common/err.h"

#include "scheduler/api/v1.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/** What the pages show. All pointers are asked at each request. */
struct api_view {
	bool (*leads)(void *arg);
	/** NULL when ready, else why not; borrowed until the loop turns. */
	const char *(*unready)(void *arg);
	void *arg;
	struct v1 *v1; /* answers what is below /v1; NULL: 503 */
};

struct api;

/** Listens at once. why names the address. */
int api_new(uv_loop_t *loop, const struct addr *listen, const struct api_view *view,
	struct api **out, struct why *why);
/** Where it really listens. */
const struct addr *api_address(const struct api *a);
/** Stops listening and lets answers end; done is called once. */
void api_drain(struct api *a, int64_t timeout_ms, void (*done)(void *arg), void *arg);
/** NULL is a no-op. */
void api_free(struct api *a);

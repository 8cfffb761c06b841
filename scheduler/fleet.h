/* fleet.h - how the fleet as a whole does: looked at each ten seconds, shown as metrics, told as
 * alerts; the heartbeat; and the trimming of streams.
 */
#pragma once

#include "common/redis.h"
#include "scheduler/alerts.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

/** What one look saw. */
struct fleet_facts {
	int64_t redis_ms, clock_apart_ms; /* our wall clock less Redis' */
	int64_t workers;                  /* alive */
	int64_t requests, request_age_ms;
	int64_t endpoints, alerts_open;
	int64_t running[2], parked[2], late_ms[2]; /* by queue */
	int64_t looked, turned;                /* names of late; of these, from some CAN to none */
	int64_t resolvers, zone_ds, zone_lost; /* workers that see their resolver fail, a DS at our
						  challenge zone, no delegation of it */
	int64_t lost;   /* entries that streams lost at their cap since the last look */
	int64_t led_ms; /* how long we lead */
};

#define FLEET_CONDITIONS 9
/** Whether the fleet suspects itself: 5 % of the names looked at, and 20 at least, turned bad. */
bool fleet_doubts(const struct fleet_facts *f);
/** The conditions of the whole fleet (no_worker, queue_late, requests_backlog, clocks_apart,
 * stream_cap, self_doubt, resolver_broken, zone_ds, zone_not_delegated), open or closed, from one
 * look. Returns FLEET_CONDITIONS. */
size_t fleet_judge(const struct fleet_facts *f, struct alert_edge out[FLEET_CONDITIONS]);

struct fleet;

/** Never NULL. Borrows all; name is the fleet's, nonce ours. */
struct fleet *fleet_new(uv_loop_t *loop, struct redis *redis, struct alerts *alerts,
	const char *name, const char *nonce);
void fleet_lead(struct fleet *f, bool leading, uint64_t term);
void fleet_close(struct fleet *f);
void fleet_free(struct fleet *f);

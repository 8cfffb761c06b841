/* fleet.h - how the fleet as a whole does: looked at each ten seconds, shown as metrics, told as
 * alerts; the heartbeat; and the trimming of streams.
 */
#pragma once

#include "common/breaker.h"
#include "common/redis.h"
#include "scheduler/alerts.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

/** What one look saw. */
struct fleet_facts {
	const char *fleet;                /* its name */
	int64_t redis_ms, clock_apart_ms; /* our wall clock less Redis' */
	int64_t workers;                  /* alive */
	int64_t requests, request_age_ms;
	int64_t endpoints, alerts_open;
	int64_t running[2], parked[2], late_ms[2]; /* by queue */
	int64_t looked, turned;                /* names of late; of these, from some CAN to none */
	int64_t resolvers, zone_ds, zone_lost; /* workers that see their resolver fail, a DS at our
						  challenge zone, no delegation of it */
	struct fleet_loss {                    /* at a stream's cap; the last one of any stream */
		int64_t n;                     /* entries of the stream in all */
		int64_t ago_ms;                /* -1: never */
		char stream[16], group[64];
	} loss;
	int64_t ca_apart_ms;         /* of all workers' clocks less an authority's, the farthest */
	char ca[72], ca_worker[136]; /* the two */
	int64_t led_ms;              /* how long we lead */
	int64_t leaderless_ms;       /* how long nobody had led before us */
	int64_t head_ms[2];          /* by queue: how long the oldest due job has been the oldest */
	/* Redis itself. */
	int64_t memory_used, memory_most; /* bytes; most 0: no limit */
	bool disk_failed;                 /* its last write to disk, of AOF or RDB */
	int64_t replicas, replicas_wanted;
	int64_t barriers; /* workers whose barriers time out, … */
	bool barrier;     /* … and ours */
};

#define FLEET_CONDITIONS 16
/** Whether the fleet suspects itself: 5 % of the names looked at, and 20 at least, turned bad. */
bool fleet_doubts(const struct fleet_facts *f);
/** The conditions of the whole fleet (common/runbook.h), open or closed, from one look. Returns
 * FLEET_CONDITIONS. */
size_t fleet_judge(const struct fleet_facts *f, struct alert_edge out[FLEET_CONDITIONS]);
/** What INFO says of memory, disk and replicas. */
void fleet_read_info(const char *info, size_t len, struct fleet_facts *f);

/** New orders of an authority: how much of them may be made, and what the ledger says. */
struct fleet_limit {
	const char *authority;
	uint32_t count;
	int64_t window_ms;
	int64_t free_ms; /* when all of it is free again, by Redis' clock; 0: it is */
};
/** quota_low of the authority. */
void fleet_judge_limit(const struct fleet_limit *l, int64_t now_ms, struct alert_edge *out);

struct fleet;

#define FLEET_LIMITS_MAX 16

struct fleet_options {
	const char *name, *nonce; /* the fleet's, ours */
	int64_t replicas;         /* that the config asks for */
	struct barrier *barrier;  /* NULL without */
	size_t cap;               /* entries that a stream holds at most, and … */
	int64_t keep_ms;          /* … for how long at least below that */
	struct fleet_limit limits[FLEET_LIMITS_MAX];
	size_t limits_n;
	const char *canary; /* breaker.canary; NULL: there are no breakers */
};

/** Never NULL. Borrows what options point to. */
struct fleet *fleet_new(uv_loop_t *loop, struct redis *redis, struct alerts *alerts,
	const struct fleet_options *options);
/** The circuit breakers as last seen; borrowed until the loop turns. */
const struct breaker_row *fleet_breakers(const struct fleet *f, size_t *n);
void fleet_lead(struct fleet *f, bool leading, uint64_t term);
void fleet_close(struct fleet *f);
void fleet_free(struct fleet *f);

/* reap.h - lapsed leases become suspects, when it is certain that they lapsed.
 *
 * A lease lapses by Redis' clock alone. After a failover, a restart or a step of that clock, leases
 * that are alive look lapsed, and in a silence nobody could extend them: so for one lease after any
 * of these nothing is reaped, and the workers' beats put them right meanwhile. What was seen of
 * Redis is a value (struct reap_guard), and a look comes every two seconds and before the first
 * reaping after each connect.
 */
#pragma once

#include "common/queue.h"
#include "common/redis.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define REPLID_SIZE        41
#define REAP_LOOK_EVERY_MS 2000

/** Times of the monotonic clock, but for redis_ms. Zeroed with lease_ms set is the beginning. */
struct reap_guard {
	int64_t lease_ms;         /* the workers' */
	int64_t not_before_ms;    /* no reaping before */
	bool looked;              /* since the connection came up */
	int64_t looked_ms;        /* when it last answered; 0: never */
	char replid[REPLID_SIZE]; /* "": not known */
	bool has_clock;
	int64_t ahead_ms; /* Redis' clock less our monotonic one */
};

/** The connection came up: who knows to whom. */
void reap_guard_connected(struct reap_guard *g);
/** What Redis said of itself; remembered is the replication id that the last leader wrote down (""
 * if none). Gives why reaping pauses now, or NULL. */
const char *reap_guard_look(struct reap_guard *g, int64_t now_ms, const char *replid,
	const char *remembered, bool loading);
/** Redis' clock read redis_ms between two instants of ours. Gives why reaping pauses now, or NULL.
 */
const char *reap_guard_clock(
	struct reap_guard *g, int64_t sent_ms, int64_t received_ms, int64_t redis_ms);
/** What Redis' clock should say now; 0: not known. A third of a lease off is harmless, since leases
 * are extended each third; more, and it stepped since it was last read. */
int64_t reap_guard_expects(const struct reap_guard *g, int64_t now_ms);
bool reap_guard_allows(const struct reap_guard *g, int64_t now_ms);

/** Finds "name:value" in INFO's text; "" if it is not there. Returns out. */
char *info_field(const char *info, size_t len, const char *name, char *out, size_t size);

struct reap;

/** Called when Redis turned out to be another one than before (failover, restart), or its clock
 * stepped. */
typedef void reap_moved_fn(void *arg);

/** Never NULL. Borrows redis. */
struct reap *reap_new(uv_loop_t *loop, struct redis *redis, int64_t worker_lease_ms,
	reap_moved_fn *moved, void *arg);
void reap_lead(struct reap *r, bool leading);
void reap_connected(struct reap *r);
void reap_clock(struct reap *r, int64_t sent_ms, int64_t received_ms, int64_t redis_ms);
void reap_close(struct reap *r);
void reap_free(struct reap *r);

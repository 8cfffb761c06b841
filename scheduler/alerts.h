/* alerts.h - the leader turns edges and sweeps into alerts, on the stream `alerts`.
 *
 * Edges of the jobs' conditions are held for two seconds, so that what flutters says nothing, and
 * longer while others with the same cause may come (group.h); then they are given to one script
 * with their acknowledgement. They stay pending in the stream until then, so a leader that dies
 * loses none. Each minute two sweeps look by themselves,
 * whatever the jobs believe: over the expiry times of all certificates, and over the alerts that
 * are open (worse as the deadline nears; over when their endpoint or their reason is gone). After
 * each takeover, and when Redis turned out to be another one, a snapshot names what is open.
 */
#pragma once

#include "common/redis.h"
#include "scheduler/alert.h"
#include "scheduler/group.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct alerts;

/** Never NULL. Borrows redis. */
struct alerts *alerts_new(uv_loop_t *loop, struct redis *redis, const struct group_policy *policy);
void alerts_lead(struct alerts *a, bool leading, uint64_t term);
/** Redis is there again, perhaps without its last writes: what is pending in it comes first, or the
 * end of a condition would be told before its beginning. */
void alerts_connected(struct alerts *a);
/** Says what is open, once the pending edges are done. */
void alerts_snapshot(struct alerts *a);
/** Conditions that somebody sees now; said only where they change something. At most 64. */
void alerts_tell(struct alerts *a, const struct alert_edge *edges, size_t n);
void alerts_close(struct alerts *a);
void alerts_free(struct alerts *a);

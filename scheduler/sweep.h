/* sweep.h - the leader's slow looks that believe no job: at all expiry times, and at all open
 * alerts and members of incidents.
 *
 * All page by sorted order, 64 at a time with a pause, and give what they find to alerts_tell().
 */
#pragma once

#include "common/redis.h"
#include "scheduler/alerts.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct sweep;

/** Never NULL. Borrows both. */
struct sweep *sweep_new(uv_loop_t *loop, struct redis *redis, struct alerts *alerts);
void sweep_lead(struct sweep *s, bool leading);
/** The longest certificate lifetime of the fleet, as the audit saw it: how far ahead the expiry
 * sweep must look. */
void sweep_longest_life(struct sweep *s, int64_t ms);
void sweep_close(struct sweep *s);
void sweep_free(struct sweep *s);

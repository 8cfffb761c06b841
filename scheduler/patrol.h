/* patrol.h - the leader audits the fleet for ever, and shows what it counted on the way as metrics.
 *
 * Calmly (64 endpoints each pace), but at full speed when it has just taken over or when Redis
 * turned out to be another one than before: then indexes and records may be from different
 * instants.
 */
#pragma once

#include "common/needs.h"
#include "common/redis.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct patrol;

/** Never NULL. Borrows redis. */
struct patrol *patrol_new(uv_loop_t *loop, struct redis *redis, const struct needs_policy *policy);
void patrol_lead(struct patrol *p, bool leading);
/** Begins a pass at full speed now. */
void patrol_hurry(struct patrol *p);
/** The longest certificate lifetime that the last pass saw; 0 before. */
int64_t patrol_longest_life_ms(const struct patrol *p);
void patrol_close(struct patrol *p);
void patrol_free(struct patrol *p);

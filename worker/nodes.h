/* nodes.h - the workers of the fleet: this one says that it lives, and learns who answers
 * challenges.
 *
 * Each worker beats once a second into `workers` and `w:NAME` (common/event.h). A challenge counts
 * as visible when every responder that beat within the last NODES_ALIVE_MS gave the right answer,
 * since the CA may ask any.
 */
#pragma once

#include "common/addr.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define NODES_ALIVE_MS 5000
#define NODES_MAX      256

struct worker;
struct nodes;

/** Borrows w, which must outlive it. */
struct nodes *nodes_new(struct worker *w);
/** Beats and reads now: Redis has just come up. */
void nodes_beat(struct nodes *n);
/** Redis is connected, but has said nothing for so long that no responder can answer either. */
bool nodes_redis_is_silent(const struct worker *w);
/** Signs off (best effort) and frees. NULL is a no-op. */
void nodes_free(struct nodes *n);

enum node_role { NODE_HTTP01, NODE_DNS01, NODE_ROLES };
/** Addresses of the living responders; borrowed until the loop turns. */
const struct addr *nodes_of(const struct nodes *n, enum node_role role, size_t *count);
/** When some node was last seen to have missed its beats, without having signed off; Unix time, 0:
 * never. A CA that asked it meanwhile found nothing, and that is nobody else's fault. */
int64_t nodes_silent_ms(const struct nodes *n);

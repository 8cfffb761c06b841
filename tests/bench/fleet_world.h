/* fleet_world.h - a made-up fleet: endpoint number i, the same each time, as a fleet of some age
 * has them.
 *
 * Names, tenants (a few are large), types, states, certificates of two authorities in all ages,
 * findings with what was seen. Certificates are real ones (P-256, the extensions that public
 * authorities put in); those of names of equal length are one, with the name and serial replaced,
 * so that their signatures are not right. One thread.
 */
#pragma once

#include "common/endpoint.h"
#include "common/queue.h"

#define WORLD_EVENT_MAX 1024

struct world;

/** key_file: of the vault's certificates. now_ms: when the fleet is looked at. */
struct world *world_new(const char *key_file, int64_t now_ms);
/** The fleet is looked at later: what is due moves with it. */
void world_now(struct world *w, int64_t now_ms);
void world_free(struct world *w);
/** Endpoint number i as it shall be once verify and issue have run. Release it. */
void world_make(struct world *w, uint64_t i, struct endpoint *out);
/** The number of an endpoint by its id. */
uint64_t world_number(const char *id);
/** Whether the endpoint is to be parked. */
bool world_is_parked(uint64_t i);
/** Appends its sealed key. */
void world_key(struct world *w, const char *id, struct buf *out);
/** The intermediates that all certificates share, as chain:SHA holds them. */
const struct buf *world_chain(const struct world *w);
/** The owner's mistake at the first name, or its end. */
void world_break(struct endpoint *e, int64_t now_ms);
void world_mend(struct endpoint *e, int64_t now_ms);

/* zones.h - looks at what edges serve, made from inside a network that not every worker can reach.
 *
 *	a job's worker                     Redis                        a worker with that
 *worker.zone zones_look() ── zone_ask ──► zone:NAME:asks ── zone_take ──► proof_look ──┐ ◄────────
 *GETDEL ────── look:ID ◄──────────── SET, 60 s ────────────┘
 *
 * The job stays where it is: only its eyes are lent. So the endpoint is looked at, issued and
 * renewed by any worker, whether its zone has one or not, the queues know nothing of zones, and who
 * waits for an answer holds a slot of verify, by whose fairness no tenant can fill a zone's line.
 * Whatever gets lost on the way is an answer that does not come: the proof is unknown, and is tried
 * again with a later look. What is looked at is resolved and judged by the configuration of the
 * worker inside: its resolver, network.allow, edge.addresses and edge.port.
 */
#pragma once

#include "worker/jobs/proof_look.h"

struct worker;
struct zones;
struct zone_look;

/** why: NULL when it was looked; "no_worker": nobody is there; "no_answer": none came in time. seen
 * is borrowed until the callback returns. */
typedef void zone_look_fn(void *arg, const char *why, const struct served_seen *seen, size_t n);

/** Looks for others too if worker.zone is set. Never NULL. */
struct zones *zones_new(struct worker *w);
/** Ends what is looked at for others; nobody may wait any more. Before the connection to Redis
 * goes. NULL is a no-op. */
void zones_free(struct zones *z);

/** fn is called exactly once, never from inside this call, unless it is cancelled. Never NULL. */
struct zone_look *zones_look(struct zones *z, const char *zone, const struct proof_ask *ask,
	zone_look_fn *fn, void *arg);
/** fn will not be called. NULL is a no-op. */
void zone_look_cancel(struct zone_look *l);

/* breaker.h - the fleet's circuit breakers, as this worker sees them (common/breaker.h), and the
 * canary.
 *
 *	 an order fails ──► breaker_failed() ──► Redis counts for the fleet ──► which ways are shut
 *	 each second: look ──► is a canary's turn? ──► try, an order for it, up to finalize ──► end
 *
 * Without breaker.canary in the config there are none: breaker_new() gives NULL, which every
 * function takes, and by which nothing is ever shut. The canary's order ends where its
 * authorizations are valid, and these are deactivated, so that the next try is validated anew and
 * no certificate is spent.
 */
#pragma once

#include "common/breaker.h"
#include "worker/acme/acme.h"

#include <stdbool.h>
#include <stdint.h>

struct worker;
struct breaker;

/** Borrows w. NULL without a canary in the config. */
struct breaker *breaker_new(struct worker *w);
/** Before the authorities go: the canary's order is cancelled. NULL is a no-op. */
void breaker_free(struct breaker *b);
/** Takes no further turn, and gives back the one it has. */
void breaker_drain(struct breaker *b);

/** Which breaker a failure is counted at: false if it is about this endpoint alone, whatever
 * others do. */
bool breaker_way_of(const struct acme_failure *f, enum breaker_way *out);
/** NULL if the way is open to orders; else the row by which it is shut, borrowed until the loop
 * turns. */
const struct breaker_row *breaker_shut(
	const struct breaker *b, const char *authority, enum breaker_way way);
/** When those who wait may come: after the canary's next turn, not all at once. roll in [0, 1). */
int64_t breaker_ticket_ms(
	const struct breaker *b, const struct breaker_row *row, int64_t now_ms, double roll);

/** shut: the order's failure is not the endpoint's own. */
typedef void breaker_noted_fn(void *arg, bool shut);
/** Counts a failure of an endpoint's name; fn (may be NULL) comes later, once. */
void breaker_failed(struct breaker *b, const char *authority, enum breaker_way way,
	const char *name, const char *endpoint, breaker_noted_fn *fn, void *arg);
void breaker_passed(struct breaker *b, const char *authority, enum breaker_way way);

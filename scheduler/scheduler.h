/* scheduler.h - the process as a whole: its connections, its parts, and the order in which they
 * come and go.
 *
 *  start: listen ─► connect ─► look at Redis and the vault keys ─► ask for the lease, follow or
 * lead stop:  /readyz says draining ─► no more requests taken, those in work end ─► lease given
 * back ─► HTTP drained ─► everything closed
 *
 * All parts exist from the start; those that only the leader may do are told when it leads.
 */
#pragma once

#include "common/config.h"
#include "common/err.h"

#include <uv.h>

struct scheduler;

/** Listens and begins to connect. Borrows loop and config. why names what is wrong with vault,
 * password file or address. */
int scheduler_new(uv_loop_t *loop, struct config *config, struct scheduler **out, struct why *why);
/** Begins the drain; the loop ends when it is over. A second call ends it at once. */
void scheduler_stop(struct scheduler *s);
/** After the loop has ended: frees, and gives the exit status (1 if it stopped because something is
 * wrong). */
int scheduler_free(struct scheduler *s);

/* doubt.h - the fleet's suspicion of itself (design section 5): when 5 % of the names that it looks
 * at turn from some CAN to none within a quarter of an hour, it is rather us who are wrong.
 *
 * Each worker counts what it saw and says it in its row (worker/nodes.h); the leading scheduler
 * adds the rows up, tells the operator, and sets the key `doubt` for as long as it lasts; workers
 * read it with each beat, and while it is there no verdict turns into CANNOT. So nobody needs a
 * memory of its own. Also here: whether this worker's own resolver answers, and how our challenge
 * zone looks from outside.
 */
#pragma once

#include "common/diagnosis.h"

#include <stdbool.h>
#include <stdint.h>

struct worker;
struct doubt;

/** Looks at the resolver and the challenge zone at once, then each half minute (oftener if
 * endpoints are looked at oftener). Borrows w. */
struct doubt *doubt_new(struct worker *w);
/** NULL is a no-op. Before the survey and the resolver go. */
void doubt_free(struct doubt *d);

/** A look at an endpoint is over. NULL counts nothing. */
void doubt_count(struct doubt *d, unsigned looked, unsigned turned);
/** Of the last quarter of an hour. */
void doubt_counts(struct doubt *d, unsigned *looked, unsigned *turned);
/** As the leader says. */
void doubt_set(struct doubt *d, bool on);
bool doubt_is_on(const struct doubt *d);
/** A look was blind: our own resolver is looked at now, unless that was done within a second. */
void doubt_look(struct doubt *d);
/** What is wrong with us, for the worker's row: "", "resolver", "zone_ds" or
 * "zone_not_delegated"; never NULL. */
const char *doubt_trouble(const struct doubt *d);

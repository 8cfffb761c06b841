/* responders.h - the challenge responders of this process, as the roles in the config ask for them.
 */
#pragma once

#include "common/err.h"

#include <stdint.h>

struct worker;

/** Listens. CF_E* with a why that names the address. */
int responders_start(struct worker *w, struct why *why);
/** Stops listening and calls done when the last answer is out, or after grace_ms. */
void responders_drain(struct worker *w, int64_t grace_ms, void (*done)(void *arg), void *arg);
/** Also after a failed start. */
void responders_stop(struct worker *w);

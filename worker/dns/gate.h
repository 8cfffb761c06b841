/* gate.h - how much one server address may be asked over time, and how it did lately.
 *
 * Customers share DNS providers: a thousand looks at once may all go to the same two addresses.
 * Each address has a rate with a burst of half a second (GCRA); who comes too early is told how
 * long to wait, and who would wait for longer than GATE_WAIT_MS is turned away. An address that did
 * not answer lately is known by it. At most max addresses are remembered; idle ones are forgotten
 * first. No clock: the caller says what time it is.
 */
#pragma once

#include "common/addr.h"

#include <stddef.h>
#include <stdint.h>

#define GATE_WAIT_MS    3000
#define GATE_SILENCE_MS 60000 /* how long silence is remembered */

struct gate;

/** per_second 0: no limit. Never NULL. */
struct gate *gate_new(unsigned per_second, size_t max);
/** NULL is a no-op. */
void gate_free(struct gate *g);
/** 0: ask now; > 0: in so many milliseconds; < 0: not at all. What is not negative is reserved. */
int64_t gate_take(struct gate *g, const struct addr *a, int64_t now_ms);
/** It answered (anything at all), or did not. */
void gate_note(struct gate *g, const struct addr *a, bool answered, int64_t now_ms);
/** Questions in a row without an answer; 0 if the last is over GATE_SILENCE_MS ago. */
unsigned gate_silence(const struct gate *g, const struct addr *a, int64_t now_ms);
size_t gate_n(const struct gate *g);

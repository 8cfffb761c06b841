/* ca_clock.h - how far our clock is from an authority's, by the Date of its answers. Values.
 *
 * What an answer shows is kept against the time since boot, which nobody sets: when our own clock
 * is set, right or wrong, that is known at once, without another answer.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct ca_clock {
	bool known;
	int64_t low_ms, high_ms; /* the authority's Unix time less the time since boot is between */
};

/** date: the header's value, or NULL; took_ms: from asking to the answer, which is now. A date that
 * cannot be read changes nothing. */
void ca_clock_note(struct ca_clock *c, const char *date, int64_t took_ms, int64_t boot_ms);
/** Our Unix time less the authority's; 0 if they may agree, or nothing is known. */
int64_t ca_clock_apart(const struct ca_clock *c, int64_t wall_ms, int64_t boot_ms);
/** Since boot, sleep included. */
int64_t ca_clock_boot_ms(void);

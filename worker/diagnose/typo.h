/* typo.h - how far apart two names are, as fingers slip. Values only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define TYPO_TEXT_MAX 256

/** Letters to add, drop, change or swap with their neighbour (optimal string alignment) until a is
 * b, at most limit + 1. Longer texts than TYPO_TEXT_MAX are limit + 1 apart. */
size_t typo_distance(const char *a, const char *b, size_t limit);
/** Near, but not the same: one edit, or two in names of over 12 letters. */
bool typo_near(const char *seen, const char *meant);
/** What was meant, and the zone appended to it by a form. */
bool typo_doubled(const char *seen, const char *meant);

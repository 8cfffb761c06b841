/* promcheck.h - is this right Prometheus text (format 0.0.4), as promtool would judge it?
 *
 * HELP and TYPE before the samples of each family, families in one piece, names, escapes, numbers,
 * no series twice, histograms cumulative with +Inf equal to _count, counters ending in _total and
 * not negative.
 */
#pragma once

#include "common/err.h"

/** 0, or CF_EPROTO with the line's number and what is wrong with it. */
int promcheck(const char *text, struct why *why);

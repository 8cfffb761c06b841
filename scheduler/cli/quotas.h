/* quotas.h - what is left of an authority's limit. */
#pragma once

#include "common/config.h"

/** How many may go now, when the ledger says that the limit is wholly free at free_ms (GCRA). */
int64_t quotas_left(const struct config_rate *rate, int64_t free_ms, int64_t now_ms);

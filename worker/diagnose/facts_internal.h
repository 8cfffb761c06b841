/* facts_internal.h - shared by facts*.c only. */
#pragma once

#include "worker/diagnose/facts.h"

/** Holds r as long as the bag lives. */
void facts_keep(struct facts *f, const struct dns_result *r);

/* lookups.h - the worker's ways into DNS, made from its configuration: the exchanger, the resolver
 * and the survey of authoritative servers.
 */
#pragma once

#include "common/addr.h"

#include <stdbool.h>

struct worker;

void lookups_start(struct worker *w);
/** After every job is gone. Harmless when they were not started. */
void lookups_stop(struct worker *w);

/** Why no packet may go there on a stranger's word ("private", "loopback" …); NULL: it may, as an
 * ordinary public address, or one of network.allow. arg: the config. */
const char *lookups_unsafe(void *arg, const struct addr *a);
/** A packet may go there on a stranger's word: an ordinary public address, or one of
 * network.allow. arg: the worker. */
bool lookups_allowed(void *arg, const struct addr *a);

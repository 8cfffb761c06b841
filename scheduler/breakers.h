/* breakers.h - what the leader says of the circuit breakers (common/breaker.h). Functions of
 * values.
 */
#pragma once

#include "common/breaker.h"
#include "scheduler/alert.h"

#define BREAKERS_CONDITIONS 2
/** breaker_open: orders pause, and a canary has shown that it is not the customers' doing.
 * canary_failing: a canary fails although nothing else does. canary: its name; NULL: the config has
 * none any more, and both are closed. */
void breakers_judge(const struct breaker_row *row, const char *canary,
	struct alert_edge out[BREAKERS_CONDITIONS]);

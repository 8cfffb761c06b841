/* health.h - the worker's own /healthz, /readyz and /metrics, on `worker.listen` if it is given. */
#pragma once

#include "common/err.h"

struct worker;

int health_start(struct worker *w, struct why *why);
void health_stop(struct worker *w);

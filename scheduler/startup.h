/* startup.h - looks at the Redis that we were given before anything is built on it.
 *
 * Its version (7.0 or later), what it may lose when it dies or is failed over, whether it may
 * forget keys (a line each in the log), and that our vault keys are the fleet's (common/canary.h).
 */
#pragma once

#include "common/redis.h"
#include "common/vault.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** CF_EVERSION when INFO's text says older than 7.0. */
int startup_version(const char *info, size_t len, struct why *why);
/** What a Redis loses when it dies: one line. *safe is false where that is more than the fleet's
 * promise allows. appendfsync is "" if Redis would not tell. */
const char *startup_durability(const char *info, size_t len, const char *appendfsync, bool *safe);

/** What is at risk when the primary dies, or is cut off, and another is made one: one line, and in
 * *fix what to set, or NULL where the line says what is promised. NULL: there is no failover. replicas is redis.replicas; failover: by
 * Sentinels or in a cluster. */
const char *startup_replication(
	const char *info, size_t len, uint32_t replicas, bool failover, const char **fix);

struct startup {
	struct redis *redis;
	uint32_t replicas;           /* redis.replicas */
	bool failover;               /* redis.sentinel or redis.cluster */
	struct vault *vault;         /* NULL: no keys here, nothing to check */
	bool accounts, certificates; /* which of its wraps have keys */
	/** err 0: go on. CF_ECONN: Redis went away, begin anew when it is up. Else: why, and exit.
	 */
	void (*done)(void *arg, int err, const struct why *why);
	void *arg;
	/* Private. */
	char appendfsync[16];
	bool busy;
};

/** Looks. One at a time. The struct must live until done is called. */
void startup_look(struct startup *s);

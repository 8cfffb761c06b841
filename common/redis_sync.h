/* redis_sync.h - a blocking Redis connection for the command line, where waiting is the job.
 *
 * Never used in a process with a loop. Same options, scripts and TLS rules as redis.h.
 */
#pragma once

#include "common/redis.h"

struct redis_sync;

/** CF_ECONN, CF_EAUTH (why names host, user and the way out). While Sentinels or a cluster make
 * another primary it waits, for 10 s at most. */
int redis_sync_open(const struct redis_options *options, struct redis_sync **out, struct why *why);
void redis_sync_close(struct redis_sync *r);
const char *redis_sync_prefix(const struct redis_sync *r);

/** *reply is owned by the connection until the next call. CF_EREDIS (why holds the server's words),
 * CF_ECONN: lost, or it is not the primary any more; open another. */
int redis_sync_command(struct redis_sync *r, const struct reply **reply, struct why *why,
	size_t argc, const char *const *argv, const size_t *argvlen);
int redis_sync_commandv(struct redis_sync *r, const struct reply **reply, struct why *why, ...)
	__attribute__((sentinel));
int redis_sync_script(struct redis_sync *r, const struct reply **reply, struct why *why,
	const char *name, size_t argc, const char *const *argv, const size_t *argvlen);
/** Pipelining: queue commands, then take the replies one by one in order. */
void redis_sync_send(
	struct redis_sync *r, size_t argc, const char *const *argv, const size_t *argvlen);
int redis_sync_receive(struct redis_sync *r, const struct reply **reply, struct why *why);

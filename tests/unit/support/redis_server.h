/* redis_server.h - a private redis-server in a temporary folder, on a free loopback port and a unix
 * socket.
 *
 * It dies with the test. Without other arguments it persists nothing. Any failure to start fails
 * the test.
 */
#pragma once

#include "common/redis.h"

struct redis_server;

/** extra_args: NULL-ended "--name", "value", … or NULL. Comes back when it answers. */
struct redis_server *redis_server_start(const char *const *extra_args);
/** With TLS on a port of its own (redis_server_tls_options()); its certificate is for "localhost"
 * only. */
struct redis_server *redis_server_start_tls(void);
/** A replica of primary; comes back when it is in step. */
struct redis_server *redis_server_start_replica(const struct redis_server *primary);
/** A node of a cluster, alone and without slots. */
struct redis_server *redis_server_start_node(void);
uint16_t redis_server_bus_port(const struct redis_server *s);
/** A Sentinel that watches the server on port under the name master; quorum 1, down after half a
 * second. more: further lines of its configuration, or "". Comes back when it sees that server and
 * its replicas. */
struct redis_server *redis_server_start_sentinel(
	const char *master, uint16_t port, int replicas, const char *more);
/** Kills it for good, removes its folder. NULL is a no-op. */
void redis_server_stop(struct redis_server *s);

/** kill -9, and waits until it is gone. */
void redis_server_kill(struct redis_server *s);
/** Starts it again (after a kill, or killing it first) on the same port and folder. */
void redis_server_restart(struct redis_server *s);
/** SIGSTOP and SIGCONT: it keeps its connections and does not answer. */
void redis_server_pause(struct redis_server *s);
void redis_server_resume(struct redis_server *s);

uint16_t redis_server_port(const struct redis_server *s);
/** The temporary folder; dump.rdb and appendonlydir/ are there. */
const char *redis_server_folder(const struct redis_server *s);

/** By TCP, fleet "test"; zeroes the rest. Strings live as long as s. */
void redis_server_options(const struct redis_server *s, struct redis_options *out);
void redis_server_unix_options(const struct redis_server *s, struct redis_options *out);
/** With the CA's file, by the name "localhost". */
void redis_server_tls_options(const struct redis_server *s, struct redis_options *out);

/** Runs `redis-cli ARGS` against it (by the unix socket) and gives the output without its last
 * newline; free() it. */
char *redis_server_cli(const struct redis_server *s, const char *args);

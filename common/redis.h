/* redis.h - one asynchronous Redis connection on a libuv loop, to whichever server is the primary.
 *
 * The connection heals itself: it reconnects with jittered backoff (50 ms … 2 s; 400 ms where
 * Sentinels or cluster nodes are asked for the primary), resolves names off the loop, speaks TLS
 * with the host name verified, unix sockets, ACL users, and loads every embedded Lua script after
 * each connect. A server that is a replica, or does not own the fleet's slot of a cluster, is not
 * taken. Commands sent while it is down fail at once with CF_ECONN; what was in flight when it
 * broke fails with CF_ECONN too, and the caller cannot know whether it ran: everything that writes
 * is therefore idempotent. Replies come in order. Every command has a deadline (default 5 s); one
 * that passes fails with CF_ETIMEDOUT and the connection is cut, since replies are in order.
 *
 * Replies that say "not this server, or not now" (READONLY, MOVED, LOADING …) cut it too, and
 * become CF_ECONN: the command did not run. Those that say "not this command now" (OOM, MISCONF,
 * NOREPLICAS) are CF_EREDIS, as every other error: the connection stays, and the caller may repeat.
 *
 * Not thread-safe; owned by one loop. hiredis appears in common/redis*.c only.
 */
#pragma once

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct redis;
struct reply; /* borrowed: dies when the callback returns */

enum reply_type { REPLY_NIL, REPLY_STRING, REPLY_STATUS, REPLY_INT, REPLY_ARRAY, REPLY_ERROR };

enum reply_type reply_type(const struct reply *r);
int64_t reply_int(const struct reply *r); /* 0 if it is not an integer */
const char *reply_str(const struct reply *r,
	size_t *len);                    /* NULL if it is no string, status or error; terminated */
size_t reply_len(const struct reply *r); /* members of an array, else 0 */
const struct reply *reply_at(
	const struct reply *r, size_t i); /* never NULL: a nil reply past the end */

#define REDIS_NODES_MAX 16

/** A Sentinel, or a node of a cluster. */
struct redis_node {
	const char *host;
	uint16_t port;
};

/** Where and as whom to connect; strings borrowed until redis_free(). Filled from the config. With
 * nodes they are asked where the primary is, and host and unix_path are NULL: Sentinels if
 * sentinel_master is given, else nodes of a cluster. */
struct redis_options {
	const char *host; /* NULL: unix_path, or nodes */
	uint16_t port;
	const char *unix_path;
	struct redis_node nodes[REDIS_NODES_MAX];
	size_t nodes_n;
	const char *sentinel_master;   /* the name under which the Sentinels watch it */
	const char *sentinel_username; /* NULL: none */
	const char *sentinel_password; /* NULL: none */
	bool sentinel_tls;
	uint32_t db;
	const char *username; /* NULL: none */
	const char *password; /* NULL: none */
	bool tls;
	const char *tls_ca_file; /* NULL: the system's */
	const char *tls_cert_file;
	const char *tls_key_file;
	const char *fleet;       /* keys are cf:{FLEET}:… */
	const char *client_name; /* for CLIENT SETNAME */
	int64_t timeout_ms;      /* 0: 5000 */
};

/** Called at each change: up after authentication and scripts are loaded; why says what went wrong.
 */
typedef void redis_state_fn(void *arg, bool up, const struct why *why);

/** Never NULL; begins to connect at once. Borrows loop and options. */
struct redis *redis_new(
	uv_loop_t *loop, const struct redis_options *options, redis_state_fn *state, void *arg);
/** Fails what is in flight with CF_ECANCELED, closes, and frees once the loop has turned. NULL is a
 * no-op. */
void redis_free(struct redis *r);
bool redis_is_up(const struct redis *r);
/** Which server that is, or was last tried: "10.0.0.1:6379". Returns out. */
const char *redis_server(const struct redis *r, char *out, size_t size);
/** The loop that it lives on; borrowed. */
uv_loop_t *redis_loop(const struct redis *r);
/** The fleet's key prefix "cf:{FLEET}:"; borrowed. */
const char *redis_prefix(const struct redis *r);
/** Commands waiting for their replies. */
size_t redis_in_flight(const struct redis *r);

/** err is 0 (a reply, of whatever type but ERROR), CF_EREDIS (an error reply, given), or CF_ECONN,
 * CF_ETIMEDOUT, CF_ECANCELED (reply is NULL). Called exactly once, never before redis_command()
 * returned. */
typedef void redis_reply_fn(void *arg, int err, const struct reply *reply);

/** Bytes-safe. args are copied. done may be NULL. */
void redis_command(struct redis *r, size_t argc, const char *const *argv, const size_t *argvlen,
	redis_reply_fn *done, void *arg);
/** For literals and plain strings: redis_commandv(r, done, arg, "GET", key, NULL). */
void redis_commandv(struct redis *r, redis_reply_fn *done, void *arg, ...)
	__attribute__((sentinel));
/** EVALSHA of the embedded script `name` with the key prefix as KEYS[1] and argv as ARGV; falls
 * back to EVAL on NOSCRIPT. An unknown name aborts. */
void redis_script(struct redis *r, const char *name, size_t argc, const char *const *argv,
	const size_t *argvlen, redis_reply_fn *done, void *arg);
/** Messages of a channel arrive on a connection of its own made for it; resubscribed after
 * reconnects. text is the payload. */
typedef void redis_message_fn(void *arg, const char *channel, const char *text, size_t len);
void redis_subscribe(struct redis *r, const char *channel, redis_message_fn *fn, void *arg);

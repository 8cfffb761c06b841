/* redis.h - one asynchronous Redis connection on a libuv loop.
 *
 * The connection heals itself: it reconnects with jittered backoff (50 ms … 2 s), resolves names
 * off the loop, speaks TLS with the host name verified, unix sockets, ACL users, and loads every
 * embedded Lua script after each connect. Commands sent while it is down fail at once with
 * CF_ECONN; what was in flight when it broke fails with CF_ECONN too, and the caller cannot know
 * whether it ran: everything that writes is therefore idempotent. Replies come in order. Every
 * command has a deadline (default 5 s); one that passes fails with CF_ETIMEDOUT and the connection
 * is cut, since replies are in order.
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

/** Where and as whom to connect; strings borrowed until redis_free(). Filled from the config. */
struct redis_options {
	const char *host; /* NULL: unix_path */
	uint16_t port;
	const char *unix_path;
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

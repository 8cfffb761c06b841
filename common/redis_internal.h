/* redis_internal.h - what common/redis*.c share; nobody else includes it.
 *
 * A link is one hiredis connection that heals itself: it resolves, connects, speaks TLS, greets
 * (authentication, database, client name, scripts) and says up; when anything fails it says down
 *and tries again after a backoff.
 *
 *	WAITING ──backoff──► RESOLVING ──► CONNECTING ──► GREETING ──► UP
 *	   ▲                     │             │ (next address)  │         │
 *	   └─────────────────────┴─────────────┴─────────────────┴─────────┘
 */
#pragma once

#include "common/lua_scripts.h"
#include "common/redis.h"

#include <hiredis/async.h>
#include <openssl/ssl.h>

/* --- replies */

static inline const struct reply *reply_wrap(const redisReply *r)
{
	return (const struct reply *)r;
}
/** It is an error whose first word is code. */
bool redis_reply_is(const redisReply *r, const char *code);

/* --- the greeting: what is sent on every new connection, and how its replies are judged */

enum redis_hello_kind { HELLO_AUTH, HELLO_SELECT, HELLO_SETNAME, HELLO_SCRIPT, HELLO_PING };

struct redis_hello {
	enum redis_hello_kind kind;
	const char *script;
	size_t argc;
	const char *argv[3];
	size_t len[3];
	char number[12]; /* argv may point here: not to be copied */
};

/** The greeting's i-th command; false past the last. */
bool redis_hello(const struct redis_options *o, bool scripts, size_t i, struct redis_hello *out);
/** 0, CF_EAUTH, CF_EAGAIN (loading), CF_EREDIS. A user who may not load scripts is no error. */
int redis_hello_judge(const struct redis_options *o, const struct redis_hello *h,
	const redisReply *reply, struct why *why);
/** "127.0.0.1:6379" or the socket's path. Returns out. */
const char *redis_where(const struct redis_options *o, char *out, size_t size);

/* --- TLS */

/** CF_ECRYPTO with a why that names the file. */
int redis_tls_context(const struct redis_options *o, SSL_CTX **out, struct why *why);
/** A client session that verifies options->host. NULL when out of memory. */
SSL *redis_tls_session(SSL_CTX *ctx, const struct redis_options *o);
/** Why the handshake failed, from the session and OpenSSL's error queue. Always returns CF_ECONN.
 */
int redis_tls_why(SSL *ssl, const struct redis_options *o, struct why *why);

/* --- scripts */

#define REDIS_SHA_SIZE 41

/** The hash by which EVALSHA knows a text. */
void redis_script_sha(const struct lua_script *script, char out[REDIS_SHA_SIZE]);
/** Aborts on an unknown name. */
const struct lua_script *redis_script_find(const char *name);

/** A command as RESP, in one allocation that the caller frees. */
struct redis_text {
	char *data;
	size_t len;
};
/** argvlen NULL: strings. */
struct redis_text redis_command_text(size_t argc, const char *const *argv, const size_t *argvlen);
/** EVALSHA sha 1 prefix argv… */
struct redis_text redis_evalsha_text(const char *sha, const char *prefix, size_t argc,
	const char *const *argv, const size_t *argvlen);
/** The same as EVAL, made from what redis_evalsha_text() gave. */
struct redis_text redis_eval_text(
	const struct lua_script *script, const struct redis_text *evalsha);

/* --- the link */

struct redis_link;

struct redis_link_hooks {
	void (*up)(void *arg);
	/* Also after each attempt that failed. */
	void (*down)(void *arg, int err, const struct why *why);
};

/** Begins to connect at once. Borrows all. */
struct redis_link *redis_link_new(uv_loop_t *loop, const struct redis_options *options,
	bool scripts, const struct redis_link_hooks *hooks, void *arg);
/** No hook is called any more; frees itself once the loop has turned. NULL is a no-op. */
void redis_link_close(struct redis_link *l);
/** NULL unless up. */
redisAsyncContext *redis_link_context(struct redis_link *l);
/** For callbacks of commands: NULL once the link let go of ac, else the hooks' arg. */
void *redis_link_owner(const redisAsyncContext *ac);
/** Drops the connection and tries again after a backoff; calls down. */
void redis_link_cut(struct redis_link *l, int err, const char *reason);

/* redis_internal.h - what common/redis*.c share; nobody else includes it.
 *
 * A link is one hiredis connection that heals itself: it asks its guide where the primary is (with
 * Sentinels or a cluster), resolves, connects, speaks TLS, greets (authentication, database, client
 * name, role, slot, scripts) and says up; when anything fails it says down and tries again after a
 * backoff. Once it was told of another primary (+switch-master, MOVED) it goes there, unasked.
 *
 *	                       told where
 *	   ┌─────────────────────────────────────────┐
 *	   │                                         ▼
 *	WAITING ──backoff──► ASKING ──found──► RESOLVING ──► CONNECTING ──► GREETING ──► UP
 *	   ▲                    │                    │           │ (next address)  │      │
 *	   └────────────────────┴────────────────────┴───────────┴─────────────────┴──────┘
 *	                                  anything failed, or told of another primary
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
/** An error by which a server says that it is not the one to talk to, or not now. Nothing ran. */
bool redis_reply_elsewhere(const redisReply *r);

/* --- who is the primary (redis_place.c: values) */

#define REDIS_HOST_SIZE 256

struct redis_place {
	char host[REDIS_HOST_SIZE];
	uint16_t port;
	int64_t epoch; /* of a Sentinel's answer; the greater is the newer. -1: not known */
};

static inline bool redis_is_guided(const struct redis_options *o)
{
	return o->nodes_n > 0;
}
bool redis_place_is(const struct redis_place *p, const char *host, uint16_t port);
/** "MOVED 1234 10.0.0.1:6379" of the server at `from`, which an empty host means. False: it is
 * not that. */
bool redis_place_of_moved(const char *text, const char *from, struct redis_place *out);
/** "MASTER OLD-IP OLD-PORT NEW-IP NEW-PORT", of the channel +switch-master. False: of another. */
bool redis_place_of_switch(const char *text, const char *master, struct redis_place *out);

/** A round of questions: who is asked next, and whose word counts. */
struct redis_search {
	size_t nodes;
	size_t order[REDIS_NODES_MAX]; /* indexes of nodes; who answered last comes first */
	size_t asked;                  /* in this round */
	size_t older;                  /* answers that know less than we do */
	int64_t epoch;                 /* the newest seen */
	struct redis_place best;       /* of the older answers */
};

void redis_search_init(struct redis_search *s, size_t nodes);
void redis_search_begin(struct redis_search *s);
/** Whom to ask now; false when all were. */
bool redis_search_next(const struct redis_search *s, size_t *node);
/** It did not help. */
void redis_search_pass(struct redis_search *s);
/** Its answer. True: that is the primary. False: it knows less than we do, go on. */
bool redis_search_answer(struct redis_search *s, const struct redis_place *answer);
/** When all were asked: if most of them know less than we do, they were made anew and are right. */
bool redis_search_settle(struct redis_search *s, struct redis_place *out);
/** Has node asked first from now on. */
void redis_search_prefer(struct redis_search *s, size_t node);

/* --- the greeting: what is sent on every new connection, and how its replies are judged */

/** Whom we talk to, and so what is said. */
enum redis_peer {
	PEER_PRIMARY,    /* it must be one, own our slot, and have the scripts */
	PEER_SUBSCRIBED, /* the same, without scripts */
	PEER_NODE,       /* of a cluster: to be asked where our slot is */
	PEER_SENTINEL,
};

enum redis_hello_kind {
	HELLO_AUTH,
	HELLO_SELECT,
	HELLO_SETNAME,
	HELLO_ROLE,
	HELLO_SLOT,
	HELLO_SCRIPT,
	HELLO_PING,
};

struct redis_hello {
	enum redis_hello_kind kind;
	const char *script;
	size_t argc;
	const char *argv[3];
	size_t len[3];
	char text[80]; /* argv may point here: not to be copied */
};

/** The greeting's i-th command; false past the last. */
bool redis_hello(
	const struct redis_options *o, enum redis_peer peer, size_t i, struct redis_hello *out);
/** EXISTS of the fleet's prefix: a key that never exists. Who owns its slot says 0, who does not
 * says MOVED, and who is giving it away says ASK. */
void redis_hello_slot(const struct redis_options *o, struct redis_hello *out);
/** 0, CF_EAUTH, CF_EAGAIN (loading, a replica, not our slot's owner or not now), CF_EREDIS. A user
 * who may not load scripts or see the role is no error. */
int redis_hello_judge(const struct redis_options *o, const struct redis_hello *h,
	const redisReply *reply, struct why *why);

/* --- the questions to nodes */

/** The options by which node i is reached; false past the last. Borrows from o. */
bool redis_node_options(const struct redis_options *o, size_t i, struct redis_options *out);
enum redis_peer redis_node_peer(const struct redis_options *o);
/** The i-th question to a node; false past the last. */
bool redis_question(const struct redis_options *o, size_t i, struct redis_hello *out);
/** What the reply tells, into *place, which all questions to a node fill together. CF_ENOTFOUND,
 * CF_EAGAIN, CF_EAUTH, CF_EREDIS: it does not help. */
int redis_question_judge(const struct redis_options *o, const struct redis_options *node, size_t i,
	const redisReply *reply, struct redis_place *place, struct why *why);
/** "Sentinel", for what redis_node_options() gave of one; else "Redis". */
const char *redis_what(const struct redis_options *o);
/** "127.0.0.1:6379", the socket's path, or "?" before nodes have said where. Returns out. */
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
	enum redis_peer peer, const struct redis_link_hooks *hooks, void *arg);
/** No hook is called any more; frees itself once the loop has turned. NULL is a no-op. */
void redis_link_close(struct redis_link *l);
/** NULL unless up. */
redisAsyncContext *redis_link_context(struct redis_link *l);
/** With the host and port that it is at, or tried last; borrowed. */
const struct redis_options *redis_link_options(const struct redis_link *l);
/** For callbacks of commands: NULL once the link let go of ac, else the hooks' arg. */
void *redis_link_owner(const redisAsyncContext *ac);
/** Drops the connection and tries again after a backoff; calls down. */
void redis_link_cut(struct redis_link *l, int err, const char *reason);
/** The same for an error reply of redis_reply_elsewhere(): MOVED says where to go next. */
void redis_link_cut_reply(struct redis_link *l, const redisReply *reply);

/* --- the guide: one for all links of a loop with the same options (redis_guide.c)
 *
 * It asks the nodes in turn, each with a short deadline, who answered last first. With Sentinels it
 * stays subscribed to +switch-master at one of them, so that a primary that was deposed and does
 * not know it is left at once.
 */

struct redis_guide;

/** A link, as its guide sees it. */
struct redis_follower {
	struct redis_follower *next;
	bool asking;
	uint32_t told; /* which move it was last told of */
	/* Called once for each redis_guide_ask(): err 0 and place, or why. */
	void (*found)(struct redis_follower *f, int err, const struct redis_place *place,
		const struct why *why);
	/* Another one is the primary now. */
	void (*moved)(struct redis_follower *f, const struct redis_place *place);
};

/** NULL where there is nobody to ask. */
struct redis_guide *redis_guide_join(
	uv_loop_t *loop, const struct redis_options *options, struct redis_follower *f);
/** NULL is a no-op. */
void redis_guide_leave(struct redis_guide *g, struct redis_follower *f);
/** Not within found(). */
void redis_guide_ask(struct redis_guide *g, struct redis_follower *f);

/* v1_internal.h - a call as the files of the API know it. */
#pragma once

#include "common/mp.h"
#include "scheduler/api/access.h"
#include "scheduler/api/events.h"
#include "scheduler/api/v1.h"

#include <jansson.h>

#define V1_BODY_MAX    65536
#define V1_PAGE        50
#define V1_PAGE_MAX    200
#define V1_LIST        200
#define V1_LIST_MAX    1000
#define V1_KEY_MAX     319 /* of a member of a list */
#define V1_COOKIE      "certfleet_session"
#define V1_LINK_COOKIE "certfleet_link"
#define V1_JSON_MAX    (4u << 20)

struct v1_call;

struct v1_route {
	unsigned method;     /* one HTTPD_* */
	const char *pattern; /* segments; ":id" fits one and becomes call.id */
	void (*fn)(struct v1_call *c);
	unsigned flags;
	const char *query; /* the parameters that it takes, with blanks between; NULL: none */
	const char *body;  /* the members that its body may have, likewise; NULL: no body */
};

/** All paths and methods; the OpenAPI document (openapi.yaml) says the same, or a test fails. */
extern const struct v1_route v1_routes[];
extern const size_t v1_routes_n;

/** The OpenAPI document as JSON, from openapi.yaml. */
extern const char *const v1_openapi;

enum {
	V1_OPEN = 1,  /* nobody has to say who asks */
	V1_FLEET = 2, /* about all tenants: not for who has one */
	V1_MANY = 4,  /* about many endpoints: not for who has a link to one */
	V1_BODY = 8,  /* nothing without a body */
	V1_ONCE = 16, /* an Idempotency-Key makes it one with what was sent before */
	V1_IF = 32,   /* If-Match holds it back when the endpoint has changed since */
};

struct v1 {
	struct v1_options o;
	struct access_tokens *tokens; /* NULL: open, if it listens on loopback alone */
	bool loopback;
	const char **hosts;
	size_t hosts_n;
	uint8_t label_key[32];
	bool has_label_key;
	uv_timer_t tick;
	uv_idle_t work; /* runs while queries do */
	uv_fs_poll_t tokens_file;
	struct v1_call *calls;
	struct events *events; /* NULL until it is started */
	uint64_t asked;        /* requests sent, for their ids */
	bool closed;
};

struct v1_call {
	struct v1_call *next, **at;
	struct v1 *v1;
	struct httpd_request *http;
	const struct v1_route *route;
	struct access_identity who;
	bool by_cookie, changes;
	uint64_t generation;          /* of the endpoint that is shown, for its ETag; 0: none */
	char *session;                /* Redis' key of the cookie's session */
	char id[ENDPOINT_ID_MAX + 1]; /* ":id" of the path */
	json_t *body;                 /* an object; NULL: none */
	/* of handlers that take longer */
	struct index_query *query;
	void (*queried)(struct v1_call *c);
	size_t left;    /* replies of Redis to come */
	json_t *answer; /* being made */
	int err;        /* the first one that Redis gave */
	char *wait_key; /* of the answer that is waited for */
	int64_t deadline_ms, asked_ms;
	bool asking;
	void (*answered)(struct v1_call *c, const struct reply *reply);
};

/** Sets route and id, or ends the call (routes.c). */
bool v1_find_route(struct v1_call *c);
/** Does the route take these parameters and this body? Else the call is ended. */
bool v1_fits(struct v1_call *c);
/** Goes on with the route's handler, unless its Idempotency-Key was used for something else
 * (once.c). */
void v1_once(struct v1_call *c);

/** Ends the call. j is taken. */
void v1_json(struct v1_call *c, unsigned status, json_t *j);
/** The same with headers: name, value, …, NULL. */
void v1_json_headers(struct v1_call *c, unsigned status, json_t *j, const char *const *headers);
/** Ends the call with what was asked for: 200, or 304 if the client has it. text is taken. */
void v1_text_answer(struct v1_call *c, const char *type, char *text, const char *const *headers);
/** Ends the call with a problem (RFC 9457); code becomes its type, text its detail. */
void v1_problem(struct v1_call *c, unsigned status, const char *code, const char *text);
void v1_problemf(struct v1_call *c, unsigned status, const char *code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/** The same with headers: name, value, …, NULL. */
void v1_problem_headers(struct v1_call *c, unsigned status, const char *code, const char *text,
	const char *const *headers);
void v1_redis_problem(struct v1_call *c, int err);
/** Frees it without an answer: the handler answered c->http itself. */
void v1_done(struct v1_call *c);

/** A query parameter as a number within bounds; false: the call is ended with a problem. */
bool v1_number(struct v1_call *c, const char *name, size_t least, size_t most, size_t fallback,
	size_t *out);
/* The body (body.c). false: the call is ended with a problem that names the member. */
bool v1_wrong(struct v1_call *c, const char *key, const char *expected);
/** *out is NULL when the key is absent or null. Borrowed from the body. */
bool v1_text(struct v1_call *c, const char *key, const char **out);
/** A fallback beyond the bounds: the key must be there. */
bool v1_seconds(struct v1_call *c, const char *key, int64_t least, int64_t most, int64_t fallback,
	int64_t *out);
/** May the caller see what belongs to this tenant and endpoint? */
bool v1_may(const struct v1_call *c, const char *tenant, const char *endpoint);

/** Walks a query in steps, then calls done. */
void v1_query(struct v1_call *c, struct index_query *q, void (*done)(struct v1_call *c));

struct facts;
/** HMGET of an endpoint and its timeline; done gets the reply (NULL: c->err says why not). */
void v1_read(struct v1_call *c, const char *id, redis_reply_fn *done, void *arg);
/** The facts of a reply; CF_ENOTFOUND. Release them. */
int v1_facts(struct v1 *v, const struct reply *reply, bool whole, struct facts *out);

/** The facts of v1_read()'s reply, if the caller may see (or change) the endpoint: what is not his
 * is not there. false: the call is ended. Release them. */
bool v1_mine(struct v1_call *c, int err, const struct reply *reply, bool whole, struct facts *out);

/** Sends a request of this type about c->id, with data, and answers with what the leader says. */
void v1_ask(struct v1_call *c, const char *type, const char *subject, const struct buf *data);
/** Answers as what the same Idempotency-Key asked was answered; else goes on with the handler. */
void v1_again(struct v1_call *c);
/** Looks for answers that are due; from the tick. */
void v1_ask_tick(struct v1 *v, int64_t now_ms);

/* Lists whose members are read one by one (members.c). */
struct member;
/** A member as JSON, or NULL to leave it out. */
typedef json_t *v1_read_fn(struct v1_call *c, const char *key, const struct reply *reply);
/** A place in c->answer for what redis_commandv(…, v1_member_read, MEMBER, …) brings. */
struct member *v1_member(struct v1_call *c, const char *key, v1_read_fn *read);
void v1_member_read(void *arg, int err, const struct reply *reply);
/** Ends the call with {WHAT: […]}, WHAT being the last word of its path. */
void v1_end_list(struct v1_call *c);

/* Handlers, by file. */
void v1_list(struct v1_call *c); /* list.c */
void v1_overview(struct v1_call *c);
void v1_show(struct v1_call *c); /* show.c */
void v1_records(struct v1_call *c);
void v1_certificate(struct v1_call *c);
void v1_chain(struct v1_call *c);
void v1_add(struct v1_call *c); /* change.c */
void v1_update(struct v1_call *c);
void v1_remove(struct v1_call *c);
void v1_verify(struct v1_call *c);
void v1_renew(struct v1_call *c);
void v1_revoke(struct v1_call *c);
void v1_jobs(struct v1_call *c); /* jobs.c */
void v1_retry(struct v1_call *c);
void v1_cancel(struct v1_call *c);
void v1_alerts(struct v1_call *c); /* fleet.c */
void v1_workers(struct v1_call *c);
void v1_quotas(struct v1_call *c);
void v1_queues(struct v1_call *c);   /* queues.c */
void v1_silences(struct v1_call *c); /* silences.c */
void v1_silence(struct v1_call *c);
void v1_silence_add(struct v1_call *c);
void v1_silence_end(struct v1_call *c);
void v1_listen(struct v1_call *c);   /* v1.c */
void v1_document(struct v1_call *c); /* document.c */
void v1_who(struct v1_call *c);      /* session.c */
void v1_login(struct v1_call *c);
void v1_logout(struct v1_call *c);
/** Reads the session of a cookie; goes on with v1_enter() or ends the call. */
void v1_session(struct v1_call *c, const char *cookie);
/** Redis' key of a session. Owned. */
char *v1_session_key(const struct v1 *v, const char *cookie);
/** A Set-Cookie header's value. Owned. */
char *v1_set_cookie(struct v1_call *c, const char *name, const char *value, int seconds);
void v1_link(struct v1_call *c); /* links.c */
void v1_unlink(struct v1_call *c);
void v1_exchange(struct v1_call *c);
/** The caller is known: body, rights, handler. */
void v1_enter(struct v1_call *c);

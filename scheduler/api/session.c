/* Sessions: a browser gives a token once, and then has a cookie that pages cannot read.
 *
 * Redis keeps session:SHA256(cookie): the name of the token, for twelve hours from the last use, or
 * "link:HASH" for as long as the link lives. A token that left the file ends its sessions, and so
 * does a link that was revoked.
 */
#include "common/mem.h"
#include "scheduler/api/v1_internal.h"
#include "scheduler/cli/facts.h"

#include <stdio.h>
#include <string.h>

#define SESSION_S      43200
#define SESSION_S_TEXT "43200"

char *v1_session_key(const struct v1 *v, const char *cookie)
{
	char hash[2 * ACCESS_HASH_BYTES + 1];

	access_hash(cookie, hash);
	return mem_printf("%ssession:%s", redis_prefix(v->o.redis), hash);
}

static void over(struct v1_call *c)
{
	v1_problem(c, 401, "session_over", "log in again");
}

static void got_link(void *arg, int err, const struct reply *reply)
{
	struct v1_call *c = arg;
	const char *endpoint = err ? NULL : reply_str(reply_at(reply, 0), NULL);
	const char *tenant = err ? NULL : reply_str(reply_at(reply, 1), NULL);

	c->left = 0;
	if (err || c->v1->closed) {
		v1_redis_problem(c, err);
		return;
	}
	if (!endpoint || !tenant) {
		v1_problem(c, 401, "link_over", "this link is over: ask for another one");
		return;
	}
	c->who = (struct access_identity){.name = "link", .scope = ACCESS_READ};
	snprintf(c->who.endpoint, sizeof c->who.endpoint, "%s", endpoint);
	snprintf(c->who.tenant, sizeof c->who.tenant, "%s", tenant);
	v1_enter(c);
}

static void read_link(struct v1_call *c, const char *hash)
{
	_mem_free_ char *key = mem_printf("%slink:%s", redis_prefix(c->v1->o.redis), hash);

	c->left = 1;
	redis_commandv(c->v1->o.redis, got_link, c, "HMGET", key, "endpoint", "tenant", NULL);
}

static void got_session(void *arg, int err, const struct reply *reply)
{
	struct v1_call *c = arg;
	const char *name = err ? NULL : reply_str(reply, NULL);
	const struct access_identity *who = name ? access_tokens_named(c->v1->tokens, name) : NULL;

	c->left = 0;
	if (err || c->v1->closed) {
		v1_redis_problem(c, err);
	} else if (name && strncmp(name, "link:", 5) == 0) {
		read_link(c, name + 5);
	} else if (who) {
		redis_commandv(
			c->v1->o.redis, NULL, NULL, "EXPIRE", c->session, SESSION_S_TEXT, NULL);
		c->who = *who;
		v1_enter(c);
	} else {
		over(c);
	}
}

void v1_session(struct v1_call *c, const char *cookie)
{
	if (!c->v1->tokens) { /* open: a cookie from other times says nothing */
		c->who = (struct access_identity){.name = "local", .scope = ACCESS_WRITE};
		v1_enter(c);
		return;
	}
	c->session = v1_session_key(c->v1, cookie);
	c->left = 1;
	redis_commandv(c->v1->o.redis, got_session, c, "GET", c->session, NULL);
}

static json_t *who_json(const struct v1 *v, const struct access_identity *who)
{
	return json_pack("{s:s s:s s:o s:o s:s s:s}", "name", who->name, "scope",
		who->scope == ACCESS_WRITE ? "write" : "read", "tenant",
		who->tenant[0] ? json_text(who->tenant) : json_null(), "endpoint",
		who->endpoint[0] ? json_text(who->endpoint) : json_null(), "fleet",
		v->o.config->fleet, "version", CERTFLEET_VERSION);
}

void v1_who(struct v1_call *c)
{
	v1_json(c, 200, who_json(c->v1, &c->who));
}

/* Over TLS, which may end before us, the cookie is for TLS alone. */
char *v1_set_cookie(struct v1_call *c, const char *name, const char *value, int seconds)
{
	const char *origin = httpd_header(c->http, "Origin");
	bool tls = origin && strncmp(origin, "https:", 6) == 0;

	return mem_printf("%s=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%d%s", name, value,
		seconds, tls ? "; Secure" : "");
}

struct login {
	struct v1_call *call;
	char secret[ACCESS_SECRET_SIZE];
};

static void logged_in(void *arg, int err, const struct reply *reply)
{
	struct login *l = arg;
	struct v1_call *c = l->call;
	_mem_free_ char *cookie = v1_set_cookie(c, V1_COOKIE, l->secret, SESSION_S);
	const char *const headers[] = {"Set-Cookie", cookie, NULL};

	(void)reply;
	c->left = 0;
	if (err || c->v1->closed)
		v1_redis_problem(c, err);
	else
		v1_json_headers(c, 200, who_json(c->v1, &c->who), headers);
	mem_wipe_free(l, sizeof *l);
}

void v1_login(struct v1_call *c)
{
	const struct access_identity *who;
	_mem_free_ char *key = NULL;
	const char *token;
	struct login *l;

	if (!v1_text(c, "token", &token))
		return;
	who = token ? access_tokens_find(c->v1->tokens, token) : NULL;
	if (!who) {
		v1_problem(c, 401, "unknown_token", "this token is not known here");
		return;
	}
	c->who = *who;
	l = mem_zalloc(sizeof *l);
	l->call = c;
	access_new_secret(l->secret);
	key = v1_session_key(c->v1, l->secret);
	c->left = 1;
	redis_commandv(
		c->v1->o.redis, logged_in, l, "SET", key, who->name, "EX", SESSION_S_TEXT, NULL);
}

void v1_logout(struct v1_call *c)
{
	_mem_free_ char *cookie = v1_set_cookie(c, V1_COOKIE, "", 0), *key = NULL;
	const char *const headers[] = {"Set-Cookie", cookie, NULL};
	char value[ACCESS_SECRET_SIZE];

	if (access_cookie(httpd_header(c->http, "Cookie"), V1_COOKIE, value, sizeof value)) {
		key = v1_session_key(c->v1, value);
		redis_commandv(c->v1->o.redis, NULL, NULL, "DEL", key, NULL);
	}
	v1_json_headers(c, 200, json_pack("{s:s}", "status", "done"), headers);
}

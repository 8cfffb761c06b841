/* Links for a customer: one endpoint's page, to read, until a time; given as a secret behind "#",
 * which browsers send to nobody.
 *
 *	POST /v1/endpoints/ID/links ──► link:SHA256(secret), listed in links:ID
 *	the page gives the secret once: POST /v1/links/exchange ──► a cookie, for as long as the
 *link lives DELETE /v1/endpoints/ID/links ──► all of them are over, and their cookies with them
 */
#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"
#include "scheduler/api/v1_internal.h"
#include "scheduler/cli/facts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LINKS_MAX     50 /* alive at once, of an endpoint */
#define EXPIRES_LEAST 60
#define EXPIRES_MOST  2592000
#define EXPIRES_USUAL 604800

static char *link_key(const struct v1 *v, const char *hash)
{
	return mem_printf("%slink:%s", redis_prefix(v->o.redis), hash);
}

static char *list_key(const struct v1_call *c)
{
	return mem_printf("%slinks:%s", redis_prefix(c->v1->o.redis), c->id);
}

/* --- making one: the endpoint is looked at first, then written in order on one connection */

struct making {
	struct v1_call *call;
	int64_t seconds;
	char secret[ACCESS_SECRET_SIZE];
	int64_t expires_ms;
};

static void made(void *arg, int err, const struct reply *reply)
{
	struct making *m = arg;
	struct v1_call *c = m->call;
	_mem_free_ char *path = mem_printf("/link#%s", m->secret);

	(void)reply;
	c->left = 0;
	if (err || c->v1->closed)
		v1_redis_problem(c, err);
	else
		v1_json(c, 201,
			json_pack("{s:s s:s s:o s:s}", "endpoint", c->id, "path", path, "expires",
				json_time(m->expires_ms), "secret", m->secret));
	mem_wipe_free(m, sizeof *m);
}

static void write_link(struct making *m, const char *tenant)
{
	struct v1_call *c = m->call;
	char hash[2 * ACCESS_HASH_BYTES + 1], seconds[24], expires[24];
	_mem_free_ char *key = NULL, *list = list_key(c);
	struct redis *redis = c->v1->o.redis;

	access_new_secret(m->secret);
	access_hash(m->secret, hash);
	key = link_key(c->v1, hash);
	m->expires_ms = clock_wall_ms() + m->seconds * 1000;
	snprintf(seconds, sizeof seconds, "%" PRId64, m->seconds);
	snprintf(expires, sizeof expires, "%" PRId64, m->expires_ms);
	redis_commandv(redis, NULL, NULL, "HSET", key, "endpoint", c->id, "tenant", tenant, "by",
		c->who.name, NULL);
	redis_commandv(redis, NULL, NULL, "EXPIRE", key, seconds, NULL);
	redis_commandv(redis, NULL, NULL, "ZREMRANGEBYRANK", list, "0", "-50", NULL);
	redis_commandv(redis, NULL, NULL, "EXPIRE", list, "2592000", NULL);
	c->left = 1;
	redis_commandv(redis, made, m, "ZADD", list, expires, hash, NULL);
}

static void link_allowed(void *arg, int err, const struct reply *reply)
{
	struct making *m = arg;
	struct v1_call *c = m->call;
	struct facts f = {0};

	c->left = 0;
	if (v1_mine(c, err, reply, false, &f))
		write_link(m, f.endpoint.config.tenant);
	else
		free(m);
	facts_release(&f);
}

void v1_link(struct v1_call *c)
{
	struct making *m;
	int64_t seconds;

	if (!v1_seconds(c, "expires_in", EXPIRES_LEAST, EXPIRES_MOST, EXPIRES_USUAL, &seconds))
		return;
	m = mem_zalloc(sizeof *m);
	m->call = c;
	m->seconds = seconds;
	c->left = 1;
	v1_read(c, c->id, link_allowed, m);
}

/* --- revoking: all links of an endpoint */

static void revoked(void *arg, int err, const struct reply *hashes)
{
	struct v1_call *c = arg;
	_mem_free_ char *list = list_key(c);
	size_t n = err ? 0 : reply_len(hashes);

	c->left = 0;
	if (err || c->v1->closed) {
		v1_redis_problem(c, err);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		const char *hash = reply_str(reply_at(hashes, i), NULL);
		_mem_free_ char *key = link_key(c->v1, hash ? hash : "");

		redis_commandv(c->v1->o.redis, NULL, NULL, "DEL", key, NULL);
	}
	redis_commandv(c->v1->o.redis, NULL, NULL, "DEL", list, NULL);
	v1_json(c, 200,
		json_pack("{s:s s:s s:I}", "status", "done", "endpoint", c->id, "revoked",
			(json_int_t)n));
}

static void revoke_allowed(void *arg, int err, const struct reply *reply)
{
	struct v1_call *c = arg;
	_mem_free_ char *list = list_key(c);
	struct facts f = {0};

	c->left = 0;
	if (!v1_mine(c, err, reply, false, &f))
		return;
	facts_release(&f);
	c->left = 1;
	redis_commandv(c->v1->o.redis, revoked, c, "ZRANGE", list, "0", "-1", NULL);
}

void v1_unlink(struct v1_call *c)
{
	c->left = 1;
	v1_read(c, c->id, revoke_allowed, c);
}

/* --- the secret for a cookie, once */

struct exchange {
	struct v1_call *call;
	char secret[ACCESS_SECRET_SIZE];      /* of the cookie */
	char hash[2 * ACCESS_HASH_BYTES + 1]; /* of the link */
	char endpoint[ENDPOINT_ID_MAX + 1];
	int64_t seconds;
};

static void exchange_free(struct exchange *x)
{
	mem_wipe_free(x, sizeof *x);
}

static void exchanged(void *arg, int err, const struct reply *reply)
{
	struct exchange *x = arg;
	struct v1_call *c = x->call;
	_mem_free_ char *cookie = v1_set_cookie(c, V1_LINK_COOKIE, x->secret, (int)x->seconds);
	const char *const headers[] = {"Set-Cookie", cookie, NULL};

	(void)reply;
	c->left = 0;
	if (err || c->v1->closed)
		v1_redis_problem(c, err);
	else
		v1_json_headers(c, 200, json_pack("{s:s}", "endpoint", x->endpoint), headers);
	exchange_free(x);
}

static void over(struct exchange *x, const char *text)
{
	v1_problem(x->call, 410, "link_over", text);
	exchange_free(x);
}

/* [1 if it was not used before, endpoint, seconds left], in this order on one connection. */
static void got_ttl(void *arg, int err, const struct reply *reply)
{
	struct exchange *x = arg;
	struct v1_call *c = x->call;
	_mem_free_ char *value = mem_printf("link:%s", x->hash), *key = NULL;
	char seconds[24];

	c->left--;
	x->seconds = err ? 0 : reply_int(reply);
	if (err || c->v1->closed) {
		v1_redis_problem(c, err);
		exchange_free(x);
	} else if (!x->endpoint[0] || x->seconds <= 0) {
		over(x, "this link is over: ask for another one");
	} else if (c->err) {
		over(x, "this link was opened already, perhaps on another device: ask for another "
			"one");
	} else {
		access_new_secret(x->secret);
		key = v1_session_key(c->v1, x->secret);
		snprintf(seconds, sizeof seconds, "%" PRId64, x->seconds);
		c->left = 1;
		redis_commandv(
			c->v1->o.redis, exchanged, x, "SET", key, value, "EX", seconds, NULL);
	}
}

static void got_endpoint(void *arg, int err, const struct reply *reply)
{
	struct exchange *x = arg;
	const char *endpoint = err ? NULL : reply_str(reply, NULL);

	x->call->left--;
	snprintf(x->endpoint, sizeof x->endpoint, "%s", endpoint ? endpoint : "");
}

static void got_used(void *arg, int err, const struct reply *reply)
{
	struct exchange *x = arg;

	x->call->left--;
	if (!err && reply_int(reply) != 1)
		x->call->err = CF_EEXIST;
}

void v1_exchange(struct v1_call *c)
{
	_mem_free_ char *key = NULL;
	const char *secret;
	struct exchange *x;

	if (!v1_text(c, "secret", &secret))
		return;
	if (!secret || strlen(secret) >= ACCESS_SECRET_SIZE) {
		v1_problem(
			c, 422, "invalid", "secret: expected what stands behind the link's \"#\"");
		return;
	}
	x = mem_zalloc(sizeof *x);
	x->call = c;
	access_hash(secret, x->hash);
	key = link_key(c->v1, x->hash);
	c->left = 3;
	/* Of a link that is not there HINCRBY would leave a stub: so its endpoint is asked for
	 * first, and the stub expires. */
	redis_commandv(c->v1->o.redis, got_endpoint, x, "HGET", key, "endpoint", NULL);
	redis_commandv(c->v1->o.redis, got_used, x, "HINCRBY", key, "used", "1", NULL);
	redis_commandv(c->v1->o.redis, NULL, NULL, "EXPIRE", key, "60", "NX", NULL);
	redis_commandv(c->v1->o.redis, got_ttl, x, "TTL", key, NULL);
}

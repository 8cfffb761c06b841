#include "common/redis_internal.h"

#include "common/mem.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void set(struct redis_hello *h, enum redis_hello_kind kind, size_t argc, ...)
{
	va_list ap;

	h->kind = kind;
	h->script = NULL;
	h->argc = argc;
	va_start(ap, argc);
	for (size_t i = 0; i < argc; i++) {
		h->argv[i] = va_arg(ap, const char *);
		h->len[i] = strlen(h->argv[i]);
	}
	va_end(ap);
}

static void set_auth(const struct redis_options *o, struct redis_hello *h)
{
	if (o->username)
		set(h, HELLO_AUTH, 3, "AUTH", o->username, o->password);
	else
		set(h, HELLO_AUTH, 2, "AUTH", o->password);
}

static void set_script(const struct lua_script *script, struct redis_hello *h)
{
	set(h, HELLO_SCRIPT, 3, "SCRIPT", "LOAD", script->text);
	h->len[2] = script->len;
	h->script = script->name;
}

void redis_hello_slot(const struct redis_options *o, struct redis_hello *h)
{
	snprintf(h->text, sizeof h->text, "cf:{%s}:", o->fleet ? o->fleet : "");
	set(h, HELLO_SLOT, 2, "EXISTS", h->text);
}

static void set_check(const struct redis_options *o, size_t i, struct redis_hello *h)
{
	if (i == 0)
		set(h, HELLO_ROLE, 1, "ROLE");
	else
		redis_hello_slot(o, h);
}

bool redis_hello(
	const struct redis_options *o, enum redis_peer peer, size_t i, struct redis_hello *out)
{
	size_t checks = peer == PEER_PRIMARY || peer == PEER_SUBSCRIBED ? 2 : 0;
	size_t scripts = peer == PEER_PRIMARY ? lua_scripts_n : 0;

	if (o->password && i-- == 0) {
		set_auth(o, out);
	} else if (o->db && i-- == 0) {
		snprintf(out->text, sizeof out->text, "%" PRIu32, o->db);
		set(out, HELLO_SELECT, 2, "SELECT", out->text);
	} else if (o->client_name && i-- == 0) {
		set(out, HELLO_SETNAME, 3, "CLIENT", "SETNAME", o->client_name);
	} else if (i < checks) {
		set_check(o, i, out);
	} else if (i - checks < scripts) {
		set_script(&lua_scripts[i - checks], out);
	} else if (i - checks == scripts) {
		set(out, HELLO_PING, 1, "PING");
	} else {
		return false;
	}
	return true;
}

static bool is_sentinel(const struct redis_options *o)
{
	return o->sentinel_master && !redis_is_guided(o);
}

const char *redis_what(const struct redis_options *o)
{
	return is_sentinel(o) ? "Sentinel" : "Redis";
}

/* Which section of the configuration has its user. */
static const char *section(const struct redis_options *o)
{
	return is_sentinel(o) ? "redis.sentinel" : "redis";
}

static int refused_login(const struct redis_options *o, const redisReply *reply, struct why *why)
{
	return why_set(why, CF_EAUTH,
		"it refuses user \"%s\" (%s): check %s.username and %s.password_file",
		o->username ? o->username : "default", reply->str, section(o), section(o));
}

static int judge_role(const redisReply *reply, struct why *why)
{
	const redisReply *role =
		reply->type == REDIS_REPLY_ARRAY && reply->elements ? reply->element[0] : NULL;

	if (!role || !role->str || !strcmp(role->str, "master"))
		return 0;
	return why_set(why, CF_EAGAIN, "it is not the primary but a %s",
		strcmp(role->str, "slave") ? role->str : "replica");
}

static int judge_slot(const struct redis_options *o, const redisReply *reply, struct why *why)
{
	if (redis_reply_is(reply, "MOVED"))
		return redis_is_guided(o)
			       ? why_set(why, CF_EAGAIN, "the fleet's slot is elsewhere (%s)",
					 reply->str)
			       : why_set(why, CF_EREDIS,
					 "it is a node of a cluster and does not own the fleet's "
					 "slot (%s): give redis.cluster in place of redis.url",
					 reply->str);
	if (redis_reply_is(reply, "ASK") || redis_reply_is(reply, "TRYAGAIN"))
		return why_set(why, CF_EAGAIN,
			"the fleet's slot is being moved to another node: waiting until it is "
			"there (%s)",
			reply->str);
	if (redis_reply_is(reply, "CLUSTERDOWN"))
		return why_set(why, CF_EAGAIN, "its cluster is down (%s)", reply->str);
	return 0;
}

int redis_hello_judge(const struct redis_options *o, const struct redis_hello *h,
	const redisReply *reply, struct why *why)
{
	int err;

	if (h->kind == HELLO_ROLE && reply->type != REDIS_REPLY_ERROR)
		return judge_role(reply, why);
	if (reply->type != REDIS_REPLY_ERROR || h->kind == HELLO_SETNAME)
		return 0;
	if (redis_reply_is(reply, "LOADING"))
		return why_set(why, CF_EAGAIN, "it is still loading its data set");
	if (h->kind == HELLO_AUTH)
		return refused_login(o, reply, why);
	if (redis_reply_is(reply, "NOAUTH"))
		return why_set(why, CF_EAUTH,
			"it asks for a password: set %s.password_file (and %s.username)",
			section(o), section(o));
	if (h->kind != HELLO_SELECT && redis_reply_is(reply, "NOPERM"))
		return 0;
	err = judge_slot(o, reply, why);
	if (err)
		return err;
	if (h->kind == HELLO_SELECT)
		return why_set(why, CF_EREDIS, "it refuses database %s: %s", h->text, reply->str);
	if (h->kind == HELLO_SCRIPT)
		return why_set(
			why, CF_EREDIS, "it refuses the script %s: %s", h->script, reply->str);
	return why_set(why, CF_EREDIS, "it answers with an error: %s", reply->str);
}

const char *redis_where(const struct redis_options *o, char *out, size_t size)
{
	if (!o->host)
		snprintf(out, size, "%s", o->unix_path ? o->unix_path : "?");
	else
		snprintf(out, size, strchr(o->host, ':') ? "[%s]:%u" : "%s:%u", o->host,
			(unsigned)o->port);
	return out;
}

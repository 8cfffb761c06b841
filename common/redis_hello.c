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

bool redis_hello(const struct redis_options *o, bool scripts, size_t i, struct redis_hello *out)
{
	size_t n = scripts ? lua_scripts_n : 0;

	if (o->password && i-- == 0) {
		set_auth(o, out);
	} else if (o->db && i-- == 0) {
		snprintf(out->number, sizeof out->number, "%" PRIu32, o->db);
		set(out, HELLO_SELECT, 2, "SELECT", out->number);
	} else if (o->client_name && i-- == 0) {
		set(out, HELLO_SETNAME, 3, "CLIENT", "SETNAME", o->client_name);
	} else if (i < n) {
		set_script(&lua_scripts[i], out);
	} else if (i == n) {
		set(out, HELLO_PING, 1, "PING");
	} else {
		return false;
	}
	return true;
}

static int refused_login(const struct redis_options *o, const redisReply *reply, struct why *why)
{
	return why_set(why, CF_EAUTH,
		"it refuses user \"%s\" (%s): check redis.username and redis.password_file",
		o->username ? o->username : "default", reply->str);
}

int redis_hello_judge(const struct redis_options *o, const struct redis_hello *h,
	const redisReply *reply, struct why *why)
{
	if (reply->type != REDIS_REPLY_ERROR || h->kind == HELLO_SETNAME)
		return 0;
	if (redis_reply_is(reply, "LOADING"))
		return why_set(why, CF_EAGAIN, "it is still loading its data set");
	if (h->kind == HELLO_AUTH)
		return refused_login(o, reply, why);
	if (redis_reply_is(reply, "NOAUTH"))
		return why_set(why, CF_EAUTH,
			"it asks for a password: set redis.password_file (and redis.username)");
	if (h->kind != HELLO_SELECT && redis_reply_is(reply, "NOPERM"))
		return 0;
	if (h->kind == HELLO_SELECT)
		return why_set(why, CF_EREDIS, "it refuses database %s of redis.url: %s", h->number,
			reply->str);
	if (h->kind == HELLO_SCRIPT)
		return why_set(
			why, CF_EREDIS, "it refuses the script %s: %s", h->script, reply->str);
	return why_set(why, CF_EREDIS, "it answers with an error: %s", reply->str);
}

const char *redis_where(const struct redis_options *o, char *out, size_t size)
{
	if (!o->host)
		snprintf(out, size, "%s", o->unix_path);
	else
		snprintf(out, size, strchr(o->host, ':') ? "[%s]:%u" : "%s:%u", o->host,
			(unsigned)o->port);
	return out;
}

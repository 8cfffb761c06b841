/* Idempotency-Key: what is sent again with the same key is done once, and answered alike for a day.
 *
 *	once:SHA256(who, key) ── SET NX GET ──► nothing there: the first time
 *	                                        the same fingerprint: again: the answer, if there is
 *one another one: 422, the key was used for something else
 */
#include "common/buf.h"
#include "common/mem.h"
#include "scheduler/api/v1_internal.h"
#include "scheduler/request.h"

#include <string.h>

#define KEEP_S      "86400" /* as long as answers lie in Redis */
#define PRINT_BYTES (V1_BODY_MAX + 4096)

static bool key_ok(const char *key)
{
	size_t n = strlen(key);

	for (const char *p = key; *p; p++)
		if (*p <= ' ' || *p >= 0x7f || *p == '"' || *p == '\\')
			return false;
	return n && n <= REQUEST_ID_MAX;
}

static char *place(const struct v1_call *c, const char *key)
{
	_mem_free_ char *who = mem_printf("%s\n%s", c->who.name, key);
	char hash[2 * ACCESS_HASH_BYTES + 1];

	access_hash(who, hash);
	return mem_printf("%sonce:%s", redis_prefix(c->v1->o.redis), hash);
}

static void fingerprint(const struct v1_call *c, char out[2 * ACCESS_HASH_BYTES + 1])
{
	_buf_release_ struct buf text = BUF_INIT(PRINT_BYTES);

	buf_addf(&text, "%u %s\n%s", c->route->method, httpd_path(c->http),
		httpd_body(c->http, NULL));
	access_hash(buf_cstr(&text), out);
}

static void looked(void *arg, int err, const struct reply *reply)
{
	struct v1_call *c = arg;
	const char *before = err ? NULL : reply_str(reply, NULL);
	char print[2 * ACCESS_HASH_BYTES + 1];

	c->left = 0;
	fingerprint(c, print);
	if (err || c->v1->closed)
		v1_redis_problem(c, err);
	else if (before && strcmp(before, print) != 0)
		v1_problem(c, 422, "key_reused",
			"Idempotency-Key: it came with another request before; each needs one of "
			"its own");
	else if (before)
		v1_again(c);
	else
		c->route->fn(c);
}

void v1_once(struct v1_call *c)
{
	const char *key = httpd_header(c->http, "Idempotency-Key");
	char print[2 * ACCESS_HASH_BYTES + 1];
	_mem_free_ char *at = NULL;

	if (!key || !(c->route->flags & V1_ONCE)) {
		c->route->fn(c);
		return;
	}
	if (!key_ok(key)) {
		v1_problemf(c, 400, "invalid",
			"Idempotency-Key: expected 1 to %d visible ASCII characters without quotes "
			"and backslashes",
			REQUEST_ID_MAX);
		return;
	}
	at = place(c, key);
	fingerprint(c, print);
	c->left = 1;
	redis_commandv(
		c->v1->o.redis, looked, c, "SET", at, print, "NX", "GET", "EX", KEEP_S, NULL);
}

#include "common/redis_internal.h"

#include <string.h>

static const redisReply nil = {.type = REDIS_REPLY_NIL};

static const redisReply *unwrap(const struct reply *r)
{
	return (const redisReply *)(const void *)r;
}

enum reply_type reply_type(const struct reply *r)
{
	switch (unwrap(r)->type) {
	case REDIS_REPLY_STRING:
	case REDIS_REPLY_VERB:
	case REDIS_REPLY_DOUBLE:
	case REDIS_REPLY_BIGNUM:
		return REPLY_STRING;
	case REDIS_REPLY_STATUS:
		return REPLY_STATUS;
	case REDIS_REPLY_INTEGER:
	case REDIS_REPLY_BOOL:
		return REPLY_INT;
	case REDIS_REPLY_ARRAY:
	case REDIS_REPLY_MAP:
	case REDIS_REPLY_SET:
	case REDIS_REPLY_PUSH:
		return REPLY_ARRAY;
	case REDIS_REPLY_ERROR:
		return REPLY_ERROR;
	default:
		return REPLY_NIL;
	}
}

int64_t reply_int(const struct reply *r)
{
	return reply_type(r) == REPLY_INT ? (int64_t)unwrap(r)->integer : 0;
}

const char *reply_str(const struct reply *r, size_t *len)
{
	const redisReply *reply = unwrap(r);

	if (!reply->str)
		return NULL;
	if (len)
		*len = reply->len;
	return reply->str;
}

size_t reply_len(const struct reply *r)
{
	return reply_type(r) == REPLY_ARRAY ? unwrap(r)->elements : 0;
}

const struct reply *reply_at(const struct reply *r, size_t i)
{
	return i < reply_len(r) ? reply_wrap(unwrap(r)->element[i]) : reply_wrap(&nil);
}

bool redis_reply_is(const redisReply *r, const char *code)
{
	size_t n = strlen(code);

	return r->type == REDIS_REPLY_ERROR && r->len >= n && !memcmp(r->str, code, n) &&
	       (r->len == n || r->str[n] == ' ');
}

bool redis_reply_elsewhere(const redisReply *r)
{
	static const char *const codes[] = {
		"READONLY", "MASTERDOWN",                  /* a replica */
		"LOADING",                                 /* later */
		"NOAUTH",                                  /* restarted with a password */
		"MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", /* not, or not now, in a cluster */
	};

	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
		if (redis_reply_is(r, codes[i]))
			return true;
	return false;
}

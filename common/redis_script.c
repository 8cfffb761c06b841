#include "common/redis_internal.h"

#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

void redis_script_sha(const struct lua_script *script, char out[REDIS_SHA_SIZE])
{
	unsigned char digest[20] = {0};

	if (EVP_Digest(script->text, script->len, digest, NULL, EVP_sha1(), NULL) != 1)
		abort();
	str_hex(digest, sizeof digest, out);
}

const struct lua_script *redis_script_find(const char *name)
{
	for (size_t i = 0; i < lua_scripts_n; i++)
		if (!strcmp(lua_scripts[i].name, name))
			return &lua_scripts[i];
	LOG(ERROR, "no_such_script", LF("script", name));
	abort();
}

/* The head of a RESP argument: "$LEN\r\n" is at most this long. */
#define HEAD_MAX 24

static void put(struct redis_text *t, const char *bytes, size_t n)
{
	t->len += (size_t)snprintf(t->data + t->len, HEAD_MAX, "$%zu\r\n", n);
	if (n)
		memcpy(t->data + t->len, bytes, n);
	t->len += n;
	memcpy(t->data + t->len, "\r\n", 2);
	t->len += 2;
}

static size_t arg_len(const char *const *argv, const size_t *argvlen, size_t i)
{
	return argvlen ? argvlen[i] : strlen(argv[i]);
}

/* "*N\r\n" with room for extra more arguments of extra_bytes in all. */
static struct redis_text begin(
	size_t n, size_t extra_bytes, size_t argc, const char *const *argv, const size_t *argvlen)
{
	size_t room = HEAD_MAX + n * (HEAD_MAX + 2) + extra_bytes;
	struct redis_text t = {0};

	for (size_t i = 0; i < argc; i++)
		room += arg_len(argv, argvlen, i);
	t.data = mem_alloc(room);
	t.len = (size_t)snprintf(t.data, HEAD_MAX, "*%zu\r\n", n);
	return t;
}

struct redis_text redis_command_text(size_t argc, const char *const *argv, const size_t *argvlen)
{
	struct redis_text t = begin(argc, 0, argc, argv, argvlen);

	for (size_t i = 0; i < argc; i++)
		put(&t, argv[i], arg_len(argv, argvlen, i));
	return t;
}

struct redis_text redis_evalsha_text(const char *sha, const char *prefix, size_t argc,
	const char *const *argv, const size_t *argvlen)
{
	size_t prefix_len = strlen(prefix);
	struct redis_text t = begin(argc + 4, 8 + REDIS_SHA_SIZE + prefix_len, argc, argv, argvlen);

	put(&t, "EVALSHA", 7);
	put(&t, sha, REDIS_SHA_SIZE - 1);
	put(&t, "1", 1);
	put(&t, prefix, prefix_len);
	for (size_t i = 0; i < argc; i++)
		put(&t, argv[i], arg_len(argv, argvlen, i));
	return t;
}

#define EVALSHA_HEAD "$7\r\nEVALSHA\r\n$40\r\n"

struct redis_text redis_eval_text(const struct lua_script *script, const struct redis_text *evalsha)
{
	size_t count =
		(size_t)((char *)memchr(evalsha->data, '\n', evalsha->len) - evalsha->data) + 1;
	size_t rest = count + strlen(EVALSHA_HEAD) + REDIS_SHA_SIZE - 1 + 2;
	struct redis_text t = {.data = mem_alloc(evalsha->len + script->len + 2 * HEAD_MAX)};

	memcpy(t.data, evalsha->data, count);
	t.len = count;
	put(&t, "EVAL", 4);
	put(&t, script->text, script->len);
	memcpy(t.data + t.len, evalsha->data + rest, evalsha->len - rest);
	t.len += evalsha->len - rest;
	return t;
}

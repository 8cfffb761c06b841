#include "common/canary.h"

#include "common/buf.h"
#include "common/mem.h"

#include <string.h>

#define BLOB_MAX 4096

struct canary {
	struct vault *vault;
	enum vault_wrap wrap;
	int made; /* 0, or why no canary could be sealed */
	canary_fn *done;
	void *arg;
};

static const char *wrap_name(enum vault_wrap wrap)
{
	return wrap == VAULT_ACCOUNTS ? "accounts" : "certificates";
}

static void tell(struct canary *c, int err, const struct why *why)
{
	c->done(c->arg, err, why);
	free(c);
}

static void got_blob(void *arg, int err, const struct reply *reply)
{
	struct canary *c = arg;
	struct why why = {""}, inner = {""};
	size_t n = 0;
	const char *blob = err ? NULL : reply_str(reply, &n);

	if (err) {
		why_set(&why, err, "the canary of the %s key could not be read: %s",
			wrap_name(c->wrap), cf_strerror(err));
	} else if (c->made) {
		err = why_set(&why, CF_EAUTH, "nothing can be sealed with vault.%s_key_file: %s",
			wrap_name(c->wrap), cf_strerror(c->made));
	} else if (!blob) { /* taken away between the two commands */
		err = why_set(&why, CF_ECONN, "the canary of the %s key is not there",
			wrap_name(c->wrap));
	} else if (vault_canary_check(c->vault, c->wrap, blob, n, &inner)) {
		err = why_set(&why, CF_EAUTH,
			"vault.%s_key_file is not the key that this fleet's secrets are sealed "
			"with (%s): use the "
			"fleet's key, or another fleet name",
			wrap_name(c->wrap), inner.text);
	}
	tell(c, err, &why);
}

void canary_check(
	struct redis *redis, struct vault *vault, enum vault_wrap wrap, canary_fn *done, void *arg)
{
	struct canary *c = mem_alloc(sizeof *c);
	_mem_free_ char *key = mem_printf("%svault:%s", redis_prefix(redis), wrap_name(wrap));
	_buf_release_ struct buf blob = BUF_INIT(BLOB_MAX);

	*c = (struct canary){.vault = vault, .wrap = wrap, .done = done, .arg = arg};
	c->made = vault_canary_make(vault, wrap, &blob);
	if (!c->made) {
		const char *argv[] = {"SET", key, blob.data, "NX"};
		const size_t lens[] = {3, strlen(key), blob.len, 2};

		redis_command(redis, ARRAY_LEN(argv), argv, lens, NULL, NULL);
	}
	redis_commandv(redis, got_blob, c, "GET", key, NULL);
}

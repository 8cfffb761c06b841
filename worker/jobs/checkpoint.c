#include "worker/jobs/checkpoint.h"

#include "common/mem.h"
#include "common/mp.h"

#include <string.h>

int checkpoint_encode(
	const struct acme_checkpoint *c, struct vault *vault, const char *endpoint, struct buf *out)
{
	_buf_release_ struct buf sealed = BUF_INIT(CHECKPOINT_BYTES_MAX);
	char place[ENDPOINT_PLACE_SIZE];
	size_t map;
	int err = vault_seal(vault, VAULT_CERTIFICATES, endpoint_key_place(endpoint, true, place),
		c->key, c->key_len, &sealed);

	if (err)
		return err;
	map = mp_map_open(out);
	mp_key_int(out, "V", c->version);
	mp_key_str(out, "st", c->step);
	mp_key_str(out, "au", c->authority);
	mp_key_str(out, "u", c->order_url);
	mp_key_strn(out, "k", sealed.data, sealed.len);
	mp_key_strn(out, "h", c->names_hash, sizeof c->names_hash);
	mp_map_close(out, map);
	return buf_err(out);
}

static int read_fields(const struct buf *field, struct checkpoint *c, const unsigned char **sealed,
	size_t *sealed_n, struct why *why)
{
	struct mp_doc doc;
	struct mp root;
	int64_t version = 0;
	int err = mp_open(&doc, field->data, field->len, &root, why);

	if (err)
		return err;
	mp_get_int(&root, "V", &version);
	mp_opt_text(&root, "st", c->step, sizeof c->step);
	mp_get_text(&root, "au", c->authority, sizeof c->authority);
	mp_opt_str(&root, "u", &c->order_url);
	mp_get_bytes(&root, "k", sealed, sealed_n);
	mp_get_fixed(&root, "h", c->value.names_hash, sizeof c->value.names_hash);
	if (!mp_err(&doc) && version != ACME_CHECKPOINT_VERSION)
		return why_set(why, CF_EVERSION, "checkpoint of version %lld", (long long)version);
	c->value.version = ACME_CHECKPOINT_VERSION;
	return mp_err(&doc);
}

int checkpoint_decode(const struct buf *field, struct vault *vault, const char *endpoint,
	struct checkpoint *out, struct why *why)
{
	struct checkpoint c = {.key = BUF_INIT(CHECKPOINT_BYTES_MAX)};
	const unsigned char *sealed = NULL;
	char place[ENDPOINT_PLACE_SIZE];
	size_t n = 0;
	int err = read_fields(field, &c, &sealed, &n, why);

	if (!err && (err = vault_unseal(vault, VAULT_CERTIFICATES,
			     endpoint_key_place(endpoint, true, place), sealed, n, &c.key)))
		why_set(why, err, "the order's key does not open: %s", cf_strerror(err));
	if (err) {
		checkpoint_release(&c);
		return err;
	}
	*out = c;
	out->value.step = out->step;
	out->value.authority = out->authority;
	out->value.order_url = out->order_url;
	out->value.key = out->key.data;
	out->value.key_len = out->key.len;
	return 0;
}

void checkpoint_release(struct checkpoint *c)
{
	free(c->order_url);
	c->order_url = NULL;
	buf_release_secret(&c->key);
}

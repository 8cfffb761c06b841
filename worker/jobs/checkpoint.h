/* checkpoint.h - field o: an order under way, written so that any worker can go on with it. */
#pragma once

#include "common/buf.h"
#include "common/endpoint.h"
#include "common/vault.h"
#include "worker/acme/acme.h"

#define CHECKPOINT_BYTES_MAX 16384

/** The key is sealed. CF_E*. */
int checkpoint_encode(const struct acme_checkpoint *c, struct vault *vault, const char *endpoint,
	struct buf *out);

/** A decoded one; release it. value's pointers point into it. */
struct checkpoint {
	struct acme_checkpoint value;
	char step[32];
	char authority[ENDPOINT_AUTHORITY_MAX + 1];
	char *order_url;
	struct buf key; /* secret */
};
/** CF_EPROTO, CF_EVERSION, CF_EAUTH: it cannot be used; the order starts afresh. */
int checkpoint_decode(const struct buf *field, struct vault *vault, const char *endpoint,
	struct checkpoint *out, struct why *why);
void checkpoint_release(struct checkpoint *c);

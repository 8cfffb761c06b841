/* webhook.h - an event as a Standard Webhooks request (standardwebhooks.com, 1.0.0): body, id and
 * signature. Functions of values.
 */
#pragma once

#include "common/buf.h"
#include "worker/notify/notice.h"

#include <stdint.h>

#define WEBHOOK_SECRETS_MAX 4
#define WEBHOOK_ID_SIZE     40

/** Each signs; a receiver takes any one, so that a secret can be changed without a gap. */
struct webhook_secrets {
	unsigned char keys[WEBHOOK_SECRETS_MAX][64];
	size_t lens[WEBHOOK_SECRETS_MAX];
	size_t n;
};

/** "whsec_BASE64", one a line, of 24 to 64 bytes. CF_EINVAL with a why that names the line, never
 * the secret. */
int webhook_secrets_parse(const char *text, size_t n, struct webhook_secrets *out, struct why *why);
void webhook_secrets_wipe(struct webhook_secrets *s);

/** "evt_" and 32 hex digits of SHA-256(source NUL event id): the same at each try, and without the
 * dots that event ids may have (what is signed is parted by dots). */
void webhook_id(const struct notice *n, char out[WEBHOOK_ID_SIZE]);
/** "v1,BASE64", for each secret, parted by blanks. */
void webhook_signature(const struct webhook_secrets *s, const char *id, int64_t timestamp_s,
	const void *body, size_t len, struct buf *out);
/** The event as CloudEvents JSON. CF_EPROTO, CF_ETOOBIG. */
int webhook_body(const struct notice *n, struct buf *out);

/* nonces.h - anti-replay nonces of one authority (RFC 8555 section 6.5): a bounded pool, newest
 * first. Old ones are dropped: CAs forget them, and each one refused costs a round trip.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define NONCES_MAX    256
#define NONCE_AGE_MS  INT64_C(120000)
#define NONCE_LEN_MAX 256

struct nonces {
	struct nonce {
		char *text;
		int64_t since_ms;
	} ring[NONCES_MAX];
	size_t first, n; /* the oldest stands at first */
};

/** Keeps a copy. What is no base64url (section 6.5.1) is passed over; a full pool drops its oldest.
 */
void nonces_put(struct nonces *p, const char *text, int64_t mono_ms);
/** The newest that is not too old; you own it. NULL: none. */
char *nonces_take(struct nonces *p, int64_t mono_ms);
void nonces_release(struct nonces *p);

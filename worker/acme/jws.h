/* jws.h - requests signed as ACME wants them: flattened JSON JWS (RFC 7515 section 7.2.2, RFC 8555
 * section 6.2), ES256 or RS256, JWK thumbprints (RFC 7638), external account binding (RFC 8555
 * section 7.3.4). One EVP_PKEY_CTX an account key: making one costs more than the signature.
 */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <openssl/evp.h>
#include <stdbool.h>

struct jws_key;

#define JWS_BYTES_MAX 65536

/** P-256 or RSA (2048 to 4096). Takes a reference to key. CF_EINVAL: of another kind. */
int jws_key_new(EVP_PKEY *key, struct jws_key **out);
void jws_key_free(struct jws_key *k);
/** The public key as canonical JSON; its SHA-256 in base64url. Borrowed. */
const char *jws_key_jwk(const struct jws_key *k);
const char *jws_key_thumbprint(const struct jws_key *k);
/** The borrowed key. */
EVP_PKEY *jws_key_pkey(const struct jws_key *k);

struct jws_header {
	const char *kid;   /* the account's URL; NULL: the key itself goes along */
	const char *nonce; /* NULL: none (the inner JWS of keyChange) */
	const char *url;
};

/** Appends the JWS. payload of 0 bytes is POST-as-GET. */
int jws_sign(struct jws_key *k, const struct jws_header *header, const char *payload, size_t n,
	struct buf *out);
/** Appends the externalAccountBinding object: k's public key, signed by HS256. */
int jws_eab(const struct jws_key *k, const char *kid, const void *hmac, size_t hmac_len,
	const char *url, struct buf *out);
/** Appends token "." thumbprint (RFC 8555 section 8.1). */
void jws_key_authorization(const char *token, const char *thumbprint, struct buf *out);
/** Appends base64url(SHA-256(text)): dns-01's TXT value. */
int jws_digest64(const char *text, size_t n, struct buf *out);

/* keypair.h - certificate and account keys: made, packed, used.
 *
 * Packing: P-256 and P-384 keys as one type byte, the raw scalar and the uncompressed point,
 * because decoding PKCS#8 costs 0.8 ms in OpenSSL 3.0 and restoring these 22 µs; RSA as one type
 * byte and PKCS#1 DER. Packed bytes are secret: they live in buffers released by
 * buf_release_secret().
 */
#pragma once

#include "common/buf.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>

enum key_type { KEY_P256 = 1, KEY_P384 = 2, KEY_RSA2048 = 3, KEY_RSA3072 = 4, KEY_RSA4096 = 5 };

/** "ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-3072", "rsa-4096"; NULL if unknown. */
const char *key_type_name(enum key_type type);
/** CF_EINVAL if there is none of that name. */
int key_type_parse(const char *name, enum key_type *out);
/** Takes long enough (RSA) to be done off the loop. */
bool key_type_is_slow(enum key_type type);

/** CF_EINVAL if it is none of these. */
int keypair_type(EVP_PKEY *key, enum key_type *out);

/** A new key; you own it (EVP_PKEY_free). CF_ECRYPTO. Callable on a pool thread. */
int keypair_make(enum key_type type, EVP_PKEY **out);
int keypair_pack(EVP_PKEY *key, struct buf *out);
/** CF_EPROTO if the bytes are no packed key; you own it. */
int keypair_unpack(const void *bytes, size_t n, EVP_PKEY **out);
/** PKCS#8 PEM, for export to the edge. */
int keypair_pem(EVP_PKEY *key, struct buf *out);
/** DER of SubjectPublicKeyInfo, and its SHA-256. */
int keypair_spki(EVP_PKEY *key, struct buf *out);
int keypair_spki_sha256(EVP_PKEY *key, unsigned char out[32]);
/** DER of a PKCS#10 request (RFC 2986): empty subject, all names as SAN dNSName. CF_EINVAL without
 * names or with more than KEYPAIR_CSR_MAX_NAMES. Signs: off the loop if key_type_is_slow(). */
int keypair_csr(EVP_PKEY *key, const char *const *names, size_t n, struct buf *out);

#define KEYPAIR_CSR_MAX_NAMES 100

static inline void keypair_release(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
	*key = NULL;
}

#define _keypair_release_ __attribute__((cleanup(keypair_release)))

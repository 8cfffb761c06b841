/* vault.h - private keys sealed before they reach Redis.
 *
 * A secret is sealed with AES-256-GCM under a fresh random 96-bit nonce and a data key; the data
 * keys of the two wraps ("accounts", "certificates") are derived (HKDF-SHA256, RFC 5869, no salt,
 * info = "certfleet vault 1 " and the wrap's name) from the 32-byte keys in files. A sealed blob
 * is: version (1), wrap (1), key id (4, the first bytes of SHA-256 of the data key), nonce (12),
 * ciphertext, tag (16). The associated data is version, wrap, key id, the wrap's name, a 0 byte and
 * the place (the Redis key's name and the endpoint or authority), so that a blob moved elsewhere
 * does not open.
 *
 * A key file holds 32 raw bytes, or 64 hex digits, or base64; several keys one a line (hex or
 * base64, "#" begins a comment): the first seals, all open (rotation). Loaded keys live in locked
 * memory, outside of dumps, and are cleansed. A random nonce bounds one key to 2^32 seals.
 */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vault;

enum vault_wrap { VAULT_ACCOUNTS = 1, VAULT_CERTIFICATES = 2 };

#define VAULT_OVERHEAD  34 /* bytes that sealing adds */
#define VAULT_PLAIN_MAX 16384
#define VAULT_KEYS_MAX  8 /* in one file */

/** Either path may be NULL: that wrap then neither seals nor opens (CF_EAUTH). Errors name file and
 * expectation. */
int vault_open(const char *accounts_key_file, const char *certificates_key_file, struct vault **out,
	struct why *why);
void vault_close(struct vault *v);

/** Appends the sealed blob to out. place is text that names Redis key and subject in any form, the
 * same for both. CF_EAUTH without that wrap's key, CF_ETOOBIG. */
int vault_seal(struct vault *v, enum vault_wrap wrap, const char *place, const void *plain,
	size_t n, struct buf *out);
/** Appends the secret to out (release with buf_release_secret). CF_EAUTH: no such key or not ours;
 * CF_EPROTO: not a blob of this wrap. */
int vault_unseal(struct vault *v, enum vault_wrap wrap, const char *place, const void *sealed,
	size_t n, struct buf *out);
/** Sealed by the first key of the file; if not, rotation should seal it anew. */
bool vault_is_current(const struct vault *v, enum vault_wrap wrap, const void *sealed, size_t n);
/** A blob that only the right key opens; the first process stores it, every one checks it at start.
 */
int vault_canary_make(struct vault *v, enum vault_wrap wrap, struct buf *out);
int vault_canary_check(
	struct vault *v, enum vault_wrap wrap, const void *sealed, size_t n, struct why *why);
/** Reads a 32-byte key file of the same form (label keys). The first key of several. */
int vault_read_key_file(const char *path, uint8_t out[32], struct why *why);

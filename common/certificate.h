/* certificate.h - what came from the CA: parsed, checked, named. X.509 by OpenSSL; decoding is the
 * dear part (170 µs and more in OpenSSL 3.0), so intermediates are kept parsed by their bytes, with
 * who signed them, and so is the leaf that was read last. That cache is one for the process: these
 * functions belong to the loop's thread.
 */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>

/** A chain as DER, leaf first; owned. */
struct chain {
	struct chain_cert {
		unsigned char *der;
		size_t len;
	} * certs;
	size_t n;
};

#define CHAIN_MAX_CERTS 10
#define CHAIN_MAX_BYTES 65536

/** The facts that the fleet keeps of a leaf. Times in Unix ms. */
struct cert_info {
	char serial[41];  /* lower-case hex without leading 00, as openssl prints it */
	char ari_id[96];  /* RFC 9773 CertID, "" if there is no AKI */
	char issuer[128]; /* its CN, cleaned */
	int64_t not_before_ms;
	int64_t not_after_ms;
	unsigned char spki_sha256[32];
	unsigned char sha256[32]; /* of the DER */
};

/** PEM as application/pem-certificate-chain (RFC 8555 section 9.1). Each certificate is one whole
 * DER SEQUENCE, but is not parsed further. CF_EPROTO, CF_ETOOBIG. */
int chain_from_pem(const char *pem, size_t n, struct chain *out, struct why *why);
void chain_release(struct chain *c);
/** Appends PEM of the whole chain, or from cert `from` on. */
int chain_to_pem(const struct chain *c, size_t from, struct buf *out);
/** Intermediates (all but the leaf) as one blob: 4-byte big-endian length and DER each. */
int chain_pack_rest(const struct chain *c, struct buf *out);
/** CF_EPROTO. */
int chain_unpack(
	const void *leaf, size_t leaf_len, const void *rest, size_t rest_len, struct chain *out);

/** CF_EPROTO with a why. */
int cert_info_read(const void *der, size_t n, struct cert_info *out, struct why *why);
/** Calls fn for each dNSName SAN, lower-case. CF_EPROTO, before fn is called at all. */
int cert_each_name(const void *der, size_t n, void (*fn)(void *arg, const char *name), void *arg);

/** What the CA sent is what we asked for: the key is ours, the SANs equal names (as sets), each
 * certificate is signed by the next, dates are sane at now_ms with 1 h of clock skew allowed.
 * CF_EPROTO with a why that names the first difference. */
int chain_check(const struct chain *c, EVP_PKEY *key, const char *const *names, size_t n,
	int64_t now_ms, struct why *why);
/** The ARI CertID from parts (RFC 9773 section 4.1). */
int ari_cert_id(
	const void *aki, size_t aki_len, const void *serial, size_t serial_len, struct buf *out);
/** Forgets what is kept parsed (tests, teardown). */
void certificate_cache_clear(void);

#define _chain_release_ __attribute__((cleanup(chain_release)))

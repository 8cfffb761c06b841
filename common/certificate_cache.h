/* certificate_cache.h - X.509 kept parsed by its bytes; for common/certificate*.c alone.
 *
 * An X509 that is got here is borrowed until the next call that may parse another one of its kind:
 * a leaf until the next leaf, an intermediate while fewer than CERT_CACHE_SIZE others were got.
 */
#pragma once

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>

/* More than a chain, so that one chain's intermediates are valid side by side. */
#define CERT_CACHE_SIZE 32

struct cert_entry {
	unsigned char sha256[32];
	X509 *x509;
	unsigned char issuer_sha256[32]; /* a certificate that was seen to have signed this one */
	bool issuer_known;
	bool is_ca;
	unsigned long used;
};

/** NULL if the bytes are not one whole certificate. */
X509 *cert_cache_leaf(const unsigned char *der, size_t n);
struct cert_entry *cert_cache_intermediate(const unsigned char *der, size_t n);

/* testca.h - certificates made on the spot, right ones and wrong ones, for unit tests. */
#pragma once

#include <openssl/x509.h>
#include <stdint.h>

struct testca_spec {
	const char *cn;  /* NULL: an empty subject */
	const char *san; /* as in openssl's config: "DNS:a.example,IP:192.0.2.1"; NULL: none */
	const char *serial_hex; /* NULL: "01" */
	const char *aki_hex;    /* keyIdentifier as given; NULL: none */
	EVP_PKEY *key;          /* borrowed */
	X509 *issuer;           /* NULL: self-signed */
	EVP_PKEY *issuer_key;   /* NULL: key */
	int64_t not_before_ms, not_after_ms;
	int ca;
};

/** Aborts if OpenSSL will not; you own it. */
X509 *testca_make(const struct testca_spec *spec);

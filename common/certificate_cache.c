#include "common/certificate_cache.h"

#include "common/certificate.h"

#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <string.h>

static struct cert_entry leaf;
static struct cert_entry intermediates[CERT_CACHE_SIZE];
static unsigned long clock_of_use;

static X509 *parse(const unsigned char *der, size_t n)
{
	const unsigned char *p = der;
	X509 *x = n <= CHAIN_MAX_BYTES ? d2i_X509(NULL, &p, (long)n) : NULL;

	if (x && p == der + n)
		return x;
	X509_free(x);
	ERR_clear_error();
	return NULL;
}

static struct cert_entry *replace(struct cert_entry *e, const unsigned char sha256[32], X509 *x)
{
	X509_free(e->x509);
	*e = (struct cert_entry){.x509 = x, .used = ++clock_of_use};
	memcpy(e->sha256, sha256, 32);
	return e;
}

X509 *cert_cache_leaf(const unsigned char *der, size_t n)
{
	unsigned char sha256[32];
	X509 *x;

	SHA256(der, n, sha256);
	if (leaf.x509 && !memcmp(leaf.sha256, sha256, 32))
		return leaf.x509;
	x = parse(der, n);
	return x ? replace(&leaf, sha256, x)->x509 : NULL;
}

static struct cert_entry *oldest_or(const unsigned char sha256[32])
{
	struct cert_entry *oldest = intermediates;

	for (size_t i = 0; i < CERT_CACHE_SIZE; i++) {
		struct cert_entry *e = &intermediates[i];

		if (e->x509 && !memcmp(e->sha256, sha256, 32))
			return e;
		if (e->used < oldest->used)
			oldest = e;
	}
	return oldest;
}

struct cert_entry *cert_cache_intermediate(const unsigned char *der, size_t n)
{
	unsigned char sha256[32];
	struct cert_entry *e;
	X509 *x;

	SHA256(der, n, sha256);
	e = oldest_or(sha256);
	if (e->x509 && !memcmp(e->sha256, sha256, 32)) {
		e->used = ++clock_of_use;
		return e;
	}
	x = parse(der, n);
	if (!x)
		return NULL;
	replace(e, sha256, x)->is_ca = X509_check_ca(x) > 0;
	return e;
}

void certificate_cache_clear(void)
{
	X509_free(leaf.x509);
	leaf = (struct cert_entry){.x509 = NULL};
	for (size_t i = 0; i < CERT_CACHE_SIZE; i++) {
		X509_free(intermediates[i].x509);
		intermediates[i] = (struct cert_entry){.x509 = NULL};
	}
}

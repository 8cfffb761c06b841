#include "worker/dns/dnskey.h"

#include "worker/net/dnsname.h"

#include <openssl/evp.h>
#include <string.h>

unsigned dnskey_tag(const uint8_t *rdata, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += i & 1 ? rdata[i] : (uint32_t)rdata[i] << 8;
	return (sum + (sum >> 16)) & 0xffff;
}

static const EVP_MD *digest_of(unsigned type)
{
	switch (type) {
	case 1:
		return EVP_sha1();
	case 2:
		return EVP_sha256();
	case 4:
		return EVP_sha384();
	default:
		return NULL;
	}
}

bool dnskey_is_named(
	const char *name, const uint8_t *key, size_t key_n, const uint8_t *ds, size_t ds_n)
{
	uint8_t wire[DNSNAME_MAX_BYTES], made[EVP_MAX_MD_SIZE];
	size_t wire_n;
	unsigned made_n = 0;

	if (key_n < 4 || ds_n < 4 || dnskey_tag(key, key_n) != ((unsigned)ds[0] << 8 | ds[1]) ||
		key[3] != ds[2] || dnsname_from_text(name, wire, &wire_n) != 0)
		return false;
	const EVP_MD *md = digest_of(ds[3]);
	if (!md)
		return true;
	dnsname_lower(wire, wire_n);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool same = ctx && EVP_DigestInit_ex(ctx, md, NULL) &&
		    EVP_DigestUpdate(ctx, wire, wire_n) && EVP_DigestUpdate(ctx, key, key_n) &&
		    EVP_DigestFinal_ex(ctx, made, &made_n) && made_n == ds_n - 4 &&
		    memcmp(made, ds + 4, made_n) == 0;
	EVP_MD_CTX_free(ctx);
	return same;
}

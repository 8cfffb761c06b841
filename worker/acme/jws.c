#include "worker/acme/jws.h"

#include "common/mem.h"
#include "common/str.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <string.h>

struct jws_key {
	EVP_PKEY *key;
	EVP_PKEY_CTX *ctx; /* for signing, made once */
	bool rsa;
	char *jwk;
	char *thumbprint;
};

/* A big-endian integer of exactly n bytes (0: its own length) as base64url. */
static int add_number(EVP_PKEY *key, const char *param, size_t n, struct buf *out)
{
	BIGNUM *bn = NULL;
	unsigned char bytes[1024];
	size_t len;
	int err = CF_ECRYPTO;

	if (EVP_PKEY_get_bn_param(key, param, &bn) != 1)
		return CF_ECRYPTO;
	len = n ? n : (size_t)BN_num_bytes(bn);
	if (len <= sizeof(bytes) && BN_bn2binpad(bn, bytes, (int)len) == (int)len) {
		str_base64url(out, bytes, len);
		err = 0;
	}
	BN_free(bn);
	return err;
}

/* Members in lexicographic order and without space: the very bytes that RFC 7638 hashes. */
static int build_jwk(struct jws_key *k, struct buf *out)
{
	const char *first = k->rsa ? "{\"e\":\"" : "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"";
	const char *second = k->rsa ? "\",\"kty\":\"RSA\",\"n\":\"" : "\",\"y\":\"";
	int err;

	buf_adds(out, first);
	err = k->rsa ? add_number(k->key, OSSL_PKEY_PARAM_RSA_E, 0, out)
		     : add_number(k->key, OSSL_PKEY_PARAM_EC_PUB_X, 32, out);
	if (err < 0)
		return err;
	buf_adds(out, second);
	err = k->rsa ? add_number(k->key, OSSL_PKEY_PARAM_RSA_N, 0, out)
		     : add_number(k->key, OSSL_PKEY_PARAM_EC_PUB_Y, 32, out);
	buf_adds(out, "\"}");
	return err < 0 ? err : buf_err(out);
}

static int check_kind(EVP_PKEY *key, bool *rsa)
{
	char group[32];

	*rsa = EVP_PKEY_is_a(key, "RSA");
	if (*rsa)
		return EVP_PKEY_get_bits(key) >= 2048 && EVP_PKEY_get_bits(key) <= 4096 ? 0
											: CF_EINVAL;
	if (!EVP_PKEY_is_a(key, "EC") ||
		EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) != 1)
		return CF_EINVAL;
	return !strcmp(group, "prime256v1") ? 0 : CF_EINVAL;
}

static int prepare(struct jws_key *k)
{
	k->ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->key, NULL);
	if (!k->ctx || EVP_PKEY_sign_init(k->ctx) != 1 ||
		EVP_PKEY_CTX_set_signature_md(k->ctx, EVP_sha256()) != 1)
		return CF_ECRYPTO;
	if (k->rsa && EVP_PKEY_CTX_set_rsa_padding(k->ctx, RSA_PKCS1_PADDING) != 1)
		return CF_ECRYPTO;
	return 0;
}

int jws_key_new(EVP_PKEY *key, struct jws_key **out)
{
	_buf_release_ struct buf jwk = BUF_INIT(4096), thumb = BUF_INIT(64);
	struct jws_key *k;
	bool rsa;
	int err = check_kind(key, &rsa);

	if (err < 0)
		return err;
	k = mem_zalloc(sizeof(*k));
	EVP_PKEY_up_ref(key);
	k->key = key;
	k->rsa = rsa;
	err = prepare(k);
	if (!err)
		err = build_jwk(k, &jwk);
	if (!err)
		err = jws_digest64(jwk.data, jwk.len, &thumb);
	if (err < 0) {
		jws_key_free(k);
		return err;
	}
	k->jwk = buf_detach(&jwk, NULL);
	k->thumbprint = buf_detach(&thumb, NULL);
	*out = k;
	return 0;
}

void jws_key_free(struct jws_key *k)
{
	if (!k)
		return;
	EVP_PKEY_CTX_free(k->ctx);
	EVP_PKEY_free(k->key);
	free(k->jwk);
	free(k->thumbprint);
	free(k);
}

const char *jws_key_jwk(const struct jws_key *k)
{
	return k->jwk;
}

const char *jws_key_thumbprint(const struct jws_key *k)
{
	return k->thumbprint;
}

EVP_PKEY *jws_key_pkey(const struct jws_key *k)
{
	return k->key;
}

int jws_digest64(const char *text, size_t n, struct buf *out)
{
	unsigned char digest[SHA256_DIGEST_LENGTH];

	SHA256((const unsigned char *)text, n, digest);
	str_base64url(out, digest, sizeof(digest));
	return buf_err(out);
}

void jws_key_authorization(const char *token, const char *thumbprint, struct buf *out)
{
	buf_adds(out, token);
	buf_addc(out, '.');
	buf_adds(out, thumbprint);
}

/* One INTEGER of an ECDSA-Sig-Value as 32 bytes; returns what follows it, NULL if it is not one. */
static const unsigned char *take_integer(
	const unsigned char *p, const unsigned char *end, unsigned char out[32])
{
	size_t n;

	if (end - p < 2 || p[0] != 0x02)
		return NULL;
	n = p[1];
	p += 2;
	if (n == 0 || n > 33 || (size_t)(end - p) < n || (n == 33 && p[0] != 0))
		return NULL;
	memset(out, 0, 32);
	if (n == 33)
		memcpy(out, p + 1, 32);
	else
		memcpy(out + 32 - n, p, n);
	return p + n;
}

/* RFC 7518 section 3.4: r and s, 32 bytes each, not the DER that OpenSSL gives. */
static int der_to_raw(const unsigned char *der, size_t n, unsigned char raw[64])
{
	const unsigned char *end = der + n;

	if (n < 8 || der[0] != 0x30 || der[1] != n - 2)
		return CF_ECRYPTO;
	der = take_integer(der + 2, end, raw);
	if (der)
		der = take_integer(der, end, raw + 32);
	return der == end ? 0 : CF_ECRYPTO;
}

static int add_signature(struct jws_key *k, const struct buf *input, struct buf *out)
{
	unsigned char digest[SHA256_DIGEST_LENGTH], sig[512], raw[64];
	size_t n = sizeof(sig);

	SHA256((const unsigned char *)input->data, input->len, digest);
	if (EVP_PKEY_sign(k->ctx, sig, &n, digest, sizeof(digest)) != 1)
		return CF_ECRYPTO;
	if (k->rsa) {
		str_base64url(out, sig, n);
		return 0;
	}
	if (der_to_raw(sig, n, raw) < 0)
		return CF_ECRYPTO;
	str_base64url(out, raw, sizeof(raw));
	return 0;
}

static void add_header(const struct jws_key *k, const struct jws_header *h, struct buf *out)
{
	_buf_release_ struct buf json = BUF_INIT(JWS_BYTES_MAX);

	buf_addf(&json, "{\"alg\":\"%s\",", k->rsa ? "RS256" : "ES256");
	if (h->kid) {
		buf_adds(&json, "\"kid\":");
		str_json(&json, h->kid);
	} else {
		buf_adds(&json, "\"jwk\":");
		buf_adds(&json, k->jwk);
	}
	if (h->nonce) {
		buf_adds(&json, ",\"nonce\":");
		str_json(&json, h->nonce);
	}
	buf_adds(&json, ",\"url\":");
	str_json(&json, h->url);
	buf_addc(&json, '}');
	str_base64url(out, json.data, json.len);
}

int jws_sign(struct jws_key *k, const struct jws_header *header, const char *payload, size_t n,
	struct buf *out)
{
	_buf_release_ struct buf input = BUF_INIT(JWS_BYTES_MAX);
	_buf_release_ struct buf sig = BUF_INIT(1024);
	size_t dot;
	int err;

	add_header(k, header, &input);
	dot = input.len;
	buf_addc(&input, '.');
	str_base64url(&input, payload, n);
	if (buf_err(&input))
		return CF_ETOOBIG;
	err = add_signature(k, &input, &sig);
	if (err < 0)
		return err;
	buf_adds(out, "{\"protected\":\"");
	buf_add(out, input.data, dot);
	buf_adds(out, "\",\"payload\":\"");
	buf_add(out, input.data + dot + 1, input.len - dot - 1);
	buf_adds(out, "\",\"signature\":\"");
	buf_add(out, sig.data, sig.len);
	buf_adds(out, "\"}");
	return buf_err(out);
}

int jws_eab(const struct jws_key *k, const char *kid, const void *hmac, size_t hmac_len,
	const char *url, struct buf *out)
{
	_buf_release_ struct buf header = BUF_INIT(8192), input = BUF_INIT(16384);
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned int n = 0;
	size_t dot;

	buf_adds(&header, "{\"alg\":\"HS256\",\"kid\":");
	str_json(&header, kid);
	buf_adds(&header, ",\"url\":");
	str_json(&header, url);
	buf_addc(&header, '}');
	str_base64url(&input, buf_cstr(&header), header.len);
	dot = input.len;
	buf_addc(&input, '.');
	str_base64url(&input, k->jwk, strlen(k->jwk));
	if (buf_err(&header) || buf_err(&input))
		return CF_ETOOBIG;
	if (!HMAC(EVP_sha256(), hmac, (int)hmac_len, (const unsigned char *)input.data, input.len,
		    mac, &n))
		return CF_ECRYPTO;
	buf_adds(out, "{\"protected\":\"");
	buf_add(out, input.data, dot);
	buf_adds(out, "\",\"payload\":\"");
	buf_add(out, input.data + dot + 1, input.len - dot - 1);
	buf_adds(out, "\",\"signature\":\"");
	str_base64url(out, mac, n);
	buf_adds(out, "\"}");
	return buf_err(out);
}

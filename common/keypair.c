#include "common/keypair.h"

#include "common/mem.h"
#include "common/str.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <string.h>

enum { SCALAR_MAX_BYTES = 48, POINT_MAX_BYTES = 1 + 2 * SCALAR_MAX_BYTES };

/* What we know of each type; the SPKI head is the DER before an uncompressed point. */
static const struct kind {
	const char *name;
	const char *group; /* NULL: RSA */
	enum key_type type;
	int nid;
	int bits;            /* RSA */
	size_t scalar_bytes; /* EC */
	size_t spki_head_bytes;
	const char *spki_head;
} kinds[] = {
	{"ecdsa-p256", "prime256v1", KEY_P256, NID_X9_62_prime256v1, 256, 32, 26,
		"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d"
		"\x03\x01\x07\x03\x42\x00"},
	{"ecdsa-p384", "secp384r1", KEY_P384, NID_secp384r1, 384, 48, 23,
		"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22"
		"\x03\x62\x00"},
	{"rsa-2048", NULL, KEY_RSA2048, NID_rsaEncryption, 2048, 0, 0, NULL},
	{"rsa-3072", NULL, KEY_RSA3072, NID_rsaEncryption, 3072, 0, 0, NULL},
	{"rsa-4096", NULL, KEY_RSA4096, NID_rsaEncryption, 4096, 0, 0, NULL},
};

static const struct kind *kind_of_type(unsigned type)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if ((unsigned)kinds[i].type == type)
			return &kinds[i];
	return NULL;
}

static const struct kind *kind_of_key(EVP_PKEY *key)
{
	bool ec = EVP_PKEY_is_a(key, "EC");
	char group[32] = "";

	if (!ec && !EVP_PKEY_is_a(key, "RSA"))
		return NULL;
	if (ec && !EVP_PKEY_get_group_name(key, group, sizeof group, NULL))
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (ec ? str_eq(kinds[i].group, group)
		       : !kinds[i].group && kinds[i].bits == EVP_PKEY_get_bits(key))
			return &kinds[i];
	return NULL;
}

/* Leaves no stale error for the next reader of OpenSSL's queue (a TLS connection). */
static int failed(int err)
{
	ERR_clear_error();
	return err;
}

const char *key_type_name(enum key_type type)
{
	const struct kind *k = kind_of_type((unsigned)type);

	return k ? k->name : NULL;
}

int key_type_parse(const char *name, enum key_type *out)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (!strcmp(kinds[i].name, name)) {
			*out = kinds[i].type;
			return 0;
		}
	return CF_EINVAL;
}

bool key_type_is_slow(enum key_type type)
{
	return type != KEY_P256;
}

int keypair_type(EVP_PKEY *key, enum key_type *out)
{
	const struct kind *k = kind_of_key(key);

	if (!k)
		return failed(CF_EINVAL);
	*out = k->type;
	return 0;
}

int keypair_make(enum key_type type, EVP_PKEY **out)
{
	const struct kind *k = kind_of_type((unsigned)type);
	EVP_PKEY *key = NULL;

	if (k && k->group)
		key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", k->group);
	else if (k)
		key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)k->bits);
	if (!key)
		return failed(CF_ECRYPTO);
	*out = key;
	return 0;
}

/* Packing. The point is put together from its coordinates, since a key that was read from elsewhere
 * may remember a compressed form. */

static bool coordinate(EVP_PKEY *key, const char *param, unsigned char *out, size_t n)
{
	BIGNUM *bn = NULL;
	bool ok = EVP_PKEY_get_bn_param(key, param, &bn) && BN_bn2binpad(bn, out, (int)n) == (int)n;

	BN_clear_free(bn);
	return ok;
}

static bool param_to_bytes(const OSSL_PARAM *p, unsigned char *out, size_t n)
{
	BIGNUM *v = NULL;
	bool ok = OSSL_PARAM_modified(p) && OSSL_PARAM_get_BN(p, &v) &&
		  BN_bn2binpad(v, out, (int)n) == (int)n;

	BN_free(v);
	return ok;
}

/* 04 ‖ x ‖ y; returns its length, 0 if OpenSSL fails. Both are asked for at once: each question by
 * itself costs a conversion of the whole point. */
static size_t ec_point(EVP_PKEY *key, const struct kind *k, unsigned char out[POINT_MAX_BYTES])
{
	unsigned char x[SCALAR_MAX_BYTES], y[SCALAR_MAX_BYTES];
	size_t n = k->scalar_bytes;
	OSSL_PARAM params[] = {OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_EC_PUB_X, x, n),
		OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_EC_PUB_Y, y, n),
		OSSL_PARAM_construct_end()};

	out[0] = POINT_CONVERSION_UNCOMPRESSED;
	if (!EVP_PKEY_get_params(key, params) || !param_to_bytes(&params[0], out + 1, n) ||
		!param_to_bytes(&params[1], out + 1 + n, n))
		return 0;
	return 1 + 2 * n;
}

static int pack_ec(EVP_PKEY *key, const struct kind *k, struct buf *out)
{
	unsigned char scalar[SCALAR_MAX_BYTES], point[POINT_MAX_BYTES];
	size_t n = ec_point(key, k, point);

	if (!n || !coordinate(key, OSSL_PKEY_PARAM_PRIV_KEY, scalar, k->scalar_bytes))
		return failed(CF_ECRYPTO);
	buf_addc(out, (char)k->type);
	buf_add(out, scalar, k->scalar_bytes);
	buf_add(out, point, n);
	mem_wipe(scalar, sizeof scalar);
	return buf_err(out);
}

static int pack_rsa(EVP_PKEY *key, const struct kind *k, struct buf *out)
{
	unsigned char *der = NULL;
	int n = i2d_PrivateKey(key, &der); /* PKCS#1 */

	if (n <= 0)
		return failed(CF_ECRYPTO);
	buf_addc(out, (char)k->type);
	buf_add(out, der, (size_t)n);
	OPENSSL_clear_free(der, (size_t)n);
	return buf_err(out);
}

int keypair_pack(EVP_PKEY *key, struct buf *out)
{
	const struct kind *k = kind_of_key(key);

	if (!k)
		return failed(CF_EINVAL);
	return k->group ? pack_ec(key, k, out) : pack_rsa(key, k, out);
}

/* OpenSSL takes the scalar in the machine's own byte order. */
static bool native_scalar(const unsigned char *bytes, size_t n, unsigned char *out)
{
	BIGNUM *bn = BN_bin2bn(bytes, (int)n, NULL);
	bool ok = bn && !BN_is_zero(bn) && BN_bn2nativepad(bn, out, (int)n) == (int)n;

	BN_clear_free(bn);
	return ok;
}

static EVP_PKEY *ec_from_parts(const struct kind *k, unsigned char *scalar, unsigned char *point)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(
			OSSL_PKEY_PARAM_GROUP_NAME, (char *)(uintptr_t)k->group, 0),
		OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, scalar, k->scalar_bytes),
		OSSL_PARAM_construct_octet_string(
			OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * k->scalar_bytes),
		OSSL_PARAM_construct_end(),
	};
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *key = NULL;

	if (ctx && EVP_PKEY_fromdata_init(ctx) == 1)
		EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static EVP_PKEY *unpack_ec(const struct kind *k, const unsigned char *bytes, size_t n)
{
	unsigned char scalar[SCALAR_MAX_BYTES], point[POINT_MAX_BYTES];
	EVP_PKEY *key = NULL;

	if (n != 1 + 3 * k->scalar_bytes || bytes[k->scalar_bytes] != POINT_CONVERSION_UNCOMPRESSED)
		return NULL;
	memcpy(point, bytes + k->scalar_bytes, 1 + 2 * k->scalar_bytes);
	if (native_scalar(bytes, k->scalar_bytes, scalar))
		key = ec_from_parts(k, scalar, point);
	mem_wipe(scalar, sizeof scalar);
	return key;
}

static EVP_PKEY *unpack_rsa(const struct kind *k, const unsigned char *bytes, size_t n)
{
	const unsigned char *p = bytes;
	EVP_PKEY *key = d2i_PrivateKey(EVP_PKEY_RSA, NULL, &p, (long)n);

	if (key && (p != bytes + n || kind_of_key(key) != k)) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	return key;
}

int keypair_unpack(const void *bytes, size_t n, EVP_PKEY **out)
{
	const unsigned char *p = bytes;
	const struct kind *k = n && n < 16384 ? kind_of_type(p[0]) : NULL;
	EVP_PKEY *key;

	if (!k)
		return CF_EPROTO;
	key = k->group ? unpack_ec(k, p + 1, n - 1) : unpack_rsa(k, p + 1, n - 1);
	if (!key)
		return failed(CF_EPROTO);
	*out = key;
	return 0;
}

int keypair_pem(EVP_PKEY *key, struct buf *out)
{
	BIO *bio = BIO_new(BIO_s_secmem()); /* cleansed when freed */
	char *data = NULL;
	long n = 0;
	int err = CF_ECRYPTO;

	if (bio && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1)
		n = BIO_get_mem_data(bio, &data);
	if (n > 0) {
		buf_add(out, data, (size_t)n);
		err = buf_err(out);
	}
	BIO_free(bio);
	return err ? failed(err) : 0;
}

/* OpenSSL's encoder takes 0.1 ms for what is a constant head and a point. */
int keypair_spki(EVP_PKEY *key, struct buf *out)
{
	const struct kind *k = kind_of_key(key);
	unsigned char point[POINT_MAX_BYTES], *der = NULL;
	size_t point_len;
	int n;

	if (k && k->group) {
		point_len = ec_point(key, k, point);
		if (!point_len)
			return failed(CF_ECRYPTO);
		buf_add(out, k->spki_head, k->spki_head_bytes);
		buf_add(out, point, point_len);
		return buf_err(out);
	}
	n = i2d_PUBKEY(key, &der);
	if (n <= 0)
		return failed(CF_ECRYPTO);
	buf_add(out, der, (size_t)n);
	OPENSSL_free(der);
	return buf_err(out);
}

int keypair_spki_sha256(EVP_PKEY *key, unsigned char out[32])
{
	_buf_release_ struct buf der = BUF_INIT(4096);
	int err = keypair_spki(key, &der);

	if (!err)
		SHA256((unsigned char *)der.data, der.len, out);
	return err;
}

/* The request */

static GENERAL_NAME *dns_name(const char *name)
{
	GENERAL_NAME *gn = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();

	if (!gn || !text || !ASN1_STRING_set(text, name, -1)) {
		GENERAL_NAME_free(gn);
		ASN1_IA5STRING_free(text);
		return NULL;
	}
	GENERAL_NAME_set0_value(gn, GEN_DNS, text);
	return gn;
}

static bool add_names(X509_REQ *req, const char *const *names, size_t n)
{
	GENERAL_NAMES *san = sk_GENERAL_NAME_new_null();
	STACK_OF(X509_EXTENSION) *extensions = NULL;
	bool ok = san != NULL;

	for (size_t i = 0; i < n && ok; i++) {
		GENERAL_NAME *gn = dns_name(names[i]);

		ok = gn && sk_GENERAL_NAME_push(san, gn) > 0;
		if (!ok)
			GENERAL_NAME_free(gn);
	}
	ok = ok &&
	     X509V3_add1_i2d(&extensions, NID_subject_alt_name, san, 0, X509V3_ADD_DEFAULT) == 1 &&
	     X509_REQ_add_extensions(req, extensions);
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	sk_GENERAL_NAME_pop_free(san, GENERAL_NAME_free);
	return ok;
}

/* Instead of X509_REQ_set_pubkey(), which encodes the key and decodes it again (0.4 ms). */
static bool set_ec_pubkey(X509_REQ *req, EVP_PKEY *key, const struct kind *k)
{
	unsigned char *point = OPENSSL_malloc(POINT_MAX_BYTES);
	size_t n = point ? ec_point(key, k, point) : 0;

	if (n && X509_PUBKEY_set0_param(X509_REQ_get_X509_PUBKEY(req),
			 OBJ_nid2obj(NID_X9_62_id_ecPublicKey), V_ASN1_OBJECT, OBJ_nid2obj(k->nid),
			 point, (int)n))
		return true;
	OPENSSL_free(point);
	return false;
}

static X509_REQ *make_request(
	EVP_PKEY *key, const struct kind *k, const char *const *names, size_t n)
{
	const EVP_MD *md = k->type == KEY_P384 ? EVP_sha384() : EVP_sha256();
	X509_REQ *req = X509_REQ_new();

	if (req && X509_REQ_set_version(req, X509_REQ_VERSION_1) &&
		(k->group ? set_ec_pubkey(req, key, k) : X509_REQ_set_pubkey(req, key)) &&
		add_names(req, names, n) && X509_REQ_sign(req, key, md) > 0)
		return req;
	X509_REQ_free(req);
	return NULL;
}

int keypair_csr(EVP_PKEY *key, const char *const *names, size_t n, struct buf *out)
{
	const struct kind *k = kind_of_key(key);
	unsigned char *der = NULL;
	X509_REQ *req;
	int len;

	if (!k || !n || n > KEYPAIR_CSR_MAX_NAMES)
		return failed(CF_EINVAL);
	req = make_request(key, k, names, n);
	len = req ? i2d_X509_REQ(req, &der) : 0;
	X509_REQ_free(req);
	if (len <= 0)
		return failed(CF_ECRYPTO);
	buf_add(out, der, (size_t)len);
	OPENSSL_free(der);
	return buf_err(out);
}

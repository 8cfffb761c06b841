#include "worker/acme/jws.h"

#include "common/keypair.h"
#include "common/mem.h"
#include "common/str.h"

#include <jansson.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static BIGNUM *number(const char *text)
{
	_buf_release_ struct buf b = BUF_INIT(1024);

	assert_int_equal(str_unbase64url(&b, text, strlen(text)), 0);
	return BN_bin2bn((unsigned char *)b.data, (int)b.len, NULL);
}

static EVP_PKEY *from_params(const char *kind, OSSL_PARAM_BLD *bld, int selection)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
	EVP_PKEY *key = NULL;

	assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
	assert_int_equal(EVP_PKEY_fromdata(ctx, &key, selection, params), 1);
	OSSL_PARAM_free(params);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

/* RFC 7638 section 3.1. */
static void test_rsa_thumbprint(void **state)
{
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	BIGNUM *n = number("0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7"
			   "aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXA"
			   "rwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7"
			   "d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lF"
			   "d2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw");
	BIGNUM *e = number("AQAB");
	struct jws_key *k;
	EVP_PKEY *key;

	(void)state;
	OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n);
	OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e);
	key = from_params("RSA", bld, EVP_PKEY_PUBLIC_KEY);
	assert_int_equal(jws_key_new(key, &k), 0);
	assert_string_equal(jws_key_thumbprint(k), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
	jws_key_free(k);
	EVP_PKEY_free(key);
	OSSL_PARAM_BLD_free(bld);
	BN_free(n);
	BN_free(e);
}

static char *part(const char *json, const char *member)
{
	json_t *j = json_loads(json, 0, NULL);
	char *text;

	assert_true(json_is_object(j));
	assert_int_equal(json_object_size(j), 3);
	text = mem_strdup(json_string_value(json_object_get(j, member)));
	json_decref(j);
	return text;
}

static struct buf decoded(const char *text)
{
	struct buf b = BUF_INIT(65536);

	assert_int_equal(str_unbase64url(&b, text, strlen(text)), 0);
	buf_cstr(&b);
	return b;
}

/* Verified with OpenSSL's own verification, not ours. */
static int verifies(EVP_PKEY *key, const char *jws)
{
	_mem_free_ char *protected = part(jws, "protected"), *payload = part(jws, "payload");
	_mem_free_ char *signature = part(jws, "signature");
	_mem_free_ char *input = mem_printf("%s.%s", protected, payload);
	struct buf raw = decoded(signature);
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned char *der = NULL;
	size_t len = raw.len;
	int ok;

	if (EVP_PKEY_is_a(key, "EC")) {
		ECDSA_SIG *sig = ECDSA_SIG_new();

		assert_int_equal(raw.len, 64);
		ECDSA_SIG_set0(sig, BN_bin2bn((unsigned char *)raw.data, 32, NULL),
			BN_bin2bn((unsigned char *)raw.data + 32, 32, NULL));
		len = (size_t)i2d_ECDSA_SIG(sig, &der);
		ECDSA_SIG_free(sig);
	}
	EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, key);
	ok = EVP_DigestVerify(md, der ? der : (unsigned char *)raw.data, len,
		(unsigned char *)input, strlen(input));
	OPENSSL_free(der);
	EVP_MD_CTX_free(md);
	buf_release(&raw);
	return ok;
}

static void test_signs(void **state)
{
	static const enum key_type types[] = {KEY_P256, KEY_RSA2048};
	const struct jws_header by_kid = {
		.kid = "https://ca/acct/1", .nonce = "n0nce", .url = "https://ca/o"};
	const struct jws_header by_key = {.nonce = "n0nce", .url = "https://ca/new"};

	(void)state;
	for (size_t t = 0; t < 2; t++) {
		EVP_PKEY *key;
		struct jws_key *k;

		assert_int_equal(keypair_make(types[t], &key), 0);
		assert_int_equal(jws_key_new(key, &k), 0);
		for (int i = 0; i < 200 >> (6 * t); i++) { /* short r and s come once in 256 */
			_buf_release_ struct buf out = BUF_INIT(JWS_BYTES_MAX);

			assert_int_equal(jws_sign(k, i % 2 ? &by_key : &by_kid, "{}", 2, &out), 0);
			assert_int_equal(verifies(key, out.data), 1);
		}
		jws_key_free(k);
		EVP_PKEY_free(key);
	}
}

static void test_header_and_payload(void **state)
{
	const struct jws_header by_kid = {
		.kid = "https://ca/acct/1", .nonce = "n0nce", .url = "https://ca/o"};
	const struct jws_header by_key = {.url = "https://ca/new"};
	_buf_release_ struct buf out = BUF_INIT(JWS_BYTES_MAX), want = BUF_INIT(4096);
	_mem_free_ char *text = NULL;
	struct buf json;
	struct jws_key *k;
	EVP_PKEY *key;

	(void)state;
	assert_int_equal(keypair_make(KEY_P256, &key), 0);
	assert_int_equal(jws_key_new(key, &k), 0);
	assert_int_equal(
		jws_sign(k, &by_kid, "", 0, &out), 0); /* POST-as-GET: the payload is empty */
	assert_non_null(strstr(out.data, "\"payload\":\"\""));
	text = part(out.data, "protected");
	json = decoded(text);
	assert_string_equal(json.data, "{\"alg\":\"ES256\",\"kid\":\"https://ca/acct/"
				       "1\",\"nonce\":\"n0nce\",\"url\":\"https://ca/o\"}");
	buf_release(&json);
	buf_clear(&out);
	free(text);
	assert_int_equal(jws_sign(k, &by_key, "{}", 2, &out), 0);
	text = part(out.data, "protected");
	json = decoded(text);
	buf_addf(
		&want, "{\"alg\":\"ES256\",\"jwk\":%s,\"url\":\"https://ca/new\"}", jws_key_jwk(k));
	assert_string_equal(json.data, want.data);
	buf_release(&json);
	jws_key_free(k);
	EVP_PKEY_free(key);
}

static void test_external_account(void **state)
{
	static const unsigned char secret[] = "a secret of the CA, not base64";
	_buf_release_ struct buf out = BUF_INIT(16384);
	unsigned char mac[32];
	unsigned int n;
	struct jws_key *k;
	EVP_PKEY *key;

	(void)state;
	assert_int_equal(keypair_make(KEY_P256, &key), 0);
	assert_int_equal(jws_key_new(key, &k), 0);
	assert_int_equal(
		jws_eab(k, "kid-1", secret, sizeof(secret), "https://ca/new-account", &out), 0);
	{
		_mem_free_ char *protected = part(out.data, "protected"),
				*payload = part(out.data, "payload");
		_mem_free_ char *signature = part(out.data, "signature");
		_mem_free_ char *input = mem_printf("%s.%s", protected, payload);
		struct buf header = decoded(protected), body = decoded(payload),
			   sig = decoded(signature);

		assert_string_equal(header.data,
			"{\"alg\":\"HS256\",\"kid\":\"kid-1\",\"url\":\"https://ca/new-account\"}");
		assert_string_equal(body.data, jws_key_jwk(k));
		HMAC(EVP_sha256(), secret, sizeof(secret), (unsigned char *)input, strlen(input),
			mac, &n);
		assert_int_equal(sig.len, 32);
		assert_memory_equal(sig.data, mac, 32);
		buf_release(&header);
		buf_release(&body);
		buf_release(&sig);
	}
	jws_key_free(k);
	EVP_PKEY_free(key);
}

static void test_refuses_other_keys(void **state)
{
	struct jws_key *k;
	EVP_PKEY *key;

	(void)state;
	assert_int_equal(keypair_make(KEY_P384, &key), 0);
	assert_int_equal(jws_key_new(key, &k), CF_EINVAL);
	EVP_PKEY_free(key);
}

static void test_key_authorization(void **state)
{
	_buf_release_ struct buf out = BUF_INIT(256), digest = BUF_INIT(64);

	(void)state;
	jws_key_authorization("evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA",
		"nP1qzpXGymHBrUEepNY9HCsQk7K8KhOypzEt62jcerQ", &out);
	assert_string_equal(out.data, "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA."
				      "nP1qzpXGymHBrUEepNY9HCsQk7K8KhOypzEt62jcerQ");
	jws_digest64("abc", 3, &digest); /* FIPS 180-2's vector */
	assert_string_equal(digest.data, "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rsa_thumbprint),
		cmocka_unit_test(test_signs),
		cmocka_unit_test(test_header_and_payload),
		cmocka_unit_test(test_external_account),
		cmocka_unit_test(test_refuses_other_keys),
		cmocka_unit_test(test_key_authorization),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

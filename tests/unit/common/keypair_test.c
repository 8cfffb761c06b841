#include "common/keypair.h"

#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const enum key_type types[] = {KEY_P256, KEY_P384, KEY_RSA2048, KEY_RSA3072, KEY_RSA4096};

/* RSA keys of all sizes take seconds to make; they are made once. */
static EVP_PKEY *keys[ARRAY_LEN(types)];

static int setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (keypair_make(types[i], &keys[i]))
			return -1;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		EVP_PKEY_free(keys[i]);
	return 0;
}

static void test_names(void **state)
{
	enum key_type type = KEY_P256;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		assert_int_equal(key_type_parse(key_type_name(types[i]), &type), 0);
		assert_int_equal(type, types[i]);
		assert_int_equal(keypair_type(keys[i], &type), 0);
		assert_int_equal(type, types[i]);
	}
	assert_int_equal(key_type_parse("dsa", &type), CF_EINVAL);
	assert_int_equal(key_type_parse("", &type), CF_EINVAL);
	assert_null(key_type_name((enum key_type)9));
	assert_false(key_type_is_slow(KEY_P256));
	assert_true(key_type_is_slow(KEY_RSA2048));
}

static void assert_signs_for(EVP_PKEY *signer, EVP_PKEY *verifier)
{
	unsigned char sig[1024];
	size_t n = sizeof sig;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, signer), 1);
	assert_int_equal(EVP_DigestSign(ctx, sig, &n, (const unsigned char *)"text", 4), 1);
	EVP_MD_CTX_reset(ctx);
	assert_int_equal(EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, verifier), 1);
	assert_int_equal(EVP_DigestVerify(ctx, sig, n, (const unsigned char *)"text", 4), 1);
	EVP_MD_CTX_free(ctx);
}

static void test_pack_and_unpack(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		_buf_release_secret_ struct buf packed = BUF_INIT(4096), again = BUF_INIT(4096);
		_keypair_release_ EVP_PKEY *back = NULL;

		assert_int_equal(keypair_pack(keys[i], &packed), 0);
		if (types[i] == KEY_P256)
			assert_int_equal(packed.len, 1 + 32 + 65);
		if (types[i] == KEY_P384)
			assert_int_equal(packed.len, 1 + 48 + 97);
		assert_int_equal(keypair_unpack(packed.data, packed.len, &back), 0);
		assert_int_equal(EVP_PKEY_eq(back, keys[i]), 1);
		assert_signs_for(back, keys[i]);
		assert_int_equal(keypair_pack(back, &again), 0);
		assert_int_equal(again.len, packed.len);
		assert_memory_equal(again.data, packed.data, packed.len);
	}
}

/* RFC 6979 appendix A.2.5: the scalar and the point of a known P-256 key. */
static void test_known_key(void **state)
{
	static const unsigned char packed[] = "\x01\xC9\xAF\xA9\xD8\x45\xBA\x75\x16\x6B\x5C\x21\x57"
					      "\x67\xB1\xD6\x93\x4E\x50\xC3\xDB\x36\xE8\x9B\x12"
					      "\x7B\x8A\x62\x2B\x12\x0F\x67\x21"
					      "\x04\x60\xFE\xD4\xBA\x25\x5A\x9D\x31\xC9\x61\xEB\x74"
					      "\xC6\x35\x6D\x68\xC0\x49\xB8\x92\x3B\x61\xFA\x6C"
					      "\xE6\x69\x62\x2E\x60\xF2\x9F\xB6"
					      "\x79\x03\xFE\x10\x08\xB8\xBC\x99\xA4\x1A\xE9\xE9\x56"
					      "\x28\xBC\x64\xF2\xF1\xB2\x0C\x2D\x7E\x9F\x51\x77"
					      "\xA3\xC2\x94\xD4\x46\x22\x99";
	_keypair_release_ EVP_PKEY *key = NULL;
	EVP_PKEY_CTX *ctx;

	(void)state;
	assert_int_equal(sizeof packed - 1, 98);
	assert_int_equal(keypair_unpack(packed, 98, &key), 0);
	ctx = EVP_PKEY_CTX_new(key, NULL);
	assert_int_equal(EVP_PKEY_pairwise_check(ctx), 1);
	EVP_PKEY_CTX_free(ctx);
}

static void test_unpack_refuses(void **state)
{
	_buf_release_secret_ struct buf ec = BUF_INIT(4096), rsa = BUF_INIT(8192);
	EVP_PKEY *key = NULL;

	(void)state;
	assert_int_equal(keypair_pack(keys[0], &ec), 0);
	assert_int_equal(keypair_pack(keys[2], &rsa), 0);
	for (size_t n = 0; n < ec.len; n++)
		assert_int_equal(keypair_unpack(ec.data, n, &key), CF_EPROTO);
	assert_int_equal(keypair_unpack(rsa.data, rsa.len - 1, &key), CF_EPROTO);
	buf_addc(&ec, 0);
	assert_int_equal(keypair_unpack(ec.data, ec.len, &key), CF_EPROTO);
	buf_addc(&rsa, 0);
	assert_int_equal(keypair_unpack(rsa.data, rsa.len, &key), CF_EPROTO);
	ec.data[ec.len - 5] ^= 1; /* a point that is not on the curve */
	assert_int_equal(keypair_unpack(ec.data, ec.len - 1, &key), CF_EPROTO);
	memset(ec.data + 1, 0, 32);
	assert_int_equal(keypair_unpack(ec.data, ec.len - 1, &key), CF_EPROTO);
	ec.data[0] = 77;
	assert_int_equal(keypair_unpack(ec.data, ec.len - 1, &key), CF_EPROTO);
	rsa.data[0] = KEY_RSA3072; /* says another size */
	assert_int_equal(keypair_unpack(rsa.data, rsa.len - 1, &key), CF_EPROTO);
	assert_null(key);
	assert_int_equal(ERR_peek_error(), 0);
}

static void test_pem(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		_buf_release_secret_ struct buf pem = BUF_INIT(8192);
		_keypair_release_ EVP_PKEY *back = NULL;
		BIO *bio;

		assert_int_equal(keypair_pem(keys[i], &pem), 0);
		assert_int_equal(strncmp(pem.data, "-----BEGIN PRIVATE KEY-----\n", 28), 0);
		bio = BIO_new_mem_buf(pem.data, (int)pem.len);
		back = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
		BIO_free(bio);
		assert_non_null(back);
		assert_int_equal(EVP_PKEY_eq(back, keys[i]), 1);
	}
}

static void test_spki_is_what_openssl_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		unsigned char *der = NULL, ours[32], theirs[32];
		int n = i2d_PUBKEY(keys[i], &der);

		assert_true(n > 0);
		SHA256(der, (size_t)n, theirs);
		OPENSSL_free(der);
		assert_int_equal(keypair_spki_sha256(keys[i], ours), 0);
		assert_memory_equal(ours, theirs, 32);
	}
}

static X509_REQ *parse_csr(const struct buf *der)
{
	const unsigned char *p = (const unsigned char *)der->data;
	X509_REQ *req = d2i_X509_REQ(NULL, &p, (long)der->len);

	assert_non_null(req);
	assert_ptr_equal(p, der->data + der->len);
	return req;
}

static void assert_san(X509_REQ *req, const char *const *names, size_t n)
{
	STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(req);
	GENERAL_NAMES *san = X509V3_get_d2i(extensions, NID_subject_alt_name, NULL, NULL);

	assert_non_null(san);
	assert_int_equal(sk_GENERAL_NAME_num(san), n);
	for (size_t i = 0; i < n; i++) {
		const GENERAL_NAME *gn = sk_GENERAL_NAME_value(san, (int)i);

		assert_int_equal(gn->type, GEN_DNS);
		assert_int_equal(ASN1_STRING_length(gn->d.dNSName), strlen(names[i]));
		assert_memory_equal(
			ASN1_STRING_get0_data(gn->d.dNSName), names[i], strlen(names[i]));
	}
	GENERAL_NAMES_free(san);
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
}

static void test_csr(void **state)
{
	const char *const names[] = {"shop.example.com", "*.example.com", "xn--bcher-kva.example"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		_buf_release_ struct buf der = BUF_INIT(16384);
		X509_REQ *req;
		EVP_PKEY *theirs;

		assert_int_equal(keypair_csr(keys[i], names, 3, &der), 0);
		req = parse_csr(&der);
		theirs = X509_REQ_get0_pubkey(req);
		assert_non_null(theirs);
		assert_int_equal(EVP_PKEY_eq(theirs, keys[i]), 1);
		assert_int_equal(X509_REQ_verify(req, theirs), 1);
		assert_int_equal(X509_REQ_get_version(req), X509_REQ_VERSION_1);
		assert_int_equal(X509_NAME_entry_count(X509_REQ_get_subject_name(req)), 0);
		assert_san(req, names, 3);
		X509_REQ_free(req);
	}
}

/* A key that was restored from its scalar makes as good a request as a fresh one. */
static void test_csr_of_a_restored_key(void **state)
{
	const char *const names[] = {"a.example"};
	_buf_release_secret_ struct buf packed = BUF_INIT(4096);
	_buf_release_ struct buf der = BUF_INIT(4096);
	_keypair_release_ EVP_PKEY *back = NULL;
	X509_REQ *req;

	(void)state;
	assert_int_equal(keypair_pack(keys[0], &packed), 0);
	assert_int_equal(keypair_unpack(packed.data, packed.len, &back), 0);
	assert_int_equal(keypair_csr(back, names, 1, &der), 0);
	req = parse_csr(&der);
	assert_int_equal(X509_REQ_verify(req, keys[0]), 1);
	X509_REQ_free(req);
}

/* The openssl program reads it alike. */
static void test_csr_by_the_openssl_program(void **state)
{
	const char *const names[] = {"shop.example.com", "*.example.com"};
	_buf_release_ struct buf der = BUF_INIT(4096);
	char path[] = "/tmp/certfleet-csr-XXXXXX", command[256], text[8192] = "";
	int fd = mkstemp(path);
	FILE *f;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(keypair_csr(keys[0], names, 2, &der), 0);
	assert_int_equal(write(fd, der.data, der.len), der.len);
	close(fd);
	snprintf(command, sizeof command,
		"openssl req -inform DER -in %s -noout -verify -text 2>&1", path);
	f = popen(command, "re");
	assert_non_null(f);
	assert_true(fread(text, 1, sizeof text - 1, f) > 0);
	assert_int_equal(pclose(f), 0);
	unlink(path);
	assert_non_null(strstr(text, "verify OK"));
	assert_non_null(strstr(text, "NIST CURVE: P-256"));
	assert_non_null(strstr(text, "DNS:shop.example.com, DNS:*.example.com"));
}

static void test_csr_limits(void **state)
{
	_buf_release_ struct buf der = BUF_INIT(65536), small = BUF_INIT(10);
	const char *names[KEYPAIR_CSR_MAX_NAMES + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		names[i] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
			   "example.com";
	assert_int_equal(keypair_csr(keys[0], names, KEYPAIR_CSR_MAX_NAMES, &der), 0);
	assert_int_equal(keypair_csr(keys[0], names, KEYPAIR_CSR_MAX_NAMES + 1, &der), CF_EINVAL);
	assert_int_equal(keypair_csr(keys[0], names, 0, &der), CF_EINVAL);
	assert_int_equal(keypair_csr(keys[0], names, 1, &small), CF_ETOOBIG);
}

static void test_foreign_keys_are_refused(void **state)
{
	_buf_release_secret_ struct buf out = BUF_INIT(4096);
	const char *const names[] = {"a.example"};
	EVP_PKEY *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	EVP_PKEY *p521 = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-521");
	enum key_type type;

	(void)state;
	assert_int_equal(keypair_pack(ed, &out), CF_EINVAL);
	assert_int_equal(keypair_pack(p521, &out), CF_EINVAL);
	assert_int_equal(keypair_csr(p521, names, 1, &out), CF_EINVAL);
	assert_int_equal(keypair_type(ed, &type), CF_EINVAL);
	EVP_PKEY_free(ed);
	EVP_PKEY_free(p521);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_pack_and_unpack),
		cmocka_unit_test(test_known_key),
		cmocka_unit_test(test_unpack_refuses),
		cmocka_unit_test(test_pem),
		cmocka_unit_test(test_spki_is_what_openssl_says),
		cmocka_unit_test(test_csr),
		cmocka_unit_test(test_csr_of_a_restored_key),
		cmocka_unit_test(test_csr_by_the_openssl_program),
		cmocka_unit_test(test_csr_limits),
		cmocka_unit_test(test_foreign_keys_are_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

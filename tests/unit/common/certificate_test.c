#include "common/certificate.h"

#include "common/clock.h"
#include "common/keypair.h"
#include "common/mem.h"
#include "common/str.h"
#include "tests/unit/testca.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#define NOW INT64_C(1795000000000)

static EVP_PKEY *root_key, *int_key, *leaf_key, *other_key;
static X509 *root, *intermediate;

static X509 *make_ca(const char *cn, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key)
{
	return testca_make(&(struct testca_spec){.cn = cn,
		.key = key,
		.issuer = issuer,
		.issuer_key = issuer_key,
		.ca = 1,
		.not_before_ms = NOW - 365 * CLOCK_DAY_MS,
		.not_after_ms = NOW + 365 * CLOCK_DAY_MS});
}

static int setup(void **state)
{
	(void)state;
	if (keypair_make(KEY_P256, &root_key) || keypair_make(KEY_P384, &int_key) ||
		keypair_make(KEY_P256, &leaf_key) || keypair_make(KEY_P256, &other_key))
		return -1;
	root = make_ca("Test Root", root_key, NULL, NULL);
	intermediate = make_ca("Test Intermediate", int_key, root, root_key);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	certificate_cache_clear();
	X509_free(root);
	X509_free(intermediate);
	EVP_PKEY_free(root_key);
	EVP_PKEY_free(int_key);
	EVP_PKEY_free(leaf_key);
	EVP_PKEY_free(other_key);
	return 0;
}

/* The usual leaf, to be changed by a test. */
static struct testca_spec leaf_spec(void)
{
	return (struct testca_spec){.san = "DNS:b.example,DNS:a.example",
		.serial_hex = "0087654321",
		.aki_hex = "69885B6B87464041E1B37B847BA0AE2CDE01C8D4",
		.key = leaf_key,
		.issuer = intermediate,
		.issuer_key = int_key,
		.not_before_ms = NOW - CLOCK_HOUR_MS,
		.not_after_ms = NOW + 90 * CLOCK_DAY_MS};
}

static void add_pem(struct buf *out, X509 *x)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data;
	long n;

	assert_int_equal(PEM_write_bio_X509(bio, x), 1);
	n = BIO_get_mem_data(bio, &data);
	buf_add(out, data, (size_t)n);
	BIO_free(bio);
}

/* The chain of a leaf, which is freed, and the certificates given, up to NULL. */
static struct chain make_chain(X509 *leaf, ...)
{
	_buf_release_ struct buf pem = BUF_INIT(1 << 16);
	struct chain c;
	va_list ap;

	add_pem(&pem, leaf);
	X509_free(leaf);
	va_start(ap, leaf);
	for (X509 *x; (x = va_arg(ap, X509 *));)
		add_pem(&pem, x);
	va_end(ap);
	assert_int_equal(chain_from_pem(pem.data, pem.len, &c, NULL), 0);
	return c;
}

/* RFC 9773 section 4.1. */
static void test_ari_vector(void **state)
{
	_buf_release_ struct buf id = BUF_INIT(100);
	unsigned char aki[20], serial[5];

	(void)state;
	str_unhex("69885B6B87464041E1B37B847BA0AE2CDE01C8D4", aki, sizeof aki);
	str_unhex("0087654321", serial, sizeof serial);
	assert_int_equal(ari_cert_id(aki, sizeof aki, serial, sizeof serial, &id), 0);
	assert_string_equal(buf_cstr(&id), "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
	assert_int_equal(ari_cert_id(aki, 0, serial, sizeof serial, &id), CF_EINVAL);
	assert_int_equal(ari_cert_id(aki, sizeof aki, serial, 0, &id), CF_EINVAL);
}

static void test_info(void **state)
{
	struct testca_spec spec = leaf_spec();
	_chain_release_ struct chain c = make_chain(testca_make(&spec), NULL);
	unsigned char spki[32];
	struct cert_info info;

	(void)state;
	assert_int_equal(cert_info_read(c.certs[0].der, c.certs[0].len, &info, NULL), 0);
	assert_string_equal(info.ari_id, "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
	assert_string_equal(info.serial, "87654321");
	assert_string_equal(info.issuer, "Test Intermediate");
	assert_true(info.not_before_ms == NOW - CLOCK_HOUR_MS);
	assert_true(info.not_after_ms == NOW + 90 * CLOCK_DAY_MS);
	assert_int_equal(keypair_spki_sha256(leaf_key, spki), 0);
	assert_memory_equal(info.spki_sha256, spki, 32);
}

static void test_info_of_odd_leaves(void **state)
{
	struct testca_spec spec = leaf_spec();
	struct cert_info info = {.issuer = "untouched"};
	X509 *hostile = make_ca("Evil\x1b[31m\nCA", root_key, NULL, NULL);
	struct chain c;

	(void)state;
	spec.aki_hex = NULL;
	spec.issuer = hostile;
	spec.serial_hex = "7f00000000000000000000000000000000000001"; /* 20 bytes */
	c = make_chain(testca_make(&spec), NULL);
	assert_int_equal(cert_info_read(c.certs[0].der, c.certs[0].len, &info, NULL), 0);
	assert_string_equal(info.ari_id, "");
	assert_string_equal(info.issuer, "Evil?[31m?CA");
	assert_string_equal(info.serial, "7f00000000000000000000000000000000000001");
	chain_release(&c);

	spec.serial_hex = "ff00000000000000000000000000000000000001"; /* 21 octets with its 00 */
	c = make_chain(testca_make(&spec), NULL);
	assert_int_equal(cert_info_read(c.certs[0].der, c.certs[0].len, &info, NULL), 0);
	assert_string_equal(info.serial, "ff00000000000000000000000000000000000001");
	chain_release(&c);

	spec.serial_hex = "010000000000000000000000000000000000000001";
	c = make_chain(testca_make(&spec), NULL);
	assert_int_equal(cert_info_read(c.certs[0].der, c.certs[0].len, &info, NULL), CF_EPROTO);
	chain_release(&c);

	assert_int_equal(cert_info_read("0\0", 2, &info, NULL), CF_EPROTO);
	assert_int_equal(cert_info_read("", 0, &info, NULL), CF_EPROTO);
	assert_int_equal(ERR_peek_error(), 0);
	X509_free(hostile);
}

static void collect_name(void *arg, const char *name)
{
	buf_addf(arg, "%s ", name);
}

static void test_names(void **state)
{
	struct testca_spec spec = leaf_spec();
	_buf_release_ struct buf names = BUF_INIT(1000);
	struct chain c;

	(void)state;
	spec.san = "DNS:Shop.Example,DNS:*.example.com";
	c = make_chain(testca_make(&spec), NULL);
	assert_int_equal(cert_each_name(c.certs[0].der, c.certs[0].len, collect_name, &names), 0);
	assert_string_equal(buf_cstr(&names), "shop.example *.example.com ");
	assert_int_equal(cert_each_name(c.certs[0].der, c.certs[0].len - 1, collect_name, &names),
		CF_EPROTO);
	chain_release(&c);
}

static const char *const right_names[] = {"a.example", "b.example"};

static void test_check_right(void **state)
{
	struct testca_spec spec = leaf_spec();
	const char *const repeated[] = {"b.example", "a.example", "b.example"};
	_chain_release_ struct chain whole =
		make_chain(testca_make(&spec), intermediate, root, NULL);
	_chain_release_ struct chain alone = make_chain(testca_make(&spec), NULL);
	struct why why = {""};

	(void)state;
	for (int again = 0; again < 3; again++)
		if (chain_check(&whole, leaf_key, right_names, 2, NOW, &why))
			fail_msg("%s", why.text);
	assert_int_equal(chain_check(&whole, leaf_key, repeated, 3, NOW, &why), 0);
	assert_int_equal(chain_check(&alone, leaf_key, right_names, 2, NOW, &why), 0);
	/* An hour of a clock that is behind or ahead. */
	assert_int_equal(
		chain_check(&whole, leaf_key, right_names, 2, NOW - 2 * CLOCK_HOUR_MS, &why), 0);
	assert_int_equal(chain_check(&whole, leaf_key, right_names, 2,
				 NOW + 90 * CLOCK_DAY_MS + CLOCK_HOUR_MS - 1000, &why),
		0);
}

#define ASSERT_REFUSED(chain, key, names, n, now, said)                                     \
	do {                                                                                \
		struct why why_ = {""};                                                     \
		assert_int_equal(chain_check(chain, key, names, n, now, &why_), CF_EPROTO); \
		if (!strstr(why_.text, said))                                               \
			fail_msg("%s", why_.text);                                          \
	} while (0)

static void test_check_key_and_names(void **state)
{
	struct testca_spec spec = leaf_spec();
	const char *const more[] = {"a.example", "b.example", "c.example"};
	_chain_release_ struct chain c = make_chain(testca_make(&spec), intermediate, NULL);
	_chain_release_ struct chain with_ip = {.n = 0}, nameless = {.n = 0};

	(void)state;
	ASSERT_REFUSED(&c, other_key, right_names, 2, NOW, "another key");
	ASSERT_REFUSED(&c, leaf_key, more, 3, NOW, "lacks c.example");
	ASSERT_REFUSED(&c, leaf_key, right_names, 1, NOW, "also for b.example");
	ASSERT_REFUSED(&c, leaf_key, right_names + 1, 1, NOW, "also for a.example");
	ASSERT_REFUSED(&c, leaf_key, NULL, 0, NOW, "also for a.example");
	spec.san = "DNS:a.example,DNS:b.example,IP:192.0.2.1";
	with_ip = make_chain(testca_make(&spec), intermediate, NULL);
	ASSERT_REFUSED(&with_ip, leaf_key, right_names, 2, NOW, "no DNS name");
	spec.san = NULL;
	nameless = make_chain(testca_make(&spec), intermediate, NULL);
	ASSERT_REFUSED(&nameless, leaf_key, right_names, 2, NOW, "lacks a.example");
}

static void test_check_dates(void **state)
{
	struct testca_spec spec = leaf_spec();
	_chain_release_ struct chain c = make_chain(testca_make(&spec), intermediate, NULL);
	_chain_release_ struct chain backwards = {.n = 0};

	(void)state;
	ASSERT_REFUSED(&c, leaf_key, right_names, 2, NOW - 3 * CLOCK_HOUR_MS,
		"certificate 0 of the chain is valid from");
	ASSERT_REFUSED(&c, leaf_key, right_names, 2, NOW + 91 * CLOCK_DAY_MS,
		"certificate 0 of the chain expired at");
	ASSERT_REFUSED(&c, leaf_key, right_names, 2, NOW + 91 * CLOCK_DAY_MS, "2027-");
	spec.not_after_ms = spec.not_before_ms;
	backwards = make_chain(testca_make(&spec), intermediate, NULL);
	ASSERT_REFUSED(&backwards, leaf_key, right_names, 2, NOW, "impossible dates");
}

static void test_check_links(void **state)
{
	struct testca_spec spec = leaf_spec();
	X509 *impostor = make_ca("Test Intermediate", other_key, root, root_key);
	X509 *stranger = make_ca("Stranger", int_key, root, root_key);
	X509 *no_ca, *old;
	struct chain c;

	(void)state;
	c = make_chain(testca_make(&spec), impostor, root, NULL);
	ASSERT_REFUSED(&c, leaf_key, right_names, 2, NOW,
		"certificate 0 of the chain is not signed by the next");
	chain_release(&c);
	c = make_chain(testca_make(&spec), stranger, root, NULL);
	ASSERT_REFUSED(&c, leaf_key, right_names, 2, NOW,
		"certificate 0 of the chain is not signed by the next");
	chain_release(&c);
	c = make_chain(testca_make(&spec), intermediate, impostor, NULL);
	ASSERT_REFUSED(&c, leaf_key, right_names, 2, NOW,
		"certificate 1 of the chain is not signed by the next");
	chain_release(&c);
	/* What was verified once against the root is not taken for verified against another. */
	c = make_chain(testca_make(&spec), intermediate, root, NULL);
	assert_int_equal(chain_check(&c, leaf_key, right_names, 2, NOW, NULL), 0);
	chain_release(&c);
	c = make_chain(testca_make(&spec), intermediate, stranger, NULL);
	ASSERT_REFUSED(&c, leaf_key, right_names, 2, NOW,
		"certificate 1 of the chain is not signed by the next");
	chain_release(&c);

	no_ca = testca_make(&(struct testca_spec){.cn = "Test Intermediate",
		.key = int_key,
		.not_before_ms = NOW,
		.not_after_ms = NOW + CLOCK_DAY_MS});
	c = make_chain(testca_make(&spec), no_ca, NULL);
	ASSERT_REFUSED(
		&c, leaf_key, right_names, 2, NOW, "certificate 1 of the chain is not a CA's");
	chain_release(&c);
	old = testca_make(&(struct testca_spec){.cn = "Test Intermediate",
		.key = int_key,
		.ca = 1,
		.not_before_ms = NOW - 3 * CLOCK_DAY_MS,
		.not_after_ms = NOW - 2 * CLOCK_DAY_MS});
	c = make_chain(testca_make(&spec), old, NULL);
	ASSERT_REFUSED(&c, leaf_key, right_names, 2, NOW, "certificate 1 of the chain expired");
	chain_release(&c);
	X509_free(impostor);
	X509_free(stranger);
	X509_free(no_ca);
	X509_free(old);
	assert_int_equal(ERR_peek_error(), 0);
}

/* More intermediates than are kept: the answer stays the same. */
static void test_the_cache_overflows(void **state)
{
	struct testca_spec spec = leaf_spec();

	(void)state;
	for (int i = 0; i < 80; i++) {
		X509 *one = make_ca("Test Intermediate", int_key, root, root_key);
		struct chain c;

		spec.issuer = one;
		c = make_chain(testca_make(&spec), one, root, NULL);
		assert_int_equal(chain_check(&c, leaf_key, right_names, 2, NOW, NULL), 0);
		chain_release(&c);
		X509_free(one);
	}
}

static void assert_same_chain(const struct chain *a, const struct chain *b)
{
	assert_int_equal(a->n, b->n);
	for (size_t i = 0; i < a->n; i++) {
		assert_int_equal(a->certs[i].len, b->certs[i].len);
		assert_memory_equal(a->certs[i].der, b->certs[i].der, a->certs[i].len);
	}
}

static void test_pem_and_packing(void **state)
{
	struct testca_spec spec = leaf_spec();
	_chain_release_ struct chain c = make_chain(testca_make(&spec), intermediate, root, NULL);
	_chain_release_ struct chain again = {.n = 0}, back = {.n = 0}, alone = {.n = 0};
	_buf_release_ struct buf pem = BUF_INIT(1 << 16), theirs = BUF_INIT(1 << 16),
				 rest = BUF_INIT(1 << 16);

	(void)state;
	assert_int_equal(chain_to_pem(&c, 1, &pem), 0);
	add_pem(&theirs, intermediate);
	add_pem(&theirs, root);
	assert_string_equal(buf_cstr(&pem), buf_cstr(&theirs));
	buf_clear(&pem);
	assert_int_equal(chain_to_pem(&c, 0, &pem), 0);
	assert_int_equal(chain_from_pem(pem.data, pem.len, &again, NULL), 0);
	assert_same_chain(&c, &again);
	assert_int_equal(chain_pack_rest(&c, &rest), 0);
	assert_int_equal(
		chain_unpack(c.certs[0].der, c.certs[0].len, rest.data, rest.len, &back), 0);
	assert_same_chain(&c, &back);
	assert_int_equal(chain_unpack(c.certs[0].der, c.certs[0].len, NULL, 0, &alone), 0);
	assert_int_equal(alone.n, 1);
}

static void test_unpack_refuses(void **state)
{
	struct testca_spec spec = leaf_spec();
	_chain_release_ struct chain c = make_chain(testca_make(&spec), intermediate, NULL);
	_buf_release_ struct buf rest = BUF_INIT(1 << 16);
	struct chain out = {.n = 0};

	(void)state;
	assert_int_equal(chain_pack_rest(&c, &rest), 0);
	for (size_t n = 1; n < rest.len; n++)
		assert_int_equal(chain_unpack(c.certs[0].der, c.certs[0].len, rest.data, n, &out),
			CF_EPROTO);
	assert_int_equal(chain_unpack("", 0, rest.data, rest.len, &out), CF_EPROTO);
	assert_int_equal(chain_unpack("\x30\x80\0\0", 4, NULL, 0, &out), CF_EPROTO);
	assert_int_equal(chain_unpack(c.certs[0].der, c.certs[0].len, "\xff\xff\xff\xff", 4, &out),
		CF_EPROTO);
	assert_null(out.certs);
}

static void test_pem_refuses(void **state)
{
	static const char *const bad[] = {
		"",
		"no PEM at all",
		"-----BEGIN CERTIFICATE-----\n",
		"-----BEGIN CERTIFICATE-----\nMAA=\n",
		"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
		"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
		"-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n", /* 30 00 00 */
		"-----BEGIN CERTIFICATE-----\nBAA=\n-----END CERTIFICATE-----\n", /* an OCTET STRING
										   */
		"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n",
		("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n-----BEGIN "
		 "CMS-----\n"),
	};
	struct chain out = {.n = 0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct why why = {""};

		assert_int_equal(chain_from_pem(bad[i], strlen(bad[i]), &out, &why), CF_EPROTO);
		assert_true(why.text[0] != '\0');
	}
	assert_null(out.certs);
	assert_int_equal(ERR_peek_error(), 0);
}

static void test_pem_limits(void **state)
{
	static const char one[] =
		"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n\n";
	_buf_release_ struct buf pem = BUF_INIT(1 << 20);
	struct chain out = {.n = 0};

	(void)state;
	for (int i = 0; i < CHAIN_MAX_CERTS; i++)
		buf_adds(&pem, one);
	assert_int_equal(chain_from_pem(pem.data, pem.len, &out, NULL), 0);
	assert_int_equal(out.n, CHAIN_MAX_CERTS);
	chain_release(&out);
	buf_adds(&pem, one);
	assert_int_equal(chain_from_pem(pem.data, pem.len, &out, NULL), CF_ETOOBIG);
	while (pem.len <= 2 * CHAIN_MAX_BYTES)
		buf_addc(&pem, '\n');
	assert_int_equal(chain_from_pem(pem.data, pem.len, &out, NULL), CF_ETOOBIG);
	assert_null(out.certs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ari_vector),
		cmocka_unit_test(test_info),
		cmocka_unit_test(test_info_of_odd_leaves),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_check_right),
		cmocka_unit_test(test_check_key_and_names),
		cmocka_unit_test(test_check_dates),
		cmocka_unit_test(test_check_links),
		cmocka_unit_test(test_the_cache_overflows),
		cmocka_unit_test(test_pem_and_packing),
		cmocka_unit_test(test_unpack_refuses),
		cmocka_unit_test(test_pem_refuses),
		cmocka_unit_test(test_pem_limits),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

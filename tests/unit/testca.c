#include "tests/unit/testca.h"

#include <openssl/bn.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdlib.h>

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void add_extension(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	require(e && X509_add_ext(x, e, -1));
	X509_EXTENSION_free(e);
}

static void add_aki(X509 *x, const char *hex)
{
	AUTHORITY_KEYID *aki = AUTHORITY_KEYID_new();
	long n = 0;
	unsigned char *bytes = OPENSSL_hexstr2buf(hex, &n);

	require(aki && bytes);
	aki->keyid = ASN1_OCTET_STRING_new();
	require(ASN1_OCTET_STRING_set(aki->keyid, bytes, (int)n));
	require(X509_add1_ext_i2d(x, NID_authority_key_identifier, aki, 0, 0) == 1);
	OPENSSL_free(bytes);
	AUTHORITY_KEYID_free(aki);
}

static void set_serial(X509 *x, const char *hex)
{
	BIGNUM *bn = NULL;

	require(BN_hex2bn(&bn, hex) && BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(x)));
	BN_free(bn);
}

static void set_subject(X509 *x, const char *cn)
{
	X509_NAME *name = X509_get_subject_name(x);

	if (cn)
		require(X509_NAME_add_entry_by_NID(
			name, NID_commonName, MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0));
}

X509 *testca_make(const struct testca_spec *s)
{
	X509 *x = X509_new();

	require(x && X509_set_version(x, X509_VERSION_3) && X509_set_pubkey(x, s->key));
	set_serial(x, s->serial_hex ? s->serial_hex : "01");
	set_subject(x, s->cn);
	require(X509_set_issuer_name(x, X509_get_subject_name(s->issuer ? s->issuer : x)));
	require(ASN1_TIME_set(X509_getm_notBefore(x), s->not_before_ms / 1000) != NULL);
	require(ASN1_TIME_set(X509_getm_notAfter(x), s->not_after_ms / 1000) != NULL);
	if (s->ca)
		add_extension(x, NID_basic_constraints, "critical,CA:TRUE");
	if (s->san)
		add_extension(x, NID_subject_alt_name, s->san);
	if (s->aki_hex)
		add_aki(x, s->aki_hex);
	require(X509_sign(x, s->issuer_key ? s->issuer_key : s->key, EVP_sha256()) > 0);
	return x;
}

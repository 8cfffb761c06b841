#include "common/certificate.h"

#include "common/certificate_cache.h"
#include "common/clock.h"
#include "common/keypair.h"
#include "common/mem.h"
#include "common/str.h"

#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

enum { SERIAL_MAX_BYTES = 21, AKI_MAX_BYTES = 40, CLOCK_SKEW_MS = 3600 * 1000, SAN_MAX = 1000 };

static int refuse(struct why *why, const char *what)
{
	ERR_clear_error();
	return why_set(why, CF_EPROTO, "%s", what);
}

/* Facts */

/* The content octets of the serial's DER, as they stand; 0 if it is none that a CA may give. */
static size_t serial_octets(const X509 *x, unsigned char out[SERIAL_MAX_BYTES])
{
	unsigned char *der = NULL;
	int n = i2d_ASN1_INTEGER((ASN1_INTEGER *)(uintptr_t)X509_get0_serialNumber(x), &der);
	size_t len =
		n > 2 ? (size_t)n - 2 : 0; /* shorter than 128 bytes: two bytes stand before it */

	if (len > SERIAL_MAX_BYTES || (len == SERIAL_MAX_BYTES && der[2]))
		len = 0;
	if (len)
		memcpy(out, der + 2, len);
	OPENSSL_free(der);
	return len;
}

static size_t authority_key_id(const X509 *x, unsigned char out[AKI_MAX_BYTES])
{
	AUTHORITY_KEYID *aki = X509_get_ext_d2i(x, NID_authority_key_identifier, NULL, NULL);
	size_t n = 0;

	if (aki && aki->keyid && ASN1_STRING_length(aki->keyid) <= AKI_MAX_BYTES) {
		n = (size_t)ASN1_STRING_length(aki->keyid);
		memcpy(out, ASN1_STRING_get0_data(aki->keyid), n);
	}
	AUTHORITY_KEYID_free(aki);
	return n;
}

int ari_cert_id(
	const void *aki, size_t aki_len, const void *serial, size_t serial_len, struct buf *out)
{
	if (!aki_len || !serial_len)
		return CF_EINVAL;
	str_base64url(out, aki, aki_len);
	buf_addc(out, '.');
	str_base64url(out, serial, serial_len);
	return buf_err(out);
}

static void read_ari_id(
	const X509 *x, const unsigned char *serial, size_t n, struct cert_info *info)
{
	unsigned char aki[AKI_MAX_BYTES];
	_buf_release_ struct buf id = BUF_INIT(sizeof info->ari_id - 1);

	if (!ari_cert_id(aki, authority_key_id(x, aki), serial, n, &id))
		memcpy(info->ari_id, id.data, id.len + 1);
}

/* The common name, or the organization where there is none. */
static void read_issuer(const X509 *x, char *out, size_t size)
{
	const X509_NAME *name = X509_get_issuer_name(x);
	int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
	unsigned char *text = NULL;
	int n;

	if (at < 0)
		at = X509_NAME_get_index_by_NID(name, NID_organizationName, -1);
	if (at < 0)
		return;
	n = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
	if (n > 0)
		str_clean((const char *)text, (size_t)n, out, size);
	OPENSSL_free(text);
}

static int time_ms(const ASN1_TIME *t, int64_t *out)
{
	struct tm tm;

	if (!t || ASN1_TIME_to_tm(t, &tm) != 1)
		return CF_EPROTO;
	*out = (int64_t)timegm(&tm) * CLOCK_SECOND_MS;
	return 0;
}

static int read_spki_sha256(const X509 *x, unsigned char out[32])
{
	unsigned char *der = NULL;
	int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);

	if (n <= 0)
		return CF_EPROTO;
	SHA256(der, (size_t)n, out);
	OPENSSL_free(der);
	return 0;
}

int cert_info_read(const void *der, size_t n, struct cert_info *out, struct why *why)
{
	struct cert_info info = {.serial = ""};
	unsigned char serial[SERIAL_MAX_BYTES];
	X509 *x = cert_cache_leaf(der, n);
	size_t len, zeros;

	if (!x)
		return refuse(why, "the certificate is not readable");
	len = serial_octets(x, serial);
	if (!len)
		return refuse(why, "the certificate's serial number is longer than 20 bytes");
	zeros = len > 1 && !serial[0];
	str_hex(serial + zeros, len - zeros, info.serial);
	read_ari_id(x, serial, len, &info);
	read_issuer(x, info.issuer, sizeof info.issuer);
	if (time_ms(X509_get0_notBefore(x), &info.not_before_ms) ||
		time_ms(X509_get0_notAfter(x), &info.not_after_ms))
		return refuse(why, "the certificate's dates are not readable");
	if (read_spki_sha256(x, info.spki_sha256))
		return refuse(why, "the certificate's key is not readable");
	SHA256(der, n, info.sha256);
	ERR_clear_error();
	*out = info;
	return 0;
}

/* Names */

struct names {
	char **list;
	size_t n;
};

static void names_release(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->list[i]);
	free(names->list);
}

static int add_name(struct names *names, const GENERAL_NAME *gn, struct why *why)
{
	const char *text;
	size_t n;

	if (gn->type != GEN_DNS)
		return refuse(why, "the certificate has a name that is no DNS name");
	text = (const char *)ASN1_STRING_get0_data(gn->d.dNSName);
	n = (size_t)ASN1_STRING_length(gn->d.dNSName);
	if (!n || n > 255 || memchr(text, '\0', n))
		return refuse(why, "the certificate has a malformed DNS name");
	names->list[names->n++] = str_lower(mem_strndup(text, n));
	return 0;
}

static int read_names(const X509 *x, struct names *out, struct why *why)
{
	GENERAL_NAMES *san = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	int n = san ? sk_GENERAL_NAME_num(san) : 0, err = 0;

	if (n > SAN_MAX) {
		GENERAL_NAMES_free(san);
		return refuse(why, "the certificate has too many names");
	}
	out->list = mem_array((size_t)n, sizeof *out->list);
	for (int i = 0; i < n && !err; i++)
		err = add_name(out, sk_GENERAL_NAME_value(san, i), why);
	GENERAL_NAMES_free(san);
	ERR_clear_error();
	return err;
}

int cert_each_name(const void *der, size_t n, void (*fn)(void *arg, const char *name), void *arg)
{
	__attribute__((cleanup(names_release))) struct names names = {NULL, 0};
	X509 *x = cert_cache_leaf(der, n);
	int err = x ? read_names(x, &names, NULL) : CF_EPROTO;

	for (size_t i = 0; i < names.n && !err; i++)
		fn(arg, names.list[i]);
	return err;
}

/* Checks */

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Both sorted; walks them side by side, over repeated ones. */
static int compare_sets(char *const *have, size_t n, char *const *want, size_t m, struct why *why)
{
	size_t i = 0, j = 0;
	char clean[300];

	while (i < n || j < m) {
		int order = i == n ? 1 : j == m ? -1 : strcmp(have[i], want[j]);

		if (order < 0)
			return why_set(why, CF_EPROTO,
				"the certificate is also for %s, which was not asked for",
				str_clean(have[i], strlen(have[i]), clean, sizeof clean));
		if (order > 0)
			return why_set(why, CF_EPROTO, "the certificate lacks %s", want[j]);
		for (i++; i < n && !strcmp(have[i], have[i - 1]);)
			i++;
		for (j++; j < m && !strcmp(want[j], want[j - 1]);)
			j++;
	}
	return 0;
}

static int check_names(const X509 *leaf, const char *const *names, size_t n, struct why *why)
{
	__attribute__((cleanup(names_release))) struct names have = {NULL, 0};
	_mem_free_ char **want = mem_array(n, sizeof *want);
	int err = read_names(leaf, &have, why);

	if (err)
		return err;
	if (n)
		memcpy(want, names, n * sizeof *want);
	if (have.list)
		qsort(have.list, have.n, sizeof *have.list, compare_names);
	qsort(want, n, sizeof *want, compare_names);
	return compare_sets(have.list, have.n, want, n, why);
}

/* The digests differ, too, where a CA writes the same key in another form. */
static int check_key(const X509 *leaf, EVP_PKEY *key, struct why *why)
{
	unsigned char ours[32], theirs[32];

	if (!keypair_spki_sha256(key, ours) && !read_spki_sha256(leaf, theirs) &&
		!memcmp(ours, theirs, 32))
		return 0;
	if (X509_get0_pubkey(leaf) && EVP_PKEY_eq(X509_get0_pubkey(leaf), key) == 1)
		return 0;
	return refuse(why, "the certificate is for another key than ours");
}

static int check_dates(const X509 *x, size_t at, int64_t now_ms, struct why *why)
{
	char text[CLOCK_RFC3339_LEN], now[CLOCK_RFC3339_LEN];
	int64_t from, to;

	if (time_ms(X509_get0_notBefore(x), &from) || time_ms(X509_get0_notAfter(x), &to) ||
		to <= from)
		return why_set(
			why, CF_EPROTO, "certificate %zu of the chain has impossible dates", at);
	if (from > now_ms + CLOCK_SKEW_MS)
		return why_set(why, CF_EPROTO,
			"certificate %zu of the chain is valid from %s, it is %s now", at,
			clock_rfc3339(from, text), clock_rfc3339(now_ms, now));
	if (to < now_ms - CLOCK_SKEW_MS)
		return why_set(why, CF_EPROTO,
			"certificate %zu of the chain expired at %s, it is %s now", at,
			clock_rfc3339(to, text), clock_rfc3339(now_ms, now));
	return 0;
}

static int check_signed(X509 *x, size_t at, const struct cert_entry *issuer, struct why *why)
{
	int ok = 0;

	if (!issuer->is_ca)
		return why_set(
			why, CF_EPROTO, "certificate %zu of the chain is not a CA's", at + 1);
	if (!X509_NAME_cmp(X509_get_issuer_name(x), X509_get_subject_name(issuer->x509)) &&
		X509_get0_pubkey(issuer->x509))
		ok = X509_verify(x, X509_get0_pubkey(issuer->x509)) == 1;
	ERR_clear_error();
	if (!ok)
		return why_set(why, CF_EPROTO,
			"certificate %zu of the chain is not signed by the next", at);
	return 0;
}

/* A signature between two certificates that are kept is verified once. */
static int check_link(
	struct cert_entry *e, size_t at, const struct cert_entry *issuer, struct why *why)
{
	int err;

	if (e->issuer_known && !memcmp(e->issuer_sha256, issuer->sha256, 32))
		return 0;
	err = check_signed(e->x509, at, issuer, why);
	if (err)
		return err;
	memcpy(e->issuer_sha256, issuer->sha256, 32);
	e->issuer_known = true;
	return 0;
}

static int check_links(const struct chain *c, X509 *leaf, int64_t now_ms, struct why *why)
{
	struct cert_entry *below = NULL;

	for (size_t i = 1; i < c->n; i++) {
		struct cert_entry *e = cert_cache_intermediate(c->certs[i].der, c->certs[i].len);
		int err;

		if (!e)
			return why_set(
				why, CF_EPROTO, "certificate %zu of the chain is not readable", i);
		err = below ? check_link(below, i - 1, e, why) : check_signed(leaf, 0, e, why);
		if (!err)
			err = check_dates(e->x509, i, now_ms, why);
		if (err)
			return err;
		below = e;
	}
	return 0;
}

int chain_check(const struct chain *c, EVP_PKEY *key, const char *const *names, size_t n,
	int64_t now_ms, struct why *why)
{
	X509 *leaf;
	int err;

	if (!c->n || c->n > CHAIN_MAX_CERTS)
		return refuse(why, "the chain has no certificate, or too many");
	leaf = cert_cache_leaf(c->certs[0].der, c->certs[0].len);
	if (!leaf)
		return refuse(why, "the certificate is not readable");
	err = check_key(leaf, key, why);
	if (!err)
		err = check_names(leaf, names, n, why);
	if (!err)
		err = check_dates(leaf, 0, now_ms, why);
	return err ? err : check_links(c, leaf, now_ms, why);
}

#include "common/certificate.h"
#include "common/mem.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

enum { PEM_MAX_BYTES = 2 * CHAIN_MAX_BYTES, PEM_LINE_BYTES = 48 };

void chain_release(struct chain *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->certs[i].der);
	free(c->certs);
	*c = (struct chain){.n = 0};
}

/* One SEQUENCE that ends where the bytes end. */
static bool is_sequence(const unsigned char *der, size_t n)
{
	const unsigned char *p = der;
	int tag = 0, class = 0;
	long len = 0;

	if (!n || n > CHAIN_MAX_BYTES ||
		ASN1_get_object(&p, &len, &tag, &class, (long)n) != V_ASN1_CONSTRUCTED)
		return false;
	return tag == V_ASN1_SEQUENCE && class == V_ASN1_UNIVERSAL && p + len == der + n;
}

static size_t total_bytes(const struct chain *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++)
		n += c->certs[i].len;
	return n;
}

static int add_cert(struct chain *c, const unsigned char *der, size_t n, struct why *why)
{
	if (!is_sequence(der, n))
		return why_set(why, CF_EPROTO, "certificate %zu of the chain is not DER", c->n);
	if (c->n == CHAIN_MAX_CERTS || total_bytes(c) + n > CHAIN_MAX_BYTES)
		return why_set(why, CF_ETOOBIG,
			"the chain has more than %d certificates or %d bytes", CHAIN_MAX_CERTS,
			CHAIN_MAX_BYTES);
	c->certs = mem_grow(c->certs, c->n + 1, sizeof *c->certs);
	c->certs[c->n++] = (struct chain_cert){.der = mem_dup(der, n), .len = n};
	return 0;
}

/* Reads one block; 0, an error, or 1 at the end. */
static int read_block(BIO *bio, struct chain *c, struct why *why)
{
	char *name = NULL, *header = NULL;
	unsigned char *der = NULL;
	long n = 0;
	int err;

	if (PEM_read_bio(bio, &name, &header, &der, &n) != 1) {
		bool end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;

		ERR_clear_error();
		return end ? 1 : why_set(why, CF_EPROTO, "block %zu of the chain is not PEM", c->n);
	}
	if (strcmp(name, PEM_STRING_X509) || *header)
		err = why_set(why, CF_EPROTO, "block %zu of the chain is not a CERTIFICATE", c->n);
	else
		err = add_cert(c, der, (size_t)n, why);
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(der);
	return err;
}

int chain_from_pem(const char *pem, size_t n, struct chain *out, struct why *why)
{
	_chain_release_ struct chain c = {.n = 0};
	BIO *bio;
	int err = 0;

	if (n > PEM_MAX_BYTES)
		return why_set(why, CF_ETOOBIG, "the chain has more than %d bytes", PEM_MAX_BYTES);
	bio = BIO_new_mem_buf(n ? pem : "", (int)n);
	if (!bio)
		return why_set(why, CF_ECRYPTO, "out of memory");
	while (!err)
		err = read_block(bio, &c, why);
	BIO_free(bio);
	if (err < 0)
		return err;
	if (!c.n)
		return why_set(why, CF_EPROTO, "the chain holds no certificate");
	*out = c;
	c = (struct chain){.n = 0};
	return 0;
}

static void add_pem(struct buf *out, const struct chain_cert *cert)
{
	buf_adds(out, "-----BEGIN CERTIFICATE-----\n");
	for (size_t at = 0; at < cert->len; at += PEM_LINE_BYTES) {
		size_t n = cert->len - at < PEM_LINE_BYTES ? cert->len - at : PEM_LINE_BYTES;
		unsigned char line[PEM_LINE_BYTES / 3 * 4 + 1];

		buf_add(out, line, (size_t)EVP_EncodeBlock(line, cert->der + at, (int)n));
		buf_addc(out, '\n');
	}
	buf_adds(out, "-----END CERTIFICATE-----\n");
}

int chain_to_pem(const struct chain *c, size_t from, struct buf *out)
{
	for (size_t i = from; i < c->n; i++)
		add_pem(out, &c->certs[i]);
	return buf_err(out);
}

int chain_pack_rest(const struct chain *c, struct buf *out)
{
	for (size_t i = 1; i < c->n; i++) {
		size_t n = c->certs[i].len;
		const unsigned char head[4] = {(unsigned char)(n >> 24), (unsigned char)(n >> 16),
			(unsigned char)(n >> 8), (unsigned char)n};

		buf_add(out, head, sizeof head);
		buf_add(out, c->certs[i].der, n);
	}
	return buf_err(out);
}

int chain_unpack(
	const void *leaf, size_t leaf_len, const void *rest, size_t rest_len, struct chain *out)
{
	_chain_release_ struct chain c = {.n = 0};
	const unsigned char *p = rest;
	int err = add_cert(&c, leaf, leaf_len, NULL);

	while (rest_len && !err) {
		size_t n;

		if (rest_len < 4)
			return CF_EPROTO;
		n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
		if (n > rest_len - 4)
			return CF_EPROTO;
		err = add_cert(&c, p + 4, n, NULL);
		p += 4 + n;
		rest_len -= 4 + n;
	}
	if (err)
		return CF_EPROTO;
	*out = c;
	c = (struct chain){.n = 0};
	return 0;
}

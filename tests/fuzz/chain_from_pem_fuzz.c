/* Any bytes as a CA's chain: what is accepted comes back from PEM and from packing as it was; its
 * facts and names can be asked for, and its links checked, whatever they are. */
#include "common/certificate.h"
#include "common/keypair.h"
#include "common/mem.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int holds)
{
	if (!holds)
		abort();
}

static void take_name(void *arg, const char *name)
{
	*(size_t *)arg += strlen(name);
}

static void check_round_trips(const struct chain *c)
{
	_buf_release_ struct buf pem = BUF_INIT(1 << 20), rest = BUF_INIT(1 << 20);
	_chain_release_ struct chain a = {.n = 0}, b = {.n = 0};

	require(!chain_to_pem(c, 0, &pem) && !chain_from_pem(pem.data, pem.len, &a, NULL) &&
		a.n == c->n);
	require(!chain_pack_rest(c, &rest));
	require(!chain_unpack(c->certs[0].der, c->certs[0].len, rest.data, rest.len, &b) &&
		b.n == c->n);
	for (size_t i = 0; i < c->n; i++)
		require(a.certs[i].len == c->certs[i].len &&
			!memcmp(a.certs[i].der, c->certs[i].der, c->certs[i].len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static EVP_PKEY *key;
	const char *const names[] = {"a.example"};
	_chain_release_ struct chain c = {.n = 0};
	struct why why = {""};
	struct cert_info info;
	size_t bytes = 0;

	if (!key)
		require(!keypair_make(KEY_P256, &key));
	if (chain_from_pem((const char *)data, size, &c, &why))
		return 0;
	check_round_trips(&c);
	cert_info_read(c.certs[0].der, c.certs[0].len, &info, &why);
	cert_each_name(c.certs[0].der, c.certs[0].len, take_name, &bytes);
	chain_check(&c, key, names, 1, INT64_C(1795000000000), &why);
	return 0;
}

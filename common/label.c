#include "common/label.h"

#include "common/buf.h"
#include "common/mem.h"
#include "common/names.h"
#include "common/str.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

static void hmac_sha256(
	const uint8_t key[LABEL_KEY_BYTES], const struct buf *message, uint8_t out[32])
{
	unsigned n = 0;

	if (!HMAC(EVP_sha256(), key, LABEL_KEY_BYTES, (const unsigned char *)message->data,
		    message->len, out, &n))
		abort(); /* out of memory, or OpenSSL without SHA-256 */
}

void label_make(const uint8_t key[LABEL_KEY_BYTES], const char *tenant, const char *name,
	char out[LABEL_SIZE])
{
	const char *base = name_base(name);
	_buf_release_ struct buf message = BUF_INIT(strlen(tenant) + 1 + strlen(base));
	_buf_release_ struct buf text = BUF_INIT(64);
	uint8_t mac[32];

	buf_add(&message, tenant, strlen(tenant) + 1);
	buf_adds(&message, base);
	hmac_sha256(key, &message, mac);
	str_base32(&text, mac, sizeof mac);
	memcpy(out, text.data, LABEL_LEN);
	out[LABEL_LEN] = '\0';
}

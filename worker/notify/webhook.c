#include "worker/notify/webhook.h"

#include "common/mem.h"
#include "common/mp_json.h"
#include "common/str.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#define PREFIX      "whsec_"
#define KEY_LEAST   24
#define BASE64_MOST 88 /* of 64 bytes */

/* --- secrets */

/* Standard base64, its padding given or left out. */
static int decode(const char *text, size_t n, unsigned char out[64], size_t *len)
{
	_buf_release_secret_ struct buf url = BUF_INIT(BASE64_MOST + 1);
	_buf_release_secret_ struct buf bytes = BUF_INIT(64);

	while (n && text[n - 1] == '=')
		n--;
	if (n > BASE64_MOST)
		return CF_EINVAL;
	for (size_t i = 0; i < n; i++)
		buf_addc(&url, text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i]);
	if (memchr(text, '-', n) || memchr(text, '_', n) ||
		str_unbase64url(&bytes, buf_cstr(&url), url.len) || buf_err(&bytes) ||
		bytes.len < KEY_LEAST)
		return CF_EINVAL;
	memcpy(out, bytes.data, bytes.len);
	*len = bytes.len;
	return 0;
}

static size_t trimmed(const char *line, size_t n)
{
	while (n && strchr(" \t\r", line[n - 1]))
		n--;
	return n;
}

int webhook_secrets_parse(const char *text, size_t n, struct webhook_secrets *out, struct why *why)
{
	struct webhook_secrets s = {.n = 0};
	const char *end = text + n;
	size_t line = 1;

	for (const char *p = text, *next; p < end; p = next, line++) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));
		size_t len = trimmed(p, (size_t)((eol ? eol : end) - p));

		next = eol ? eol + 1 : end;
		if (!len)
			continue;
		if (s.n == WEBHOOK_SECRETS_MAX || len < strlen(PREFIX) ||
			memcmp(p, PREFIX, strlen(PREFIX)) != 0 ||
			decode(p + strlen(PREFIX), len - strlen(PREFIX), s.keys[s.n],
				&s.lens[s.n])) {
			webhook_secrets_wipe(&s);
			return why_set(why, CF_EINVAL,
				"line %zu: expected at most %d secrets, a line each: \"" PREFIX
				"\" and 24 to 64 bytes in base64",
				line, WEBHOOK_SECRETS_MAX);
		}
		s.n++;
	}
	if (!s.n)
		return why_set(why, CF_EINVAL, "no secret in it: expected \"" PREFIX "…\"");
	*out = s;
	mem_wipe(&s, sizeof s);
	return 0;
}

void webhook_secrets_wipe(struct webhook_secrets *s)
{
	mem_wipe(s, sizeof *s);
}

/* --- what is sent */

void webhook_id(const struct notice *n, char out[WEBHOOK_ID_SIZE])
{
	_buf_release_ struct buf b = BUF_INIT(4096);
	unsigned char sha[SHA256_DIGEST_LENGTH];

	buf_add(&b, n->source, strlen(n->source) + 1);
	buf_adds(&b, n->id);
	SHA256((const unsigned char *)b.data, b.len, sha);
	memcpy(out, "evt_", 4);
	str_hex(sha, 16, out + 4);
}

void webhook_signature(const struct webhook_secrets *s, const char *id, int64_t timestamp_s,
	const void *body, size_t len, struct buf *out)
{
	_buf_release_ struct buf content = BUF_INIT(len + 128);

	buf_addf(&content, "%s.%" PRId64 ".", id, timestamp_s);
	buf_add(&content, body, len);
	for (size_t i = 0; i < s->n; i++) {
		unsigned char mac[SHA256_DIGEST_LENGTH], base64[64];

		HMAC(EVP_sha256(), s->keys[i], (int)s->lens[i], (const unsigned char *)content.data,
			content.len, mac, NULL);
		EVP_EncodeBlock(base64, mac, sizeof mac);
		buf_addf(out, "%sv1,%s", i ? " " : "", (const char *)base64);
	}
}

int webhook_body(const struct notice *n, struct buf *out)
{
	json_t *data = mp_json_of(n->data, n->len), *event;
	char *text;

	if (!data)
		return CF_EPROTO;
	event = json_pack("{s:s s:s s:s s:s s:s s:s s:s s:o}", "specversion", "1.0", "id", n->id,
		"type", n->type, "source", n->source, "subject", n->subject, "time", n->time,
		"datacontenttype", "application/json", "data", data);
	text = event ? json_dumps(event, JSON_COMPACT) : NULL;
	json_decref(event);
	if (!text)
		return CF_EPROTO;
	buf_adds(out, text);
	free(text);
	return buf_err(out);
}

#include "common/vault.h"

#include "common/mem.h"
#include "common/secret.h"
#include "common/str.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum {
	KEY_BYTES = 32,
	ID_BYTES = 4,
	NONCE_BYTES = 12,
	TAG_BYTES = 16,
	VERSION = 1,
	HEAD_BYTES = 2 + ID_BYTES, /* version, wrap, key id: authenticated, not encrypted */
	FILE_MAX_BYTES = 4096,
	WRAPS = 2,
};

/* A key of the file, and what is derived from it for one wrap. */
struct data_key {
	uint8_t id[ID_BYTES];
	uint8_t bytes[KEY_BYTES];
};

struct wrap_keys {
	struct data_key keys[VAULT_KEYS_MAX];
	size_t n; /* 0: this wrap is not ours to open */
};

struct vault {
	struct wrap_keys *wraps; /* of WRAPS, in locked memory */
	EVP_CIPHER *gcm;
};

struct file_keys {
	uint8_t keys[VAULT_KEYS_MAX][KEY_BYTES];
	size_t n;
};

static const char *wrap_name(enum vault_wrap wrap)
{
	return wrap == VAULT_ACCOUNTS ? "accounts" : "certificates";
}

static struct wrap_keys *keys_of(struct vault *v, enum vault_wrap wrap)
{
	return &v->wraps[wrap == VAULT_ACCOUNTS ? 0 : 1];
}

/* Key files */

static bool parse_base64(const char *text, size_t n, uint8_t out[KEY_BYTES])
{
	_buf_release_secret_ struct buf bytes = BUF_INIT(KEY_BYTES);
	char url[48];

	while (n && text[n - 1] == '=')
		n--;
	if (n >= sizeof url)
		return false;
	for (size_t i = 0; i < n; i++)
		url[i] = (char)(text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i]);
	if (str_unbase64url(&bytes, url, n) || bytes.len != KEY_BYTES) {
		mem_wipe(url, sizeof url);
		return false;
	}
	memcpy(out, bytes.data, KEY_BYTES);
	mem_wipe(url, sizeof url);
	return true;
}

static bool parse_hex(const char *text, size_t n, uint8_t out[KEY_BYTES])
{
	char hex[2 * KEY_BYTES + 1];
	bool ok;

	if (n != sizeof hex - 1)
		return false;
	memcpy(hex, text, n);
	hex[n] = '\0';
	ok = !str_unhex(hex, out, KEY_BYTES);
	mem_wipe(hex, sizeof hex);
	return ok;
}

/* A file of zeros is a mistake, no key. */
static bool is_constant(const uint8_t key[KEY_BYTES])
{
	return !memcmp(key, key + 1, KEY_BYTES - 1);
}

static int parse_line(const char *path, unsigned line, const char *text, size_t n,
	struct file_keys *out, struct why *why)
{
	if (out->n == VAULT_KEYS_MAX)
		return why_set(why, CF_ETOOBIG, "%s:%u: at most %d keys are allowed", path, line,
			VAULT_KEYS_MAX);
	if (!parse_hex(text, n, out->keys[out->n]) && !parse_base64(text, n, out->keys[out->n]))
		return why_set(why, CF_EINVAL,
			"%s:%u: a key of 32 bytes is expected, as 64 hex digits or base64", path,
			line);
	if (is_constant(out->keys[out->n]))
		return why_set(why, CF_EINVAL, "%s:%u: all bytes are the same, that is no key",
			path, line);
	out->n++;
	return 0;
}

static int parse_text(
	const char *path, const struct buf *file, struct file_keys *out, struct why *why)
{
	const char *p = file->data, *end = p + file->len;

	for (unsigned line = 1; p < end; line++) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));
		const char *next = eol ? eol + 1 : end;
		size_t n = (size_t)((eol ? eol : end) - p);
		int err;

		for (; n && strchr(" \t\r", *p); n--)
			p++;
		while (n && strchr(" \t\r", p[n - 1]))
			n--;
		err = n && *p != '#' ? parse_line(path, line, p, n, out, why) : 0;
		if (err)
			return err;
		p = next;
	}
	return out->n ? 0 : why_set(why, CF_EINVAL, "%s: holds no key", path);
}

static int read_keys(const char *path, struct file_keys *out, struct why *why)
{
	_buf_release_secret_ struct buf file = BUF_INIT(FILE_MAX_BYTES);
	int err = secret_read_file(path, FILE_MAX_BYTES, &file, why);

	if (err)
		return err;
	out->n = 0;
	if (file.len != KEY_BYTES)
		return parse_text(path, &file, out, why);
	memcpy(out->keys[out->n++], file.data, KEY_BYTES);
	if (is_constant(out->keys[0]))
		return why_set(why, CF_EINVAL, "%s: all bytes are the same, that is no key", path);
	return 0;
}

int vault_read_key_file(const char *path, uint8_t out[32], struct why *why)
{
	struct file_keys keys;
	int err = read_keys(path, &keys, why);

	if (!err)
		memcpy(out, keys.keys[0], KEY_BYTES);
	mem_wipe(&keys, sizeof keys);
	return err;
}

/* Data keys */

static int hkdf(const uint8_t key[KEY_BYTES], const char *info, uint8_t out[KEY_BYTES])
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char[]){"SHA256"}, 0),
		OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)key, KEY_BYTES),
		OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)info, strlen(info)),
		OSSL_PARAM_construct_end(),
	};
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	bool ok = ctx && EVP_KDF_derive(ctx, out, KEY_BYTES, params) == 1;

	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	ERR_clear_error();
	return ok ? 0 : CF_ECRYPTO;
}

static int derive(const uint8_t file_key[KEY_BYTES], enum vault_wrap wrap, struct data_key *out)
{
	uint8_t digest[32];
	char info[64];

	snprintf(info, sizeof info, "certfleet vault %d %s", VERSION, wrap_name(wrap));
	if (hkdf(file_key, info, out->bytes))
		return CF_ECRYPTO;
	SHA256(out->bytes, KEY_BYTES, digest);
	memcpy(out->id, digest, ID_BYTES);
	return 0;
}

static int load_wrap(struct vault *v, enum vault_wrap wrap, const char *path, struct why *why)
{
	struct wrap_keys *keys = keys_of(v, wrap);
	struct file_keys file = {.n = 0};
	int err = path ? read_keys(path, &file, why) : 0;

	for (size_t i = 0; i < file.n && !err; i++) {
		err = derive(file.keys[i], wrap, &keys->keys[keys->n++]);
		if (err)
			why_set(why, err, "OpenSSL cannot derive keys (HKDF)");
	}
	mem_wipe(&file, sizeof file);
	return err;
}

/* Locking may be forbidden (RLIMIT_MEMLOCK); the keys are then still kept out of dumps. */
static struct wrap_keys *allocate_keys(void)
{
	const size_t n = WRAPS * sizeof(struct wrap_keys);
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		abort();
	mlock(p, n);
	madvise(p, n, MADV_DONTDUMP);
	return p;
}

int vault_open(const char *accounts_key_file, const char *certificates_key_file, struct vault **out,
	struct why *why)
{
	struct vault *v = mem_zalloc(sizeof *v);
	int err;

	v->wraps = allocate_keys();
	err = load_wrap(v, VAULT_ACCOUNTS, accounts_key_file, why);
	if (!err)
		err = load_wrap(v, VAULT_CERTIFICATES, certificates_key_file, why);
	v->gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	if (!err && !v->gcm)
		err = why_set(why, CF_ECRYPTO, "OpenSSL has no AES-256-GCM");
	if (err) {
		vault_close(v);
		return err;
	}
	*out = v;
	return 0;
}

void vault_close(struct vault *v)
{
	if (!v)
		return;
	EVP_CIPHER_free(v->gcm);
	mem_wipe(v->wraps, WRAPS * sizeof *v->wraps);
	munmap(v->wraps, WRAPS * sizeof *v->wraps);
	free(v);
}

/* Sealing */

/* Feeds head, wrap's name with its 0 byte, and place. */
static bool add_associated(EVP_CIPHER_CTX *ctx, enum vault_wrap wrap,
	const uint8_t head[HEAD_BYTES], const char *place)
{
	const char *name = wrap_name(wrap);
	int n;

	return EVP_CipherUpdate(ctx, NULL, &n, head, HEAD_BYTES) == 1 &&
	       EVP_CipherUpdate(ctx, NULL, &n, (const uint8_t *)name, (int)strlen(name) + 1) == 1 &&
	       EVP_CipherUpdate(ctx, NULL, &n, (const uint8_t *)place, (int)strlen(place)) == 1;
}

/* One AES-256-GCM pass in either direction; the tag is written or checked. */
static bool gcm(const struct vault *v, bool seal, const struct data_key *key, enum vault_wrap wrap,
	const char *place, const uint8_t *head, const uint8_t *in, size_t n, uint8_t *out,
	uint8_t *tag)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	const uint8_t *nonce = head + HEAD_BYTES;
	int len = 0;
	bool ok = ctx && EVP_CipherInit_ex2(ctx, v->gcm, key->bytes, nonce, seal, NULL) == 1 &&
		  add_associated(ctx, wrap, head, place) &&
		  (!n || EVP_CipherUpdate(ctx, out, &len, in, (int)n) == 1) &&
		  (seal || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag) == 1) &&
		  EVP_CipherFinal_ex(ctx, out + len, &len) == 1 &&
		  (!seal || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, tag) == 1);

	EVP_CIPHER_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

int vault_seal(struct vault *v, enum vault_wrap wrap, const char *place, const void *plain,
	size_t n, struct buf *out)
{
	const struct wrap_keys *keys = keys_of(v, wrap);
	const struct data_key *key = &keys->keys[0];
	uint8_t *blob;

	if (!keys->n)
		return CF_EAUTH;
	if (n > VAULT_PLAIN_MAX)
		return CF_ETOOBIG;
	blob = (uint8_t *)buf_room(out, n + VAULT_OVERHEAD);
	if (!blob)
		return CF_ETOOBIG;
	blob[0] = VERSION;
	blob[1] = (uint8_t)wrap;
	memcpy(blob + 2, key->id, ID_BYTES);
	if (RAND_bytes(blob + HEAD_BYTES, NONCE_BYTES) != 1 ||
		!gcm(v, true, key, wrap, place, blob, plain, n, blob + HEAD_BYTES + NONCE_BYTES,
			blob + HEAD_BYTES + NONCE_BYTES + n))
		return CF_ECRYPTO;
	buf_took(out, n + VAULT_OVERHEAD);
	return 0;
}

static bool is_blob(enum vault_wrap wrap, const uint8_t *blob, size_t n)
{
	return n >= VAULT_OVERHEAD && n <= VAULT_OVERHEAD + VAULT_PLAIN_MAX && blob[0] == VERSION &&
	       blob[1] == (uint8_t)wrap;
}

int vault_unseal(struct vault *v, enum vault_wrap wrap, const char *place, const void *sealed,
	size_t n, struct buf *out)
{
	const struct wrap_keys *keys = keys_of(v, wrap);
	const uint8_t *blob = sealed;
	uint8_t plain[VAULT_PLAIN_MAX], tag[TAG_BYTES];
	size_t len = n - VAULT_OVERHEAD;
	int err = CF_EAUTH;

	if (!is_blob(wrap, blob, n))
		return CF_EPROTO;
	memcpy(tag, blob + n - TAG_BYTES, TAG_BYTES);
	for (size_t i = 0; i < keys->n && err == CF_EAUTH; i++) {
		if (memcmp(blob + 2, keys->keys[i].id, ID_BYTES) ||
			!gcm(v, false, &keys->keys[i], wrap, place, blob,
				blob + HEAD_BYTES + NONCE_BYTES, len, plain, tag))
			continue;
		buf_add(out, plain, len);
		err = buf_err(out);
	}
	mem_wipe(plain, len);
	return err;
}

bool vault_is_current(const struct vault *v, enum vault_wrap wrap, const void *sealed, size_t n)
{
	const struct wrap_keys *keys = &v->wraps[wrap == VAULT_ACCOUNTS ? 0 : 1];
	const uint8_t *blob = sealed;

	return is_blob(wrap, blob, n) && keys->n && !memcmp(blob + 2, keys->keys[0].id, ID_BYTES);
}

static const char canary[] = "certfleet canary";

int vault_canary_make(struct vault *v, enum vault_wrap wrap, struct buf *out)
{
	return vault_seal(v, wrap, "canary", canary, sizeof canary, out);
}

int vault_canary_check(
	struct vault *v, enum vault_wrap wrap, const void *sealed, size_t n, struct why *why)
{
	_buf_release_secret_ struct buf plain = BUF_INIT(sizeof canary);
	int err = vault_unseal(v, wrap, "canary", sealed, n, &plain);

	if (err == CF_EPROTO)
		return why_set(
			why, err, "what is stored to check the %s key is damaged", wrap_name(wrap));
	if (err)
		return why_set(why, CF_EAUTH,
			"the %s key is not the one that this fleet's %s were sealed with",
			wrap_name(wrap), wrap_name(wrap));
	if (plain.len != sizeof canary || memcmp(plain.data, canary, sizeof canary))
		return why_set(why, CF_EPROTO, "what is stored to check the %s key is damaged",
			wrap_name(wrap));
	return 0;
}

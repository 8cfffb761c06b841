#include "scheduler/api/access.h"

#include "common/buf.h"
#include "common/mem.h"
#include "common/str.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

struct token {
	struct access_identity who;
	unsigned char hash[ACCESS_HASH_BYTES];
};

struct access_tokens {
	struct token *items;
	size_t n;
};

static void digest(const char *secret, unsigned char out[ACCESS_HASH_BYTES])
{
	if (EVP_Digest(secret, strlen(secret), out, NULL, EVP_sha256(), NULL) != 1)
		abort();
}

void access_hash(const char *secret, char out[2 * ACCESS_HASH_BYTES + 1])
{
	unsigned char bytes[ACCESS_HASH_BYTES];

	digest(secret, bytes);
	str_hex(bytes, sizeof bytes, out);
}

void access_new_secret(char out[ACCESS_SECRET_SIZE])
{
	_buf_release_secret_ struct buf text = BUF_INIT(ACCESS_SECRET_SIZE);
	unsigned char bytes[ACCESS_HASH_BYTES];

	if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
		abort();
	str_base64url(&text, bytes, sizeof bytes);
	snprintf(out, ACCESS_SECRET_SIZE, "cf_%s", buf_cstr(&text));
	mem_wipe(bytes, sizeof bytes);
}

/* --- the tokens file */

static bool is_word(const char *s, size_t most)
{
	size_t n = strlen(s);

	return n && n <= most &&
	       strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			 "0123456789._-") == n;
}

static int read_scope(const char *word, enum access_scope *out)
{
	if (strcmp(word, "read") == 0)
		*out = ACCESS_READ;
	else if (strcmp(word, "write") == 0)
		*out = ACCESS_WRITE;
	else
		return CF_EINVAL;
	return 0;
}

static int read_token(const struct access_tokens *all, char *line, unsigned number,
	struct token *out, struct why *why)
{
	char *rest = NULL, *name = strtok_r(line, " \t", &rest);
	char *scope = strtok_r(NULL, " \t", &rest), *tenant = strtok_r(NULL, " \t", &rest);
	char *hash = strtok_r(NULL, " \t", &rest);

	*out = (struct token){0};
	if (!hash || strtok_r(NULL, " \t", &rest))
		return why_set(why, CF_EINVAL,
			"line %u: expected a name, a scope, a tenant or \"-\", and a SHA-256",
			number);
	if (!is_word(name, ACCESS_NAME_MAX))
		return why_set(why, CF_EINVAL,
			"line %u: a name has 1 to %d letters, digits, \".\", \"_\" or \"-\"",
			number, ACCESS_NAME_MAX);
	if (access_tokens_named(all, name))
		return why_set(
			why, CF_EINVAL, "line %u: the name \"%s\" is there twice", number, name);
	if (read_scope(scope, &out->who.scope))
		return why_set(
			why, CF_EINVAL, "line %u: the scope is \"read\" or \"write\"", number);
	if (strcmp(tenant, "-") != 0 && !is_word(tenant, ENDPOINT_TENANT_MAX))
		return why_set(
			why, CF_EINVAL, "line %u: a tenant, or \"-\" for all, is expected", number);
	if (str_unhex(hash, out->hash, sizeof out->hash))
		return why_set(why, CF_EINVAL,
			"line %u: the SHA-256 of the token has 64 hex digits", number);
	snprintf(out->who.name, sizeof out->who.name, "%s", name);
	if (strcmp(tenant, "-") != 0)
		snprintf(out->who.tenant, sizeof out->who.tenant, "%s", tenant);
	return 0;
}

int access_tokens_parse(const char *text, size_t len, struct access_tokens **out, struct why *why)
{
	_mem_free_ char *copy = NULL;
	struct access_tokens *t;
	char *rest, *line;
	unsigned number = 0;
	int err = 0;

	if (len > ACCESS_FILE_MAX)
		return why_set(why, CF_ETOOBIG, "over %u bytes", ACCESS_FILE_MAX);
	if (memchr(text, 0, len))
		return why_set(why, CF_EINVAL, "it has a NUL: this is no text");
	t = mem_zalloc(sizeof *t);
	t->items = mem_array(ACCESS_TOKENS_MAX, sizeof *t->items);
	rest = copy = mem_strndup(text, len);
	while (!err && (line = strsep(&rest, "\n"))) {
		number++;
		line[strcspn(line, "#\r")] = 0;
		if (line[strspn(line, " \t")] == 0)
			continue;
		if (t->n == ACCESS_TOKENS_MAX)
			err = why_set(why, CF_ETOOBIG, "over %d tokens", ACCESS_TOKENS_MAX);
		else
			err = read_token(t, line, number, &t->items[t->n], why);
		t->n += !err;
	}
	if (err)
		access_tokens_free(t);
	else
		*out = t;
	return err;
}

void access_tokens_free(struct access_tokens *t)
{
	if (!t)
		return;
	free(t->items);
	free(t);
}

size_t access_tokens_n(const struct access_tokens *t)
{
	return t ? t->n : 0;
}

const struct access_identity *access_tokens_at(const struct access_tokens *t, size_t i)
{
	return &t->items[i].who;
}

const struct access_identity *access_tokens_find(const struct access_tokens *t, const char *token)
{
	const struct access_identity *found = NULL;
	unsigned char hash[ACCESS_HASH_BYTES];

	digest(token, hash);
	for (size_t i = 0; t && i < t->n; i++)
		if (CRYPTO_memcmp(t->items[i].hash, hash, sizeof hash) == 0)
			found = &t->items[i].who;
	return found;
}

const struct access_identity *access_tokens_named(const struct access_tokens *t, const char *name)
{
	for (size_t i = 0; t && i < t->n; i++)
		if (strcmp(t->items[i].who.name, name) == 0)
			return &t->items[i].who;
	return NULL;
}

/* --- where a request comes from */

/* "name:port", "[::1]:port" → the name or address alone. */
static bool host_of(const char *text, char *out, size_t size)
{
	const char *end;
	size_t n;

	if (*text == '[') {
		end = strchr(++text, ']');
		if (!end || (end[1] && end[1] != ':'))
			return false;
	} else {
		end = text + strcspn(text, ":");
	}
	n = (size_t)(end - text);
	if (!n || n >= size)
		return false;
	memcpy(out, text, n);
	out[n] = 0;
	str_lower(out);
	return true;
}

static bool is_ours(const char *host, const char *const *hosts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcasecmp(host, hosts[i]) == 0)
			return true;
	return false;
}

/* An origin is "SCHEME://HOST[:PORT]" or "null"; what is ours has the Host that was asked. The
 * scheme may differ: TLS may end before us. */
static bool same_origin(const char *origin, const char *host)
{
	const char *at = strstr(origin, "://");

	return at && strcasecmp(at + 3, host) == 0;
}

static bool foreign_site(const struct access_request *r)
{
	if (r->origin)
		return !same_origin(r->origin, r->host);
	if (r->fetch_site)
		return strcasecmp(r->fetch_site, "same-origin") != 0 &&
		       strcasecmp(r->fetch_site, "none") != 0;
	return r->by_cookie; /* every browser says one of the two with a change */
}

static bool is_json(const char *content_type)
{
	size_t n = content_type ? strcspn(content_type, "; \t") : 0;

	return n == 16 && strncasecmp(content_type, "application/json", n) == 0;
}

enum access_denial access_judge(
	const struct access_request *r, const char *const *hosts, size_t hosts_n, bool has_body)
{
	char host[256];

	if (!r->host || !host_of(r->host, host, sizeof host))
		return ACCESS_NO_HOST;
	if (!is_ours(host, hosts, hosts_n))
		return ACCESS_FOREIGN_HOST;
	if (r->changes && foreign_site(r))
		return ACCESS_FOREIGN_SITE;
	if (r->changes && has_body && !is_json(r->content_type))
		return ACCESS_NOT_JSON;
	return ACCESS_OK;
}

bool access_allows(
	const struct access_identity *who, bool changes, const char *tenant, const char *endpoint)
{
	if (changes && who->scope != ACCESS_WRITE)
		return false;
	if (who->tenant[0] && strcmp(who->tenant, tenant) != 0)
		return false;
	return !who->endpoint[0] || strcmp(who->endpoint, endpoint) == 0;
}

bool access_cookie(const char *header, const char *name, char *out, size_t size)
{
	size_t want = strlen(name);

	while (header && *header) {
		size_t n = strcspn(header, ";");

		while (n && *header == ' ') {
			header++;
			n--;
		}
		if (n > want && strncmp(header, name, want) == 0 && header[want] == '=') {
			if (n - want - 1 >= size)
				return false;
			snprintf(out, size, "%.*s", (int)(n - want - 1), header + want + 1);
			return true;
		}
		header += n;
		header += *header == ';';
	}
	return false;
}

const char *access_bearer(const char *authorization)
{
	if (!authorization || strncasecmp(authorization, "Bearer ", 7) != 0)
		return NULL;
	authorization += 7;
	authorization += strspn(authorization, " ");
	return *authorization ? authorization : NULL;
}

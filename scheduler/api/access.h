/* access.h - who may do what over HTTP. Functions of values: no network, no clock.
 *
 * Without a tokens file the API listens on loopback alone and lets everybody there do everything.
 * With one, each request carries a bearer token, or the cookie of a session that a token opened.
 * Browsers are kept from being turned against us: a Host that is not ours is refused (DNS
 * rebinding), and so is a change that another site's page asks for.
 *
 * The tokens file has one token a line, a name, a scope, a tenant or "-" for all, and the SHA-256
 * of the token in hex (the token itself has 256 random bits, so that no salt is needed):
 *
 *	ops       write  -     9f86d081884c7d65…
 *	acme-ro   read   acme  60303ae22b998861…
 */
#pragma once

#include "common/endpoint.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACCESS_TOKENS_MAX 1000
#define ACCESS_NAME_MAX   64
#define ACCESS_FILE_MAX   (256u << 10)
#define ACCESS_HASH_BYTES 32
#define ACCESS_HOSTS_MAX  32

enum access_scope { ACCESS_READ = 1, ACCESS_WRITE = 2 };

/** Who asks. */
struct access_identity {
	char name[ACCESS_NAME_MAX + 1];
	enum access_scope scope;
	char tenant[ENDPOINT_TENANT_MAX + 1]; /* "" : all */
	char endpoint[ENDPOINT_ID_MAX + 1];   /* a customer's link: this one alone; "" : all */
};

struct access_tokens;

/** From a file's text; why names the line. CF_EINVAL, CF_ETOOBIG. */
int access_tokens_parse(const char *text, size_t len, struct access_tokens **out, struct why *why);
/** NULL is a no-op. */
void access_tokens_free(struct access_tokens *t);
size_t access_tokens_n(const struct access_tokens *t);
const struct access_identity *access_tokens_at(const struct access_tokens *t, size_t i);
/** The identity of a bearer token, or NULL. Takes the same time for all. */
const struct access_identity *access_tokens_find(const struct access_tokens *t, const char *token);
/** By name: a session whose token was taken out of the file is over. */
const struct access_identity *access_tokens_named(const struct access_tokens *t, const char *name);

/** SHA-256 in hex, as the file and Redis have it. */
void access_hash(const char *secret, char out[2 * ACCESS_HASH_BYTES + 1]);
/** "cf_" and 256 random bits as base64url. */
#define ACCESS_SECRET_SIZE 48
void access_new_secret(char out[ACCESS_SECRET_SIZE]);

/* What a request says of where it comes from; NULL: the header is absent. */
struct access_request {
	bool changes;           /* its method is none of GET and HEAD */
	const char *host;       /* Host */
	const char *origin;     /* Origin */
	const char *fetch_site; /* Sec-Fetch-Site */
	const char *content_type;
	bool by_cookie; /* the identity comes from a cookie */
};

enum access_denial {
	ACCESS_OK,
	ACCESS_NO_HOST,      /* 400: no Host, or one that is no host */
	ACCESS_FOREIGN_HOST, /* 421: we are not that host */
	ACCESS_FOREIGN_SITE, /* 403: another site's page asked for a change */
	ACCESS_NOT_JSON,     /* 415: a change must be JSON, which no form can send */
};

/** hosts: names and addresses that lead here, without ports ("dash.example", "127.0.0.1", "::1");
 * open: no tokens, so that loopback's own names are the only ones. */
enum access_denial access_judge(
	const struct access_request *r, const char *const *hosts, size_t hosts_n, bool has_body);

/** May who asks see (or, with changes, change) an endpoint of this tenant? */
bool access_allows(
	const struct access_identity *who, bool changes, const char *tenant, const char *endpoint);

/** The value of a cookie in a Cookie header, into out; false if it is not there or too long. */
bool access_cookie(const char *header, const char *name, char *out, size_t size);
/** The token of "Bearer TOKEN", or NULL. */
const char *access_bearer(const char *authorization);

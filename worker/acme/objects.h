/* objects.h - the JSON objects of ACME (RFC 8555 section 7.1, RFC 9773 section 4.1) and the Link
 * header.
 *
 * Pure. Parsed with limits; unknown members and unknown challenge types are passed over. Strings in
 * the structs are owned by them. Functions return 0, CF_ETOOBIG or CF_EPROTO with a sentence that
 * names the member; outputs are untouched on failure.
 */
#pragma once

#include "worker/acme/problem.h"
#include "worker/net/retry_after.h"

#define OBJECT_BYTES_MAX      65536
#define OBJECT_URL_MAX        2048
#define OBJECT_PROFILES_MAX   16
#define OBJECT_CAA_MAX        16
#define OBJECT_CHALLENGES_MAX 16
#define OBJECT_TOKEN_MAX      256

struct ca_directory {
	char *new_nonce, *new_account, *new_order;     /* never NULL */
	char *revoke_cert, *key_change, *renewal_info; /* NULL: the CA has none */
	char *terms, *website;                         /* NULL: none */
	bool eab_required;
	char *caa[OBJECT_CAA_MAX];
	size_t n_caa;
	char *profiles[OBJECT_PROFILES_MAX];
	size_t n_profiles;
};

/** Statuses of all kinds of objects (section 7.1.6). */
enum ca_status {
	CA_UNKNOWN,
	CA_PENDING,
	CA_READY,
	CA_PROCESSING,
	CA_VALID,
	CA_INVALID,
	CA_DEACTIVATED,
	CA_EXPIRED,
	CA_REVOKED,
};

struct ca_account {
	enum ca_status status;
};

struct ca_order {
	enum ca_status status;
	int64_t expires_wall_ms; /* 0: absent */
	char **authorizations;
	size_t n_authorizations;
	char *finalize;        /* never NULL */
	char *certificate;     /* NULL: not yet */
	bool replaces;         /* RFC 9773 section 5 */
	struct problem *error; /* NULL: none */
};

struct ca_challenge {
	enum acme_challenge_type
		type; /* ACME_CHALLENGE_TYPES never stands here: unknown ones are left out */
	enum ca_status status;
	char *url, *token; /* never NULL */
	struct problem *error;
};

struct ca_authz {
	enum ca_status status;
	int64_t expires_wall_ms;
	char name[256]; /* identifier without "*." */
	bool wildcard;
	struct ca_challenge challenges[OBJECT_CHALLENGES_MAX];
	size_t n_challenges;
	struct problem *error; /* of the first challenge that has one, also of an unknown type;
				  NULL: none */
};

int ca_directory_parse(
	const char *json, size_t n, bool allow_http, struct ca_directory *out, struct why *why);
void ca_directory_release(struct ca_directory *d);
int ca_account_parse(const char *json, size_t n, struct ca_account *out, struct why *why);
int ca_order_parse(const char *json, size_t n, struct ca_order *out, struct why *why);
void ca_order_release(struct ca_order *o);
int ca_authz_parse(const char *json, size_t n, struct ca_authz *out, struct why *why);
void ca_authz_release(struct ca_authz *a);
int ca_challenge_parse(const char *json, size_t n, struct ca_challenge *out, struct why *why);
void ca_challenge_release(struct ca_challenge *c);
/** explanation_url is allocated: free() it. */
int ca_renewal_parse(const char *json, size_t n, struct acme_renewal *out, struct why *why);

/** Calls fn for each link of one Link header value (RFC 8288) with its target and its `rel` ("" if
 * it has none; several relations come one by one). Malformed parts end the reading. */
void link_each(
	const char *value, void (*fn)(void *arg, const char *target, const char *rel), void *arg);

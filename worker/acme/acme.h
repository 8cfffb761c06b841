/* acme.h - certificates from an ACME authority (RFC 8555, RFC 9773), as the jobs see it.
 *
 * An authority is one CA with one account: its directory, nonces, account and HTTP client are
 * shared by all that is asked of it. An order runs from a key to a checked certificate. It keeps
 * nothing on disk and knows no store: what must outlive the process leaves through hooks, and comes
 * back as a checkpoint.
 *
 * Everything belongs to one loop and is not thread-safe. Hooks are asynchronous: each is given a
 * `done` with its `done_arg`, to be called exactly once, from the loop's thread, before the hook
 * returns or at any time later - also after the order was cancelled. Our own callbacks (acme_*_fn)
 * come exactly once and never from inside the call that asked for them; pointers given to them die
 * when they return. Times are milliseconds; `_wall_ms` is Unix time, as clock_wall_ms() gives it.
 */
#pragma once

#include "common/certificate.h"
#include "common/err.h"
#include "common/keypair.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct acme_authority;
struct acme_order;

#define ACME_NAMES_MAX   100
#define ACME_CHOICES_MAX 3

/* --- why something failed
 * ------------------------------------------------------------------------- */

/** Who can do something about it, and when another try makes sense. */
enum acme_class {
	ACME_AT_ONCE, /* nothing is wrong: again now (badNonce); bounded inside, seldom seen outside
		       */
	ACME_BACKOFF, /* the CA or the way to it has trouble: again later, with growing pauses */
	ACME_WAIT_UNTIL,      /* the CA said when: retry_after_ms */
	ACME_OTHER_CHALLENGE, /* this challenge type cannot work for failed_name; another may */
	ACME_OTHER_AUTHORITY, /* this CA will not issue this; another may */
	ACME_OWNER,           /* the domain's owner must act: DNS, CAA, reachability */
	ACME_OPERATOR, /* whoever runs certfleet must act: account, terms, EAB, paused names */
	ACME_CANCELED, /* acme_authority_free() came in between */
};

enum acme_scope { ACME_IDENTIFIER, ACME_ORDER, ACME_ACCOUNT, ACME_AUTHORITY };

/** "backoff", "owner", …; never NULL. */
const char *acme_class_name(enum acme_class class);

struct acme_failure {
	enum acme_class class;
	enum acme_scope scope;
	/* The problem type without "urn:ietf:params:acme:error:" ("dns", "rateLimited"), or one of
	 * our own: no_answer, not_acme, not_trusted, chain_wrong, deadline, publish_failed,
	 * not_visible, no_challenge, order_gone, checkpoint_failed, account_store,
	 * account_deactivated, key, canceled. */
	char code[48];
	char detail[512];      /* the CA's words, cleaned, or our sentence */
	int status;            /* HTTP status; 0 if there was no answer */
	char step[32];         /* where the order stood */
	char failed_name[256]; /* identifier as ordered ("*.example.com"); "" if it is not about one
				  name */
	char failed_type[24];  /* challenge type that failed; "" if none */
	int64_t retry_after_ms;      /* from now, clamped to 1 s … 7 d; 0: the CA did not say */
	bool counts_as_failed_authz; /* the CA will have counted a failed authorization for
					failed_name */
	bool resumable;     /* the order lives on at the CA: keep the checkpoint and resume */
	char instance[256]; /* a page that the operator must visit (userActionRequired, unpause); ""
			       if none */
	/* rejectedIdentifier and its like: the names that the CA will not take; the others may be
	 * ordered. */
	size_t n_rejected;
	char (*rejected)[256];
};

/* --- the authority
 * -------------------------------------------------------------------------------- */

/** Copied by acme_authority_new(). */
struct acme_authority_options {
	const char *name; /* "letsencrypt", as in the config: logs, hooks and checkpoints */
	const char *directory_url;
	const char *const *contacts; /* "mailto:ops@example.com" */
	size_t n_contacts;
	bool tos_agreed;
	const char *profile;  /* default for orders that name none; NULL: the CA's own default */
	const char *eab_kid;  /* NULL: no external account binding */
	const void *eab_hmac; /* raw key bytes, not base64 */
	size_t eab_hmac_len;
	const char *ca_file;            /* trust for the CA's own HTTPS; NULL: the system's */
	bool allow_http;                /* tests only */
	unsigned max_requests;          /* live at once; 0: 128 */
	int64_t request_timeout_ms;     /* total per request; 0: 30 s */
	enum key_type account_key_type; /* 0: P-256; or an RSA type */
};

/** The account as it is kept. key is secret and plain: sealing is the hooks' business. */
struct acme_account {
	const char *url; /* NULL: the key is saved, newAccount was not yet answered */
	const void *key; /* as keypair_pack() gives it */
	size_t key_len;
};

typedef void acme_done_fn(void *done_arg, int err);
/** err CF_ENOTFOUND: there is none yet. account dies when this returns. */
typedef void acme_account_fn(void *done_arg, int err, const struct acme_account *account);

/** Where the account is kept for the whole fleet. arg is given to each. */
struct acme_store {
	void (*load)(void *arg, const char *authority, acme_account_fn *done, void *done_arg);
	/* One process at a time makes the account. CF_EBUSY: another has it; we load again after a
	 * moment. */
	void (*lock)(void *arg, const char *authority, acme_done_fn *done, void *done_arg);
	/* Behind a barrier: 0 means that it survives a failover. Called with url NULL before
	 * newAccount. */
	void (*save)(void *arg, const char *authority, const struct acme_account *account,
		acme_done_fn *done, void *done_arg);
	void (*unlock)(void *arg, const char *authority, acme_done_fn *done, void *done_arg);
};

/** Never NULL; asks nothing yet. Copies options and the hooks' table; arg must outlive the
 * authority. */
struct acme_authority *acme_authority_new(uv_loop_t *loop,
	const struct acme_authority_options *options, const struct acme_store *store,
	void *store_arg);
/** Orders must be over or cancelled. Pending calls complete with ACME_CANCELED before this returns.
 * NULL is a no-op. */
void acme_authority_free(struct acme_authority *a);

/** failure is NULL on success. */
typedef void acme_ready_fn(void *arg, const struct acme_failure *failure);
/** Directory read and account there. Orders wait for this by themselves; ask it to know or to check
 * a config. */
void acme_authority_ready(struct acme_authority *a, acme_ready_fn *fn, void *arg);

/** What is known of the CA; empty before the first acme_authority_ready(). Borrowed until the loop
 * turns. */
struct acme_authority_info {
	const char *name;
	const char *account_url; /* NULL: none yet. For CAA accounturi (RFC 8657) */
	const char *terms_url;   /* NULL: none */
	const char *const *caa_identities;
	size_t n_caa_identities;
	const char *const *profiles;
	size_t n_profiles;
	bool renewal_info;      /* the CA speaks ARI */
	unsigned live, waiting; /* requests now */
	int64_t clock_apart_ms; /* our clock less the CA's, as far as its answers show */
};
void acme_authority_info(const struct acme_authority *a, struct acme_authority_info *out);

/* --- an order
 * ------------------------------------------------------------------------------------- */

enum acme_challenge_type { ACME_DNS_01, ACME_HTTP_01, ACME_TLS_ALPN_01, ACME_CHALLENGE_TYPES };

/** "dns-01", "http-01", "tls-alpn-01". */
const char *acme_challenge_name(enum acme_challenge_type type);

struct acme_identifier {
	const char *name; /* A-labels, lower case, "*." allowed */
	/* Which challenge types the verdict allows, the preferred one first. Wildcards: dns-01
	 * only. */
	enum acme_challenge_type choices[ACME_CHOICES_MAX];
	size_t n_choices;
};

/** Copied by acme_order_start(). */
struct acme_order_spec {
	const struct acme_identifier
		*names; /* 1 to ACME_NAMES_MAX, distinct, no name covered by another */
	size_t n_names;
	enum key_type key_type;
	const char *profile;  /* NULL: the authority's */
	const char *replaces; /* ARI CertID of the certificate that this one replaces; NULL: none */
	int64_t deadline_ms;  /* from now, for the whole order; 0: one hour */
	const char *log_id;   /* endpoint id, for logs; may be NULL */
};

/** What makes an order resumable; plain values, for the job layer to encode. key is secret: seal
 * it. */
struct acme_checkpoint {
	uint32_t version;      /* ACME_CHECKPOINT_VERSION; another version starts afresh */
	const char *step;      /* where it stood, for people; not read back */
	const char *authority; /* resumed only at the same one */
	const char *order_url; /* NULL: newOrder was not yet answered */
	const void *key;       /* the certificate's key as keypair_pack() gives it */
	size_t key_len;
	unsigned char names_hash[32]; /* of names and key type; a differing one starts afresh */
};
#define ACME_CHECKPOINT_VERSION 1

struct acme_challenge {
	enum acme_challenge_type type;
	const char *name; /* the identifier without "*." */
	bool wildcard;
	const char *token;
	const char *key_authorization; /* never to be logged */
	const char *txt; /* dns-01: the TXT value, base64url(SHA-256(key_authorization)) */
};

/** arg is the one given to acme_order_start(). Values given to hooks die when the hook returns. */
struct acme_hooks {
	/* Store it, fenced; barrier: done(0) only when enough replicas have it. An error ends the
	 * order. */
	void (*checkpoint)(void *arg, const struct acme_checkpoint *checkpoint, bool barrier,
		acme_done_fn *done, void *done_arg);
	/* Make it answerable. May be called again for what is published already (resume). */
	void (*publish)(void *arg, const struct acme_challenge *challenge, acme_done_fn *done,
		void *done_arg);
	/* 0: every responder answers right. CF_EAGAIN: not yet, asked again with pauses. Else:
	 * other choice. */
	void (*visible)(void *arg, const struct acme_challenge *challenge, acme_done_fn *done,
		void *done_arg);
	/* By value: others at the same name stay. Errors are ignored. */
	void (*unpublish)(void *arg, const struct acme_challenge *challenge, acme_done_fn *done,
		void *done_arg);
	/* Entered a step ("finalize"); sentence says what it is. May be NULL. */
	void (*progress)(void *arg, const char *step, const char *sentence, int64_t since_wall_ms);
	/* May the order still act? Asked before each effect: a process that stood still past its
	 * lease must not tell the CA anything any more. May be NULL: yes. */
	bool (*held)(void *arg);
};

/** An authorization that the order used: valid ones are to be deactivated when the name leaves its
 * tenant. */
struct acme_authorization {
	const char *name; /* without "*." */
	bool wildcard;
	const char *url;
	int64_t expires_wall_ms; /* 0: unknown */
};

struct acme_result {
	bool ok;
	/* ok: */
	struct chain *chain; /* checked by chain_check(). Take it by *mine = *chain; *chain =
				(struct chain){ 0 }; */
	EVP_PKEY *key;       /* borrowed; EVP_PKEY_up_ref() to keep it */
	bool replaced;       /* the order was placed with `replaces` */
	/* always: */
	const char *order_url; /* NULL: none was made */
	const struct acme_authorization *authorizations;
	size_t n_authorizations;
	unsigned orders_placed; /* newOrder requests that the CA took or may have taken */
	/* not ok: */
	const struct acme_failure *failure;
};
typedef void acme_order_fn(void *arg, struct acme_result *result);

/** Never NULL: wrong input fails through fn. resume may be NULL. hooks' table is borrowed until the
 * end. The handle is dead once fn was called or acme_order_cancel() returned. */
struct acme_order *acme_order_start(struct acme_authority *a, const struct acme_order_spec *spec,
	const struct acme_checkpoint *resume, const struct acme_hooks *hooks, void *arg,
	acme_order_fn *fn);
/** Stops; fn is not called. keep: published challenges stay, because another worker will resume the
 * order (drain, lost lease); else they are unpublished. Hooks under way may still complete later.
 */
void acme_order_cancel(struct acme_order *o, bool keep);

/* --- small calls
 * ---------------------------------------------------------------------------------- */

/** failure is NULL on success. */
typedef void acme_call_fn(void *arg, const struct acme_failure *failure);

/** Revokes by the account's key (RFC 8555 section 7.6). Already revoked is success. reason: RFC
 * 5280 CRLReason, 0 … 10. */
void acme_revoke(struct acme_authority *a, const void *der, size_t n, int reason, acme_call_fn *fn,
	void *arg);
/** Ends the reuse of an authorization (RFC 8555 section 7.5.2). One that is gone or not valid any
 * more is success. */
void acme_deactivate_authz(struct acme_authority *a, const char *url, acme_call_fn *fn, void *arg);

struct acme_renewal {
	int64_t start_wall_ms, end_wall_ms; /* end > start */
	const char *explanation_url;        /* cleaned; NULL: none */
	int64_t retry_after_ms; /* ask again then: clamped to 1 min … 1 d, 6 h if the CA does not
				   say */
};
/** renewal is NULL when failure is not. code "no_renewal_info": the CA does not speak ARI. */
typedef void acme_renewal_fn(
	void *arg, const struct acme_renewal *renewal, const struct acme_failure *failure);
/** RFC 9773 section 4.1; cert_id as cert_info_read() gives it. */
void acme_renewal_info(
	struct acme_authority *a, const char *cert_id, acme_renewal_fn *fn, void *arg);

/* endpoint.h - what the fleet knows of one endpoint, and how it is written down.
 *
 * An endpoint is a hash in Redis whose fields are owned by different writers, so that two jobs on
 * it never overwrite each other: requests own the config, verify jobs own the verdict, issue jobs
 * own certificate, key and checkpoint. Each field is a msgpack map with a version "V"; a newer
 * version than known is CF_EVERSION, never a guess.
 *
 * Everything here is a value: no network, no clock. Times are Unix milliseconds; 0 means never.
 */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/keypair.h"
#include "common/names.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENDPOINT_NAMES_MAX 100
#define ENDPOINT_ID_MAX    64 /* [a-z0-9][a-z0-9._-]* */
#define ENDPOINT_ID_FLEET \
	"fleet" /* where an alert names an endpoint: the fleet; no endpoint's id */
#define ENDPOINT_TENANT_MAX    64
#define ENDPOINT_AUTHORITY_MAX 64
#define ENDPOINT_PROFILE_MAX   64
#define ENDPOINT_CODE_MAX      32
#define ENDPOINT_ZONE_MAX      32

enum endpoint_type { ENDPOINT_EXTERNAL = 1, ENDPOINT_INTERNAL = 2 };
enum challenge_type { CHALLENGE_HTTP01 = 1, CHALLENGE_DNS01 = 2 };

/* Field c: what was asked for. */
struct endpoint_config {
	char id[ENDPOINT_ID_MAX + 1];
	char tenant[ENDPOINT_TENANT_MAX + 1];
	enum endpoint_type type;
	char target[NAME_SIZE];                     /* "" for internal without one */
	char authority[ENDPOINT_AUTHORITY_MAX + 1]; /* "" = the first of the config */
	char profile[ENDPOINT_PROFILE_MAX + 1];     /* "" = the authority's */
	char zone[ENDPOINT_ZONE_MAX + 1]; /* internal: whose workers can reach it; "" = nobody */
	enum key_type key_type;
	char (*names)[NAME_SIZE]; /* owned; as name_parse() gives them, sorted, unique */
	size_t names_n;
	int64_t created_ms;
	int64_t renew_asked_ms; /* a person's or program's "renew now" */
	int64_t revoke_asked_ms;
	int32_t revoke_reason; /* RFC 5280 CRLReason */
	bool removing;
};

void endpoint_config_release(struct endpoint_config *c);
void endpoint_config_copy(struct endpoint_config *to, const struct endpoint_config *from);
int endpoint_config_encode(const struct endpoint_config *c, struct buf *out);
int endpoint_config_decode(
	const void *bytes, size_t n, struct endpoint_config *out, struct why *why);
/** Sorts, removes doubles, checks counts and characters. Names are already parsed. */
int endpoint_config_check(struct endpoint_config *c, struct why *why);
/** Names that go into an order: those covered by a wildcard of the same endpoint are left out.
 * Fills out[names_n] with borrowed pointers; returns how many. */
size_t endpoint_order_names(const struct endpoint_config *c, const char **out);

/** A fingerprint of what a certificate depends on: names, key type, authority, profile. A
 * certificate whose `wanted` differs must be replaced; a changed target alone needs none. */
uint64_t endpoint_wanted(const struct endpoint_config *c);

/* Field v: what DNS and our looks say. */
enum record_status { RECORD_UNKNOWN, RECORD_MISSING, RECORD_WRONG, RECORD_RIGHT, RECORD_ERROR };
enum verdict { VERDICT_UNSURE, VERDICT_CAN, VERDICT_CANNOT };
enum claim { CLAIM_UNPROVEN, CLAIM_HELD, CLAIM_ELSEWHERE };

/** One DNS record that the owner must create, and what was seen of it. */
struct record_look {
	enum record_status status;
	char code[ENDPOINT_CODE_MAX + 1]; /* diagnosis code (design section 7); "" when right */
	char observed[NAME_SIZE + 32];    /* cleaned; "" if nothing */
	int64_t bad_since_ms; /* since when each authoritative server says that it is not right; 0:
				 not so */
};

/** The http-01 question as an authority asks it, through the name's front door. */
enum probe_status { PROBE_UNKNOWN, PROBE_RIGHT, PROBE_WRONG };
struct probe {
	enum probe_status status;
	uint32_t tries;    /* probes in a row that went wrong */
	int64_t looked_ms; /* 0: never */
};

struct name_verdict {
	char name[NAME_SIZE];
	struct record_look traffic;   /* external only */
	struct record_look challenge; /* _acme-challenge CNAME */
	enum verdict http01, dns01;
	struct probe probe; /* of names that http-01 may serve */
	enum claim claim;
	bool proven;          /* this tenant's proof was seen in this look */
	bool proof_exclusive; /* by the label CNAME, which can name one tenant only */
};

/** What an authority may not do for a name, because CAA says so. */
struct verdict_bar {
	uint32_t name; /* index into the verdict's names */
	char authority[ENDPOINT_AUTHORITY_MAX + 1];
	enum verdict http01, dns01; /* CAN: it may */
	char code[ENDPOINT_CODE_MAX + 1];
};

#define ENDPOINT_BARS_MAX 256

struct diagnosis; /* common/diagnosis.h */

/** What the edge was seen to serve, by connecting. */
enum served_status { SERVED_UNKNOWN, SERVED_UNREACHABLE, SERVED_STALE, SERVED_OK };
#define SERVED_BEHIND_MAX 8
/** An address that does not present it to each name. */
struct served_behind {
	char at[72];
	char code[ENDPOINT_CODE_MAX + 1]; /* a served_* code, or "unreachable" */
	char what[97];                    /* what was seen there, cleaned */
};
struct served {
	enum served_status status;
	uint32_t right, addresses;                      /* right at n of m */
	struct served_behind behind[SERVED_BEHIND_MAX]; /* the first of those that are not */
	size_t behind_n;
	char why[ENDPOINT_CODE_MAX +
		 1];       /* of unknown: no_worker, no_answer, no_address, forbidden */
	uint32_t tries;    /* looks in a row at this certificate that were not right */
	int64_t looked_ms; /* 0: never */
	char serial[41];   /* of the certificate that was looked for */
	char proven[41];   /* of the one last seen at all addresses */
};

struct endpoint_verdict {
	int64_t looked_ms;
	int64_t deep_ms;    /* when each authoritative server was last asked */
	int64_t changed_ms; /* when the statuses last changed */
	int64_t gone_ms;    /* since when no record of the owner's is left; 0: not so */
	uint32_t unchanged_looks;
	uint64_t generation;        /* of the config that was looked at */
	struct name_verdict *names; /* owned, in the config's order */
	size_t names_n;
	/* By which authority an order can be placed: "" is the first, as nothing bars any. */
	char via[ENDPOINT_AUTHORITY_MAX + 1];
	struct verdict_bar *bars; /* owned; few endpoints have any */
	size_t bars_n;
	struct diagnosis *diagnoses; /* owned; the gravest first */
	size_t diagnoses_n;
	struct served served;
	bool departed; /* the records are gone for so long that its owner is taken to have left */
	bool frozen;   /* the fleet doubts itself: what was known before stays */
};

const char *served_status_name(enum served_status s); /* "unknown", "unreachable", "stale", "ok" */
void endpoint_verdict_release(struct endpoint_verdict *v);
int endpoint_verdict_encode(const struct endpoint_verdict *v, struct buf *out);
int endpoint_verdict_decode(
	const void *bytes, size_t n, struct endpoint_verdict *out, struct why *why);
const struct name_verdict *endpoint_verdict_of(const struct endpoint_verdict *v, const char *name);
/** What an authority can prove of a name by a challenge type: the name's own verdict, less what CAA
 * bars. authority "": the one that the verdict chose. UNSURE for a name that was not looked at. */
enum verdict endpoint_verdict_by(const struct endpoint_verdict *v, const char *name,
	const char *authority, enum challenge_type type);

/** CAA leaves the authority no challenge type for the name that would else be open. */
bool endpoint_barred(const struct endpoint_verdict *v, const char *name, const char *authority);

/* Field x: the certificate and its renewal. Absent: none. */
struct endpoint_cert {
	unsigned char *der; /* owned; the leaf */
	size_t der_len;
	char chain_sha[65]; /* names chain:SHA, the intermediates */
	char authority[ENDPOINT_AUTHORITY_MAX + 1];
	char serial[41];
	char ari_id[96];
	int64_t not_before_ms, not_after_ms;
	int64_t issued_ms;
	int64_t renew_at_ms; /* the planned instant: inside the ARI window, else by fraction */
	int64_t ari_start_ms, ari_end_ms; /* 0: the CA gives none */
	int64_t ari_next_ms;              /* when to ask again; 0: never */
	uint64_t wanted; /* endpoint_wanted() of the config that it was issued for */
	uint32_t renewals;
	int64_t revoked_ms;
	enum key_type key_type;
	bool partial; /* some of the config's names are left out */
};

void endpoint_cert_release(struct endpoint_cert *x);
int endpoint_cert_encode(const struct endpoint_cert *x, struct buf *out);
int endpoint_cert_decode(const void *bytes, size_t n, struct endpoint_cert *out, struct why *why);

/* Where sealed keys belong (the `place` of common/vault.h, wrap "certificates"): the certificate's
 * key in field k, and the key of an order under way inside field o. */
#define ENDPOINT_PLACE_SIZE (ENDPOINT_ID_MAX + 32)
/** "endpoint/ID/key" or, with order, "endpoint/ID/order"; returns out. */
char *endpoint_key_place(const char *id, bool order, char out[ENDPOINT_PLACE_SIZE]);

/* Field i: how issuing goes; issue jobs own it. */
struct endpoint_issuance {
	uint32_t failures;                /* in a row */
	int64_t failed_ms;                /* last failure */
	int64_t next_ms;                  /* no attempt before */
	int64_t ordered_ms;               /* last newOrder */
	char code[ENDPOINT_CODE_MAX + 1]; /* why it failed last; "" after a success */
	char detail[513];                 /* the CA's own words, cleaned */
	char actor[16];                   /* owner, operator, authority, nobody */
	char challenge[16];               /* which one was used last */
	int64_t revoked_ms;
	int64_t wait_ms;      /* the ticket that the quota ledger gave: no order before */
	uint64_t wait_wanted; /* endpoint_wanted() of the config that it was given for */
	char wait[193];       /* on which limit: "ca allows 300 new orders in 3h" */
	bool wait_breaker;    /* not for a limit, but for a canary to pass (common/breaker.h) */
};

int endpoint_issuance_encode(const struct endpoint_issuance *i, struct buf *out);
int endpoint_issuance_decode(
	const void *bytes, size_t n, struct endpoint_issuance *out, struct why *why);

/* Fields jv, ji: the job records, written by the Lua scripts alone (common/queue.h).
 * msgpack array [where, due, lane, intent, attempt, lapses, want, have, token, worker, since, why].
 */
enum job_where { JOB_NONE, JOB_DUE, JOB_RUNNING, JOB_PARKED };
enum queue_id { QUEUE_VERIFY, QUEUE_ISSUE };
enum job_intent { INTENT_LOOK, INTENT_PROVISION, INTENT_RENEW, INTENT_REVOKE, INTENT_REMOVE };
enum job_lane { LANE_PERSON, LANE_URGENT, LANE_NORMAL, LANE_SUSPECT };

struct job_record {
	enum job_where where;
	int64_t due_ms; /* due: when; running: when its lease lapses */
	enum job_lane lane;
	enum job_intent intent;
	uint32_t attempt; /* starts since the last finish */
	uint32_t lapses;
	uint64_t want, have;
	char token[33];
	char worker[65];
	int64_t since_ms;
	char why[65];
};

int job_record_decode(const void *bytes, size_t n, struct job_record *out, struct why *why);
const char *queue_name(enum queue_id q);      /* "verify", "issue" */
const char *job_where_name(enum job_where w); /* "none", "due", "running", "parked" */
const char *job_intent_name(
	enum job_intent i);                 /* "look", "provision", "renew", "revoke", "remove" */
const char *job_lane_name(enum job_lane l); /* "person", "urgent", "normal", "suspect" */

/* All of it. has_* tell which fields were there. */
struct endpoint {
	struct endpoint_config config;
	uint64_t generation;
	struct endpoint_verdict verdict;
	struct endpoint_cert cert;
	struct endpoint_issuance issuance;
	struct job_record jobs[2]; /* by enum queue_id */
	bool has_verdict, has_cert, has_checkpoint, has_dropped;
};

void endpoint_release(struct endpoint *e);

/** The HMGET order of endpoint_decode(). */
#define ENDPOINT_FIELDS   "c", "g", "v", "x", "i", "jv", "ji", "o", "d"
#define ENDPOINT_FIELDS_N 9
struct endpoint_field {
	const void *bytes; /* NULL: absent */
	size_t len;
};
/** CF_ENOTFOUND if c is absent. fields in the order of ENDPOINT_FIELDS; of o and d only presence
 * counts. */
int endpoint_decode(const struct endpoint_field fields[ENDPOINT_FIELDS_N], struct endpoint *out,
	struct why *why);

/* Whether a first order can be placed: by the verdicts and claims of all names that the order would
 * have. */
enum endpoint_ready {
	READY_NO, /* some name cannot, is not proven to be this tenant's, or was not looked at */
	READY_UNSURE, /* none cannot, but some name is unsure: tried once a day. What the servers
			 deny, and have not denied for long enough yet, is no */
	READY_YES,
};
enum endpoint_ready endpoint_ready(const struct endpoint *e);
/** When the quota ledger lets the order for this config come; 0: it does not wait. */
int64_t endpoint_quota_ticket(const struct endpoint *e);
/** The same by one authority; "": by the one that the verdict chose. */
enum endpoint_ready endpoint_ready_by(const struct endpoint *e, const char *authority);
/** Challenge types that the verdict allows an authority ("": the chosen one) for a name, best first
 * (dns-01 when its CNAME is right, http-01 for external names without wildcard); with nothing
 * certain, what is unsure. Returns how many were put in out[2]. */
size_t endpoint_challenges(const struct endpoint *e, const char *name, const char *authority,
	enum challenge_type out[2]);

/** How a name would be validated if it were ordered now, and why so. */
struct endpoint_choice {
	bool any; /* false: not at all */
	enum challenge_type type;
	enum verdict verdict;                       /* CAN or UNSURE */
	char authority[ENDPOINT_AUTHORITY_MAX + 1]; /* "" : the first of the config */
	char why[256];
};
void endpoint_choose(const struct endpoint *e, const char *name, struct endpoint_choice *out);

/* What people are told: one word, by the precedence of design section 3. */
enum endpoint_state {
	STATE_REMOVING,
	STATE_PARKED,
	STATE_DEPARTED,
	STATE_EXPIRED,
	STATE_FAILING,
	STATE_PARTIAL,
	STATE_PROVISIONING,
	STATE_WAITING_DNS,
	STATE_ACTIVE,
};
const char *endpoint_state_name(enum endpoint_state s);
int endpoint_state_parse(const char *name, enum endpoint_state *out);
/** The state and a short reason code ("" when there is nothing to add). code has room for
 * ENDPOINT_CODE_MAX + 1. */
enum endpoint_state endpoint_state_of(const struct endpoint *e, int64_t now_ms, char *code);

/* The records that the owner must create (design section 3). */
struct owner_record {
	char owner[NAME_SIZE + 16];     /* "_acme-challenge.shop.example.com" */
	char target[NAME_SIZE];         /* what the CNAME points to */
	bool challenge;                 /* else traffic */
	const char *name;               /* borrowed from the config */
	const struct record_look *look; /* borrowed from the verdict; NULL before the first look */
};
/** Two a name for external, one for internal; base and wildcard share their challenge record.
 * *out is owned (free()). zone is the challenge zone for new labels. */
size_t endpoint_records(const struct endpoint *e, const uint8_t label_key[32], const char *zone,
	struct owner_record **out);

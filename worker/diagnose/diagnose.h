/* diagnose.h - what one name's DNS means: which questions to ask next, and at the end the verdict
 * with its diagnoses. Values only: no network, no clock.
 *
 *	cheap: CNAMEs, CAA, addresses at the resolver ── all right ─────────────────────► judge
 *	   │ a finding, a failure, a day since the last deep look, or somebody asked        ▲
 *	   ▼                                                                                │
 *	deep: each authoritative server by public delegation ── all right ─────────────────►│
 *	   │ something is missing or wrong                                                  │
 *	   ▼                                                                                │
 *	further: names where it may have been put by error, wildcards, other types ─────────┘
 *
 * A case is one name of an endpoint. The verdict (design section 5): CAN as soon as the resolver
 * alone sees it right; CANNOT only when all authoritative servers said so in two looks at least
 * confirm_ms apart, or DNSSEC forbids; what depends on where we stand is UNSURE. While we are blind
 * what was known before stays.
 */
#pragma once

#include "common/diagnosis.h"
#include "common/endpoint.h"
#include "worker/diagnose/facts.h"

#define DIAGNOSE_HOPS_MAX   8  /* CNAMEs followed before a chain is called too long */
#define DIAGNOSE_ROUNDS_MAX 24 /* of questions in one look */
#define DIAGNOSE_ASKS_MAX   64 /* of one round */
#define DIAGNOSE_BARS_MAX   16 /* authorities judged for one name */

/** An authority as CAA records name it. */
struct diagnose_authority {
	const char *name;
	const char *const *identities; /* none: not known yet, so not judged */
	size_t n_identities;
	const char *account_url; /* NULL: none yet */
};

/** What the judgement needs of the fleet. Borrowed. */
struct diagnose_policy {
	const char *const *zones; /* the first gives new labels */
	size_t zones_n;
	const uint8_t *label_key;
	bool trust_target_cname;
	/** The tenant that a target belongs to alone; NULL if it is shared. */
	const char *(*target_tenant)(void *arg, const char *target);
	/** Why nobody out there reaches an address: "private", "loopback" …; NULL: they do. A NULL
	 * function: as addr_unsafe() says. */
	const char *(*unsafe)(void *arg, const struct addr *a);
	void *arg;
	int64_t confirm_ms;   /* between the two looks of a CANNOT; 5 minutes */
	bool resolver_broken; /* as the worker's own look at its resolver says */
};

struct diagnose_case {
	const struct endpoint_config *config;
	const char *name;
	const struct name_verdict *before; /* of this config; NULL: none */
	const struct endpoint_cert *cert;  /* NULL: none that is valid */
	const struct diagnose_policy *policy;
	const struct diagnose_authority *authorities; /* those that the endpoint may use, the
							 preferred first */
	size_t n_authorities;
	bool deep; /* look at every server whatever the resolver says */
	int64_t now_ms;
};

/** Fills out[DIAGNOSE_ASKS_MAX] with what should be asked next; 0: judge now. Owners live as long
 * as f. */
size_t diagnose_next(const struct diagnose_case *c, struct facts *f, struct ask *out);

struct diagnose_result {
	struct name_verdict verdict;                /* all but the claim, which Redis decides */
	struct verdict_bar bars[DIAGNOSE_BARS_MAX]; /* without the name's index */
	size_t bars_n;
	struct diagnosis diagnoses[DIAGNOSES_MAX]; /* the gravest first */
	size_t diagnoses_n;
	bool deep;       /* each authoritative server was asked */
	bool blind;      /* it was us who could not see */
	bool unanswered; /* the resolver gave no answer: it is to be looked at */
	bool gone;       /* each authoritative server says that there is no record of the owner's */
};

/** What the facts mean. f is written for texts only. */
void diagnose_judge(const struct diagnose_case *c, struct facts *f, struct diagnose_result *out);

/** Another tenant holds the name: to be added once the claims are known. */
void diagnose_held(const struct diagnose_case *c, struct diagnosis *out);

/** Our own challenge zone, as the public sees it. */
size_t diagnose_zone_next(const char *zone, struct facts *f, struct ask *out);
/** True if something is wrong with it. nameservers are the names that we say serve it. */
bool diagnose_zone_judge(const char *zone, const char *const *nameservers, size_t n,
	struct facts *f, struct diagnosis *out);

/* look.h - what was seen in DNS of one name, and what it means. Values only: no network, no clock.
 *
 * Observation (struct look_name, filled by the verify job from the resolver) becomes judgement
 * (struct name_verdict, kept with the endpoint): each record missing, wrong or right with a
 * diagnosis code of design section 7, a verdict for each challenge type, and whether the name's
 * owner proved to mean this tenant.
 */
#pragma once

#include "common/endpoint.h"

#define LOOK_HOPS_MAX      8 /* CNAMEs followed before a chain is called too long */
#define LOOK_ADDRESSES_MAX 16

enum look_end {
	LOOK_NOTHING, /* the name exists, but has no such record */
	LOOK_NXDOMAIN,
	LOOK_FOUND, /* a CNAME, or addresses */
	LOOK_SERVFAIL,
	LOOK_TIMEOUT,
	LOOK_REFUSED,
};

/** A CNAME followed hop by hop, at most until the expected target stands there. */
struct look_cname {
	enum look_end end;       /* of the first question: FOUND when there is at least one hop */
	char (*hops)[NAME_SIZE]; /* owned by the look */
	size_t n;
	bool loop;
};

struct look_addresses {
	enum look_end end;
	char text[LOOK_ADDRESSES_MAX][46];
	size_t n;
};

struct look_name {
	const char *name;             /* borrowed */
	struct look_cname challenge;  /* of _acme-challenge.NAME */
	struct look_cname traffic;    /* of NAME; external only */
	struct look_addresses own;    /* A and AAAA of NAME, when it has no CNAME; external only */
	struct look_addresses target; /* of the target, likewise */
	bool txt_proof;               /* a TXT at _certfleet.NAME holds the label */
};

/** What the judgement needs of the fleet. Borrowed. */
struct look_policy {
	const char *const *zones; /* the first gives new labels */
	size_t zones_n;
	const uint8_t *label_key;
	bool trust_target_cname;
	/** The tenant that a target belongs to alone; NULL if it is shared. */
	const char *(*target_tenant)(void *arg, const char *target);
	void *arg;
};

/** Fills everything of out but the claim, which Redis decides. */
void look_judge(const struct endpoint_config *c, const struct look_policy *policy,
	const struct look_name *seen, struct name_verdict *out);

/** True if statuses, verdicts, claims and what was observed are the same. */
bool look_same(const struct name_verdict *a, const struct name_verdict *b);

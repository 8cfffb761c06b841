/* delegation.h - what a server's answer says of zone cuts: the pure part of walking down from the
 * root. Everything in an answer is a stranger's: a referral leads strictly downwards and towards
 * the name that was asked for, glue counts only inside the zone that gave it, and numbers are
 * bounded. Values only; out borrows from r.
 */
#pragma once

#include "worker/dns/message.h"

#define DELEGATION_NS_MAX        13
#define DELEGATION_ADDRESSES_MAX 6 /* of one name server */

struct delegation_ns {
	const char *name;
	struct addr addresses[DELEGATION_ADDRESSES_MAX]; /* glue; port 0 */
	size_t n;
};

struct delegation {
	const char *apex;
	struct delegation_ns ns[DELEGATION_NS_MAX];
	size_t n_ns;
	uint32_t ttl_s;
};

enum delegation_kind {
	DELEGATION_NONE,   /* the zone itself answers, or denies: no cut above the name */
	DELEGATION_BELOW,  /* a referral: *out is the zone below */
	DELEGATION_HIDDEN, /* the same server serves a zone below, whose SOA shows in a denial:
			      out->apex, and nothing else */
	DELEGATION_LAME,   /* it does not serve the zone */
	DELEGATION_FAILED, /* nothing was said: SERVFAIL, no answer … */
};

/** The name is the ancestor or lies below it; "." is everybody's. */
bool delegation_under(const char *name, const char *ancestor);
/** The name without its first label; "." for a top-level one, NULL for ".". */
const char *delegation_parent(const char *name);
/** Labels without the root. */
size_t delegation_labels(const char *name);
/** The apex of the zone below that the answer refers to, NULL if it is no referral (RFC 1034
 * section 4.3.2). zone: of the server that was asked. */
const char *delegation_apex(const struct dns_result *r, const char *zone);
/** What the answer to a question for r->name by a server of zone says. */
enum delegation_kind delegation_read(
	const struct dns_result *r, const char *zone, struct delegation *out);
/** The ancestor of name (or itself) with one label more than zone; NULL if zone is not above it. */
const char *delegation_next(const char *name, const char *zone);

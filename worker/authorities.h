/* authorities.h - the CAs of the config, each with its account kept in Redis for the whole fleet.
 *
 * The account is a hash `acct:AUTHORITY` { key: sealed, url }, made once under the lock
 * `lock:acct:AUTHORITY` and behind a barrier, so that no failover loses an account key. The
 * account's key is sealed in the wrap "accounts" with the place "account/AUTHORITY".
 */
#pragma once

#include "common/err.h"
#include "worker/acme/acme.h"

struct worker;
struct config_limits;
struct authorities;

/** Reads EAB keys; asks no CA anything yet. Errors name the authority and the file. */
int authorities_new(struct worker *w, struct authorities **out, struct why *why);
void authorities_free(struct authorities *all);
/** name "" means the first of the config. NULL if there is none of that name. */
struct acme_authority *authorities_get(struct authorities *all, const char *name);
/** Its name as in the config ("" gives the first's); NULL if unknown. */
const char *authorities_name(struct authorities *all, const char *name);
/** What it allows, by the config; NULL if unknown. */
const struct config_limits *authorities_limits(struct authorities *all, const char *name);
/** How often the CA is asked for renewal information at least, in ms. */
int64_t authorities_ari_every(struct authorities *all, const char *name);
/** The next in the config's order of preference; NULL after the last. */
const char *authorities_after(struct authorities *all, const char *name);
struct diagnose_authority;
/** Those that an endpoint may use (only: "" means all), as CAA names them, the preferred first;
 * returns how many were put in out[max]. Borrowed until the loop turns. */
size_t authorities_for_caa(
	struct authorities *all, const char *only, struct diagnose_authority *out, size_t max);
/** The authority whose clock is farthest from ours; ours less its in *apart_ms. "" and 0 if all may
 * agree. */
const char *authorities_clock(struct authorities *all, int64_t *apart_ms);
/** Asks each authority for its directory and account, unless they are known or were asked for
 * lately: CAA is judged by them. */
void authorities_learn(struct authorities *all);

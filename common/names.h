/* names.h - domain names as customers write them, and as certificates and DNS carry them.
 *
 * A name is kept as lower-case A-labels by UTS 46 non-transitional processing (RFC 5890), without
 * the root dot, at most 253 bytes, labels of 1 to 63 bytes of letters, digits and inner hyphens;
 * "*." may stand in front. Refused: IP addresses, single labels, names that are themselves ICANN
 * public suffixes (libpsl), "*." directly above one, and underscores.
 */
#pragma once

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>

#define NAME_MAX_LEN 253
#define NAME_SIZE    (NAME_MAX_LEN + 1)

/** Reads what a person typed ("Bücher.Example.", "*.EXAMPLE.com") into out[NAME_SIZE].
 * CF_EINVAL with a why that quotes the name and says which rule it breaks. */
int name_parse(const char *text, char out[NAME_SIZE], struct why *why);
/** A host name that may be a single label or under a private suffix (targets, zones, name servers).
 */
int name_parse_host(const char *text, char out[NAME_SIZE], struct why *why);
/** The U-label form for people; falls back to the A-label form. */
void name_to_unicode(const char *name, char *out, size_t size);
bool name_is_wildcard(const char *name);
/** Without "*."; borrowed from name. */
const char *name_base(const char *name);
/** "*.example.com" covers "a.example.com", not "example.com", "a.b.example.com" or itself. */
bool name_covers(const char *wildcard, const char *name);
/** eTLD+1 of the name's base by the whole list (as Let's Encrypt counts: private suffixes such as
 * github.io part their users); the base itself if it has none. Borrowed from name. */
const char *name_registered_domain(const char *name);
/** name is zone or below it. Both as name_parse() gives them. */
bool name_is_under(const char *name, const char *zone);

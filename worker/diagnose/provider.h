/* provider.h - DNS providers, recognised by a zone's name servers, and how their forms are filled
 * in. Data; a provider that is not known gets advice that fits every form.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct provider {
	const char *name;
	const char *where; /* the way to the form */
	const char *field; /* what the form calls a record's name */
	const char *value; /* and its target */
	bool full;         /* the form takes the whole name, else the part before the zone */
	bool dot;          /* the target needs a final dot, or the zone is appended to it */
	const char *apex;  /* what it calls a CNAME-like record at the apex; NULL: it has none */
	const char *switch_off; /* what else must be set on a challenge record; NULL: nothing */
};

/** By the name of one of the zone's name servers; NULL if it is not known. */
const struct provider *provider_of(const char *nameserver);

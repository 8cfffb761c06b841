/* http_url.h - where a redirect leads: a Location taken apart against the URL that gave it (RFC
 * 3986, as libcurl reads it, so that what is judged is what is asked). Values only.
 */
#pragma once

#include "common/err.h"
#include "common/names.h"

#include <stdbool.h>
#include <stdint.h>

#define HTTP_URL_MAX 2048

/** Everything is without control characters. */
struct http_url {
	char text[HTTP_URL_MAX + 1]; /* absolute, without user, password and fragment */
	char host[NAME_SIZE]; /* lower case, without the final dot; an IPv6 one in brackets */
	char path[HTTP_URL_MAX + 1]; /* with the slash at its beginning, without the query */
	bool https;                  /* else http */
	bool literal;                /* the host is an address */
	uint16_t port;               /* the scheme's own, if none is given */
};

/** Reads location as it stands in an answer to base; base NULL: an absolute URL. CF_EINVAL with a
 * why: what it cannot be taken apart into, another scheme, or too long. out is untouched then. */
int http_url_join(const char *base, const char *location, struct http_url *out, struct why *why);

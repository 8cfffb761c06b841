/* endpoint_spec.h - what a person or a file says of an endpoint to be added: checked, and packed as
 * a request. */
#pragma once

#include "common/buf.h"
#include "common/config.h"

#include <stddef.h>

#define ENDPOINT_SPEC_MAX 65536 /* bytes of a packed request */

/** As it was typed; NULL: not given. Borrowed. */
struct endpoint_spec {
	const char *id, *tenant, *type, *target, *authority, *profile, *zone, *key_type;
	const char *const *names;
	size_t names_n;
};

/** Checks everything that can be checked without the fleet and appends the data of an endpoint.add.
 * CF_EINVAL, CF_ETOOBIG: why names the thing and says what is expected. */
int endpoint_spec_encode(const struct endpoint_spec *spec, const struct config *config,
	struct buf *out, struct why *why);

/* roots.h - the addresses of the root's name servers (IANA's root hints). */
#pragma once

#include <stddef.h>

struct root_hint {
	const char *name, *v4, *v6;
};

const struct root_hint *root_hints(size_t *n);

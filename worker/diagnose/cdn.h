/* cdn.h - content delivery networks, recognised by the names and addresses that they answer with. A
 * modest table of what they publish; what it does not know is taken for somebody else's host. */
#pragma once

#include "common/addr.h"

/** The CDN's name, or NULL. */
const char *cdn_of_name(const char *name);
const char *cdn_of_address(const struct addr *a);

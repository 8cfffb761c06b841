/* import_file.h - a YAML file of endpoints, read as a stream of events: a large one takes no more
 *than its items.
 *
 *	endpoints:              # or the list alone
 *	  - names: [shop.example.com, www.shop.example.com]
 *	    type: external
 *	    target: ingress.platform.example
 *	    id: shop            # optional, as are tenant, authority, profile, zone and key_type
 *
 * What is wrong with one item is kept with it, with its place; the others are read all the same.
 *What makes the file unreadable as a whole is an error, and nothing of it is to be used.
 */
#pragma once

#include "common/err.h"
#include "scheduler/cli/endpoint_spec.h"

#include <stddef.h>
#include <stdio.h>

#define IMPORT_ITEMS_MAX 1000000
#define IMPORT_NAMES_MAX 100

struct import_item {
	unsigned line, column;
	char *id, *tenant, *type, *target, *authority, *profile, *zone,
		*key_type; /* owned; NULL: not given */
	char **names;
	size_t names_n;
	char *error; /* "FILE:LINE:COL: …", owned; NULL: none */
};

struct import {
	struct import_item *items;
	size_t n;
};

void import_release(struct import *im);
/** CF_EINVAL, CF_ETOOBIG: why begins with FILE:LINE:COL. */
int import_read(const char *name, FILE *file, struct import *out, struct why *why);
/** Borrows from the item. */
struct endpoint_spec import_spec(const struct import_item *item);

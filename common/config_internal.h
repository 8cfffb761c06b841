/* config_internal.h - how common/config*.c share the work; nobody else includes it.
 *
 *	text ──config_yaml.c──► nodes with positions ──config.c, by the rows of config_schema.c──►
 *struct config
 *
 * A row says all there is to say of a key; config_values.c knows how one value of each type is
 *read, printed and freed; config_rules.c holds what concerns several keys at once.
 */
#pragma once

#include "common/config.h"

/* --- YAML as a tree */

#define CONFIG_BYTES_MAX ((size_t)1024 * 1024)
#define CONFIG_DEPTH_MAX 16
#define CONFIG_NODES_MAX 20000

enum node_kind { NODE_TEXT, NODE_MAP, NODE_LIST };

struct node {
	enum node_kind kind;
	bool plain; /* a text without quotes */
	size_t line, column;
	char *text;
	char *key; /* in a map */
	size_t key_line, key_column;
	struct node *child; /* the first */
	struct node *next;
};

/** What is read and where errors go. */
struct reading {
	const char *name;
	struct config_errors *errors;
};

/** NULL when it is no YAML that we take; the errors say why. */
struct node *node_parse(struct reading *r, const char *text, size_t len);
void node_free(struct node *n);

/** Adds "NAME:LINE:COL: path: …". line 0: no position. */
void config_error(struct reading *r, size_t line, size_t column, const char *path,
	const char *format, ...) __attribute__((format(printf, 5, 6)));

/* --- the schema */

enum config_type {
	TYPE_TEXT,
	TYPE_WORD, /* letters, digits and _ - . */
	TYPE_HOST,
	TYPE_FILE,
	TYPE_HTTPS,
	TYPE_HTTP, /* or https */
	TYPE_CONTACT,
	TYPE_BOOL,
	TYPE_COUNT,
	TYPE_DURATION,
	TYPE_RATE,
	TYPE_CHOICE,
	TYPE_FLAGS,   /* a list of choices, kept as bits */
	TYPE_ADDRESS, /* an IP address */
	TYPE_PLACE,   /* an IP address or a host name */
	TYPE_RANGE,
	TYPE_SECTION,
};

struct config_row {
	const char *key; /* NULL ends a table */
	enum config_type type;
	uint32_t list;        /* > 0: a list of at most so many; offset is of its {items, n} */
	size_t offset;        /* in the struct of its section */
	const char *expected; /* "expected …"; NULL: the type's own words */
	const char *fallback; /* the default as it would be written; of a list: one item, or of
				 flags several */
	int64_t least, most;  /* TYPE_COUNT; TYPE_DURATION: ms; texts: bytes at most (0: 1024) */
	const char *const *choices;    /* NULL-ended */
	const struct config_row *rows; /* TYPE_SECTION */
	size_t size;                   /* of a section in a list */
	uint16_t port;                 /* default of TYPE_ADDRESS, TYPE_PLACE */
	bool required;
	bool secret; /* TYPE_FILE: not to be read by everyone */
};

extern const struct config_row config_rows[];

/** The common shape of all lists in struct config. */
struct config_list {
	void *items;
	size_t n;
};

static inline void *row_at(const struct config_row *row, void *base)
{
	return (char *)base + row->offset;
}

static inline const void *row_in(const struct config_row *row, const void *base)
{
	return (const char *)base + row->offset;
}

struct config_list row_list(const struct config_row *row, const void *base);
/** Bytes of one value, or of one item in a list. */
size_t row_size(const struct config_row *row);

/* --- values */

/** Reads one text. CF_EINVAL: expected, or why when it has more to say. */
int value_parse(
	const struct config_row *row, const char *text, bool plain, void *out, struct why *why);
/** Adds one value as YAML. False (and nothing) if it was never given. */
bool value_print(const struct config_row *row, const void *value, struct buf *out);
void value_release(const struct config_row *row, void *value);
/** "a host name": what a row expects, in out. */
const char *value_expected(const struct config_row *row, char *out, size_t size);

/* --- what concerns several keys at once */

void config_rules(struct reading *r, const struct node *root, struct config *c);
/** redis.url taken apart into host, port, unix_path, db, use_tls, username. */
int config_redis_url(const char *url, struct config *c, struct why *why);

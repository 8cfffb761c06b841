/* index.h - all endpoints of the fleet in this process' memory, in columns.
 *
 * Lists, filters, search and counts over a million endpoints are answered from here: Redis would
 * be blocked for seconds by set operations of that size. The truth stays in Redis; whoever fills
 * the index (feed.h) puts rows as it reads them, in any order.
 *
 * A row takes about 60 bytes and the text of its id and names. Rows are kept in the order of their
 * ids, so that a page is a walk from its cursor. A query is a walk in steps: the caller lets the
 * loop turn between them, and rows may come, change and go meanwhile. What was there from the
 * query's beginning to its end is seen exactly once.
 *
 * One owner, not thread-safe; no network, no clock: time is told by the caller.
 */
#pragma once

#include "common/endpoint.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INDEX_PAGE_MAX   1000
#define INDEX_TEXT_MAX   200 /* bytes of a search */
#define INDEX_STATES     (STATE_ACTIVE + 1)
#define INDEX_REASONS    16
#define INDEX_LIFE_N     11 /* tenths of life left: [0] is over, [10] nine to ten tenths */
#define INDEX_CURSOR_MAX (ENDPOINT_ID_MAX + 24)

struct index;

/** One endpoint. Strings are borrowed: copied by index_put(), valid until the next change when
 * given. */
struct index_row {
	const char *id, *tenant, *authority, *reason; /* "" for none */
	const char *names;                            /* with single spaces between them */
	enum endpoint_state state;
	enum endpoint_type type;
	int64_t not_before_ms, not_after_ms, renew_at_ms; /* 0: no certificate */
};

struct index *index_new(void);
/** NULL is a no-op. All queries must be freed. */
void index_free(struct index *x);
/** Adds the row, or takes the place of the one with its id. True if anything differs. */
bool index_put(struct index *x, const struct index_row *row);
/** True if it was there. */
bool index_remove(struct index *x, const char *id);
bool index_get(const struct index *x, const char *id, struct index_row *out);
size_t index_n(const struct index *x);
size_t index_bytes(const struct index *x);
/** Marks all rows as old; index_sweep() then removes what was not put since. For filling anew. */
void index_begin_fill(struct index *x);
/** Looks at up to `rows` rows; true when all old ones are gone. */
bool index_sweep(struct index *x, size_t rows);

/* --- queries */

enum index_sort {
	INDEX_BY_ID,
	INDEX_BY_EXPIRY,  /* what ends first first; without a certificate last */
	INDEX_BY_TROUBLE, /* by what is wrong: the order of enum endpoint_state but removing, then
			     by the part of the life that is left */
};
/** "id", "expiry", "trouble". CF_EINVAL. */
int index_sort_parse(const char *name, enum index_sort *out);

/** Zero and NULL mean any. */
struct index_filter {
	uint32_t states;    /* bits, 1 << enum endpoint_state */
	const char *tenant; /* exactly */
	const char *reason, *authority;
	enum endpoint_type type;
	const char *text;       /* somewhere in the id or a name; lower case */
	int64_t ends_before_ms; /* of the certificate */
};

struct index_query;

/** after: the cursor that an earlier page gave, or "". CF_EINVAL: it is none. Copies all. */
int index_query_new(struct index *x, const struct index_filter *filter, enum index_sort sort,
	const char *after, size_t limit, int64_t now_ms, struct index_query **out);
/** Looks at up to `rows` rows; true when it is done. */
bool index_query_step(struct index_query *q, size_t rows);
/** How many rows fit the filter, wherever the page begins. */
size_t index_query_total(const struct index_query *q);
/** The page: ids of rows that fit, in order. */
size_t index_query_n(const struct index_query *q);
const char *index_query_id(const struct index_query *q, size_t i);
/** Where the next page begins, or "" at the end. */
const char *index_query_next(const struct index_query *q);
void index_query_free(struct index_query *q);

/** The fleet in numbers. */
struct index_counts {
	size_t endpoints, certificates;
	size_t states[INDEX_STATES];
	size_t types[3]; /* by enum endpoint_type */
	size_t life[INDEX_LIFE_N];
	struct {
		char reason[ENDPOINT_CODE_MAX + 1];
		size_t n;
	} reasons[INDEX_REASONS]; /* the most frequent, most first */
	size_t reasons_n;
};

/** A query of its own kind: step it, then read. */
struct index_query *index_count_new(struct index *x, const char *tenant, int64_t now_ms);
void index_counts(struct index_query *q, struct index_counts *out);

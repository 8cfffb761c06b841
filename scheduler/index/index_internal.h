/* index_internal.h - the columns, shared by index*.c alone. */
#pragma once

#include "scheduler/index/index.h"

/* Strings that recur, numbered from 0; "" is 0. They stay for as long as the table. */
struct dict {
	char **words;
	uint32_t n, cap;
	uint32_t *slots; /* number + 1, 0: free; a power of two of them */
	uint32_t slots_n;
	size_t bytes;
};

#define DICT_NONE UINT32_MAX

uint32_t dict_add(struct dict *d, const char *word);
/** DICT_NONE if it is not there. */
uint32_t dict_find(const struct dict *d, const char *word);
void dict_release(struct dict *d);

/* Columns are arrays by slot; order holds the slots by id. Times are seconds since 1970, 0: none.
 */
struct index {
	size_t n, cap, free_n;
	uint32_t *order;    /* n of them */
	uint32_t *free;     /* slots to be used again */
	uint64_t *text;     /* offset of "id\0names\0" in texts */
	uint32_t *text_len; /* without the last NUL */
	uint32_t *tenant, *authority, *reason;
	uint32_t *not_before, *not_after, *renew_at;
	uint8_t *state, *type, *era;
	uint32_t top; /* slots that were ever used */
	char *texts;
	size_t texts_len, texts_cap, texts_dead;
	size_t scattered; /* texts that do not lie in the order of ids */
	struct dict dict;
	uint8_t now_era;
	size_t swept; /* position of the sweep */
	struct index_query *queries;
};

struct index_found {
	int64_t key;
	char id[ENDPOINT_ID_MAX + 1];
};

struct index_query {
	struct index *index;
	struct index_query *next, **at; /* in the index' list */
	size_t pos;                     /* in order: the next to look at */
	bool counting, impossible;
	enum index_sort sort;
	uint32_t states, tenant, reason, authority;
	bool has_tenant, has_reason, has_authority;
	enum endpoint_type type;
	char text[INDEX_TEXT_MAX + 1];
	size_t text_len;
	int64_t ends_before_s, now_s;
	int64_t after_key;
	char after[ENDPOINT_ID_MAX + 1];
	size_t limit, total, n;
	struct index_found *found; /* limit + 1 of them, sorted */
	char cursor[INDEX_CURSOR_MAX];
	struct index_counts counts;
	uint32_t *by_reason; /* counting: by number in the dict */
	size_t by_reason_n;
};

static inline const char *index_id(const struct index *x, uint32_t slot)
{
	return x->texts + x->text[slot];
}

/** Where the id is in order, or would be. */
size_t index_position(const struct index *x, const char *id, bool *there);

/** Where needle begins in hay, NULL: nowhere. len is not 0. */
const char *index_find(const char *hay, size_t n, const char *needle, size_t len);

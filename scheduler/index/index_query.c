#include "common/mem.h"
#include "common/str.h"
#include "scheduler/index/index_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const sorts[] = {
	[INDEX_BY_ID] = "id", [INDEX_BY_EXPIRY] = "expiry", [INDEX_BY_TROUBLE] = "trouble"};

int index_sort_parse(const char *name, enum index_sort *out)
{
	for (size_t i = 0; i < ARRAY_LEN(sorts); i++)
		if (strcmp(sorts[i], name) == 0) {
			*out = (enum index_sort)i;
			return 0;
		}
	return CF_EINVAL;
}

static void link_query(struct index *x, struct index_query *q)
{
	q->index = x;
	q->next = x->queries;
	q->at = &x->queries;
	if (q->next)
		q->next->at = &q->next;
	x->queries = q;
}

/* --- the cursor: "KEY:ID", or "ID" in the order of ids */

static int read_cursor(struct index_query *q, const char *after)
{
	const char *id = after;
	char *end;

	if (q->sort != INDEX_BY_ID) {
		q->after_key = strtoll(after, &end, 10);
		if (end == after || *end != ':')
			return CF_EINVAL;
		id = end + 1;
	}
	if (!*id || strlen(id) > ENDPOINT_ID_MAX)
		return CF_EINVAL;
	snprintf(q->after, sizeof q->after, "%s", id);
	return 0;
}

static void write_cursor(struct index_query *q, const struct index_found *last)
{
	if (q->sort == INDEX_BY_ID)
		snprintf(q->cursor, sizeof q->cursor, "%s", last->id);
	else
		snprintf(q->cursor, sizeof q->cursor, "%" PRId64 ":%s", last->key, last->id);
}

/* --- making */

/* A word that nobody has fits nothing. */
static bool resolve(struct index_query *q, const char *word, uint32_t *number)
{
	*number = word ? dict_find(&q->index->dict, word) : 0;
	q->impossible = q->impossible || *number == DICT_NONE;
	return word != NULL;
}

int index_query_new(struct index *x, const struct index_filter *f, enum index_sort sort,
	const char *after, size_t limit, int64_t now_ms, struct index_query **out)
{
	struct index_query *q;

	if (limit > INDEX_PAGE_MAX || (f->text && strlen(f->text) > INDEX_TEXT_MAX))
		return CF_ETOOBIG;
	q = mem_zalloc(sizeof *q);
	q->sort = sort;
	if (*after && read_cursor(q, after)) {
		free(q);
		return CF_EINVAL;
	}
	link_query(x, q);
	q->states = f->states;
	q->type = f->type;
	q->has_tenant = resolve(q, f->tenant, &q->tenant);
	q->has_reason = resolve(q, f->reason, &q->reason);
	q->has_authority = resolve(q, f->authority, &q->authority);
	q->ends_before_s = f->ends_before_ms / 1000;
	q->now_s = now_ms / 1000;
	if (f->text)
		snprintf(q->text, sizeof q->text, "%s", f->text);
	q->text_len = strlen(q->text);
	q->limit = limit;
	q->found = mem_array(limit + 1, sizeof *q->found);
	*out = q;
	return 0;
}

void index_query_free(struct index_query *q)
{
	if (!q)
		return;
	*q->at = q->next;
	if (q->next)
		q->next->at = q->at;
	free(q->found);
	free(q->by_reason);
	free(q);
}

/* --- one row */

/* Cheap ones first. That it has the text is known already: see walk_text(). */
static bool fits(const struct index *x, uint32_t slot, const struct index_query *q)
{
	if (q->states && !(q->states & (1u << x->state[slot])))
		return false;
	if (q->type && x->type[slot] != (uint8_t)q->type)
		return false;
	if (q->has_tenant && x->tenant[slot] != q->tenant)
		return false;
	if (q->has_reason && x->reason[slot] != q->reason)
		return false;
	if (q->has_authority && x->authority[slot] != q->authority)
		return false;
	return !q->ends_before_s ||
	       (x->not_after[slot] && x->not_after[slot] < (uint64_t)q->ends_before_s);
}

/* Thousandths of the life that are left; 1000 without a certificate. */
static int64_t life_left(const struct index *x, uint32_t slot, int64_t now_s)
{
	int64_t all = (int64_t)x->not_after[slot] - x->not_before[slot];
	int64_t left = (int64_t)x->not_after[slot] - now_s;

	if (!x->not_after[slot] || all <= 0)
		return 1000;
	return left <= 0 ? 0 : left >= all ? 1000 : left * 1000 / all;
}

static int64_t key_of(const struct index *x, uint32_t slot, const struct index_query *q)
{
	switch (q->sort) {
	case INDEX_BY_ID:
		break;
	case INDEX_BY_EXPIRY:
		return x->not_after[slot] ? x->not_after[slot] : INT64_MAX;
	case INDEX_BY_TROUBLE:
		/* To be removed is no trouble: behind all that needs a person. */
		return (x->state[slot] == STATE_REMOVING ? STATE_ACTIVE : x->state[slot]) * 1001 +
		       life_left(x, slot, q->now_s);
	}
	return 0;
}

static int compare(int64_t key, const char *id, const struct index_found *with)
{
	if (key != with->key)
		return key < with->key ? -1 : 1;
	return strcmp(id, with->id);
}

static bool behind_cursor(const struct index_query *q, int64_t key, const char *id)
{
	if (!q->after[0])
		return true;
	return key != q->after_key ? key > q->after_key : strcmp(id, q->after) > 0;
}

/* Keeps the first limit + 1: one more than the page tells that there is a next one. */
static void keep(struct index_query *q, int64_t key, const char *id)
{
	size_t low = 0, high = q->n;

	if (q->n && compare(key, id, &q->found[q->n - 1]) > 0)
		low = q->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(key, id, &q->found[middle]) < 0)
			high = middle;
		else
			low = middle + 1;
	}
	if (low > q->limit)
		return;
	if (q->n <= q->limit)
		q->n++;
	memmove(q->found + low + 1, q->found + low, (q->n - low - 1) * sizeof *q->found);
	q->found[low].key = key;
	snprintf(q->found[low].id, sizeof q->found[low].id, "%s", id);
}

static void look(struct index_query *q, uint32_t slot)
{
	const struct index *x = q->index;
	int64_t key;

	if (!fits(x, slot, q))
		return;
	q->total++;
	if (q->sort == INDEX_BY_ID && q->n > q->limit)
		return; /* the walk goes by id: the page is full */
	key = key_of(x, slot, q);
	if (behind_cursor(q, key, index_id(x, slot)))
		keep(q, key, index_id(x, slot));
}

/* --- counting */

static void count_reason(struct index_query *q, uint32_t reason)
{
	if (reason >= q->by_reason_n) {
		size_t n = q->index->dict.n;

		q->by_reason = mem_grow(q->by_reason, n, sizeof *q->by_reason);
		memset(q->by_reason + q->by_reason_n, 0,
			(n - q->by_reason_n) * sizeof *q->by_reason);
		q->by_reason_n = n;
	}
	q->by_reason[reason]++;
}

static void count(struct index_query *q, uint32_t slot)
{
	const struct index *x = q->index;
	struct index_counts *c = &q->counts;

	if (q->has_tenant && x->tenant[slot] != q->tenant)
		return;
	c->endpoints++;
	c->states[x->state[slot]]++;
	c->types[x->type[slot] <= ENDPOINT_INTERNAL ? x->type[slot] : 0]++;
	if (x->reason[slot])
		count_reason(q, x->reason[slot]);
	if (x->not_after[slot]) {
		c->certificates++;
		c->life[(life_left(x, slot, q->now_s) + 99) / 100]++;
	}
}

struct index_query *index_count_new(struct index *x, const char *tenant, int64_t now_ms)
{
	struct index_query *q = mem_zalloc(sizeof *q);

	link_query(x, q);
	q->counting = true;
	q->now_s = now_ms / 1000;
	q->has_tenant = resolve(q, tenant, &q->tenant);
	return q;
}

void index_counts(struct index_query *q, struct index_counts *out)
{
	*out = q->counts;
	while (out->reasons_n < INDEX_REASONS) {
		size_t most = 0;

		for (size_t i = 1; i < q->by_reason_n; i++)
			if (q->by_reason[i] > q->by_reason[most] || !most)
				most = i;
		if (most >= q->by_reason_n || !q->by_reason[most])
			return;
		snprintf(out->reasons[out->reasons_n].reason, sizeof out->reasons[0].reason, "%s",
			q->index->dict.words[most]);
		out->reasons[out->reasons_n++].n = q->by_reason[most];
		q->by_reason[most] = 0;
	}
}

/* --- the walk */

static void end(struct index_query *q)
{
	q->cursor[0] = 0;
	if (q->counting || q->n <= q->limit)
		return;
	q->n = q->limit;
	if (q->n)
		write_cursor(q, &q->found[q->n - 1]);
}

/* How many rows from pos on, at most `rows`, have their texts one behind the other: nearly all,
 * once the index was filled. */
static size_t run_of_texts(const struct index *x, size_t pos, size_t rows)
{
	size_t end = pos + 1;

	if (rows > x->n - pos)
		rows = x->n - pos;
	while (end < pos + rows) {
		uint32_t last = x->order[end - 1];

		if (x->text[x->order[end]] != x->text[last] + x->text_len[last] + 1)
			break;
		end++;
	}
	return end - pos;
}

/* The row from low on that holds this offset, below high. Most are near: steps that double find it,
 * and then halves. */
static size_t row_at(const struct index *x, size_t low, size_t high, uint64_t offset)
{
	size_t step = 1;

	while (low + step < high && x->text[x->order[low + step]] <= offset) {
		low += step;
		step *= 2;
	}
	if (high > low + step)
		high = low + step;
	while (low + 1 < high) {
		size_t middle = low + (high - low) / 2;

		if (x->text[x->order[middle]] <= offset)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* Rows with the text: a whole run is searched at once, which costs a tenth of a search in each row.
 * What is looked for holds no NUL, so that it is never found across two texts. */
static void walk_text(struct index_query *q, size_t run)
{
	const struct index *x = q->index;
	size_t end = q->pos + run;
	uint32_t last = x->order[end - 1];
	uint64_t stop = x->text[last] + x->text_len[last];

	while (q->pos < end) {
		uint64_t from = x->text[x->order[q->pos]];
		const char *hit = index_find(x->texts + from, stop - from, q->text, q->text_len);

		if (!hit)
			break;
		q->pos = row_at(x, q->pos, end, (uint64_t)(hit - x->texts));
		look(q, x->order[q->pos++]);
	}
	q->pos = end;
}

static size_t walk(struct index_query *q, size_t rows)
{
	size_t run = q->text_len ? run_of_texts(q->index, q->pos, rows) : 1;
	uint32_t slot = q->index->order[q->pos];

	if (q->text_len) {
		walk_text(q, run);
		return run;
	}
	q->pos++;
	if (q->counting)
		count(q, slot);
	else
		look(q, slot);
	return 1;
}

/* All endpoints by id: the page is where its cursor is. */
static bool is_plain(const struct index_query *q)
{
	return !q->counting && q->sort == INDEX_BY_ID && !q->text_len && !q->states && !q->type &&
	       !q->has_tenant && !q->has_reason && !q->has_authority && !q->ends_before_s;
}

static void read_page(struct index_query *q)
{
	const struct index *x = q->index;
	bool there = false;
	size_t at = q->after[0] ? index_position(x, q->after, &there) : 0;

	q->total = x->n;
	for (at += there; at < x->n && q->n <= q->limit; at++)
		keep(q, 0, index_id(x, x->order[at]));
}

bool index_query_step(struct index_query *q, size_t rows)
{
	if (q->impossible)
		return true;
	if (is_plain(q)) {
		read_page(q);
		end(q);
		return true;
	}
	while (rows && q->pos < q->index->n)
		rows -= walk(q, rows);
	if (q->pos < q->index->n)
		return false;
	end(q);
	return true;
}

size_t index_query_total(const struct index_query *q)
{
	return q->total;
}

size_t index_query_n(const struct index_query *q)
{
	return q->n;
}

const char *index_query_id(const struct index_query *q, size_t i)
{
	return q->found[i].id;
}

const char *index_query_next(const struct index_query *q)
{
	return q->cursor;
}

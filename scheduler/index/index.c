#include "scheduler/index/index.h"

#include "common/mem.h"
#include "scheduler/index/index_internal.h"

#include <string.h>

#define ROWS_AT_FIRST  1024
#define TEXTS_AT_FIRST 65536

struct index *index_new(void)
{
	struct index *x = mem_zalloc(sizeof *x);

	dict_add(&x->dict, "");
	return x;
}

void index_free(struct index *x)
{
	if (!x)
		return;
	if (x->queries)
		abort(); /* a query would point to nothing */
	free(x->order);
	free(x->free);
	free(x->text);
	free(x->text_len);
	free(x->tenant);
	free(x->authority);
	free(x->reason);
	free(x->not_before);
	free(x->not_after);
	free(x->renew_at);
	free(x->state);
	free(x->type);
	free(x->era);
	free(x->texts);
	dict_release(&x->dict);
	free(x);
}

static void grow_rows(struct index *x)
{
	x->cap = x->cap ? x->cap + x->cap / 2 : ROWS_AT_FIRST;
	x->order = mem_grow(x->order, x->cap, sizeof *x->order);
	x->free = mem_grow(x->free, x->cap, sizeof *x->free);
	x->text = mem_grow(x->text, x->cap, sizeof *x->text);
	x->text_len = mem_grow(x->text_len, x->cap, sizeof *x->text_len);
	x->tenant = mem_grow(x->tenant, x->cap, sizeof *x->tenant);
	x->authority = mem_grow(x->authority, x->cap, sizeof *x->authority);
	x->reason = mem_grow(x->reason, x->cap, sizeof *x->reason);
	x->not_before = mem_grow(x->not_before, x->cap, sizeof *x->not_before);
	x->not_after = mem_grow(x->not_after, x->cap, sizeof *x->not_after);
	x->renew_at = mem_grow(x->renew_at, x->cap, sizeof *x->renew_at);
	x->state = mem_grow(x->state, x->cap, sizeof *x->state);
	x->type = mem_grow(x->type, x->cap, sizeof *x->type);
	x->era = mem_grow(x->era, x->cap, sizeof *x->era);
}

size_t index_bytes(const struct index *x)
{
	const size_t row = 2 * sizeof(uint32_t) + sizeof(uint64_t) + 7 * sizeof(uint32_t) + 3;

	return sizeof *x + x->cap * row + x->texts_cap + x->dict.bytes +
	       x->dict.cap * sizeof(char *) + x->dict.slots_n * sizeof(uint32_t);
}

size_t index_n(const struct index *x)
{
	return x->n;
}

size_t index_position(const struct index *x, const char *id, bool *there)
{
	size_t low = 0, high = x->n;

	/* Filling comes in order: most are put behind the last. */
	if (x->n && strcmp(id, index_id(x, x->order[x->n - 1])) > 0)
		low = x->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(index_id(x, x->order[middle]), id) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*there = low < x->n && strcmp(index_id(x, x->order[low]), id) == 0;
	return low;
}

/* --- texts: appended. Once half of them are dead, or a quarter lies out of order, they are laid
 * anew in the order of ids, in which searches are fast. */

static void squeeze(struct index *x)
{
	size_t cap = x->texts_len - x->texts_dead + TEXTS_AT_FIRST, len = 0;
	char *texts = mem_alloc(cap);

	for (size_t i = 0; i < x->n; i++) {
		uint32_t slot = x->order[i];

		memcpy(texts + len, index_id(x, slot), x->text_len[slot] + 1);
		x->text[slot] = len;
		len += x->text_len[slot] + 1;
	}
	free(x->texts);
	x->texts = texts;
	x->texts_len = len;
	x->texts_cap = cap;
	x->texts_dead = 0;
	x->scattered = 0;
}

static void add_text(struct index *x, uint32_t slot, const struct index_row *row)
{
	size_t id = strlen(row->id), names = strlen(row->names), need = id + names + 2;

	if (x->texts_len + need > x->texts_cap) {
		x->texts_cap = (x->texts_len + need) * 3 / 2 + TEXTS_AT_FIRST;
		x->texts = mem_realloc(x->texts, x->texts_cap);
	}
	memcpy(x->texts + x->texts_len, row->id, id + 1);
	memcpy(x->texts + x->texts_len + id + 1, row->names, names + 1);
	x->text[slot] = x->texts_len;
	x->text_len[slot] = (uint32_t)(need - 1);
	x->texts_len += need;
}

static void drop_text(struct index *x, uint32_t slot)
{
	x->texts_dead += x->text_len[slot] + 1;
}

/* --- rows */

static uint32_t seconds(int64_t ms)
{
	int64_t s = ms / 1000;

	return s <= 0 ? 0 : s > UINT32_MAX ? UINT32_MAX : (uint32_t)s;
}

static void set_columns(struct index *x, uint32_t slot, const struct index_row *row)
{
	x->tenant[slot] = dict_add(&x->dict, row->tenant);
	x->authority[slot] = dict_add(&x->dict, row->authority);
	x->reason[slot] = dict_add(&x->dict, row->reason);
	x->not_before[slot] = seconds(row->not_before_ms);
	x->not_after[slot] = seconds(row->not_after_ms);
	x->renew_at[slot] = seconds(row->renew_at_ms);
	x->state[slot] = (uint8_t)row->state;
	x->type[slot] = (uint8_t)row->type;
	x->era[slot] = x->now_era;
}

static const char *names_of(const struct index *x, uint32_t slot)
{
	const char *id = index_id(x, slot);

	return id + strlen(id) + 1;
}

static bool differs(const struct index *x, uint32_t slot, const struct index_row *row)
{
	return x->state[slot] != row->state || x->type[slot] != row->type ||
	       x->not_before[slot] != seconds(row->not_before_ms) ||
	       x->not_after[slot] != seconds(row->not_after_ms) ||
	       x->renew_at[slot] != seconds(row->renew_at_ms) ||
	       strcmp(x->dict.words[x->tenant[slot]], row->tenant) != 0 ||
	       strcmp(x->dict.words[x->authority[slot]], row->authority) != 0 ||
	       strcmp(x->dict.words[x->reason[slot]], row->reason) != 0 ||
	       strcmp(names_of(x, slot), row->names) != 0;
}

/* Walks that are under way keep their place. */
static void shift_walks(struct index *x, size_t at, int by)
{
	for (struct index_query *q = x->queries; q; q = q->next)
		if (at < q->pos)
			q->pos = by > 0 ? q->pos + 1 : q->pos - 1;
	if (at < x->swept)
		x->swept = by > 0 ? x->swept + 1 : x->swept - 1;
}

static void insert(struct index *x, size_t at, const struct index_row *row)
{
	uint32_t slot;

	if (x->n == x->cap)
		grow_rows(x);
	slot = x->free_n ? x->free[--x->free_n] : x->top++;
	x->scattered += at < x->n;
	add_text(x, slot, row);
	set_columns(x, slot, row);
	memmove(x->order + at + 1, x->order + at, (x->n - at) * sizeof *x->order);
	x->order[at] = slot;
	x->n++;
	shift_walks(x, at, 1);
}

static void take_out(struct index *x, size_t at)
{
	uint32_t slot = x->order[at];

	drop_text(x, slot);
	memmove(x->order + at, x->order + at + 1, (x->n - at - 1) * sizeof *x->order);
	x->n--;
	x->free[x->free_n++] = slot;
	shift_walks(x, at, -1);
}

static void squeeze_if_worth(struct index *x)
{
	if ((x->texts_dead > x->texts_len / 2 && x->texts_dead > TEXTS_AT_FIRST) ||
		(x->scattered > x->n / 4 && x->scattered > ROWS_AT_FIRST))
		squeeze(x);
}

bool index_put(struct index *x, const struct index_row *row)
{
	bool there;
	size_t at = index_position(x, row->id, &there);
	uint32_t slot;

	if (!there) {
		insert(x, at, row);
		squeeze_if_worth(x);
		return true;
	}
	slot = x->order[at];
	if (!differs(x, slot, row)) {
		x->era[slot] = x->now_era;
		return false;
	}
	if (strcmp(names_of(x, slot), row->names) != 0) {
		drop_text(x, slot);
		add_text(x, slot, row);
		x->scattered++;
	}
	set_columns(x, slot, row);
	squeeze_if_worth(x);
	return true;
}

bool index_remove(struct index *x, const char *id)
{
	bool there;
	size_t at = index_position(x, id, &there);

	if (there)
		take_out(x, at);
	return there;
}

bool index_get(const struct index *x, const char *id, struct index_row *out)
{
	bool there;
	size_t at = index_position(x, id, &there);
	uint32_t slot;

	if (!there)
		return false;
	slot = x->order[at];
	*out = (struct index_row){.id = index_id(x, slot),
		.tenant = x->dict.words[x->tenant[slot]],
		.authority = x->dict.words[x->authority[slot]],
		.reason = x->dict.words[x->reason[slot]],
		.names = names_of(x, slot),
		.state = (enum endpoint_state)x->state[slot],
		.type = (enum endpoint_type)x->type[slot],
		.not_before_ms = (int64_t)x->not_before[slot] * 1000,
		.not_after_ms = (int64_t)x->not_after[slot] * 1000,
		.renew_at_ms = (int64_t)x->renew_at[slot] * 1000};
	return true;
}

/* --- filling anew */

void index_begin_fill(struct index *x)
{
	x->now_era = !x->now_era;
	x->swept = 0;
}

bool index_sweep(struct index *x, size_t rows)
{
	for (; rows && x->swept < x->n; rows--) {
		if (x->era[x->order[x->swept]] == x->now_era)
			x->swept++;
		else
			take_out(x, x->swept);
	}
	return x->swept >= x->n;
}

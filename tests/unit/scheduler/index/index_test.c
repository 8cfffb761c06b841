/* The index against a model that is a plain array: the same rows, queries and counts, whatever was
 * put and removed in whatever order, and while queries are under way. */
#include "scheduler/index/index.h"

#include "common/clock.h"
#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOW INT64_C(1800000000000)
#define IDS 600

static uint32_t seed;

static uint32_t roll(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

/* --- the model */

struct model {
	bool there;
	char id[16], names[64], tenant[16], reason[24], authority[8];
	enum endpoint_state state;
	enum endpoint_type type;
	int64_t not_before_ms, not_after_ms;
};

static struct model models[IDS];

static struct index_row row_of(const struct model *m)
{
	return (struct index_row){.id = m->id,
		.tenant = m->tenant,
		.authority = m->authority,
		.reason = m->reason,
		.names = m->names,
		.state = m->state,
		.type = m->type,
		.not_before_ms = m->not_before_ms,
		.not_after_ms = m->not_after_ms,
		.renew_at_ms = m->not_after_ms ? m->not_after_ms - 1000 : 0};
}

static void change(struct model *m, size_t i)
{
	static const char *const reasons[] = {
		"", "record_missing", "cname_elsewhere", "caa_forbids"};

	snprintf(m->id, sizeof m->id, "e%05zu", i * 7919 % 100000);
	snprintf(m->names, sizeof m->names, "host%u.example.test www%u.example.test", roll(50),
		roll(1000));
	snprintf(m->tenant, sizeof m->tenant, "t%u", roll(5));
	snprintf(m->authority, sizeof m->authority, "%s", roll(2) ? "a" : "");
	snprintf(m->reason, sizeof m->reason, "%s", reasons[roll(4)]);
	m->state = (enum endpoint_state)roll(INDEX_STATES);
	m->type = roll(2) ? ENDPOINT_EXTERNAL : ENDPOINT_INTERNAL;
	m->not_before_ms = m->not_after_ms = 0;
	if (roll(4)) {
		m->not_before_ms = NOW - (int64_t)roll(100) * CLOCK_DAY_MS;
		m->not_after_ms = m->not_before_ms + 90 * CLOCK_DAY_MS;
	}
	m->there = true;
}

static void shuffle(struct index *x, size_t times)
{
	while (times--) {
		size_t i = roll(IDS);
		struct index_row row;

		if (models[i].there && roll(3) == 0) {
			models[i].there = false;
			assert_true(index_remove(x, models[i].id));
			continue;
		}
		change(&models[i], i);
		row = row_of(&models[i]);
		index_put(x, &row);
	}
}

static bool model_fits(const struct model *m, const struct index_filter *f)
{
	return m->there && (!f->states || f->states & (1u << m->state)) &&
	       (!f->tenant || !strcmp(f->tenant, m->tenant)) &&
	       (!f->reason || !strcmp(f->reason, m->reason)) &&
	       (!f->authority || !strcmp(f->authority, m->authority)) &&
	       (!f->type || f->type == m->type) &&
	       (!f->text || strstr(m->id, f->text) || strstr(m->names, f->text)) &&
	       (!f->ends_before_ms || (m->not_after_ms && m->not_after_ms < f->ends_before_ms));
}

static int64_t trouble_of(const struct model *m)
{
	int64_t left = m->not_after_ms - NOW, all = m->not_after_ms - m->not_before_ms;
	int64_t part = !m->not_after_ms ? 1000
		       : left <= 0      ? 0
		       : left >= all    ? 1000
					: left * 1000 / all;

	return (m->state == STATE_REMOVING ? STATE_ACTIVE : m->state) * 1001 + part;
}

static enum index_sort sorted_by;

static int by_sort(const void *a, const void *b)
{
	const struct model *m = *(const struct model *const *)a,
			   *n = *(const struct model *const *)b;
	int64_t k = 0, l = 0;

	if (sorted_by == INDEX_BY_EXPIRY) {
		k = m->not_after_ms ? m->not_after_ms / 1000 : INT64_MAX;
		l = n->not_after_ms ? n->not_after_ms / 1000 : INT64_MAX;
	} else if (sorted_by == INDEX_BY_TROUBLE) {
		k = trouble_of(m);
		l = trouble_of(n);
	}
	return k < l ? -1 : k > l ? 1 : strcmp(m->id, n->id);
}

static size_t model_list(
	const struct index_filter *f, enum index_sort sort, const struct model **out)
{
	size_t n = 0;

	for (size_t i = 0; i < IDS; i++)
		if (model_fits(&models[i], f))
			out[n++] = &models[i];
	sorted_by = sort;
	qsort(out, n, sizeof *out, by_sort);
	return n;
}

/* --- comparing */

/* All pages, each of `page` rows, walked in steps of `step`. */
static void assert_pages(struct index *x, const struct index_filter *f, enum index_sort sort,
	size_t page, size_t step)
{
	const struct model *want[IDS];
	size_t n = model_list(f, sort, want), at = 0;
	char cursor[128] = "";

	do {
		struct index_query *q;

		assert_int_equal(index_query_new(x, f, sort, cursor, page, NOW, &q), 0);
		while (!index_query_step(q, step))
			;
		assert_int_equal(index_query_total(q), n);
		for (size_t i = 0; i < index_query_n(q); i++, at++) {
			assert_true(at < n);
			assert_string_equal(index_query_id(q, i), want[at]->id);
		}
		snprintf(cursor, sizeof cursor, "%s", index_query_next(q));
		index_query_free(q);
	} while (cursor[0]);
	assert_int_equal(at, n);
}

static struct index_filter some_filter(void)
{
	struct index_filter f = {0};

	if (roll(2))
		f.states = 1u << roll(INDEX_STATES) | 1u << roll(INDEX_STATES);
	if (roll(3) == 0)
		f.tenant = "t3";
	if (roll(3) == 0)
		f.reason = "record_missing";
	if (roll(4) == 0)
		f.type = ENDPOINT_INTERNAL;
	if (roll(4) == 0)
		f.authority = "";
	if (roll(3) == 0)
		f.text = roll(2) ? "host7" : "e0";
	if (roll(4) == 0)
		f.ends_before_ms = NOW + 20 * CLOCK_DAY_MS;
	return f;
}

static void lists_as_the_model_does(void **state)
{
	struct index *x = index_new();

	(void)state;
	seed = 7;
	memset(models, 0, sizeof models);
	for (int round = 0; round < 60; round++) {
		struct index_filter f = some_filter();

		shuffle(x, 200);
		assert_pages(x, &f, (enum index_sort)roll(3), 1 + roll(80), 1 + roll(200));
	}
	index_free(x);
}

static void gives_rows_back(void **state)
{
	struct index *x = index_new();
	struct index_row got;
	size_t n = 0;

	(void)state;
	seed = 11;
	memset(models, 0, sizeof models);
	shuffle(x, 3000);
	for (size_t i = 0; i < IDS; i++) {
		struct index_row want = row_of(&models[i]);

		n += models[i].there;
		if (!want.id[0])
			continue;
		assert_int_equal(index_get(x, want.id, &got), models[i].there);
		if (!models[i].there)
			continue;
		assert_string_equal(got.names, want.names);
		assert_string_equal(got.tenant, want.tenant);
		assert_string_equal(got.reason, want.reason);
		assert_int_equal(got.state, want.state);
		assert_int_equal(got.not_after_ms, want.not_after_ms);
		assert_false(index_put(x, &want)); /* nothing differs */
	}
	assert_int_equal(index_n(x), n);
	index_free(x);
}

/* What is there all the time is seen once, though rows come and go around the walk. */
static void a_walk_stands_changes(void **state)
{
	struct index *x = index_new();
	const struct index_filter all = {0};
	struct index_query *q;
	bool stays[IDS];
	size_t seen[IDS] = {0};

	(void)state;
	seed = 3;
	memset(models, 0, sizeof models);
	shuffle(x, 2000);
	for (size_t i = 0; i < IDS; i++)
		stays[i] = models[i].there;
	assert_int_equal(index_query_new(x, &all, INDEX_BY_ID, "", INDEX_PAGE_MAX, NOW, &q), 0);
	while (!index_query_step(q, 5)) {
		shuffle(x, 3);
		for (size_t i = 0; i < IDS; i++)
			stays[i] = stays[i] && models[i].there;
	}
	for (size_t i = 0; i < index_query_n(q); i++)
		for (size_t k = 0; k < IDS; k++)
			seen[k] += !strcmp(models[k].id, index_query_id(q, i));
	for (size_t k = 0; k < IDS; k++) {
		if (stays[k])
			assert_int_equal(seen[k], 1);
	}
	index_query_free(q);
	index_free(x);
}

static void counts_as_the_model_does(void **state)
{
	struct index *x = index_new();
	struct index_counts c;
	size_t states[INDEX_STATES] = {0}, n = 0, certificates = 0, reasons = 0;
	struct index_query *q;

	(void)state;
	seed = 5;
	memset(models, 0, sizeof models);
	shuffle(x, 2000);
	for (size_t i = 0; i < IDS; i++) {
		if (!models[i].there || strcmp(models[i].tenant, "t2") != 0)
			continue;
		n++;
		states[models[i].state]++;
		certificates += models[i].not_after_ms != 0;
		reasons += models[i].reason[0] != 0;
	}
	q = index_count_new(x, "t2", NOW);
	while (!index_query_step(q, 17))
		;
	index_counts(q, &c);
	index_query_free(q);
	assert_int_equal(c.endpoints, n);
	assert_int_equal(c.certificates, certificates);
	assert_memory_equal(c.states, states, sizeof states);
	assert_int_equal(c.reasons_n, 3);
	assert_int_equal(c.reasons[0].n + c.reasons[1].n + c.reasons[2].n, reasons);
	assert_true(c.reasons[0].n >= c.reasons[1].n && c.reasons[1].n >= c.reasons[2].n);
	index_free(x);
}

static void what_is_not_put_again_is_swept(void **state)
{
	struct index *x = index_new();
	size_t kept = 0;

	(void)state;
	seed = 13;
	memset(models, 0, sizeof models);
	shuffle(x, 2000);
	index_begin_fill(x);
	for (size_t i = 0; i < IDS; i++) {
		struct index_row row = row_of(&models[i]);

		if (!models[i].there || i % 2)
			continue;
		index_put(x, &row);
		kept++;
	}
	while (!index_sweep(x, 7))
		;
	assert_int_equal(index_n(x), kept);
	for (size_t i = 1; i < IDS; i += 2)
		models[i].there = false;
	assert_pages(x, &(struct index_filter){0}, INDEX_BY_ID, 50, 1000);
	index_free(x);
}

static void refuses_what_is_no_cursor(void **state)
{
	struct index *x = index_new();
	const struct index_filter all = {0};
	struct index_query *q = NULL;
	char text[INDEX_TEXT_MAX + 2];

	(void)state;
	memset(text, 'a', sizeof text - 1);
	text[sizeof text - 1] = 0;
	assert_int_equal(index_query_new(x, &all, INDEX_BY_EXPIRY, "shop", 5, NOW, &q), CF_EINVAL);
	assert_int_equal(index_query_new(x, &all, INDEX_BY_EXPIRY, "12:", 5, NOW, &q), CF_EINVAL);
	assert_int_equal(index_query_new(x, &all, INDEX_BY_ID, text, 5, NOW, &q), CF_EINVAL);
	assert_int_equal(
		index_query_new(x, &all, INDEX_BY_ID, "", INDEX_PAGE_MAX + 1, NOW, &q), CF_ETOOBIG);
	assert_int_equal(index_query_new(x, &(struct index_filter){.text = text}, INDEX_BY_ID, "",
				 5, NOW, &q),
		CF_ETOOBIG);
	assert_null(q);
	index_free(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_as_the_model_does),
		cmocka_unit_test(gives_rows_back),
		cmocka_unit_test(a_walk_stands_changes),
		cmocka_unit_test(counts_as_the_model_does),
		cmocka_unit_test(what_is_not_put_again_is_swept),
		cmocka_unit_test(refuses_what_is_no_cursor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

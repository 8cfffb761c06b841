/* GET /v1/endpoints and /v1/status: pages and counts from the index. */
#include "common/breaker.h"
#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"
#include "scheduler/api/v1_internal.h"
#include "scheduler/cli/facts.h"
#include "scheduler/cli/words.h"

#include <string.h>

/* --- what is asked for */

static int read_states(const char *text, uint32_t *out)
{
	_mem_free_ char *copy = mem_strdup(text);
	char *rest = copy, *word;
	enum endpoint_state state;

	while ((word = strsep(&rest, ","))) {
		if (endpoint_state_parse(word, &state))
			return CF_EINVAL;
		*out |= 1u << state;
	}
	return 0;
}

static bool bad(struct v1_call *c, const char *what, const char *text)
{
	v1_problemf(c, 400, "invalid", "%s, got \"%s\"", what, text);
	return false;
}

static bool read_filter(struct v1_call *c, struct index_filter *f, enum index_sort *sort)
{
	const char *states = httpd_query(c->http, "state"), *by = httpd_query(c->http, "sort");
	const char *type = httpd_query(c->http, "type");

	f->tenant = c->who.tenant[0] ? c->who.tenant : httpd_query(c->http, "tenant");
	f->reason = httpd_query(c->http, "reason");
	f->authority = httpd_query(c->http, "authority");
	if (type && strcmp(type, "external") != 0 && strcmp(type, "internal") != 0)
		return bad(c, "type: expected external or internal", type);
	if (type)
		f->type = *type == 'e' ? ENDPOINT_EXTERNAL : ENDPOINT_INTERNAL;
	if (states && read_states(states, &f->states))
		return bad(c, "state: expected states with commas between them", states);
	if (by && index_sort_parse(by, sort))
		return bad(c, "sort: expected id, expiry or trouble", by);
	return true;
}

/* --- the page: each row as Redis has it now */

struct row {
	struct v1_call *call;
	size_t at;
};

static void finish_page(struct v1_call *c)
{
	json_t *page = json_array(), *row;
	const char *next = index_query_next(c->query);
	size_t i;

	if (c->err) {
		json_decref(page);
		v1_redis_problem(c, c->err);
		return;
	}
	json_array_foreach(c->answer, i, row) if (!json_is_null(row)) json_array_append(page, row);
	v1_json(c, 200,
		json_pack("{s:o s:I s:o s:b}", "endpoints", page, "total",
			(json_int_t)index_query_total(c->query), "next",
			*next ? json_text(next) : json_null(), "complete",
			feed_ready(c->v1->o.feed)));
}

static void on_row(void *arg, int err, const struct reply *reply)
{
	struct row row = *(struct row *)arg;
	struct v1_call *c = row.call;
	struct facts f = {0};

	free(arg);
	if (err && !c->err && err != CF_EREDIS)
		c->err = err;
	if (!err && !v1_facts(c->v1, reply, false, &f)) {
		/* It may have changed hands since it was indexed. */
		if (v1_may(c, f.endpoint.config.tenant, f.endpoint.config.id))
			json_array_set_new(c->answer, row.at, facts_json(&f, false));
		facts_release(&f);
	}
	if (--c->left == 0)
		finish_page(c);
}

static void page_found(struct v1_call *c)
{
	size_t n = index_query_n(c->query);

	c->answer = json_array();
	c->left = n;
	for (size_t i = 0; i < n; i++)
		json_array_append_new(c->answer, json_null());
	if (!n)
		finish_page(c);
	for (size_t i = 0; i < n; i++) {
		struct row *row = mem_alloc(sizeof *row);

		*row = (struct row){c, i};
		v1_read(c, index_query_id(c->query, i), on_row, row);
	}
}

void v1_list(struct v1_call *c)
{
	const char *after = httpd_query(c->http, "after"), *text = httpd_query(c->http, "q");
	_mem_free_ char *lower = mem_strdup_opt(text);
	enum index_sort sort = INDEX_BY_ID;
	struct index_filter f = {0};
	struct index_query *q;
	size_t limit;
	int err;

	if (!v1_number(c, "limit", 1, V1_PAGE_MAX, V1_PAGE, &limit) || !read_filter(c, &f, &sort))
		return;
	if (lower && *lower)
		f.text = str_lower(lower);
	err = index_query_new(
		c->v1->o.index, &f, sort, after ? after : "", limit, clock_wall_ms(), &q);
	if (err == CF_ETOOBIG)
		v1_problemf(c, 400, "invalid", "q: at most %d bytes", INDEX_TEXT_MAX);
	else if (err)
		v1_problem(c, 400, "invalid", "after: expected the `next` of an earlier page");
	else
		v1_query(c, q, page_found);
}

/* --- the fleet in numbers */

static json_t *states_json(const struct index_counts *n)
{
	json_t *j = json_object();

	for (int s = 0; s < INDEX_STATES; s++)
		json_object_set_new(j, endpoint_state_name((enum endpoint_state)s),
			json_integer((json_int_t)n->states[s]));
	return j;
}

static json_t *reasons_json(const struct index_counts *n)
{
	json_t *all = json_array();

	for (size_t i = 0; i < n->reasons_n; i++)
		json_array_append_new(
			all, json_pack("{s:s s:I s:o}", "reason", n->reasons[i].reason, "endpoints",
				     (json_int_t)n->reasons[i].n, "means",
				     json_text(words_means(n->reasons[i].reason))));
	return all;
}

static json_t *life_json(const struct index_counts *n)
{
	json_t *all = json_array();

	for (size_t i = 0; i < INDEX_LIFE_N; i++)
		json_array_append_new(all, json_integer((json_int_t)n->life[i]));
	return all;
}

static json_t *breakers_json(const struct v1 *v)
{
	json_t *all = json_array();
	size_t n = 0;
	const struct breaker_row *rows = v->o.breakers ? v->o.breakers(v->o.arg, &n) : NULL;

	for (size_t i = 0; v->o.config->breaker.canary && i < n; i++)
		json_array_append_new(all, breaker_json(&rows[i]));
	return all;
}

static void counted(struct v1_call *c)
{
	struct index_counts n;

	index_counts(c->query, &n);
	v1_json(c, 200,
		json_pack("{s:s s:b s:b s:I s:I s:o s:{s:I s:I} s:o s:o s:o}", "fleet",
			c->v1->o.config->fleet, "leads", c->v1->o.leads(c->v1->o.arg), "complete",
			feed_ready(c->v1->o.feed), "endpoints", (json_int_t)n.endpoints,
			"certificates", (json_int_t)n.certificates, "states", states_json(&n),
			"types", "external", (json_int_t)n.types[ENDPOINT_EXTERNAL], "internal",
			(json_int_t)n.types[ENDPOINT_INTERNAL], "reasons", reasons_json(&n),
			"life_left_tenths", life_json(&n), "breakers", breakers_json(c->v1)));
}

void v1_overview(struct v1_call *c)
{
	const char *tenant = c->who.tenant[0] ? c->who.tenant : httpd_query(c->http, "tenant");

	v1_query(c, index_count_new(c->v1->o.index, tenant, clock_wall_ms()), counted);
}

#include "scheduler/sweep.h"

#include "common/clock.h"
#include "common/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PAGE             64
#define PAGE_TEXT        "64"
#define PACE_MS          200
#define EVERY_MS         60000
#define FIRST_MS         3000
#define CONDITION_FIELDS "av", "ai"
#define CONDITIONS_N     2
#define LIFE_DEFAULT_MS  (100 * CLOCK_DAY_MS)

/* All expiry times, all open alerts, all members of incidents; then a pause. */
enum sweep_phase { SWEEP_EXPIRY, SWEEP_OPEN, SWEEP_MEMBERS, SWEEP_PHASES };

/* One member of a page. */
struct item {
	struct sweep *sweep;
	char id[ALERT_KEY_SIZE]; /* endpoint, or the alert's key */
	struct alert_edge was;   /* but for SWEEP_EXPIRY */
	int64_t opened_ms;
};

struct sweep {
	uv_timer_t timer;
	struct redis *redis;
	struct alerts *alerts;
	char *prefix;
	bool leading, closed, busy;
	enum sweep_phase phase;
	int64_t longest_life_ms;
	char from[32];  /* SWEEP_EXPIRY: the page's first score */
	int64_t offset; /* members with that score that were seen; else the page's first rank
			 */
	struct item items[PAGE];
	size_t n, left;
	struct alert_edge edges[PAGE];
	size_t edges_n;
	bool last_page;
};

static void next_page(struct sweep *s);

static void on_timer(uv_timer_t *timer)
{
	next_page(timer->data);
}

static void again_in(struct sweep *s, int64_t ms)
{
	s->busy = false;
	if (s->leading && !s->closed)
		uv_timer_start(&s->timer, on_timer, (uint64_t)ms, 0);
}

static void begin(struct sweep *s, enum sweep_phase phase)
{
	s->phase = phase;
	snprintf(s->from, sizeof s->from, "-inf");
	s->offset = 0;
}

static void page_done(struct sweep *s)
{
	int64_t pause_ms = PACE_MS;

	if (s->leading)
		alerts_tell(s->alerts, s->edges, s->edges_n);
	if (s->last_page) {
		pause_ms = s->phase == SWEEP_MEMBERS ? EVERY_MS : PACE_MS;
		begin(s, (s->phase + 1) % SWEEP_PHASES);
	}
	again_in(s, pause_ms);
}

static void item_done(struct sweep *s)
{
	if (!--s->left)
		page_done(s);
}

/* --- one member */

/* 1: read, 0: there is none, negative: not known. */
static int read_endpoint(int err, const struct reply *reply, struct endpoint *e)
{
	struct endpoint_field fields[ENDPOINT_FIELDS_N];

	if (err)
		return err;
	for (size_t i = 0; i < ENDPOINT_FIELDS_N; i++)
		fields[i].bytes = reply_str(reply_at(reply, i), &fields[i].len);
	err = endpoint_decode(fields, e, NULL);
	return err == CF_ENOTFOUND ? 0 : err ? err : 1;
}

/* av, ai: what stops the renewal may stop that of many others. */
static void take_cause(const struct reply *fields, struct alert_edge *edge)
{
	for (size_t i = 0; i < CONDITIONS_N && !edge->cause[0]; i++) {
		size_t len = 0;
		const char *bytes = reply_str(reply_at(fields, ENDPOINT_FIELDS_N + i), &len);

		alert_cause_of(bytes, bytes ? len : 0, edge->cause);
	}
}

static bool is_stored(const struct reply *fields, const char *condition)
{
	bool stored = false;

	for (size_t i = 0; i < CONDITIONS_N && !stored; i++) {
		size_t len = 0;
		const char *bytes = reply_str(reply_at(fields, ENDPOINT_FIELDS_N + i), &len);

		stored = alert_is_stored(bytes, bytes ? len : 0, condition);
	}
	return stored;
}

/* e, fields: NULL if there is no endpoint. */
static void judge(struct item *item, const struct endpoint *e, const struct reply *fields)
{
	struct sweep *s = item->sweep;
	struct alert_edge *edge = &s->edges[s->edges_n];
	int64_t now_ms = clock_wall_ms();

	if (s->phase != SWEEP_EXPIRY) {
		s->edges_n += alert_review(&item->was, item->opened_ms, e,
			e && is_stored(fields, item->was.condition), now_ms, edge);
	} else if (e) {
		alert_expiry_edge(e, now_ms, edge);
		take_cause(fields, edge);
		s->edges_n += edge->open; /* its end is found among the open ones */
	}
}

static void got_endpoint(void *arg, int err, const struct reply *reply)
{
	struct item *item = arg;
	struct endpoint e = {.generation = 0};
	int there = read_endpoint(err, reply, &e);

	if (there >= 0)
		judge(item, there ? &e : NULL, reply);
	if (there > 0)
		endpoint_release(&e);
	item_done(item->sweep);
}

static void ask_endpoint(struct item *item, const char *id)
{
	static const char *const names[] = {ENDPOINT_FIELDS, CONDITION_FIELDS};
	const char *argv[2 + ARRAY_LEN(names)] = {"HMGET"};
	_mem_free_ char *key = mem_printf("%se:%s", item->sweep->prefix, id);

	argv[1] = key;
	memcpy(argv + 2, names, sizeof names);
	redis_command(item->sweep->redis, ARRAY_LEN(argv), argv, NULL, got_endpoint, item);
}

/* o and d of an open alert; its severity is in d. */
static void got_alert(void *arg, int err, const struct reply *reply)
{
	struct item *item = arg;
	size_t len = 0;
	const char *data = err ? NULL : reply_str(reply_at(reply, 1), &len);
	const char *opened = err ? NULL : reply_str(reply_at(reply, 0), NULL);

	if (err) {
		item_done(item->sweep);
		return;
	}
	if (!data || alert_edge_decode_said(data, len, item->id, &item->was))
		alert_edge_of_key(item->id, &item->was); /* of very many members no data is kept */
	item->opened_ms = opened ? strtoll(opened, NULL, 10) : 0;
	if (item->was.endpoint[0] && strcmp(item->was.endpoint, ENDPOINT_ID_FLEET) != 0) {
		ask_endpoint(item, item->was.endpoint);
		return;
	}
	judge(item, NULL, NULL);
	item_done(item->sweep);
}

static void ask_alert(struct item *item)
{
	_mem_free_ char *key = mem_printf("%salert:%s", item->sweep->prefix, item->id);

	redis_commandv(item->sweep->redis, got_alert, item, "HMGET", key, "o", "d", NULL);
}

/* --- a page */

static void start_items(struct sweep *s)
{
	s->edges_n = 0;
	s->left = s->n;
	if (!s->n) {
		page_done(s);
		return;
	}
	for (size_t i = 0; i < s->n; i++)
		if (s->phase != SWEEP_EXPIRY)
			ask_alert(&s->items[i]);
		else
			ask_endpoint(&s->items[i], s->items[i].id);
}

/* The next page begins at this one's last score, past those with it that were seen. */
static void advance_expiry(struct sweep *s, const struct reply *reply)
{
	const char *score;
	int64_t seen = 0;

	if (!s->n)
		return;
	score = reply_str(reply_at(reply, 2 * s->n - 1), NULL);
	for (size_t i = 0; i < s->n; i++)
		seen += !strcmp(reply_str(reply_at(reply, 2 * i + 1), NULL), score);
	s->offset = (strcmp(score, s->from) ? 0 : s->offset) + seen;
	snprintf(s->from, sizeof s->from, "%s", score);
}

static void got_page(void *arg, int err, const struct reply *reply)
{
	struct sweep *s = arg;
	size_t step = s->phase == SWEEP_EXPIRY ? 2 : 1;

	if (err || !s->leading) {
		begin(s, SWEEP_EXPIRY);
		again_in(s, FIRST_MS);
		return;
	}
	s->n = reply_len(reply) / step;
	if (s->n > PAGE)
		s->n = PAGE;
	s->last_page = s->n < PAGE;
	for (size_t i = 0; i < s->n; i++) {
		const char *member = reply_str(reply_at(reply, i * step), NULL);

		s->items[i].sweep = s;
		snprintf(s->items[i].id, sizeof s->items[i].id, "%s", member ? member : "");
	}
	if (s->phase == SWEEP_EXPIRY)
		advance_expiry(s, reply);
	else
		s->offset += (int64_t)s->n;
	start_items(s);
}

static void read_expiry(struct sweep *s)
{
	_mem_free_ char *key = mem_printf("%sexpiry", s->prefix);
	char until[32], offset[24];

	snprintf(until, sizeof until, "%" PRId64, clock_wall_ms() + s->longest_life_ms / 10 * 3);
	snprintf(offset, sizeof offset, "%" PRId64, s->offset);
	redis_commandv(s->redis, got_page, s, "ZRANGEBYSCORE", key, s->from, until, "WITHSCORES",
		"LIMIT", offset, PAGE_TEXT, NULL);
}

static void read_open(struct sweep *s)
{
	_mem_free_ char *key =
		mem_printf("%salerts:%s", s->prefix, s->phase == SWEEP_OPEN ? "open" : "members");
	char first[24], last[24];

	snprintf(first, sizeof first, "%" PRId64, s->offset);
	snprintf(last, sizeof last, "%" PRId64, s->offset + PAGE - 1);
	redis_commandv(s->redis, got_page, s, "ZRANGE", key, first, last, NULL);
}

static void next_page(struct sweep *s)
{
	if (s->busy || !s->leading)
		return;
	if (!redis_is_up(s->redis)) {
		again_in(s, FIRST_MS);
		return;
	}
	s->busy = true;
	if (s->phase == SWEEP_EXPIRY)
		read_expiry(s);
	else
		read_open(s);
}

struct sweep *sweep_new(uv_loop_t *loop, struct redis *redis, struct alerts *alerts)
{
	struct sweep *s = mem_zalloc(sizeof *s);

	s->redis = redis;
	s->alerts = alerts;
	s->prefix = mem_strdup(redis_prefix(redis));
	s->longest_life_ms = LIFE_DEFAULT_MS;
	s->timer.data = s;
	uv_timer_init(loop, &s->timer);
	return s;
}

void sweep_lead(struct sweep *s, bool leading)
{
	s->leading = leading;
	if (!leading || s->busy)
		return;
	begin(s, SWEEP_EXPIRY);
	again_in(s, FIRST_MS);
}

void sweep_longest_life(struct sweep *s, int64_t ms)
{
	if (ms > 0)
		s->longest_life_ms = ms;
}

void sweep_close(struct sweep *s)
{
	if (!s)
		return;
	s->closed = true;
	s->leading = false;
	uv_close((uv_handle_t *)&s->timer, NULL);
}

void sweep_free(struct sweep *s)
{
	if (!s)
		return;
	free(s->prefix);
	free(s);
}

#include "scheduler/index/feed.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE          200
#define PAGE_TEXT     "200"
#define FOLLOW_TEXT   "500"
#define FOLLOW_MAX    500
#define BLOCK_MS      "1000" /* below the deadline of a command */
#define SWEEP_ROWS    20000
#define TICK_MS       200
#define REFILL_MS     CLOCK_HOUR_MS
#define SLOW_PAGE_MS  100 /* a page of a refill that nobody waits for */
#define STREAM_ID_MAX 48
#define NAMES_MAX     (ENDPOINT_NAMES_MAX * NAME_SIZE)

struct feed {
	uv_timer_t tick, pace;
	struct redis *redis, *block;
	struct index *index;
	struct feed_hooks hooks;
	char *endpoints_key, *changes_key;
	char last[STREAM_ID_MAX];        /* of the stream, read */
	char after[ENDPOINT_ID_MAX + 1]; /* the last id of the page before */
	int64_t filled_ms, began_ms;
	size_t reads;          /* HMGETs of a page under way */
	size_t rereads;        /* of changed ids */
	bool located, reading; /* the stream */
	bool stale;            /* something may have been missed: to be filled anew */
	bool filling, page_failed, last_page, hurry, ready, closed;
};

/* One endpoint that is read. */
struct reading {
	struct feed *feed;
	bool change; /* else of a page */
	char id[ENDPOINT_ID_MAX + 1];
};

static void on_pace(uv_timer_t *timer);
static void next_page(struct feed *f);
static void follow(struct feed *f);

/* --- one endpoint */

static char *join_names(const struct endpoint_config *c)
{
	struct buf text = BUF_INIT(NAMES_MAX);

	for (size_t i = 0; i < c->names_n; i++)
		buf_addf(&text, "%s%s", i ? " " : "", c->names[i]);
	buf_cstr(&text);
	return buf_detach(&text, NULL);
}

static bool put(struct feed *f, const struct endpoint *e)
{
	const struct endpoint_config *c = &e->config;
	char reason[ENDPOINT_CODE_MAX + 1];
	_mem_free_ char *names = join_names(c);
	struct index_row row = {.id = c->id,
		.tenant = c->tenant,
		.authority = e->has_cert ? e->cert.authority : c->authority,
		.names = names,
		.type = c->type};

	row.state = endpoint_state_of(e, clock_wall_ms(), reason);
	row.reason = reason;
	if (e->has_cert) {
		row.not_before_ms = e->cert.not_before_ms;
		row.not_after_ms = e->cert.not_after_ms;
		row.renew_at_ms = e->cert.renew_at_ms;
	}
	return index_put(f->index, &row);
}

/* A record that cannot be read stays as it was shown: the audit says so. */
static bool take_record(struct feed *f, const char *id, const struct reply *reply)
{
	struct endpoint_field fields[ENDPOINT_FIELDS_N];
	struct endpoint e = {0};
	bool changed;
	int err;

	for (size_t i = 0; i < ENDPOINT_FIELDS_N; i++)
		fields[i].bytes = reply_str(reply_at(reply, i), &fields[i].len);
	err = endpoint_decode(fields, &e, NULL);
	if (err == CF_ENOTFOUND)
		return index_remove(f->index, id);
	if (err)
		return false;
	changed = put(f, &e);
	endpoint_release(&e);
	return changed;
}

static void page_read(struct feed *f);

static void on_record(void *arg, int err, const struct reply *reply)
{
	struct reading r = *(struct reading *)arg;
	struct feed *f = r.feed;
	bool changed = false;

	free(arg);
	if (err == CF_ECANCELED || f->closed)
		return;
	if (!err)
		changed = take_record(f, r.id, reply);
	else if (err == CF_EREDIS) /* not a hash: nothing that could be shown */
		changed = index_remove(f->index, r.id);
	if ((changed || r.change) && f->ready && f->hooks.changed)
		f->hooks.changed(f->hooks.arg, r.id);
	if (r.change) {
		f->rereads--;
		f->stale = f->stale || (err && err != CF_EREDIS);
		follow(f);
		return;
	}
	f->page_failed = f->page_failed || (err && err != CF_EREDIS);
	if (--f->reads == 0)
		page_read(f);
}

static void read_endpoint(struct feed *f, const char *id, bool change)
{
	struct reading *r = mem_zalloc(sizeof *r);
	_mem_free_ char *key = mem_printf("%se:%s", redis_prefix(f->redis), id);

	r->feed = f;
	r->change = change;
	snprintf(r->id, sizeof r->id, "%s", id);
	if (change)
		f->rereads++;
	else
		f->reads++;
	redis_commandv(f->redis, on_record, r, "HMGET", key, ENDPOINT_FIELDS, NULL);
}

/* --- filling */

static void filled(struct feed *f)
{
	if (!index_sweep(f->index, SWEEP_ROWS)) {
		uv_timer_start(&f->pace, on_pace, 0, 0);
		return;
	}
	f->filling = false;
	f->filled_ms = clock_mono_ms();
	if (f->hurry)
		LOG(INFO, "index_filled", LF_INT("endpoints", index_n(f->index)),
			LF_INT("bytes", index_bytes(f->index)),
			LF_INT("ms", f->filled_ms - f->began_ms));
	f->hurry = false;
	f->ready = true;
}

static void begin_fill(struct feed *f, bool hurry)
{
	f->filling = true;
	f->stale = false;
	f->hurry = hurry;
	f->page_failed = f->last_page = false;
	f->after[0] = 0;
	f->began_ms = clock_mono_ms();
	index_begin_fill(f->index);
	next_page(f);
}

/* The connection broke: all is begun anew once it is back. */
static void break_off(struct feed *f)
{
	f->filling = f->located = false;
	f->stale = true;
}

static void page_read(struct feed *f)
{
	if (f->page_failed)
		break_off(f);
	else if (f->filling)
		uv_timer_start(&f->pace, on_pace, f->hurry ? 0 : SLOW_PAGE_MS, 0);
}

static void got_page(void *arg, int err, const struct reply *ids)
{
	struct feed *f = arg;
	size_t n;

	if (err == CF_ECANCELED || f->closed)
		return;
	if (err) {
		break_off(f);
		return;
	}
	n = reply_len(ids);
	f->last_page = n < PAGE;
	for (size_t i = 0; i < n; i++) {
		const char *id = reply_str(reply_at(ids, i), NULL);

		if (!id || strlen(id) > ENDPOINT_ID_MAX)
			continue;
		snprintf(f->after, sizeof f->after, "%s", id);
		read_endpoint(f, id, false);
	}
	if (!f->reads)
		page_read(f);
}

static void next_page(struct feed *f)
{
	char from[ENDPOINT_ID_MAX + 2];

	if (f->last_page) {
		filled(f);
		return;
	}
	snprintf(from, sizeof from, "%s%s", f->after[0] ? "(" : "-", f->after);
	redis_commandv(f->redis, got_page, f, "ZRANGEBYLEX", f->endpoints_key, from, "+", "LIMIT",
		"0", PAGE_TEXT, NULL);
}

static void on_pace(uv_timer_t *timer)
{
	next_page(timer->data);
}

/* --- following */

/* Ids of entries: "MS-SEQ". */
static int compare_ids(const char *a, const char *b)
{
	char *rest_a, *rest_b;
	unsigned long long x = strtoull(a, &rest_a, 10), y = strtoull(b, &rest_b, 10);

	if (x == y) {
		x = *rest_a == '-' ? strtoull(rest_a + 1, NULL, 10) : 0;
		y = *rest_b == '-' ? strtoull(rest_b + 1, NULL, 10) : 0;
	}
	return x < y ? -1 : x > y;
}

static bool told_before(const struct reply *entries, size_t i, const char *id)
{
	for (size_t k = i + 1; k < reply_len(entries) && k < i + 64; k++) {
		const char *later = reply_str(reply_at(reply_at(reply_at(entries, k), 1), 1), NULL);

		if (later && strcmp(later, id) == 0)
			return true;
	}
	return false;
}

static void take_changes(struct feed *f, const struct reply *entries)
{
	for (size_t i = 0; i < reply_len(entries) && i < FOLLOW_MAX; i++) {
		const struct reply *entry = reply_at(entries, i);
		const char *at = reply_str(reply_at(entry, 0), NULL);
		const char *id = reply_str(reply_at(reply_at(entry, 1), 1), NULL);

		if (at)
			snprintf(f->last, sizeof f->last, "%s", at);
		if (id && *id && strlen(id) <= ENDPOINT_ID_MAX && !told_before(entries, i, id))
			read_endpoint(f, id, true);
	}
}

static void got_changes(void *arg, int err, const struct reply *reply)
{
	struct feed *f = arg;

	f->reading = false;
	if (err == CF_ECANCELED || f->closed)
		return;
	if (err) {
		break_off(f);
		return;
	}
	take_changes(f, reply_at(reply_at(reply, 0), 1));
	follow(f);
}

/* Asked just before each read: is what follows the last entry still there? */
static void got_first(void *arg, int err, const struct reply *reply)
{
	struct feed *f = arg;
	const char *first = err ? NULL : reply_str(reply_at(reply_at(reply, 0), 0), NULL);

	if (!first || f->closed || strcmp(f->last, "0-0") == 0 || compare_ids(f->last, first) >= 0)
		return;
	LOG(WARN, "index_gap", LF("last", f->last), LF("first", first));
	f->stale = true;
}

static void got_end(void *arg, int err, const struct reply *reply)
{
	struct feed *f = arg;
	const char *last = err ? NULL : reply_str(reply_at(reply_at(reply, 0), 0), NULL);

	f->reading = false;
	if (err || f->closed)
		return;
	snprintf(f->last, sizeof f->last, "%s", last ? last : "0-0");
	f->located = true;
	follow(f);
}

/* One read at a time, and none before what the last one brought was read again. */
static void follow(struct feed *f)
{
	if (f->reading || f->rereads || f->closed || !redis_is_up(f->block))
		return;
	f->reading = true;
	if (!f->located) {
		redis_commandv(f->block, got_end, f, "XREVRANGE", f->changes_key, "+", "-", "COUNT",
			"1", NULL);
		return;
	}
	redis_commandv(
		f->block, got_first, f, "XRANGE", f->changes_key, "-", "+", "COUNT", "1", NULL);
	redis_commandv(f->block, got_changes, f, "XREAD", "COUNT", FOLLOW_TEXT, "BLOCK", BLOCK_MS,
		"STREAMS", f->changes_key, f->last, NULL);
}

static void on_tick(uv_timer_t *timer)
{
	struct feed *f = timer->data;
	bool old = f->ready && clock_mono_ms() - f->filled_ms >= REFILL_MS;

	if (!redis_is_up(f->redis) || !redis_is_up(f->block))
		return;
	follow(f);
	if (!f->located)
		return;
	if (!f->filling && !f->reads && (f->stale || old))
		begin_fill(f, f->stale);
}

/* --- life */

struct feed *feed_new(uv_loop_t *loop, struct redis *redis, const struct redis_options *options,
	struct index *index, const struct feed_hooks *hooks)
{
	struct feed *f = mem_zalloc(sizeof *f);

	f->redis = redis;
	f->block = redis_new(loop, options, NULL, NULL);
	f->index = index;
	f->hooks = *hooks;
	f->stale = true;
	f->endpoints_key = mem_printf("%sendpoints", redis_prefix(redis));
	f->changes_key = mem_printf("%schanges", redis_prefix(redis));
	uv_timer_init(loop, &f->tick);
	uv_timer_init(loop, &f->pace);
	f->tick.data = f->pace.data = f;
	uv_timer_start(&f->tick, on_tick, 0, TICK_MS);
	return f;
}

bool feed_ready(const struct feed *f)
{
	return f && f->ready;
}

void feed_close(struct feed *f)
{
	if (!f)
		return;
	f->closed = true;
	uv_close((uv_handle_t *)&f->tick, NULL);
	uv_close((uv_handle_t *)&f->pace, NULL);
	redis_free(f->block);
}

void feed_free(struct feed *f)
{
	if (!f)
		return;
	free(f->endpoints_key);
	free(f->changes_key);
	free(f);
}

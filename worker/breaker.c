#include "worker/breaker.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/names.h"
#include "worker/authorities.h"
#include "worker/breaker_internal.h"
#include "worker/stats.h"
#include "worker/worker.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LOOK_EVERY_MS CLOCK_SECOND_MS
#define LEASE_MS      (5 * CLOCK_MINUTE_MS) /* of a canary's turn: two orders and their ends */
#define ROUTINE_LOOKS 60                    /* so seldom the daily canary is asked for */
#define SOON_MS       (2 * CLOCK_SECOND_MS)

/* --- what a failure says */

/* Of a challenge: what our own edge, responders or zone may have caused for everybody. */
static const char *const challenge_codes[] = {"connection", "dns", "incorrectResponse", "tls",
	"unauthorized", "unknownHost", "not_visible", "publish_failed", "our_outage"};

static bool is_challenge_code(const char *code)
{
	for (size_t i = 0; i < ARRAY_LEN(challenge_codes); i++)
		if (!strcmp(challenge_codes[i], code))
			return true;
	return false;
}

bool breaker_way_of(const struct acme_failure *f, enum breaker_way *out)
{
	if (f->class == ACME_CANCELED || f->class == ACME_WAIT_UNTIL)
		return false;
	if (f->scope == ACME_AUTHORITY && f->class == ACME_BACKOFF) {
		*out = BREAKER_ORDERS;
		return true;
	}
	if (!f->failed_type[0] || !is_challenge_code(f->code))
		return false;
	return !breaker_way_parse(f->failed_type, out);
}

/* --- the rows */

static struct breaker_row *find(
	const struct breaker *b, const char *authority, enum breaker_way way)
{
	for (size_t i = 0; b && i < b->n; i++)
		if (b->rows[i].way == way && !strcmp(b->rows[i].authority, authority))
			return (struct breaker_row *)&b->rows[i];
	return NULL;
}

const struct breaker_row *breaker_shut(
	const struct breaker *b, const char *authority, enum breaker_way way)
{
	const struct breaker_row *row = find(b, authority, way);

	return row && breaker_is_shut(row) ? row : NULL;
}

int64_t breaker_ticket_ms(
	const struct breaker *b, const struct breaker_row *row, int64_t now_ms, double roll)
{
	int64_t turn = row->next_ms - b->skew_ms, least = now_ms + SOON_MS;

	/* One whose turn is under way is not waited for until its lease ends. */
	if (turn > now_ms && row->state == BREAKER_HALF_OPEN)
		turn = least;
	return (turn > least ? turn : least) +
	       (int64_t)(roll * (double)b->w->config->breaker.pause_ms);
}

static void free_if_over(struct breaker *b)
{
	if (b->closed && !b->pending)
		free(b);
}

/* An answer has come: false if the breaker is closed. */
static bool resume(struct breaker *b)
{
	b->pending--;
	if (!b->closing)
		return true;
	free_if_over(b);
	return false;
}

/* Each worker says when it knows. */
static void say_change(const struct breaker_row *row, bool was_shut)
{
	if (breaker_is_shut(row) != was_shut)
		LOG(WARN, was_shut ? "tries_go_on" : "tries_pause", LF("authority", row->authority),
			LF("way", breaker_way_name(row->way)));
}

/* [state, from, next] of a row, so that the change is known here before the next look. */
static bool take_answer(
	struct breaker *b, const char *authority, enum breaker_way way, const struct reply *reply)
{
	int64_t state = reply_int(reply_at(reply, 0));
	struct breaker_row *row = find(b, authority, way);

	if (reply_len(reply) < 3 || state < BREAKER_CLOSED || state > BREAKER_OPEN)
		return false;
	if (!row && b->n < BREAKER_ROWS_MAX) {
		row = &b->rows[b->n++];
		*row = (struct breaker_row){.way = way};
		snprintf(row->authority, sizeof row->authority, "%s", authority);
	}
	if (row) {
		bool was_shut = breaker_is_shut(row);

		row->state = (enum breaker_state)state;
		row->from_ms = reply_int(reply_at(reply, 1));
		row->next_ms = reply_int(reply_at(reply, 2));
		say_change(row, was_shut);
	}
	return state != BREAKER_CLOSED;
}

/* --- notes */

struct note {
	struct breaker *b;
	char authority[ENDPOINT_AUTHORITY_MAX + 1];
	enum breaker_way way;
	breaker_noted_fn *fn;
	void *arg;
};

static void on_noted(void *arg, int err, const struct reply *reply)
{
	struct note *n = arg;
	bool shut = !err && take_answer(n->b, n->authority, n->way, reply);

	resume(n->b);
	if (n->fn)
		n->fn(n->arg, shut);
	free(n);
}

static struct note *note_new(struct breaker *b, const char *authority, enum breaker_way way)
{
	struct note *n = mem_zalloc(sizeof *n);

	n->b = b;
	n->way = way;
	snprintf(n->authority, sizeof n->authority, "%s", authority);
	b->pending++;
	return n;
}

void breaker_failed(struct breaker *b, const char *authority, enum breaker_way way,
	const char *name, const char *endpoint, breaker_noted_fn *fn, void *arg)
{
	const char *bare = strncmp(name, "*.", 2) ? name : name + 2;
	const char *domain = name_registered_domain(bare);
	char limit[24], window[24];
	const char *argv[] = {"note", authority, breaker_way_name(way), "fail", limit, window,
		domain ? domain : bare, bare, endpoint};
	struct note *n = note_new(b, authority, way);

	n->fn = fn;
	n->arg = arg;
	snprintf(limit, sizeof limit, "%u", b->w->config->breaker.failures);
	snprintf(window, sizeof window, "%" PRId64, b->w->config->breaker.window_ms);
	redis_script(b->w->redis, "breaker", ARRAY_LEN(argv), argv, NULL, on_noted, n);
}

void breaker_passed(struct breaker *b, const char *authority, enum breaker_way way)
{
	const char *argv[] = {"note", authority, breaker_way_name(way), "ok"};
	struct breaker_row *row = find(b, authority, way);

	if (!row || (!row->failures && row->state == BREAKER_CLOSED))
		return; /* nothing is counted that it would end */
	row->failures = 0;
	redis_script(b->w->redis, "breaker", ARRAY_LEN(argv), argv, NULL, on_noted,
		note_new(b, authority, way));
}

/* --- the canary's turn */

static void on_ended(void *arg, int err, const struct reply *reply)
{
	struct note *n = arg;
	if (!err)
		take_answer(n->b, n->authority, n->way, reply);
	resume(n->b);
	free(n);
}

static void end_turn(struct breaker *b, const char *authority, enum breaker_way way,
	const char *how, const char *why)
{
	const struct config *c = b->w->config;
	char pause[24], longest[24], text[400];
	const char *argv[] = {
		"end", authority, breaker_way_name(way), b->w->name, how, pause, longest, text};

	snprintf(pause, sizeof pause, "%" PRId64, c->breaker.pause_ms);
	snprintf(longest, sizeof longest, "%" PRId64, c->breaker.longest_ms);
	snprintf(text, sizeof text, "%.*s", (int)sizeof text - 1, why);
	b->trying = false;
	redis_script(b->w->redis, "breaker", ARRAY_LEN(argv), argv, NULL, on_ended,
		note_new(b, authority, way));
}

void canary_over(struct breaker *b, const struct canary *c)
{
	b->canary = NULL;
	metric_inc(&stats_canaries,
		LABELS(c->authority, breaker_way_name(c->way), c->valid ? "passed" : "failed"));
	LOG(INFO, c->valid ? "canary_passed" : "canary_failed", LF("authority", c->authority),
		LF("way", breaker_way_name(c->way)), LF("why", c->why));
	end_turn(b, c->authority, c->way, c->valid ? "ok" : "fail", c->valid ? "" : c->why);
}

static void on_turn(void *arg, int err, const struct reply *reply)
{
	struct note *n = arg;
	struct breaker *b = n->b;

	if (resume(b)) {
		bool ours = !err && reply_int(reply) == 1;

		b->trying = ours && !b->draining;
		if (b->trying)
			canary_start(b, n->authority, n->way);
		else if (ours)
			end_turn(b, n->authority, n->way, "left", "");
	}
	free(n);
}

static void ask_turn(struct breaker *b, const char *authority, enum breaker_way way)
{
	char lease[24];
	const char *argv[] = {"try", authority, breaker_way_name(way), b->w->name, lease};

	snprintf(lease, sizeof lease, "%" PRId64, LEASE_MS);
	b->trying = true;
	redis_script(b->w->redis, "breaker", ARRAY_LEN(argv), argv, NULL, on_turn,
		note_new(b, authority, way));
}

/* The next turn of a way that is shut; else, now and then, of one that is open: the canary of each
 * day, and the first. */
static bool wants_turn(const struct breaker *b, const char *authority, enum breaker_way way)
{
	const struct breaker_row *row = find(b, authority, way);

	if (row && breaker_is_shut(row))
		return row->next_ms - b->skew_ms <= clock_wall_ms();
	return way != BREAKER_ORDERS && b->looks % ROUTINE_LOOKS == 0 &&
	       b->w->config->breaker.challenges & 1u << way;
}

/* One at a time, each way in its turn. */
static void seek_turn(struct breaker *b)
{
	struct authorities *all = b->w->authorities;
	unsigned at = 0;

	if (b->trying || b->draining)
		return;
	for (const char *a = authorities_name(all, ""); a; a = authorities_after(all, a))
		for (enum breaker_way way = 0; way < BREAKER_WAYS; way++, at++)
			if (at >= b->way_next && wants_turn(b, a, way)) {
				b->way_next = at + 1;
				ask_turn(b, a, way);
				return;
			}
	b->way_next = 0;
	b->looks++;
}

static void on_looked(void *arg, int err, const struct reply *reply)
{
	_mem_free_ struct breaker_row *rows = mem_array(BREAKER_ROWS_MAX, sizeof *rows);
	struct breaker *b = arg;
	int64_t now_ms = 0;
	size_t n;

	b->looking = false;
	if (!resume(b) || err)
		return;
	n = breaker_read(reply, rows, BREAKER_ROWS_MAX, &now_ms);
	for (size_t i = 0; i < n; i++)
		say_change(&rows[i], breaker_shut(b, rows[i].authority, rows[i].way) != NULL);
	memcpy(b->rows, rows, n * sizeof *rows);
	b->n = n;
	b->skew_ms = now_ms - clock_wall_ms();
	seek_turn(b);
}

static void on_timer(uv_timer_t *timer)
{
	static const char *const argv[] = {"look"};
	struct breaker *b = timer->data;

	if (b->looking || !redis_is_up(b->w->redis))
		return;
	b->looking = true;
	b->pending++;
	redis_script(b->w->redis, "breaker", 1, argv, NULL, on_looked, b);
}

/* --- life */

struct breaker *breaker_new(struct worker *w)
{
	struct breaker *b;

	if (!w->config->breaker.canary)
		return NULL;
	b = mem_zalloc(sizeof *b);
	b->w = w;
	b->timer.data = b;
	uv_timer_init(&w->loop, &b->timer);
	uv_timer_start(&b->timer, on_timer, LOOK_EVERY_MS, LOOK_EVERY_MS);
	uv_unref((uv_handle_t *)&b->timer);
	return b;
}

void breaker_drain(struct breaker *b)
{
	struct canary *c = b ? b->canary : NULL;

	if (b)
		b->draining = true;
	if (!c)
		return;
	end_turn(b, c->authority, c->way, "left", "");
	canary_cancel(c);
}

static void on_closed(uv_handle_t *h)
{
	struct breaker *b = h->data;

	b->closed = true;
	free_if_over(b);
}

void breaker_free(struct breaker *b)
{
	if (!b)
		return;
	canary_cancel(b->canary);
	b->closing = true;
	uv_close((uv_handle_t *)&b->timer, on_closed);
}

#include "scheduler/api/events.h"

#include "common/clock.h"
#include "common/mem.h"
#include "scheduler/api/v1_internal.h"
#include "scheduler/cli/stream.h"

#include <stdio.h>
#include <string.h>

#define LISTENERS_MAX  256
#define WAITING_MAX    (256u << 10) /* bytes that one listener may be behind */
#define PAGE           "100"
#define FOLLOW         "200"
#define BLOCK_MS       "1000"
#define TICK_MS        500
#define COMFORT_MS     15000 /* a comment, so that what is dead is noticed on both sides */
#define EVENT_TEXT_MAX 65536
#define PLACE_SIZE     64

enum { RESULTS, ALERTS, STREAMS };

static const char *const names[STREAMS] = {"results", "alerts"};

struct place {
	char at[STREAMS][PLACE_SIZE]; /* the last entry of each that was told */
};

struct listener {
	struct listener *next, **at;
	struct events *events;
	struct httpd_stream *out; /* NULL: gone; freed when its reads have come back */
	struct access_identity who;
	struct place place;
	struct place goal; /* as far as the reader had come when the page was asked for */
	bool live;
	unsigned reads; /* of Redis, under way */
	bool more;      /* they brought something */
};

struct events {
	uv_timer_t tick;
	struct redis *redis, *block;
	const struct index *index;
	char *keys[STREAMS];
	struct place place;
	struct listener *listeners;
	size_t n;
	int64_t comforted_ms;
	bool located, reading, closed;
};

static void catch_up(struct listener *l);

/* --- listeners */

static void listener_free(struct listener *l)
{
	*l->at = l->next;
	if (l->next)
		l->next->at = l->at;
	l->events->n--;
	free(l);
}

static void drop(struct listener *l)
{
	httpd_stream_end(mem_steal(l->out));
	if (!l->reads)
		listener_free(l);
}

static void on_closed(void *arg)
{
	drop(arg);
}

/* Who cannot keep up is let go: it comes back with its last id. */
static bool say(struct listener *l, const char *text, size_t n)
{
	if (l->out && httpd_stream_write(l->out, text, n) == 0)
		return true;
	if (l->out)
		drop(l);
	return false;
}

/* --- who may hear what: events of an endpoint are its tenant's, others the fleet's */

static bool may_hear(const struct listener *l, const char *endpoint, const char *tenant)
{
	struct index_row row;

	if (!l->who.tenant[0] && !l->who.endpoint[0])
		return true;
	if (!*tenant && *endpoint && index_get(l->events->index, endpoint, &row))
		tenant = row.tenant;
	return *tenant && access_allows(&l->who, false, tenant, endpoint);
}

/* Most events of an endpoint name its tenant, also when it is gone. */
static void tenant_of(const struct stream_entry *e, char out[ENDPOINT_TENANT_MAX + 1])
{
	struct mp_doc doc;
	struct mp root;

	out[0] = 0;
	if (e->len && !mp_open(&doc, e->data, e->len, &root, NULL))
		mp_opt_text(&root, "tenant", out, ENDPOINT_TENANT_MAX + 1);
}

/* --- one event */

static void event_text(const struct place *place, const struct stream_entry *e, struct buf *out)
{
	json_t *j = stream_entry_json(e);
	char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;

	buf_addf(out, "id: %s,%s\nevent: %s\ndata: %s\n\n", place->at[RESULTS], place->at[ALERTS],
		e->type, text ? text : "null");
	free(text);
	json_decref(j);
}

static void tell(struct listener *l, int stream, const struct stream_entry *e)
{
	_buf_release_ struct buf text = BUF_INIT(EVENT_TEXT_MAX);
	char tenant[ENDPOINT_TENANT_MAX + 1];

	if (!stream_id_before(l->place.at[stream], e->stream_id))
		return; /* it had this one */
	snprintf(l->place.at[stream], PLACE_SIZE, "%s", e->stream_id);
	tenant_of(e, tenant);
	if (!may_hear(l, e->subject, tenant))
		return;
	event_text(&l->place, e, &text);
	if (!buf_err(&text))
		say(l, text.data, text.len);
}

static void tell_all(struct events *x, int stream, const struct reply *entries)
{
	for (size_t i = 0; i < reply_len(entries); i++) {
		struct listener *next;
		struct stream_entry e;

		stream_entry_of(reply_at(entries, i), &e);
		snprintf(x->place.at[stream], PLACE_SIZE, "%s", e.stream_id);
		for (struct listener *l = x->listeners; l; l = next) {
			next = l->next;
			if (l->live && l->out)
				tell(l, stream, &e);
		}
	}
}

/* --- following */

static int stream_of(const struct events *x, const char *key)
{
	return key && strcmp(key, x->keys[ALERTS]) == 0 ? ALERTS : RESULTS;
}

static void follow(struct events *x);

static void got_entries(void *arg, int err, const struct reply *reply)
{
	struct events *x = arg;

	x->reading = false;
	if (err == CF_ECANCELED || x->closed)
		return;
	if (err) {
		x->located = false;
		return;
	}
	for (size_t i = 0; i < reply_len(reply); i++) {
		const struct reply *of = reply_at(reply, i);

		tell_all(x, stream_of(x, reply_str(reply_at(of, 0), NULL)), reply_at(of, 1));
	}
	follow(x);
}

/* After a failover the streams may end before what was told: then they go on from there. */
static void step_back(struct events *x, int stream, const char *end)
{
	struct place *p = &x->place;

	if (!p->at[stream][0] || stream_id_before(end, p->at[stream]))
		snprintf(p->at[stream], PLACE_SIZE, "%s", end);
	for (struct listener *l = x->listeners; l; l = l->next)
		if (stream_id_before(end, l->place.at[stream]))
			snprintf(l->place.at[stream], PLACE_SIZE, "%s", end);
}

static void got_end(struct events *x, int stream, int err, const struct reply *reply)
{
	const char *end = err ? NULL : reply_str(reply_at(reply_at(reply, 0), 0), NULL);

	if (!err)
		step_back(x, stream, end ? end : "0-0");
}

static void got_results_end(void *arg, int err, const struct reply *reply)
{
	got_end(arg, RESULTS, err, reply);
}

static void got_alerts_end(void *arg, int err, const struct reply *reply)
{
	struct events *x = arg;

	got_end(x, ALERTS, err, reply);
	x->reading = false;
	x->located = !err;
	if (!err && !x->closed)
		follow(x);
}

static void locate(struct events *x)
{
	x->reading = true;
	redis_commandv(x->block, got_results_end, x, "XREVRANGE", x->keys[RESULTS], "+", "-",
		"COUNT", "1", NULL);
	redis_commandv(x->block, got_alerts_end, x, "XREVRANGE", x->keys[ALERTS], "+", "-", "COUNT",
		"1", NULL);
}

static void follow(struct events *x)
{
	if (x->reading || x->closed || !redis_is_up(x->block))
		return;
	if (!x->located) {
		locate(x);
		return;
	}
	x->reading = true;
	redis_commandv(x->block, got_entries, x, "XREAD", "COUNT", FOLLOW, "BLOCK", BLOCK_MS,
		"STREAMS", x->keys[RESULTS], x->keys[ALERTS], x->place.at[RESULTS],
		x->place.at[ALERTS], NULL);
}

/* --- catching up: pages of both streams for one listener, until nothing comes */

/* What the reader told while the last page was on its way must not be missed. */
static void caught(struct listener *l)
{
	const struct place *now = &l->events->place;
	bool behind = l->more;

	if (!l->out) {
		listener_free(l);
		return;
	}
	for (int i = 0; i < STREAMS && !l->more; i++) {
		if (stream_id_before(l->place.at[i], l->goal.at[i]))
			memcpy(l->place.at[i], l->goal.at[i], PLACE_SIZE);
		behind = behind || stream_id_before(l->place.at[i], now->at[i]);
	}
	if (behind)
		catch_up(l);
	else
		l->live = true;
}

static void got_page(struct listener *l, int stream, int err, const struct reply *entries)
{
	size_t n = err ? 0 : reply_len(entries);

	l->reads--;
	if (err && l->out)
		httpd_stream_end(mem_steal(l->out)); /* it comes back when Redis does */
	for (size_t i = 0; i < n && l->out; i++) {
		struct stream_entry e;

		l->reads++; /* telling may let it go */
		stream_entry_of(reply_at(entries, i), &e);
		tell(l, stream, &e);
		l->reads--;
	}
	l->more = l->more || n > 0;
	if (!l->reads)
		caught(l);
}

static void got_results_page(void *arg, int err, const struct reply *entries)
{
	got_page(arg, RESULTS, err, entries);
}

static void got_alerts_page(void *arg, int err, const struct reply *entries)
{
	got_page(arg, ALERTS, err, entries);
}

static void read_page(struct listener *l, int stream, redis_reply_fn *done)
{
	char from[PLACE_SIZE + 1];

	snprintf(from, sizeof from, "(%s", l->place.at[stream]);
	redis_commandv(l->events->redis, done, l, "XRANGE", l->events->keys[stream], from, "+",
		"COUNT", PAGE, NULL);
}

static void catch_up(struct listener *l)
{
	l->more = false;
	l->goal = l->events->place;
	l->reads += 2;
	read_page(l, RESULTS, got_results_page);
	read_page(l, ALERTS, got_alerts_page);
}

/* What was there when it left may have been trimmed since. */
static void got_first(void *arg, int err, const struct reply *reply)
{
	static const char gap[] = "event: gap\ndata: {\"detail\":\"entries between your last event "
				  "and the next were trimmed: read again what you show\"}\n\n";
	struct listener *l = arg;
	const char *first = err ? NULL : reply_str(reply_at(reply_at(reply, 0), 0), NULL);

	if (first && l->out && strcmp(l->place.at[RESULTS], "0-0") != 0 &&
		stream_id_before(l->place.at[RESULTS], first))
		say(l, gap, sizeof gap - 1);
	l->reads--;
	if (l->out)
		catch_up(l);
	else if (!l->reads)
		listener_free(l);
}

/* --- beginning */

static bool is_stream_id(const char *s, size_t n)
{
	return n && n < PLACE_SIZE - 1 && strspn(s, "0123456789-") >= n;
}

/* "RESULTS,ALERTS". */
static bool read_place(const char *text, struct place *out)
{
	size_t n = strcspn(text, ","), rest = text[n] ? strlen(text + n + 1) : 0;

	if (!is_stream_id(text, n) || !is_stream_id(text + n + 1, rest))
		return false;
	snprintf(out->at[RESULTS], PLACE_SIZE, "%.*s", (int)n, text);
	snprintf(out->at[ALERTS], PLACE_SIZE, "%s", text + n + 1);
	return true;
}

/* "" is no place. false: the call is ended. */
static bool find_place(struct v1_call *c, const char *name, const char *text, struct place *out)
{
	if (!text || !*text || read_place(text, out))
		return true;
	v1_problemf(c, 400, "invalid", "%s: expected the id of an earlier event, got \"%.64s\"",
		name, text);
	return false;
}

static struct listener *begin(struct events *x, struct v1_call *c)
{
	static const char *const headers[] = {"Cache-Control", "no-store", "X-Accel-Buffering",
		"no", "X-Content-Type-Options", "nosniff", NULL};
	struct listener *l = mem_zalloc(sizeof *l);

	l->events = x;
	l->who = c->who;
	l->place = x->place;
	l->next = x->listeners;
	l->at = &x->listeners;
	if (l->next)
		l->next->at = &l->next;
	x->listeners = l;
	x->n++;
	l->out = httpd_answer_stream(c->http,
		&(struct httpd_answer){
			.status = 200, .content_type = "text/event-stream", .headers = headers},
		WAITING_MAX, on_closed, l);
	v1_done(c);
	if (l->out)
		return l;
	listener_free(l);
	return NULL;
}

void events_listen(struct events *x, struct v1_call *c)
{
	struct place place = {0};
	struct listener *l;

	if (!x->located) {
		v1_problem(c, 503, "redis_away", "the streams cannot be read now");
		return;
	}
	if (x->n >= LISTENERS_MAX) {
		v1_problemf(
			c, 503, "too_many", "%d listen already: try again later", LISTENERS_MAX);
		return;
	}
	if (!find_place(c, "after", httpd_query(c->http, "after"), &place) ||
		!find_place(c, "Last-Event-ID", httpd_header(c->http, "Last-Event-ID"), &place))
		return;
	l = begin(x, c);
	if (!l || !say(l, ": welcome\n\n", 11))
		return;
	if (!place.at[RESULTS][0]) {
		l->live = true;
		return;
	}
	l->place = place;
	l->reads = 1;
	redis_commandv(
		x->redis, got_first, l, "XRANGE", x->keys[RESULTS], "-", "+", "COUNT", "1", NULL);
}

static void say_all(struct events *x, const char *endpoint, const char *text, size_t n)
{
	struct listener *next;

	for (struct listener *l = x->listeners; l; l = next) {
		next = l->next;
		if (l->out && (!endpoint || may_hear(l, endpoint, "")))
			say(l, text, n);
	}
}

void events_changed(struct events *x, const char *endpoint)
{
	char text[64 + ENDPOINT_ID_MAX];
	int n = snprintf(text, sizeof text, "event: changed\ndata: {\"endpoint\":\"%s\"}\n\n",
		endpoint); /* an id needs no escaping */

	say_all(x, endpoint, text, (size_t)n);
}

/* --- life */

static void on_tick(uv_timer_t *tick)
{
	struct events *x = tick->data;
	int64_t now = clock_mono_ms();

	follow(x);
	if (now - x->comforted_ms < COMFORT_MS)
		return;
	x->comforted_ms = now;
	say_all(x, NULL, ": still here\n\n", 14);
}

struct events *events_new(uv_loop_t *loop, struct redis *redis, const struct redis_options *options,
	const struct index *index)
{
	struct events *x = mem_zalloc(sizeof *x);

	x->redis = redis;
	x->block = redis_new(loop, options, NULL, NULL);
	x->index = index;
	for (int i = 0; i < STREAMS; i++)
		x->keys[i] = mem_printf("%s%s", redis_prefix(redis), names[i]);
	uv_timer_init(loop, &x->tick);
	x->tick.data = x;
	uv_timer_start(&x->tick, on_tick, 0, TICK_MS);
	return x;
}

void events_hang_up(struct events *x)
{
	struct listener *next;

	for (struct listener *l = x->listeners; l; l = next) {
		next = l->next;
		drop(l);
	}
}

void events_close(struct events *x)
{
	if (!x)
		return;
	x->closed = true;
	events_hang_up(x);
	uv_close((uv_handle_t *)&x->tick, NULL);
	redis_free(x->block);
}

void events_free(struct events *x)
{
	if (!x)
		return;
	for (int i = 0; i < STREAMS; i++)
		free(x->keys[i]);
	free(x);
}

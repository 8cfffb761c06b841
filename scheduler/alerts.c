#include "scheduler/alerts.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "scheduler/stats.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BATCH        64
#define BATCH_TEXT   "64"
#define TICK_MS      200
#define IDLE_MS      600 /* between looks at an empty stream */
#define PAUSE_MS     1000
#define LAPSE_MS     5000 /* between looks at silences that may be over */
#define REREAD_MS(a) (10 * (a)->policy.settle_ms)
#define ITEM_MAX     32768
#define IDS_MAX      256 /* entries that one call answers for */

/* What the next read is of: first what an earlier leader left, then the snapshot, then what is new.
 *
 *	group ──► pending ──(no more)──► snapshot ──► new
 *	  ▲                                            │
 *	  └── an error, another Redis, another leader ─┘
 *
 * After ten times the settling it begins with pending again: one that led before, and did not
 * know better yet, may have read what nobody would tell.
 *
 * In pending and new, a round reads what has come (entries stay pending until they are told), asks
 * Redis about the causes of what is held, decides (group.h), and tells what is due, 64 at a time.
 */
enum alerts_phase { ALERTS_GROUP, ALERTS_PENDING, ALERTS_SNAPSHOT, ALERTS_NEW };

struct alerts {
	uv_timer_t tick;
	struct redis *redis;
	struct group_policy policy;
	char *key;
	bool leading, busy;
	enum alerts_phase phase;
	uint64_t term;
	int64_t not_before_ms, lapse_ms, reread_ms;
	char cursor[48]; /* ALERTS_PENDING: the last entry read */
	bool read_all;   /* the last read had room for more */
	/* What waits to be told, in the order that it came. */
	struct group_held *held;
	size_t n, cap;
	struct group_cause causes[BATCH];
	size_t causes_n;
	bool telling[GROUP_HELD_MAX]; /* of held: in the call under way */
	/* The snapshot. */
	bool want_snapshot;
	int64_t page, as_of_ms;
	unsigned snapshots; /* begun by this process: names the next, in whatever term */
};

static void read_edges(struct alerts *a);
static void tell_due(struct alerts *a);

static void hold_off(struct alerts *a, int64_t ms)
{
	a->busy = false;
	a->not_before_ms = clock_mono_ms() + ms;
}

/* Whatever is held is pending in the stream still, or will be seen again by a sweep. */
static void start_over(struct alerts *a, int64_t pause_ms)
{
	a->n = 0;
	a->phase = ALERTS_GROUP;
	snprintf(a->cursor, sizeof a->cursor, "0-0");
	hold_off(a, pause_ms);
}

/* --- telling the script */

static void count(const struct reply *reply)
{
	static const char *const changes[] = {"opened", "escalated", "resolved"};

	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		int64_t n = reply_int(reply_at(reply, i));

		metric_add(&stat_alerts, (double)n, LABELS(changes[i]));
		if (n)
			LOG(INFO, "alerts_said", LF("change", changes[i]), LF_INT("n", n));
	}
}

static void told(void *arg, int err, const struct reply *reply)
{
	(void)arg;
	if (!err)
		count(reply);
	else if (err != CF_ECANCELED)
		LOG(WARN, "alerts_not_said",
			LF("why", reply ? reply_str(reply, NULL) : cf_strerror(err)));
}

/* A call of the script while it is put together. */
struct telling {
	struct buf ids, items[BATCH];
	size_t n, entries;
};

static void telling_add(
	struct telling *t, const struct alert_edge *e, bool form, const struct group_policy *policy)
{
	_buf_release_ struct buf packed = BUF_INIT(4096);

	t->items[t->n] = BUF_INIT(ITEM_MAX);
	if (form)
		incident_encode(e, policy, &packed);
	if (!alert_edge_encode(e, form ? &packed : NULL, &t->items[t->n]))
		t->n++;
	else
		buf_release(&t->items[t->n]);
}

static void telling_send(struct telling *t, struct redis *redis, redis_reply_fn *done, void *arg)
{
	const char *argv[1 + BATCH] = {buf_cstr(&t->ids)};
	size_t lens[1 + BATCH] = {t->ids.len};

	for (size_t i = 0; i < t->n; i++) {
		argv[1 + i] = t->items[i].data;
		lens[1 + i] = t->items[i].len;
	}
	redis_script(redis, "alert", 1 + t->n, argv, lens, done, arg);
	for (size_t i = 0; i < t->n; i++)
		buf_release(&t->items[i]);
	buf_release(&t->ids);
}

static struct group_held *held_add(struct alerts *a)
{
	if (a->n == a->cap) {
		a->cap = a->cap ? 2 * a->cap : BATCH;
		if (a->cap > GROUP_HELD_MAX)
			a->cap = GROUP_HELD_MAX;
		a->held = mem_grow(a->held, a->cap, sizeof *a->held);
	}
	a->held[a->n] = (struct group_held){.at_ms = 0};
	return &a->held[a->n++];
}

/* What has a cause goes with the edges that may have it too; not what was looked at again, which
 * would speak for an end that waits there. */
void alerts_tell(struct alerts *a, const struct alert_edge *edges, size_t n)
{
	struct telling t = {.ids = BUF_INIT(1)};

	if (!redis_is_up(a->redis))
		return;
	for (size_t i = 0; i < n && t.n < BATCH; i++)
		if (edges[i].cause[0] && edges[i].open && !edges[i].again && a->leading &&
			a->n < GROUP_HELD_MAX - BATCH)
			held_add(a)->edge = edges[i];
		else
			telling_add(&t, &edges[i], false, &a->policy);
	if (t.n)
		telling_send(&t, a->redis, told, NULL);
}

/* --- what is due */

static void round_over(struct alerts *a)
{
	bool more = !a->read_all;

	if (a->phase == ALERTS_PENDING && a->read_all)
		a->phase = ALERTS_SNAPSHOT;
	hold_off(a, more || a->phase == ALERTS_SNAPSHOT ? 0 : IDLE_MS);
	if (more)
		read_edges(a);
}

static void drop_told(struct alerts *a)
{
	size_t kept = 0;

	for (size_t i = 0; i < a->n; i++)
		if (!a->telling[i])
			a->held[kept++] = a->held[i];
	a->n = kept;
}

static void batch_told(void *arg, int err, const struct reply *reply)
{
	struct alerts *a = arg;

	told(a, err, reply);
	if (err || !a->leading || a->phase == ALERTS_GROUP) {
		start_over(a, PAUSE_MS); /* the edges are pending still */
		return;
	}
	drop_told(a);
	tell_due(a);
}

static bool is_due(const struct group_held *h)
{
	return h->verdict == GROUP_TELL || h->verdict == GROUP_FORM;
}

/* The edge that decides, and the earlier ones of its key, which are answered for as well. */
static void tell_key(struct alerts *a, struct telling *t, size_t at)
{
	for (size_t i = 0; i <= at; i++) {
		if (strcmp(a->held[i].edge.key, a->held[at].edge.key) != 0)
			continue;
		a->telling[i] = true;
		t->entries++;
		if (a->held[i].entry[0])
			buf_addf(&t->ids, "%s ", a->held[i].entry);
	}
	telling_add(t, &a->held[at].edge, a->held[at].verdict == GROUP_FORM, &a->policy);
}

static void tell_due(struct alerts *a)
{
	struct telling t = {.ids = BUF_INIT((size_t)GROUP_HELD_MAX * 48)};

	memset(a->telling, 0, sizeof a->telling);
	for (size_t i = 0; i < a->n && t.n < BATCH && t.entries < IDS_MAX; i++)
		if (is_due(&a->held[i]))
			tell_key(a, &t, i);
	if (t.n)
		telling_send(&t, a->redis, batch_told, a);
	else
		round_over(a);
}

/* --- causes */

static void got_causes(void *arg, int err, const struct reply *reply)
{
	struct alerts *a = arg;
	int64_t now_ms;

	if (err || !a->leading || a->phase == ALERTS_GROUP) {
		if (err)
			told(a, err, reply);
		start_over(a, PAUSE_MS);
		return;
	}
	now_ms = reply_int(reply_at(reply, 0));
	for (size_t i = 0; i < a->causes_n; i++) {
		const struct reply *row = reply_at(reply, 1 + i);

		a->causes[i].open = reply_int(reply_at(row, 0)) == 1;
		a->causes[i].recent = reply_int(reply_at(row, 1));
	}
	for (size_t i = 0; i < a->n; i++)
		if (!a->held[i].at_ms) /* a sweep sees it now */
			a->held[i].at_ms = now_ms;
	group_decide(a->held, a->n, a->causes, a->causes_n, &a->policy, now_ms,
		a->n + BATCH > GROUP_HELD_MAX);
	tell_due(a);
}

static void note_cause(struct alerts *a, const char *cause)
{
	for (size_t i = 0; i < a->causes_n; i++)
		if (!strcmp(a->causes[i].cause, cause))
			return;
	if (a->causes_n < BATCH)
		snprintf(a->causes[a->causes_n++].cause, ALERT_CAUSE_SIZE, "%s", cause);
}

/* Past 64 different causes the others are as good as unknown: the script looks once more itself. */
static void ask_causes(struct alerts *a)
{
	const char *argv[1 + BATCH];
	char window[24];

	a->causes_n = 0;
	for (size_t i = 0; i < a->n; i++)
		if (a->held[i].edge.open && a->held[i].edge.cause[0])
			note_cause(a, a->held[i].edge.cause);
	snprintf(window, sizeof window, "%" PRId64, a->policy.window_ms);
	argv[0] = window;
	for (size_t i = 0; i < a->causes_n; i++)
		argv[1 + i] = a->causes[i].cause;
	redis_script(a->redis, "alert_causes", 1 + a->causes_n, argv, NULL, got_causes, a);
}

/* --- edges */

static const struct reply *entry_field(const struct reply *list, const char *name)
{
	size_t n = reply_len(list);

	for (size_t i = 0; i + 1 < n; i += 2) {
		const char *key = reply_str(reply_at(list, i), NULL);

		if (key && !strcmp(key, name))
			return reply_at(list, i + 1);
	}
	return reply_at(list, n);
}

/* It would never become readable. */
static void drop_entry(struct alerts *a, const char *id)
{
	redis_commandv(a->redis, NULL, NULL, "XACK", a->key, "alerts", id, NULL);
	redis_commandv(a->redis, NULL, NULL, "XDEL", a->key, id, NULL);
}

static void add_entry(struct alerts *a, const struct reply *entry)
{
	const struct reply *list = reply_at(entry, 1);
	const char *id = reply_str(reply_at(entry, 0), NULL), *subject, *data;
	struct group_held *h;
	struct why why = {""};
	size_t len = 0;

	if (!id)
		return;
	snprintf(a->cursor, sizeof a->cursor, "%s", id);
	h = held_add(a);
	subject = reply_str(entry_field(list, "subject"), NULL);
	data = reply_str(entry_field(list, "data"), &len);
	if (!alert_edge_decode(data ? data : "", len, subject ? subject : "", &h->edge, &why)) {
		snprintf(h->entry, sizeof h->entry, "%s", id);
		h->at_ms = strtoll(id, NULL, 10);
		return;
	}
	a->n--;
	LOG(WARN, "edge_unreadable", LF("entry", id), LF("why", why.text));
	drop_entry(a, id);
}

static void got_edges(void *arg, int err, const struct reply *reply)
{
	struct alerts *a = arg;
	const struct reply *entries;
	size_t n;

	if (err || !a->leading || a->phase == ALERTS_GROUP) {
		start_over(a, PAUSE_MS);
		return;
	}
	entries = reply_at(reply_at(reply, 0), 1);
	n = reply_len(entries);
	for (size_t i = 0; i < n; i++)
		add_entry(a, reply_at(entries, i));
	a->read_all = n < BATCH;
	if (!a->read_all && a->n + BATCH <= GROUP_HELD_MAX)
		read_edges(a);
	else if (a->n)
		ask_causes(a);
	else
		round_over(a);
}

/* The cursor passes over what is held: it was read already. */
static void read_edges(struct alerts *a)
{
	a->busy = true;
	if (a->n + BATCH > GROUP_HELD_MAX) { /* no room: what is held goes first */
		a->read_all = false;
		ask_causes(a);
		return;
	}
	redis_commandv(a->redis, got_edges, a, "XREADGROUP", "GROUP", "alerts", "leader", "COUNT",
		BATCH_TEXT, "STREAMS", a->key, a->phase == ALERTS_PENDING ? a->cursor : ">", NULL);
}

/* What a sweep saw is in no stream, and stays. */
static void reread(struct alerts *a)
{
	size_t kept = 0;

	for (size_t i = 0; i < a->n; i++)
		if (!a->held[i].entry[0])
			a->held[kept++] = a->held[i];
	a->n = kept;
	a->phase = ALERTS_PENDING;
	a->reread_ms = clock_mono_ms() + REREAD_MS(a);
	snprintf(a->cursor, sizeof a->cursor, "0-0");
}

static void got_group(void *arg, int err, const struct reply *reply)
{
	struct alerts *a = arg;
	const char *text = reply ? reply_str(reply, NULL) : NULL;

	if (err && !(text && !strncmp(text, "BUSYGROUP", 9))) {
		hold_off(a, PAUSE_MS);
		return;
	}
	reread(a);
	hold_off(a, 0);
}

/* --- the snapshot */

static void begin_snapshot(struct alerts *a)
{
	a->snapshots++;
	a->page = 0;
	a->as_of_ms = 0;
}

static void got_page(void *arg, int err, const struct reply *reply)
{
	struct alerts *a = arg;

	a->busy = false;
	if (a->phase != ALERTS_SNAPSHOT) { /* begun anew meanwhile */
		start_over(a, 0);
		return;
	}
	if (err) { /* the page may have been said: what is begun again has another name */
		hold_off(a, PAUSE_MS);
		begin_snapshot(a);
		return;
	}
	a->page++;
	a->as_of_ms = reply_int(reply_at(reply, 2));
	if (reply_int(reply_at(reply, 1))) {
		a->want_snapshot = false;
		a->phase = ALERTS_NEW;
	}
}

static void say_page(struct alerts *a)
{
	char name[64], first[24], as_of[24];
	const char *argv[] = {name, first, as_of};

	snprintf(name, sizeof name, "%" PRIu64 ".%u", a->term, a->snapshots);
	snprintf(first, sizeof first, "%" PRId64, a->page * BATCH);
	snprintf(as_of, sizeof as_of, "%" PRId64, a->as_of_ms);
	a->busy = true;
	redis_script(a->redis, "alert_snapshot", ARRAY_LEN(argv), argv, NULL, got_page, a);
}

/* --- silences */

static void lapsed(void *arg, int err, const struct reply *reply)
{
	struct alerts *a = arg;

	if (!err && reply_int(reply))
		a->lapse_ms = clock_mono_ms(); /* there is more to say */
}

static void lapse_silences(struct alerts *a)
{
	static const char *const argv[] = {"lapse"};

	a->lapse_ms = clock_mono_ms() + LAPSE_MS;
	redis_script(a->redis, "alert_silence", 1, argv, NULL, lapsed, a);
}

static void make_group(struct alerts *a)
{
	a->busy = true;
	redis_commandv(a->redis, got_group, a, "XGROUP", "CREATE", a->key, "alerts", "0",
		"MKSTREAM", NULL);
}

static void tick(uv_timer_t *timer)
{
	struct alerts *a = timer->data;
	int64_t now = clock_mono_ms();

	if (!a->leading || !redis_is_up(a->redis))
		return;
	if (now >= a->lapse_ms)
		lapse_silences(a);
	if (a->busy || now < a->not_before_ms)
		return;
	if (a->phase == ALERTS_NEW && now >= a->reread_ms)
		reread(a);
	if (a->phase == ALERTS_SNAPSHOT && !a->want_snapshot)
		a->phase = ALERTS_NEW;
	if (a->phase == ALERTS_GROUP)
		make_group(a);
	else if (a->phase == ALERTS_SNAPSHOT)
		say_page(a);
	else
		read_edges(a);
}

struct alerts *alerts_new(uv_loop_t *loop, struct redis *redis, const struct group_policy *policy)
{
	struct alerts *a = mem_zalloc(sizeof *a);

	a->redis = redis;
	a->policy = *policy;
	a->key = mem_printf("%sedges", redis_prefix(redis));
	snprintf(a->cursor, sizeof a->cursor, "0-0");
	a->tick.data = a;
	uv_timer_init(loop, &a->tick);
	uv_timer_start(&a->tick, tick, TICK_MS, TICK_MS);
	return a;
}

void alerts_lead(struct alerts *a, bool leading, uint64_t term)
{
	a->leading = leading;
	if (!leading)
		return;
	a->term = term;
	alerts_snapshot(a);
}

/* A call under way sees the phase, and starts over when it is back. */
void alerts_connected(struct alerts *a)
{
	a->phase = ALERTS_GROUP;
	if (!a->busy)
		start_over(a, 0);
}

void alerts_snapshot(struct alerts *a)
{
	begin_snapshot(a);
	a->want_snapshot = true;
	alerts_connected(a);
}

void alerts_close(struct alerts *a)
{
	if (!a)
		return;
	a->leading = false;
	uv_close((uv_handle_t *)&a->tick, NULL);
}

void alerts_free(struct alerts *a)
{
	if (!a)
		return;
	free(a->held);
	free(a->key);
	free(a);
}

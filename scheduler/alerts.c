#include "scheduler/alerts.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "scheduler/stats.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BATCH      64
#define BATCH_TEXT "64"
#define TICK_MS    200
#define HOLD_MS    2000
#define PAUSE_MS   1000
#define ITEM_MAX   16384

/* What the next read is of: first what an earlier leader left, then the snapshot, then what is new.
 */
enum alerts_phase { ALERTS_GROUP, ALERTS_PENDING, ALERTS_SNAPSHOT, ALERTS_NEW };

struct alerts {
	uv_timer_t tick;
	struct redis *redis;
	char *key;
	bool leading, busy;
	enum alerts_phase phase;
	uint64_t term;
	int64_t not_before_ms;
	/* The batch. */
	struct alert_edge edges[BATCH];
	size_t n;
	struct buf ids; /* of the entries, parted by blanks */
	/* The snapshot. */
	bool want_snapshot;
	int64_t page, as_of_ms;
	unsigned snapshots; /* begun by this process: names the next, in whatever term */
};

static void hold_off(struct alerts *a, int64_t ms)
{
	a->not_before_ms = clock_mono_ms() + ms;
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

static void tell(struct alerts *a, const char *ids, const struct alert_edge *edges, size_t n,
	redis_reply_fn *done)
{
	const char *argv[1 + BATCH] = {ids};
	size_t lens[1 + BATCH] = {strlen(ids)}, argc = 1;
	struct buf items[BATCH];

	for (size_t i = 0; i < n && i < BATCH; i++) {
		items[i] = BUF_INIT(ITEM_MAX);
		if (alert_edge_encode(&edges[i], &items[i]))
			continue;
		argv[argc] = items[i].data;
		lens[argc++] = items[i].len;
	}
	redis_script(a->redis, "alert", argc, argv, lens, done, a);
	for (size_t i = 0; i < n && i < BATCH; i++)
		buf_release(&items[i]);
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

void alerts_tell(struct alerts *a, const struct alert_edge *edges, size_t n)
{
	if (n && redis_is_up(a->redis))
		tell(a, "", edges, n, told);
}

/* --- edges */

static void batch_told(void *arg, int err, const struct reply *reply)
{
	struct alerts *a = arg;

	a->busy = false;
	told(a, err, reply);
	if (err)
		a->phase = ALERTS_GROUP; /* the edges are pending still */
	hold_off(a, err ? PAUSE_MS : a->phase == ALERTS_NEW ? HOLD_MS : 0);
}

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

/* What cannot be read is acknowledged all the same: it would never become readable. */
static void add_entry(struct alerts *a, const struct reply *entry)
{
	const struct reply *list = reply_at(entry, 1);
	const char *id = reply_str(reply_at(entry, 0), NULL), *subject, *data;
	struct why why = {""};
	size_t len = 0;

	if (!id || a->n == BATCH)
		return;
	buf_addf(&a->ids, "%s ", id);
	subject = reply_str(entry_field(list, "subject"), NULL);
	data = reply_str(entry_field(list, "data"), &len);
	if (!alert_edge_decode(
		    data ? data : "", len, subject ? subject : "", &a->edges[a->n], &why))
		a->n++;
	else
		LOG(WARN, "edge_unreadable", LF("entry", id), LF("why", why.text));
}

static void got_edges(void *arg, int err, const struct reply *reply)
{
	struct alerts *a = arg;
	const struct reply *entries;
	size_t n;

	if (err || !a->leading) {
		a->busy = false;
		a->phase = ALERTS_GROUP;
		hold_off(a, PAUSE_MS);
		return;
	}
	entries = reply_at(reply_at(reply, 0), 1);
	n = reply_len(entries);
	a->n = 0;
	buf_clear(&a->ids);
	for (size_t i = 0; i < n; i++)
		add_entry(a, reply_at(entries, i));
	if (!n) {
		a->busy = false;
		if (a->phase == ALERTS_PENDING)
			a->phase = ALERTS_SNAPSHOT;
		else
			hold_off(a, HOLD_MS);
		return;
	}
	a->n = alert_net(a->edges, a->n);
	tell(a, buf_cstr(&a->ids), a->edges, a->n, batch_told);
}

static void read_edges(struct alerts *a)
{
	a->busy = true;
	redis_commandv(a->redis, got_edges, a, "XREADGROUP", "GROUP", "alerts", "leader", "COUNT",
		BATCH_TEXT, "STREAMS", a->key, a->phase == ALERTS_PENDING ? "0" : ">", NULL);
}

static void got_group(void *arg, int err, const struct reply *reply)
{
	struct alerts *a = arg;
	const char *text = reply ? reply_str(reply, NULL) : NULL;

	a->busy = false;
	if (err && !(text && !strncmp(text, "BUSYGROUP", 9)))
		hold_off(a, PAUSE_MS);
	else
		a->phase = ALERTS_PENDING;
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
	if (a->phase != ALERTS_SNAPSHOT) /* begun anew meanwhile */
		return;
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

static void tick(uv_timer_t *timer)
{
	struct alerts *a = timer->data;

	if (!a->leading || a->busy || clock_mono_ms() < a->not_before_ms || !redis_is_up(a->redis))
		return;
	switch (a->phase) {
	case ALERTS_GROUP:
		a->busy = true;
		redis_commandv(a->redis, got_group, a, "XGROUP", "CREATE", a->key, "alerts", "0",
			"MKSTREAM", NULL);
		return;
	case ALERTS_SNAPSHOT:
		if (a->want_snapshot) {
			say_page(a);
			return;
		}
		a->phase = ALERTS_NEW;
		break;
	case ALERTS_PENDING:
	case ALERTS_NEW:
		break;
	}
	read_edges(a);
}

struct alerts *alerts_new(uv_loop_t *loop, struct redis *redis)
{
	struct alerts *a = mem_zalloc(sizeof *a);

	a->redis = redis;
	a->key = mem_printf("%sedges", redis_prefix(redis));
	a->ids = BUF_INIT((size_t)BATCH * 48);
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

void alerts_snapshot(struct alerts *a)
{
	begin_snapshot(a);
	a->want_snapshot = true;
	a->phase = ALERTS_GROUP;
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
	buf_release(&a->ids);
	free(a->key);
	free(a);
}

#include "scheduler/reap.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "scheduler/stats.h"

#include <string.h>

#define TICK_MS 500 /* a killed worker's jobs shall run again within a second of their lease */

struct reap {
	uv_timer_t tick;
	struct redis *redis;
	struct reap_guard guard;
	reap_moved_fn *moved;
	void *arg;
	char *replid_key;
	char remembered[REPLID_SIZE], replid[REPLID_SIZE];
	int64_t looked_ms;
	bool leading, looking;
	bool busy[2]; /* by queue */
};

struct reaping {
	struct reap *reap;
	enum queue_id queue;
};

static void note_pause(const struct reap *r, const char *why)
{
	if (!why)
		return;
	metric_inc(&stat_reap_pauses, LABELS(why));
	LOG(WARN, "reaping_pauses", LF("why", why), LF_INT("ms", r->guard.lease_ms));
}

/* --- looking: GET of what was remembered, then two sections of INFO, in this order on one
 * connection */

static void got_remembered(void *arg, int err, const struct reply *reply)
{
	struct reap *r = arg;
	size_t n = 0;
	const char *text = err ? NULL : reply_str(reply, &n);

	r->remembered[0] = 0;
	if (text && n < sizeof r->remembered)
		memcpy(r->remembered, text, n + 1);
}

static void got_replication(void *arg, int err, const struct reply *reply)
{
	struct reap *r = arg;
	size_t n = 0;
	const char *text = err ? NULL : reply_str(reply, &n);

	r->replid[0] = 0;
	if (text)
		info_field(text, n, "master_replid", r->replid, sizeof r->replid);
}

static void got_persistence(void *arg, int err, const struct reply *reply)
{
	struct reap *r = arg;
	size_t n = 0;
	const char *text = err ? NULL : reply_str(reply, &n);
	char loading[8] = "";
	const char *why;

	r->looking = false;
	if (!text || !r->replid[0])
		return;
	info_field(text, n, "loading", loading, sizeof loading);
	why = reap_guard_look(
		&r->guard, clock_mono_ms(), r->replid, r->remembered, !strcmp(loading, "1"));
	note_pause(r, why);
	if (r->leading && strcmp(r->remembered, r->replid))
		redis_commandv(r->redis, NULL, NULL, "SET", r->replid_key, r->replid, NULL);
	if (why && !strcmp(why, "replication_id_changed"))
		r->moved(r->arg);
}

static void look(struct reap *r, int64_t now)
{
	r->looking = true;
	r->looked_ms = now;
	redis_commandv(r->redis, got_remembered, r, "GET", r->replid_key, NULL);
	redis_commandv(r->redis, got_replication, r, "INFO", "replication", NULL);
	redis_commandv(r->redis, got_persistence, r, "INFO", "persistence", NULL);
}

/* --- reaping */

static void reap_queue(struct reap *r, enum queue_id q);

static void reaped(void *arg, int err, const struct queue_reaped *n)
{
	struct reaping *of = arg;
	struct reap *r = of->reap;
	enum queue_id q = of->queue;

	free(of);
	r->busy[q] = false;
	if (err || !n->looked)
		return;
	metric_add(&stat_lapsed, (double)n->lapsed, LABELS(queue_name(q)));
	metric_add(&stat_parked_by_reaping, (double)n->parked, LABELS(queue_name(q)));
	if (n->lapsed)
		LOG(WARN, "leases_lapsed", LF("queue", queue_name(q)), LF_INT("jobs", n->lapsed),
			LF_INT("parked", n->parked));
	if (n->looked == QUEUE_BATCH && r->leading)
		reap_queue(r, q);
}

static void reap_queue(struct reap *r, enum queue_id q)
{
	struct reaping *of = mem_alloc(sizeof *of);

	*of = (struct reaping){.reap = r, .queue = q};
	r->busy[q] = true;
	queue_reap(r->redis, q, reap_guard_expects(&r->guard, clock_mono_ms()),
		r->guard.lease_ms / 3, reaped, of);
}

static void tick(uv_timer_t *timer)
{
	struct reap *r = timer->data;
	int64_t now = clock_mono_ms();

	if (!redis_is_up(r->redis))
		return;
	if (!r->looking && (now - r->looked_ms >= REAP_LOOK_EVERY_MS || !r->guard.looked))
		look(r, now);
	for (int q = 0; q < 2; q++)
		if (r->leading && !r->busy[q] && reap_guard_allows(&r->guard, now))
			reap_queue(r, (enum queue_id)q);
}

struct reap *reap_new(uv_loop_t *loop, struct redis *redis, int64_t worker_lease_ms,
	reap_moved_fn *moved, void *arg)
{
	struct reap *r = mem_zalloc(sizeof *r);

	r->redis = redis;
	r->guard.lease_ms = worker_lease_ms;
	r->moved = moved;
	r->arg = arg;
	r->replid_key = mem_printf("%sreplid", redis_prefix(redis));
	r->tick.data = r;
	uv_timer_init(loop, &r->tick);
	uv_timer_start(&r->tick, tick, 0, TICK_MS);
	return r;
}

void reap_lead(struct reap *r, bool leading)
{
	r->leading = leading;
}

void reap_connected(struct reap *r)
{
	reap_guard_connected(&r->guard);
	r->looking = false;
}

void reap_clock(struct reap *r, int64_t sent_ms, int64_t received_ms, int64_t redis_ms)
{
	const char *why = reap_guard_clock(&r->guard, sent_ms, received_ms, redis_ms);

	note_pause(r, why);
	if (why) /* what was planned by the clock before is looked at */
		r->moved(r->arg);
}

void reap_close(struct reap *r)
{
	if (r)
		uv_close((uv_handle_t *)&r->tick, NULL);
}

void reap_free(struct reap *r)
{
	if (!r)
		return;
	free(r->replid_key);
	free(r);
}

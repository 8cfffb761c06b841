#include "scheduler/fleet.h"

#include "common/clock.h"
#include "common/event.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/mp.h"
#include "common/queue.h"
#include "common/str.h"
#include "scheduler/breakers.h"
#include "scheduler/stats.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_EVERY_MS      10000
#define HEARTBEAT_EVERY_MS 60000
#define ALIVE_TEXT         "60000"
#define FACTS_N            19
#define DOUBT_TEXT         "900"
#define SAME_HEAD_MS       5     /* two looks at one due job differ by their own time at most */
#define STREAM_STEP        10000 /* entries at a time */

static const char *const streams[] = {"results", "alerts", "edges", "changes"};

struct trimming {
	struct fleet *fleet;
	const char *stream;
};

struct fleet {
	uv_timer_t timer;
	struct redis *redis;
	struct alerts *alerts;
	struct fleet_options options;
	char *name, *nonce;
	int looks_left; /* replies of the look under way */
	bool asked_seen;
	int64_t head_at_ms[2], head_since_ms[2]; /* of the oldest due jobs: Redis' clock, ours */
	bool leading, busy, failed;
	int64_t seen_ms, led_redis_ms; /* the last sign of a leader before us; our first look */
	struct limit_look {
		struct fleet *fleet;
		size_t index;
	} limit_looks[FLEET_LIMITS_MAX];
	uint64_t term;
	uint64_t beats;                /* in this term */
	int64_t led_since_ms, beat_ms; /* monotonic */
	struct fleet_loss loss;        /* the last, of those seen in this look */
	struct fleet_facts facts;
	struct breaker_row breakers[BREAKER_ROWS_MAX];
	size_t breakers_n;
	struct trimming trimmings[ARRAY_LEN(streams)];
};

/* --- the heartbeat */

static void heartbeat_data(const struct fleet *f, struct buf *out)
{
	size_t map = mp_map_open(out);

	mp_key_int(out, "V", 1);
	mp_key_int(out, "term", (int64_t)f->term);
	mp_key_int(out, "beat", (int64_t)f->beats);
	mp_key_str(out, "leader", f->nonce);
	mp_key_int(out, "endpoints", f->facts.endpoints);
	mp_key_int(out, "alerts_open", f->facts.alerts_open);
	mp_key_int(out, "workers", f->facts.workers);
	mp_map_close(out, map);
}

static void heartbeat(struct fleet *f, int64_t now)
{
	_mem_free_ char *key = mem_printf("%salerts", redis_prefix(f->redis));
	_mem_free_ char *id = mem_printf("heartbeat:%" PRIu64 ":%" PRIu64, f->term, f->beats);
	_buf_release_ struct buf data = BUF_INIT(1024);
	char time[CLOCK_RFC3339_LEN];
	const char *argv[] = {"XADD", key, "*", "id", id, "type", EVENT_HEARTBEAT, "source",
		f->name, "subject", "", "time", clock_rfc3339(f->facts.redis_ms, time),
		"specversion", "1.0", "datacontenttype", "application/msgpack", "data", NULL};
	size_t lens[ARRAY_LEN(argv)];

	f->beat_ms = now;
	f->beats++;
	heartbeat_data(f, &data);
	for (size_t i = 0; i + 1 < ARRAY_LEN(argv); i++)
		lens[i] = strlen(argv[i]);
	argv[ARRAY_LEN(argv) - 1] = data.data;
	lens[ARRAY_LEN(argv) - 1] = data.len;
	redis_command(f->redis, ARRAY_LEN(argv), argv, lens, NULL, NULL);
}

/* --- the streams */

static void note_loss(struct fleet *f, const char *stream, const struct queue_trimmed *n)
{
	if (n->lost_ago_ms < 0 || (f->loss.ago_ms >= 0 && f->loss.ago_ms <= n->lost_ago_ms))
		return;
	f->loss = (struct fleet_loss){.n = n->lost_in_all, .ago_ms = n->lost_ago_ms};
	snprintf(f->loss.stream, sizeof f->loss.stream, "%s", stream);
	snprintf(f->loss.group, sizeof f->loss.group, "%s", n->group ? n->group : "");
}

static void trimmed(void *arg, int err, const struct queue_trimmed *n)
{
	struct trimming *t = arg;

	if (err)
		return;
	metric_add(&stat_trimmed, (double)(n->taken + n->lost), LABELS(t->stream));
	metric_add(&stat_lost, (double)n->lost, LABELS(t->stream));
	note_loss(t->fleet, t->stream, n);
	if (n->lost)
		LOG(WARN, "stream_entries_lost", LF("stream", t->stream), LF_INT("n", n->lost));
}

static void trim(struct fleet *f)
{
	for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
		f->trimmings[i] = (struct trimming){.fleet = f, .stream = streams[i]};
		queue_trim(f->redis, streams[i], f->options.cap, f->options.keep_ms, STREAM_STEP,
			trimmed, &f->trimmings[i]);
	}
}

/* --- signs of a leader */

/* So that the next leader knows how long there was none. */
static void say_seen(struct fleet *f)
{
	_mem_free_ char *key = mem_printf("%sleader", redis_prefix(f->redis));
	char now[24];

	snprintf(now, sizeof now, "%" PRId64, f->facts.redis_ms);
	redis_commandv(f->redis, NULL, NULL, "HSET", key, "seen", now, NULL);
}

/* --- the look */

static void show(const struct fleet_facts *f)
{
	metric_set(&stat_workers, (double)f->workers, NO_LABELS);
	metric_set(&stat_requests_backlog, (double)f->requests, NO_LABELS);
	metric_set(&stat_alerts_open, (double)f->alerts_open, NO_LABELS);
	for (int i = 0; i < 2; i++) {
		const char *q = queue_name((enum queue_id)i);

		metric_set(&stat_queue_running, (double)f->running[i], LABELS(q));
		metric_set(&stat_queue_parked, (double)f->parked[i], LABELS(q));
		metric_set(&stat_queue_late_seconds, (double)f->late_ms[i] / 1000.0, LABELS(q));
	}
}

static void take_name(const struct reply *r, char *out, size_t size)
{
	size_t len = 0;
	const char *s = reply_str(r, &len);

	str_clean(s ? s : "", len, out, size);
}

static void read_facts(const struct reply *reply, struct fleet_facts *f)
{
	int64_t *const into[FACTS_N] = {&f->redis_ms, &f->workers, &f->requests, &f->request_age_ms,
		&f->endpoints, &f->alerts_open, &f->running[0], &f->parked[0], &f->late_ms[0],
		&f->running[1], &f->parked[1], &f->late_ms[1], &f->looked, &f->turned,
		&f->resolvers, &f->zone_ds, &f->zone_lost, &f->barriers, &f->ca_apart_ms};

	for (size_t i = 0; i < FACTS_N; i++)
		*into[i] = reply_int(reply_at(reply, i));
	f->clock_apart_ms = clock_wall_ms() - f->redis_ms;
	take_name(reply_at(reply, FACTS_N), f->ca, sizeof f->ca);
	take_name(reply_at(reply, FACTS_N + 1), f->ca_worker, sizeof f->ca_worker);
}

/* Workers read it with each beat; it goes by itself when nobody leads any more. */
static void tell_doubt(struct fleet *f)
{
	_mem_free_ char *key = mem_printf("%sdoubt", redis_prefix(f->redis));

	if (fleet_doubts(&f->facts))
		redis_commandv(f->redis, NULL, NULL, "SET", key, "1", "EX", DOUBT_TEXT, NULL);
	else
		redis_commandv(f->redis, NULL, NULL, "DEL", key, NULL);
}

/* Names of workers that are gone: where each start has a name of its own they would pile up. */
static void forget_workers(struct fleet *f)
{
	_mem_free_ char *key = mem_printf("%sworkers", redis_prefix(f->redis));
	char before[24];

	snprintf(before, sizeof before, "%" PRId64, f->facts.redis_ms - CLOCK_DAY_MS);
	redis_commandv(f->redis, NULL, NULL, "ZREMRANGEBYSCORE", key, "-inf", before, NULL);
}

/* --- the circuit breakers */

static void show_breakers(const struct fleet *f)
{
	for (size_t i = 0; i < f->breakers_n; i++)
		metric_set(&stat_breaker, (double)f->breakers[i].state,
			LABELS(f->breakers[i].authority, breaker_way_name(f->breakers[i].way)));
}

static void tell_breakers(struct fleet *f)
{
	struct alert_edge edges[BREAKERS_CONDITIONS];

	for (size_t i = 0; i < f->breakers_n; i++) {
		breakers_judge(&f->breakers[i], f->options.canary, edges);
		alerts_tell(f->alerts, edges, BREAKERS_CONDITIONS);
	}
}

static void lead_on(struct fleet *f)
{
	struct alert_edge edges[FLEET_CONDITIONS + FLEET_LIMITS_MAX];
	int64_t now = clock_mono_ms();
	size_t n;

	f->facts.led_ms = now - f->led_since_ms;
	f->facts.loss = f->loss;
	f->facts.barrier = barrier_is_late(f->options.barrier);
	f->loss.ago_ms = -1;
	n = fleet_judge(&f->facts, edges);
	for (size_t i = 0; i < f->options.limits_n; i++)
		fleet_judge_limit(&f->options.limits[i], f->facts.redis_ms, &edges[n++]);
	alerts_tell(f->alerts, edges, n);
	tell_breakers(f);
	say_seen(f);
	tell_doubt(f);
	trim(f);
	forget_workers(f);
	if (!f->beats || now - f->beat_ms >= HEARTBEAT_EVERY_MS)
		heartbeat(f, now);
}

/* A look whose parts did not all come says nothing. */
static bool came(struct fleet *f, int err)
{
	f->failed |= err != 0;
	if (--f->looks_left)
		return false;
	f->busy = false;
	return !f->failed;
}

static void part_over(struct fleet *f, int err)
{
	if (came(f, err) && f->leading)
		lead_on(f);
}

static void got_info(void *arg, int err, const struct reply *reply)
{
	struct fleet *f = arg;
	size_t len = 0;
	const char *info = err ? NULL : reply_str(reply, &len);

	if (info)
		fleet_read_info(info, len, &f->facts);
	part_over(
		f, err == CF_EREDIS ? 0 : err); /* a Redis that will not tell is no fault of ours */
}

/* When a leader was last seen: only the first look of a leadership asks. */
static void got_seen(void *arg, int err, const struct reply *reply)
{
	struct fleet *f = arg;
	const char *seen = err ? NULL : reply_str(reply, NULL);

	f->asked_seen = !err;
	f->seen_ms = seen ? strtoll(seen, NULL, 10) : 0;
	part_over(f, err);
}

static void got_limit(void *arg, int err, const struct reply *reply)
{
	struct limit_look *l = arg;
	const char *free_at = err ? NULL : reply_str(reply, NULL);

	l->fleet->options.limits[l->index].free_ms = free_at ? strtoll(free_at, NULL, 10) : 0;
	part_over(l->fleet, err == CF_EREDIS ? 0 : err);
}

static void got_breakers(void *arg, int err, const struct reply *reply)
{
	struct fleet *f = arg;

	if (!err) {
		f->breakers_n = breaker_read(reply, f->breakers, BREAKER_ROWS_MAX, NULL);
		show_breakers(f);
	}
	part_over(f, err == CF_EREDIS ? 0 : err);
}

static void note_heads(struct fleet *f)
{
	int64_t now = clock_mono_ms();

	for (int q = 0; q < 2; q++) {
		int64_t at = f->facts.redis_ms - f->facts.late_ms[q];

		if (!f->facts.late_ms[q] || llabs(at - f->head_at_ms[q]) > SAME_HEAD_MS) {
			f->head_at_ms[q] = at;
			f->head_since_ms[q] = now;
		}
		f->facts.head_ms[q] = now - f->head_since_ms[q];
	}
}

static void got_facts(void *arg, int err, const struct reply *reply)
{
	struct fleet *f = arg;

	if (!err) {
		read_facts(reply, &f->facts);
		note_heads(f);
		if (!f->led_redis_ms)
			f->led_redis_ms = f->facts.redis_ms;
		f->facts.leaderless_ms = f->seen_ms ? f->led_redis_ms - f->seen_ms : 0;
		show(&f->facts);
	}
	part_over(f, err);
}

static void ask_limit(struct fleet *f, size_t i)
{
	_mem_free_ char *key = mem_printf(
		"%squota:%s:new_orders", redis_prefix(f->redis), f->options.limits[i].authority);

	f->limit_looks[i] = (struct limit_look){f, i};
	f->looks_left++;
	redis_commandv(f->redis, got_limit, &f->limit_looks[i], "GET", key, NULL);
}

/* What only the leader wants to know. */
static void ask_more(struct fleet *f)
{
	_mem_free_ char *leader = mem_printf("%sleader", redis_prefix(f->redis));

	f->looks_left++;
	redis_commandv(f->redis, got_info, f, "INFO", NULL);
	if (!f->asked_seen) {
		f->looks_left++;
		redis_commandv(f->redis, got_seen, f, "HGET", leader, "seen", NULL);
	}
	for (size_t i = 0; i < f->options.limits_n; i++)
		ask_limit(f, i);
}

static void on_timer(uv_timer_t *timer)
{
	static const char *const argv[] = {ALIVE_TEXT}, *const look[] = {"look"};
	struct fleet *f = timer->data;

	if (f->busy || !redis_is_up(f->redis))
		return;
	f->busy = true;
	f->failed = false;
	f->looks_left = 2;
	if (f->leading)
		ask_more(f); /* before the facts, which use them */
	redis_script(f->redis, "breaker", 1, look, NULL, got_breakers, f);
	redis_script(f->redis, "fleet", 1, argv, NULL, got_facts, f);
}

struct fleet *fleet_new(uv_loop_t *loop, struct redis *redis, struct alerts *alerts,
	const struct fleet_options *options)
{
	struct fleet *f = mem_zalloc(sizeof *f);

	f->redis = redis;
	f->alerts = alerts;
	f->options = *options;
	f->facts.replicas_wanted = options->replicas;
	f->facts.fleet = f->name = mem_strdup(options->name);
	f->nonce = mem_strdup(options->nonce);
	f->loss.ago_ms = -1;
	f->timer.data = f;
	uv_timer_init(loop, &f->timer);
	uv_timer_start(&f->timer, on_timer, 1000, LOOK_EVERY_MS);
	return f;
}

const struct breaker_row *fleet_breakers(const struct fleet *f, size_t *n)
{
	*n = f ? f->breakers_n : 0;
	return f ? f->breakers : NULL;
}

void fleet_lead(struct fleet *f, bool leading, uint64_t term)
{
	f->leading = leading;
	if (leading && f->term != term) { /* a lease may be lost and won again within one term */
		f->term = term;
		f->beats = 0;
	}
	f->loss.ago_ms = -1;
	f->led_since_ms = clock_mono_ms();
	f->asked_seen = false;
	f->seen_ms = f->led_redis_ms = 0;
	if (leading)
		on_timer(&f->timer);
}

void fleet_close(struct fleet *f)
{
	if (!f)
		return;
	f->leading = false;
	uv_close((uv_handle_t *)&f->timer, NULL);
}

void fleet_free(struct fleet *f)
{
	if (!f)
		return;
	free(f->name);
	free(f->nonce);
	free(f);
}

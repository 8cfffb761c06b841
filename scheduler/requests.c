#include "scheduler/requests.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "scheduler/stats.h"

#include <stdio.h>
#include <string.h>

#define BATCH         64
#define BATCH_TEXT    "64"
#define FIELDS_MAX    32
#define BLOCK_MS      "1500" /* below the deadline of a command */
#define TICK_MS       100
#define WALK_EVERY_MS 2000 /* over what stayed pending */
#define PAUSE_MS      1000 /* after a failure */

enum slot_state { SLOT_WAITING, SLOT_RUNNING, SLOT_DONE };

struct slot {
	struct request_job *job;
	enum slot_state state;
};

struct requests {
	uv_timer_t tick;
	struct redis *block;
	struct request_context context;
	char *key;
	bool leading, reading, grouped, starting;
	bool walking;    /* over the pending; else new entries */
	char cursor[48]; /* last id of the walk */
	int64_t walk_ms, not_before_ms;
	struct slot slots[BATCH];
	size_t n, left;
};

static void step(struct requests *r);

/* --- the batch */

static bool blocked(const struct requests *r, size_t i)
{
	const char *key = request_job_key(r->slots[i].job);

	for (size_t k = 0; key[0] && k < i; k++)
		if (r->slots[k].state != SLOT_DONE &&
			!strcmp(request_job_key(r->slots[k].job), key))
			return true;
	return false;
}

static void start_slots(struct requests *r)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->slots[i].state == SLOT_WAITING && !blocked(r, i)) {
			r->slots[i].state = SLOT_RUNNING;
			request_job_start(r->slots[i].job);
		}
}

static void clear(struct requests *r)
{
	for (size_t i = 0; i < r->n; i++)
		request_job_free(r->slots[i].job);
	r->n = r->left = 0;
}

static void count(const struct request_job *job, enum request_end end)
{
	static const char *const ends[] = {"done", "refused", "repeated", "later"};
	const struct request *q = request_job_request(job);

	metric_inc(&stat_requests,
		LABELS(q->op == REQUEST_OP_NONE ? "malformed" : q->type, ends[end]));
}

static void job_done(void *arg, struct request_job *job, enum request_end end)
{
	struct requests *r = arg;

	count(job, end);
	if (end == REQUEST_END_LATER)
		r->not_before_ms = clock_mono_ms() + PAUSE_MS;
	for (size_t i = 0; i < r->n; i++)
		if (r->slots[i].job == job)
			r->slots[i].state = SLOT_DONE;
	if (--r->left) {
		start_slots(r);
		return;
	}
	clear(r);
	step(r);
}

/* --- the entries of a reply */

static void drop_entry(struct requests *r, const char *id)
{
	redis_commandv(r->context.redis, NULL, NULL, "XACK", r->key, "scheduler", id, NULL);
}

static void add_entry(struct requests *r, const struct reply *entry)
{
	const char *id = reply_str(reply_at(entry, 0), NULL);
	const struct reply *list = reply_at(entry, 1);
	struct request_field fields[FIELDS_MAX];
	size_t n = reply_len(list) / 2;

	if (!id || r->n == BATCH)
		return;
	snprintf(r->cursor, sizeof r->cursor, "%s", id);
	if (reply_type(list) != REPLY_ARRAY) { /* pending, but deleted */
		drop_entry(r, id);
		return;
	}
	if (n > FIELDS_MAX)
		n = FIELDS_MAX;
	for (size_t i = 0; i < n; i++) {
		fields[i].name = reply_str(reply_at(list, 2 * i), NULL);
		fields[i].value = reply_str(reply_at(list, 2 * i + 1), &fields[i].value_len);
	}
	r->slots[r->n++] =
		(struct slot){.job = request_job_new(&r->context, id, fields, n, job_done, r),
			.state = SLOT_WAITING};
}

static void take_entries(struct requests *r, const struct reply *entries)
{
	size_t n = reply_len(entries);

	for (size_t i = 0; i < n; i++)
		add_entry(r, reply_at(entries, i));
	if (r->walking && !n) {
		r->walking = false;
		r->walk_ms = clock_mono_ms() + WALK_EVERY_MS;
	}
	r->left = r->n;
	if (r->n)
		start_slots(r);
}

/* --- reading */

static void got_entries(void *arg, int err, const struct reply *reply)
{
	struct requests *r = arg;

	r->reading = false;
	if (err == CF_ECANCELED)
		return;
	if (err) {
		r->grouped =
			false; /* NOGROUP after a FLUSHALL, or the connection broke: look again */
		r->not_before_ms = clock_mono_ms() + PAUSE_MS;
		return;
	}
	if (!r->leading) /* delivered to the name "leader": the next one finds it pending */
		return;
	take_entries(r, reply_at(reply_at(reply, 0), 1));
	if (!r->n)
		step(r);
}

static void read_more(struct requests *r)
{
	int64_t now = clock_mono_ms();

	if (!r->walking && now >= r->walk_ms) {
		r->walking = true;
		snprintf(r->cursor, sizeof r->cursor, "0");
	}
	r->reading = true;
	if (r->walking)
		redis_commandv(r->block, got_entries, r, "XREADGROUP", "GROUP", "scheduler",
			"leader", "COUNT", BATCH_TEXT, "STREAMS", r->key, r->cursor, NULL);
	else
		redis_commandv(r->block, got_entries, r, "XREADGROUP", "GROUP", "scheduler",
			"leader", "COUNT", BATCH_TEXT, "BLOCK", BLOCK_MS, "STREAMS", r->key, ">",
			NULL);
}

static void got_group(void *arg, int err, const struct reply *reply)
{
	struct requests *r = arg;
	const char *text = reply ? reply_str(reply, NULL) : NULL;

	r->reading = false;
	if (err == CF_ECANCELED)
		return;
	if (err && !(text && !strncmp(text, "BUSYGROUP", 9))) {
		r->not_before_ms = clock_mono_ms() + PAUSE_MS;
		return;
	}
	r->grouped = true;
	r->walk_ms = 0;
	r->walking = false;
	step(r);
}

static void step(struct requests *r)
{
	if (!r->leading || r->reading || r->n || clock_mono_ms() < r->not_before_ms ||
		!redis_is_up(r->block) || !redis_is_up(r->context.redis))
		return;
	if (r->grouped) {
		read_more(r);
		return;
	}
	r->reading = true;
	redis_commandv(r->block, got_group, r, "XGROUP", "CREATE", r->key, "scheduler", "0",
		"MKSTREAM", NULL);
}

static void tick(uv_timer_t *timer)
{
	step(timer->data);
}

struct requests *requests_new(
	uv_loop_t *loop, struct redis *block, const struct request_context *context)
{
	struct requests *r = mem_zalloc(sizeof *r);

	r->block = block;
	r->context = *context;
	r->key = mem_printf("%srequests", redis_prefix(block));
	r->tick.data = r;
	uv_timer_init(loop, &r->tick);
	uv_timer_start(&r->tick, tick, TICK_MS, TICK_MS);
	return r;
}

void requests_lead(struct requests *r, bool leading)
{
	r->leading = leading;
	r->grouped = false; /* begins with a look at the group and a walk over the pending */
	step(r);
}

bool requests_idle(const struct requests *r)
{
	return !r->n;
}

void requests_close(struct requests *r)
{
	if (!r)
		return;
	r->leading = false;
	uv_close((uv_handle_t *)&r->tick, NULL);
}

void requests_free(struct requests *r)
{
	if (!r)
		return;
	clear(r);
	free(r->key);
	free(r);
}

#include "scheduler/audit.h"

#include "common/clock.h"
#include "common/mem.h"

#include <string.h>

/* Where jv and ji stand in ENDPOINT_FIELDS. */
static const int job_fields[2] = {5, 6};

struct audit {
	uv_timer_t timer;
	struct redis *redis;
	struct audit_options options;
	struct audit_counts counts;
	char after[ENDPOINT_ID_MAX + 1];
	bool last; /* this slice is */
	bool reading;
	bool freed, closed;
	size_t in_flight; /* repairs of this slice */
	int64_t started_ms;
};

struct repair {
	struct audit *audit;
	enum queue_id queue;
};

static void read_slice(struct audit *a);

static void release(struct audit *a)
{
	if (a->freed && a->closed && !a->reading && !a->in_flight)
		free(a);
}

static void on_closed(uv_handle_t *handle)
{
	struct audit *a = handle->data;

	a->closed = true;
	release(a);
}

static void finish(struct audit *a, int err)
{
	a->counts.took_ms = clock_mono_ms() - a->started_ms;
	a->options.done(a->options.arg, err, &a->counts);
}

static void on_timer(uv_timer_t *timer)
{
	read_slice(timer->data);
}

/* The slice and its repairs are over. */
static void slice_done(struct audit *a)
{
	if (a->options.progress)
		a->options.progress(a->options.arg, &a->counts);
	if (a->last)
		finish(a, 0);
	else
		uv_timer_start(&a->timer, on_timer, (uint64_t)a->options.pace_ms, 0);
}

static void repaired(void *arg, int err)
{
	struct repair *of = arg;
	struct audit *a = of->audit;

	if (!err || err == CF_EGONE) /* gone: taken out of the indexes */
		a->counts.repaired[of->queue]++;
	else if (err != CF_ESTALE) /* stale: it changed meanwhile, and the next pass looks again */
		a->counts.failed++;
	free(of);
	a->in_flight--;
	if (a->freed)
		release(a);
	else if (!a->in_flight && !a->reading)
		slice_done(a);
}

static void send_repair(struct audit *a, const struct queue_audit_row *row, enum queue_id q,
	const struct need *need)
{
	const struct endpoint_field *seen = &row->fields[job_fields[q]];
	struct repair *of = mem_alloc(sizeof *of);
	struct queue_plan plan = {.intent = need->intent,
		.lane = need->lane,
		.due_ms = need->due_ms,
		.why = need->why};

	*of = (struct repair){.audit = a, .queue = q};
	a->in_flight++;
	queue_repair(a->redis, q, row->id, seen->bytes ? seen->bytes : "",
		seen->bytes ? seen->len : 0, need->any ? &plan : NULL, repaired, of);
}

static void found(struct audit *a, const struct queue_audit_row *row, enum queue_id q,
	enum audit_finding f, const struct need *need)
{
	a->counts.found[q][f]++;
	if (a->options.finding)
		a->options.finding(a->options.arg, row->id, q, f, need);
	if (a->options.repair && f != AUDIT_UNREADABLE)
		send_repair(a, row, q, need);
}

static void judge_row(struct audit *a, const struct queue_audit_row *row, int64_t now_ms)
{
	struct endpoint e = {.generation = 0};
	struct need none = {.any = false}, plan;
	int err = endpoint_decode(row->fields, &e, NULL);

	if (err) {
		found(a, row, QUEUE_VERIFY, err == CF_ENOTFOUND ? AUDIT_ORPHAN : AUDIT_UNREADABLE,
			&none);
		return;
	}
	audit_census(&a->counts, &e, now_ms);
	for (int i = 0; i < 2; i++) {
		enum queue_id q = (enum queue_id)i;
		enum audit_finding f =
			audit_judge(&e, q, row->index_ok[i], &a->options.policy, now_ms, &plan);

		if (f != AUDIT_RIGHT)
			found(a, row, q, f, &plan);
	}
	endpoint_release(&e);
}

static void got_slice(
	void *arg, int err, const struct queue_audit_row *rows, size_t n, const char *next_after)
{
	struct audit *a = arg;
	int64_t now_ms = clock_wall_ms();

	if (a->freed) {
		a->reading = false;
		release(a);
		return;
	}
	if (err) {
		a->reading = false;
		finish(a, err);
		return;
	}
	for (size_t i = 0; i < n; i++)
		judge_row(a, &rows[i], now_ms);
	a->last = !next_after || !next_after[0];
	if (!a->last)
		strncpy(a->after, next_after, sizeof a->after - 1);
	a->reading = false;
	if (!a->in_flight)
		slice_done(a);
}

static void read_slice(struct audit *a)
{
	a->reading = true;
	queue_audit(a->redis, a->after, got_slice, a);
}

struct audit *audit_run(uv_loop_t *loop, struct redis *redis, const struct audit_options *options)
{
	struct audit *a = mem_zalloc(sizeof *a);

	a->redis = redis;
	a->options = *options;
	a->started_ms = clock_mono_ms();
	a->timer.data = a;
	uv_timer_init(loop, &a->timer);
	uv_timer_start(&a->timer, on_timer, 0, 0);
	return a;
}

void audit_pace(struct audit *a, int64_t pace_ms)
{
	a->options.pace_ms = pace_ms;
}

void audit_free(struct audit *a)
{
	if (!a || a->freed)
		return;
	a->freed = true;
	uv_close((uv_handle_t *)&a->timer, on_closed);
}

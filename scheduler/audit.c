#include "scheduler/audit.h"

#include "common/clock.h"
#include "common/mem.h"

#include <stdio.h>
#include <string.h>

/* Where x, jv and ji stand in ENDPOINT_FIELDS. */
#define CERT_FIELD 3
static const int job_fields[2] = {5, 6};

/* Strays come first: what they bring back into the list of endpoints is then judged in its slice. A
 * round that mended something is followed by another: what it mended may show more. */
enum audit_phase { AUDIT_STRAYS, AUDIT_SLICES, AUDIT_COUNTS_VERIFY, AUDIT_COUNTS_ISSUE };
#define ROUNDS_MAX       4
#define STRAYS_PER_SLICE 4 /* they are cheaper */

struct audit {
	uv_timer_t timer;
	struct redis *redis;
	struct audit_options options;
	struct audit_counts counts;
	enum audit_phase phase;
	char after[ENDPOINT_ID_MAX + 1];
	char cursor[64]; /* of the strays */
	size_t repaired; /* before this round */
	int round;
	bool last; /* this slice is, of the phase */
	bool reading;
	bool freed, closed;
	size_t in_flight; /* repairs of this slice */
	int64_t started_ms;
};

struct repair {
	struct audit *audit;
	enum queue_id queue;
	size_t faults; /* that it mends */
};

static void read_more(struct audit *a);

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
	read_more(timer->data);
}

static void begin_round(struct audit *a)
{
	struct audit_counts *c = &a->counts;

	a->phase = AUDIT_STRAYS;
	a->repaired = audit_repaired(c);
	a->after[0] = a->cursor[0] = 0;
	c->endpoints = 0; /* the census is of the last round */
	memset(c->states, 0, sizeof c->states);
	memset(c->jobs, 0, sizeof c->jobs);
	memset(c->days_left, 0, sizeof c->days_left);
}

/* False: that was all. */
static bool next_phase(struct audit *a)
{
	if (a->phase != AUDIT_COUNTS_ISSUE) {
		a->phase++;
		return true;
	}
	if (audit_repaired(&a->counts) == a->repaired || ++a->round == ROUNDS_MAX)
		return false;
	begin_round(a);
	return true;
}

/* The slice and its repairs are over. */
static void slice_done(struct audit *a)
{
	int64_t pace_ms = a->options.pace_ms;

	if (a->options.progress)
		a->options.progress(a->options.arg, &a->counts);
	if (a->phase != AUDIT_SLICES)
		pace_ms /= STRAYS_PER_SLICE;
	if (a->last && !next_phase(a))
		finish(a, 0);
	else
		uv_timer_start(&a->timer, on_timer, (uint64_t)pace_ms, 0);
}

static void repaired(void *arg, int err)
{
	struct repair *of = arg;
	struct audit *a = of->audit;

	if (!err || err == CF_EGONE) /* gone: taken out of the indexes */
		a->counts.repaired[of->queue] += of->faults;
	else if (err != CF_ESTALE) /* stale: it changed meanwhile, and the next pass looks again */
		a->counts.failed++;
	free(of);
	a->in_flight--;
	if (a->freed)
		release(a);
	else if (!a->in_flight && !a->reading)
		slice_done(a);
}

static struct repair *repair_new(struct audit *a, enum queue_id q, size_t faults)
{
	struct repair *of = mem_alloc(sizeof *of);

	*of = (struct repair){.audit = a, .queue = q, .faults = faults};
	a->in_flight++;
	return of;
}

static void send_repair(struct audit *a, const struct queue_audit_row *row, enum queue_id q,
	bool keep, const struct need *need)
{
	const struct endpoint_field *seen = &row->fields[job_fields[q]];
	struct queue_plan plan = {.intent = need->intent,
		.lane = need->lane,
		.due_ms = need->due_ms,
		.why = need->why};

	queue_repair(a->redis, q, row->id, seen->bytes ? seen->bytes : "",
		seen->bytes ? seen->len : 0, need->any ? &plan : NULL, keep, repaired,
		repair_new(a, q, 1));
}

static void tell(struct audit *a, const char *id, enum queue_id q, enum audit_finding f,
	const struct need *need)
{
	a->counts.found[q][f]++;
	if (a->options.finding)
		a->options.finding(a->options.arg, id, q, f, need);
}

static void found(struct audit *a, const struct queue_audit_row *row, enum queue_id q,
	enum audit_finding f, bool keep, const struct need *need)
{
	tell(a, row->id, q, f, need);
	if (a->options.repair && f != AUDIT_UNREADABLE)
		send_repair(a, row, q, keep, need);
}

static void judge_around(
	struct audit *a, const struct queue_audit_row *row, const struct endpoint *e)
{
	int64_t expiry_ms = e->has_cert ? e->cert.not_after_ms : -1;
	bool expiry_ok = row->expiry_ms == expiry_ms;
	struct need none = {.any = false};

	if (!row->claimed)
		tell(a, row->id, QUEUE_VERIFY, AUDIT_CLAIM, &none);
	if (!expiry_ok)
		tell(a, row->id, QUEUE_ISSUE, AUDIT_EXPIRY, &none);
	if (a->options.repair && !(row->claimed && expiry_ok))
		queue_reindex(a->redis, row->id, &row->fields[CERT_FIELD], expiry_ms, repaired,
			repair_new(a, expiry_ok ? QUEUE_VERIFY : QUEUE_ISSUE,
				(size_t)!row->claimed + !expiry_ok));
}

/* Where only the indexes are wrong, the record stays. */
static void judge_jobs(struct audit *a, const struct queue_audit_row *row, const struct endpoint *e,
	const bool readable[2], int64_t now_ms)
{
	const struct needs_policy *policy = &a->options.policy;
	struct need plan;

	for (int i = 0; i < 2; i++) {
		enum queue_id q = (enum queue_id)i;
		enum audit_finding record = audit_judge(e, q, true, policy, now_ms, &plan);
		bool keep = readable[i] && record == AUDIT_RIGHT;

		if (!readable[i] || !row->index_ok[i])
			found(a, row, q, AUDIT_INDEX, keep, &plan);
		else if (record != AUDIT_RIGHT)
			found(a, row, q, record, false, &plan);
	}
}

/* A job record that cannot be read is a fault of its own: the rest says what is needed. */
static int decode(const struct queue_audit_row *row, struct endpoint *e, bool readable[2])
{
	struct endpoint_field fields[ENDPOINT_FIELDS_N];
	struct job_record job;

	memcpy(fields, row->fields, sizeof fields);
	for (int q = 0; q < 2; q++) {
		struct endpoint_field *f = &fields[job_fields[q]];

		readable[q] = !f->bytes || !job_record_decode(f->bytes, f->len, &job, NULL);
		if (!readable[q])
			*f = (struct endpoint_field){.bytes = NULL};
	}
	return endpoint_decode(fields, e, NULL);
}

static void judge_row(struct audit *a, const struct queue_audit_row *row, int64_t now_ms)
{
	struct endpoint e = {.generation = 0};
	struct need none = {.any = false};
	bool readable[2];
	int err = decode(row, &e, readable);

	if (err && err != CF_ENOTFOUND && a->round)
		return; /* was told in the first */
	if (err) {
		found(a, row, QUEUE_VERIFY, err == CF_ENOTFOUND ? AUDIT_ORPHAN : AUDIT_UNREADABLE,
			false, &none);
		return;
	}
	audit_census(&a->counts, &e, now_ms);
	judge_jobs(a, row, &e, readable, now_ms);
	judge_around(a, row, &e);
	endpoint_release(&e);
}

/* False: nothing more is to be done with the reply. */
static bool read_ok(struct audit *a, int err)
{
	if (!a->freed && !err)
		return true;
	a->reading = false;
	if (a->freed)
		release(a);
	else
		finish(a, err);
	return false;
}

static void got_slice(
	void *arg, int err, const struct queue_audit_row *rows, size_t n, const char *next_after)
{
	struct audit *a = arg;
	int64_t now_ms = clock_wall_ms();

	if (!read_ok(a, err))
		return;
	for (size_t i = 0; i < n; i++)
		judge_row(a, &rows[i], now_ms);
	a->last = !next_after || !next_after[0];
	if (!a->last)
		strncpy(a->after, next_after, sizeof a->after - 1);
	a->reading = false;
	if (!a->in_flight)
		slice_done(a);
}

/* Which queue a stray is counted with: certificates belong to issue, claims to verify. */
static enum queue_id queue_of_index(const char *index)
{
	return !strncmp(index, "expiry", 6) || strstr(index, ":issue") ? QUEUE_ISSUE : QUEUE_VERIFY;
}

static void got_strays(
	void *arg, int err, const struct queue_stray *strays, size_t n, const char *next_cursor)
{
	struct audit *a = arg;
	struct need where = {.any = false};

	if (!read_ok(a, err))
		return;
	for (size_t i = 0; i < n; i++) {
		enum queue_id q = queue_of_index(strays[i].index);

		snprintf(where.why, sizeof where.why, "%s", strays[i].index);
		tell(a, strays[i].member, q, AUDIT_STRAY, &where);
		a->counts.repaired[q] += a->options.repair;
	}
	a->last = !next_cursor;
	snprintf(a->cursor, sizeof a->cursor, "%s", next_cursor ? next_cursor : "");
	a->reading = false;
	slice_done(a);
}

static void got_counts(
	void *arg, int err, const struct queue_stray *wrong, size_t n, const char *next_cursor)
{
	struct audit *a = arg;
	enum queue_id q = a->phase == AUDIT_COUNTS_ISSUE ? QUEUE_ISSUE : QUEUE_VERIFY;
	struct need none = {.any = false};

	(void)next_cursor;
	if (!read_ok(a, err))
		return;
	for (size_t i = 0; i < n; i++) {
		tell(a, wrong[i].member, q, AUDIT_COUNT, &none);
		a->counts.repaired[q] += a->options.repair;
	}
	a->last = true;
	a->reading = false;
	slice_done(a);
}

static void read_more(struct audit *a)
{
	a->reading = true;
	switch (a->phase) {
	case AUDIT_STRAYS:
		queue_strays(a->redis, a->cursor, a->options.repair, got_strays, a);
		return;
	case AUDIT_SLICES:
		queue_audit(a->redis, a->after, got_slice, a);
		return;
	case AUDIT_COUNTS_VERIFY:
		queue_recount(a->redis, QUEUE_VERIFY, a->options.repair, got_counts, a);
		return;
	case AUDIT_COUNTS_ISSUE:
		queue_recount(a->redis, QUEUE_ISSUE, a->options.repair, got_counts, a);
		return;
	}
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

void audit_free(struct audit *a)
{
	if (!a || a->freed)
		return;
	a->freed = true;
	uv_close((uv_handle_t *)&a->timer, on_closed);
}

#include "common/mem.h"
#include "common/queue_internal.h"

#include <string.h>

/* What the audit asks and does: each call goes out alone, pipelined. */

void queue_repair(struct redis *r, enum queue_id q, const char *id, const void *expect,
	size_t expect_len, const struct queue_plan *plan, bool keep, queue_done_fn *done, void *arg)
{
	struct queue_args args = {0};

	queue_args_adds(&args, queue_name(q));
	queue_args_adds(&args, id);
	queue_args_add(&args, expect, expect ? expect_len : 0);
	if (plan)
		queue_args_add_plan(&args, plan);
	if (keep)
		queue_args_adds(&args, "keep");
	queue_args_call(r, "repair", &args, queue_done_reply, queue_done_new(done, arg));
}

struct auditing {
	queue_audit_fn *done;
	void *arg;
};

static void on_audited(void *arg, int err, const struct reply *reply)
{
	struct auditing w = *(struct auditing *)arg;
	struct queue_audit_row rows[QUEUE_BATCH];
	const char *after = NULL;
	size_t n = 0;

	free(arg);
	err = queue_reply_err(err, reply, REPLY_ARRAY);
	if (!err && (reply_len(reply) < 1 || reply_len(reply) > 1 + QUEUE_BATCH))
		err = CF_EPROTO;
	for (size_t i = 1; !err && i < reply_len(reply); i++) {
		const struct reply *row = reply_at(reply, i);
		struct queue_audit_row *out = &rows[n++];

		out->id = reply_str(reply_at(row, 0), NULL);
		for (size_t k = 0; k < ENDPOINT_FIELDS_N; k++)
			out->fields[k] = queue_reply_field(reply_at(row, 1 + k));
		for (size_t q = 0; q < 2; q++)
			out->index_ok[q] = reply_int(reply_at(row, 1 + ENDPOINT_FIELDS_N + q)) == 1;
		out->claimed = reply_int(reply_at(row, 3 + ENDPOINT_FIELDS_N)) == 1;
		out->expiry_ms = reply_int(reply_at(row, 4 + ENDPOINT_FIELDS_N));
		if (!out->id)
			err = CF_EPROTO;
	}
	if (!err)
		after = reply_str(reply_at(reply, 0), NULL);
	w.done(w.arg, err, rows, err ? 0 : n, after && *after ? after : NULL);
}

/* Before the slice, whose times are Redis'. */
static void on_time(void *arg, int err, const struct reply *reply)
{
	const char *seconds = err ? NULL : reply_str(reply_at(reply, 0), NULL);

	(void)arg;
	if (seconds)
		queue_heard(strtoll(seconds, NULL, 10) * 1000);
}

void queue_audit(struct redis *r, const char *after, queue_audit_fn *done, void *arg)
{
	struct queue_args args = {0};
	struct auditing *w = mem_alloc(sizeof *w);

	*w = (struct auditing){done, arg};
	queue_args_adds(&args, after);
	queue_args_addi(&args, QUEUE_BATCH);
	redis_commandv(r, on_time, NULL, "TIME", NULL);
	queue_args_call(r, "audit", &args, on_audited, w);
}

void queue_reindex(struct redis *r, const char *id, const struct endpoint_field *x,
	int64_t expiry_ms, queue_done_fn *done, void *arg)
{
	struct queue_args args = {0};

	queue_args_adds(&args, id);
	queue_args_add(&args, x->bytes ? x->bytes : "", x->bytes ? x->len : 0);
	queue_args_addi(&args, expiry_ms);
	queue_args_call(r, "reindex", &args, queue_done_reply, queue_done_new(done, arg));
}

struct straying {
	queue_strays_fn *done;
	void *arg;
};

static void on_strays(void *arg, int err, const struct reply *reply)
{
	struct straying w = *(struct straying *)arg;
	_mem_free_ struct queue_stray *rows = NULL;
	const char *cursor = NULL;
	size_t n = 0;

	free(arg);
	err = queue_reply_err(err, reply, REPLY_ARRAY);
	if (!err)
		rows = mem_array(reply_len(reply) + 1, sizeof *rows);
	for (size_t i = 1; !err && i < reply_len(reply); i++) {
		const struct reply *row = reply_at(reply, i);

		rows[n].index = reply_str(reply_at(row, 0), NULL);
		rows[n].member = reply_str(reply_at(row, 1), NULL);
		if (!rows[n].index || !rows[n].member)
			err = CF_EPROTO;
		n++;
	}
	if (!err)
		cursor = reply_str(reply_at(reply, 0), NULL);
	w.done(w.arg, err, rows, err ? 0 : n, cursor && *cursor ? cursor : NULL);
}

void queue_strays(
	struct redis *r, const char *cursor, bool repair, queue_strays_fn *done, void *arg)
{
	struct queue_args args = {0};
	struct straying *w = mem_alloc(sizeof *w);

	*w = (struct straying){done, arg};
	queue_args_adds(&args, cursor);
	queue_args_addi(&args, repair);
	queue_args_call(r, "strays", &args, on_strays, w);
}

static void on_recounted(void *arg, int err, const struct reply *reply)
{
	struct straying w = *(struct straying *)arg;
	struct queue_stray rows[QUEUE_BATCH];
	size_t n = 0;

	free(arg);
	err = queue_reply_err(err, reply, REPLY_ARRAY);
	for (size_t i = 1; !err && i < reply_len(reply) && n < QUEUE_BATCH; i++)
		rows[n++] = (struct queue_stray){
			.index = "rt", .member = reply_str(reply_at(reply, i), NULL)};
	w.done(w.arg, err, rows, n, NULL);
}

void queue_recount(struct redis *r, enum queue_id q, bool repair, queue_strays_fn *done, void *arg)
{
	struct queue_args args = {0};
	struct straying *w = mem_alloc(sizeof *w);

	*w = (struct straying){done, arg};
	queue_args_adds(&args, queue_name(q));
	queue_args_addi(&args, repair);
	queue_args_call(r, "recount", &args, on_recounted, w);
}

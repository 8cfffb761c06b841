#include "common/mem.h"
#include "common/queue_internal.h"

#include <string.h>

/* The scheduler's calls: each goes out alone, pipelined. */

void queue_ask(struct redis *r, enum queue_id q, const char *id, const struct queue_plan *plan,
	bool force, queue_done_fn *done, void *arg)
{
	struct queue_args args = {0};

	queue_args_adds(&args, queue_name(q));
	queue_args_adds(&args, id);
	queue_args_add_plan(&args, plan);
	queue_args_addi(&args, force);
	queue_args_call(r, "ask", &args, queue_done_reply, queue_done_new(done, arg));
}

struct reaping {
	queue_reap_fn *done;
	void *arg;
};

static void on_reaped(void *arg, int err, const struct reply *reply)
{
	struct reaping w = *(struct reaping *)arg;
	struct queue_reaped counts = {0};

	free(arg);
	err = queue_reply_err(err, reply, REPLY_ARRAY);
	if (!err)
		counts = (struct queue_reaped){(size_t)reply_int(reply_at(reply, 0)),
			(size_t)reply_int(reply_at(reply, 1)),
			(size_t)reply_int(reply_at(reply, 2))};
	w.done(w.arg, err, &counts);
}

void queue_reap(struct redis *r, enum queue_id q, int64_t expect_ms, int64_t within_ms,
	queue_reap_fn *done, void *arg)
{
	struct queue_args args = {0};
	struct reaping *w = mem_alloc(sizeof *w);

	*w = (struct reaping){done, arg};
	queue_args_adds(&args, queue_name(q));
	if (expect_ms) {
		queue_args_addi(&args, expect_ms);
		queue_args_addi(&args, within_ms);
	}
	queue_args_call(r, "reap", &args, on_reaped, w);
}

struct trimming {
	queue_trim_fn *done;
	void *arg;
};

static void on_trimmed(void *arg, int err, const struct reply *reply)
{
	struct trimming w = *(struct trimming *)arg;
	struct queue_trimmed t = {.first = "", .group = ""};

	free(arg);
	err = queue_reply_err(err, reply, REPLY_ARRAY);
	if (!err && reply_len(reply) < 7)
		err = CF_EPROTO;
	if (!err)
		t = (struct queue_trimmed){
			.length = (size_t)reply_int(reply_at(reply, 0)),
			.taken = (size_t)reply_int(reply_at(reply, 1)),
			.lost = (size_t)reply_int(reply_at(reply, 2)),
			.first = reply_str(reply_at(reply, 3), NULL),
			.lost_in_all = reply_int(reply_at(reply, 4)),
			.lost_ago_ms = reply_int(reply_at(reply, 5)),
			.group = reply_str(reply_at(reply, 6), NULL),
		};
	w.done(w.arg, err, &t);
}

void queue_trim(struct redis *r, const char *stream, size_t cap, int64_t keep_ms, size_t step,
	queue_trim_fn *done, void *arg)
{
	struct queue_args args = {0};
	struct trimming *w = mem_alloc(sizeof *w);

	*w = (struct trimming){done, arg};
	queue_args_adds(&args, stream);
	queue_args_addi(&args, (int64_t)cap);
	queue_args_addi(&args, keep_ms);
	queue_args_addi(&args, (int64_t)step);
	queue_args_call(r, "trim", &args, on_trimmed, w);
}

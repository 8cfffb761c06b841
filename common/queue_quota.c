#include "common/queue_quota.h"

#include "common/mem.h"
#include "common/queue_internal.h"

struct reserving {
	quota_fn *done;
	void *arg;
};

static void add_items(struct queue_args *args, const struct quota_item *items, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		queue_args_adds(args, items[i].key);
		queue_args_addi(args, items[i].burst);
		queue_args_addi(args, items[i].period_ms);
		queue_args_addi(args, items[i].cost);
	}
}

static void on_reserved(void *arg, int err, const struct reply *reply)
{
	struct reserving w = *(struct reserving *)arg;
	struct quota_answer a = {0};

	free(arg);
	err = queue_reply_err(err, reply, REPLY_ARRAY);
	if (!err && reply_len(reply) < 3)
		err = CF_EPROTO;
	if (!err) {
		a.wait_ms = reply_int(reply_at(reply, 0));
		a.ticket_ms = reply_int(reply_at(reply, 1));
		a.which = a.wait_ms ? (size_t)reply_int(reply_at(reply, 2)) - 1 : 0;
	}
	w.done(w.arg, err, &a);
}

void quota_reserve(struct redis *r, const char *once, int64_t ticket_ms, bool priority,
	const struct quota_item *items, size_t n, quota_fn *done, void *arg)
{
	struct queue_args args = {0};
	struct reserving *w = mem_alloc(sizeof *w);

	*w = (struct reserving){done, arg};
	queue_args_adds(&args, "reserve");
	queue_args_adds(&args, once);
	queue_args_addi(&args, ticket_ms);
	queue_args_addi(&args, priority);
	add_items(&args, items, n);
	queue_args_call(r, "quota", &args, on_reserved, w);
}

/* The reply counts what was changed; that is no status. */
static void on_changed(void *arg, int err, const struct reply *reply)
{
	struct queue_done d = *(struct queue_done *)arg;

	free(arg);
	err = queue_reply_err(err, reply, REPLY_INT);
	if (d.done)
		d.done(d.arg, err);
}

void quota_refund(struct redis *r, const char *once, const struct quota_item *items, size_t n,
	queue_done_fn *done, void *arg)
{
	struct queue_args args = {0};

	queue_args_adds(&args, "refund");
	queue_args_adds(&args, once);
	add_items(&args, items, n);
	queue_args_call(r, "quota", &args, on_changed, queue_done_new(done, arg));
}

void quota_block(struct redis *r, const struct quota_item *item, int64_t until_ms,
	queue_done_fn *done, void *arg)
{
	struct queue_args args = {0};
	struct quota_item until = *item;

	until.cost = until_ms;
	queue_args_adds(&args, "block");
	add_items(&args, &until, 1);
	queue_args_call(r, "quota", &args, on_changed, queue_done_new(done, arg));
}

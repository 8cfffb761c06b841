#include "common/mem.h"
#include "common/queue_internal.h"

#define APPLY_BYTES (1u << 20)

struct applying {
	queue_apply_fn *done;
	void *arg;
};

static void on_applied(void *arg, int err, const struct reply *reply)
{
	struct applying w = *(struct applying *)arg;
	const char *conflict = NULL;
	bool dup = false;

	free(arg);
	err = queue_reply_err(err, reply, REPLY_ARRAY);
	if (!err && reply_len(reply) < 4)
		err = CF_EPROTO;
	if (!err) {
		err = (int)reply_int(reply_at(reply, 0));
		dup = reply_int(reply_at(reply, 1)) == 1;
		conflict = reply_str(reply_at(reply, 2), NULL);
	}
	w.done(w.arg, err, dup, conflict && *conflict ? conflict : NULL);
}

static void on_too_big(void *arg, int err, const struct reply *reply)
{
	struct applying w = *(struct applying *)arg;

	(void)reply;
	free(arg);
	w.done(w.arg, err ? err : CF_ETOOBIG, false, NULL);
}

void queue_apply(struct redis *r, const struct queue_apply *a, queue_apply_fn *done, void *arg)
{
	_buf_release_ struct buf packed = BUF_INIT(APPLY_BYTES);
	struct applying *w = mem_alloc(sizeof *w);
	struct queue_args args = {0};

	*w = (struct applying){done, arg};
	queue_pack_apply(a, &packed);
	if (buf_err(&packed)) {
		redis_commandv(r, on_too_big, w, "PING", NULL); /* to tell it later, as always */
		return;
	}
	queue_args_add(&args, packed.data, packed.len);
	queue_args_call(r, "apply", &args, on_applied, w);
}

/* --- the leader's lease */

struct holding {
	leader_fn *done;
	void *arg;
};

static void on_held(void *arg, int err, const struct reply *reply)
{
	struct holding w = *(struct holding *)arg;

	free(arg);
	err = queue_reply_err(err, reply, REPLY_ARRAY);
	if (!err && reply_len(reply) < 5)
		err = CF_EPROTO;
	if (!err)
		queue_heard(reply_int(reply_at(reply, 2)));
	if (err)
		w.done(w.arg, err, false, 0, 0, "");
	else
		w.done(w.arg, 0, reply_int(reply_at(reply, 0)) == 1,
			(uint64_t)reply_int(reply_at(reply, 1)), reply_int(reply_at(reply, 2)),
			reply_str(reply_at(reply, 3), NULL));
}

static struct queue_args leader_args(
	const char *verb, const char *nonce, uint64_t term, int64_t lease_ms)
{
	struct queue_args args = {0};

	queue_args_adds(&args, verb);
	queue_args_adds(&args, nonce);
	queue_args_addi(&args, (int64_t)term);
	queue_args_addi(&args, lease_ms);
	return args;
}

void leader_hold(struct redis *r, const char *nonce, uint64_t term, int64_t lease_ms,
	leader_fn *done, void *arg)
{
	struct queue_args args = leader_args("hold", nonce, term, lease_ms);
	struct holding *w = mem_alloc(sizeof *w);

	*w = (struct holding){done, arg};
	queue_args_call(r, "leader", &args, on_held, w);
}

static void on_resigned(void *arg, int err, const struct reply *reply)
{
	struct queue_done d = *(struct queue_done *)arg;

	free(arg);
	err = queue_reply_err(err, reply, REPLY_INT);
	if (d.done)
		d.done(d.arg, err ? err : reply_int(reply) == 1 ? 0 : CF_ELOST);
}

void leader_resign(
	struct redis *r, const char *nonce, uint64_t term, queue_done_fn *done, void *arg)
{
	struct queue_args args = leader_args("resign", nonce, term, 1);

	queue_args_call(r, "leader", &args, on_resigned, queue_done_new(done, arg));
}

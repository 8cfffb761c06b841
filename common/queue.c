#include "common/queue.h"

#include "common/mem.h"
#include "common/queue_internal.h"
#include "common/str.h"

#include <string.h>
#include <sys/random.h>

#define BATCH_BYTES  (1u << 20) /* a batch goes out early when it holds so much */
#define FINISH_BYTES (4u << 20)
#define BATCH_NAMES \
	100 /* and when it has so many names to look up: each costs the script as much as a job */
#define NONCE_BYTES 16

/* What is batched, in the order in which a turn's batches go out: a checkpoint before the finish
 * that follows it. */
enum op { OP_CHECKPOINT, OP_BEAT, OP_RELEASE, OP_FINISH, OPS_N };

static const struct {
	const char *script;
	size_t per_item; /* arguments */
} ops[OPS_N] = {
	[OP_CHECKPOINT] = {"checkpoint", 3},
	[OP_BEAT] = {"beat", 2},
	[OP_RELEASE] = {"release", 4},
	[OP_FINISH] = {"finish", 1},
};

struct item {
	queue_done_fn *done;
	queue_beat_fn *beat;
	void *arg;
	int refused; /* what CF_EINVAL stands for */
	bool barrier;
	bool remove; /* a finish that removes: gone is done */
};

/* One script call, gathered and then in flight. */
struct batch {
	struct queue *queue; /* NULL once the queue is freed */
	struct batch **at;   /* in the queue's list of those in flight */
	struct batch *next;
	enum op op;
	size_t n, told;
	size_t names; /* that the items release or leave authorizations for */
	struct item items[QUEUE_BATCH];
	struct queue_args args; /* of the items; each has ops[op].per_item */
};

struct taking {
	struct queue *queue; /* NULL once the queue is freed */
	queue_take_fn *done;
	void *arg;
};

struct queue {
	struct redis *redis;
	enum queue_id id;
	char *worker;
	int64_t lease_ms;
	struct barrier *barrier;
	uv_prepare_t turn; /* runs while a batch is open */
	struct batch *open[OPS_N];
	struct batch *flying;
	struct taking *taking;
	char nonce[2 * NONCE_BYTES +
		   1]; /* of the take in flight, or of one whose reply was lost; else "" */
};

struct redis *queue_redis(const struct queue *q)
{
	return q->redis;
}

enum queue_id queue_of(const struct queue *q)
{
	return q->id;
}

struct queue *queue_new(struct redis *redis, enum queue_id id, const char *worker, int64_t lease_ms)
{
	struct queue *q = mem_zalloc(sizeof *q);

	q->redis = redis;
	q->id = id;
	q->worker = mem_strdup(worker);
	q->lease_ms = lease_ms;
	uv_prepare_init(redis_loop(redis), &q->turn);
	q->turn.data = q;
	return q;
}

void queue_set_barrier(struct queue *q, struct barrier *b)
{
	q->barrier = b;
}

/* --- batches */

static void batch_free(struct batch *b)
{
	queue_args_release(&b->args);
	free(b);
}

static void batch_unlink(struct batch *b)
{
	if (!b->queue)
		return;
	*b->at = b->next;
	if (b->next)
		b->next->at = b->at;
	b->queue = NULL;
}

static void batch_link(struct queue *q, struct batch *b)
{
	b->queue = q;
	b->next = q->flying;
	b->at = &q->flying;
	if (b->next)
		b->next->at = &b->next;
	q->flying = b;
}

static void tell_item(struct batch *b, size_t i, int status)
{
	struct item *item = &b->items[i];
	const char *id = item->beat ? b->args.v[i * ops[b->op].per_item] : NULL;
	int err = status < 0 ? status : 0;

	if (err == CF_EINVAL && item->refused)
		err = item->refused;
	if (item->beat)
		item->beat(item->arg, err == CF_ELOST || err == CF_EGONE ? 0 : err, id,
			err == CF_ELOST || err == CF_EGONE, status == 1);
	else if (!err && item->barrier && b->queue && b->queue->barrier)
		barrier_wait(b->queue->barrier, b->queue->redis, item->done, item->arg);
	else if (item->done)
		item->done(item->arg, err == CF_EGONE && item->remove ? 0 : err);
}

/* Callbacks may free the queue, which then tells the rest. */
static void tell_rest(struct batch *b, int err)
{
	while (b->told < b->n)
		tell_item(b, b->told++, err);
}

static void batch_send(struct queue *q, struct batch *b);

/* One bad item must not take its neighbours with it: each goes alone. */
static void batch_split(struct queue *q, struct batch *b)
{
	size_t per = ops[b->op].per_item;

	for (; b->told < b->n && b->queue; b->told++) {
		struct batch *one = mem_zalloc(sizeof *one);

		one->op = b->op;
		one->n = 1;
		one->items[0] = b->items[b->told];
		for (size_t k = b->told * per; k < (b->told + 1) * per; k++)
			queue_args_add(&one->args, b->args.v[k], b->args.len[k]);
		batch_send(q, one);
	}
}

static void on_batch(void *arg, int err, const struct reply *reply)
{
	struct batch *b = arg;

	err = queue_reply_err(err, reply, REPLY_ARRAY);
	if (!err && reply_len(reply) != b->n)
		err = CF_EPROTO;
	if (err == CF_EINVAL && b->n > 1 && b->queue)
		batch_split(b->queue, b);
	else if (err)
		tell_rest(b, err);
	while (b->told < b->n) {
		size_t i = b->told++;

		tell_item(b, i, (int)reply_int(reply_at(reply, i)));
	}
	batch_unlink(b);
	batch_free(b);
}

static void batch_send(struct queue *q, struct batch *b)
{
	struct queue_args args = {0};

	batch_link(q, b);
	queue_args_adds(&args, queue_name(q->id));
	if (b->op == OP_BEAT)
		queue_args_addi(&args, q->lease_ms);
	for (size_t i = 0; i < b->args.n; i++)
		queue_args_add(&args, b->args.v[i], b->args.len[i]);
	queue_args_call(q->redis, ops[b->op].script, &args, on_batch, b);
}

/* All of them, so that calls on one job stay in order. */
void queue_flush(struct queue *q)
{
	uv_prepare_stop(&q->turn);
	for (int op = 0; op < OPS_N; op++)
		if (q->open[op])
			batch_send(q, q->open[op]);
	memset(q->open, 0, sizeof q->open);
}

static void on_turn(uv_prepare_t *turn)
{
	queue_flush(turn->data);
}

static struct batch *batch_open(struct queue *q, enum op op, struct item item)
{
	struct batch *b = q->open[op];

	if (b && (b->n == QUEUE_BATCH || b->args.bytes > BATCH_BYTES || b->names >= BATCH_NAMES)) {
		queue_flush(q);
		b = NULL;
	}
	if (!b) {
		b = mem_zalloc(sizeof *b);
		b->op = op;
		q->open[op] = b;
		uv_prepare_start(&q->turn, on_turn);
	}
	b->items[b->n++] = item;
	return b;
}

/* --- take */

static void new_nonce(struct queue *q)
{
	unsigned char bytes[NONCE_BYTES];

	if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
		abort();
	str_hex(bytes, sizeof bytes, q->nonce);
}

static void read_job(const struct queue *q, const struct reply *row, struct queue_job *j)
{
	*j = (struct queue_job){
		.id = reply_str(reply_at(row, 0), NULL),
		.token = reply_str(reply_at(row, 1), NULL),
		.attempt = (uint32_t)reply_int(reply_at(row, 2)),
		.lapses = (uint32_t)reply_int(reply_at(row, 3)),
		.intent = (enum job_intent)reply_int(reply_at(row, 4)),
		.lane = (enum job_lane)reply_int(reply_at(row, 5)),
		.want = (uint64_t)reply_int(reply_at(row, 6)),
		.lease_ms = q->lease_ms,
		.key = queue_reply_field(reply_at(row, 7 + ENDPOINT_FIELDS_N)),
		.conditions = queue_reply_field(reply_at(row, 8 + ENDPOINT_FIELDS_N)),
	};
	for (size_t i = 0; i < ENDPOINT_FIELDS_N; i++)
		j->fields[i] = queue_reply_field(reply_at(row, 7 + i));
}

static void on_taken(void *arg, int err, const struct reply *reply)
{
	struct taking t = *(struct taking *)arg;
	struct queue_job jobs[QUEUE_BATCH];
	size_t n = 0;

	free(arg);
	if (!t.queue)
		return; /* told by queue_free() */
	t.queue->taking = NULL;
	err = queue_reply_err(err, reply, REPLY_ARRAY);
	if (!err && (reply_len(reply) < 2 || reply_len(reply) > 2 + QUEUE_BATCH))
		err = CF_EPROTO;
	for (size_t i = 2; !err && i < reply_len(reply); i++) {
		read_job(t.queue, reply_at(reply, i), &jobs[n]);
		if (!jobs[n].id || !jobs[n].token)
			err = CF_EPROTO;
		n++;
	}
	if (!err) {
		t.queue->nonce[0] = 0;
		queue_heard(reply_int(reply_at(reply, 0)));
	}
	t.done(t.arg, err, jobs, err ? 0 : n, err ? 1000 : reply_int(reply_at(reply, 1)));
}

void queue_take(struct queue *q, size_t n, size_t slots, size_t running, unsigned suspects,
	queue_take_fn *done, void *arg)
{
	struct queue_args args = {0};

	if (q->taking)
		abort(); /* one at a time */
	q->taking = mem_alloc(sizeof *q->taking);
	*q->taking = (struct taking){q, done, arg};
	if (!q->nonce[0])
		new_nonce(q);
	queue_args_adds(&args, queue_name(q->id));
	queue_args_adds(&args, q->worker);
	queue_args_adds(&args, q->nonce);
	queue_args_addi(&args, (int64_t)(n < QUEUE_BATCH ? n : QUEUE_BATCH));
	queue_args_addi(&args, q->lease_ms);
	queue_args_addi(&args, (int64_t)slots);
	queue_args_addi(&args, (int64_t)running);
	queue_args_addi(&args, suspects);
	queue_args_call(q->redis, "take", &args, on_taken, q->taking);
}

/* --- what a running job writes */

void queue_beat(struct queue *q, const char *const *ids, const char *const *tokens, size_t n,
	queue_beat_fn *fn, void *arg)
{
	for (size_t i = 0; i < n; i++) {
		struct item item = {.beat = fn, .arg = arg};
		struct batch *b = batch_open(q, OP_BEAT, item);

		queue_args_adds(&b->args, ids[i]);
		queue_args_adds(&b->args, tokens[i]);
	}
}

void queue_checkpoint(struct queue *q, const char *id, const char *token, const void *bytes,
	size_t n, bool barrier, queue_done_fn *done, void *arg)
{
	struct item item = {.done = done, .arg = arg, .barrier = barrier};
	struct batch *b = batch_open(q, OP_CHECKPOINT, item);

	queue_args_adds(&b->args, id);
	queue_args_adds(&b->args, token);
	queue_args_add(&b->args, bytes, bytes ? n : 0);
}

void queue_finish(struct queue *q, const struct queue_finish *f, queue_done_fn *done, void *arg)
{
	_buf_release_ struct buf packed = BUF_INIT(FINISH_BYTES);
	struct item item = {.done = done, .arg = arg, .remove = f->remove};
	struct batch *b;

	queue_pack_finish(f, &packed);
	item.refused = buf_err(&packed);
	b = batch_open(q, OP_FINISH, item);
	b->names += f->authzs_n + f->dropped_n;
	queue_args_add(&b->args, packed.data, item.refused ? 0 : packed.len); /* none is refused */
}

void queue_release(struct queue *q, const char *id, const char *token, int64_t due_ms,
	const char *why, queue_done_fn *done, void *arg)
{
	struct item item = {.done = done, .arg = arg};
	struct batch *b = batch_open(q, OP_RELEASE, item);

	queue_args_adds(&b->args, id);
	queue_args_adds(&b->args, token);
	queue_args_addi(&b->args, queue_due(due_ms));
	queue_args_add(&b->args, why ? why : "", why ? strnlen(why, 64) : 0);
}

/* --- the end */

static void on_closed(uv_handle_t *h)
{
	struct queue *q = h->data;

	free(q->worker);
	free(q);
}

static void cancel(struct batch *b)
{
	batch_unlink(b);
	tell_rest(b, CF_ECANCELED);
}

void queue_free(struct queue *q)
{
	if (!q)
		return;
	for (int op = 0; op < OPS_N; op++) {
		struct batch *b = q->open[op];

		if (!b)
			continue;
		q->open[op] = NULL;
		tell_rest(b, CF_ECANCELED);
		batch_free(b);
	}
	while (q->flying)
		cancel(q->flying);
	if (q->taking) {
		struct taking t = *q->taking;

		q->taking->queue = NULL;
		q->taking = NULL;
		t.done(t.arg, CF_ECANCELED, NULL, 0, 1000);
	}
	uv_prepare_stop(&q->turn);
	uv_close((uv_handle_t *)&q->turn, on_closed);
}

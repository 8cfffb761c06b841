/* queue_internal.h - what common/queue*.c share; nobody else includes it.
 *
 * Scripts answer with the values of enum cf_err for what they judged, and with the error
 * "CFERR ECODE sentence" for arguments that they refused as a whole.
 */
#pragma once

#include "common/queue.h"

/** Arguments of a script call, copied. */
struct queue_args {
	char **v;    /* owned */
	size_t *len; /* owned */
	size_t n, cap;
	size_t bytes;
};

void queue_args_add(struct queue_args *a, const void *bytes, size_t n);
void queue_args_adds(struct queue_args *a, const char *s);
void queue_args_addi(struct queue_args *a, int64_t v);
void queue_args_add_plan(struct queue_args *a, const struct queue_plan *plan);
void queue_args_release(struct queue_args *a);
void queue_args_call(
	struct redis *r, const char *script, struct queue_args *a, redis_reply_fn *done, void *arg);

/** What a call came to, when its reply should be of that type: 0, err as redis.h gives it, what a
 * CFERR reply says, CF_EPROTO. */
int queue_reply_err(int err, const struct reply *reply, enum reply_type type);
/** The same for a reply that is one status. */
int queue_reply_status(int err, const struct reply *reply);

/** The field's bytes as a reply has them; absent when nil. */
struct endpoint_field queue_reply_field(const struct reply *reply);

struct queue_done {
	queue_done_fn *done;
	void *arg;
};
/** arg for queue_done_reply(), owned by it. */
struct queue_done *queue_done_new(queue_done_fn *done, void *arg);
/** A redis_reply_fn for a reply that is one status, or an array of one. */
void queue_done_reply(void *arg, int err, const struct reply *reply);

/** As the scripts take it: 0, now by Redis' clock, for what is due by ours, which may be ahead. */
int64_t queue_due(int64_t due_ms);
/** Redis said what time it is. */
void queue_heard(int64_t redis_ms);
void queue_pack_finish(const struct queue_finish *f, struct buf *out);
void queue_pack_apply(const struct queue_apply *a, struct buf *out);

/** The queue's connection and queue id, for calls that are not batched. */
struct redis *queue_redis(const struct queue *q);
enum queue_id queue_of(const struct queue *q);

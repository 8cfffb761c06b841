#include "common/clock.h"
#include "common/mem.h"
#include "common/queue.h"
#include "common/str.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* WAIT looks at the last write of its own connection, and blocks it. So a round goes
 *
 *	the caller's connection:  SET barrier:ID nonce      after all that was written on it before
 *	the barrier's own:        GETDEL barrier:ID         must give the nonce: the same Redis; a
 *write WAIT replicas timeout     so that this covers all of the above
 *
 * Who comes while a round is on the way waits for the next one, together.
 */

#define NONCE_BYTES 16
#define LATE_MS     (20 * CLOCK_SECOND_MS) /* nobody asked since: it may be well again */

struct waiter {
	struct waiter *next;
	struct redis *redis;
	queue_done_fn *done;
	void *arg;
};

struct barrier {
	struct redis *own; /* NULL without replicas */
	uint32_t replicas;
	int64_t timeout_ms;
	struct waiter *queued, **tail;
	struct waiter *round; /* NULL: none on the way */
	char nonce[2 * NONCE_BYTES + 1];
	char *key;
	uint32_t steps;  /* callbacks of Redis still to come */
	int err;         /* of this round */
	int64_t late_ms; /* when a round lacked acknowledgements, monotonic; 0: the last did not */
	bool freed;
};

static void ignore_state(void *arg, bool up, const struct why *why)
{
	(void)arg;
	(void)up;
	(void)why;
}

struct barrier *barrier_new(
	uv_loop_t *loop, const struct redis_options *options, uint32_t replicas, int64_t timeout_ms)
{
	struct barrier *b = mem_zalloc(sizeof *b);
	int64_t deadline_ms = options->timeout_ms ? options->timeout_ms : 5000;
	unsigned char id[8];

	b->tail = &b->queued;
	b->replicas = replicas;
	b->timeout_ms = timeout_ms < deadline_ms * 4 / 5 ? timeout_ms : deadline_ms * 4 / 5;
	if (!replicas)
		return b;
	if (getrandom(id, sizeof id, 0) != (ssize_t)sizeof id)
		abort();
	str_hex(id, sizeof id, b->nonce);
	b->own = redis_new(loop, options, ignore_state, NULL);
	b->key = mem_printf("%sbarrier:%s", redis_prefix(b->own), b->nonce);
	return b;
}

static void tell(struct waiter *list, int err)
{
	while (list) {
		struct waiter w = *list;

		free(list);
		list = w.next;
		if (w.done)
			w.done(w.arg, err);
	}
}

static void destroy(struct barrier *b)
{
	free(b->key);
	free(b);
}

static void next_round(struct barrier *b);

static void step(struct barrier *b, int err)
{
	struct waiter *round;

	if (err && !b->err)
		b->err = err;
	if (--b->steps)
		return;
	if (b->freed) {
		destroy(b);
		return;
	}
	round = b->round;
	b->round = NULL;
	b->steps++; /* a callback may free the barrier */
	tell(round, b->err);
	b->steps--;
	if (b->freed)
		destroy(b);
	else
		next_round(b);
}

static void on_getdel(void *arg, int err, const struct reply *reply)
{
	struct barrier *b = arg;
	const char *nonce = err ? NULL : reply_str(reply, NULL);

	step(b, err ? err : str_eq(nonce, b->nonce) ? 0 : CF_EAGAIN);
}

static void on_wait(void *arg, int err, const struct reply *reply)
{
	struct barrier *b = arg;

	bool enough = !err && reply_int(reply) >= (int64_t)b->replicas;

	if (!err)
		b->late_ms = enough ? 0 : clock_mono_ms();
	step(b, err ? err : enough ? 0 : CF_EAGAIN);
}

bool barrier_is_late(const struct barrier *b)
{
	return b && b->late_ms && clock_mono_ms() - b->late_ms < LATE_MS;
}

static void on_set(void *arg, int err, const struct reply *reply)
{
	struct barrier *b = arg;
	char replicas[16], timeout[24];

	(void)reply;
	if (!err && !b->freed) {
		snprintf(replicas, sizeof replicas, "%u", b->replicas);
		snprintf(timeout, sizeof timeout, "%lld", (long long)b->timeout_ms);
		b->steps += 2;
		redis_commandv(b->own, on_getdel, b, "GETDEL", b->key, NULL);
		redis_commandv(b->own, on_wait, b, "WAIT", replicas, timeout, NULL);
	}
	step(b, err);
}

/* Takes all who wait on the same connection as the first. */
static void next_round(struct barrier *b)
{
	struct waiter **round = &b->round, **at = &b->queued;
	unsigned char nonce[NONCE_BYTES];
	struct redis *redis;

	if (b->round || !b->queued)
		return;
	redis = b->queued->redis;
	while (*at) {
		struct waiter *w = *at;

		if (w->redis != redis) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		w->next = NULL;
		*round = w;
		round = &w->next;
	}
	b->tail = at;
	if (getrandom(nonce, sizeof nonce, 0) != (ssize_t)sizeof nonce)
		abort();
	str_hex(nonce, sizeof nonce, b->nonce);
	b->err = 0;
	b->steps = 1;
	redis_commandv(redis, on_set, b, "SET", b->key, b->nonce, "PX", "60000", NULL);
}

void barrier_wait(struct barrier *b, struct redis *redis, queue_done_fn *done, void *arg)
{
	struct waiter *w;

	if (!b || !b->replicas) {
		done(arg, 0);
		return;
	}
	w = mem_zalloc(sizeof *w);
	*w = (struct waiter){.redis = redis, .done = done, .arg = arg};
	*b->tail = w;
	b->tail = &w->next;
	next_round(b);
}

void barrier_free(struct barrier *b)
{
	struct waiter *queued, *round;

	if (!b)
		return;
	queued = b->queued;
	round = b->round;
	b->queued = b->round = NULL;
	b->tail = &b->queued;
	b->freed = true;
	b->steps++;
	tell(round, CF_ECANCELED);
	tell(queued, CF_ECANCELED);
	redis_free(b->own);
	if (--b->steps == 0)
		destroy(b);
}

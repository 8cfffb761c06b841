#include "common/clock.h"
#include "common/mem.h"
#include "common/queue_internal.h"

#include <stdio.h>
#include <string.h>

void queue_args_add(struct queue_args *a, const void *bytes, size_t n)
{
	if (a->n == a->cap) {
		a->cap = a->cap ? 2 * a->cap : 16;
		a->v = mem_grow(a->v, a->cap, sizeof *a->v);
		a->len = mem_grow(a->len, a->cap, sizeof *a->len);
	}
	a->v[a->n] = mem_alloc(n + 1);
	if (n)
		memcpy(a->v[a->n], bytes, n);
	a->v[a->n][n] = 0;
	a->len[a->n++] = n;
	a->bytes += n;
}

void queue_args_adds(struct queue_args *a, const char *s)
{
	queue_args_add(a, s ? s : "", s ? strlen(s) : 0);
}

void queue_args_addi(struct queue_args *a, int64_t v)
{
	char text[24];

	snprintf(text, sizeof text, "%lld", (long long)v);
	queue_args_adds(a, text);
}

void queue_args_add_plan(struct queue_args *a, const struct queue_plan *plan)
{
	queue_args_addi(a, plan->intent);
	queue_args_addi(a, plan->lane);
	queue_args_addi(a, queue_due(plan->due_ms));
	queue_args_add(a, plan->why ? plan->why : "", plan->why ? strnlen(plan->why, 64) : 0);
}

void queue_args_release(struct queue_args *a)
{
	for (size_t i = 0; i < a->n; i++)
		free(a->v[i]);
	free(a->v);
	free(a->len);
	*a = (struct queue_args){0};
}

void queue_args_call(
	struct redis *r, const char *script, struct queue_args *a, redis_reply_fn *done, void *arg)
{
	redis_script(r, script, a->n, (const char *const *)a->v, a->len, done, arg);
	queue_args_release(a);
}

static int refused(const struct reply *reply)
{
	static const struct {
		const char *name;
		int err;
	} codes[] = {
#define CODE(name, value, text) {#name, CF_##name},
		CF_ERRORS(CODE)
#undef CODE
	};
	const char *text = reply ? reply_str(reply, NULL) : NULL;

	if (!text || strncmp(text, "CFERR ", 6) != 0)
		return CF_EREDIS;
	text += 6;
	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		size_t n = strlen(codes[i].name);

		if (!strncmp(text, codes[i].name, n) && text[n] == ' ')
			return codes[i].err;
	}
	return CF_EREDIS;
}

int queue_reply_err(int err, const struct reply *reply, enum reply_type type)
{
	if (err == CF_EREDIS)
		return refused(reply);
	if (err)
		return err;
	return reply_type(reply) == type ? 0 : CF_EPROTO;
}

int queue_reply_status(int err, const struct reply *reply)
{
	if (!err && reply_type(reply) == REPLY_ARRAY && reply_len(reply) == 1)
		reply = reply_at(reply, 0);
	err = queue_reply_err(err, reply, REPLY_INT);
	return err ? err : (int)reply_int(reply);
}

static int64_t ahead_ms; /* of the one Redis that a process has */

void queue_heard(int64_t redis_ms)
{
	int64_t ahead = redis_ms - clock_wall_ms();

	ahead_ms = llabs(ahead) < CLOCK_SECOND_MS ? 0 : ahead;
}

int64_t queue_clock_ahead(void)
{
	return ahead_ms;
}

int64_t queue_due(int64_t due_ms)
{
	int64_t due = due_ms + ahead_ms;

	return due_ms > clock_wall_ms() && due > 0 ? due : 0;
}

struct endpoint_field queue_reply_field(const struct reply *reply)
{
	struct endpoint_field f = {0};

	f.bytes = reply_str(reply, &f.len);
	if (!f.bytes)
		f.len = 0;
	return f;
}

struct queue_done *queue_done_new(queue_done_fn *done, void *arg)
{
	struct queue_done *d = mem_alloc(sizeof *d);

	*d = (struct queue_done){done, arg};
	return d;
}

void queue_done_reply(void *arg, int err, const struct reply *reply)
{
	struct queue_done d = *(struct queue_done *)arg;

	free(arg);
	err = queue_reply_status(err, reply);
	if (d.done)
		d.done(d.arg, err);
}

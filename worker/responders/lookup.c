#include "worker/responders/lookup.h"

#include "common/buf.h"
#include "common/mem.h"

#include <stdint.h>
#include <string.h>

enum { BUCKETS = 1024, LEAST_WAITERS = 64 };

struct flight {
	struct flight *next; /* in its bucket */
	struct lookup *l;
	struct lookup_waiter *now;   /* for the read under way */
	struct lookup_waiter *later; /* came after it was sent */
	struct lookup_waiter **later_end;
	char key[];
};

struct lookup {
	struct redis *redis;
	const char *command;
	char *prefix;
	size_t n_reads, max_reads, n_waiters;
	bool freed;
	struct flight *buckets[BUCKETS];
};

struct lookup *lookup_new(
	struct redis *redis, const char *command, const char *kind, size_t max_reads)
{
	struct lookup *l = mem_zalloc(sizeof(*l));

	l->redis = redis;
	l->command = command;
	l->prefix = mem_printf("%s%s", redis_prefix(redis), kind);
	l->max_reads = max_reads;
	return l;
}

static void maybe_free(struct lookup *l)
{
	if (!l->freed || l->n_reads)
		return;
	free(l->prefix);
	free(l);
}

static struct flight **bucket(struct lookup *l, const char *key)
{
	uint32_t h = 2166136261u;

	for (; *key; key++)
		h = (h ^ (uint8_t)*key) * 16777619u;
	return &l->buckets[(h ^ h >> 15) % BUCKETS];
}

static void call(struct lookup *l, struct lookup_waiter *list, int err, const struct reply *reply)
{
	while (list) {
		struct lookup_waiter *w = list;
		list = w->next;
		l->n_waiters--;
		w->done(w, err, reply);
	}
}

static void on_reply(void *arg, int err, const struct reply *reply);

static void flight_send(struct flight *f)
{
	struct buf key = BUF_INIT(4096);

	f->now = f->later;
	f->later = NULL;
	f->later_end = &f->later;
	buf_adds(&key, f->l->prefix);
	buf_adds(&key, f->key);
	redis_commandv(f->l->redis, on_reply, f, f->l->command, buf_cstr(&key), NULL);
	buf_release(&key);
}

static void flight_end(struct flight *f)
{
	struct flight **p = bucket(f->l, f->key);

	while (*p != f)
		p = &(*p)->next;
	*p = f->next;
	free(f);
}

static void on_reply(void *arg, int err, const struct reply *reply)
{
	struct flight *f = arg;
	struct lookup *l = f->l;

	if (!l->freed)
		call(l, mem_steal(f->now), err, reply);
	if (f->later && !l->freed) {
		flight_send(f);
		return;
	}
	flight_end(f);
	l->n_reads--;
	maybe_free(l);
}

static struct flight *flight_new(struct lookup *l, const char *key)
{
	size_t n = strlen(key) + 1;
	struct flight *f = mem_zalloc(sizeof(*f) + n), **b = bucket(l, key);

	memcpy(f->key, key, n);
	f->l = l;
	f->later_end = &f->later;
	f->next = *b;
	*b = f;
	l->n_reads++;
	return f;
}

bool lookup_start(struct lookup *l, const char *key, struct lookup_waiter *w)
{
	struct flight *f = *bucket(l, key);

	if (!redis_is_up(l->redis) || l->n_waiters >= 4 * l->max_reads + LEAST_WAITERS)
		return false;
	while (f && strcmp(f->key, key) != 0)
		f = f->next;
	bool found = f != NULL;
	if (!found && l->n_reads >= l->max_reads)
		return false;
	if (!found)
		f = flight_new(l, key);
	w->next = NULL;
	*f->later_end = w;
	f->later_end = &w->next;
	l->n_waiters++;
	if (!found)
		flight_send(f);
	return true;
}

void lookup_free(struct lookup *l)
{
	if (!l)
		return;
	l->freed = true;
	l->n_reads++; /* so that nothing is freed meanwhile */
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct flight *f = l->buckets[i]; f; f = f->next) {
			f->later_end = &f->later;
			call(l, mem_steal(f->now), CF_ECANCELED, NULL);
			call(l, mem_steal(f->later), CF_ECANCELED, NULL);
		}
	l->n_reads--;
	maybe_free(l);
}

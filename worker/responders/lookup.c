#include "worker/responders/lookup.h"

#include "common/buf.h"
#include "common/mem.h"

#include <stdint.h>
#include <string.h>

enum { BUCKETS = 1024, LEAST_WAITERS = 64, TICK_MS = 20 };

/*
 *	            sent                     answered
 *	lookup_start ──► under way ───────────────────────► gone
 *	     │             │   ▲  └── waiters came since ──┐
 *	     │ Redis is    │   │ Redis is back             ▼
 *	     └── away ──►  held ◄── the connection broke ── under way again
 *	                    └── its waiters waited long enough ──► gone
 */
struct flight {
	struct flight *next;      /* in its bucket */
	struct flight *next_held; /* while it is held */
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
	struct flight *held; /* nothing of theirs is at Redis */
	uv_timer_t tick;     /* runs while there are any */
	bool tick_closed;
	struct flight *buckets[BUCKETS];
};

static void on_tick(uv_timer_t *timer);

struct lookup *lookup_new(
	struct redis *redis, const char *command, const char *kind, size_t max_reads)
{
	struct lookup *l = mem_zalloc(sizeof(*l));

	l->redis = redis;
	l->command = command;
	l->prefix = mem_printf("%s%s", redis_prefix(redis), kind);
	l->max_reads = max_reads;
	uv_timer_init(redis_loop(redis), &l->tick);
	l->tick.data = l;
	return l;
}

static void maybe_free(struct lookup *l)
{
	if (!l->freed || l->n_reads || !l->tick_closed)
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

/* --- while Redis is away */

static void hold(struct flight *f)
{
	struct lookup *l = f->l;

	f->next_held = l->held;
	l->held = f;
	if (!uv_is_active((uv_handle_t *)&l->tick))
		uv_timer_start(&l->tick, on_tick, TICK_MS, TICK_MS);
}

/* Whose read failed waits on with those who came since. */
static void wait_on(struct flight *f)
{
	struct lookup_waiter **end = &f->now;

	while (*end)
		end = &(*end)->next;
	if (!f->now)
		return;
	*end = f->later;
	if (!f->later)
		f->later_end = end;
	f->later = mem_steal(f->now);
}

/* They came in order of their time. */
static void tell_late(struct flight *f, uint64_t now_ms)
{
	while (f->later && f->later->until_ms <= now_ms) {
		struct lookup_waiter *w = f->later;

		f->later = w->next;
		if (!f->later)
			f->later_end = &f->later;
		w->next = NULL;
		call(f->l, w, CF_ECONN, NULL);
	}
}

/* Of a flight that is not at Redis. */
static void go_on(struct flight *f)
{
	struct lookup *l = f->l;

	tell_late(f, uv_now(l->tick.loop));
	if (!f->later || l->freed) {
		flight_end(f);
		l->n_reads--;
	} else if (redis_is_up(l->redis)) {
		flight_send(f);
	} else {
		hold(f);
	}
}

static void on_tick(uv_timer_t *timer)
{
	struct lookup *l = timer->data;
	struct flight *f = mem_steal(l->held);

	while (f) {
		struct flight *next = f->next_held;

		go_on(f);
		f = next;
	}
	if (!l->held)
		uv_timer_stop(timer);
}

static void on_reply(void *arg, int err, const struct reply *reply)
{
	struct flight *f = arg;
	struct lookup *l = f->l;

	if (!l->freed && (err == CF_ECONN || err == CF_ETIMEDOUT))
		wait_on(f);
	else if (!l->freed)
		call(l, mem_steal(f->now), err, reply);
	go_on(f);
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

	if (l->n_waiters >= 4 * l->max_reads + LEAST_WAITERS)
		return false;
	while (f && strcmp(f->key, key) != 0)
		f = f->next;
	bool found = f != NULL;
	if (!found && l->n_reads >= l->max_reads)
		return false;
	if (!found)
		f = flight_new(l, key);
	w->next = NULL;
	w->until_ms = uv_now(l->tick.loop) + LOOKUP_HOLD_MS;
	*f->later_end = w;
	f->later_end = &w->next;
	l->n_waiters++;
	if (!found && redis_is_up(l->redis))
		flight_send(f);
	else if (!found)
		hold(f);
	return true;
}

static void tick_closed(uv_handle_t *h)
{
	struct lookup *l = h->data;

	l->tick_closed = true;
	maybe_free(l);
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
	on_tick(&l->tick); /* ends what is held */
	uv_close((uv_handle_t *)&l->tick, tick_closed);
	l->n_reads--;
	maybe_free(l);
}

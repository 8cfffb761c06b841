#include "worker/dns/gate.h"

#include "common/mem.h"

#include <string.h>

enum { FIRST_SLOTS = 64 };

struct slot {
	struct addr addr; /* zeroed: free */
	unsigned silent;
	int64_t silent_ms;
	int64_t next_us; /* GCRA's theoretical arrival time */
};

struct gate {
	int64_t interval_us, burst_us;
	size_t max, n, n_slots; /* n_slots: a power of two, at most half full */
	struct slot *slots;
};

struct gate *gate_new(unsigned per_second, size_t max)
{
	struct gate *g = mem_zalloc(sizeof(*g));

	g->interval_us = per_second ? 1000000 / per_second : 0;
	g->burst_us = 500000;
	g->max = max ? max : 1;
	g->n_slots = FIRST_SLOTS;
	g->slots = mem_array(g->n_slots, sizeof(*g->slots));
	return g;
}

void gate_free(struct gate *g)
{
	if (!g)
		return;
	free(g->slots);
	free(g);
}

static uint64_t hash_of(const struct addr *a)
{
	uint64_t h = 14695981039346656037u ^ addr_port(a);
	const uint8_t *p = a->sa.sa_family == AF_INET ? (const uint8_t *)&a->in.sin_addr
						      : a->in6.sin6_addr.s6_addr;
	size_t n = a->sa.sa_family == AF_INET ? 4 : 16;

	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * 1099511628211u;
	return h ^ h >> 29;
}

/* Its slot, or the free one where it would stand. */
static struct slot *slot_of(const struct gate *g, const struct addr *a)
{
	size_t i = hash_of(a) & (g->n_slots - 1);

	while (addr_len(&g->slots[i].addr) && !addr_equal(&g->slots[i].addr, a))
		i = (i + 1) & (g->n_slots - 1);
	return &g->slots[i];
}

static bool idle(const struct slot *s, int64_t now_ms)
{
	return s->next_us <= now_ms * 1000 &&
	       (!s->silent || now_ms - s->silent_ms > GATE_SILENCE_MS);
}

/* A new table of n_slots, without those that may be forgotten. */
static void rebuild(struct gate *g, size_t n_slots, bool forget, int64_t now_ms)
{
	struct slot *old = g->slots;
	size_t n_old = g->n_slots;

	g->n_slots = n_slots;
	g->n = 0;
	g->slots = mem_array(n_slots, sizeof(*g->slots));
	for (size_t i = 0; i < n_old; i++) {
		if (!addr_len(&old[i].addr) || (forget && idle(&old[i], now_ms)))
			continue;
		*slot_of(g, &old[i].addr) = old[i];
		g->n++;
	}
	free(old);
}

/* NULL: full of those that are busy. */
static struct slot *slot_add(struct gate *g, const struct addr *a, int64_t now_ms)
{
	struct slot *s = slot_of(g, a);

	if (addr_len(&s->addr))
		return s;
	if (g->n == g->max)
		rebuild(g, g->n_slots, true, now_ms);
	else if (2 * (g->n + 1) > g->n_slots)
		rebuild(g, 2 * g->n_slots, false, now_ms);
	if (g->n == g->max)
		return NULL;
	s = slot_of(g, a);
	*s = (struct slot){.addr = *a};
	g->n++;
	return s;
}

int64_t gate_take(struct gate *g, const struct addr *a, int64_t now_ms)
{
	struct slot *s = slot_add(g, a, now_ms);

	if (!s)
		return -1;
	int64_t now_us = now_ms * 1000, at = s->next_us > now_us ? s->next_us : now_us;
	int64_t wait_us = at - now_us - g->burst_us;
	if (wait_us > GATE_WAIT_MS * 1000)
		return -1;
	s->next_us = at + g->interval_us;
	return wait_us > 0 ? (wait_us + 999) / 1000 : 0;
}

void gate_note(struct gate *g, const struct addr *a, bool answered, int64_t now_ms)
{
	struct slot *s = answered ? slot_of(g, a) : slot_add(g, a, now_ms);

	if (!s || !addr_len(&s->addr))
		return;
	s->silent = answered ? 0 : s->silent + 1;
	s->silent_ms = now_ms;
}

unsigned gate_silence(const struct gate *g, const struct addr *a, int64_t now_ms)
{
	const struct slot *s = slot_of(g, a);

	return addr_len(&s->addr) && now_ms - s->silent_ms <= GATE_SILENCE_MS ? s->silent : 0;
}

size_t gate_n(const struct gate *g)
{
	return g->n;
}

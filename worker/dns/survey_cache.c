#include "common/mem.h"
#include "worker/dns/survey_internal.h"

#include <string.h>

struct budget *budget_keep(struct budget *b)
{
	b->refs++;
	return b;
}

void budget_drop(struct budget *b)
{
	if (b && !--b->refs)
		free(b);
}

/* --- zones */

struct zone *zone_new(const char *apex)
{
	size_t n = strlen(apex) + 1;
	struct zone *z = mem_zalloc(sizeof(*z) + n);

	memcpy(z->apex, apex, n);
	z->refs = 1;
	list_init(&z->lru);
	list_init(&z->waiters);
	list_init(&z->scouts);
	return z;
}

struct zone *zone_keep(struct zone *z)
{
	z->refs++;
	return z;
}

void zone_drop(struct zone *z)
{
	while (z && !--z->refs) {
		struct zone *parent = z->parent;

		for (size_t i = 0; i < z->n_ns; i++) {
			free(z->ns[i].name);
			free(z->ns[i].addresses);
		}
		free(z->ns);
		free(z);
		z = parent;
	}
}

struct zone_ns *zone_add_ns(struct zone *z, const char *name)
{
	for (size_t i = 0; i < z->n_ns; i++)
		if (strcmp(z->ns[i].name, name) == 0)
			return &z->ns[i];
	if (z->n_ns == FACT_NS_MAX)
		return NULL;
	z->ns = mem_grow(z->ns, z->n_ns + 1, sizeof(*z->ns));
	z->ns[z->n_ns] = (struct zone_ns){.name = mem_strdup(name)};
	return &z->ns[z->n_ns++];
}

void zone_ns_add(struct zone_ns *ns, const struct addr *a, uint16_t port)
{
	for (size_t i = 0; i < ns->n; i++)
		if (addr_equal_host(&ns->addresses[i], a))
			return;
	if (ns->n == DELEGATION_ADDRESSES_MAX)
		return;
	ns->addresses = mem_grow(ns->addresses, ns->n + 1, sizeof(*ns->addresses));
	ns->addresses[ns->n] = *a;
	addr_set_port(&ns->addresses[ns->n++], port);
}

static bool listed(const struct zone_server *servers, size_t n, const struct addr *a)
{
	for (size_t i = 0; i < n; i++)
		if (addr_equal(&servers[i].addr, a))
			return true;
	return false;
}

size_t zone_servers(const struct zone *z, size_t max_ns, struct zone_server *out, size_t max)
{
	size_t n = 0, n_ns = z->n_ns < max_ns ? z->n_ns : max_ns;

	for (size_t k = 0; k < DELEGATION_ADDRESSES_MAX; k++)
		for (size_t i = 0; i < n_ns && n < max; i++)
			if (k < z->ns[i].n && !listed(out, n, &z->ns[i].addresses[k]))
				out[n++] =
					(struct zone_server){z->ns[i].name, z->ns[i].addresses[k]};
	return n;
}

/* --- the cache */

enum { FIRST_BUCKETS = 64 };

struct survey_cache {
	struct zone **buckets; /* a power of two */
	size_t n_buckets, n, max;
	struct list lru; /* the first was used least recently */
};

struct survey_cache *survey_cache_new(size_t max)
{
	struct survey_cache *c = mem_zalloc(sizeof(*c));

	c->max = max;
	c->n_buckets = FIRST_BUCKETS;
	c->buckets = mem_array(c->n_buckets, sizeof(struct zone *));
	list_init(&c->lru);
	return c;
}

static uint32_t hash_of(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 16777619u;
	return h ^ h >> 15;
}

static struct zone **bucket(const struct survey_cache *c, uint32_t hash)
{
	return &c->buckets[hash & (c->n_buckets - 1)];
}

static void grow(struct survey_cache *c)
{
	struct zone **old = c->buckets;
	size_t n = c->n_buckets;

	c->n_buckets = 2 * n;
	c->buckets = mem_array(c->n_buckets, sizeof(struct zone *));
	for (size_t i = 0; i < n; i++)
		for (struct zone *z = old[i], *next; z; z = next) {
			struct zone **b = bucket(c, z->hash);
			next = z->next;
			z->next = *b;
			*b = z;
		}
	free(old);
}

static void take_out(struct survey_cache *c, struct zone *z)
{
	struct zone **p = bucket(c, z->hash);

	while (*p != z)
		p = &(*p)->next;
	*p = z->next;
	list_remove(&z->lru);
	z->cached = false;
	c->n--;
	zone_drop(z);
}

static struct zone *find(const struct survey_cache *c, const char *apex, uint32_t hash)
{
	struct zone *z = *bucket(c, hash);

	while (z && !(z->hash == hash && strcmp(z->apex, apex) == 0))
		z = z->next;
	return z;
}

void survey_cache_put(struct survey_cache *c, struct zone *z)
{
	z->hash = hash_of(z->apex);
	struct zone *old = find(c, z->apex, z->hash);
	if (old) {
		z->delegates |= old->delegates;
		take_out(c, old);
	}
	while (c->n >= c->max)
		take_out(c, container_of(c->lru.next, struct zone, lru));
	if (c->n >= c->n_buckets)
		grow(c);
	struct zone **b = bucket(c, z->hash);
	z->next = *b;
	*b = z;
	z->cached = true;
	list_add(&c->lru, &z->lru);
	c->n++;
	zone_keep(z);
}

struct zone *survey_cache_find(
	struct survey_cache *c, const char *name, int64_t now_ms, uint64_t not_before)
{
	for (const char *at = name; at; at = delegation_parent(at)) {
		struct zone *z = find(c, at, hash_of(at));
		if (!z)
			continue;
		if (z->expires_ms <= now_ms) {
			take_out(c, z);
			continue;
		}
		if (z->number < not_before && delegation_labels(at) > 1)
			continue;
		list_remove(&z->lru);
		list_add(&c->lru, &z->lru);
		return z;
	}
	return NULL;
}

size_t survey_cache_n(const struct survey_cache *c)
{
	return c->n;
}

void survey_cache_free(struct survey_cache *c)
{
	while (!list_empty(&c->lru))
		take_out(c, container_of(c->lru.next, struct zone, lru));
	free(c->buckets);
	free(c);
}

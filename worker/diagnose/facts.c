#include "worker/diagnose/facts_internal.h"

#include "common/mem.h"

#include <string.h>

enum { FIRST_BLOCK_BYTES = 2048, BLOCK_BYTES = 8192, FIRST_FACTS = 16 };

struct block {
	struct block *next;
	size_t used, size;
	_Alignas(max_align_t) uint8_t bytes[];
};

/* An answer whose texts and records are borrowed by the facts. */
struct kept {
	struct kept *next;
	struct dns_result *result;
};

struct facts {
	struct block *blocks;
	struct kept *kept;
	struct fact **all;
	size_t n, room;
};

struct facts *facts_new(void)
{
	return mem_zalloc(sizeof(struct facts));
}

void facts_free(struct facts *f)
{
	if (!f)
		return;
	for (struct kept *k = f->kept; k; k = k->next)
		dns_result_free(k->result);
	for (struct block *b = f->blocks, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	free(f->all);
	free(f);
}

void *facts_alloc(struct facts *f, size_t bytes)
{
	struct block *b = f->blocks;
	size_t n = (bytes + 15) & ~(size_t)15;

	if (!b || b->size - b->used < n) {
		size_t size = b ? BLOCK_BYTES : FIRST_BLOCK_BYTES;
		size = n > size ? n : size;
		b = mem_alloc(sizeof(*b) + size);
		*b = (struct block){.next = f->blocks, .size = size};
		f->blocks = b;
	}
	void *p = b->bytes + b->used;
	b->used += n;
	return memset(p, 0, n);
}

const char *facts_text(struct facts *f, const char *text)
{
	size_t n = strlen(text) + 1;

	return memcpy(facts_alloc(f, n), text, n);
}

void facts_keep(struct facts *f, const struct dns_result *r)
{
	struct kept *k = facts_alloc(f, sizeof(*k));

	*k = (struct kept){f->kept, dns_result_keep(r)};
	f->kept = k;
}

/* --- the facts */

size_t facts_n(const struct facts *f)
{
	return f->n;
}

const struct fact *facts_at(const struct facts *f, size_t i)
{
	return i < f->n ? f->all[i] : NULL;
}

const struct fact *facts_find(
	const struct facts *f, enum ask_how how, uint16_t type, const char *owner)
{
	for (size_t i = 0; i < f->n; i++) {
		const struct ask *a = &f->all[i]->ask;
		if (a->how == how && a->type == type && strcmp(a->owner, owner) == 0)
			return f->all[i];
	}
	return NULL;
}

struct fact *facts_add(struct facts *f, const struct ask *question, size_t n)
{
	if (f->n == FACTS_MAX)
		return NULL;
	if (f->n == f->room) {
		f->room = f->room ? 2 * f->room : FIRST_FACTS;
		f->all = mem_grow(f->all, f->room, sizeof(struct fact *));
	}
	struct fact *fact = facts_alloc(f, sizeof(*fact));
	fact->ask = *question;
	fact->ask.owner = facts_text(f, question->owner);
	fact->n = n;
	fact->answers = facts_alloc(f, n * sizeof(*fact->answers));
	for (size_t i = 0; i < n; i++)
		fact->answers[i] =
			(struct fact_answer){.server = "", .end = FACT_SKIPPED, .ede = DNS_NO_EDE};
	f->all[f->n++] = fact;
	return fact;
}

struct fact_zone *facts_add_zone(struct facts *f, const char *apex, size_t n_servers)
{
	struct fact_zone *z = facts_alloc(f, sizeof(*z));

	z->apex = facts_text(f, apex);
	z->parent = "";
	z->servers = facts_alloc(f, n_servers * sizeof(*z->servers));
	z->n_servers = n_servers;
	for (size_t i = 0; i < n_servers; i++)
		z->servers[i].name = "";
	return z;
}

#include "common/mem.h"
#include "scheduler/index/index_internal.h"

#include <string.h>

/* FNV-1a. */
static uint32_t hash(const char *s)
{
	uint32_t h = 2166136261u;

	while (*s)
		h = (h ^ (uint8_t)*s++) * 16777619u;
	return h;
}

/* The word's place in the table: where it is, or the free one where it belongs. */
static uint32_t place(const struct dict *d, const char *word)
{
	uint32_t i = hash(word) & (d->slots_n - 1);

	while (d->slots[i] && strcmp(d->words[d->slots[i] - 1], word) != 0)
		i = (i + 1) & (d->slots_n - 1);
	return i;
}

static void grow(struct dict *d)
{
	free(d->slots);
	d->slots_n = d->slots_n ? 2 * d->slots_n : 64;
	d->slots = mem_zalloc(d->slots_n * sizeof *d->slots);
	for (uint32_t i = 0; i < d->n; i++)
		d->slots[place(d, d->words[i])] = i + 1;
}

uint32_t dict_find(const struct dict *d, const char *word)
{
	uint32_t number = d->slots_n ? d->slots[place(d, word)] : 0;

	return number ? number - 1 : DICT_NONE;
}

uint32_t dict_add(struct dict *d, const char *word)
{
	uint32_t number = dict_find(d, word);

	if (number != DICT_NONE)
		return number;
	if (2 * (d->n + 1) > d->slots_n)
		grow(d);
	if (d->n == d->cap) {
		d->cap = d->cap ? 2 * d->cap : 32;
		d->words = mem_grow(d->words, d->cap, sizeof *d->words);
	}
	d->words[d->n] = mem_strdup(word);
	d->bytes += strlen(word) + 1;
	d->slots[place(d, word)] = d->n + 1;
	return d->n++;
}

void dict_release(struct dict *d)
{
	for (uint32_t i = 0; i < d->n; i++)
		free(d->words[i]);
	free(d->words);
	free(d->slots);
	*d = (struct dict){0};
}

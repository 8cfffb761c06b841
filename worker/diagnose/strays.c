/* Where else the challenge record may have been put, and what answers in its place. */
#include "worker/diagnose/diagnose_internal.h"

#include <stdio.h>
#include <string.h>

/* How fingers slip at the first label. */
static const char *const slips[] = {"_acme-challange", "acme-challenge", "_acme_challenge",
	"_acmechallenge", "_acme-challenges"};

/* The form appended the zone, or the part before it was forgotten. */
static void candidates(struct view *v, const char *out[STRAYS_MAX], size_t *n)
{
	const struct fact_zone *zone = view_zone(v);

	*n = 0;
	if (zone && strcmp(zone->apex, ".") != 0)
		out[(*n)++] = view_text(v, "%s.%s", v->owner, zone->apex);
	for (size_t i = 0; i < sizeof slips / sizeof *slips; i++)
		out[(*n)++] = view_text(v, "%s.%s", slips[i], v->base);
	if (zone && strcmp(zone->apex, v->base) != 0 && strcmp(zone->apex, ".") != 0)
		out[(*n)++] = view_text(v, "_acme-challenge.%s", zone->apex);
}

void view_strays(struct view *v, struct stray *out)
{
	const struct fact_zone *zone = view_zone(v);
	const char *names[STRAYS_MAX];
	size_t n;

	*out = (struct stray){0};
	candidates(v, names, &n);
	for (size_t i = 0; i < n; i++) {
		const struct fact_answer *a = view_answer(v, DNS_CNAME, names[i]);
		bool doubled = zone && i == 0 && strcmp(zone->apex, ".") != 0;

		/* A name at which the right label stands was meant for this one. */
		if (out->code || !a || a->end != FACT_RECORDS || !a->n_records ||
			!chain_fits_challenge(v, a->records[0]))
			continue;
		*out = (struct stray){.code = doubled ? "name_doubled" : "name_typo",
			.owner = names[i],
			.answer = a};
	}
}

static bool same_answer(const struct fact_answer *a, const struct fact_answer *b)
{
	if (!a || !b || a->end != FACT_RECORDS || b->end != FACT_RECORDS || !a->n_records ||
		!b->n_records)
		return false;
	if (a->n_hops || b->n_hops)
		return a->n_hops && b->n_hops && !strcmp(a->hops[0], b->hops[0]);
	return !strcmp(a->records[0], b->records[0]);
}

bool view_wildcard_answers(struct view *v)
{
	return same_answer(
		view_answer(v, DNS_CNAME, v->random), view_answer(v, DNS_CNAME, v->owner));
}

static bool answers_as(struct view *v, uint16_t type, const char *other)
{
	return same_answer(view_answer(v, type, v->base), view_answer(v, type, other));
}

/* A name that exists stops the wildcards above it: if a name beside it, and even one below it, has
 * its answer, it does not exist by itself. */
bool view_lives_off_wildcard(struct view *v)
{
	const char *parent = strchr(v->base, '.');
	const char *beside = view_text(v, "%.16s%s", v->random, parent ? parent : "");
	bool four = answers_as(v, DNS_A, v->random), six = answers_as(v, DNS_AAAA, v->random);
	bool four_beside = answers_as(v, DNS_A, beside),
	     six_beside = answers_as(v, DNS_AAAA, beside);

	return (four && four_beside) || (six && six_beside);
}

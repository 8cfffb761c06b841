/* What a task found, as a fact in the look's bag. */
#include "common/mem.h"
#include "worker/dns/survey_internal.h"

static void copy_ns(struct facts *f, const struct zone_ns *from, struct fact_ns *to)
{
	to->name = facts_text(f, from->name);
	to->at_parent = from->at_parent;
	to->in_zone = from->in_zone;
	to->dangling = from->dangling;
	to->glue_differs = from->glue_differs;
	to->addresses = facts_alloc(f, from->n * sizeof(*to->addresses));
	to->n_addresses = from->n;
	for (size_t i = 0; i < from->n; i++)
		to->addresses[i] = from->addresses[i];
}

static struct fact_zone *make_zone(struct facts *f, const struct zone *z, enum fact_end end)
{
	struct fact_zone *to = facts_add_zone(f, z->apex, z->n_ns);

	to->parent = z->parent ? facts_text(f, z->parent->apex) : "";
	to->end = end;
	to->ds = z->ds;
	to->signed_ = z->signed_;
	to->ds_matches = z->ds_matches;
	to->lame = z->lame;
	to->delegation_ttl_s = z->ttl_s;
	for (size_t i = 0; i < z->n_ns; i++)
		copy_ns(f, &z->ns[i], &to->servers[i]);
	return to;
}

/* One for all facts of the look that speak of it. */
static const struct fact_zone *look_zone(struct survey_look *l, struct zone *z, enum fact_end end)
{
	for (size_t i = 0; i < l->n_zones; i++)
		if (l->zones[i].zone == z && l->zones[i].end == end)
			return l->zones[i].fact;
	l->zones = mem_grow(l->zones, l->n_zones + 1, sizeof(*l->zones));
	l->zones[l->n_zones] = (struct look_zone){zone_keep(z), make_zone(l->facts, z, end), end};
	return l->zones[l->n_zones++].fact;
}

static void fill(
	struct facts *f, const struct task *t, const struct slot *from, struct fact_answer *to)
{
	const char *zone = t->zone ? t->zone->apex : NULL;

	if (from->result) {
		facts_answer(f, to, from->server.name, from->result, zone);
		return;
	}
	to->server = facts_text(f, from->server.name);
	to->address = from->server.addr;
	to->end = from->end;
}

void task_to_fact(struct task *t)
{
	struct survey_look *l = t->look;
	struct fact *fact = facts_add(l->facts, &t->ask, t->n);

	if (!fact)
		return;
	for (size_t i = 0; i < t->n; i++)
		fill(l->facts, t, &t->slots[i], &fact->answers[i]);
	if (t->zone)
		fact->zone = look_zone(l, t->zone, t->stop);
}

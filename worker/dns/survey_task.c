/*
 *	                  ┌──────────────────── a referral: the zone below ────────────────────┐
 *	                  ▼                                                                    │
 *	the deepest zone known ──► its addresses ──► scout: one server ──► its details ──► all
 *servers │          (only where cuts are                  side by side │           likely, or for
 *ASK_ZONE)                  │ └── the budget is spent: what there is ◄──────────────┴──► fact
 *
 * Scouts are shared: a thousand looks below one top-level domain ask the root once.
 */
#include "common/mem.h"
#include "worker/dns/survey_internal.h"

#include <string.h>

enum {
	DESCENTS_MAX = 16,
	TOP_LEVEL_ADDRESSES = 2 /* where a top-level domain itself must answer, that is enough */
};

static void step(struct task *t);

/* --- scouts */

struct scout {
	struct list link; /* in the zone's */
	struct list all;  /* in the survey's */
	struct survey *s;
	struct zone *zone;
	struct any_query *any;
	struct list waiters;
	char towards[]; /* the child of the zone that those who wait lie under */
};

static void move_to(struct task *t, struct zone *z)
{
	zone_keep(z);
	zone_drop(t->zone);
	t->zone = z;
	t->descents++;
	t->scouted = t->alone = false;
}

/* How the walk ended where no zone below a top-level domain was found. */
static enum fact_end stop_of(
	const struct zone *z, enum delegation_kind kind, const struct dns_result *r)
{
	if (delegation_labels(z->apex) > 1)
		return FACT_RECORDS;
	if (kind == DELEGATION_NONE)
		return r->status == DNS_NXDOMAIN ? FACT_NXDOMAIN : FACT_RECORDS;
	if (kind == DELEGATION_LAME)
		return FACT_LAME;
	if (!r)
		return FACT_SKIPPED;
	if (r->status == DNS_TIMEOUT || r->status == DNS_NETWORK)
		return r->status == DNS_TIMEOUT ? FACT_TIMEOUT : FACT_NETWORK;
	return r->status == DNS_SERVFAIL ? FACT_SERVFAIL : FACT_ERROR;
}

static void scouted(
	struct task *t, struct zone *below, enum delegation_kind kind, const struct dns_result *r)
{
	if (below && delegation_under(t->ask.owner, below->apex)) {
		move_to(t, below);
	} else if (!below && (t->mine || t->ask.how == ASK_SERVERS)) {
		t->scouted = true;
		t->stop = t->mine ? stop_of(t->zone, kind, r) : t->stop;
	} else {
		t->alone = true;
	}
	t->mine = false;
	step(t);
}

static void scout_free(struct scout *c)
{
	any_cancel(c->any);
	list_remove(&c->link);
	list_remove(&c->all);
	zone_drop(c->zone);
	free(c);
}

static void on_scouted(void *arg, enum delegation_kind kind, const struct dns_result *r,
	const struct delegation *cut, bool starved)
{
	struct scout *c = arg;
	struct zone *below = NULL;
	struct list waiters;
	(void)starved;

	c->any = NULL;
	if (kind == DELEGATION_BELOW || kind == DELEGATION_HIDDEN) {
		c->zone->delegates = true;
		below = zone_from_cut(c->s, c->zone, cut);
	}
	list_move(&c->waiters, &waiters);
	scout_free(c);
	while (!list_empty(&waiters)) {
		struct task *t = container_of(waiters.next, struct task, wait);
		list_remove(&t->wait);
		scouted(t, below, kind, r);
	}
	zone_drop(below);
}

void scouts_cancel(struct survey *s)
{
	while (!list_empty(&s->scouts))
		scout_free(container_of(s->scouts.next, struct scout, all));
}

static struct scout *scout_find(struct zone *z, const char *towards)
{
	for (struct list *l = z->scouts.next; l != &z->scouts; l = l->next) {
		struct scout *c = container_of(l, struct scout, link);
		if (strcmp(c->towards, towards) == 0)
			return c;
	}
	return NULL;
}

static void scout(struct task *t)
{
	struct survey_look *l = t->look;
	const char *towards = delegation_next(t->ask.owner, t->zone->apex);
	struct scout *c = t->alone ? NULL : scout_find(t->zone, towards);

	if (!c) {
		size_t n = strlen(towards) + 1;
		c = mem_zalloc(sizeof(*c) + n);
		memcpy(c->towards, towards, n);
		c->s = l->s;
		c->zone = zone_keep(t->zone);
		list_init(&c->waiters);
		list_add(&t->zone->scouts, &c->link);
		list_add(&l->s->scouts, &c->all);
		c->any = any_start(l->s, l->budget, t->zone, t->ask.owner,
			t->ask.type ? t->ask.type : DNS_SOA, on_scouted, c);
		t->mine = true;
	}
	list_add(&c->waiters, &t->wait);
}

/* --- all servers side by side */

static void slots_free(struct task *t)
{
	for (size_t i = 0; i < t->n; i++) {
		query_cancel(t->slots[i].query);
		dns_result_free(t->slots[i].result);
	}
	free(mem_steal(t->slots));
	t->n = t->pending = 0;
}

/* A zone below that was not known: a referral from anyone; or, where it is the same server that
 * serves it, if all who spoke say so. */
static bool zone_below(const struct task *t, struct delegation *cut)
{
	struct delegation hidden = {.apex = NULL};
	bool agreed = true;

	for (size_t i = 0; i < t->n; i++) {
		if (!t->slots[i].result)
			continue;
		switch (delegation_read(t->slots[i].result, t->zone->apex, cut)) {
		case DELEGATION_BELOW:
			return true;
		case DELEGATION_HIDDEN:
			agreed &= !hidden.apex || strcmp(hidden.apex, cut->apex) == 0;
			hidden = *cut;
			break;
		case DELEGATION_NONE:
			agreed = false;
			break;
		case DELEGATION_LAME:
		case DELEGATION_FAILED:
			break;
		}
	}
	*cut = hidden;
	return hidden.apex && agreed;
}

static void all_answered(struct task *t)
{
	struct delegation cut;

	if (t->descents < DESCENTS_MAX && zone_below(t, &cut)) {
		struct zone *below = zone_from_cut(t->look->s, t->zone, &cut);
		t->zone->delegates = true;
		slots_free(t);
		move_to(t, below);
		zone_drop(below);
		step(t);
		return;
	}
	task_finish(t);
}

static void on_answer(void *arg, const struct dns_result *r)
{
	struct slot *slot = arg;
	struct task *t = slot->task;

	slot->query = NULL;
	slot->result = dns_result_keep(r);
	if (!--t->pending)
		all_answered(t);
}

static void ask_slot(struct task *t, struct slot *slot, const struct zone_server *server)
{
	struct survey_look *l = t->look;
	enum query_refusal why;

	*slot = (struct slot){.task = t, .server = *server};
	slot->query = query_start(
		l->s, l->budget, &server->addr, t->ask.owner, t->ask.type, on_answer, slot, &why);
	slot->end = why == QUERY_UNSAFE ? FACT_UNSAFE : FACT_SKIPPED;
	t->pending += slot->query != NULL;
}

static void ask_servers(struct task *t)
{
	struct zone_server servers[FACT_SERVERS_MAX];
	size_t most = t->look->addresses;

	if (delegation_labels(t->zone->apex) <= 1 && most > TOP_LEVEL_ADDRESSES)
		most = TOP_LEVEL_ADDRESSES;
	t->n = zone_servers(t->zone, t->look->servers, servers, most);
	t->slots = mem_array(t->n ? t->n : 1, sizeof(*t->slots));
	for (size_t i = 0; i < t->n; i++)
		ask_slot(t, &t->slots[i], &servers[i]);
	if (!t->pending)
		task_finish(t);
}

/* --- the steps */

static bool wants_scout(const struct task *t)
{
	return !t->scouted && t->descents < DESCENTS_MAX &&
	       (t->zone->delegates || t->ask.how == ASK_ZONE) &&
	       strcmp(t->zone->apex, t->ask.owner) != 0;
}

/* Waits for the zone, or ends if nobody works on it: the budget is spent. */
static void wait_for(struct task *t)
{
	if (t->zone->work) {
		list_add(&t->zone->waiters, &t->wait);
		return;
	}
	t->stop = t->stop == FACT_RECORDS ? FACT_SKIPPED : t->stop;
	task_finish(t);
}

static void step(struct task *t)
{
	struct survey_look *l = t->look;

	if (!zone_reach(l->s, l->budget, t->zone, ZONE_READY))
		wait_for(t);
	else if (wants_scout(t))
		scout(t);
	else if (!zone_reach(l->s, l->budget, t->zone, ZONE_DETAILED))
		wait_for(t);
	else if (t->ask.how == ASK_SERVERS)
		ask_servers(t);
	else
		task_finish(t);
}

void survey_wake(struct zone *z)
{
	struct list waiters;

	list_move(&z->waiters, &waiters);
	while (!list_empty(&waiters)) {
		struct task *t = container_of(waiters.next, struct task, wait);
		list_remove(&t->wait);
		step(t);
	}
}

/* --- the resolver */

static void on_resolver(void *arg, const struct dns_result *r)
{
	struct task *t = arg;

	t->query = NULL;
	t->slots[0].result = dns_result_keep(r);
	task_finish(t);
}

static void ask_resolver(struct task *t)
{
	struct survey_look *l = t->look;

	t->n = 1;
	t->slots = mem_array(1, sizeof(*t->slots));
	t->slots[0] = (struct slot){.task = t, .server.name = "resolver", .end = FACT_SKIPPED};
	if (!l->budget->left) {
		task_finish(t);
		return;
	}
	l->budget->left--;
	t->query = resolver_query(l->s->resolver, t->ask.owner, t->ask.type, 0, on_resolver, t);
}

/* --- life */

void task_start(struct task *t)
{
	struct survey *s = t->look->s;

	t->stop = FACT_RECORDS;
	if (t->ask.how == ASK_RESOLVER) {
		ask_resolver(t);
		return;
	}
	struct zone *z =
		survey_cache_find(s->cache, t->ask.owner, survey_now(s), t->look->not_before);
	t->zone = zone_keep(z ? z : s->root);
	step(t);
}

void task_release(struct task *t)
{
	list_remove(&t->wait);
	resolver_cancel(mem_steal(t->query));
	slots_free(t);
	zone_drop(mem_steal(t->zone));
}

void task_finish(struct task *t)
{
	if (t->over)
		return;
	t->over = true;
	task_to_fact(t);
	task_release(t);
	look_task_over(t->look);
}

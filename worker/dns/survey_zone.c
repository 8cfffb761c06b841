/*
 *	NEW ──► the resolver: A, AAAA of name servers without glue ──► READY
 *
 *	READY ──► the zone: NS ──► the zone: DNSKEY, addresses of name servers in it ──► DETAILED
 *	     └──► its parent: DS └──► the resolver: name servers that the zone alone names
 *
 * Everybody who wants the zone waits for one and the same work. When the budget of who began it is
 * spent in the middle, the stage stays, and who still has some begins again.
 */
#include "common/mem.h"
#include "worker/dns/dnskey.h"
#include "worker/dns/survey_internal.h"

#include <string.h>

struct zone_work {
	struct list link;
	struct survey *s;
	struct budget *budget;
	struct zone *zone;
	struct list parts;
	bool second;  /* of the two steps to DETAILED */
	bool holding; /* parts are being added */
	bool starved;
	struct dns_result *ds;
};

struct part;
typedef void part_fn(struct part *p, enum delegation_kind kind, const struct dns_result *r);

/* One question. */
struct part {
	struct list link;
	struct zone_work *work;
	part_fn *took;
	size_t ns; /* its index */
	uint16_t type;
	struct resolver_query *query;
	struct any_query *any;
};

static void part_free(struct part *p)
{
	resolver_cancel(p->query);
	any_cancel(p->any);
	list_remove(&p->link);
	free(p);
}

static void work_free(struct zone_work *w)
{
	while (!list_empty(&w->parts))
		part_free(container_of(w->parts.next, struct part, link));
	list_remove(&w->link);
	dns_result_free(w->ds);
	budget_drop(w->budget);
	free(w);
}

static void work_cancel(struct zone_work *w)
{
	struct zone *z = w->zone;

	z->work = NULL;
	work_free(w);
	zone_drop(z);
}

void works_cancel(struct survey *s)
{
	while (!list_empty(&s->work))
		work_cancel(container_of(s->work.next, struct zone_work, link));
}

static void work_on(struct zone_work *w);

static void part_done(struct part *p, enum delegation_kind kind, const struct dns_result *r)
{
	struct zone_work *w = p->work;

	p->query = NULL;
	p->any = NULL;
	if (r)
		p->took(p, kind, r);
	part_free(p);
	work_on(w);
}

static void on_resolved(void *arg, const struct dns_result *r)
{
	part_done(arg, DELEGATION_NONE, r);
}

static void on_any(void *arg, enum delegation_kind kind, const struct dns_result *r,
	const struct delegation *cut, bool starved)
{
	struct part *p = arg;
	(void)cut;

	p->work->starved |= starved;
	part_done(p, kind, r);
}

static struct part *part_add(struct zone_work *w, size_t ns, uint16_t type, part_fn *took)
{
	struct part *p = mem_zalloc(sizeof(*p));

	*p = (struct part){.work = w, .took = took, .ns = ns, .type = type};
	list_add(&w->parts, &p->link);
	return p;
}

static void ask_any(struct zone_work *w, struct zone *of, const char *name, size_t ns,
	uint16_t type, part_fn *took)
{
	struct part *p = part_add(w, ns, type, took);

	p->any = any_start(w->s, w->budget, of, name, type, on_any, p);
}

static void ask_resolver(
	struct zone_work *w, const char *name, size_t ns, uint16_t type, part_fn *took)
{
	if (!w->budget->left) {
		w->starved = true;
		return;
	}
	w->budget->left--;
	struct part *p = part_add(w, ns, type, took);
	p->query = resolver_query(w->s->resolver, name, type, 0, on_resolved, p);
}

/* --- addresses by the resolver */

static bool is_definite(const struct dns_result *r)
{
	return r->status == DNS_ANSWERED || r->status == DNS_NODATA || r->status == DNS_NXDOMAIN;
}

static void took_address(struct part *p, enum delegation_kind kind, const struct dns_result *r)
{
	struct zone_ns *ns = &p->work->zone->ns[p->ns];
	(void)kind;

	*(p->type == DNS_A ? &ns->asked_a : &ns->asked_aaaa) |= is_definite(r);
	for (size_t i = 0; r->status == DNS_ANSWERED && i < r->n_records; i++)
		zone_ns_add(ns, &r->records[i].address, p->work->s->port);
}

static bool lacks_addresses(const struct zone_ns *ns)
{
	return !ns->n && !(ns->asked_a && ns->asked_aaaa);
}

static void resolve_missing(struct zone_work *w)
{
	struct zone *z = w->zone;

	for (size_t i = 0; i < z->n_ns; i++) {
		if (!lacks_addresses(&z->ns[i]))
			continue;
		ask_resolver(w, z->ns[i].name, i, DNS_A, took_address);
		ask_resolver(w, z->ns[i].name, i, DNS_AAAA, took_address);
	}
}

/* Whether name servers dangle; and that what a passing outage hid is looked for soon again. */
static void conclude(struct survey *s, struct zone *z)
{
	int64_t soon = survey_now(s) + SURVEY_TTL_HALF_MS;
	bool whole = z->stage == ZONE_NEW || (z->heard && z->ds != FACT_DS_UNKNOWN);

	for (size_t i = 0; i < z->n_ns; i++) {
		struct zone_ns *ns = &z->ns[i];
		ns->dangling = !ns->n && ns->asked_a && ns->asked_aaaa;
		whole &= !lacks_addresses(ns);
	}
	if (!whole && z->expires_ms > soon)
		z->expires_ms = soon;
}

/* --- the zone's own word */

static void took_ns(struct part *p, enum delegation_kind kind, const struct dns_result *r)
{
	struct zone *z = p->work->zone;

	z->lame = kind == DELEGATION_LAME;
	z->heard = kind == DELEGATION_NONE;
	if (kind != DELEGATION_NONE || r->status != DNS_ANSWERED)
		return;
	for (size_t i = 0; i < r->n_records; i++) {
		struct zone_ns *ns = zone_add_ns(z, r->records[i].name);
		if (!ns)
			return;
		ns->in_zone = true;
		ns->at_parent |=
			z->hidden; /* the parent's servers are the zone's, and say no more */
	}
}

static void took_ds(struct part *p, enum delegation_kind kind, const struct dns_result *r)
{
	struct zone *z = p->work->zone;

	if (kind != DELEGATION_NONE || !is_definite(r))
		return;
	z->ds = r->n_records ? FACT_DS_THERE : FACT_DS_NONE;
	dns_result_free(p->work->ds);
	p->work->ds = dns_result_keep(r);
}

static void took_keys(struct part *p, enum delegation_kind kind, const struct dns_result *r)
{
	struct zone *z = p->work->zone;
	const struct dns_result *ds = p->work->ds;

	if (kind != DELEGATION_NONE)
		return;
	z->signed_ = r->n_records > 0;
	z->ds_matches = false;
	for (size_t i = 0; ds && i < ds->n_records; i++)
		for (size_t j = 0; j < r->n_records && !z->ds_matches; j++)
			z->ds_matches = dnskey_is_named(z->apex, r->records[j].raw.bytes,
				r->records[j].raw.len, ds->records[i].raw.bytes,
				ds->records[i].raw.len);
}

static void took_own(struct part *p, enum delegation_kind kind, const struct dns_result *r)
{
	struct zone_ns *ns = &p->work->zone->ns[p->ns];

	if (kind != DELEGATION_NONE || !is_definite(r))
		return;
	*(p->type == DNS_A ? &ns->asked_own_a : &ns->asked_own_aaaa) = true;
	for (size_t i = 0; i < r->n_records && ns->n_own < DELEGATION_ADDRESSES_MAX; i++)
		ns->own[ns->n_own++] = r->records[i].address;
}

static void ask_own(struct zone_work *w)
{
	struct zone *z = w->zone;

	ask_any(w, z, z->apex, 0, DNS_DNSKEY, took_keys);
	for (size_t i = 0; i < z->n_ns && z->parent; i++) { /* the root's are in its hints */
		z->ns[i].n_own = 0;
		if (!delegation_under(z->ns[i].name, z->apex))
			continue;
		ask_any(w, z, z->ns[i].name, i, DNS_A, took_own);
		ask_any(w, z, z->ns[i].name, i, DNS_AAAA, took_own);
	}
}

static bool has_own(const struct zone_ns *ns, const struct addr *a)
{
	for (size_t i = 0; i < ns->n_own; i++)
		if (addr_equal_host(&ns->own[i], a))
			return true;
	return false;
}

/* Glue is compared with what the zone says, and then both are asked. */
static void join_own(struct zone *z, uint16_t port)
{
	for (size_t i = 0; i < z->n_ns; i++) {
		struct zone_ns *ns = &z->ns[i];
		size_t glued = ns->n;

		bool stray = false;
		for (size_t j = 0; j < glued; j++)
			stray |= !has_own(ns, &ns->addresses[j]);
		for (size_t j = 0; j < ns->n_own; j++)
			zone_ns_add(ns, &ns->own[j], port);
		ns->glue_differs = ns->glue && ns->asked_own_a && ns->asked_own_aaaa &&
				   (stray || ns->n != glued);
	}
}

/* Where the cut was hidden, the parent's servers stood in until the zone named its own. */
static void drop_stand_ins(struct zone *z)
{
	size_t n = 0;

	for (size_t i = 0; i < z->n_ns; i++)
		n += z->ns[i].in_zone;
	if (!z->hidden || !n)
		return;
	n = 0;
	for (size_t i = 0; i < z->n_ns; i++) {
		if (z->ns[i].in_zone) {
			z->ns[n++] = z->ns[i];
			continue;
		}
		free(z->ns[i].name);
		free(z->ns[i].addresses);
	}
	z->n_ns = n;
}

/* --- the order of things */

/* After a part, and after parts were added: the next step once none is left. */
static void work_on(struct zone_work *w)
{
	struct zone *z = w->zone;

	if (w->holding || !list_empty(&w->parts))
		return;
	if (z->stage == ZONE_READY && !w->second && !w->starved) {
		w->second = w->holding = true;
		resolve_missing(w);
		if (!z->lame)
			ask_own(w);
		w->holding = false;
		if (!list_empty(&w->parts))
			return;
	}
	if (z->stage == ZONE_READY) {
		join_own(z, w->s->port);
		drop_stand_ins(z);
	}
	conclude(w->s, z);
	if (!w->starved)
		z->stage++;
	z->work = NULL;
	work_free(w);
	survey_wake(z);
	zone_drop(z);
}

static bool nothing_to_resolve(const struct zone *z)
{
	for (size_t i = 0; i < z->n_ns; i++)
		if (lacks_addresses(&z->ns[i]))
			return false;
	return true;
}

bool zone_reach(struct survey *s, struct budget *budget, struct zone *z, enum zone_stage stage)
{
	if (z->stage == ZONE_NEW && !z->work && nothing_to_resolve(z))
		z->stage = ZONE_READY;
	if (z->stage >= stage || z->work || !budget->left)
		return z->stage >= stage;
	struct zone_work *w = mem_zalloc(sizeof(*w));
	w->s = s;
	w->budget = budget_keep(budget);
	w->zone = zone_keep(z);
	list_init(&w->parts);
	list_add(&s->work, &w->link);
	z->work = w;
	w->holding = true;
	if (z->stage == ZONE_NEW) {
		resolve_missing(w);
	} else {
		ask_any(w, z, z->apex, 0, DNS_NS, took_ns);
		if (z->parent)
			ask_any(w, z->parent, z->apex, 0, DNS_DS, took_ds);
	}
	w->holding = false;
	if (list_empty(&w->parts)) /* starved at once */
		work_cancel(w);
	return false;
}

/* --- from a referral */

static void take_servers(struct zone *z, const struct zone *parent)
{
	for (size_t i = 0; i < parent->n_ns; i++) {
		struct zone_ns *ns = zone_add_ns(z, parent->ns[i].name);
		for (size_t j = 0; ns && j < parent->ns[i].n; j++)
			zone_ns_add(ns, &parent->ns[i].addresses[j],
				addr_port(&parent->ns[i].addresses[j]));
	}
}

struct zone *zone_from_cut(struct survey *s, struct zone *parent, const struct delegation *cut)
{
	struct zone *z = zone_new(cut->apex);
	int64_t ttl_ms = (int64_t)cut->ttl_s * 1000;

	z->parent = zone_keep(parent);
	z->ttl_s = cut->ttl_s;
	z->number = ++s->walks;
	ttl_ms = ttl_ms > SURVEY_TTL_LEAST_MS ? ttl_ms : SURVEY_TTL_LEAST_MS;
	z->expires_ms = survey_now(s) + (ttl_ms < SURVEY_TTL_MOST_MS ? ttl_ms : SURVEY_TTL_MOST_MS);
	z->delegates = delegation_labels(z->apex) <= 1;
	z->hidden = !cut->n_ns;
	if (z->hidden)
		take_servers(z, parent);
	for (size_t i = 0; i < cut->n_ns; i++) {
		struct zone_ns *ns = zone_add_ns(z, cut->ns[i].name);
		if (!ns)
			break;
		ns->at_parent = true;
		ns->glue = cut->ns[i].n > 0;
		for (size_t j = 0; j < cut->ns[i].n; j++)
			zone_ns_add(ns, &cut->ns[i].addresses[j], s->port);
	}
	survey_cache_put(s->cache, z);
	return z;
}

#include "tests/unit/worker/diagnose/dns_world.h"

#include "common/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void dns_world_add(struct dns_world *w, const char *owner, uint16_t type, const char *text)
{
	if (w->n == WORLD_RECORDS_MAX)
		abort();
	w->records[w->n++] =
		(struct world_record){.owner = owner, .type = type, .text = text, .ttl_s = 300};
}

void dns_world_fault(struct dns_world *w, enum ask_how how, const char *owner, enum fact_end end)
{
	w->faults[w->n_faults++] =
		(struct world_fault){.how = how, .owner = owner, .server = ~0u, .end = end};
}

static bool seen_by(const struct world_record *r, int server)
{
	return !r->servers || (server >= 0 && r->servers & 1u << server);
}

static bool exists(const struct dns_world *w, const char *name, int server)
{
	for (size_t i = 0; i < w->n; i++)
		if (seen_by(&w->records[i], server) && name_is_under(w->records[i].owner, name))
			return true;
	return false;
}

/* The name whose records answer: itself, or the wildcard below its closest encloser. */
static const char *source(const struct dns_world *w, const char *name, int server, char *star)
{
	const char *up = name;

	if (exists(w, name, server))
		return name;
	while ((up = strchr(up, '.'))) {
		up++;
		if (!exists(w, up, server))
			continue;
		snprintf(star, NAME_SIZE, "*.%s", up);
		return exists(w, star, server) ? star : NULL;
	}
	return NULL;
}

static void put_raw(struct dns_record *raw, uint16_t type, const char *text, struct facts *f)
{
	const char *tag = strchr(text, ' ');

	raw->type = type;
	if (type == DNS_A || type == DNS_AAAA) {
		addr_parse(text, 53, &raw->address, NULL);
	} else if (type == DNS_CAA && tag) {
		char *copy = (char *)(uintptr_t)facts_text(f, tag + 1), *value = strchr(copy, ' ');

		*value++ = '\0';
		raw->caa.critical = atoi(text) & 128;
		raw->caa.tag = copy;
		raw->caa.value = (struct dns_bytes){(const uint8_t *)value, strlen(value)};
	}
}

static void find(struct dns_world *w, int server, uint16_t type, const char *owner, struct facts *f,
	struct fact_answer *a)
{
	const char **records = facts_alloc(f, FACT_RECORDS_MAX * sizeof *records);
	const char **hops = facts_alloc(f, FACT_HOPS_MAX * sizeof *hops);
	struct dns_record *raw = facts_alloc(f, FACT_RECORDS_MAX * sizeof *raw);
	char star[NAME_SIZE];
	const char *at = owner, *from;
	bool more = true;

	a->records = records;
	a->hops = hops;
	a->raw = raw;
	while (more) {
		const struct world_record *cname = NULL;

		more = false;
		from = source(w, at, server, star);
		a->end = from ? FACT_NODATA : FACT_NXDOMAIN;
		for (size_t i = 0; from && i < w->n; i++) {
			const struct world_record *r = &w->records[i];

			if (!seen_by(r, server) || strcmp(r->owner, from) != 0)
				continue;
			if (r->type == type) {
				a->end = FACT_RECORDS;
				a->ttl_s = r->ttl_s;
				put_raw(&raw[a->n_records], type, r->text, f);
				records[a->n_records++] = r->text;
			} else if (r->type == DNS_CNAME) {
				cname = r;
			}
		}
		if (!a->n_records && cname && a->n_hops < 12) {
			at = hops[a->n_hops++] = cname->text;
			more = server < 0; /* servers do not leave their zone */
		}
	}
}

static bool faulty(const struct dns_world *w, enum ask_how how, const char *owner, unsigned server,
	enum fact_end *end)
{
	for (size_t i = 0; i < w->n_faults; i++) {
		const struct world_fault *x = &w->faults[i];

		if (x->how != how || (x->owner && strcmp(x->owner, owner) != 0) ||
			(x->server != ~0u && x->server != server))
			continue;
		*end = x->end;
		return true;
	}
	return false;
}

static void put_zone(struct dns_world *w, struct fact *fact, struct facts *f)
{
	struct fact_zone *z =
		facts_add_zone(f, w->facts.apex ? w->facts.apex : w->zone, w->n_servers);

	z->end = w->facts.end;
	z->ds = w->facts.ds ? w->facts.ds : FACT_DS_NONE;
	z->signed_ = w->facts.signed_;
	z->ds_matches = w->facts.ds_matches;
	z->lame = w->facts.lame;
	z->parent = "test";
	for (size_t i = 0; i < w->n_servers; i++)
		z->servers[i] = (struct fact_ns){.name = w->servers[i],
			.at_parent = true,
			.in_zone = true,
			.dangling = w->dangling && i + 1 == w->n_servers};
	fact->zone = z;
}

void dns_world_answer(struct dns_world *w, const struct ask *ask, struct facts *f)
{
	bool servers = ask->how == ASK_SERVERS;
	struct fact *fact = facts_add(f, ask, servers ? w->n_servers : ask->how == ASK_RESOLVER);

	w->asked++;
	if (ask->how != ASK_RESOLVER)
		put_zone(w, fact, f);
	for (size_t i = 0; i < fact->n; i++) {
		struct fact_answer *a = &fact->answers[i];
		char address[32];

		a->server = servers ? w->servers[i] : "resolver";
		snprintf(address, sizeof address, "192.0.2.%zu", i + 1);
		if (servers)
			addr_parse(address, 53, &a->address, NULL);
		if (!faulty(w, ask->how, ask->owner, (unsigned)i, &a->end))
			find(w, servers ? (int)i : -1, ask->type, ask->owner, f, a);
	}
}

unsigned dns_world_look(
	struct dns_world *w, const struct diagnose_case *c, struct diagnose_result *out)
{
	struct ask asks[DIAGNOSE_ASKS_MAX];
	struct facts *f = facts_new();
	unsigned rounds = 0;
	size_t n;

	while (rounds < DIAGNOSE_ROUNDS_MAX && (n = diagnose_next(c, f, asks))) {
		for (size_t i = 0; i < n; i++)
			dns_world_answer(w, &asks[i], f);
		rounds++;
	}
	diagnose_judge(c, f, out);
	facts_free(f);
	return rounds;
}

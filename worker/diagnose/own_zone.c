/* Our own challenge zone, and the claims: what is ours to judge of an endpoint. */
#include "worker/diagnose/diagnose_internal.h"

#include <stdio.h>
#include <string.h>

void diagnose_held(const struct diagnose_case *c, struct diagnosis *out)
{
	char label[LABEL_SIZE];
	const char *base = name_base(c->name);

	label_make(c->policy->label_key, c->config->tenant, base, label);
	diagnosis_init(out, "held_elsewhere", c->name);
	snprintf(out->record, sizeof out->record, "_acme-challenge.%s CNAME", base);
	snprintf(out->expected, sizeof out->expected, "CNAME %s.%s", label, c->policy->zones[0]);
	snprintf(out->fix, sizeof out->fix,
		"If the name is this tenant's: point _acme-challenge.%s CNAME at %s.%s", base,
		label, c->policy->zones[0]);
	out->since_ms = c->now_ms;
}

static const struct fact *fact_of(const char *zone, const struct facts *f)
{
	return facts_find(f, ASK_SERVERS, DNS_SOA, zone);
}

size_t diagnose_zone_next(const char *zone, struct facts *f, struct ask *out)
{
	if (fact_of(zone, f))
		return 0;
	out[0] = (struct ask){.how = ASK_SERVERS, .type = DNS_SOA, .owner = facts_text(f, zone)};
	return 1;
}

static bool is_ours(const char *server, const char *const *nameservers, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(server, nameservers[i]))
			return true;
	return false;
}

/* Delegated means: the walk ends at the zone, at servers of which one at least is ours. */
static bool is_delegated(
	const struct fact_zone *z, const char *zone, const char *const *nameservers, size_t n)
{
	if (!z || z->end != FACT_RECORDS || strcmp(z->apex, zone) != 0)
		return false;
	for (size_t i = 0; i < z->n_servers; i++)
		if (z->servers[i].at_parent && is_ours(z->servers[i].name, nameservers, n))
			return true;
	return false;
}

static void list_servers(const struct fact_zone *z, struct diagnosis *out)
{
	for (size_t i = 0; z && i < z->n_servers; i++)
		diagnosis_observe(out, z->apex, z->servers[i].name, 0);
	if (!z || !z->n_servers)
		diagnosis_observe(out, z ? z->apex : "root", "no delegation", 0);
}

bool diagnose_zone_judge(const char *zone, const char *const *nameservers, size_t n,
	struct facts *f, struct diagnosis *out)
{
	const struct fact *fact = fact_of(zone, f);
	const struct fact_zone *z = fact ? fact->zone : NULL;
	bool ds = z && !strcmp(z->apex, zone) && z->ds == FACT_DS_THERE;

	/* Who cannot see the parent knows nothing. */
	if (!fact || !z || (strcmp(z->apex, zone) != 0 && end_is_failure(z->end)))
		return false;
	if (!ds && is_delegated(z, zone, nameservers, n))
		return false;
	diagnosis_init(out, ds ? "zone_ds" : "zone_not_delegated", zone);
	snprintf(out->record, sizeof out->record, "%s %s", zone, ds ? "DS" : "NS");
	snprintf(out->expected, sizeof out->expected, ds ? "none" : "NS %s",
		n ? nameservers[0] : "our name servers");
	if (ds) {
		diagnosis_observe(out, z->parent, "a DS record", 0);
		fix_line(out,
			"In the zone %s, remove the DS record of %s: the builtin server does not "
			"sign.",
			z->parent, zone);
		return true;
	}
	list_servers(z, out);
	for (size_t i = 0; i < n && i < 4; i++)
		fix_line(out,
			"In the parent zone, add: %s NS %s (with its addresses, if it is inside)",
			zone, nameservers[i]);
	return true;
}

#include "worker/dns/delegation.h"

#include <string.h>

bool delegation_under(const char *name, const char *ancestor)
{
	size_t n = strlen(name), a = strlen(ancestor);

	if (strcmp(ancestor, ".") == 0)
		return true;
	if (n < a || strcmp(name + n - a, ancestor) != 0)
		return false;
	/* A dot that belongs to a label is written "\.". */
	return n == a || (n > a + 1 && name[n - a - 1] == '.' && name[n - a - 2] != '\\');
}

const char *delegation_parent(const char *name)
{
	if (strcmp(name, ".") == 0)
		return NULL;
	for (; *name && *name != '.'; name++)
		if (*name == '\\' && name[1])
			name++;
	return *name && name[1] ? name + 1 : ".";
}

size_t delegation_labels(const char *name)
{
	size_t n = strcmp(name, ".") != 0;

	for (; *name; name++) {
		if (*name == '\\' && name[1])
			name++;
		else if (*name == '.' && name[1])
			n++;
	}
	return n;
}

const char *delegation_next(const char *name, const char *zone)
{
	size_t drop = delegation_labels(name), keep = delegation_labels(zone) + 1;

	if (drop < keep || !delegation_under(name, zone))
		return NULL;
	for (drop -= keep; drop; drop--)
		name = delegation_parent(name);
	return name;
}

static const struct dns_record *find(const struct dns_result *r, uint16_t type)
{
	for (size_t i = 0; i < r->n_others; i++)
		if (r->others[i].type == type)
			return &r->others[i];
	return NULL;
}

/* Strictly below the zone, and above the name (or it). */
static bool leads_on(const char *apex, const char *zone, const char *name)
{
	return strcmp(apex, zone) != 0 && delegation_under(apex, zone) &&
	       delegation_under(name, apex);
}

const char *delegation_apex(const struct dns_result *r, const char *zone)
{
	const struct dns_record *ns = find(r, DNS_NS);

	if (r->rcode != 0 || r->authoritative || r->n_records || r->n_chain || !ns ||
		find(r, DNS_SOA) || !leads_on(ns->owner, zone, r->name))
		return NULL;
	return ns->owner;
}

static struct delegation_ns *add_ns(struct delegation *d, const struct dns_record *rr)
{
	for (size_t i = 0; i < d->n_ns; i++)
		if (strcmp(d->ns[i].name, rr->name) == 0)
			return &d->ns[i];
	if (d->n_ns == DELEGATION_NS_MAX)
		return NULL;
	d->ns[d->n_ns] = (struct delegation_ns){.name = rr->name};
	d->ttl_s = !d->n_ns || rr->ttl_s < d->ttl_s ? rr->ttl_s : d->ttl_s;
	return &d->ns[d->n_ns++];
}

static void add_glue(struct delegation_ns *ns, const struct dns_record *rr)
{
	for (size_t i = 0; i < ns->n; i++)
		if (addr_equal_host(&ns->addresses[i], &rr->address))
			return;
	if (ns->n < DELEGATION_ADDRESSES_MAX)
		ns->addresses[ns->n++] = rr->address;
}

/* Glue outside the zone that gave it is hearsay. */
static void read_referral(
	const struct dns_result *r, const char *apex, const char *zone, struct delegation *out)
{
	*out = (struct delegation){.apex = apex};
	for (size_t i = 0; i < r->n_others; i++) {
		const struct dns_record *rr = &r->others[i];
		if (rr->type == DNS_NS && strcmp(rr->owner, apex) == 0)
			(void)add_ns(out, rr);
	}
	for (size_t i = 0; i < r->n_others; i++) {
		const struct dns_record *rr = &r->others[i];
		if ((rr->type != DNS_A && rr->type != DNS_AAAA) ||
			!delegation_under(rr->owner, zone))
			continue;
		for (size_t j = 0; j < out->n_ns; j++)
			if (strcmp(out->ns[j].name, rr->owner) == 0)
				add_glue(&out->ns[j], rr);
	}
}

enum delegation_kind delegation_read(
	const struct dns_result *r, const char *zone, struct delegation *out)
{
	const char *apex = delegation_apex(r, zone);
	const struct dns_record *soa =
		r->n_records && r->type == DNS_SOA ? &r->records[0] : find(r, DNS_SOA);

	if (apex) {
		read_referral(r, apex, zone, out);
		return DELEGATION_BELOW;
	}
	if (r->rcode == 5 || r->rcode == 9) /* REFUSED, NOTAUTH */
		return DELEGATION_LAME;
	if (r->status != DNS_ANSWERED && r->status != DNS_NODATA && r->status != DNS_NXDOMAIN)
		return DELEGATION_FAILED;
	if (!r->authoritative)
		return DELEGATION_LAME;
	if (!soa || r->n_chain || !leads_on(soa->owner, zone, r->name))
		return DELEGATION_NONE;
	*out = (struct delegation){.apex = soa->owner, .ttl_s = soa->ttl_s};
	return DELEGATION_HIDDEN;
}

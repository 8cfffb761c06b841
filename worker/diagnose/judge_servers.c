/* The zone's name servers: lame, silent, dangling, in disagreement; the domain's existence; DNSSEC;
 * and whether it is we who cannot see. */
#include "worker/diagnose/diagnose_internal.h"

#include "common/names.h"

#include <stdio.h>
#include <string.h>

static const struct fact_answer *resolver_says(const struct view *v)
{
	const struct fact *fact = facts_find(v->f, ASK_RESOLVER, DNS_CNAME, v->owner);

	return fact && fact->n ? &fact->answers[0] : NULL;
}

/* The walk from the root found no zone below the public suffix. */
static bool walk_stopped_above(const struct view *v, const struct fact_zone *zone)
{
	return !name_is_under(zone->apex, name_registered_domain(v->base));
}

bool view_blind(const struct view *v)
{
	const struct fact_answer *a = resolver_says(v);
	const struct fact *asked = v->challenge_tally.fact;
	bool failed = a && end_is_failure(a->end) && a->end != FACT_BOGUS;

	if (!failed || !asked)
		return false;
	if (v->c->policy->resolver_broken)
		return true;
	if (a->end == FACT_NETWORK && v->challenge_tally.n)
		return true;
	/* Not even the registry's servers answer. */
	return !v->challenge_tally.n && (!asked->zone || (walk_stopped_above(v, asked->zone) &&
								 end_is_failure(asked->zone->end)));
}

bool view_unanswered(const struct view *v)
{
	const struct fact_answer *a = resolver_says(v);

	return a && (a->end == FACT_TIMEOUT || a->end == FACT_NETWORK);
}

static struct diagnosis *about_servers(
	struct view *v, struct diagnose_result *out, const char *code)
{
	struct diagnosis *d = add_diagnosis(v, out, code);
	const struct fact_zone *zone = view_zone(v);

	if (!d)
		return NULL;
	put_record(v, d, zone ? zone->apex : v->base, "NS", "");
	snprintf(d->expected, sizeof d->expected, "the same answer from each server of %s",
		zone ? zone->apex : v->base);
	put_observed(v, d, DNS_CNAME, v->owner);
	return d;
}

static bool is_there(const struct tally *t, enum fact_end end)
{
	for (size_t i = 0; t->fact && i < t->fact->n; i++)
		if (t->fact->answers[i].end == end)
			return true;
	return false;
}

/* The first server that ended so, for the advice. */
static const char *which(const struct tally *t, enum fact_end end)
{
	for (size_t i = 0; t->fact && i < t->fact->n; i++)
		if (t->fact->answers[i].end == end)
			return t->fact->answers[i].server;
	return "";
}

static bool judge_domain(struct view *v, struct diagnose_result *out)
{
	const struct fact_zone *zone = view_zone(v);
	const struct fact_answer *a = resolver_says(v);
	struct diagnosis *d;

	/* The servers of the parent say themselves that there is no such name. */
	if (!zone || !a || a->end != FACT_NXDOMAIN || !walk_stopped_above(v, zone) ||
		end_is_failure(zone->end))
		return false;
	d = add_diagnosis(v, out, "nxdomain");
	if (!d)
		return false;
	put_record(v, d, name_registered_domain(v->base), "NS", "a registered domain");
	put_observed(v, d, DNS_CNAME, v->owner);
	fix_line(d,
		"Register %s, or renew its registration; or correct the name's spelling and remove "
		"%s "
		"from the endpoint.",
		name_registered_domain(v->base), v->c->name);
	return true;
}

static bool judge_delegation(struct view *v, struct diagnose_result *out)
{
	const struct fact_zone *zone = view_zone(v);
	const struct tally *t = &v->challenge_tally;
	struct diagnosis *d = NULL;

	if (!zone)
		return false;
	if (zone->lame || (t->lame && !t->n && !t->silent)) {
		d = about_servers(v, out, "lame_delegation");
		if (d)
			fix_line(d,
				"At the registrar, set the name servers of %s to those of its DNS "
				"provider, or create the zone there.",
				zone->apex);
	} else if (t->lame && t->n) {
		d = about_servers(v, out, "lame_server");
		if (d)
			fix_line(d,
				"Create the zone %s at %s, or remove that server from the "
				"delegation "
				"at the registrar and from the zone's NS records.",
				zone->apex, which(t, FACT_LAME));
	}
	return d != NULL;
}

static bool judge_dangling(struct view *v, struct diagnose_result *out)
{
	const struct fact_zone *zone = view_zone(v);
	bool any = false;

	for (size_t i = 0; zone && i < zone->n_servers; i++) {
		const struct fact_ns *ns = &zone->servers[i];
		struct diagnosis *d;

		if (!ns->dangling)
			continue;
		any = true;
		d = add_diagnosis(v, out, "ns_dangling");
		if (!d)
			continue;
		put_record(v, d, ns->name, "A and AAAA", "addresses of a name server");
		diagnosis_observe(d,
			ns->at_parent && ns->in_zone ? "in delegation and zone"
			: ns->at_parent              ? "in the delegation"
						     : "in the zone",
			"no address", 0);
		fix_line(d,
			"Remove %s from the name servers of %s at the registrar and in the zone, "
			"or "
			"give it an address.",
			ns->name, zone->apex);
	}
	return any;
}

static bool judge_silence(struct view *v, struct diagnose_result *out)
{
	const struct fact_zone *zone = view_zone(v);
	const struct tally *t = &v->challenge_tally;
	struct diagnosis *d;
	bool all = !t->n && (t->silent || is_there(t, FACT_UNSAFE));
	bool any = false;

	if (is_there(t, FACT_TCP_REFUSED) && (d = about_servers(v, out, "tcp_refused"))) {
		fix_line(d, "Open TCP port 53 at %s.", which(t, FACT_TCP_REFUSED));
		any = true;
	}
	if ((t->silent || all) && (d = about_servers(v, out, "servers_silent"))) {
		if (!all)
			d->severity = DIAGNOSIS_INFO;
		fix_line(d,
			"Let the name servers of %s answer the whole world, by UDP and TCP port "
			"53%s",
			zone ? zone->apex : v->base,
			all ? ", or delegate the zone to others." : ".");
		any = true;
	}
	return any;
}

static bool judge_agreement(struct view *v, struct diagnose_result *out)
{
	struct diagnosis *d;

	if (v->challenge_tally.n < 2 || v->challenge_tally.alike)
		return false;
	d = about_servers(v, out, "servers_disagree");
	if (!d)
		return false;
	put_record(v, d, v->owner, "CNAME", view_text(v, "CNAME %s at each server", v->wanted));
	fix_line(d, "If it was changed lately, wait until the change is at each server.");
	fix_line(d, "Else let the DNS provider copy the zone to the servers that lag behind.");
	fix_create(v, d, v->owner, v->wanted);
	return true;
}

static bool judge_dnssec(struct view *v, struct diagnose_result *out)
{
	const struct fact_zone *zone = view_zone(v);
	const struct fact_answer *a = resolver_says(v);
	struct diagnosis *d;
	bool ds;

	if (!a || a->end != FACT_BOGUS)
		return false;
	ds = zone && zone->ds == FACT_DS_THERE && (!zone->signed_ || !zone->ds_matches);
	d = add_diagnosis(v, out, ds ? "dnssec_ds" : "dnssec_bogus");
	if (!d)
		return false;
	put_record(v, d, zone ? zone->apex : v->base, ds ? "DS" : "RRSIG",
		ds ? "no DS, or one that fits a DNSKEY of the zone" : "valid signatures");
	put_observed(v, d, DNS_CNAME, v->owner);
	if (ds)
		diagnosis_observe(d, "delegation",
			zone->signed_ ? "a DS that fits none of the zone's keys"
				      : "a DS, but the zone has no DNSKEY",
			0);
	if (ds)
		fix_line(d,
			"At the registrar, remove the DS record of %s; then, to have DNSSEC, sign "
			"the "
			"zone and give the registrar its new DS.",
			zone->apex);
	else
		fix_line(d,
			"Let the DNS provider sign %s anew; if that takes long, remove the DS "
			"record at "
			"the registrar first.",
			zone ? zone->apex : v->base);
	return true;
}

/* What is kept by our resolver goes with its TTL; what stays is a view of its own. */
static void judge_views(struct view *v, struct diagnose_result *out)
{
	const struct fact_answer *a = resolver_says(v);
	const struct tally *t = &v->challenge_tally;
	struct diagnosis *d;

	if (!a || end_is_failure(a->end) || !t->certain || !t->sample ||
		v->challenge_seen == SEEN_UNKNOWN || v->challenge_seen == t->seen)
		return;
	d = add_diagnosis(v, out, "split_view");
	if (!d)
		return;
	put_record(v, d, v->owner, "CNAME", "the same answer as in public DNS");
	put_observed(v, d, DNS_CNAME, v->owner);
	if (!end_is_failure(a->end))
		observe_answer(d, a, DNS_CNAME);
	if (a->ttl_s)
		d->severity = DIAGNOSIS_INFO;
	fix_line(d, "Wait for %u s, the TTL of what the resolver keeps.", a->ttl_s);
	fix_line(d, "If it stays, let resolver.servers see public DNS only.");
}

/* A resolver that fails without a reason that we can see. */
static void judge_resolver(struct view *v, struct diagnose_result *out, bool explained)
{
	const struct fact_answer *a = resolver_says(v);
	struct diagnosis *d;

	if (!a || !end_is_failure(a->end) || a->end == FACT_BOGUS || explained)
		return;
	d = add_diagnosis(v, out, out->blind ? "our_outage" : "servfail");
	if (!d)
		return;
	/* Whose fault it is will be known soon. */
	if (out->unanswered && !out->blind)
		d->severity = DIAGNOSIS_INFO;
	put_record(v, d, v->owner, "CNAME", view_text(v, "CNAME %s", v->wanted));
	put_observed(v, d, DNS_CNAME, v->owner);
	if (out->blind)
		fix_line(d, "Look at the resolver in resolver.servers: the domain's own servers "
			    "answer.");
	else
		fix_line(d, "Look at %s with a DNS checker: its servers and DNSSEC.",
			name_registered_domain(v->base));
}

bool judge_servers(struct view *v, struct diagnose_result *out)
{
	bool explained = judge_dnssec(v, out);

	explained |= judge_domain(v, out);
	/* Of a zone at _acme-challenge itself more is not to be known. */
	if (view_zone(v) && !strcmp(view_zone(v)->apex, v->owner)) {
		explained = true;
	} else if (view_zone(v) && !walk_stopped_above(v, view_zone(v))) {
		explained |= judge_delegation(v, out);
		explained |= judge_dangling(v, out);
		explained |= judge_silence(v, out);
		explained |= judge_agreement(v, out);
	}
	judge_views(v, out);
	judge_resolver(v, out, explained);
	return explained;
}

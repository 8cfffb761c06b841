/* The traffic record: where who opens the name arrives. */
#include "worker/diagnose/diagnose_internal.h"
#include "worker/diagnose/typo.h"

#include "common/mem.h"
#include "common/names.h"

#include <stdio.h>
#include <string.h>

static const char *first_address(struct view *v)
{
	const struct fact_answer *a = view_answer(v, DNS_A, v->c->name);
	const struct fact_answer *aaaa = view_answer(v, DNS_AAAA, v->c->name);

	if (a && a->end == FACT_RECORDS && a->n_records)
		return a->records[0];
	return aaaa && aaaa->end == FACT_RECORDS && aaaa->n_records ? aaaa->records[0] : "";
}

static const char *why_wrong(struct view *v, const struct addresses *a)
{
	const struct chain *c = &v->traffic;
	const char *target = v->c->config->target;

	if (c->loop)
		return "cname_loop";
	if (c->too_long)
		return "chain_long";
	if (c->n && typo_doubled(c->hops[0], target))
		return "target_doubled";
	if (c->n && typo_near(c->hops[0], target))
		return "cname_typo";
	if (a->ours == a->n - a->n6 && a->ours)
		return a->ours6 ? "addresses_mixed" : "aaaa_elsewhere";
	if (a->ours)
		return "addresses_mixed";
	return c->n ? "cname_elsewhere" : "addresses_elsewhere";
}

static void describe(struct view *v, struct diagnosis *d)
{
	const char *target = v->c->config->target;
	bool apex = view_is_apex(v, v->c->name);

	put_record(v, d, v->c->name, apex ? "A and AAAA" : "CNAME",
		apex ? view_text(v, "the addresses of %s", target)
		     : view_text(v, "CNAME %s", target));
	put_observed(v, d, DNS_A, v->c->name);
	if (!d->observed_n)
		put_observed(v, d, DNS_CNAME, v->c->name);
	if (!strncmp(d->code, "aaaa", 4) || !strncmp(d->code, "addresses", 9))
		put_observed(v, d, DNS_AAAA, v->c->name);
}

static void fix_addresses(struct view *v, struct diagnosis *d)
{
	const char *target = v->c->config->target;

	if (!strcmp(d->code, "aaaa_elsewhere")) {
		fix_line(d, "Remove the AAAA records of %s, or set them to those of %s", v->c->name,
			target);
		return;
	}
	if (!strcmp(d->code, "addresses_mixed")) {
		fix_line(d, "Remove the A and AAAA records of %s that are not addresses of %s",
			v->c->name, target);
		return;
	}
	if (!view_is_apex(v, v->c->name))
		fix_line(d, "Remove the A and AAAA records of %s", v->c->name);
	fix_traffic(v, d);
}

static void fix_wrong(struct view *v, struct diagnosis *d)
{
	if (!strncmp(d->code, "addresses", 9) || !strncmp(d->code, "aaaa", 4))
		fix_addresses(v, d);
	else if (v->traffic.n)
		fix_change(v, d, v->c->name, v->c->config->target, v->traffic.hops[0]);
	else
		fix_traffic(v, d);
}

/* Addresses by which no authority can come, and no visitor. */
static void fix_unsafe(struct view *v, struct diagnosis *d, uint16_t type)
{
	const struct diagnose_policy *p = v->c->policy;
	const struct fact_answer *a = view_answer(v, type, v->c->name);

	for (size_t i = 0; a && a->raw && a->end == FACT_RECORDS && i < a->n_records; i++) {
		const struct addr *at = &a->raw[i].address;
		const char *why = p->unsafe ? p->unsafe(p->arg, at) : addr_unsafe(at);

		if (!why)
			continue;
		fix_line(d, "(%s is no address that the internet can reach: %s)", a->records[i],
			why);
		return;
	}
}

static void say_wrong(struct view *v, struct diagnose_result *out)
{
	struct addresses a = {0};
	struct diagnosis *d;
	const char *code;

	if (!v->traffic.loop && !v->traffic.too_long)
		view_addresses(v, &a);
	code = why_wrong(v, &a);
	put_look(&out->verdict.traffic, RECORD_WRONG, code,
		v->traffic.n ? v->traffic.hops[0] : first_address(v));
	d = add_diagnosis(v, out, code);
	if (!d)
		return;
	describe(v, d);
	fix_wrong(v, d);
	fix_unsafe(v, d, DNS_A);
	fix_unsafe(v, d, DNS_AAAA);
}

static void say_missing(struct view *v, struct diagnose_result *out)
{
	const struct fact_answer *a = view_answer(v, DNS_CNAME, v->c->name);
	struct diagnosis *d;

	put_look(&out->verdict.traffic, RECORD_MISSING, "record_missing",
		a && a->end == FACT_NXDOMAIN ? "NXDOMAIN" : "");
	d = add_diagnosis(v, out, "record_missing");
	if (!d)
		return;
	describe(v, d);
	fix_traffic(v, d);
}

/* The first hop or address of a CDN: what is behind it cannot be seen. */
static void say_cdn(struct view *v, struct diagnose_result *out, const char *cdn)
{
	struct diagnosis *d = add_diagnosis(v, out, "cdn_in_front");

	put_look(&out->verdict.traffic, RECORD_RIGHT, "cdn_in_front",
		v->traffic.n ? v->traffic.hops[0] : first_address(v));
	if (!d)
		return;
	describe(v, d);
	snprintf(d->provider, sizeof d->provider, "%s", cdn);
	fix_line(d, "Nothing, if %s fetches from %s and passes /.well-known/acme-challenge/ on.",
		cdn, v->c->config->target);
	fix_line(d, "The _acme-challenge record makes certificates independent of it.");
}

/* Some providers let a CNAME be typed at the apex, and serve it. */
static void look_for_apex_cname(struct view *v, struct diagnose_result *out)
{
	const struct fact *fact = facts_find(v->f, ASK_SERVERS, DNS_A, v->c->name);
	const struct fact_zone *zone = view_zone(v);
	struct diagnosis *d;
	bool there = false;

	for (size_t i = 0; fact && i < fact->n; i++)
		there = there || fact->answers[i].n_hops;
	if (!there || !zone || zone->end != FACT_RECORDS || strcmp(zone->apex, v->c->name) != 0)
		return;
	snprintf(out->verdict.traffic.code, sizeof out->verdict.traffic.code, "apex_cname");
	d = add_diagnosis(v, out, "apex_cname");
	if (!d)
		return;
	describe(v, d);
	fix_line(d, "Replace the CNAME of %s:", v->c->name);
	fix_traffic(v, d);
}

static void say_right(struct view *v, struct diagnose_result *out)
{
	struct addresses a = {0};

	if (!v->traffic.reached) {
		view_addresses(v, &a);
		if (a.cdn) {
			say_cdn(v, out, a.cdn);
			out->verdict.http01 = VERDICT_UNSURE;
			return;
		}
	}
	put_look(&out->verdict.traffic, RECORD_RIGHT, "",
		v->traffic.reached ? v->c->config->target : first_address(v));
	out->verdict.http01 = VERDICT_CAN;
}

/* Our own target has no address, or nothing could be seen. */
static void say_unknown(struct view *v, struct diagnose_result *out)
{
	const struct record_look *before = v->c->before ? &v->c->before->traffic : NULL;
	const char *code = out->diagnoses_n ? out->diagnoses[0].code : "servfail";
	struct addresses a = {0};
	struct diagnosis *d;

	if ((out->blind || out->unanswered) && before) {
		out->verdict.traffic = *before;
		out->verdict.http01 = v->c->before->http01;
		return;
	}
	view_addresses(v, &a);
	if (a.n && a.target_missing && (d = add_diagnosis(v, out, "our_outage"))) {
		put_record(v, d, v->c->config->target, "A and AAAA", "addresses of the edge");
		put_observed(v, d, DNS_A, v->c->config->target);
		fix_line(d, "Give the target %s its A and AAAA records", v->c->config->target);
		code = d->code;
	}
	put_look(&out->verdict.traffic, RECORD_ERROR, code, first_address(v));
}

/* A record that nobody has is certain; where one leads is seen from here only. */
static void judge_missing(struct view *v, struct diagnose_result *out)
{
	const struct record_look *before = v->c->before ? &v->c->before->traffic : NULL;
	struct record_look *l = &out->verdict.traffic;

	say_missing(v, out);
	if (!v->traffic_tally.certain || v->traffic_tally.seen != SEEN_MISSING)
		return;
	l->bad_since_ms = before && before->bad_since_ms ? before->bad_since_ms : v->c->now_ms;
	if (v->c->now_ms - l->bad_since_ms >= v->c->policy->confirm_ms)
		out->verdict.http01 = VERDICT_CANNOT;
}

void judge_traffic(struct view *v, struct diagnose_result *out)
{
	const struct fact_answer *a = v->external ? view_answer(v, DNS_CNAME, v->c->name) : NULL;
	enum seen seen = v->traffic_seen;

	if (!v->external)
		return;
	if (v->traffic_tally.seen == SEEN_MISSING)
		seen = SEEN_MISSING;
	out->verdict.http01 = VERDICT_UNSURE;
	if (a && a->end == FACT_BOGUS) {
		put_look(&out->verdict.traffic, RECORD_ERROR,
			out->diagnoses_n ? out->diagnoses[0].code : "dnssec_bogus", "");
		out->verdict.http01 = VERDICT_CANNOT;
	} else if (seen == SEEN_RIGHT)
		say_right(v, out);
	else if (seen == SEEN_MISSING)
		judge_missing(v, out);
	else if (seen == SEEN_WRONG)
		say_wrong(v, out);
	else
		say_unknown(v, out);
	look_for_apex_cname(v, out);
	if (name_is_wildcard(v->c->name))
		out->verdict.http01 = VERDICT_CANNOT;
}

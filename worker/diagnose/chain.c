/* What was seen of the two records: CNAMEs followed at the resolver, and the servers' word on them.
 */
#include "common/mem.h"
#include "common/names.h"
#include "worker/diagnose/diagnose_internal.h"

#include <stdio.h>
#include <string.h>

bool end_is_failure(enum fact_end end)
{
	return end != FACT_RECORDS && end != FACT_NODATA && end != FACT_NXDOMAIN &&
	       end != FACT_REFERRAL;
}

bool end_is_missing(enum fact_end end)
{
	return end == FACT_NODATA || end == FACT_NXDOMAIN || end == FACT_REFERRAL;
}

int view_label_zone(const struct view *v, const char *name)
{
	char label[NAME_SIZE + LABEL_SIZE];

	for (size_t i = 0; i < v->c->policy->zones_n; i++) {
		snprintf(label, sizeof label, "%s.%s", v->label, v->c->policy->zones[i]);
		if (!strcmp(name, label))
			return (int)i;
	}
	return -1;
}

bool view_in_our_zones(const struct view *v, const char *name)
{
	for (size_t i = 0; i < v->c->policy->zones_n; i++)
		if (name_is_under(name, v->c->policy->zones[i]))
			return true;
	return false;
}

bool chain_fits_challenge(const struct view *v, const char *hop)
{
	return view_label_zone(v, hop) >= 0;
}

bool chain_fits_target(const struct view *v, const char *hop)
{
	return !strcmp(hop, v->c->config->target);
}

static bool add_hop(struct chain *out, const char *owner, const char *hop)
{
	if (out->n == DIAGNOSE_HOPS_MAX) {
		out->too_long = true;
		return false;
	}
	out->loop = !strcmp(hop, owner);
	for (size_t i = 0; i < out->n; i++)
		out->loop = out->loop || !strcmp(out->hops[i], hop);
	out->hops[out->n++] = hop;
	return !out->loop;
}

void chain_follow(struct view *v, const char *owner,
	bool (*fits)(const struct view *v, const char *hop), struct chain *out)
{
	const char *at = owner;

	*out = (struct chain){.end = FACT_RECORDS};
	while (!out->reached) {
		const struct fact_answer *a = view_answer(v, DNS_CNAME, at);

		if (!a) {
			out->open = true;
			return;
		}
		out->end = a->end;
		if (a->end != FACT_RECORDS || !a->n_records)
			return;
		if (!out->n)
			out->ttl_s = a->ttl_s;
		if (!add_hop(out, owner, a->records[0]))
			return;
		at = a->records[0];
		out->reached = fits(v, at);
		/* What lies in our zones goes nowhere else. */
		if (view_in_our_zones(v, at))
			return;
	}
}

static enum seen seen_of_chain(const struct chain *c)
{
	if (c->reached)
		return SEEN_RIGHT;
	if (c->n)
		/* Where it goes on could not be seen. */
		return end_is_failure(c->end) && !c->loop && !c->too_long ? SEEN_UNKNOWN
									  : SEEN_WRONG;
	return end_is_missing(c->end) ? SEEN_MISSING : SEEN_UNKNOWN;
}

void view_look_challenge(struct view *v)
{
	chain_follow(v, v->owner, chain_fits_challenge, &v->challenge);
	v->challenge_seen = v->challenge.open ? SEEN_UNKNOWN : seen_of_chain(&v->challenge);
}

/* Without the target in sight the addresses decide: an ALIAS, or a CNAME that leads to one. */
static enum seen seen_of_addresses(const struct view *v, const struct addresses *a)
{
	if (a->open || (end_is_failure(a->end) && !a->n))
		return SEEN_UNKNOWN;
	if (!a->n)
		return SEEN_MISSING;
	if (a->cdn || (a->ours == a->n))
		return SEEN_RIGHT;
	if (a->target_unknown || a->target_missing)
		return v->traffic.n ? SEEN_WRONG : SEEN_UNKNOWN;
	return SEEN_WRONG;
}

void view_look_traffic(struct view *v)
{
	struct addresses a;

	chain_follow(v, v->c->name, chain_fits_target, &v->traffic);
	if (v->traffic.open || v->traffic.reached || v->traffic.loop || v->traffic.too_long) {
		v->traffic_seen = v->traffic.open ? SEEN_UNKNOWN : seen_of_chain(&v->traffic);
		return;
	}
	view_addresses(v, &a);
	v->traffic_seen = seen_of_addresses(v, &a);
}

/* --- the servers */

/* One server's word on the challenge record: where its CNAME goes on, the resolver says. */
static enum seen challenge_by(struct view *v, const struct fact_answer *a)
{
	struct chain rest;

	if (end_is_missing(a->end))
		return SEEN_MISSING;
	if (a->end != FACT_RECORDS || !a->n_records)
		return SEEN_UNKNOWN;
	if (chain_fits_challenge(v, a->records[0]))
		return SEEN_RIGHT;
	if (view_in_our_zones(v, a->records[0]))
		return SEEN_WRONG;
	chain_follow(v, a->records[0], chain_fits_challenge, &rest);
	if (rest.open)
		return SEEN_UNKNOWN;
	return rest.reached                             ? SEEN_RIGHT
	       : end_is_failure(rest.end) && !rest.loop ? SEEN_UNKNOWN
							: SEEN_WRONG;
}

/* On the traffic record: only that there is none is certain; whether addresses are right the
 * resolver knows. */
static enum seen traffic_by(struct view *v, const struct fact_answer *a)
{
	if (a->n_hops || a->end == FACT_RECORDS)
		return v->traffic_seen == SEEN_MISSING ? SEEN_UNKNOWN : v->traffic_seen;
	return end_is_missing(a->end) ? SEEN_MISSING : SEEN_UNKNOWN;
}

/* We cannot expect each place of a server to be reachable from here. */
static bool is_out_of_reach(const struct fact_answer *a)
{
	return a->end == FACT_SKIPPED || a->end == FACT_UNSAFE ||
	       (a->end == FACT_NETWORK && a->address.sa.sa_family == AF_INET6);
}

static bool same_word(const struct fact_answer *a, const struct fact_answer *b)
{
	if (a->end != FACT_RECORDS || b->end != FACT_RECORDS)
		return end_is_missing(a->end) && end_is_missing(b->end);
	return a->n_records && b->n_records && !strcmp(a->records[0], b->records[0]);
}

static void count_failure(const struct fact_answer *a, struct tally *t)
{
	if (a->end == FACT_LAME)
		t->lame++;
	else if (a->end == FACT_TCP_REFUSED)
		t->tcp++;
	else if (a->end == FACT_TIMEOUT || a->end == FACT_NETWORK)
		t->silent++;
	else
		t->broken++;
}

static void tally_up(struct view *v, const struct fact *fact,
	enum seen (*by)(struct view *v, const struct fact_answer *a), bool addresses,
	struct tally *t)
{
	bool alike = true;

	*t = (struct tally){.fact = fact};
	for (size_t i = 0; fact && i < fact->n; i++) {
		const struct fact_answer *a = &fact->answers[i];
		enum seen s;

		if (is_out_of_reach(a))
			continue;
		if (end_is_failure(a->end)) {
			count_failure(a, t);
			continue;
		}
		s = by(v, a);
		t->said[s]++;
		t->n++;
		if (t->sample)
			alike = alike && (addresses ? t->seen == s : same_word(t->sample, a));
		else
			t->sample = a;
		t->seen = s;
	}
	t->alike = t->n && alike;
	t->certain = t->alike && t->seen != SEEN_UNKNOWN && !t->silent && !t->tcp && !t->broken;
	if (!t->alike)
		t->seen = SEEN_UNKNOWN;
}

void view_tally_challenge(struct view *v)
{
	tally_up(v, facts_find(v->f, ASK_SERVERS, DNS_CNAME, v->owner), challenge_by, false,
		&v->challenge_tally);
}

void view_tally_traffic(struct view *v)
{
	const struct fact *a = facts_find(v->f, ASK_SERVERS, DNS_A, v->c->name);
	const struct fact *aaaa = facts_find(v->f, ASK_SERVERS, DNS_AAAA, v->c->name);

	tally_up(v, a, traffic_by, true, &v->traffic_tally);
	/* Only AAAA: there is something. */
	if (v->traffic_tally.seen == SEEN_MISSING && aaaa) {
		struct tally t;

		tally_up(v, aaaa, traffic_by, true, &t);
		if (t.seen != SEEN_MISSING)
			v->traffic_tally = t;
	}
}

/* The _acme-challenge record: right, or which of the many ways of being wrong. */
#include "worker/diagnose/diagnose_internal.h"
#include "worker/diagnose/typo.h"

#include "common/mem.h"
#include "common/names.h"

#include <stdio.h>
#include <string.h>

/* What all that was seen comes to: the servers' word where they have one. */
static enum seen decide(const struct tally *t, enum seen by_resolver)
{
	if (t->alike && t->seen != SEEN_UNKNOWN)
		return t->seen;
	return t->n && !t->alike ? SEEN_UNKNOWN : by_resolver;
}

/* The record stays denied since it was first denied by all; a look that saw nothing changes
 * nothing. */
static int64_t bad_since(
	const struct view *v, const struct record_look *before, enum seen seen, bool certain)
{
	int64_t since = before ? before->bad_since_ms : 0;

	if (seen == SEEN_RIGHT)
		return 0;
	if (seen == SEEN_UNKNOWN || !certain)
		return since;
	return since ? since : v->c->now_ms;
}

static enum verdict verdict_of(
	const struct view *v, enum seen seen, bool certain, int64_t since, bool can_be_certain)
{
	if (seen == SEEN_RIGHT)
		return VERDICT_CAN;
	if (seen == SEEN_UNKNOWN || !certain || !can_be_certain || !since)
		return VERDICT_UNSURE;
	return v->c->now_ms - since >= v->c->policy->confirm_ms ? VERDICT_CANNOT : VERDICT_UNSURE;
}

/* --- why it is missing */

static bool is_txt_here(struct view *v, bool *label)
{
	const struct fact *fact = facts_find(v->f, ASK_SERVERS, DNS_TXT, v->owner);
	bool any = false;

	for (size_t i = 0; fact && i < fact->n; i++) {
		const struct fact_answer *a = &fact->answers[i];

		if (a->end != FACT_RECORDS || a->n_hops)
			continue;
		any = true;
		for (size_t k = 0; k < a->n_records; k++)
			*label = *label || !strncmp(a->records[k], v->label, strlen(v->label));
	}
	return any;
}

static bool has_address_here(struct view *v)
{
	const struct fact *fact = facts_find(v->f, ASK_SERVERS, DNS_A, v->owner);

	for (size_t i = 0; fact && i < fact->n; i++)
		if (fact->answers[i].end == FACT_RECORDS && !fact->answers[i].n_hops)
			return true;
	return false;
}

static const char *why_missing(struct view *v, struct stray *stray)
{
	const struct fact_zone *zone = view_zone(v);
	bool label = false;

	if (zone && !strcmp(zone->apex, v->owner))
		return "challenge_delegated";
	if (is_txt_here(v, &label))
		return label ? "wrong_type" : "txt_shadows";
	/* A wildcard's addresses are no record of this name. */
	if (has_address_here(v) && !view_lives_off_wildcard(v))
		return "wrong_type";
	view_strays(v, stray);
	if (stray->code)
		return stray->code;
	return view_lives_off_wildcard(v) ? "wildcard_would_hide" : "record_missing";
}

/* --- why it is wrong */

static const char *why_wrong(struct view *v, const char *first, const struct chain *rest)
{
	if (view_wildcard_answers(v))
		return view_lives_off_wildcard(v) ? "wildcard_would_hide" : "wildcard_answers";
	if (typo_doubled(first, v->wanted))
		return "target_doubled";
	if (typo_near(first, v->wanted))
		return "cname_typo";
	if (view_in_our_zones(v, first) ||
		(rest->n && view_in_our_zones(v, rest->hops[rest->n - 1])))
		return "label_not_yours";
	if (rest->loop)
		return "cname_loop";
	return rest->too_long ? "chain_long" : "cname_elsewhere";
}

/* --- the edits */

static void fix_delegated(struct view *v, struct diagnosis *d)
{
	fix_line(d, "Remove the NS records of %s", v->owner);
	fix_create(v, d, v->owner, v->wanted);
}

static void fix_other_type(struct view *v, struct diagnosis *d)
{
	fix_line(d, "Remove the TXT and address records of %s", v->owner);
	fix_create(v, d, v->owner, v->wanted);
}

static void fix_hidden(struct view *v, struct diagnosis *d)
{
	if (v->external) {
		fix_line(d,
			"First give %s a record of its own, and wait until it answers:", v->base);
		fix_create(v, d, v->base, v->c->config->target);
	} else {
		fix_line(d, "First give %s the records that the wildcard gives it now.", v->base);
	}
	fix_line(d, "Only then:");
	fix_create(v, d, v->owner, v->wanted);
}

static void fix_missing(struct view *v, struct diagnosis *d, const struct stray *stray)
{
	if (!strcmp(d->code, "challenge_delegated")) {
		fix_delegated(v, d);
	} else if (!strcmp(d->code, "txt_shadows") || !strcmp(d->code, "wrong_type")) {
		fix_other_type(v, d);
	} else if (!strcmp(d->code, "wildcard_would_hide")) {
		fix_hidden(v, d);
	} else {
		fix_create(v, d, v->owner, v->wanted);
		if (stray->code)
			fix_line(d, "Then remove %s", stray->owner);
	}
}

/* The label of another name of the same endpoint: two records were mixed up. */
static const char *whose_label(struct view *v, const char *seen)
{
	const struct endpoint_config *c = v->c->config;
	char label[LABEL_SIZE];

	for (size_t i = 0; i < c->names_n; i++) {
		label_make(v->c->policy->label_key, c->tenant, name_base(c->names[i]), label);
		if (!strncmp(seen, label, strlen(label)))
			return name_base(c->names[i]);
	}
	return NULL;
}

static void fix_wrong(struct view *v, struct diagnosis *d, const char *first)
{
	const char *other = !strcmp(d->code, "label_not_yours") ? whose_label(v, first) : NULL;

	if (!strcmp(d->code, "wildcard_would_hide")) {
		fix_hidden(v, d);
		return;
	}
	if (!strcmp(d->code, "wildcard_answers"))
		fix_create(v, d, v->owner, v->wanted);
	else
		fix_change(v, d, v->owner, v->wanted, first);
	if (other)
		fix_line(d, "%s is the label of %s.", first, other);
}

/* --- judging */

static void describe(struct view *v, struct diagnosis *d)
{
	put_record(v, d, v->owner, "CNAME", view_text(v, "CNAME %s", v->wanted));
	put_observed(v, d, DNS_CNAME, v->owner);
}

static void say_missing(struct view *v, struct diagnose_result *out)
{
	struct stray stray = {0};
	const char *code = why_missing(v, &stray);
	const struct fact_answer *a = v->challenge_tally.sample
					      ? v->challenge_tally.sample
					      : view_answer(v, DNS_CNAME, v->owner);
	struct diagnosis *d = add_diagnosis(v, out, code);

	put_look(&out->verdict.challenge, RECORD_MISSING, code,
		a && a->end == FACT_NXDOMAIN ? "NXDOMAIN" : "");
	if (!d)
		return;
	describe(v, d);
	if (!strcmp(code, "txt_shadows") || !strcmp(code, "wrong_type")) {
		put_observed(v, d, DNS_TXT, v->owner);
		if (has_address_here(v))
			put_observed(v, d, DNS_A, v->owner);
	}
	if (stray.code)
		diagnosis_observe(d, "resolver",
			view_text(v, "%s CNAME %s", stray.owner, stray.answer->records[0]),
			stray.answer->ttl_s);
	fix_missing(v, d, &stray);
}

static void say_wrong(struct view *v, struct diagnose_result *out)
{
	const struct fact_answer *sample = v->challenge_tally.sample;
	const char *first = sample && sample->n_records ? sample->records[0] : v->challenge.hops[0];
	struct chain rest;
	struct diagnosis *d;
	const char *code;

	chain_follow(v, first, chain_fits_challenge, &rest);
	code = why_wrong(v, first, &rest);
	put_look(&out->verdict.challenge, RECORD_WRONG, code, first);
	d = add_diagnosis(v, out, code);
	if (!d)
		return;
	describe(v, d);
	if (rest.n)
		diagnosis_observe(d, "resolver",
			view_text(v, "%s leads to %s", first, rest.hops[rest.n - 1]), 0);
	fix_wrong(v, d, first);
}

static void say_right(struct view *v, struct diagnose_result *out)
{
	const struct fact_answer *sample = v->challenge_tally.sample;
	const char *last = v->challenge.n                ? v->challenge.hops[v->challenge.n - 1]
			   : sample && sample->n_records ? sample->records[0]
							 : v->wanted;
	struct diagnosis *d = NULL;
	bool old = view_label_zone(v, last) > 0;
	bool label = false, beside = is_txt_here(v, &label);

	put_look(&out->verdict.challenge, RECORD_RIGHT,
		beside ? "cname_beside_others"
		: old  ? "label_old"
		       : "",
		last);
	if (beside && (d = add_diagnosis(v, out, "cname_beside_others"))) {
		describe(v, d);
		put_observed(v, d, DNS_TXT, v->owner);
		fix_line(d, "Remove the TXT records of %s; the CNAME stays.", v->owner);
	}
	if (old && (d = add_diagnosis(v, out, "label_old"))) {
		describe(v, d);
		fix_change(v, d, v->owner, v->wanted, last);
	}
}

static void say_unknown(struct view *v, struct diagnose_result *out)
{
	const struct tally *t = &v->challenge_tally;
	const struct fact_answer *a = view_answer(v, DNS_CNAME, v->owner);
	const char *code = out->diagnoses_n ? out->diagnoses[0].code : "servfail";

	if (t->n && !t->alike)
		code = "servers_disagree";
	put_look(&out->verdict.challenge, RECORD_ERROR, code,
		t->sample && t->sample->n_records ? t->sample->records[0]
		: a                               ? fact_end_word(a->end)
						  : "");
}

/* DNSSEC forbids, whatever stands there. */
static bool is_bogus(struct view *v)
{
	const struct fact_answer *a = view_answer(v, DNS_CNAME, v->owner);

	return a && a->end == FACT_BOGUS;
}

/* The servers say what is right, and the resolver cannot: an authority's may not be able to either.
 * What was possible stays so while it is not known whether it is our resolver; and without it
 * nobody validates what a signed zone says. */
static bool is_doubtful(const struct view *v, const struct diagnose_result *out)
{
	bool could = v->c->before && v->c->before->dns01 == VERDICT_CAN;
	const struct fact_zone *zone = view_zone(v);
	bool signed_zone = !zone || zone->ds != FACT_DS_NONE;

	if (v->challenge_seen != SEEN_UNKNOWN || (could && (out->blind || out->unanswered)))
		return false;
	return !out->blind || signed_zone;
}

/* What DNSSEC forbade stays forbidden while nobody can validate. */
static bool was_bogus(const struct view *v, const struct diagnose_result *out)
{
	const struct name_verdict *b = v->c->before;

	return b && (out->blind || out->unanswered) && b->dns01 == VERDICT_CANNOT &&
	       !strncmp(b->challenge.code, "dnssec_", 7);
}

/* Who serves the zone of this name alone never sees the CNAME. */
static bool is_delegated(const struct view *v)
{
	const struct fact_zone *zone = view_zone(v);

	return zone && !strcmp(zone->apex, v->owner);
}

void judge_challenge(struct view *v, struct diagnose_result *out)
{
	const struct record_look *before = v->c->before ? &v->c->before->challenge : NULL;
	struct record_look *l = &out->verdict.challenge;
	const struct tally *t = &v->challenge_tally;
	enum seen seen = is_bogus(v) ? SEEN_UNKNOWN : decide(t, v->challenge_seen);
	bool certain = t->certain;

	if (seen == SEEN_UNKNOWN && is_delegated(v) && !is_bogus(v))
		seen = SEEN_MISSING;
	if (seen == SEEN_RIGHT)
		say_right(v, out);
	else if (seen == SEEN_MISSING)
		say_missing(v, out);
	else if (seen == SEEN_WRONG)
		say_wrong(v, out);
	else
		say_unknown(v, out);
	l->bad_since_ms = bad_since(v, before, seen, certain);
	out->verdict.dns01 = verdict_of(v, seen, certain, l->bad_since_ms, true);
	if (was_bogus(v, out)) {
		*l = v->c->before->challenge;
		out->verdict.dns01 = VERDICT_CANNOT;
	} else if (is_bogus(v)) {
		out->verdict.dns01 = VERDICT_CANNOT;
	} else if (seen == SEEN_RIGHT &&
		   (!strcmp(l->code, "cname_beside_others") || is_doubtful(v, out)))
		out->verdict.dns01 = VERDICT_UNSURE;
}

#include "worker/diagnose/diagnose_internal.h"

#include "common/mem.h"
#include "common/names.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* --- the case being looked at */

const char *view_text(struct view *v, const char *format, ...)
{
	char text[NAME_SIZE * 3];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	return facts_text(v->f, text);
}

void view_init(struct view *v, const struct diagnose_case *c, struct facts *f)
{
	char random[LABEL_SIZE];

	*v = (struct view){.c = c, .f = f, .base = name_base(c->name)};
	v->external = c->config->type == ENDPOINT_EXTERNAL;
	v->owner = view_text(v, "_acme-challenge.%s", v->base);
	label_make(c->policy->label_key, c->config->tenant, v->base, v->label);
	v->wanted = view_text(v, "%s.%s", v->label, c->policy->zones[0]);
	label_make(c->policy->label_key, "nobody", v->base, random);
	v->random = view_text(v, "%.16s.%s", random, v->base);
}

static bool is_asked(const struct view *v, enum ask_how how, uint16_t type, const char *owner)
{
	for (size_t i = 0; i < v->asks_n; i++)
		if (v->asks[i].how == how && v->asks[i].type == type &&
			!strcmp(v->asks[i].owner, owner))
			return true;
	return false;
}

const struct fact *view_need(struct view *v, enum ask_how how, uint16_t type, const char *owner)
{
	const struct fact *fact = facts_find(v->f, how, type, owner);

	if (!fact && v->asks && v->asks_n < DIAGNOSE_ASKS_MAX && strlen(owner) <= NAME_MAX_LEN &&
		!is_asked(v, how, type, owner))
		v->asks[v->asks_n++] = (struct ask){.how = how, .type = type, .owner = owner};
	return fact;
}

const struct fact_answer *view_answer(struct view *v, uint16_t type, const char *owner)
{
	const struct fact *fact = view_need(v, ASK_RESOLVER, type, owner);

	return fact && fact->n ? &fact->answers[0] : NULL;
}

const struct fact_zone *view_zone(const struct view *v)
{
	const struct fact *fact = facts_find(v->f, ASK_SERVERS, DNS_CNAME, v->owner);

	return fact ? fact->zone : NULL;
}

/* --- what to ask */

static bool is_right(const struct view *v)
{
	return v->challenge_seen == SEEN_RIGHT && (!v->external || v->traffic_seen == SEEN_RIGHT);
}

static void ask_cheap(struct view *v)
{
	view_look_challenge(v);
	if (v->external)
		view_look_traffic(v);
	view_caa(v);
	if (!v->asks_n && v->challenge_seen != SEEN_RIGHT)
		view_answer(v, DNS_TXT, view_text(v, "_certfleet.%s", v->base));
}

static bool has_finding(const struct diagnose_case *c)
{
	const struct name_verdict *b = c->before;

	return b && (b->challenge.code[0] || b->traffic.code[0] || b->challenge.bad_since_ms ||
			    b->traffic.bad_since_ms);
}

static void ask_deep(struct view *v)
{
	view_need(v, ASK_SERVERS, DNS_CNAME, v->owner);
	view_need(v, ASK_SERVERS, DNS_TXT, v->owner);
	if (v->external) {
		view_need(v, ASK_SERVERS, DNS_A, v->c->name);
		view_need(v, ASK_SERVERS, DNS_AAAA, v->c->name);
		view_answer(v, DNS_A, v->c->name);
	}
	if (!v->asks_n)
		view_tally_challenge(v); /* what goes on from there is asked too */
}

static void ask_further(struct view *v)
{
	struct stray stray;

	if (v->challenge_tally.seen == SEEN_RIGHT)
		return;
	view_strays(v, &stray);
	view_need(v, ASK_SERVERS, DNS_A, v->owner);
	view_wildcard_answers(v);
	view_lives_off_wildcard(v);
}

size_t diagnose_next(const struct diagnose_case *c, struct facts *f, struct ask *out)
{
	struct view v;

	view_init(&v, c, f);
	v.asks = out;
	ask_cheap(&v);
	if (v.asks_n || (is_right(&v) && !c->deep && !has_finding(c)))
		return v.asks_n;
	ask_deep(&v);
	if (!v.asks_n)
		ask_further(&v);
	return v.asks_n;
}

/* --- what it means */

void put_look(
	struct record_look *l, enum record_status status, const char *code, const char *observed)
{
	l->status = status;
	snprintf(l->code, sizeof l->code, "%s", code);
	snprintf(l->observed, sizeof l->observed, "%.*s", (int)sizeof l->observed - 1, observed);
}

/* Design section 3, claim: what in public DNS names this tenant, and whether it can name one only.
 */
static void judge_proof(struct view *v, struct name_verdict *out)
{
	const struct diagnose_policy *p = v->c->policy;
	const struct endpoint_config *cfg = v->c->config;
	const struct fact_answer *txt =
		view_answer(v, DNS_TXT, view_text(v, "_certfleet.%s", v->base));
	bool traffic_right =
		v->external && out->traffic.status == RECORD_RIGHT && v->traffic.reached;
	const char *owner = p->target_tenant ? p->target_tenant(p->arg, cfg->target) : NULL;
	bool by_txt = false;

	for (size_t i = 0; txt && txt->end == FACT_RECORDS && i < txt->n_records; i++)
		by_txt = by_txt || !strcmp(txt->records[i], v->label);
	out->proof_exclusive = out->challenge.status == RECORD_RIGHT ||
			       (traffic_right && owner && !strcmp(owner, cfg->tenant));
	out->proven = out->proof_exclusive || by_txt ||
		      (out->traffic.status == RECORD_RIGHT && p->trust_target_cname);
}

static void keep_before(struct view *v, struct diagnose_result *out)
{
	const struct name_verdict *b = v->c->before;

	if (!b)
		return;
	out->verdict.challenge = b->challenge;
	out->verdict.traffic = b->traffic;
	out->verdict.dns01 = b->dns01;
	out->verdict.http01 = b->http01;
	out->verdict.proven = b->proven;
	out->verdict.proof_exclusive = b->proof_exclusive;
}

static void judge_seeing(struct view *v, struct diagnose_result *out)
{
	struct name_verdict *n = &out->verdict;
	bool hangs;

	judge_servers(v, out);
	judge_challenge(v, out);
	judge_traffic(v, out);
	judge_caa(v, out);
	judge_proof(v, n);
	hangs = n->dns01 != VERDICT_CAN && n->http01 != VERDICT_CAN;
	for (size_t i = 0; i < out->diagnoses_n; i++) {
		struct diagnosis *d = &out->diagnoses[i];

		/* Nobody needs the record of a type that is not used. */
		if (n->http01 == VERDICT_CAN && n->proven && d->actor == ACTOR_OWNER &&
			n->challenge.status == RECORD_MISSING &&
			!strcmp(d->code, n->challenge.code) &&
			!strncmp(d->record, v->owner, strlen(v->owner)))
			d->severity = DIAGNOSIS_INFO;
		put_effect(v, d, hangs || d->authority[0]);
	}
	out->gone = v->challenge_tally.seen == SEEN_MISSING && v->challenge_tally.certain &&
		    (!v->external || n->traffic.status == RECORD_MISSING ||
			    n->traffic.status == RECORD_WRONG);
}

void diagnose_judge(const struct diagnose_case *c, struct facts *f, struct diagnose_result *out)
{
	struct view v;

	memset(out, 0, sizeof *out);
	snprintf(out->verdict.name, sizeof out->verdict.name, "%s", c->name);
	if (c->config->type != ENDPOINT_EXTERNAL || name_is_wildcard(c->name))
		out->verdict.http01 = VERDICT_CANNOT;
	view_init(&v, c, f);
	view_look_challenge(&v);
	if (v.external)
		view_look_traffic(&v);
	view_tally_challenge(&v);
	view_tally_traffic(&v);
	out->deep = v.challenge_tally.fact != NULL;
	out->blind = view_blind(&v);
	out->unanswered = view_unanswered(&v);
	if (out->blind && v.challenge_tally.seen != SEEN_RIGHT) {
		struct diagnosis *d;

		keep_before(&v, out);
		d = add_diagnosis(&v, out, "our_outage");
		if (d)
			put_observed(&v, d, DNS_CNAME, v.owner);
	} else {
		judge_seeing(&v, out);
	}
	diagnoses_sort(out->diagnoses, out->diagnoses_n);
}

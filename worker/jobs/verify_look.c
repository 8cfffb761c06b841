/* The looks of one job: each name's questions in rounds, until the core wants no more. */
#include "common/clock.h"
#include "common/mem.h"
#include "worker/authorities.h"
#include "worker/diagnose/diagnose.h"
#include "worker/dns/survey.h"
#include "worker/doubt.h"
#include "worker/jobs/verify_internal.h"
#include "worker/worker.h"

#include <stdlib.h>
#include <string.h>

struct verify_name {
	struct verify *v;
	size_t index;
	struct facts *facts;
	struct survey_look *look;
	unsigned rounds;
};

/* --- the case */

/* A verdict of another config is of other names, labels or targets. */
static const struct name_verdict *before_of(const struct endpoint *e, const char *name)
{
	bool same = e->has_verdict && e->verdict.generation == e->generation;

	return same ? endpoint_verdict_of(&e->verdict, name) : NULL;
}

/* What only the servers show would be forgotten by a look that does not ask them. */
static bool has_deep_finding(const struct endpoint_verdict *v)
{
	for (size_t i = 0; i < v->diagnoses_n; i++) {
		const struct diagnosis *d = &v->diagnoses[i];
		const struct diagnosis_kind *k = diagnosis_kind(d->code);

		if (!(k && k->probed) && !d->authority[0] && strcmp(d->code, "cdn_in_front") != 0 &&
			strcmp(d->code, "held_elsewhere") != 0)
			return true;
	}
	return false;
}

static bool wants_deep(const struct verify *v, int64_t now)
{
	const struct endpoint *e = &v->job->endpoint;

	if (v->job->lane == LANE_PERSON || (e->has_verdict && has_deep_finding(&e->verdict)))
		return true;
	/* A first look is quick, and what the CA found is looked for. */
	return e->has_verdict && (now - e->verdict.deep_ms > v->w->deep_every_ms ||
					 e->issuance.failed_ms > e->verdict.deep_ms);
}

static void fill_case(const struct verify_name *n, struct diagnose_authority *authorities,
	struct diagnose_case *out)
{
	const struct verify *v = n->v;
	const struct endpoint *e = &v->job->endpoint;
	int64_t now = clock_wall_ms();
	bool valid = e->has_cert && !e->cert.revoked_ms;

	*out = (struct diagnose_case){.config = &e->config,
		.name = e->config.names[n->index],
		.before = before_of(e, e->config.names[n->index]),
		.cert = valid ? &e->cert : NULL,
		.policy = &v->w->diagnose_policy,
		.authorities = authorities,
		.deep = wants_deep(v, now),
		.now_ms = now};
	out->n_authorities = authorities_for_caa(
		v->w->authorities, e->config.authority, authorities, DIAGNOSE_BARS_MAX);
}

/* --- results into the endpoint's verdict */

static bool is_there(const struct endpoint_verdict *v, const struct diagnosis *d)
{
	for (size_t i = 0; i < v->diagnoses_n; i++) {
		const struct diagnosis *old = &v->diagnoses[i];

		/* Base and wildcard share a record, and names a zone. */
		if (!strcmp(old->code, d->code) && !strcmp(old->record, d->record) &&
			!strcmp(old->authority, d->authority) &&
			(d->record[0] || !strcmp(old->name, d->name)))
			return true;
	}
	return false;
}

void verify_add_diagnosis(struct endpoint_verdict *v, const struct diagnosis *d)
{
	if (is_there(v, d))
		return;
	if (!v->diagnoses)
		v->diagnoses = mem_array(DIAGNOSES_MAX, sizeof *d);
	if (v->diagnoses_n < DIAGNOSES_MAX)
		v->diagnoses[v->diagnoses_n++] = *d;
	else if (v->diagnoses[DIAGNOSES_MAX - 1].severity < d->severity)
		v->diagnoses[DIAGNOSES_MAX - 1] = *d;
	diagnoses_sort(v->diagnoses, v->diagnoses_n);
}

static void add_bars(struct endpoint_verdict *v, size_t name, const struct diagnose_result *r)
{
	for (size_t i = 0; i < r->bars_n && v->bars_n < ENDPOINT_BARS_MAX; i++) {
		v->bars = mem_grow(v->bars, v->bars_n + 1, sizeof *v->bars);
		v->bars[v->bars_n] = r->bars[i];
		v->bars[v->bars_n++].name = (uint32_t)name;
	}
}

void verify_date(const struct endpoint *e, struct diagnosis *d)
{
	for (size_t i = 0; e->has_verdict && i < e->verdict.diagnoses_n; i++)
		if (diagnosis_same(&e->verdict.diagnoses[i], d))
			d->since_ms = e->verdict.diagnoses[i].since_ms;
}

static void take_result(struct verify *v, size_t index, struct diagnose_result *r)
{
	struct endpoint *e = &v->job->endpoint;

	v->verdict.names[index] = r->verdict;
	add_bars(&v->verdict, index, r);
	for (size_t i = 0; i < r->diagnoses_n; i++) {
		verify_date(e, &r->diagnoses[i]);
		verify_add_diagnosis(&v->verdict, &r->diagnoses[i]);
	}
	v->deep = v->deep || r->deep;
	v->shallow = v->shallow || !r->deep;
	v->blind = v->blind || r->blind;
	v->unanswered = v->unanswered || r->unanswered;
	v->gone = v->gone && r->gone;
}

static void note_addresses(struct verify_seen *seen, const struct fact *fact)
{
	for (size_t i = 0; fact && i < fact->n; i++) {
		const struct fact_answer *a = &fact->answers[i];

		for (size_t k = 0; a->raw && a->end == FACT_RECORDS && k < a->n_records; k++) {
			size_t at = 0;

			while (at < seen->n && !addr_equal_host(&seen->at[at], &a->raw[k].address))
				at++;
			if (at == seen->n && at < VERIFY_ADDRESSES_MAX)
				seen->at[seen->n++] = a->raw[k].address;
		}
	}
}

/* What outlives the facts. */
static void note_seen(const struct verify_name *n, bool deep)
{
	struct verify_seen *seen = &n->v->seen[n->index];
	const char *name = n->v->job->endpoint.config.names[n->index];

	seen->deep = deep;
	note_addresses(seen, facts_find(n->facts, ASK_SERVERS, DNS_A, name));
	note_addresses(seen, facts_find(n->facts, ASK_SERVERS, DNS_AAAA, name));
}

static void judge(struct verify_name *n)
{
	struct diagnose_authority authorities[DIAGNOSE_BARS_MAX];
	struct diagnose_case c;
	_mem_free_ struct diagnose_result *r = mem_zalloc(sizeof *r);

	fill_case(n, authorities, &c);
	diagnose_judge(&c, n->facts, r);
	take_result(n->v, n->index, r);
	note_seen(n, r->deep);
}

/* --- rounds */

static void name_release(struct verify_name *n)
{
	survey_look_free(mem_steal(n->look));
	facts_free(mem_steal(n->facts));
}

static void step(void *arg)
{
	struct verify_name *n = arg;
	struct verify *v = n->v;
	struct diagnose_authority authorities[DIAGNOSE_BARS_MAX];
	struct ask asks[DIAGNOSE_ASKS_MAX];
	struct diagnose_case c;
	size_t asked = 0;

	fill_case(n, authorities, &c);
	if (n->rounds++ < DIAGNOSE_ROUNDS_MAX)
		asked = diagnose_next(&c, n->facts, asks);
	if (asked) {
		survey_ask(n->look, asks, asked, step, n);
		return;
	}
	judge(n);
	name_release(n);
	if (v->blind || v->unanswered)
		doubt_look(v->w->doubt);
	if (!--v->left)
		verify_judged(v);
}

void verify_look(struct verify *v)
{
	const struct endpoint *e = &v->job->endpoint;
	struct survey_budget budget = {
		.fresh = v->job->lane == LANE_PERSON || (e->has_verdict && e->verdict.diagnoses_n)};
	size_t n = e->config.names_n;

	v->verdict.names = mem_array(n, sizeof *v->verdict.names);
	v->verdict.names_n = n;
	v->gone = true;
	v->left = n;
	v->names = mem_array(n, sizeof *v->names);
	v->seen = mem_array(n, sizeof *v->seen);
	authorities_learn(v->w->authorities);
	for (size_t i = 0; i < n; i++) {
		struct verify_name *one = &v->names[i];

		*one = (struct verify_name){.v = v, .index = i, .facts = facts_new()};
		one->look = survey_look_new(v->w->survey, one->facts, &budget);
	}
	/* The first round asks something always, so that none is over here. */
	for (size_t i = 0; i < n; i++)
		step(&v->names[i]);
}

void verify_forget(struct verify *v)
{
	for (size_t i = 0; v->names && i < v->verdict.names_n; i++)
		name_release(&v->names[i]);
	free(mem_steal(v->names));
}

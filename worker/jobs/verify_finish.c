/* What a look leaves behind: the verdict, the plan, and what people are told. */
#include "common/clock.h"
#include "common/event.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/authorities.h"
#include "worker/doubt.h"
#include "worker/jobs/conditions.h"
#include "worker/jobs/events.h"
#include "worker/jobs/verify_internal.h"
#include "worker/probe/proof.h"
#include "worker/stats.h"
#include "worker/worker.h"

#include <stdio.h>
#include <string.h>

#define VERDICT_BYTES_MAX (128u << 10)
#define SOON_MS           2000

static bool same_record(const struct record_look *a, const struct record_look *b)
{
	return a->status == b->status && !strcmp(a->code, b->code) &&
	       !strcmp(a->observed, b->observed) && !a->bad_since_ms == !b->bad_since_ms;
}

static bool same_name(const struct name_verdict *a, const struct name_verdict *b)
{
	return !strcmp(a->name, b->name) && same_record(&a->traffic, &b->traffic) &&
	       same_record(&a->challenge, &b->challenge) && a->http01 == b->http01 &&
	       a->dns01 == b->dns01 && a->claim == b->claim && a->proven == b->proven;
}

static bool same_bar(const struct verdict_bar *a, const struct verdict_bar *b)
{
	return a->name == b->name && !strcmp(a->authority, b->authority) &&
	       a->http01 == b->http01 && a->dns01 == b->dns01;
}

bool verify_same(const struct endpoint_verdict *a, const struct endpoint_verdict *b)
{
	if (a->names_n != b->names_n || a->bars_n != b->bars_n ||
		a->diagnoses_n != b->diagnoses_n || a->departed != b->departed)
		return false;
	for (size_t i = 0; i < a->names_n; i++)
		if (!same_name(&a->names[i], &b->names[i]))
			return false;
	for (size_t i = 0; i < a->bars_n; i++)
		if (!same_bar(&a->bars[i], &b->bars[i]))
			return false;
	for (size_t i = 0; i < a->diagnoses_n; i++)
		if (!diagnosis_same(&a->diagnoses[i], &b->diagnoses[i]))
			return false;
	return true;
}

/* --- what follows from the endpoint as a whole */

/* All records gone for long: the owner left. Blind looks change nothing. */
static void judge_departure(struct verify *v, int64_t now)
{
	const struct endpoint *e = &v->job->endpoint;
	int64_t since = e->has_verdict ? e->verdict.gone_ms : 0;

	if (!v->blind)
		since = !v->gone ? 0 : since ? since : now;
	v->verdict.gone_ms = since;
	v->verdict.departed = since && e->has_cert && now - since >= v->w->departed_after_ms;
}

static bool cannot(const struct name_verdict *n)
{
	return n->dns01 == VERDICT_CANNOT && n->http01 == VERDICT_CANNOT;
}

/* While the fleet doubts itself nothing turns into CANNOT. */
static void count_turned(struct verify *v)
{
	const struct endpoint *e = &v->job->endpoint;

	for (size_t i = 0; i < v->verdict.names_n; i++) {
		struct name_verdict *now = &v->verdict.names[i];
		const struct name_verdict *before =
			e->has_verdict ? endpoint_verdict_of(&e->verdict, now->name) : NULL;

		if (!before || !cannot(now) || cannot(before))
			continue;
		v->turned++;
		if (!doubt_is_on(v->w->doubt))
			continue;
		now->dns01 = before->dns01;
		now->http01 = before->http01;
		v->verdict.frozen = true;
	}
	doubt_count(v->w->doubt, (unsigned)v->verdict.names_n, v->turned);
}

/* What was seen by connecting stays until it is looked at again. */
static void keep_probed(struct verify *v)
{
	const struct endpoint *e = &v->job->endpoint;

	for (size_t i = 0; e->has_verdict && i < e->verdict.diagnoses_n; i++) {
		const struct diagnosis *d = &e->verdict.diagnoses[i];
		const struct diagnosis_kind *k = diagnosis_kind(d->code);

		if (k && k->probed && verify_keeps_probed(v, d))
			verify_add_diagnosis(&v->verdict, d);
	}
}

static bool date_verdict(struct verify *v, int64_t now)
{
	const struct endpoint *e = &v->job->endpoint;
	bool changed;

	v->verdict.looked_ms = now;
	v->verdict.deep_ms = v->deep && !v->shallow ? now : e->has_verdict ? e->verdict.deep_ms : 0;
	v->verdict.generation = e->generation;
	changed = !e->has_verdict || e->verdict.generation != e->generation ||
		  !verify_same(&e->verdict, &v->verdict);
	v->verdict.changed_ms = changed ? now : e->verdict.changed_ms;
	v->verdict.unchanged_looks = changed ? 0 : e->verdict.unchanged_looks + 1;
	return changed;
}

void verify_choose(struct worker *w, struct endpoint *e)
{
	struct endpoint_verdict *v = &e->verdict;
	enum endpoint_ready best = READY_NO;
	const char *chosen = NULL;

	v->via[0] = '\0';
	if (!v->bars_n)
		return;
	for (const char *a = authorities_name(w->authorities, e->config.authority); a;
		a = authorities_after(w->authorities, a)) {
		enum endpoint_ready ready = endpoint_ready_by(e, a);

		if (!chosen || ready > best) {
			chosen = a;
			best = ready;
		}
		if (e->config.authority[0])
			break;
	}
	snprintf(v->via, sizeof v->via, "%s", chosen ? chosen : "");
}

/* --- the plan */

bool verify_asks_issue(const struct job_record *job, const struct need *need, bool changed)
{
	if (!need->any)
		return false;
	return changed || job->where == JOB_NONE ||
	       (job->where == JOB_DUE && job->due_ms > need->due_ms + SOON_MS);
}

static void ask_issue(struct outcome *o, const struct endpoint *e, const struct worker *w,
	bool changed, int64_t now)
{
	struct need need = needs_issue(e, &w->needs_policy, now, needs_jitter(e->config.id));

	if (verify_asks_issue(&e->jobs[QUEUE_ISSUE], &need, changed))
		outcome_ask_other(o, &need);
}

static void tell_change(struct outcome *o, const struct job *job, int64_t now)
{
	static const char *const words[] = {"unknown", "missing", "wrong", "right", "error"};
	const struct endpoint *e = &job->endpoint;
	_buf_release_ struct buf data = BUF_INIT(EVENT_DATA_MAX);
	_buf_release_ struct buf text = BUF_INIT(512);
	_mem_free_ char *id = mem_printf("dns/%s/%s", job->id, job->token);

	event_dns(&data, e);
	outcome_event(o, EVENT_DNS_CHANGED, id, &data);
	for (size_t i = 0; i < e->verdict.names_n && i < 4; i++) {
		const struct name_verdict *n = &e->verdict.names[i];

		buf_addf(&text, "%s%s:", i ? ", " : "", n->name);
		if (n->traffic.status != RECORD_UNKNOWN)
			buf_addf(&text, " traffic %s", words[n->traffic.status]);
		buf_addf(&text, " challenge %s", words[n->challenge.status]);
	}
	outcome_timeline(o, now, "dns", buf_cstr(&text));
}

void verify_served_words(const struct served *was, const struct served *now, struct buf *out)
{
	bool same = !strcmp(was->serial, now->serial) && was->status == now->status &&
		    was->right == now->right && was->addresses == now->addresses &&
		    was->behind_n == now->behind_n;

	for (size_t i = 0; same && i < now->behind_n; i++)
		same = !strcmp(was->behind[i].at, now->behind[i].at) &&
		       !strcmp(was->behind[i].code, now->behind[i].code);
	if (same || !now->looked_ms || now->status == SERVED_UNKNOWN)
		return;
	buf_addf(out, "serial %s at ", now->serial);
	proof_words(now, out);
}

/* How far it got, when that changed; and once for each certificate that all addresses serve it. */
static void tell_served(
	struct outcome *o, const struct job *job, const struct served *was, int64_t now)
{
	const struct served *s = &job->endpoint.verdict.served;
	_buf_release_ struct buf text = BUF_INIT(1024);

	verify_served_words(was, s, &text);
	if (text.len)
		outcome_timeline(o, now, "served", buf_cstr(&text));
	if (strcmp(was->proven, s->proven) != 0) {
		_buf_release_ struct buf data = BUF_INIT(EVENT_DATA_MAX);
		_mem_free_ char *id = mem_printf("served/%s/%s", job->id, s->proven);

		event_served(&data, &job->endpoint);
		outcome_event(o, EVENT_SERVED, id, &data);
	}
}

static void put_verdict(struct outcome *o, const struct endpoint_verdict *v)
{
	_buf_release_ struct buf b = BUF_INIT(VERDICT_BYTES_MAX);

	if (!endpoint_verdict_encode(v, &b))
		outcome_set_buf(o, "v", &b);
}

static void put_conditions(struct verify *v, struct outcome *o, int64_t now, int64_t next_ms)
{
	struct job *job = v->job;
	struct condition conditions[CONDITIONS_MAX] = {0};
	size_t n;

	/* Who saw nothing opens and ends no alert. */
	if (v->blind || v->unanswered)
		return;
	n = verify_conditions(
		&job->endpoint, now, next_ms, v->w->diagnose_policy.confirm_ms, conditions);
	conditions_update(o, "av", &job->conditions, job->id, job->endpoint.config.tenant,
		conditions, n, now);
}

/* The endpoint as it is from now on; its former verdict goes. */
static bool adopt(struct verify *v, int64_t now)
{
	struct endpoint *e = &v->job->endpoint;
	const struct served was = e->verdict.served;
	bool changed;

	judge_departure(v, now);
	count_turned(v);
	keep_probed(v);
	changed = date_verdict(v, now);
	verify_forget(v);
	endpoint_verdict_release(&e->verdict);
	e->verdict = v->verdict;
	v->verdict = (struct endpoint_verdict){0};
	e->has_verdict = true;
	verify_take_proof(v, &was, now);
	verify_choose(v->w, e);
	e->jobs[QUEUE_VERIFY].where = JOB_NONE;
	return changed;
}

void verify_finish(struct verify *v)
{
	struct job *job = v->job;
	struct endpoint *e = &job->endpoint;
	struct outcome *o = outcome_new();
	int64_t now = clock_wall_ms();
	const struct served was = e->verdict.served;
	bool changed = adopt(v, now);
	char code[ENDPOINT_CODE_MAX + 1];
	struct need next = needs_verify(e, &v->w->needs_policy, now, needs_jitter(job->id));

	for (size_t i = 0; i < e->verdict.diagnoses_n; i++)
		e->verdict.diagnoses[i].next_check_ms = next.due_ms;
	put_verdict(o, &e->verdict);
	metric_inc(&stats_looks, LABELS(endpoint_ready(e) == READY_YES ? "right" : "waiting"));
	if (changed)
		tell_change(o, job, now);
	tell_served(o, job, &was, now);
	outcome_next(o, &next);
	ask_issue(o, e, v->w, changed, now);
	put_conditions(v, o, now, next.due_ms);
	outcome_state(o, endpoint_state_name(endpoint_state_of(e, now, code)), code);
	v->job = NULL;
	job_finish(job, o);
}

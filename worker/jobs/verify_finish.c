/* What a look leaves behind: the verdict, the plan, and what people are told. */
#include "common/clock.h"
#include "common/event.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/jobs/conditions.h"
#include "worker/jobs/events.h"
#include "worker/jobs/verify_internal.h"
#include "worker/stats.h"
#include "worker/worker.h"

#include <stdio.h>
#include <string.h>

#define VERDICT_BYTES_MAX (128u << 10)
#define SOON_MS           2000

static bool verdict_changed(const struct endpoint *e, const struct endpoint_verdict *v)
{
	if (!e->has_verdict || e->verdict.generation != e->generation ||
		e->verdict.names_n != v->names_n)
		return true;
	for (size_t i = 0; i < v->names_n; i++)
		if (!look_same(&e->verdict.names[i], &v->names[i]))
			return true;
	return false;
}

static void date_verdict(struct verify *v, bool changed, int64_t now)
{
	const struct endpoint *e = &v->job->endpoint;

	v->verdict.looked_ms = now;
	v->verdict.generation = e->generation;
	v->verdict.changed_ms = changed ? now : e->verdict.changed_ms;
	v->verdict.unchanged_looks = changed ? 0 : e->verdict.unchanged_looks + 1;
}

/* --- conditions: what would break the next renewal */

static void describe(
	const struct endpoint *e, const struct owner_record *r, int64_t now, struct condition *c)
{
	const struct endpoint_cert *x = &e->cert;
	char when[CLOCK_RFC3339_LEN], again[CLOCK_RFC3339_LEN];
	const char *seen = r->look->observed[0] ? r->look->observed : "nothing";

	c->code = r->look->code;
	c->severity = condition_severity(x->not_before_ms, x->not_after_ms, now);
	c->actor = "owner";
	c->deadline_ms = x->not_after_ms;
	snprintf(c->text, sizeof c->text,
		"%s: expected CNAME %s, found %s. The renewal due at %s will fail; the certificate "
		"ends at %s.",
		r->owner, r->target, seen, clock_rfc3339(x->renew_at_ms, when),
		clock_rfc3339(x->not_after_ms, again));
	snprintf(c->fix, sizeof c->fix, "create: %s CNAME %s", r->owner, r->target);
	snprintf(c->next, sizeof c->next, "DNS is looked at again by itself");
}

/* A record that is missing or wrong matters when no other challenge type is left for its name. */
static bool hurts(const struct name_verdict *n)
{
	return n->dns01 == VERDICT_CANNOT && n->http01 == VERDICT_CANNOT;
}

static bool listed(const struct condition *c, size_t n, const char *code)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(c[i].code, code))
			return true;
	return false;
}

static size_t find_conditions(
	struct worker *w, const struct endpoint *e, int64_t now, struct condition *out)
{
	_mem_free_ struct owner_record *records = NULL;
	size_t n = endpoint_records(e, w->label_key, w->look_policy.zones[0], &records), found = 0;

	for (size_t i = 0; e->has_cert && !e->cert.revoked_ms && i < n && found < CONDITIONS_MAX;
		i++) {
		const struct name_verdict *v = endpoint_verdict_of(&e->verdict, records[i].name);
		const struct record_look *l = records[i].look;

		if (!v || !l || !hurts(v) || !l->code[0] || l->status == RECORD_ERROR ||
			listed(out, found, l->code))
			continue;
		describe(e, &records[i], now, &out[found++]);
	}
	return found;
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

static void put_verdict(struct outcome *o, const struct endpoint_verdict *v)
{
	_buf_release_ struct buf b = BUF_INIT(VERDICT_BYTES_MAX);

	if (!endpoint_verdict_encode(v, &b))
		outcome_set_buf(o, "v", &b);
}

void verify_finish(struct verify *v)
{
	struct job *job = v->job;
	struct endpoint *e = &job->endpoint;
	struct outcome *o = outcome_new();
	struct condition conditions[CONDITIONS_MAX] = {0};
	int64_t now = clock_wall_ms();
	bool changed = verdict_changed(e, &v->verdict);
	char code[ENDPOINT_CODE_MAX + 1];
	struct need next;

	date_verdict(v, changed, now);
	verify_forget(v);
	endpoint_verdict_release(&e->verdict);
	e->verdict = v->verdict;
	v->verdict = (struct endpoint_verdict){0};
	e->has_verdict = true;
	e->jobs[QUEUE_VERIFY].where = JOB_NONE;
	put_verdict(o, &e->verdict);
	metric_inc(&stats_looks, LABELS(endpoint_ready(e) == READY_YES ? "right" : "waiting"));
	if (changed)
		tell_change(o, job, now);
	next = needs_verify(e, &v->w->needs_policy, now, needs_jitter(job->id));
	outcome_next(o, &next);
	ask_issue(o, e, v->w, changed, now);
	conditions_update(o, "av", &job->conditions, job->id, e->config.tenant, conditions,
		find_conditions(v->w, e, now, conditions), now);
	outcome_state(o, endpoint_state_name(endpoint_state_of(e, now, code)), code);
	v->job = NULL;
	job_finish(job, o);
}

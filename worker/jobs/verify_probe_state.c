/* What a probe leaves with a name, until the next: pure. */
#include "common/mem.h"
#include "common/names.h"
#include "worker/jobs/verify_internal.h"
#include "worker/probe/door_judge.h"
#include "worker/worker.h"

#include <stdio.h>
#include <string.h>

/* Addresses that are not the target's, but may pass everything on to it. */
static const char *const in_front[] = {"addresses_elsewhere", "addresses_mixed", "aaaa_elsewhere",
	"cname_elsewhere", "cdn_in_front"};

static bool may_stand_in_front(const char *code)
{
	for (size_t i = 0; i < ARRAY_LEN(in_front); i++)
		if (!strcmp(code, in_front[i]))
			return true;
	return false;
}

/* http-01 may serve the name, and there is something that can be asked. */
static bool may_be_probed(const struct verify *v, const struct name_verdict *n)
{
	return v->job->endpoint.config.type == ENDPOINT_EXTERNAL && !name_is_wildcard(n->name) &&
	       n->http01 != VERDICT_CANNOT && n->claim != CLAIM_ELSEWHERE &&
	       (n->traffic.status == RECORD_RIGHT || n->traffic.status == RECORD_WRONG);
}

bool verify_probe_is_due(const struct verify *v, size_t index, int64_t now_ms)
{
	const struct name_verdict *n = &v->verdict.names[index];
	const struct probe *p = &n->probe;
	bool deep = v->seen[index].deep, person = v->job->lane == LANE_PERSON;

	if (!may_be_probed(v, n))
		return false;
	if (!p->looked_ms) /* before an order by it, and else when it is looked closely */
		return person || deep || n->dns01 != VERDICT_CAN;
	if (person || p->status == PROBE_WRONG)
		return true;
	return deep && (now_ms - p->looked_ms >= v->w->config->scheduler.probe_every_ms ||
			       n->http01 != VERDICT_CAN);
}

/* The verdict of the same config, as it was before this look. */
static const struct name_verdict *before_of(const struct verify *v, const char *name)
{
	const struct endpoint *e = &v->job->endpoint;

	if (!e->has_verdict || e->verdict.generation != e->generation)
		return NULL;
	return endpoint_verdict_of(&e->verdict, name);
}

void verify_recall_probe(struct verify *v, size_t index)
{
	struct name_verdict *n = &v->verdict.names[index];
	const struct name_verdict *before = before_of(v, n->name);

	n->probe = (struct probe){.status = PROBE_UNKNOWN};
	/* While nothing can be seen, what was known stays. */
	if (before && (may_be_probed(v, n) || v->blind || v->unanswered))
		n->probe = before->probe;
}

/* It reaches us, however it does it. */
static void call_it_a_front(struct verify *v, struct name_verdict *n)
{
	for (size_t i = 0; i < v->verdict.diagnoses_n; i++) {
		struct diagnosis *d = &v->verdict.diagnoses[i];
		int64_t since_ms = d->since_ms;

		if (strcmp(d->code, n->traffic.code) != 0 || strcmp(d->name, n->name) != 0)
			continue;
		snprintf(d->code, sizeof d->code, "cdn_in_front");
		d->severity = DIAGNOSIS_INFO;
		d->actor = ACTOR_NOBODY;
		d->effect[0] = '\0';
		d->effect_ms = 0;
		d->since_ms = since_ms;
		snprintf(d->fix, sizeof d->fix,
			"Nothing: what answers for %.200s passes challenges on, as a probe saw.",
			n->name);
	}
	diagnoses_sort(v->verdict.diagnoses, v->verdict.diagnoses_n);
	n->traffic.status = RECORD_RIGHT;
	snprintf(n->traffic.code, sizeof n->traffic.code, "cdn_in_front");
}

void verify_settle_probe(struct verify *v, size_t index)
{
	struct name_verdict *n = &v->verdict.names[index];

	if (n->probe.status == PROBE_WRONG && n->http01 == VERDICT_CAN)
		n->http01 = VERDICT_UNSURE; /* seen from here, and only from here */
	if (n->probe.status != PROBE_RIGHT || !may_be_probed(v, n))
		return;
	v->gone = false;
	if (!may_stand_in_front(n->traffic.code))
		return;
	n->http01 = VERDICT_CAN;
	call_it_a_front(v, n);
}

bool verify_keeps_probed(const struct verify *v, const struct diagnosis *d)
{
	const struct name_verdict *now, *before;

	if (!door_is_code(d->code))
		return true;
	now = endpoint_verdict_of(&v->verdict, d->name);
	before = before_of(v, d->name);
	return now && before && now->probe.status == PROBE_WRONG &&
	       now->probe.looked_ms == before->probe.looked_ms;
}

#include "scheduler/audit.h"

#include "common/clock.h"
#include "common/mem.h"

#define FUTURE_SLACK_MS (5 * CLOCK_SECOND_MS)

static const char *const findings[] = {"right", "missing", "index", "late", "orphan", "unreadable",
	"stray", "claim", "expiry", "count"};

const double audit_days[AUDIT_DAYS_N] = {0, 1, 3, 7, 14, 30, 60, 90, 180, 400};

const char *audit_finding_name(enum audit_finding f)
{
	return findings[f];
}

/* A look comes late by policy, backoff and jitter, but never by more than two rounds. What issuing
 * waits for (a turn, a pause after a failure) is part of what it needs. */
static bool late(const struct job_record *job, enum queue_id q, const struct need *need,
	const struct needs_policy *policy, int64_t now_ms)
{
	int64_t from = need->due_ms > now_ms ? need->due_ms : now_ms;
	int64_t slack =
		q == QUEUE_VERIFY ? 2 * policy->verify_every_ms + CLOCK_HOUR_MS : CLOCK_MINUTE_MS;

	return job->where == JOB_DUE && job->due_ms - queue_clock_ahead() > from + slack;
}

/* Recorded at a time that Redis has not come to: its clock was set back since, and what was due in
 * a minute would wait for as long as the clock was ahead. */
static bool from_the_future(const struct job_record *job, int64_t now_ms)
{
	return job->where == JOB_DUE &&
	       job->since_ms - queue_clock_ahead() > now_ms + FUTURE_SLACK_MS;
}

enum audit_finding audit_judge(const struct endpoint *e, enum queue_id q, bool index_ok,
	const struct needs_policy *policy, int64_t now_ms, struct need *plan)
{
	const struct job_record *job = &e->jobs[q];
	double jitter = needs_jitter(e->config.id);

	*plan = q == QUEUE_VERIFY ? needs_verify(e, policy, now_ms, jitter)
				  : needs_issue(e, policy, now_ms, jitter);
	if (!index_ok)
		return AUDIT_INDEX;
	if (plan->any && job->where == JOB_NONE)
		return AUDIT_MISSING;
	if (plan->any && (late(job, q, plan, policy, now_ms) || from_the_future(job, now_ms)))
		return AUDIT_LATE;
	return AUDIT_RIGHT;
}

size_t audit_found(const struct audit_counts *c)
{
	size_t n = 0;

	for (int q = 0; q < 2; q++)
		for (int f = AUDIT_RIGHT + 1; f < AUDIT_FINDINGS; f++)
			n += c->found[q][f];
	return n;
}

size_t audit_repaired(const struct audit_counts *c)
{
	return c->repaired[0] + c->repaired[1];
}

static void census_certificate(
	struct audit_counts *c, const struct endpoint_cert *x, int64_t now_ms)
{
	double left = (double)(x->not_after_ms - now_ms) / (double)CLOCK_DAY_MS;
	int64_t life = x->not_after_ms - x->not_before_ms;

	for (size_t i = 0; i < AUDIT_DAYS_N; i++)
		c->days_left[i] += left <= audit_days[i];
	if (life > c->longest_life_ms)
		c->longest_life_ms = life;
}

void audit_census(struct audit_counts *c, const struct endpoint *e, int64_t now_ms)
{
	char code[ENDPOINT_CODE_MAX + 1];

	c->endpoints++;
	c->states[endpoint_state_of(e, now_ms, code)]++;
	for (int q = 0; q < 2; q++)
		if (e->jobs[q].where != JOB_NONE)
			c->jobs[q][e->jobs[q].lane & 3][e->jobs[q].where & 3]++;
	if (e->has_cert && !e->cert.revoked_ms)
		census_certificate(c, &e->cert, now_ms);
}

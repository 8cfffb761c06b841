#include "scheduler/patrol.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "scheduler/audit.h"
#include "scheduler/stats.h"

#include <stdio.h>

#define PACE_MS         200  /* a million endpoints in an hour */
#define HURRY_MS        2    /* leaves Redis half of its time for the workers */
#define BETWEEN_MS      5000 /* passes over a small fleet */
#define RETRY_MS        2000 /* after a pass that Redis broke off */
#define FINDINGS_LOGGED 20   /* of a pass; the rest is counted */

struct patrol {
	uv_timer_t timer;
	uv_loop_t *loop;
	struct redis *redis;
	struct needs_policy policy;
	struct audit *audit;
	bool leading, closed;
	bool hurry; /* the next or present pass goes at full speed */
	size_t logged;
	int64_t longest_life_ms;
};

static void begin(struct patrol *p);

static void on_timer(uv_timer_t *timer)
{
	begin(timer->data);
}

static void again_in(struct patrol *p, int64_t ms)
{
	if (p->leading && !p->closed)
		uv_timer_start(&p->timer, on_timer, (uint64_t)ms, 0);
}

static void show_jobs(const struct audit_counts *c)
{
	metric_reset(&stat_jobs);
	for (int q = 0; q < 2; q++)
		for (int lane = 0; lane < 4; lane++)
			for (int where = JOB_DUE; where <= JOB_PARKED; where++)
				metric_set(&stat_jobs, (double)c->jobs[q][lane][where],
					LABELS(queue_name((enum queue_id)q),
						job_lane_name((enum job_lane)lane),
						job_where_name((enum job_where)where)));
}

static void show(const struct audit_counts *c)
{
	char le[24];

	for (int s = 0; s <= STATE_ACTIVE; s++)
		metric_set(&stat_endpoints, (double)c->states[s],
			LABELS(endpoint_state_name((enum endpoint_state)s)));
	for (size_t i = 0; i < AUDIT_DAYS_N; i++) {
		snprintf(le, sizeof le, "%g", audit_days[i]);
		metric_set(&stat_days_left, (double)c->days_left[i], LABELS(le));
	}
	show_jobs(c);
	metric_inc(&stat_audit_passes, NO_LABELS);
	metric_set(&stat_audit_seconds, (double)c->took_ms / 1000.0, NO_LABELS);
	for (int q = 0; q < 2; q++)
		metric_add(&stat_audit_repaired, (double)c->repaired[q],
			LABELS(queue_name((enum queue_id)q)));
}

static void on_finding(
	void *arg, const char *id, enum queue_id q, enum audit_finding f, const struct need *plan)
{
	struct patrol *p = arg;

	metric_inc(&stat_audit_found, LABELS(queue_name(q), audit_finding_name(f)));
	if (p->logged++ < FINDINGS_LOGGED)
		LOG(WARN, "audit_found", LF("endpoint", id), LF("queue", queue_name(q)),
			LF("finding", audit_finding_name(f)),
			LF("needed", plan->why[0] ? plan->why : "nothing"));
}

static void on_done(void *arg, int err, const struct audit_counts *c)
{
	struct patrol *p = arg;

	if (err) {
		LOG(INFO, "audit_broken_off", LF("why", cf_strerror(err)),
			LF_INT("endpoints", c->endpoints));
	} else {
		show(c);
		p->longest_life_ms = c->longest_life_ms;
		p->hurry = false;
		if (audit_found(c))
			LOG(WARN, "audit_pass", LF_INT("endpoints", c->endpoints),
				LF_INT("found", audit_found(c)),
				LF_INT("repaired", audit_repaired(c)), LF_INT("ms", c->took_ms));
	}
	audit_free(p->audit);
	p->audit = NULL;
	again_in(p, err ? RETRY_MS : BETWEEN_MS);
}

static void begin(struct patrol *p)
{
	struct audit_options options = {
		.policy = p->policy,
		.repair = true,
		.pace_ms = p->hurry ? HURRY_MS : PACE_MS,
		.finding = on_finding,
		.done = on_done,
		.arg = p,
	};

	if (p->audit || !p->leading || p->closed)
		return;
	if (!redis_is_up(p->redis)) {
		again_in(p, RETRY_MS);
		return;
	}
	p->logged = 0;
	p->audit = audit_run(p->loop, p->redis, &options);
}

struct patrol *patrol_new(uv_loop_t *loop, struct redis *redis, const struct needs_policy *policy)
{
	struct patrol *p = mem_zalloc(sizeof *p);

	p->loop = loop;
	p->redis = redis;
	p->policy = *policy;
	p->timer.data = p;
	uv_timer_init(loop, &p->timer);
	return p;
}

static void break_off(struct patrol *p)
{
	audit_free(p->audit);
	p->audit = NULL;
}

void patrol_lead(struct patrol *p, bool leading)
{
	p->leading = leading;
	if (leading) {
		patrol_hurry(p);
		return;
	}
	break_off(p);
	/* What was counted goes stale from now on, and the next leader shows its own. */
	metric_reset(&stat_endpoints);
	metric_reset(&stat_jobs);
	metric_reset(&stat_days_left);
}

void patrol_hurry(struct patrol *p)
{
	p->hurry = true;
	break_off(p); /* what it has read may be of the Redis before */
	again_in(p, 0);
}

int64_t patrol_longest_life_ms(const struct patrol *p)
{
	return p->longest_life_ms;
}

void patrol_close(struct patrol *p)
{
	if (!p)
		return;
	p->closed = true;
	break_off(p);
	uv_close((uv_handle_t *)&p->timer, NULL);
}

void patrol_free(struct patrol *p)
{
	free(p);
}

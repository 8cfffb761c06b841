/* What waits, runs and is parked in each queue, and the second chance of what is parked. */
#include "common/mem.h"
#include "scheduler/api/v1_internal.h"
#include "scheduler/cli/facts.h"

#include <stdio.h>

#define ALIVE "60000" /* ms; as in fleet.c */

/* --- the queues, by the script that the leader judges the fleet by */

/* fleet.lua: [now, workers, requests, age, endpoints, alerts, then for each queue three numbers] */
enum { WORKERS = 1, REQUESTS, REQUESTS_AGE, ALERTS = 5, QUEUES };

static json_int_t number_at(const struct reply *r, size_t i)
{
	return (json_int_t)reply_int(reply_at(r, i));
}

static json_t *queue_json(const struct reply *r, enum queue_id q)
{
	size_t at = QUEUES + 3 * (size_t)q;

	return json_pack("{s:s s:I s:I s:I}", "queue", queue_name(q), "running", number_at(r, at),
		"parked", number_at(r, at + 1), "late_ms", number_at(r, at + 2));
}

static void got_queues(void *arg, int err, const struct reply *r)
{
	struct v1_call *c = arg;

	c->left = 0;
	if (err || c->v1->closed || reply_len(r) <= QUEUES + 5) {
		v1_redis_problem(c, err ? err : CF_EPROTO);
		return;
	}
	v1_json(c, 200,
		json_pack("{s:[o,o] s:I s:I s:I s:I}", "queues", queue_json(r, QUEUE_VERIFY),
			queue_json(r, QUEUE_ISSUE), "workers", number_at(r, WORKERS), "requests",
			number_at(r, REQUESTS), "requests_age_ms", number_at(r, REQUESTS_AGE),
			"alerts", number_at(r, ALERTS)));
}

void v1_queues(struct v1_call *c)
{
	const char *argv[] = {ALIVE};

	c->left = 1;
	redis_script(c->v1->o.redis, "fleet", 1, argv, NULL, got_queues, c);
}

/* --- retry: each parked job of an endpoint is due at once, as by `certfleet jobs retry` */

static void retried(void *arg, int err, const struct reply *statuses)
{
	struct v1_call *c = arg;

	if (!err && reply_int(reply_at(statuses, 0)) == 0)
		json_object_set_new(c->answer, "retried",
			json_integer(
				json_integer_value(json_object_get(c->answer, "retried")) + 1));
	if (err && !c->err)
		c->err = err;
	if (--c->left)
		return;
	if (c->err || c->v1->closed)
		v1_redis_problem(c, c->err);
	else
		v1_json(c, 200, mem_steal(c->answer));
}

static void retry(struct v1_call *c, const struct endpoint *e, enum queue_id q)
{
	char intent[16];
	const char *argv[] = {
		queue_name(q), e->config.id, intent, "0", "0", "asked", "1" /* parked or not */};

	snprintf(intent, sizeof intent, "%d", (int)e->jobs[q].intent);
	c->left++;
	redis_script(c->v1->o.redis, "ask", ARRAY_LEN(argv), argv, NULL, retried, c);
}

static void retry_parked(void *arg, int err, const struct reply *reply)
{
	struct v1_call *c = arg;
	struct facts f = {0};

	c->left = 0;
	if (!err && (v1_facts(c->v1, reply, false, &f) ||
			    !v1_may(c, f.endpoint.config.tenant, f.endpoint.config.id))) {
		v1_problemf(c, 404, "not_found", "there is no endpoint \"%s\"", c->id);
		facts_release(&f);
		return;
	}
	if (err || c->v1->closed) {
		v1_redis_problem(c, err);
		facts_release(&f);
		return;
	}
	c->answer = json_pack("{s:s s:s s:i}", "status", "done", "endpoint", c->id, "retried", 0);
	for (enum queue_id q = QUEUE_VERIFY; q <= QUEUE_ISSUE; q++)
		if (f.endpoint.jobs[q].where == JOB_PARKED)
			retry(c, &f.endpoint, q);
	facts_release(&f);
	if (!c->left)
		v1_problemf(c, 409, "not_parked", "no job of \"%s\" is parked", c->id);
}

void v1_retry(struct v1_call *c)
{
	c->left = 1;
	v1_read(c, c->id, retry_parked, c);
}

/* What waits, runs and is parked in each queue. */
#include "scheduler/api/v1_internal.h"

#define ALIVE "60000" /* ms; as in fleet.c */

/* By the script that the leader judges the fleet by, fleet.lua: [now, workers, requests, age,
 * endpoints, alerts, then for each queue three numbers] */
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

/* Jobs: what runs and what is parked; one that is to run now, one that is to stop. */
#include "common/mem.h"
#include "scheduler/api/v1_internal.h"
#include "scheduler/cli/facts.h"

#include <stdio.h>
#include <string.h>

/* --- what runs and what is parked, of both queues */

static json_t *job_json(struct v1_call *c, const struct reply *reply, enum queue_id q)
{
	struct facts f = {0};
	json_t *j = NULL;

	if (v1_facts(c->v1, reply, false, &f))
		return NULL;
	if (v1_may(c, f.endpoint.config.tenant, f.endpoint.config.id) &&
		f.endpoint.jobs[q].where != JOB_NONE && f.endpoint.jobs[q].where != JOB_DUE)
		j = facts_job_json(&f, q);
	facts_release(&f);
	return j;
}

static json_t *read_verify_job(struct v1_call *c, const char *key, const struct reply *reply)
{
	(void)key;
	return job_json(c, reply, QUEUE_VERIFY);
}

static json_t *read_issue_job(struct v1_call *c, const char *key, const struct reply *reply)
{
	(void)key;
	return job_json(c, reply, QUEUE_ISSUE);
}

struct jobs_list {
	struct v1_call *call;
	v1_read_fn *read;
};

static void got_jobs(void *arg, int err, const struct reply *ids)
{
	struct jobs_list *l = arg;
	struct v1_call *c = l->call;

	if (err && err != CF_EREDIS && !c->err)
		c->err = err;
	for (size_t i = 0; !err && i < reply_len(ids); i++) {
		const char *id = reply_str(reply_at(ids, i), NULL);

		if (id)
			v1_read(c, id, v1_member_read, v1_member(c, id, l->read));
	}
	free(l);
	if (--c->left == 0)
		v1_end_list(c);
}

void v1_jobs(struct v1_call *c)
{
	static const struct {
		const char *key;
		v1_read_fn *read;
	} lists[] = {{"parked:issue", read_issue_job}, {"parked:verify", read_verify_job},
		{"run:issue", read_issue_job}, {"run:verify", read_verify_job}};
	char last[24];
	size_t limit;

	if (!v1_number(c, "limit", 1, V1_LIST_MAX, V1_LIST, &limit))
		return;
	snprintf(last, sizeof last, "%zu", limit - 1);
	c->answer = json_array();
	c->left = ARRAY_LEN(lists);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		_mem_free_ char *name =
			mem_printf("%s%s", redis_prefix(c->v1->o.redis), lists[i].key);
		struct jobs_list *l = mem_alloc(sizeof *l);

		*l = (struct jobs_list){c, lists[i].read};
		redis_commandv(c->v1->o.redis, got_jobs, l, "ZRANGE", name, "0", last, NULL);
	}
}

/* --- retry and cancel: the queue's own scripts, which compare before they write */

struct touch {
	struct v1_call *call;
	const char *script, *done; /* the word of the answer */
	int only;                  /* one queue, or -1 */
	enum queue_id queues[2];   /* those that were asked, in order */
	size_t n, i;
	json_t *touched;
};

static void touch_end(struct touch *t)
{
	struct v1_call *c = t->call;

	if (c->err)
		v1_redis_problem(c, c->err);
	else if (!json_array_size(t->touched))
		v1_problemf(c, 409, "no_job", "\"%s\" has no job that %s%s", c->id,
			strcmp(t->script, "cancel") == 0 ? "runs" : "waits or is parked",
			t->only < 0 ? "" : " in this queue");
	else
		v1_json(c, 200,
			json_pack("{s:s s:s s:O}", "status", "done", "endpoint", c->id, t->done,
				t->touched));
	json_decref(t->touched);
	free(t);
}

/* ask: [0] when it is due now; cancel: 1 when it runs. */
static void touched(void *arg, int err, const struct reply *reply)
{
	struct touch *t = arg;
	enum queue_id q = t->queues[t->i++];
	bool did = reply_type(reply) == REPLY_ARRAY ? reply_int(reply_at(reply, 0)) == 0
						    : reply_int(reply) == 1;

	if (err && !t->call->err)
		t->call->err = err;
	if (!err && did)
		json_array_append_new(t->touched, json_string(queue_name(q)));
	if (--t->call->left == 0)
		touch_end(t);
}

static void run_script(struct touch *t, enum queue_id q, const struct facts *f)
{
	bool ask = strcmp(t->script, "ask") == 0;
	char intent[16];
	const char *argv[] = {queue_name(q), t->call->id, intent, "0", "0", "asked", "1"};

	snprintf(intent, sizeof intent, "%d", (int)f->endpoint.jobs[q].intent);
	t->queues[t->n++] = q;
	t->call->left++;
	redis_script(
		t->call->v1->o.redis, t->script, ask ? ARRAY_LEN(argv) : 2, argv, NULL, touched, t);
}

static bool fits(const struct touch *t, enum queue_id q, enum job_where where)
{
	if (t->only >= 0 && t->only != (int)q)
		return false;
	return strcmp(t->script, "cancel") == 0 ? where == JOB_RUNNING
						: where == JOB_DUE || where == JOB_PARKED;
}

static void touch_allowed(void *arg, int err, const struct reply *reply)
{
	struct touch *t = arg;
	struct facts f = {0};

	t->call->left = 0;
	if (!v1_mine(t->call, err, reply, false, &f)) {
		json_decref(t->touched);
		free(t);
		return;
	}
	for (enum queue_id q = QUEUE_VERIFY; q <= QUEUE_ISSUE; q++)
		if (fits(t, q, f.endpoint.jobs[q].where))
			run_script(t, q, &f);
	facts_release(&f);
	if (!t->n)
		touch_end(t);
}

static void touch(struct v1_call *c, const char *script, const char *done)
{
	const char *queue;
	struct touch *t;
	int only = -1;

	if (!v1_text(c, "queue", &queue))
		return;
	for (enum queue_id q = QUEUE_VERIFY; queue && q <= QUEUE_ISSUE; q++)
		if (strcmp(queue_name(q), queue) == 0)
			only = (int)q;
	if (queue && only < 0) {
		v1_wrong(c, "queue", "verify or issue");
		return;
	}
	t = mem_zalloc(sizeof *t);
	*t = (struct touch){
		.call = c, .script = script, .done = done, .only = only, .touched = json_array()};
	c->left = 1;
	v1_read(c, c->id, touch_allowed, t);
}

void v1_retry(struct v1_call *c)
{
	touch(c, "ask", "retried");
}

void v1_cancel(struct v1_call *c)
{
	touch(c, "cancel", "cancelled");
}

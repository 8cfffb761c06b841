/* GET /v1/endpoints/ID and what belongs to it: as Redis has it now. */
#include "common/clock.h"
#include "common/mem.h"
#include "scheduler/api/v1_internal.h"
#include "scheduler/cli/facts.h"

#include <stdio.h>
#include <string.h>

void v1_read(struct v1_call *c, const char *id, redis_reply_fn *done, void *arg)
{
	_mem_free_ char *key = mem_printf("%se:%s", redis_prefix(c->v1->o.redis), id);

	redis_commandv(c->v1->o.redis, done, arg, "HMGET", key, ENDPOINT_FIELDS, "t", NULL);
}

int v1_facts(struct v1 *v, const struct reply *reply, bool whole, struct facts *out)
{
	struct endpoint_field fields[ENDPOINT_FIELDS_N];
	struct facts f = {0};
	const char *t;
	size_t n;
	int err;

	for (size_t i = 0; i < ENDPOINT_FIELDS_N; i++)
		fields[i].bytes = reply_str(reply_at(reply, i), &fields[i].len);
	err = endpoint_decode(fields, &f.endpoint, NULL);
	if (err)
		return err;
	facts_judge(&f, clock_wall_ms());
	*out = f;
	if (!whole)
		return 0;
	facts_issuer(out);
	t = reply_str(reply_at(reply, ENDPOINT_FIELDS_N), &n);
	if (t)
		facts_timeline(out, t, n);
	if (v->has_label_key)
		out->records_n = endpoint_records(&out->endpoint, v->label_key,
			v->o.config->challenges.zones.items[0], &out->records);
	else
		out->no_records = "the label key is not here";
	return 0;
}

/* What one may not see is not there. */
static void nothing(struct v1_call *c)
{
	v1_problemf(c, 404, "not_found", "there is no endpoint \"%s\"", c->id);
}

/* The facts of the reply; false: the call is ended. */
static bool take(struct v1_call *c, int err, const struct reply *reply, struct facts *f)
{
	c->left = 0;
	if (err) {
		v1_redis_problem(c, err);
		return false;
	}
	err = v1_facts(c->v1, reply, true, f);
	if (err && err != CF_ENOTFOUND) {
		v1_problem(c, 500, "unreadable", "the endpoint's record cannot be read");
		return false;
	}
	if (!err && v1_may(c, f->endpoint.config.tenant, f->endpoint.config.id))
		return true;
	if (!err)
		facts_release(f);
	nothing(c);
	return false;
}

static void shown(void *arg, int err, const struct reply *reply)
{
	struct v1_call *c = arg;
	struct facts f = {0};
	json_t *j;

	if (!take(c, err, reply, &f))
		return;
	j = facts_json(&f, true);
	facts_release(&f);
	v1_json(c, 200, j);
}

static void records_shown(void *arg, int err, const struct reply *reply)
{
	struct v1_call *c = arg;
	struct facts f = {0};
	json_t *records;

	if (!take(c, err, reply, &f))
		return;
	records = f.no_records ? json_null() : facts_records_json(&f);
	facts_release(&f);
	v1_json(c, 200, json_pack("{s:s s:o}", "endpoint", c->id, "records", records));
}

static void certificate_shown(void *arg, int err, const struct reply *reply)
{
	struct v1_call *c = arg;
	struct facts f = {0};
	json_t *j;

	if (!take(c, err, reply, &f))
		return;
	j = facts_certificate_json(&f);
	facts_release(&f);
	if (json_is_null(j)) {
		json_decref(j);
		v1_problemf(c, 404, "no_certificate", "\"%s\" has no certificate yet", c->id);
		return;
	}
	v1_json(c, 200, j);
}

static void read_one(struct v1_call *c, redis_reply_fn *done)
{
	c->left = 1;
	v1_read(c, c->id, done, c);
}

void v1_show(struct v1_call *c)
{
	read_one(c, shown);
}

void v1_records(struct v1_call *c)
{
	read_one(c, records_shown);
}

void v1_certificate(struct v1_call *c)
{
	read_one(c, certificate_shown);
}

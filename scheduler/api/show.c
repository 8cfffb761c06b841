/* GET /v1/endpoints/ID and what belongs to it: as Redis has it now. */
#include "common/certificate.h"
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

bool v1_mine(struct v1_call *c, int err, const struct reply *reply, bool whole, struct facts *out)
{
	struct facts f = {0};

	if (err || c->v1->closed) {
		v1_redis_problem(c, err);
		return false;
	}
	err = v1_facts(c->v1, reply, whole, &f);
	if (!err && v1_may(c, f.endpoint.config.tenant, f.endpoint.config.id)) {
		*out = f;
		return true;
	}
	if (err && err != CF_ENOTFOUND)
		v1_problemf(c, 500, "unreadable",
			"the record of \"%s\" cannot be read: %s; \"certfleet audit\" tells more",
			c->id, cf_strerror(err));
	else
		v1_problemf(c, 404, "not_found", "there is no endpoint \"%s\"", c->id);
	facts_release(&f);
	return false;
}

/* The facts of the reply; false: the call is ended. */
static bool take(struct v1_call *c, int err, const struct reply *reply, struct facts *f)
{
	c->left = 0;
	return v1_mine(c, err, reply, true, f);
}

static void shown(void *arg, int err, const struct reply *reply)
{
	struct v1_call *c = arg;
	struct facts f = {0};
	json_t *j;

	if (!take(c, err, reply, &f))
		return;
	c->generation = f.endpoint.generation;
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

static void no_certificate(struct v1_call *c)
{
	v1_problemf(c, 404, "no_certificate", "\"%s\" has no certificate yet", c->id);
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
		no_certificate(c);
		return;
	}
	v1_json(c, 200, j);
}

/* --- the certificate and its intermediates as a server sends them */

#define PEM_MAX (256u << 10)

struct chain_call {
	struct v1_call *call;
	struct facts facts;
};

static char *chain_pem(const struct endpoint_cert *x, const char *rest, size_t n)
{
	_buf_release_ struct buf pem = BUF_INIT(PEM_MAX);
	struct chain chain = {0};
	int err = chain_unpack(x->der, x->der_len, rest, n, &chain);

	if (!err)
		err = chain_to_pem(&chain, 0, &pem);
	chain_release(&chain);
	return err ? NULL : mem_strdup(buf_cstr(&pem));
}

static void chain_read(void *arg, int err, const struct reply *reply)
{
	struct chain_call *x = arg;
	struct v1_call *c = x->call;
	size_t n = 0;
	const char *rest = err ? NULL : reply_str(reply, &n);
	char *pem = rest ? chain_pem(&x->facts.endpoint.cert, rest, n) : NULL;

	c->left = 0;
	if (err || c->v1->closed)
		v1_redis_problem(c, err);
	else if (pem)
		v1_text_answer(c, "application/pem-certificate-chain", mem_steal(pem), NULL);
	else
		v1_problemf(c, 500, "unreadable",
			"the intermediates of \"%s\" are not in Redis, or cannot be read", c->id);
	free(pem);
	facts_release(&x->facts);
	free(x);
}

static void chain_wanted(void *arg, int err, const struct reply *reply)
{
	struct v1_call *c = arg;
	_mem_free_ char *key = NULL;
	struct chain_call *x;
	struct facts f = {0};

	if (!take(c, err, reply, &f))
		return;
	if (!f.endpoint.has_cert) {
		facts_release(&f);
		no_certificate(c);
		return;
	}
	x = mem_zalloc(sizeof *x);
	*x = (struct chain_call){c, f};
	key = mem_printf("%schain:%s", redis_prefix(c->v1->o.redis), f.endpoint.cert.chain_sha);
	c->left = 1;
	redis_commandv(c->v1->o.redis, chain_read, x, "GET", key, NULL);
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

void v1_chain(struct v1_call *c)
{
	read_one(c, chain_wanted);
}

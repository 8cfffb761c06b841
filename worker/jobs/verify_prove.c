/* What the edge serves: whom to ask, when, and what is kept of the answer. */
#include "common/clock.h"
#include "common/mem.h"
#include "worker/jobs/proof_look.h"
#include "worker/jobs/verify_internal.h"
#include "worker/probe/proof.h"
#include "worker/worker.h"
#include "worker/zones.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SOON_MS 1000

struct verify_proof {
	struct verify *v;
	struct proof_look *look;
	struct zone_look *zone_look; /* by a worker inside */
	struct proof *sum;           /* NULL until the look is over */
};

/* --- whom to ask */

/* A name that does not point here yet, or points to a CDN, is served by others. Of an internal one
 * no record says where it points. */
static bool points_here(
	const struct endpoint *e, const struct endpoint_verdict *v, const struct name_verdict *n)
{
	for (size_t i = 0; i < v->diagnoses_n; i++)
		if (!strcmp(v->diagnoses[i].code, "cdn_in_front") &&
			!strcmp(v->diagnoses[i].name, n->name))
			return false;
	return !name_is_wildcard(n->name) &&
	       (e->config.type == ENDPOINT_INTERNAL || n->traffic.status == RECORD_RIGHT);
}

/* A wildcard is asked for by a name that it covers, and only at the config's edges. */
static bool name_to_ask(const char *name, char out[NAME_SIZE])
{
	bool wild = name_is_wildcard(name);

	return snprintf(out, NAME_SIZE, "%s%s", wild ? "certfleet-proof." : "", name_base(name)) <
	       NAME_SIZE;
}

size_t verify_proof_names(
	const struct endpoint *e, const struct endpoint_verdict *v, struct proof_name *out)
{
	size_t n = 0;

	for (size_t i = 0; i < v->names_n; i++) {
		struct proof_name *one = &out[n];

		if (!name_to_ask(v->names[i].name, one->name))
			continue;
		one->resolved = points_here(e, v, &v->names[i]);
		/* The certificate may have left it out. */
		n += served_covers(e->cert.der, e->cert.der_len, one->name);
	}
	return n;
}

/* --- the look */

static void on_seen(void *arg, const struct served_seen *seen, size_t n)
{
	struct verify_proof *p = arg;
	const struct job *job = p->v->job;
	const struct proof_case c = {
		.endpoint = job->id, .cert = &job->endpoint.cert, .now_ms = clock_wall_ms()};

	p->look = NULL;
	p->sum = mem_zalloc(sizeof *p->sum);
	proof_sum(&c, seen, n, p->sum);
	verify_end(p->v);
}

static void on_seen_inside(void *arg, const char *why, const struct served_seen *seen, size_t n)
{
	struct verify_proof *p = arg;

	p->zone_look = NULL;
	if (!why) {
		on_seen(p, seen, n);
		return;
	}
	p->sum = mem_zalloc(sizeof *p->sum);
	snprintf(p->sum->served.why, sizeof p->sum->served.why, "%s", why);
	verify_end(p->v);
}

/* From where we stand, or from inside the endpoint's zone. */
static void look(struct verify_proof *p)
{
	struct verify *v = p->v;
	const struct endpoint *e = &v->job->endpoint;
	const char *here = v->w->config->worker.zone;
	_mem_free_ struct proof_name *names = mem_array(v->verdict.names_n, sizeof *names);
	struct proof_ask ask = {.der = e->cert.der, .der_len = e->cert.der_len, .names = names};

	if (e->has_verdict)
		memcpy(ask.before, e->verdict.served.proven, sizeof ask.before);
	ask.names_n = verify_proof_names(e, &v->verdict, names);
	if (e->config.zone[0] && strcmp(e->config.zone, here ? here : "") != 0)
		p->zone_look = zones_look(v->w->zones, e->config.zone, &ask, on_seen_inside, p);
	else
		p->look = proof_look_start(v->w, &ask, on_seen, p);
}

static bool is_time(const struct verify *v)
{
	const struct job *job = v->job;
	const struct endpoint *e = &job->endpoint;
	int64_t at = needs_proof(e, &v->w->needs_policy, needs_jitter(job->id));

	if (!at || !v->w->handshakes || v->blind)
		return false;
	/* What could not be looked at may be by now. */
	return at <= clock_wall_ms() + SOON_MS || job->lane == LANE_PERSON ||
	       e->verdict.served.status == SERVED_UNKNOWN;
}

void verify_prove(struct verify *v)
{
	if (!is_time(v)) {
		verify_end(v);
		return;
	}
	v->proof = mem_zalloc(sizeof *v->proof);
	v->proof->v = v;
	look(v->proof);
}

void verify_forget_proof(struct verify *v)
{
	struct verify_proof *p = v->proof;

	v->proof = NULL;
	if (!p)
		return;
	proof_look_cancel(p->look);
	zone_look_cancel(p->zone_look);
	free(p->sum);
	free(p);
}

/* --- what is kept */

/* Its place in the verdict goes, but not when it was first seen. */
static void date(const struct endpoint_verdict *v, struct diagnosis *d)
{
	for (size_t i = 0; i < v->diagnoses_n; i++)
		if (diagnosis_same(&v->diagnoses[i], d))
			d->since_ms = v->diagnoses[i].since_ms;
}

static void drop_served(struct endpoint_verdict *v)
{
	size_t n = 0;

	for (size_t i = 0; i < v->diagnoses_n; i++)
		if (!served_is_wrong(v->diagnoses[i].code))
			v->diagnoses[n++] = v->diagnoses[i];
	v->diagnoses_n = n;
}

void verify_put_proof(struct endpoint *e, struct proof *p, const struct served *was, int64_t now_ms)
{
	struct served *s = &e->verdict.served;
	bool same = !strcmp(was->serial, e->cert.serial);

	for (size_t i = 0; i < p->found_n; i++)
		date(&e->verdict, &p->found[i]);
	drop_served(&e->verdict);
	for (size_t i = 0; i < p->found_n; i++)
		verify_add_diagnosis(&e->verdict, &p->found[i]);
	*s = p->served;
	s->tries = s->status == SERVED_OK ? 0 : same ? was->tries + 1 : 1;
	s->looked_ms = now_ms;
	memcpy(s->serial, e->cert.serial, sizeof s->serial);
	memcpy(s->proven, s->status == SERVED_OK ? s->serial : was->proven, sizeof s->proven);
}

void verify_take_proof(struct verify *v, const struct served *was, int64_t now_ms)
{
	struct endpoint *e = &v->job->endpoint;

	e->verdict.served = *was;
	if (v->proof && v->proof->sum)
		verify_put_proof(e, v->proof->sum, was, now_ms);
}

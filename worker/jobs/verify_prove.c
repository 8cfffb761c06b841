/* What the edge serves: a handshake at each address of each name, and at the edges of the config.
 */
#include "common/clock.h"
#include "common/mem.h"
#include "worker/dns/resolver.h"
#include "worker/jobs/verify_internal.h"
#include "worker/probe/handshake.h"
#include "worker/probe/served.h"
#include "worker/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOKS_MAX    64 /* handshakes of one job */
#define PER_NAME_MAX 8  /* addresses of one name */
#define SOON_MS      1000

struct asked {
	struct verify_proof *p;
	char name[NAME_SIZE];
	struct resolver_query *queries[2]; /* A, AAAA */
	size_t addresses;
};

struct proof_look {
	struct verify_proof *p;
	struct handshake *handshake;
	struct addr at;
	char name[NAME_SIZE];
};

struct verify_proof {
	struct verify *v;
	struct asked *asked;
	size_t asked_n;
	struct proof_look *looks; /* LOOKS_MAX */
	size_t looks_n, left;
	struct diagnosis *found; /* DIAGNOSES_MAX */
	size_t found_n;
	uint32_t right, addresses;
	bool stale;
};

/* --- what was seen */

static struct diagnosis *finding(struct verify_proof *p, const char *code, const char *name)
{
	const struct endpoint_cert *x = &p->v->job->endpoint.cert;
	char end[CLOCK_RFC3339_LEN];
	struct diagnosis *d;

	for (size_t i = 0; i < p->found_n; i++)
		if (!strcmp(p->found[i].code, code) && !strcmp(p->found[i].name, name))
			return &p->found[i];
	if (p->found_n == DIAGNOSES_MAX)
		return NULL;
	d = &p->found[p->found_n++];
	diagnosis_init(d, code, name);
	d->since_ms = clock_wall_ms();
	snprintf(d->expected, sizeof d->expected, "serial %s until %s", x->serial,
		clock_rfc3339(x->not_after_ms, end));
	snprintf(d->fix, sizeof d->fix,
		"See that `certfleet sync` runs at this edge and that its --reload command "
		"succeeds.\nOr export the certificate there and reload: certfleet certificate %s",
		p->v->job->id);
	return d;
}

static void take(
	struct verify_proof *p, const struct proof_look *l, const struct handshake_result *r)
{
	const struct endpoint *e = &p->v->job->endpoint;
	const struct served_case c = {.cert = &e->cert,
		.before = e->has_verdict ? e->verdict.served.proven : "",
		.name = l->name,
		.now_ms = clock_wall_ms()};
	char what[SERVED_WHAT_SIZE], at[ADDR_TEXT_SIZE], end[CLOCK_RFC3339_LEN];
	int64_t ends_ms = 0;
	const char *code = served_judge(&c, r, what, &ends_ms);
	struct diagnosis *d;

	if (r->end == HANDSHAKE_FORBIDDEN)
		return;
	p->addresses++;
	if (!code)
		return;
	if (!code[0]) {
		p->right++;
		return;
	}
	p->stale = true;
	d = finding(p, code, l->name);
	if (!d)
		return;
	diagnosis_observe(d, addr_format(&l->at, at), what, 0);
	if (ends_ms > c.now_ms && (!d->effect_ms || ends_ms < d->effect_ms)) {
		d->effect_ms = ends_ms;
		snprintf(d->effect, sizeof d->effect, "What is served ends at %s.",
			clock_rfc3339(ends_ms, end));
	}
}

static void one_less(struct verify_proof *p)
{
	if (!--p->left)
		verify_end(p->v);
}

static void on_shaken(void *arg, const struct handshake_result *r)
{
	struct proof_look *l = arg;

	l->handshake = NULL;
	take(l->p, l, r);
	one_less(l->p);
}

static void shake(struct verify_proof *p, const struct addr *at, bool trusted, const char *name)
{
	struct proof_look *l = &p->looks[p->looks_n];

	if (p->looks_n == LOOKS_MAX)
		return;
	p->looks_n++;
	p->left++;
	*l = (struct proof_look){.p = p, .at = *at};
	snprintf(l->name, sizeof l->name, "%s", name);
	l->handshake = handshake_start(p->v->w->handshakes, at, trusted, l->name, on_shaken, l);
}

/* --- whom to ask */

static void take_addresses(struct asked *a, const struct dns_result *r)
{
	struct verify_proof *p = a->p;

	for (size_t i = 0; r->status == DNS_ANSWERED && i < r->n_records; i++) {
		struct addr at = r->records[i].address;

		if (a->addresses++ >= PER_NAME_MAX)
			return;
		addr_set_port(&at, (uint16_t)p->v->w->config->edge.port);
		shake(p, &at, false, a->name);
	}
}

static void on_a(void *arg, const struct dns_result *r)
{
	struct asked *a = arg;

	a->queries[0] = NULL;
	take_addresses(a, r);
	one_less(a->p);
}

static void on_aaaa(void *arg, const struct dns_result *r)
{
	struct asked *a = arg;

	a->queries[1] = NULL;
	take_addresses(a, r);
	one_less(a->p);
}

static void ask(struct verify_proof *p, const char *name)
{
	struct asked *a = &p->asked[p->asked_n++];
	struct resolver *resolver = p->v->w->resolver;

	a->p = p;
	snprintf(a->name, sizeof a->name, "%s", name);
	p->left += 2;
	a->queries[0] = resolver_query(resolver, a->name, DNS_A, 0, on_a, a);
	a->queries[1] = resolver_query(resolver, a->name, DNS_AAAA, 0, on_aaaa, a);
}

/* At the config's edges a wildcard is asked for by a name that it covers. */
static void shake_edges(struct verify_proof *p, const char *name)
{
	const struct config_addresses *edges = &p->v->w->config->edge.addresses;
	bool wild = name_is_wildcard(name);
	char asked[NAME_SIZE];

	if (snprintf(asked, sizeof asked, "%s%s", wild ? "certfleet-proof." : "",
		    name_base(name)) >= (int)sizeof asked)
		return;
	for (size_t i = 0; i < edges->n; i++)
		shake(p, &edges->items[i].addr, true, asked);
}

/* A name that does not point here yet, or points to a CDN, is served by others. */
static bool points_here(const struct endpoint_verdict *v, const struct name_verdict *n)
{
	for (size_t i = 0; i < v->diagnoses_n; i++)
		if (!strcmp(v->diagnoses[i].code, "cdn_in_front") &&
			!strcmp(v->diagnoses[i].name, n->name))
			return false;
	return n->traffic.status == RECORD_RIGHT && !name_is_wildcard(n->name);
}

static void ask_all(struct verify_proof *p)
{
	const struct endpoint_cert *x = &p->v->job->endpoint.cert;
	const struct endpoint_verdict *v = &p->v->verdict;

	for (size_t i = 0; i < v->names_n; i++) {
		const char *name = v->names[i].name;

		/* The certificate may have left it out. */
		if (!name_is_wildcard(name) && !served_covers(x->der, x->der_len, name))
			continue;
		shake_edges(p, name);
		if (points_here(v, &v->names[i]))
			ask(p, name);
	}
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
	struct verify_proof *p;

	if (!is_time(v)) {
		verify_end(v);
		return;
	}
	p = v->proof = mem_zalloc(sizeof *p);
	p->v = v;
	p->asked = mem_array(v->verdict.names_n, sizeof *p->asked);
	p->looks = mem_array(LOOKS_MAX, sizeof *p->looks);
	p->found = mem_array(DIAGNOSES_MAX, sizeof *p->found);
	p->left = 1;
	ask_all(p);
	one_less(p);
}

void verify_forget_proof(struct verify *v)
{
	struct verify_proof *p = v->proof;

	v->proof = NULL;
	if (!p)
		return;
	for (size_t i = 0; i < p->asked_n; i++) {
		resolver_cancel(p->asked[i].queries[0]);
		resolver_cancel(p->asked[i].queries[1]);
	}
	for (size_t i = 0; i < p->looks_n; i++)
		handshake_cancel(p->looks[i].handshake);
	free(p->asked);
	free(p->looks);
	free(p->found);
	free(p);
}

/* --- what is kept */

static void drop_served(struct endpoint_verdict *v)
{
	size_t n = 0;

	for (size_t i = 0; i < v->diagnoses_n; i++)
		if (strncmp(v->diagnoses[i].code, "served_", 7) != 0)
			v->diagnoses[n++] = v->diagnoses[i];
	v->diagnoses_n = n;
}

static enum served_status status_of(const struct verify_proof *p)
{
	if (p->stale)
		return SERVED_STALE;
	if (!p->addresses)
		return SERVED_UNKNOWN;
	return p->right == p->addresses ? SERVED_OK : SERVED_UNREACHABLE;
}

void verify_take_proof(struct verify *v, const struct served *was, int64_t now_ms)
{
	struct endpoint *e = &v->job->endpoint;
	struct verify_proof *p = v->proof;
	struct served *s = &e->verdict.served;
	bool same = !strcmp(was->serial, e->cert.serial);

	*s = *was;
	if (!p)
		return;
	drop_served(&e->verdict);
	for (size_t i = 0; i < p->found_n; i++)
		verify_add_diagnosis(&e->verdict, &p->found[i]);
	s->status = status_of(p);
	s->right = p->right;
	s->addresses = p->addresses;
	s->tries = s->status == SERVED_OK ? 0 : same ? was->tries + 1 : 1;
	s->looked_ms = now_ms;
	snprintf(s->serial, sizeof s->serial, "%s", e->cert.serial);
	if (s->status == SERVED_OK)
		memcpy(s->proven, s->serial, sizeof s->proven);
}

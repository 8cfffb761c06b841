/* The http-01 question through each name's front door, as an authority would ask it:
 *
 *	names for which it is time ──► a token where our responders answer ──► seen at each of them
 *	      │ none                          │ failed                             │ not: it is us │
 *	      ▼                               ▼                                    ▼               ▼
 *	what was seen before holds ◄──────────┴────────────────────────────────────┘   each address
 *of │                                                                        each name └──►
 *verify_prove() ◄── judged ◄─────────────────────────────────────────────┘
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/dns/resolver.h"
#include "worker/jobs/challenge.h"
#include "worker/jobs/verify_internal.h"
#include "worker/nodes.h"
#include "worker/probe/door_judge.h"
#include "worker/stats.h"
#include "worker/worker.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX  16 /* probed by one job; the others next time */
#define TOKEN_SIZE 48

struct probed_name {
	struct verify_probe *p;
	size_t index;
	struct resolver_query *queries[2]; /* A, AAAA */
	struct addr at[VERIFY_ADDRESSES_MAX];
	struct door *doors[VERIFY_ADDRESSES_MAX];
	struct door_seen seen[VERIFY_ADDRESSES_MAX];
	size_t n, seen_n;
};

/* What one address of a name is told of. */
struct probe_look {
	struct probed_name *of;
	size_t i;
};

struct verify_probe {
	struct verify *v; /* NULL once stopped: only what is under way in Redis is waited for */
	struct worker *w;
	char name[NAME_SIZE], tenant[ENDPOINT_TENANT_MAX + 1];
	char token[TOKEN_SIZE], answer[2 * TOKEN_SIZE];
	struct probed_name *names;
	struct probe_look *looks;
	size_t names_n, looks_n, left;
	bool writing; /* a callback of Redis or of the responders will come */
};

static void probe_free(struct verify_probe *p)
{
	free(p->names);
	free(p->looks);
	free(p);
}

static struct acme_challenge challenge_of(const struct verify_probe *p)
{
	return (struct acme_challenge){.type = ACME_HTTP_01,
		.name = p->name,
		.token = p->token,
		.key_authorization = p->answer,
		.txt = ""};
}

static void on_unpublished(void *arg, int err)
{
	(void)arg;
	(void)err; /* it has an end of its own */
}

static void unpublish(struct verify_probe *p)
{
	const struct acme_challenge c = challenge_of(p);

	challenge_unpublish(p->w, p->tenant, &c, on_unpublished, NULL);
}

/* --- what it means */

static void tell(struct verify *v, struct diagnosis *d)
{
	verify_date(&v->job->endpoint, d);
	verify_add_diagnosis(&v->verdict, d);
}

static void judge(struct probed_name *n)
{
	static const char *const words[] = {"unseen", "right", "wrong"};
	struct verify *v = n->p->v;
	const struct endpoint *e = &v->job->endpoint;
	struct name_verdict *name = &v->verdict.names[n->index];
	const struct door_case c = {.name = name->name,
		.target = e->config.target,
		.cert = e->has_cert && !e->cert.revoked_ms ? &e->cert : NULL,
		.ours = name->traffic.status == RECORD_RIGHT && !name->traffic.code[0],
		.alone = name->dns01 != VERDICT_CAN,
		.now_ms = clock_wall_ms()};
	_mem_free_ struct diagnosis *found = mem_array(DOOR_FINDINGS_MAX, sizeof *found);
	size_t found_n;
	enum probe_status status = door_judge(&c, n->seen, n->seen_n, found, &found_n);

	metric_inc(&stats_probes, LABELS(words[status]));
	if (status == PROBE_UNKNOWN) /* what was seen before holds */
		return;
	name->probe = (struct probe){.status = status,
		.tries = status == PROBE_WRONG ? name->probe.tries + 1 : 0,
		.looked_ms = c.now_ms};
	for (size_t i = 0; i < found_n; i++)
		tell(v, &found[i]);
}

static void settle(struct verify *v)
{
	for (size_t i = 0; i < v->verdict.names_n; i++)
		verify_settle_probe(v, i);
	verify_prove(v);
}

static void end(struct verify_probe *p)
{
	struct verify *v = p->v;

	for (size_t i = 0; i < p->names_n; i++)
		judge(&p->names[i]);
	unpublish(p);
	v->probe = NULL;
	probe_free(p);
	settle(v);
}

static void one_less(struct verify_probe *p)
{
	if (!--p->left)
		end(p);
}

/* --- each address */

static void on_seen(void *arg, const struct door_result *r)
{
	struct probe_look *l = arg;
	struct probed_name *n = l->of;

	n->doors[l->i] = NULL;
	n->seen[l->i].result = *r;
	one_less(n->p);
}

static void knock(struct probed_name *n)
{
	struct verify_probe *p = n->p;

	n->seen_n = n->n;
	for (size_t i = 0; i < n->n; i++) {
		struct probe_look *l = &p->looks[p->looks_n++];

		*l = (struct probe_look){.of = n, .i = i};
		n->seen[i].at = n->at[i];
		addr_set_port(&n->seen[i].at, (uint16_t)p->w->config->edge.http_port);
		p->left++;
		n->doors[i] = door_start(p->w->doors, &n->at[i], p->v->verdict.names[n->index].name,
			p->token, p->answer, on_seen, l);
	}
}

static bool is_listed(const struct addr *list, size_t n, const struct addr *a)
{
	for (size_t i = 0; i < n; i++)
		if (addr_equal_host(&list[i], a))
			return true;
	return false;
}

static void take_addresses(struct probed_name *n, int which, const struct dns_result *r)
{
	n->queries[which] = NULL;
	for (size_t i = 0; r->status == DNS_ANSWERED && i < r->n_records; i++)
		if (n->n < VERIFY_ADDRESSES_MAX && !is_listed(n->at, n->n, &r->records[i].address))
			n->at[n->n++] = r->records[i].address;
	if (!n->queries[0] && !n->queries[1])
		knock(n);
	one_less(n->p);
}

static void on_a(void *arg, const struct dns_result *r)
{
	take_addresses(arg, 0, r);
}

static void on_aaaa(void *arg, const struct dns_result *r)
{
	take_addresses(arg, 1, r);
}

/* The addresses that the name's own servers gave; a CNAME out of their zone the resolver follows.
 */
static void find_addresses(struct probed_name *n)
{
	struct verify_probe *p = n->p;
	const struct verify_seen *seen = &p->v->seen[n->index];
	const char *name = p->v->verdict.names[n->index].name;

	if (seen->n) {
		memcpy(n->at, seen->at, sizeof n->at);
		n->n = seen->n;
		knock(n);
		return;
	}
	p->left += 2;
	n->queries[0] = resolver_query(p->w->resolver, name, DNS_A, 0, on_a, n);
	n->queries[1] = resolver_query(p->w->resolver, name, DNS_AAAA, 0, on_aaaa, n);
}

static void knock_all(struct verify_probe *p)
{
	p->left = 1;
	for (size_t i = 0; i < p->names_n; i++)
		find_addresses(&p->names[i]);
	one_less(p);
}

/* --- the token */

/* Nothing can be learnt now: what was seen before holds. */
static void give_up(struct verify_probe *p, const char *why)
{
	struct verify *v = p->v;

	LOG(WARN, "probe_put_off", LF("endpoint", v->job->id), LF("why", why));
	unpublish(p);
	v->probe = NULL;
	probe_free(p);
	settle(v);
}

static void on_visible(void *arg, int err)
{
	struct verify_probe *p = arg;

	p->writing = false;
	if (!p->v)
		probe_free(p);
	else if (err)
		give_up(p, "our own responders do not answer right");
	else
		knock_all(p);
}

static void on_published(void *arg, int err)
{
	struct verify_probe *p = arg;
	const struct acme_challenge c = challenge_of(p);

	p->writing = false;
	if (!p->v) {
		probe_free(p);
	} else if (err) {
		give_up(p, cf_strerror(err));
	} else {
		p->writing = true;
		challenge_visible(p->w, p->tenant, &c, on_visible, p);
	}
}

static void hex(char *out, const unsigned char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

/* A fresh path each time, and an answer that cannot be made from it: some servers answer every
 * token with a constant behind it. */
static bool make_token(struct verify_probe *p)
{
	unsigned char random[32];
	char secret[33];

	if (RAND_bytes(random, sizeof random) != 1)
		return false;
	memcpy(p->token, "probe-", 6);
	hex(p->token + 6, random, 16);
	hex(secret, random + 16, 16);
	snprintf(p->answer, sizeof p->answer, "%s.%s", p->token, secret);
	return true;
}

/* --- whether, and whom */

static bool has_responders(const struct worker *w)
{
	size_t n;

	nodes_of(w->nodes, NODE_HTTP01, &n);
	return n > 0;
}

static void list_names(struct verify_probe *p)
{
	const struct verify *v = p->v;
	int64_t now = clock_wall_ms();

	for (size_t i = 0; i < v->verdict.names_n && p->names_n < NAMES_MAX; i++) {
		if (!verify_probe_is_due(v, i, now))
			continue;
		p->names = mem_grow(p->names, p->names_n + 1, sizeof *p->names);
		p->names[p->names_n++] = (struct probed_name){.p = p, .index = i};
	}
	p->looks = mem_array(p->names_n * VERIFY_ADDRESSES_MAX, sizeof *p->looks);
}

void verify_probe(struct verify *v)
{
	struct verify_probe *p;
	struct worker *w = v->w;
	struct acme_challenge c;

	for (size_t i = 0; i < v->verdict.names_n; i++)
		verify_recall_probe(v, i);
	if (!w->config->scheduler.probe_every_ms || !w->doors || v->blind || v->unanswered ||
		!has_responders(w)) {
		settle(v);
		return;
	}
	p = mem_zalloc(sizeof *p);
	p->v = v;
	p->w = w;
	list_names(p);
	if (!p->names_n || !make_token(p)) {
		probe_free(p);
		settle(v);
		return;
	}
	v->probe = p;
	snprintf(p->name, sizeof p->name, "%s", v->verdict.names[p->names[0].index].name);
	snprintf(p->tenant, sizeof p->tenant, "%s", v->job->endpoint.config.tenant);
	p->writing = true;
	c = challenge_of(p);
	challenge_publish(w, p->tenant, &c, on_published, p);
}

void verify_forget_probe(struct verify *v)
{
	struct verify_probe *p = v->probe;

	v->probe = NULL;
	if (!p)
		return;
	for (size_t i = 0; i < p->names_n; i++) {
		struct probed_name *n = &p->names[i];

		resolver_cancel(n->queries[0]);
		resolver_cancel(n->queries[1]);
		for (size_t k = 0; k < n->seen_n; k++)
			door_cancel(n->doors[k]);
	}
	unpublish(p);
	p->v = NULL;
	if (!p->writing)
		probe_free(p);
}

/* The questions of one look: CNAMEs followed hop by hop, the proof in TXT, addresses at an apex. */
#include "common/label.h"
#include "common/mem.h"
#include "worker/dns/resolver.h"
#include "worker/jobs/verify_internal.h"
#include "worker/worker.h"

#include <stdio.h>
#include <string.h>

enum ask_kind {
	ASK_CHALLENGE,
	ASK_TRAFFIC,
	ASK_PROOF,
	ASK_OWN_A,
	ASK_OWN_AAAA,
	ASK_TARGET_A,
	ASK_TARGET_AAAA
};

struct verify_ask {
	struct verify *v;
	struct verify_ask *next, **at;
	struct resolver_query *query;
	enum ask_kind kind;
	size_t index; /* of the name */
};

static void on_answer(void *arg, const struct dns_result *r);

static void ask(struct verify *v, enum ask_kind kind, size_t index, const char *name, uint16_t type)
{
	struct verify_ask *a = mem_zalloc(sizeof *a);

	*a = (struct verify_ask){
		.v = v, .kind = kind, .index = index, .next = v->asks, .at = &v->asks};
	if (v->asks)
		v->asks->at = &a->next;
	v->asks = a;
	v->asking++;
	a->query = resolver_query(v->w->resolver, name, type, 0, on_answer, a);
}

static void unlink_ask(struct verify_ask *a)
{
	*a->at = a->next;
	if (a->next)
		a->next->at = a->at;
	a->v->asking--;
}

static enum look_end end_of(enum dns_status s)
{
	switch (s) {
	case DNS_ANSWERED:
		return LOOK_FOUND;
	case DNS_NODATA:
		return LOOK_NOTHING;
	case DNS_NXDOMAIN:
		return LOOK_NXDOMAIN;
	case DNS_REFUSED:
		return LOOK_REFUSED;
	case DNS_TIMEOUT:
	case DNS_NETWORK:
	case DNS_CANCELED:
		return LOOK_TIMEOUT;
	case DNS_SERVFAIL:
	case DNS_BOGUS:
	case DNS_RCODE:
	case DNS_MALFORMED:
	case DNS_BADNAME:
		break;
	}
	return LOOK_SERVFAIL;
}

/* --- CNAMEs */

/* True once the chain has come where it should, or can be followed no further. */
static bool chain_over(
	const struct verify *v, const struct verify_ask *a, const struct look_cname *c)
{
	const char *last = c->hops[c->n - 1];

	if (c->loop || c->n == LOOK_HOPS_MAX)
		return true;
	if (a->kind == ASK_TRAFFIC)
		return !strcmp(last, v->job->endpoint.config.target);
	for (size_t i = 0; i < v->w->look_policy.zones_n; i++)
		if (name_is_under(last, v->w->look_policy.zones[i]))
			return true;
	return false;
}

static void add_hop(struct look_cname *c, const char *target)
{
	for (size_t i = 0; i < c->n; i++)
		c->loop = c->loop || !strcmp(c->hops[i], target);
	if (!c->hops)
		c->hops = mem_array(LOOK_HOPS_MAX, sizeof *c->hops);
	snprintf(c->hops[c->n++], sizeof *c->hops, "%s", target);
}

/* The label's CNAME proves the tenant by itself. */
static bool ends_at_own_label(const struct verify *v, const struct look_name *seen)
{
	const struct look_cname *c = &seen->challenge;
	char label[LABEL_SIZE];

	label_make(v->w->look_policy.label_key, v->job->endpoint.config.tenant,
		name_base(seen->name), label);
	return c->n && !strncmp(c->hops[c->n - 1], label, LABEL_LEN);
}

static void cname_done(struct verify *v, enum ask_kind kind, size_t index)
{
	struct look_name *seen = &v->seen[index];
	char owner[NAME_SIZE + 16];

	if (kind == ASK_CHALLENGE) {
		if (ends_at_own_label(v, seen))
			return;
		snprintf(owner, sizeof owner, "_certfleet.%s", name_base(seen->name));
		ask(v, ASK_PROOF, index, owner, DNS_TXT);
	} else if (seen->traffic.end == LOOK_NOTHING) {
		ask(v, ASK_OWN_A, index, seen->name, DNS_A);
		ask(v, ASK_OWN_AAAA, index, seen->name, DNS_AAAA);
		ask(v, ASK_TARGET_A, index, v->job->endpoint.config.target, DNS_A);
		ask(v, ASK_TARGET_AAAA, index, v->job->endpoint.config.target, DNS_AAAA);
	}
}

static void on_cname(struct verify *v, const struct verify_ask *a, const struct dns_result *r)
{
	struct look_name *seen = &v->seen[a->index];
	struct look_cname *c = a->kind == ASK_CHALLENGE ? &seen->challenge : &seen->traffic;

	if (r->status == DNS_ANSWERED && r->n_records) {
		c->end = LOOK_FOUND;
		add_hop(c, r->records[0].name);
		if (!chain_over(v, a, c))
			ask(v, a->kind, a->index, c->hops[c->n - 1], DNS_CNAME);
		else
			cname_done(v, a->kind, a->index);
		return;
	}
	if (!c->n)
		c->end = end_of(r->status);
	cname_done(v, a->kind, a->index);
}

/* --- TXT and addresses */

static void on_proof(struct verify *v, size_t index, const struct dns_result *r)
{
	struct look_name *seen = &v->seen[index];
	char label[LABEL_SIZE];

	label_make(v->w->look_policy.label_key, v->job->endpoint.config.tenant,
		name_base(seen->name), label);
	for (size_t i = 0; r->status == DNS_ANSWERED && i < r->n_records; i++) {
		const struct dns_bytes *t = &r->records[i].txt;

		if (t->len == LABEL_LEN && !memcmp(t->bytes, label, LABEL_LEN))
			seen->txt_proof = true;
	}
}

static void on_addresses(struct look_addresses *out, const struct dns_result *r)
{
	enum look_end end = end_of(r->status);

	/* A and AAAA come one after the other: what was found stays, and an error outweighs
	 * nothing. */
	if (out->end == LOOK_NOTHING || end == LOOK_FOUND)
		out->end = end;
	for (size_t i = 0; end == LOOK_FOUND && i < r->n_records && out->n < LOOK_ADDRESSES_MAX;
		i++) {
		char text[ADDR_TEXT_SIZE];

		addr_format_host(&r->records[i].address, text);
		snprintf(out->text[out->n++], sizeof out->text[0], "%.45s", text);
	}
}

static void take_answer(struct verify *v, const struct verify_ask *a, const struct dns_result *r)
{
	switch (a->kind) {
	case ASK_CHALLENGE:
	case ASK_TRAFFIC:
		on_cname(v, a, r);
		return;
	case ASK_PROOF:
		on_proof(v, a->index, r);
		return;
	case ASK_OWN_A:
	case ASK_OWN_AAAA:
		on_addresses(&v->seen[a->index].own, r);
		return;
	case ASK_TARGET_A:
	case ASK_TARGET_AAAA:
		on_addresses(&v->seen[a->index].target, r);
		return;
	}
}

static void on_answer(void *arg, const struct dns_result *r)
{
	struct verify_ask *a = arg;
	struct verify *v = a->v;

	unlink_ask(a);
	take_answer(v, a, r);
	free(a);
	if (!v->asking)
		verify_judge(v);
}

void verify_ask_all(struct verify *v)
{
	const struct endpoint_config *c = &v->job->endpoint.config;
	char owner[NAME_SIZE + 16];

	v->seen = mem_array(c->names_n, sizeof *v->seen);
	for (size_t i = 0; i < c->names_n; i++) {
		v->seen[i].name = c->names[i];
		snprintf(owner, sizeof owner, "_acme-challenge.%s", name_base(c->names[i]));
		ask(v, ASK_CHALLENGE, i, owner, DNS_CNAME);
		if (c->type == ENDPOINT_EXTERNAL)
			ask(v, ASK_TRAFFIC, i, c->names[i], DNS_CNAME);
	}
}

void verify_forget(struct verify *v)
{
	while (v->asks) {
		struct verify_ask *a = v->asks;

		resolver_cancel(a->query);
		unlink_ask(a);
		free(a);
	}
	for (size_t i = 0; v->seen && v->job && i < v->job->endpoint.config.names_n; i++) {
		free(v->seen[i].challenge.hops);
		free(v->seen[i].traffic.hops);
	}
	free(v->seen);
	v->seen = NULL;
}

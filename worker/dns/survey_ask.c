#include "common/mem.h"
#include "worker/dns/survey_internal.h"

#include <string.h>

/* A question is sent twice before an address counts as silent; one that was silent lately gets
 * one chance, so that dead servers do not eat a look's time. */
enum { SILENT_FOR_SURE = 2 };

/* --- one address */

struct query {
	struct survey *s;
	struct budget *budget;
	struct addr server;
	const char *name;
	struct delay *delay;
	struct dns_exchange *exchange;
	dns_result_fn *done;
	void *arg;
	uint16_t type;
	bool again; /* the second try */
};

/* For those who must wait; outlives the query by its closing. */
struct delay {
	uv_timer_t timer;
	struct query *q;
};

static void on_delay_closed(uv_handle_t *handle)
{
	free(container_of(handle, struct delay, timer));
}

static void delay_end(struct query *q)
{
	struct delay *d = mem_steal(q->delay);

	if (d)
		uv_close((uv_handle_t *)&d->timer, on_delay_closed);
}

static void query_free(struct query *q)
{
	delay_end(q);
	budget_drop(q->budget);
	free(q);
}

static void on_result(void *arg, const struct dns_result *r);

static void send_now(struct query *q)
{
	bool silent = gate_silence(q->s->gate, &q->server, survey_now(q->s)) >= SILENT_FOR_SURE;
	struct dns_question question = {
		.server = q->server,
		.name = q->name,
		.type = q->type,
		.timeout_ms = q->again ? 2 * q->s->try_ms : q->s->try_ms,
	};

	q->again |= silent;
	q->exchange = dns_ask(q->s->x, &question, on_result, q);
}

static void on_delay(uv_timer_t *timer)
{
	struct query *q = container_of(timer, struct delay, timer)->q;

	delay_end(q);
	send_now(q);
}

static void send_after(struct query *q, int64_t ms)
{
	struct delay *d = mem_zalloc(sizeof(*d));

	d->q = q;
	q->delay = d;
	uv_timer_init(q->s->loop, &d->timer);
	uv_timer_start(&d->timer, on_delay, (uint64_t)ms, 0);
}

/* Takes it from the budget and from what the address may be asked. */
static bool send_or_wait(struct query *q)
{
	int64_t wait_ms =
		q->budget->left ? gate_take(q->s->gate, &q->server, survey_now(q->s)) : -1;

	if (wait_ms < 0)
		return false;
	q->budget->left--;
	if (wait_ms)
		send_after(q, wait_ms);
	else
		send_now(q);
	return true;
}

static void on_result(void *arg, const struct dns_result *r)
{
	struct query *q = arg;
	bool silent = r->status == DNS_TIMEOUT || r->status == DNS_NETWORK;

	q->exchange = NULL;
	if (r->status != DNS_CANCELED)
		gate_note(q->s->gate, &q->server, !silent || r->tcp, survey_now(q->s));
	if (r->status != DNS_CANCELED && !silent && q->server.sa.sa_family == AF_INET6)
		q->s->heard_ipv6_ms = survey_now(q->s);
	if (r->status == DNS_TIMEOUT && !q->again) {
		q->again = true;
		if (send_or_wait(q))
			return;
	}
	dns_result_fn *done = q->done;
	void *done_arg = q->arg;
	query_free(q);
	done(done_arg, r);
}

static bool may_ask(const struct survey *s, const struct addr *a)
{
	return s->allowed ? s->allowed(s->arg, a) : !addr_unsafe(a);
}

struct query *query_start(struct survey *s, struct budget *budget, const struct addr *server,
	const char *name, uint16_t type, dns_result_fn *done, void *arg, enum query_refusal *why)
{
	if (!may_ask(s, server)) {
		*why = QUERY_UNSAFE;
		return NULL;
	}
	struct query *q = mem_alloc(sizeof(*q));
	*q = (struct query){.s = s,
		.budget = budget_keep(budget),
		.server = *server,
		.name = name,
		.type = type,
		.done = done,
		.arg = arg};
	if ((server->sa.sa_family == AF_INET6 && !s->ipv6) || !send_or_wait(q)) {
		query_free(q);
		*why = QUERY_SKIPPED;
		return NULL;
	}
	*why = QUERY_ASKED;
	return q;
}

void query_cancel(struct query *q)
{
	if (!q)
		return;
	dns_exchange_cancel(q->exchange);
	query_free(q);
}

/* --- any server of a zone */

enum { ANY_MAX = 12 };

struct any_part {
	struct any_query *any;
	struct query *query;
};

struct any_query {
	struct survey *s;
	struct budget *budget;
	struct zone *zone;
	any_fn *done;
	void *arg;
	uv_timer_t *soon; /* nobody could be asked: to say so later */
	struct any_part parts[ANY_MAX];
	struct zone_server servers[ANY_MAX];
	size_t n, pending;
	bool all; /* not only the first was asked */
	bool starved, lame, failed;
	struct dns_result *last;
	uint16_t type;
	char name[];
};

static void on_soon_closed(uv_handle_t *handle)
{
	free(handle);
}

static void any_free(struct any_query *a)
{
	for (size_t i = 0; i < a->n; i++)
		query_cancel(a->parts[i].query);
	if (a->soon)
		uv_close((uv_handle_t *)a->soon, on_soon_closed);
	dns_result_free(a->last);
	budget_drop(a->budget);
	zone_drop(a->zone);
	free(a);
}

static void any_end(struct any_query *a, enum delegation_kind kind, const struct dns_result *r,
	const struct delegation *cut)
{
	any_fn *done = a->done;
	void *arg = a->arg;
	bool starved = a->starved;
	struct dns_result *kept = r ? dns_result_keep(r) : NULL;

	any_free(a);
	done(arg, kind, kept, cut, starved);
	dns_result_free(kept);
}

/* Lame if all who spoke are. */
static void any_fail(struct any_query *a)
{
	struct dns_result *last = mem_steal(a->last);

	any_end(a, a->lame && !a->failed ? DELEGATION_LAME : DELEGATION_FAILED, last, NULL);
	dns_result_free(last);
}

static void on_part(void *arg, const struct dns_result *r);

static void ask_part(struct any_query *a, size_t i)
{
	enum query_refusal why;

	a->parts[i] = (struct any_part){.any = a};
	a->parts[i].query = query_start(a->s, a->budget, &a->servers[i].addr, a->name, a->type,
		on_part, &a->parts[i], &why);
	a->pending += a->parts[i].query != NULL;
	a->starved |= why == QUERY_SKIPPED && !a->budget->left;
	a->failed |= why == QUERY_SKIPPED;
}

static void ask_others(struct any_query *a)
{
	a->all = true;
	for (size_t i = 1; i < a->n; i++)
		ask_part(a, i);
}

static void on_part(void *arg, const struct dns_result *r)
{
	struct any_part *part = arg;
	struct any_query *a = part->any;
	struct delegation cut;
	enum delegation_kind kind = delegation_read(r, a->zone->apex, &cut);

	part->query = NULL;
	a->pending--;
	if (kind != DELEGATION_LAME && kind != DELEGATION_FAILED) {
		any_end(a, kind, r, &cut);
		return;
	}
	a->lame |= kind == DELEGATION_LAME;
	a->failed |= kind == DELEGATION_FAILED;
	dns_result_free(a->last);
	a->last = dns_result_keep(r);
	if (!a->all)
		ask_others(a);
	if (!a->pending)
		any_fail(a);
}

static void on_soon(uv_timer_t *timer)
{
	any_fail(timer->data);
}

/* The least silent goes first; among equals, chance decides. */
static void choose_first(struct any_query *a)
{
	size_t best = 0, offset = a->n ? survey_random(a->s) % a->n : 0;
	unsigned least = ~0u;

	for (size_t i = 0; i < a->n; i++) {
		size_t j = (i + offset) % a->n;
		const struct addr *addr = &a->servers[j].addr;
		unsigned silent = gate_silence(a->s->gate, addr, survey_now(a->s));
		silent += addr->sa.sa_family == AF_INET6 && !a->s->ipv6 ? 1000 : 0;
		if (silent < least) {
			least = silent;
			best = j;
		}
	}
	struct zone_server first = a->servers[best];
	a->servers[best] = a->servers[0];
	a->servers[0] = first;
}

struct any_query *any_start(struct survey *s, struct budget *budget, struct zone *zone,
	const char *name, uint16_t type, any_fn *done, void *arg)
{
	size_t n = strlen(name) + 1;
	struct any_query *a = mem_zalloc(sizeof(*a) + n);

	memcpy(a->name, name, n);
	a->s = s;
	a->budget = budget_keep(budget);
	a->zone = zone_keep(zone);
	a->type = type;
	a->done = done;
	a->arg = arg;
	a->n = zone_servers(zone, FACT_NS_MAX, a->servers, ANY_MAX);
	if (a->n) {
		choose_first(a);
		ask_part(a, 0);
	}
	if (!a->pending)
		ask_others(a);
	if (!a->pending) {
		a->soon = mem_zalloc(sizeof(*a->soon));
		uv_timer_init(s->loop, a->soon);
		a->soon->data = a;
		uv_timer_start(a->soon, on_soon, 0, 0);
	}
	return a;
}

void any_cancel(struct any_query *a)
{
	if (a)
		any_free(a);
}

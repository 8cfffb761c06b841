#include "worker/jobs/proof_look.h"

#include "common/clock.h"
#include "common/mem.h"
#include "worker/dns/resolver.h"
#include "worker/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PER_NAME_MAX 8 /* addresses of one name */

struct asked {
	struct proof_look *look;
	const char *name;
	struct resolver_query *queries[2]; /* A, AAAA */
	size_t addresses;
};

struct shake {
	struct proof_look *look;
	struct handshake *handshake;
	const char *name;
};

struct proof_look {
	struct worker *w;
	struct proof_ask ask;     /* its pointers are ours */
	struct asked *asked;      /* names_n */
	struct shake *shakes;     /* PROOF_LOOKS_MAX */
	struct served_seen *seen; /* as many */
	size_t shakes_n, left;
	uv_timer_t begin;
	proof_look_fn *fn;
	void *arg;
};

static void on_closed(uv_handle_t *h)
{
	struct proof_look *l = h->data;

	free((void *)l->ask.der);
	free((void *)l->ask.names);
	free(l->asked);
	free(l->shakes);
	free(l->seen);
	free(l);
}

void proof_look_cancel(struct proof_look *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->ask.names_n; i++) {
		resolver_cancel(l->asked[i].queries[0]);
		resolver_cancel(l->asked[i].queries[1]);
	}
	for (size_t i = 0; i < l->shakes_n; i++)
		handshake_cancel(l->shakes[i].handshake);
	uv_close((uv_handle_t *)&l->begin, on_closed);
}

static void one_less(struct proof_look *l)
{
	if (--l->left)
		return;
	l->fn(l->arg, l->seen, l->shakes_n);
	proof_look_cancel(l);
}

static void on_shaken(void *arg, const struct handshake_result *r)
{
	struct shake *s = arg;
	struct proof_look *l = s->look;
	const struct served_case c = {.der = l->ask.der,
		.der_len = l->ask.der_len,
		.before = l->ask.before,
		.name = s->name,
		.now_ms = clock_wall_ms()};

	s->handshake = NULL;
	served_judge(&c, r, &l->seen[s - l->shakes]);
	one_less(l);
}

static bool is_shaken(const struct proof_look *l, const char *name, const char *at)
{
	for (size_t i = 0; i < l->shakes_n; i++)
		if (!strcmp(l->seen[i].at, at) && !strcmp(l->shakes[i].name, name))
			return true;
	return false;
}

static void shake(struct proof_look *l, const struct addr *at, bool trusted, const char *name)
{
	struct shake *s = &l->shakes[l->shakes_n];
	char text[ADDR_TEXT_SIZE];

	addr_format(at, text);
	if (l->shakes_n == PROOF_LOOKS_MAX || is_shaken(l, name, text))
		return;
	memcpy(l->seen[l->shakes_n++].at, text, sizeof text);
	l->left++;
	*s = (struct shake){.look = l, .name = name};
	s->handshake = handshake_start(l->w->handshakes, at, trusted, name, on_shaken, s);
}

/* --- whom to ask */

static void take_addresses(struct asked *a, const struct dns_result *r)
{
	struct proof_look *l = a->look;

	for (size_t i = 0; r->status == DNS_ANSWERED && i < r->n_records; i++) {
		struct addr at = r->records[i].address;

		if (a->addresses++ >= PER_NAME_MAX)
			return;
		addr_set_port(&at, (uint16_t)l->w->config->edge.port);
		shake(l, &at, false, a->name);
	}
}

static void on_a(void *arg, const struct dns_result *r)
{
	struct asked *a = arg;

	a->queries[0] = NULL;
	take_addresses(a, r);
	one_less(a->look);
}

static void on_aaaa(void *arg, const struct dns_result *r)
{
	struct asked *a = arg;

	a->queries[1] = NULL;
	take_addresses(a, r);
	one_less(a->look);
}

static void resolve(struct proof_look *l, struct asked *a, const char *name)
{
	*a = (struct asked){.look = l, .name = name};
	l->left += 2;
	a->queries[0] = resolver_query(l->w->resolver, name, DNS_A, 0, on_a, a);
	a->queries[1] = resolver_query(l->w->resolver, name, DNS_AAAA, 0, on_aaaa, a);
}

static void on_begin(uv_timer_t *timer)
{
	struct proof_look *l = timer->data;
	const struct config_addresses *edges = &l->w->config->edge.addresses;

	l->left = 1;
	for (size_t i = 0; i < l->ask.names_n; i++) {
		const struct proof_name *n = &l->ask.names[i];

		for (size_t k = 0; k < edges->n; k++)
			shake(l, &edges->items[k].addr, true, n->name);
		if (n->resolved)
			resolve(l, &l->asked[i], n->name);
	}
	one_less(l);
}

struct proof_look *proof_look_start(
	struct worker *w, const struct proof_ask *ask, proof_look_fn *fn, void *arg)
{
	struct proof_look *l = mem_zalloc(sizeof *l);

	l->w = w;
	l->ask = *ask;
	l->ask.der = mem_dup(ask->der, ask->der_len);
	l->ask.names = mem_dup(ask->names, ask->names_n * sizeof *ask->names);
	l->asked = mem_array(ask->names_n, sizeof *l->asked);
	l->shakes = mem_array(PROOF_LOOKS_MAX, sizeof *l->shakes);
	l->seen = mem_array(PROOF_LOOKS_MAX, sizeof *l->seen);
	l->fn = fn;
	l->arg = arg;
	uv_timer_init(&w->loop, &l->begin);
	l->begin.data = l;
	uv_timer_start(&l->begin, on_begin, 0, 0);
	return l;
}

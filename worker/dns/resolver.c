#include "worker/dns/resolver.h"

#include "common/mem.h"

#include <string.h>

enum {
	MAX_SERVERS = 8,
	DEFAULT_TIMEOUT_MS = 3000,
	DEFAULT_ATTEMPTS = 3,
	FIRST_BUCKETS = 64,
	LEAST_ATTEMPT_MS = 100
};

struct server {
	struct addr addr;
	unsigned failures; /* in a row, without any answer */
};

/* One question under way; those who wait for it hang on it. */
struct flight {
	struct flight *next; /* in its bucket */
	struct resolver *r;
	struct resolver_query *waiters;
	struct dns_exchange *exchange;
	struct dns_result *worst; /* what to say when no attempt brings more */
	uint64_t deadline_ms;     /* of the loop's clock */
	uint64_t hash;
	unsigned flags, attempts; /* attempts begun */
	unsigned asked;           /* servers, as bits */
	uint16_t type;
	uint8_t server;
	bool checking; /* the last question, with validation switched off */
	bool landing;  /* callbacks are being called */
	char name[];
};

struct resolver_query {
	struct resolver_query *next, *prev; /* among the flight's waiters */
	struct flight *flight;
	dns_result_fn *done;
	void *arg;
};

struct resolver {
	uv_loop_t *loop;
	struct dns_exchanger *x;
	int64_t timeout_ms;
	unsigned attempts;
	struct server servers[MAX_SERVERS];
	size_t n_servers;
	struct flight **buckets; /* a power of two */
	size_t n_buckets, n_flights;
};

/* --- the table of flights */

static uint64_t hash_of(const char *name, uint16_t type, unsigned flags)
{
	uint64_t h = 14695981039346656037u ^ type ^ (uint64_t)flags << 32;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 1099511628211u;
	return h ^ h >> 29;
}

static struct flight **bucket(const struct resolver *r, uint64_t hash)
{
	return &r->buckets[hash & (r->n_buckets - 1)];
}

static struct flight *flight_find(
	const struct resolver *r, const char *name, uint16_t type, unsigned flags, uint64_t hash)
{
	struct flight *f = *bucket(r, hash);

	while (f && !(f->hash == hash && f->type == type && f->flags == flags &&
			    strcmp(f->name, name) == 0))
		f = f->next;
	return f;
}

static void buckets_grow(struct resolver *r)
{
	struct flight **old = r->buckets;
	size_t n = r->n_buckets;

	r->n_buckets = 2 * n;
	r->buckets = mem_array(r->n_buckets, sizeof(*r->buckets));
	for (size_t i = 0; i < n; i++)
		for (struct flight *f = old[i], *next; f; f = next) {
			struct flight **b = bucket(r, f->hash);
			next = f->next;
			f->next = *b;
			*b = f;
		}
	free(old);
}

static void flight_insert(struct resolver *r, struct flight *f)
{
	if (r->n_flights++ >= r->n_buckets)
		buckets_grow(r);
	struct flight **b = bucket(r, f->hash);
	f->next = *b;
	*b = f;
}

static void flight_remove(struct flight *f)
{
	struct flight **p = bucket(f->r, f->hash);

	while (*p != f)
		p = &(*p)->next;
	*p = f->next;
	f->r->n_flights--;
}

static void flight_free(struct flight *f)
{
	dns_exchange_cancel(f->exchange);
	dns_result_free(f->worst);
	free(f);
}

/* --- asking */

/* The least failing one that was not asked yet; of all, once each was. */
static uint8_t choose(struct flight *f)
{
	const struct resolver *r = f->r;
	size_t best = r->n_servers;

	if (f->asked + 1 == 1u << r->n_servers)
		f->asked = 0;
	for (size_t i = 0; i < r->n_servers; i++)
		if (!(f->asked & 1u << i) &&
			(best == r->n_servers ||
				r->servers[i].failures < r->servers[best].failures))
			best = i;
	f->asked |= 1u << best;
	return (uint8_t)best;
}

static void on_result(void *arg, const struct dns_result *result);

/* The n-th attempt gets n parts of the time: a packet lost to a full socket, ours or the server's,
 * is asked for again soon, and who thinks long has half of it in the end. */
static int64_t share_of(const struct resolver *r, unsigned n)
{
	return r->timeout_ms * n / ((int64_t)r->attempts * (r->attempts + 1) / 2);
}

static void attempt(struct flight *f, unsigned flags)
{
	const struct resolver *r = f->r;
	int64_t left = (int64_t)(f->deadline_ms - uv_now(r->loop));
	int64_t share = share_of(r, f->attempts < r->attempts ? f->attempts + 1 : r->attempts);
	struct dns_question q = {
		.server = r->servers[f->server].addr,
		.name = f->name,
		.type = f->type,
		.flags = f->flags | flags | DNS_RECURSE,
		.timeout_ms = share < left ? share : left,
	};

	f->attempts++;
	f->exchange = dns_ask(r->x, &q, on_result, f);
}

static bool is_final(const struct dns_result *result)
{
	switch (result->status) {
	case DNS_ANSWERED:
	case DNS_NODATA:
	case DNS_NXDOMAIN:
	case DNS_BADNAME:
	case DNS_CANCELED:
		return true;
	case DNS_SERVFAIL:
	case DNS_BOGUS:
	case DNS_REFUSED:
	case DNS_RCODE:
	case DNS_MALFORMED:
	case DNS_TIMEOUT:
	case DNS_NETWORK:
		break;
	}
	return false;
}

/* RFC 8914: the codes by which a resolver says that validation failed. */
static bool ede_is_bogus(uint16_t ede)
{
	return (ede >= 6 && ede <= 12) || ede == 27;
}

/* What a server said weighs more than that it was silent, and SERVFAIL most: it may be DNSSEC. */
static int weight(const struct dns_result *r)
{
	if (r->status == DNS_SERVFAIL)
		return 3;
	return r->status == DNS_TIMEOUT || r->status == DNS_NETWORK ? 1 : 2;
}

static void keep_worst(struct flight *f, const struct dns_result *result)
{
	if (f->worst && weight(f->worst) >= weight(result))
		return;
	dns_result_free(f->worst);
	f->worst = dns_result_keep(result);
}

static void land(struct flight *f, const struct dns_result *result)
{
	flight_remove(f);
	f->landing = true;
	while (f->waiters) {
		struct resolver_query *q = f->waiters;
		dns_result_fn *done = q->done;
		void *arg = q->arg;

		f->waiters = q->next;
		if (f->waiters)
			f->waiters->prev = NULL;
		free(q);
		done(arg, result);
	}
	flight_free(f);
}

static void note_server(struct flight *f, const struct dns_result *result)
{
	struct server *s = &f->r->servers[f->server];

	if (result->status == DNS_TIMEOUT || result->status == DNS_NETWORK)
		s->failures++;
	else if (result->status != DNS_BADNAME && result->status != DNS_CANCELED)
		s->failures = 0;
}

/* SERVFAIL with validation off, too, is an outage somewhere; otherwise validation was the reason.
 */
static void land_checked(struct flight *f, const struct dns_result *result)
{
	if (result->status == DNS_ANSWERED || result->status == DNS_NODATA ||
		result->status == DNS_NXDOMAIN)
		f->worst->status = DNS_BOGUS;
	land(f, f->worst);
}

static void on_result(void *arg, const struct dns_result *result)
{
	struct flight *f = arg;

	f->exchange = NULL;
	note_server(f, result);
	if (f->checking) {
		land_checked(f, result);
		return;
	}
	if (is_final(result)) {
		land(f, result);
		return;
	}
	keep_worst(f, result);
	uint64_t least_ms = (uint64_t)(f->r->timeout_ms / f->r->attempts / 4);
	bool time_left = uv_now(f->r->loop) + least_ms < f->deadline_ms;
	bool others = result->status == DNS_TIMEOUT || f->asked + 1 != 1u << f->r->n_servers;
	if (time_left && others && f->attempts < f->r->attempts) {
		f->server = choose(f);
		attempt(f, 0);
	} else if (f->worst->status == DNS_SERVFAIL && ede_is_bogus(f->worst->ede)) {
		f->worst->status = DNS_BOGUS;
		land(f, f->worst);
	} else if (time_left && f->worst->status == DNS_SERVFAIL &&
		   !(f->flags & DNS_NO_VALIDATION)) {
		f->checking = true;
		for (uint8_t i = 0; i < f->r->n_servers; i++)
			if (addr_equal(&f->r->servers[i].addr, &f->worst->server))
				f->server = i;
		attempt(f, DNS_NO_VALIDATION);
	} else {
		land(f, f->worst);
	}
}

/* --- for callers */

struct resolver *resolver_new(
	uv_loop_t *loop, struct dns_exchanger *x, const struct resolver_options *options)
{
	struct resolver *r = mem_zalloc(sizeof(*r));

	r->loop = loop;
	r->x = x;
	r->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : DEFAULT_TIMEOUT_MS;
	r->n_servers = options->n_servers < MAX_SERVERS ? options->n_servers : MAX_SERVERS;
	for (size_t i = 0; i < r->n_servers; i++)
		r->servers[i].addr = options->servers[i];
	r->attempts = options->attempts                 ? options->attempts
		      : r->n_servers > DEFAULT_ATTEMPTS ? (unsigned)r->n_servers
							: DEFAULT_ATTEMPTS;
	r->n_buckets = FIRST_BUCKETS;
	r->buckets = mem_array(r->n_buckets, sizeof(*r->buckets));
	return r;
}

void resolver_free(struct resolver *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n_buckets; i++)
		while (r->buckets[i]) {
			struct flight *f = r->buckets[i];
			struct dns_result *result = dns_result_new(f->name, f->type, DNS_CANCELED);
			land(f, result);
			dns_result_free(result);
		}
	free(r->buckets);
	free(r);
}

static struct flight *flight_new(
	struct resolver *r, const char *name, uint16_t type, unsigned flags, uint64_t hash)
{
	size_t n = strlen(name) + 1;
	struct flight *f = mem_zalloc(sizeof(*f) + n);

	memcpy(f->name, name, n);
	f->r = r;
	f->type = type;
	f->flags = flags;
	f->hash = hash;
	f->deadline_ms = uv_now(r->loop) + (uint64_t)r->timeout_ms;
	flight_insert(r, f);
	f->server = choose(f);
	attempt(f, 0);
	return f;
}

/* Case and a root dot make no other question. */
static void normalize(const char *name, char *out, size_t size)
{
	size_t n = strnlen(name, size - 1);

	for (size_t i = 0; i < n; i++)
		out[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + 32) : name[i];
	if (n > 1 && out[n - 1] == '.' && out[n - 2] != '\\')
		n--;
	out[n] = '\0';
}

struct resolver_query *resolver_query(struct resolver *r, const char *name, uint16_t type,
	unsigned flags, dns_result_fn *done, void *arg)
{
	struct resolver_query *q = mem_zalloc(sizeof(*q));
	char low[DNSNAME_TEXT_SIZE];

	normalize(name, low, sizeof(low));
	uint64_t hash = hash_of(low, type, flags);
	struct flight *f = flight_find(r, low, type, flags, hash);
	if (!f)
		f = flight_new(r, low, type, flags, hash);
	*q = (struct resolver_query){.flight = f, .done = done, .arg = arg, .next = f->waiters};
	if (q->next)
		q->next->prev = q;
	f->waiters = q;
	return q;
}

void resolver_cancel(struct resolver_query *q)
{
	if (!q)
		return;
	struct flight *f = q->flight;
	if (q->prev)
		q->prev->next = q->next;
	else
		f->waiters = q->next;
	if (q->next)
		q->next->prev = q->prev;
	free(q);
	if (f->waiters || f->landing)
		return;
	flight_remove(f);
	flight_free(f);
}

size_t resolver_in_flight(const struct resolver *r)
{
	return r->n_flights;
}

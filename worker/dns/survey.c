#include "common/mem.h"
#include "worker/dns/roots.h"
#include "worker/dns/survey_internal.h"

#include <string.h>
#include <sys/random.h>

enum {
	ASKS_MAX = 64,
	DEFAULT_QUERIES = 100,
	DEFAULT_TIMEOUT_MS = 20000,
	DEFAULT_PER_SECOND = 200,
	DEFAULT_ZONES = 20000,
	DEFAULT_TRY_MS = 1000,
	GATE_ADDRESSES = 32768,
	DNS_PORT = 53,
};

int64_t survey_now(const struct survey *s)
{
	return (int64_t)uv_now(s->loop);
}

/* xorshift64: which server is asked first, nothing that must not be guessed. */
uint32_t survey_random(struct survey *s)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	return (uint32_t)(s->random >> 32);
}

/* --- the survey */

static void add_root(struct survey *s, const char *name, const char *text)
{
	struct zone_ns *ns = zone_add_ns(s->root, name);
	struct addr a;

	if (ns && addr_parse(text, DNS_PORT, &a, NULL) == 0)
		zone_ns_add(ns, &a, s->port);
}

static void add_own_roots(struct survey *s, const struct survey_options *o)
{
	for (size_t i = 0; i < o->n_roots; i++) {
		char name[ADDR_TEXT_SIZE];
		struct zone_ns *ns = zone_add_ns(s->root, addr_format(&o->roots[i], name));
		if (ns)
			zone_ns_add(ns, &o->roots[i], addr_port(&o->roots[i]));
	}
}

static void make_root(struct survey *s, const struct survey_options *o)
{
	size_t n;
	const struct root_hint *hints = root_hints(&n);

	s->root = zone_new(".");
	s->root->delegates = true;
	s->root->stage = ZONE_READY;
	add_own_roots(s, o);
	for (size_t i = 0; i < n && !o->n_roots; i++) {
		add_root(s, hints[i].name, hints[i].v4);
		add_root(s, hints[i].name, hints[i].v6);
	}
	for (size_t i = 0; i < s->root->n_ns; i++)
		s->root->ns[i].at_parent = true;
}

struct survey *survey_new(uv_loop_t *loop, struct dns_exchanger *x, struct resolver *resolver,
	const struct survey_options *o)
{
	struct survey *s = mem_zalloc(sizeof(*s));

	s->loop = loop;
	s->x = x;
	s->resolver = resolver;
	s->allowed = o->allowed;
	s->arg = o->arg;
	s->ipv6 = o->ipv6;
	s->port = o->port ? o->port : DNS_PORT;
	s->try_ms = o->try_ms > 0 ? o->try_ms : DEFAULT_TRY_MS;
	s->gate = gate_new(o->per_second ? o->per_second : DEFAULT_PER_SECOND, GATE_ADDRESSES);
	s->cache = survey_cache_new(o->zones ? o->zones : DEFAULT_ZONES);
	list_init(&s->work);
	list_init(&s->scouts);
	if (getrandom(&s->random, sizeof(s->random), 0) != (ssize_t)sizeof(s->random))
		abort();
	s->random |= 1;
	make_root(s, o);
	return s;
}

void survey_free(struct survey *s)
{
	if (!s)
		return;
	scouts_cancel(s);
	works_cancel(s);
	survey_cache_free(s->cache);
	zone_drop(s->root);
	gate_free(s->gate);
	free(s);
}

int64_t survey_heard_ipv6_ms(const struct survey *s)
{
	return s->heard_ipv6_ms;
}

size_t survey_zones(const struct survey *s)
{
	return survey_cache_n(s->cache);
}

/* --- looks */

static void on_timer(uv_timer_t *timer);

static void set_deadline(struct survey_look *l)
{
	int64_t left = l->deadline_ms - survey_now(l->s);

	uv_timer_start(&l->timer, on_timer, left > 0 ? (uint64_t)left : 0, 0);
}

struct survey_look *survey_look_new(
	struct survey *s, struct facts *facts, const struct survey_budget *b)
{
	struct survey_look *l = mem_zalloc(sizeof(*l));

	l->s = s;
	l->facts = facts;
	l->budget = mem_alloc(sizeof(*l->budget));
	*l->budget = (struct budget){1, b->queries ? b->queries : DEFAULT_QUERIES};
	l->servers = b->servers && b->servers < FACT_NS_MAX ? b->servers : FACT_NS_MAX;
	l->addresses =
		b->addresses && b->addresses < FACT_SERVERS_MAX ? b->addresses : FACT_SERVERS_MAX;
	l->not_before = b->fresh ? s->walks + 1 : 0;
	l->deadline_ms = survey_now(s) + (b->timeout_ms > 0 ? b->timeout_ms : DEFAULT_TIMEOUT_MS);
	uv_timer_init(s->loop, &l->timer);
	set_deadline(l);
	return l;
}

static void tasks_free(struct survey_look *l)
{
	for (size_t i = 0; i < l->n; i++)
		task_release(&l->tasks[i]);
	free(mem_steal(l->tasks));
	l->n = l->pending = 0;
}

static void on_look_closed(uv_handle_t *handle)
{
	free(container_of(handle, struct survey_look, timer));
}

void survey_look_free(struct survey_look *l)
{
	if (!l)
		return;
	tasks_free(l);
	for (size_t i = 0; i < l->n_zones; i++)
		zone_drop(l->zones[i].zone);
	free(l->zones);
	budget_drop(l->budget);
	uv_close((uv_handle_t *)&l->timer, on_look_closed);
}

unsigned survey_queries_left(const struct survey_look *l)
{
	return l->budget->left;
}

/* The last thing that is done with the look: its owner may free it. */
static void look_done(struct survey_look *l)
{
	survey_done_fn *done = l->done;

	tasks_free(l);
	l->done = NULL;
	done(l->arg);
}

void look_task_over(struct survey_look *l)
{
	if (!--l->pending && !l->busy)
		look_done(l);
}

/* The deadline; or there was nothing to wait for. */
static void on_timer(uv_timer_t *timer)
{
	struct survey_look *l = container_of(timer, struct survey_look, timer);

	if (!l->done)
		return;
	l->busy = true;
	for (size_t i = 0; i < l->n; i++)
		task_finish(&l->tasks[i]);
	l->busy = false;
	if (survey_now(l->s) < l->deadline_ms)
		set_deadline(l);
	look_done(l);
}

static bool is_new(const struct survey_look *l, const struct ask *a)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct ask *b = &l->tasks[i].ask;
		if (a->how == b->how && a->type == b->type && strcmp(a->owner, b->owner) == 0)
			return false;
	}
	return !facts_find(l->facts, a->how, a->type, a->owner);
}

static void add_task(struct survey_look *l, const struct ask *a)
{
	struct task *t = &l->tasks[l->n];

	*t = (struct task){.look = l, .ask = *a};
	t->ask.owner = facts_text(l->facts, a->owner);
	list_init(&t->wait);
	l->n++;
	l->pending++;
}

void survey_ask(
	struct survey_look *l, const struct ask *asks, size_t n, survey_done_fn *done, void *arg)
{
	n = n < ASKS_MAX ? n : ASKS_MAX;
	l->tasks = mem_array(n ? n : 1, sizeof(*l->tasks));
	l->done = done;
	l->arg = arg;
	for (size_t i = 0; i < n; i++)
		if (is_new(l, &asks[i]))
			add_task(l, &asks[i]);
	l->busy = true;
	for (size_t i = 0; i < l->n && survey_now(l->s) < l->deadline_ms; i++)
		task_start(&l->tasks[i]);
	l->busy = false;
	if (!l->pending || survey_now(l->s) >= l->deadline_ms)
		uv_timer_start(&l->timer, on_timer, 0, 0);
}

#include "worker/doubt.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/diagnose/diagnose.h"
#include "worker/dns/survey.h"
#include "worker/worker.h"

#include <stdio.h>
#include <string.h>

#define BUCKETS       3
#define BUCKET_MS     (5 * CLOCK_MINUTE_MS)
#define LOOK_EVERY_MS (30 * CLOCK_SECOND_MS)
#define LOOK_PAUSE_MS CLOCK_SECOND_MS
#define ZONE_NS_MAX   16

struct doubt {
	struct worker *w;
	uv_timer_t timer;
	struct {
		int64_t number; /* of the five minutes that it counts */
		unsigned looked, turned;
	} buckets[BUCKETS];
	bool on, closing;
	int64_t looked_mono_ms;
	/* The look at ourselves. */
	struct facts *facts;
	struct survey_look *look;
	char trouble[ENDPOINT_CODE_MAX + 1];
};

/* --- counts */

static void turn(struct doubt *d, int64_t number)
{
	size_t at = (size_t)(number % BUCKETS);

	if (d->buckets[at].number == number)
		return;
	memset(&d->buckets[at], 0, sizeof d->buckets[at]);
	d->buckets[at].number = number;
}

void doubt_count(struct doubt *d, unsigned looked, unsigned turned)
{
	int64_t number = clock_mono_ms() / BUCKET_MS;

	if (!d)
		return;
	turn(d, number);
	d->buckets[number % BUCKETS].looked += looked;
	d->buckets[number % BUCKETS].turned += turned;
}

void doubt_counts(struct doubt *d, unsigned *looked, unsigned *turned)
{
	int64_t number = clock_mono_ms() / BUCKET_MS;

	*looked = *turned = 0;
	for (size_t i = 0; d && i < BUCKETS; i++) {
		if (d->buckets[i].number + BUCKETS <= number)
			continue;
		*looked += d->buckets[i].looked;
		*turned += d->buckets[i].turned;
	}
}

void doubt_set(struct doubt *d, bool on)
{
	if (!d || d->on == on)
		return;
	LOG(WARN, on ? "verdicts_frozen" : "verdicts_thawed", LF("worker", d->w->name));
	d->on = on;
}

bool doubt_is_on(const struct doubt *d)
{
	return d && d->on;
}

/* --- the look at ourselves */

const char *doubt_trouble(const struct doubt *d)
{
	return d ? d->trouble : "";
}

static const struct fact_answer *answer(const struct doubt *d, enum ask_how how)
{
	const struct fact *fact =
		facts_find(d->facts, how, DNS_SOA, d->w->config->challenges.zones.items[0]);

	for (size_t i = 0; fact && i < fact->n; i++)
		if (how == ASK_RESOLVER || fact->answers[i].end == FACT_RECORDS)
			return &fact->answers[i];
	return NULL;
}

/* It is the resolver's fault if it does not answer at all, or cannot find what the servers say. */
static bool resolver_fails(const struct doubt *d)
{
	const struct fact_answer *a = answer(d, ASK_RESOLVER);

	if (!a)
		return false;
	if (a->end == FACT_TIMEOUT || a->end == FACT_NETWORK)
		return true;
	return (a->end == FACT_SERVFAIL || a->end == FACT_ERROR) && answer(d, ASK_SERVERS);
}

static const char *judge(struct doubt *d)
{
	const struct config_nameservers *ns = &d->w->config->challenges.nameservers;
	const char *names[ZONE_NS_MAX];
	_mem_free_ struct diagnosis *found = mem_zalloc(sizeof *found);
	size_t n = 0;

	d->w->diagnose_policy.resolver_broken = resolver_fails(d);
	if (d->w->diagnose_policy.resolver_broken)
		return "resolver";
	for (; n < ns->n && n < ZONE_NS_MAX; n++)
		names[n] = ns->items[n].name;
	if (!n || !diagnose_zone_judge(
			  d->w->config->challenges.zones.items[0], names, n, d->facts, found))
		return "";
	return !strcmp(found->code, "zone_ds") ? "zone_ds" : "zone_not_delegated";
}

static void drop(struct doubt *d)
{
	survey_look_free(mem_steal(d->look));
	facts_free(mem_steal(d->facts));
}

static void on_looked(void *arg)
{
	struct doubt *d = arg;
	const char *trouble = judge(d);

	if (strcmp(trouble, d->trouble) != 0) {
		LOG(WARN, "own_dns", LF("worker", d->w->name),
			LF("trouble", trouble[0] ? trouble : "none"));
		snprintf(d->trouble, sizeof d->trouble, "%s", trouble);
	}
	drop(d);
}

void doubt_look(struct doubt *d)
{
	struct ask asks[2];
	const char *zone;
	size_t n;

	if (!d || d->look || d->closing || clock_mono_ms() < d->looked_mono_ms + LOOK_PAUSE_MS)
		return;
	zone = d->w->config->challenges.zones.items[0];
	d->looked_mono_ms = clock_mono_ms();
	d->facts = facts_new();
	d->look = survey_look_new(d->w->survey, d->facts, &(struct survey_budget){.fresh = true});
	n = diagnose_zone_next(zone, d->facts, asks);
	asks[n] = (struct ask){.how = ASK_RESOLVER, .type = DNS_SOA, .owner = asks[0].owner};
	survey_ask(d->look, asks, n + 1, on_looked, d);
}

static void on_timer(uv_timer_t *t)
{
	doubt_look(t->data);
}

struct doubt *doubt_new(struct worker *w)
{
	struct doubt *d = mem_zalloc(sizeof *d);
	int64_t every = w->config->scheduler.verify_every_ms;

	every = every < LOOK_PAUSE_MS   ? LOOK_PAUSE_MS
		: every > LOOK_EVERY_MS ? LOOK_EVERY_MS
					: every;
	d->w = w;
	d->looked_mono_ms = -LOOK_PAUSE_MS;
	d->timer.data = d;
	uv_timer_init(&w->loop, &d->timer);
	uv_timer_start(&d->timer, on_timer, 100, (uint64_t)every);
	uv_unref((uv_handle_t *)&d->timer);
	return d;
}

static void on_closed(uv_handle_t *h)
{
	free(h->data);
}

void doubt_free(struct doubt *d)
{
	if (!d)
		return;
	d->closing = true;
	drop(d);
	uv_close((uv_handle_t *)&d->timer, on_closed);
}

#include "scheduler/fleet.h"

#include "common/clock.h"
#include "common/diagnosis.h"

#include <stdio.h>
#include <stdlib.h>

#define GRACE_MS       (60 * CLOCK_SECOND_MS) /* of a new leader: workers may be starting too */
#define LATE_MS        (5 * CLOCK_MINUTE_MS)
#define BACKLOG        10000
#define BACKLOG_AGE_MS (2 * CLOCK_MINUTE_MS)
#define DOUBT_PERCENT  5
#define DOUBT_LEAST    20
#define CLOCKS_MS      (30 * CLOCK_SECOND_MS)

static void no_worker(const struct fleet_facts *f, struct alert_edge *out)
{
	bool open = !f->workers && f->led_ms > GRACE_MS;

	alert_fleet("no_worker", open, ALERT_CRITICAL,
		"no worker has given a sign of life for a minute",
		"start certfleet-worker, or see why it cannot reach Redis", out);
}

static void queue_late(const struct fleet_facts *f, struct alert_edge *out)
{
	int64_t late = f->late_ms[0] > f->late_ms[1] ? f->late_ms[0] : f->late_ms[1];
	char text[160], human[CLOCK_HUMAN_LEN];

	snprintf(text, sizeof text, "the oldest due job of the %s queue has waited for %s",
		late == f->late_ms[0] ? "verify" : "issue", clock_human(late, human));
	alert_fleet("queue_late", late > LATE_MS && f->led_ms > GRACE_MS, ALERT_WARNING, text,
		"start more workers, or raise worker.slots", out);
}

static void requests_backlog(const struct fleet_facts *f, struct alert_edge *out)
{
	char text[160], human[CLOCK_HUMAN_LEN];

	snprintf(text, sizeof text, "%lld requests wait, the oldest for %s", (long long)f->requests,
		clock_human(f->request_age_ms, human));
	alert_fleet("requests_backlog",
		f->requests > BACKLOG ||
			(f->requests && f->request_age_ms > BACKLOG_AGE_MS && f->led_ms > GRACE_MS),
		ALERT_WARNING, text, "see the scheduler's log for request_later", out);
}

static void clocks_apart(const struct fleet_facts *f, struct alert_edge *out)
{
	char text[160];

	snprintf(text, sizeof text, "the clocks of this host and of Redis are %lld s apart",
		llabs(f->clock_apart_ms) / 1000);
	alert_fleet("clocks_apart", llabs(f->clock_apart_ms) > CLOCKS_MS, ALERT_WARNING, text,
		"run a time service on both hosts", out);
}

static void stream_cap(const struct fleet_facts *f, struct alert_edge *out)
{
	char text[160];

	snprintf(text, sizeof text,
		"%lld entries of a stream were dropped before each group had read them",
		(long long)f->lost);
	alert_fleet("stream_cap", f->lost > 0, ALERT_WARNING, text,
		"let the slow consumer group catch up, or remove it: XINFO GROUPS names it", out);
}

bool fleet_doubts(const struct fleet_facts *f)
{
	return f->turned >= DOUBT_LEAST && f->turned * 100 >= f->looked * DOUBT_PERCENT;
}

static void self_doubt(const struct fleet_facts *f, struct alert_edge *out)
{
	char text[200];

	snprintf(text, sizeof text,
		"%lld of %lld names looked at within a quarter of an hour cannot be validated any "
		"more: "
		"verdicts are frozen, for it is rather certfleet that sees wrongly",
		(long long)f->turned, (long long)f->looked);
	alert_fleet("self_doubt", fleet_doubts(f), ALERT_CRITICAL, text,
		"look at resolver.servers and the workers' way to DNS; if customers' DNS really "
		"changed, it goes by itself as the names are removed or put right",
		out);
}

static void resolver_broken(const struct fleet_facts *f, struct alert_edge *out)
{
	char text[160];

	snprintf(text, sizeof text, "the resolver of %lld worker%s does not answer as it should",
		(long long)f->resolvers, f->resolvers == 1 ? "" : "s");
	alert_fleet("resolver_broken", f->resolvers > 0, ALERT_CRITICAL, text,
		"look at the resolvers in resolver.servers", out);
}

static void our_zone(const struct fleet_facts *f, struct alert_edge *out)
{
	const struct diagnosis_kind *ds = diagnosis_kind("zone_ds");
	const struct diagnosis_kind *lost = diagnosis_kind("zone_not_delegated");

	alert_fleet(ds->code, f->zone_ds > 0, ALERT_CRITICAL, ds->means, ds->advice, &out[0]);
	alert_fleet(
		lost->code, f->zone_lost > 0, ALERT_CRITICAL, lost->means, lost->advice, &out[1]);
}

size_t fleet_judge(const struct fleet_facts *f, struct alert_edge out[FLEET_CONDITIONS])
{
	no_worker(f, &out[0]);
	queue_late(f, &out[1]);
	requests_backlog(f, &out[2]);
	clocks_apart(f, &out[3]);
	stream_cap(f, &out[4]);
	self_doubt(f, &out[5]);
	resolver_broken(f, &out[6]);
	our_zone(f, &out[7]);
	return FLEET_CONDITIONS;
}

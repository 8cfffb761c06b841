#include "scheduler/fleet.h"

#include "common/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define GRACE_MS       (60 * CLOCK_SECOND_MS) /* of a new leader: workers may be starting too */
#define LATE_MS        (5 * CLOCK_MINUTE_MS)
#define BACKLOG        10000
#define BACKLOG_AGE_MS (2 * CLOCK_MINUTE_MS)
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

size_t fleet_judge(const struct fleet_facts *f, struct alert_edge out[FLEET_CONDITIONS])
{
	no_worker(f, &out[0]);
	queue_late(f, &out[1]);
	requests_backlog(f, &out[2]);
	clocks_apart(f, &out[3]);
	stream_cap(f, &out[4]);
	return FLEET_CONDITIONS;
}

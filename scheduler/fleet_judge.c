#include "scheduler/fleet.h"

#include "common/clock.h"
#include "common/diagnosis.h"
#include "scheduler/reap.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GRACE_MS           (60 * CLOCK_SECOND_MS) /* of a new leader: workers may be starting too */
#define LATE_MS            (5 * CLOCK_MINUTE_MS)
#define BACKLOG            10000
#define BACKLOG_AGE_MS     (2 * CLOCK_MINUTE_MS)
#define CLOCKS_MS          (30 * CLOCK_SECOND_MS)
#define STUCK_MS           (5 * CLOCK_MINUTE_MS)
#define LEADERLESS_MS      CLOCK_MINUTE_MS
#define LEADERLESS_TOLD_MS CLOCK_HOUR_MS /* so long it is told, for it is over already */
#define QUOTA_LOW          0.95
#define DOUBT_PERCENT      5
#define DOUBT_LEAST        20
#define LOSS_MS            (10 * CLOCK_MINUTE_MS) /* without another loss it is over */

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

/* Signed answers, certificates' dates and renewal windows are all read by the host's clock. */
static void ca_clocks_apart(const struct fleet_facts *f, struct alert_edge *out)
{
	char text[400];

	snprintf(text, sizeof text, "the clock of the worker %s is %lld s %s that of %s",
		f->ca_worker, llabs(f->ca_apart_ms) / 1000,
		f->ca_apart_ms < 0 ? "behind" : "ahead of", f->ca);
	alert_fleet(
		"ca_clocks_apart", llabs(f->ca_apart_ms) > CLOCKS_MS, ALERT_WARNING, text, "", out);
}

static void stream_cap(const struct fleet_facts *f, struct alert_edge *out)
{
	const struct fleet_loss *l = &f->loss;
	char text[240], fix[240];

	snprintf(text, sizeof text,
		"the stream %s reached its cap: entries are dropped (%lld so far) that %s%s has "
		"not read",
		l->stream, (long long)l->n, l->group[0] ? "the consumer group " : "some reader",
		l->group);
	if (l->group[0])
		snprintf(fix, sizeof fix,
			"let it catch up, or remove it: redis-cli XGROUP DESTROY cf:{%s}:%s %s; "
			"more room: streams.cap",
			f->fleet, l->stream, l->group);
	else
		snprintf(fix, sizeof fix,
			"let its readers catch up, or give it more room: streams.cap");
	alert_fleet("stream_cap", l->n > 0 && l->ago_ms >= 0 && l->ago_ms < LOSS_MS, ALERT_WARNING,
		text, fix, out);
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

/* The oldest due job is not taken, although somebody works. */
static void queue_stuck(const struct fleet_facts *f, struct alert_edge *out)
{
	int q = f->head_ms[1] > f->head_ms[0];
	char text[160], human[CLOCK_HUMAN_LEN];

	snprintf(text, sizeof text, "the oldest due job of the %s queue has not been taken for %s",
		q ? "issue" : "verify", clock_human(f->head_ms[q], human));
	alert_fleet("queue_stuck", f->workers && f->head_ms[q] > STUCK_MS, ALERT_CRITICAL, text, "",
		out);
}

/* Nobody can say it while it lasts but the missing heartbeat. */
static void no_leader(const struct fleet_facts *f, struct alert_edge *out)
{
	char text[160], human[CLOCK_HUMAN_LEN];

	snprintf(text, sizeof text, "no scheduler led for %s; one does again",
		clock_human(f->leaderless_ms, human));
	alert_fleet("no_leader", f->leaderless_ms > LEADERLESS_MS && f->led_ms < LEADERLESS_TOLD_MS,
		ALERT_WARNING, text, "", out);
}

static void redis_memory(const struct fleet_facts *f, struct alert_edge *out)
{
	char text[160];

	snprintf(text, sizeof text, "Redis uses %" PRId64 " of %" PRId64 " MiB",
		f->memory_used >> 20, f->memory_most >> 20);
	alert_fleet("redis_memory", f->memory_most && f->memory_used > f->memory_most / 10 * 9,
		f->memory_used >= f->memory_most ? ALERT_CRITICAL : ALERT_WARNING, text, "", out);
}

static void redis_persistence(const struct fleet_facts *f, struct alert_edge *out)
{
	alert_fleet("redis_persistence", f->disk_failed, ALERT_CRITICAL,
		"Redis failed to write its data to disk", "", out);
}

static void redis_replicas(const struct fleet_facts *f, struct alert_edge *out)
{
	char text[160];

	snprintf(text, sizeof text, "Redis has %" PRId64 " of %" PRId64 " replicas", f->replicas,
		f->replicas_wanted);
	alert_fleet(
		"redis_replicas", f->replicas < f->replicas_wanted, ALERT_CRITICAL, text, "", out);
}

static void barriers_late(const struct fleet_facts *f, struct alert_edge *out)
{
	char text[240];

	snprintf(text, sizeof text,
		"fewer than %" PRId64 " replicas acknowledge in time what is written (%s%" PRId64
		" worker%s): no order is finalized and no request answered until they do",
		f->replicas_wanted, f->barrier ? "the scheduler and " : "", f->barriers,
		f->barriers == 1 ? "" : "s");
	alert_fleet("barriers_late", f->barriers > 0 || f->barrier, ALERT_CRITICAL, text, "", out);
}

static bool info_is_bad(const char *info, size_t len, const char *name)
{
	char word[16];

	info_field(info, len, name, word, sizeof word);
	return word[0] && strcmp(word, "ok") != 0;
}

static int64_t info_number(const char *info, size_t len, const char *name)
{
	char text[32];

	info_field(info, len, name, text, sizeof text);
	return strtoll(text, NULL, 10);
}

void fleet_read_info(const char *info, size_t len, struct fleet_facts *f)
{
	f->memory_used = info_number(info, len, "used_memory");
	f->memory_most = info_number(info, len, "maxmemory");
	f->replicas = info_number(info, len, "connected_slaves");
	f->disk_failed = info_is_bad(info, len, "aof_last_write_status") ||
			 info_is_bad(info, len, "rdb_last_bgsave_status");
}

void fleet_judge_limit(const struct fleet_limit *l, int64_t now_ms, struct alert_edge *out)
{
	double used = l->window_ms > 0 ? (double)(l->free_ms - now_ms) / (double)l->window_ms : 0;
	char condition[64], text[160], human[CLOCK_HUMAN_LEN];

	snprintf(condition, sizeof condition, "quota_low:%.50s", l->authority);
	snprintf(text, sizeof text, "%.0f %% of the %u new orders that %s allows in %s are used",
		used > 1 ? 100 : used * 100, l->count, l->authority,
		clock_human(l->window_ms, human));
	alert_fleet(condition, used > QUOTA_LOW, ALERT_WARNING, text, "", out);
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
	queue_stuck(f, &out[9]);
	no_leader(f, &out[10]);
	redis_memory(f, &out[11]);
	redis_persistence(f, &out[12]);
	redis_replicas(f, &out[13]);
	barriers_late(f, &out[14]);
	ca_clocks_apart(f, &out[15]);
	return FLEET_CONDITIONS;
}

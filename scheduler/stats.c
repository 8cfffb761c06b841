#include "scheduler/stats.h"

#include "common/mem.h"

#define METRIC(var, kind, metric_name, text, ...)   \
	struct metric var = {.type = METRIC_##kind, \
		.name = (metric_name),              \
		.help = (text),                     \
		.labels = {__VA_ARGS__}}

METRIC(stat_leader, GAUGE, "certfleet_scheduler_leader", "1 while this process leads.", NULL);
METRIC(stat_term, GAUGE, "certfleet_scheduler_term", "The term in which this process leads, or 0.",
	NULL);
METRIC(stat_takeovers, COUNTER, "certfleet_scheduler_takeovers_total",
	"Times this process became the leader.", NULL);
METRIC(stat_redis_up, GAUGE, "certfleet_redis_up", "1 while Redis is connected.", NULL);
METRIC(stat_requests, COUNTER, "certfleet_requests_total",
	"Requests from the stream, by type and result (done, refused, repeated, later).", "type",
	"result");
METRIC(stat_requests_backlog, GAUGE, "certfleet_requests_backlog",
	"Entries in the requests stream.", NULL);
METRIC(stat_lapsed, COUNTER, "certfleet_jobs_lapsed_total", "Leases that lapsed and were reaped.",
	"queue");
METRIC(stat_parked_by_reaping, COUNTER, "certfleet_jobs_parked_total",
	"Jobs parked at their third lapse.", "queue");
METRIC(stat_reap_pauses, COUNTER, "certfleet_reap_pauses_total",
	"Times that reaping paused for a lease, by reason.", "reason");
METRIC(stat_audit_passes, COUNTER, "certfleet_audit_passes_total",
	"Passes of the audit over all endpoints.", NULL);
METRIC(stat_audit_found, COUNTER, "certfleet_audit_found_total",
	"Where an endpoint's job was not as it must be.", "queue", "finding");
METRIC(stat_audit_repaired, COUNTER, "certfleet_audit_repaired_total", "What the audit put right.",
	"queue");
METRIC(stat_audit_seconds, GAUGE, "certfleet_audit_pass_seconds", "How long the last pass took.",
	NULL);
METRIC(stat_endpoints, GAUGE, "certfleet_endpoints",
	"Endpoints by state, as of the last audit pass.", "state");
METRIC(stat_jobs, GAUGE, "certfleet_jobs",
	"Jobs by queue, lane and state, as of the last audit pass.", "queue", "lane", "state");
METRIC(stat_days_left, GAUGE, "certfleet_certificates_within_days",
	"Valid certificates with at most so many days left, as of the last audit pass.", "days");
METRIC(stat_queue_running, GAUGE, "certfleet_queue_running", "Jobs with a lease.", "queue");
METRIC(stat_queue_parked, GAUGE, "certfleet_queue_parked", "Jobs that an operator must look at.",
	"queue");
METRIC(stat_queue_late_seconds, GAUGE, "certfleet_queue_oldest_due_seconds",
	"How long the oldest due job has waited for a worker.", "queue");
METRIC(stat_workers, GAUGE, "certfleet_workers",
	"Workers that gave a sign of life in the last minute.", NULL);
METRIC(stat_alerts, COUNTER, "certfleet_alerts_total", "Alerts said, by change.", "change");
METRIC(stat_alerts_open, GAUGE, "certfleet_alerts_open", "Alerts that are open.", NULL);
METRIC(stat_breaker, GAUGE, "certfleet_breaker_state",
	"Circuit breakers: 0 closed, 1 half-open (the canary is tried), 2 open (orders pause).",
	"authority", "way");
METRIC(stat_trimmed, COUNTER, "certfleet_stream_trimmed_total",
	"Entries taken from streams by age or cap.", "stream");
METRIC(stat_lost, COUNTER, "certfleet_stream_lost_total",
	"Entries taken from streams at their cap before every group had them.", "stream");

static struct metric *const table[] = {
	&stat_leader,
	&stat_term,
	&stat_takeovers,
	&stat_redis_up,
	&stat_requests,
	&stat_requests_backlog,
	&stat_lapsed,
	&stat_parked_by_reaping,
	&stat_reap_pauses,
	&stat_audit_passes,
	&stat_audit_found,
	&stat_audit_repaired,
	&stat_audit_seconds,
	&stat_endpoints,
	&stat_jobs,
	&stat_days_left,
	&stat_queue_running,
	&stat_queue_parked,
	&stat_queue_late_seconds,
	&stat_workers,
	&stat_alerts,
	&stat_alerts_open,
	&stat_breaker,
	&stat_trimmed,
	&stat_lost,
};

void stats_register(void)
{
	static bool registered;

	if (registered)
		return;
	registered = true;
	metrics_register_process(metrics_default(), "scheduler");
	if (metrics_register(metrics_default(), table, ARRAY_LEN(table), NULL))
		abort(); /* a name in this file breaks the format */
}

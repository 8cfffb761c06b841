#include "worker/stats.h"

#include "common/mem.h"
#include "worker/pool.h"
#include "worker/worker.h"

struct metric stats_jobs_started = {.type = METRIC_COUNTER,
	.name = "certfleet_worker_jobs_started_total",
	.help = "Jobs begun, by what they were to do.",
	.labels = {"queue", "intent"}};
struct metric stats_jobs_ended = {.type = METRIC_COUNTER,
	.name = "certfleet_worker_jobs_ended_total",
	.help = "Jobs that ended here, by how.",
	.labels = {"queue", "how"}};
struct metric stats_job_seconds = {.type = METRIC_HISTOGRAM,
	.name = "certfleet_worker_job_duration_seconds",
	.help = "From the start of a job to its written outcome.",
	.labels = {"queue"},
	.buckets = METRIC_BUCKETS_SECONDS};
struct metric stats_orders = {.type = METRIC_COUNTER,
	.name = "certfleet_worker_orders_total",
	.help = "Orders that ended, by authority and result.",
	.labels = {"authority", "result"}};
struct metric stats_looks = {.type = METRIC_COUNTER,
	.name = "certfleet_worker_looks_total",
	.help = "Looks at an endpoint's DNS, by what they found.",
	.labels = {"result"}};
struct metric stats_canaries = {.type = METRIC_COUNTER,
	.name = "certfleet_worker_canaries_total",
	.help = "Canaries tried, by authority, way and result.",
	.labels = {"authority", "way", "result"}};
struct metric stats_probes = {.type = METRIC_COUNTER,
	.name = "certfleet_worker_probes_total",
	.help = "Names asked for a challenge through their front door, by what was seen.",
	.labels = {"result"}};
static struct metric slots = {.type = METRIC_GAUGE,
	.name = "certfleet_worker_slots",
	.help = "Jobs that may run here at once.",
	.labels = {"queue"}};
static struct metric running = {.type = METRIC_GAUGE,
	.name = "certfleet_worker_jobs_running",
	.help = "Jobs that run here now.",
	.labels = {"queue"}};

static struct metric *const table[] = {&stats_jobs_started, &stats_jobs_ended, &stats_job_seconds,
	&stats_orders, &stats_looks, &stats_canaries, &stats_probes, &slots, &running};

static void collect(void *arg)
{
	const struct worker *w = arg;

	for (int q = 0; q < 2; q++) {
		if (!w->pools[q])
			continue;
		metric_set(&slots, pool_slots(w->pools[q]), LABELS(queue_name((enum queue_id)q)));
		metric_set(
			&running, pool_running(w->pools[q]), LABELS(queue_name((enum queue_id)q)));
	}
}

int stats_register(struct worker *w, struct why *why)
{
	int err = metrics_register(metrics_default(), table, ARRAY_LEN(table), why);

	if (err)
		return err;
	metrics_register_process(metrics_default(), "worker");
	metrics_add_collector(metrics_default(), collect, w);
	return 0;
}

void stats_unregister(struct worker *w)
{
	metrics_remove_collector(metrics_default(), collect, w);
}

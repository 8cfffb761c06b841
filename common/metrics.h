/* metrics.h - counters, gauges and histograms, shown as Prometheus text (format 0.0.4).
 *
 * A module declares its metrics as static values, lists them in one table, and registers the table:
 *
 *	static struct metric taken = {.type = METRIC_COUNTER,
 *				      .name = "certfleet_jobs_taken_total",
 *				      .help = "Jobs taken from the queue.",
 *				      .labels = {"queue", "lane"}};
 *	static struct metric took = {.type = METRIC_HISTOGRAM,
 *				     .name = "certfleet_job_duration_seconds",
 *				     .help = "From take to finish.",
 *				     .labels = {"queue"},
 *				     .buckets = METRIC_BUCKETS_SECONDS};
 *	static struct metric *const table[] = {&taken, &took};
 *
 *	metrics_register(metrics_default(), table, ARRAY_LEN(table), why);
 *	metric_inc(&taken, LABELS("verify", "normal"));
 *	metric_observe(&took, 0.25, LABELS("verify"));
 *	metric_set(&size, 7, NO_LABELS);
 *
 * Label values come from small fixed sets (states, reasons, authorities), never from names of
 * customers: past METRIC_MAX_SERIES a metric counts into one series whose label values are all
 * "other", so a mistake costs precision, not memory. A metric without labels is shown from the
 * start as 0; one with labels when first touched (add 0 to show it early).
 *
 * A gauge whose value is known elsewhere is set by a collector, which runs before each exposition.
 * Metrics belong to the loop's thread. Units are base units and stand in the name (_seconds,
 * _bytes); counters end in _total.
 */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define METRIC_MAX_LABELS      6
#define METRIC_MAX_SERIES      256
#define METRIC_MAX_LABEL_BYTES 128 /* of a value; longer ones are cut */
#define METRICS_CONTENT_TYPE   "text/plain; version=0.0.4; charset=utf-8"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/** Upper bounds, rising; +Inf is implied. */
struct metric_buckets {
	size_t n;
	const double *le;
};

struct metric_series;

struct metric {
	enum metric_type type;
	const char *name;
	const char *help;
	const char *labels[METRIC_MAX_LABELS + 1]; /* names, ended by NULL */
	const struct metric_buckets *buckets;      /* histograms only */

	/* Private. */
	struct metric_series *series;
	size_t n_series, cap_series;
	size_t hint; /* the series that was touched last */
	bool registered;
};

/** 1 ms to 10 minutes. */
extern const struct metric_buckets metric_buckets_seconds;
/** Days of a certificate's life: 0 to 400. */
extern const struct metric_buckets metric_buckets_days;
#define METRIC_BUCKETS_SECONDS (&metric_buckets_seconds)
#define METRIC_BUCKETS_DAYS    (&metric_buckets_days)

/** A value for each label, in the declared order; NULL reads as "". */
#define LABELS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NO_LABELS   NULL

/** Only rises; negative and NaN amounts are ignored. */
void metric_add(struct metric *m, double amount, const char *const *labels);
static inline void metric_inc(struct metric *m, const char *const *labels)
{
	metric_add(m, 1, labels);
}
/** Gauges, and counters that are kept elsewhere: to a value. */
void metric_set(struct metric *m, double value, const char *const *labels);
/** Gauges: by an amount of either sign. */
void metric_move(struct metric *m, double amount, const char *const *labels);
/** Histograms. */
void metric_observe(struct metric *m, double value, const char *const *labels);
/** Counter's or gauge's value, histogram's count; 0 if never touched. */
double metric_value(const struct metric *m, const char *const *labels);
/** Forgets all series: for gauges whose label sets a collector sets anew. */
void metric_reset(struct metric *m);

struct metrics;

/** The process's registry; made at first use, never freed. */
struct metrics *metrics_default(void);
struct metrics *metrics_new(void);
/** Also frees the series of its metrics, which may then be registered again. NULL is a no-op. */
void metrics_free(struct metrics *r);

/** Borrows the metrics for the registry's life. Nothing is registered on failure.
 * CF_EINVAL: a name, label or bucket breaks the format; CF_EEXIST: a name is taken. */
int metrics_register(struct metrics *r, struct metric *const *table, size_t n, struct why *why);

typedef void metrics_collect_fn(void *arg);
void metrics_add_collector(struct metrics *r, metrics_collect_fn *fn, void *arg);
void metrics_remove_collector(struct metrics *r, metrics_collect_fn *fn, void *arg);

/** Runs the collectors, then appends everything as Prometheus text, by name. */
void metrics_write(struct metrics *r, struct buf *out);

/** certfleet_build_info, process_start_time_seconds, process_resident_memory_bytes,
 * process_cpu_seconds_total, process_open_fds, process_max_fds. component is e.g. "worker". */
void metrics_register_process(struct metrics *r, const char *component);

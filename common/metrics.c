#include "common/metrics.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* One combination of label values, and what was counted under it. */
struct metric_series {
	uint64_t hash;
	char *values; /* each terminated, one after the other */
	double value; /* histograms: the sum */
	uint64_t count;
	uint64_t *buckets; /* histograms: not cumulative; what lies above the last only counts */
};

struct collector {
	metrics_collect_fn *fn;
	void *arg;
};

struct metrics {
	struct metric **list; /* by name */
	size_t n;
	struct collector *collectors;
	size_t n_collectors;
};

static const double seconds[] = {
	0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 600};
const struct metric_buckets metric_buckets_seconds = {ARRAY_LEN(seconds), seconds};
static const double days[] = {0, 1, 2, 3, 5, 7, 10, 14, 21, 30, 45, 60, 90, 180, 365, 400};
const struct metric_buckets metric_buckets_days = {ARRAY_LEN(days), days};

/* Series */

static size_t label_count(const struct metric *m)
{
	size_t n = 0;

	while (n < METRIC_MAX_LABELS && m->labels[n])
		n++;
	return n;
}

/* Cleans and cuts the given values; what is missing reads as "". Returns the bytes used. */
static size_t pack_values(const struct metric *m, const char *const *labels,
	char out[METRIC_MAX_LABELS * METRIC_MAX_LABEL_BYTES])
{
	size_t n = label_count(m), used = 0;

	for (size_t i = 0; i < n; i++) {
		const char *v = labels && *labels ? *labels++ : "";

		str_clean(v, strlen(v), out + used, METRIC_MAX_LABEL_BYTES);
		used += strlen(out + used) + 1;
	}
	return used;
}

static uint64_t hash_of(const char *bytes, size_t n)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
	return h;
}

static bool is_series(const struct metric_series *s, uint64_t hash, const char *values, size_t n)
{
	return s->hash == hash && !memcmp(s->values, values, n);
}

static struct metric_series *find(
	const struct metric *m, uint64_t hash, const char *values, size_t n)
{
	if (m->hint < m->n_series && is_series(&m->series[m->hint], hash, values, n))
		return &m->series[m->hint];
	for (size_t i = 0; i < m->n_series; i++)
		if (is_series(&m->series[i], hash, values, n))
			return &m->series[i];
	return NULL;
}

static struct metric_series *insert(struct metric *m, uint64_t hash, const char *values, size_t n)
{
	struct metric_series *s;

	if (m->n_series == m->cap_series) {
		m->cap_series = m->cap_series ? m->cap_series * 2 : 1;
		m->series = mem_grow(m->series, m->cap_series, sizeof *m->series);
	}
	s = &m->series[m->n_series++];
	*s = (struct metric_series){.hash = hash, .values = mem_dup(values, n)};
	if (m->type == METRIC_HISTOGRAM)
		s->buckets = mem_array(m->buckets->n, sizeof *s->buckets);
	return s;
}

static struct metric_series *series_of(struct metric *m, const char *const *labels)
{
	static const char *const other[] = {
		"other", "other", "other", "other", "other", "other", NULL};
	char values[METRIC_MAX_LABELS * METRIC_MAX_LABEL_BYTES];
	size_t n = pack_values(m, labels, values);
	uint64_t hash = hash_of(values, n);
	struct metric_series *s = find(m, hash, values, n);

	if (!s && m->n_series >= METRIC_MAX_SERIES) {
		n = pack_values(m, other, values);
		hash = hash_of(values, n);
		s = find(m, hash, values, n);
	}
	if (!s)
		s = insert(m, hash, values, n);
	m->hint = (size_t)(s - m->series);
	return s;
}

void metric_add(struct metric *m, double amount, const char *const *labels)
{
	if (m->type == METRIC_COUNTER && amount >= 0)
		series_of(m, labels)->value += amount;
}

void metric_set(struct metric *m, double value, const char *const *labels)
{
	if (m->type != METRIC_HISTOGRAM)
		series_of(m, labels)->value = value;
}

void metric_move(struct metric *m, double amount, const char *const *labels)
{
	if (m->type == METRIC_GAUGE)
		series_of(m, labels)->value += amount;
}

void metric_observe(struct metric *m, double value, const char *const *labels)
{
	struct metric_series *s;

	if (m->type != METRIC_HISTOGRAM || isnan(value))
		return;
	s = series_of(m, labels);
	s->count++;
	s->value += value;
	for (size_t i = 0; i < m->buckets->n; i++)
		if (value <= m->buckets->le[i]) {
			s->buckets[i]++;
			break;
		}
}

double metric_value(const struct metric *m, const char *const *labels)
{
	char values[METRIC_MAX_LABELS * METRIC_MAX_LABEL_BYTES];
	size_t n = pack_values(m, labels, values);
	const struct metric_series *s = find(m, hash_of(values, n), values, n);

	if (!s)
		return 0;
	return m->type == METRIC_HISTOGRAM ? (double)s->count : s->value;
}

void metric_reset(struct metric *m)
{
	for (size_t i = 0; i < m->n_series; i++) {
		free(m->series[i].values);
		free(m->series[i].buckets);
	}
	free(m->series);
	m->series = NULL;
	m->n_series = m->cap_series = m->hint = 0;
}

/* Registry */

struct metrics *metrics_new(void)
{
	return mem_zalloc(sizeof(struct metrics));
}

struct metrics *metrics_default(void)
{
	static struct metrics *registry;

	if (!registry)
		registry = metrics_new();
	return registry;
}

void metrics_free(struct metrics *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n; i++) {
		metric_reset(r->list[i]);
		r->list[i]->registered = false;
	}
	free(r->list);
	free(r->collectors);
	free(r);
}

static bool name_is_right(const char *s, bool colon)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
	static const char digits[] = "0123456789";
	size_t at = 0;

	for (; s[at]; at++)
		if (!strchr(letters, s[at]) && !(colon && s[at] == ':') &&
			!(at && strchr(digits, s[at])))
			return false;
	return at > 0;
}

static int check_labels(const struct metric *m, struct why *why)
{
	size_t n = label_count(m);

	if (m->labels[METRIC_MAX_LABELS])
		return why_set(why, CF_EINVAL, "metric %s: too many labels", m->name);
	for (size_t i = 0; i < n; i++) {
		const char *label = m->labels[i];

		if (!name_is_right(label, false) || str_starts_with(label, "__") ||
			!strcmp(label, "le") || !strcmp(label, "quantile"))
			return why_set(why, CF_EINVAL, "metric %s: \"%s\" is no label name",
				m->name, label);
		for (size_t j = 0; j < i; j++)
			if (!strcmp(label, m->labels[j]))
				return why_set(why, CF_EINVAL, "metric %s: label %s stands twice",
					m->name, label);
	}
	return 0;
}

static int check_buckets(const struct metric *m, struct why *why)
{
	if (!m->buckets != (m->type != METRIC_HISTOGRAM))
		return why_set(why, CF_EINVAL, "metric %s: histograms, and only they, have buckets",
			m->name);
	for (size_t i = 0; m->buckets && i < m->buckets->n; i++)
		if (!isfinite(m->buckets->le[i]) ||
			(i && m->buckets->le[i] <= m->buckets->le[i - 1]))
			return why_set(why, CF_EINVAL, "metric %s: buckets must be finite and rise",
				m->name);
	return 0;
}

static int check_metric(const struct metric *m, struct why *why)
{
	int err;

	if (!m->name || !name_is_right(m->name, true) || !m->help || !*m->help)
		return why_set(why, CF_EINVAL, "metric \"%s\": needs a right name and a help text",
			m->name ? m->name : "");
	if (str_ends_with(m->name, "_total") != (m->type == METRIC_COUNTER))
		return why_set(why, CF_EINVAL, "metric %s: counters, and only they, end in _total",
			m->name);
	err = check_labels(m, why);
	return err ? err : check_buckets(m, why);
}

static bool taken(const struct metrics *r, const char *name)
{
	for (size_t i = 0; i < r->n; i++)
		if (!strcmp(r->list[i]->name, name))
			return true;
	return false;
}

static void add_by_name(struct metrics *r, struct metric *m)
{
	size_t at = r->n;

	r->list = mem_grow(r->list, r->n + 1, sizeof(struct metric *));
	for (; at && strcmp(r->list[at - 1]->name, m->name) > 0; at--)
		r->list[at] = r->list[at - 1];
	r->list[at] = m;
	r->n++;
	m->registered = true;
	if (!m->labels[0])
		series_of(m, NO_LABELS);
}

int metrics_register(struct metrics *r, struct metric *const *table, size_t n, struct why *why)
{
	for (size_t i = 0; i < n; i++) {
		int err = check_metric(table[i], why);

		if (err)
			return err;
		if (table[i]->registered || taken(r, table[i]->name))
			return why_set(
				why, CF_EEXIST, "metric %s is registered already", table[i]->name);
		for (size_t j = 0; j < i; j++)
			if (!strcmp(table[i]->name, table[j]->name))
				return why_set(
					why, CF_EEXIST, "metric %s stands twice", table[i]->name);
	}
	for (size_t i = 0; i < n; i++)
		add_by_name(r, table[i]);
	return 0;
}

void metrics_add_collector(struct metrics *r, metrics_collect_fn *fn, void *arg)
{
	r->collectors = mem_grow(r->collectors, r->n_collectors + 1, sizeof *r->collectors);
	r->collectors[r->n_collectors++] = (struct collector){fn, arg};
}

void metrics_remove_collector(struct metrics *r, metrics_collect_fn *fn, void *arg)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->n_collectors; i++)
		if (r->collectors[i].fn != fn || r->collectors[i].arg != arg)
			r->collectors[kept++] = r->collectors[i];
	r->n_collectors = kept;
}

/* Exposition */

/* As few digits as give the same number back. */
static void write_number(struct buf *out, double v)
{
	char text[40];

	if (isnan(v))
		buf_adds(out, "NaN");
	else if (isinf(v))
		buf_adds(out, v > 0 ? "+Inf" : "-Inf");
	else {
		snprintf(text, sizeof text, "%.15g", v);
		if (strtod(text, NULL) != v)
			snprintf(text, sizeof text, "%.17g", v);
		buf_adds(out, text);
	}
}

static void write_escaped(struct buf *out, const char *s, bool quotes)
{
	for (; *s; s++) {
		if (*s == '\\' || (quotes && *s == '"'))
			buf_addc(out, '\\');
		if (*s == '\n')
			buf_adds(out, "\\n");
		else
			buf_addc(out, *s);
	}
}

static void write_label(struct buf *out, char *separator, const char *name, const char *value)
{
	buf_addc(out, *separator);
	buf_adds(out, name);
	buf_adds(out, "=\"");
	write_escaped(out, value, true);
	buf_addc(out, '"');
	*separator = ',';
}

/* "name_suffix{labels,le="…"} value\n"; le NULL: without. */
static void write_sample(struct buf *out, const struct metric *m, const struct metric_series *s,
	const char *suffix, const double *le, double value)
{
	const char *label = s->values;
	char separator = '{';

	buf_adds(out, m->name);
	buf_adds(out, suffix);
	for (size_t i = 0; i < label_count(m); i++, label += strlen(label) + 1)
		write_label(out, &separator, m->labels[i], label);
	if (le) {
		_buf_release_ struct buf text = BUF_INIT(64);

		write_number(&text, *le);
		write_label(out, &separator, "le", buf_cstr(&text));
	}
	if (separator == ',')
		buf_addc(out, '}');
	buf_addc(out, ' ');
	write_number(out, value);
	buf_addc(out, '\n');
}

static void write_histogram(struct buf *out, const struct metric *m, const struct metric_series *s)
{
	const double inf = INFINITY;
	uint64_t below = 0;

	for (size_t i = 0; i < m->buckets->n; i++) {
		below += s->buckets[i];
		write_sample(out, m, s, "_bucket", &m->buckets->le[i], (double)below);
	}
	write_sample(out, m, s, "_bucket", &inf, (double)s->count);
	write_sample(out, m, s, "_sum", NULL, s->value);
	write_sample(out, m, s, "_count", NULL, (double)s->count);
}

static void write_metric(struct buf *out, const struct metric *m)
{
	static const char *const types[] = {"counter", "gauge", "histogram"};

	if (!m->n_series)
		return;
	buf_addf(out, "# HELP %s ", m->name);
	write_escaped(out, m->help, false);
	buf_addf(out, "\n# TYPE %s %s\n", m->name, types[m->type]);
	for (size_t i = 0; i < m->n_series; i++)
		if (m->type == METRIC_HISTOGRAM)
			write_histogram(out, m, &m->series[i]);
		else
			write_sample(out, m, &m->series[i], "", NULL, m->series[i].value);
}

void metrics_write(struct metrics *r, struct buf *out)
{
	for (size_t i = 0; i < r->n_collectors; i++)
		r->collectors[i].fn(r->collectors[i].arg);
	for (size_t i = 0; i < r->n; i++)
		write_metric(out, r->list[i]);
}

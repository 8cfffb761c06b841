#include "tests/unit/promcheck.h"

#include "common/mem.h"
#include "common/str.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { LINE_MAX_BYTES = 4096, SERIES_MAX = 8192 };

struct check {
	unsigned line;
	char family[256];
	char type[32];
	bool helped;
	char *families[1024];
	size_t n_families;
	char *series[SERIES_MAX];
	size_t n_series;
	/* the histogram series that is being read */
	double last_le, last_bucket;
	bool saw_inf;
	struct why *why;
};

#define BAD(c, ...) \
	why_prefix((c)->why, why_set((c)->why, CF_EPROTO, __VA_ARGS__), "line %u: ", (c)->line)

static const char *skip_name(const char *s)
{
	if (!isalpha((unsigned char)*s) && *s != '_' && *s != ':')
		return NULL;
	while (isalnum((unsigned char)*s) || *s == '_' || *s == ':')
		s++;
	return s;
}

static int begin_family(struct check *c, const char *name)
{
	for (size_t i = 0; i < c->n_families; i++)
		if (!strcmp(c->families[i], name))
			return BAD(c, "family %s is in two pieces", name);
	if (c->n_families == ARRAY_LEN(c->families))
		return BAD(c, "too many families");
	c->families[c->n_families++] = mem_strdup(name);
	snprintf(c->family, sizeof c->family, "%s", name);
	c->type[0] = '\0';
	c->helped = true;
	return 0;
}

static int check_comment(struct check *c, const char *line)
{
	char name[256], type[32];

	if (sscanf(line, "# HELP %255s", name) == 1) {
		if (strlen(line) <= strlen("# HELP ") + strlen(name) + 1)
			return BAD(c, "%s: empty help", name);
		return begin_family(c, name);
	}
	if (sscanf(line, "# TYPE %255s %31s", name, type) == 2) {
		if (!c->helped || strcmp(name, c->family) || c->type[0])
			return BAD(c, "TYPE of %s does not follow its HELP", name);
		if (strcmp(type, "counter") && strcmp(type, "gauge") && strcmp(type, "histogram"))
			return BAD(c, "unknown type %s", type);
		snprintf(c->type, sizeof c->type, "%s", type);
		if (!strcmp(type, "counter") && !str_ends_with(name, "_total"))
			return BAD(c, "counter %s does not end in _total", name);
		return 0;
	}
	return BAD(c, "a comment that is neither HELP nor TYPE");
}

/* After the opening quote; returns what follows the closing one. */
static const char *skip_value(const char *s)
{
	for (; *s && *s != '"'; s++) {
		if (*s == '\\' && !strchr("\\\"n", *++s))
			return NULL;
		if (!*s)
			return NULL;
	}
	return *s ? s + 1 : NULL;
}

/* Over "{a="b",…}"; copies le's value out. */
static const char *skip_labels(const char *s, char le[64])
{
	if (*s != '{')
		return s;
	do {
		const char *name = ++s, *end = skip_name(s);

		if (!end || end[0] != '=' || end[1] != '"')
			return NULL;
		s = skip_value(end + 2);
		if (!s)
			return NULL;
		if (end - name == 2 && !strncmp(name, "le", 2))
			snprintf(le, 64, "%.*s", (int)(s - end - 3), end + 2);
	} while (*s == ',');
	return *s == '}' ? s + 1 : NULL;
}

static int check_once(struct check *c, const char *series, size_t n)
{
	_mem_free_ char *key = mem_strndup(series, n);

	for (size_t i = 0; i < c->n_series; i++)
		if (!strcmp(c->series[i], key))
			return BAD(c, "%s stands twice", key);
	if (c->n_series == SERIES_MAX)
		return BAD(c, "too many series");
	c->series[c->n_series++] = mem_steal(key);
	return 0;
}

static int parse_number(const char *s, double *out)
{
	char *end;

	*out = strtod(s, &end);
	return end == s || *end ? CF_EPROTO : 0;
}

static int check_histogram(struct check *c, const char *suffix, const char *le, double value)
{
	double bound;

	if (!strcmp(suffix, "_sum"))
		return le[0] ? BAD(c, "le on _sum") : 0;
	if (!strcmp(suffix, "_count")) {
		if (!c->saw_inf || value != c->last_bucket)
			return BAD(c, "_count is not the +Inf bucket");
		c->saw_inf = false;
		c->last_le = -INFINITY;
		c->last_bucket = 0;
		return 0;
	}
	if (strcmp(suffix, "_bucket") || parse_number(le, &bound))
		return BAD(c, "not a sample of histogram %s", c->family);
	if (bound <= c->last_le || value < c->last_bucket)
		return BAD(c, "buckets of %s are not cumulative", c->family);
	c->last_le = bound;
	c->last_bucket = value;
	c->saw_inf = isinf(bound);
	return 0;
}

static int check_sample(struct check *c, const char *line)
{
	const char *name_end = skip_name(line), *end;
	size_t family_len = strlen(c->family);
	char le[64] = "", suffix[64];
	double value;

	if (!name_end || strncmp(line, c->family, family_len) || !c->type[0])
		return BAD(c, "a sample outside its family: %s", line);
	snprintf(suffix, sizeof suffix, "%.*s", (int)(name_end - line - (int)family_len),
		line + family_len);
	end = skip_labels(name_end, le);
	if (!end || *end != ' ' || parse_number(end + 1, &value))
		return BAD(c, "labels or number are wrong: %s", line);
	if (!strcmp(c->type, "counter") && !(value >= 0))
		return BAD(c, "negative counter: %s", line);
	if (check_once(c, line, (size_t)(end - line)))
		return CF_EPROTO;
	if (!strcmp(c->type, "histogram"))
		return check_histogram(c, suffix, le, value);
	return suffix[0] ? BAD(c, "a sample outside its family: %s", line) : 0;
}

static int check_lines(struct check *c, const char *text)
{
	char line[LINE_MAX_BYTES];
	int err = 0;

	while (*text && !err) {
		size_t n = strcspn(text, "\n");

		c->line++;
		if (text[n] != '\n')
			return BAD(c, "the last line does not end");
		if (n >= sizeof line)
			return BAD(c, "too long");
		memcpy(line, text, n);
		line[n] = '\0';
		err = line[0] == '#' ? check_comment(c, line) : check_sample(c, line);
		text += n + 1;
	}
	return err;
}

int promcheck(const char *text, struct why *why)
{
	struct check *c = mem_zalloc(sizeof *c);
	int err;

	c->why = why;
	c->last_le = -INFINITY;
	err = check_lines(c, text);
	for (size_t i = 0; i < c->n_series; i++)
		free(c->series[i]);
	for (size_t i = 0; i < c->n_families; i++)
		free(c->families[i]);
	free(c);
	return err;
}

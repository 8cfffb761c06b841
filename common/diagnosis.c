#include "common/diagnosis.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SENTENCE_MAX 1024
#define SAID_MAX     3 /* different answers that a sentence names */
#define COLUMN       10

static const char *const severities[] = {"info", "warning", "critical"};
static const char *const actors[] = {"owner", "operator", "authority", "nobody"};

const char *diagnosis_severity_word(enum diagnosis_severity s)
{
	return severities[s];
}

const char *diagnosis_actor_word(enum diagnosis_actor a)
{
	return actors[a];
}

void diagnosis_init(struct diagnosis *d, const char *code, const char *name)
{
	const struct diagnosis_kind *k = diagnosis_kind(code);

	*d = (struct diagnosis){.severity = k ? k->severity : DIAGNOSIS_WARNING,
		.actor = k ? k->actor : ACTOR_OPERATOR};
	snprintf(d->code, sizeof d->code, "%s", code);
	snprintf(d->name, sizeof d->name, "%s", name);
}

void diagnosis_observe(struct diagnosis *d, const char *server, const char *what, uint32_t ttl_s)
{
	struct diagnosis_observed *o = &d->observed[d->observed_n];

	if (d->observed_n == DIAGNOSIS_OBSERVED_MAX) {
		d->observed_more++;
		return;
	}
	*o = (struct diagnosis_observed){.ttl_s = ttl_s};
	str_clean(server, strlen(server), o->server, sizeof o->server);
	str_clean(what, strlen(what), o->what, sizeof o->what);
	d->observed_n++;
}

bool diagnosis_same(const struct diagnosis *a, const struct diagnosis *b)
{
	return !strcmp(a->code, b->code) && !strcmp(a->name, b->name) &&
	       !strcmp(a->record, b->record) && !strcmp(a->authority, b->authority);
}

/* Insertion: few, large, and stable. */
void diagnoses_sort(struct diagnosis *d, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		size_t at = i;

		while (at && d[at - 1].severity < d[i].severity)
			at--;
		if (at == i)
			continue;
		struct diagnosis one = d[i];
		memmove(&d[at + 1], &d[at], (i - at) * sizeof *d);
		d[at] = one;
	}
}

/* --- the sentence */

/* How many of the servers shown said the same as number i; 0 if an earlier one did already. */
static size_t said_alike(const struct diagnosis *d, size_t i)
{
	size_t alike = 0;

	for (size_t k = 0; k < d->observed_n; k++) {
		if (strcmp(d->observed[k].what, d->observed[i].what) != 0)
			continue;
		if (k < i)
			return 0;
		alike++;
	}
	return alike;
}

static void say_observed(const struct diagnosis *d, struct buf *out)
{
	size_t said = 0;

	for (size_t i = 0; i < d->observed_n && said < SAID_MAX; i++) {
		size_t alike = said_alike(d, i);

		if (!alike)
			continue;
		buf_adds(out, said ? ", and " : "");
		buf_adds(out, d->observed[i].what);
		if (alike == 1)
			buf_addf(out, " at %s", d->observed[i].server);
		else
			buf_addf(out, " at %s%zu servers",
				alike == d->observed_n && !d->observed_more ? "all " : "",
				alike == d->observed_n ? alike + d->observed_more : alike);
		said++;
	}
}

void diagnosis_sentence(const struct diagnosis *d, struct buf *out)
{
	const struct diagnosis_kind *k = diagnosis_kind(d->code);
	_buf_release_ struct buf s = BUF_INIT(4 * SENTENCE_MAX);
	char clean[SENTENCE_MAX];

	if (d->record[0] || d->name[0])
		buf_addf(&s, "%s: ", d->record[0] ? d->record : d->name);
	buf_adds(&s, k ? k->means : d->code);
	if (d->authority[0])
		buf_addf(&s, " (authority %s)", d->authority);
	if (d->expected[0])
		buf_addf(&s, "; expected %s", d->expected);
	if (d->observed_n) {
		buf_adds(&s, d->expected[0] ? ", found " : "; found ");
		say_observed(d, &s);
	}
	buf_adds(out, str_clean(buf_cstr(&s), s.len, clean, sizeof clean));
}

/* --- the text */

static void label(struct buf *out, const char *word)
{
	buf_addf(out, "  %-*s", COLUMN, word);
}

static void put_observed(const struct diagnosis *d, struct buf *out)
{
	int widest = 0;

	for (size_t i = 0; i < d->observed_n; i++)
		if ((int)strlen(d->observed[i].server) > widest)
			widest = (int)strlen(d->observed[i].server);
	for (size_t i = 0; i < d->observed_n; i++) {
		const struct diagnosis_observed *o = &d->observed[i];

		label(out, i ? "" : "found");
		buf_addf(out, "%-*s  %s", widest, o->server, o->what);
		if (o->ttl_s)
			buf_addf(out, " (TTL %u s)", o->ttl_s);
		buf_addc(out, '\n');
	}
	if (d->observed_more) {
		label(out, "");
		buf_addf(out, "and %zu servers more\n", d->observed_more);
	}
}

/* One line of several, each under the first. */
static void put_lines(struct buf *out, const char *word, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");

		label(out, word);
		buf_add(out, text, n);
		buf_addc(out, '\n');
		text += n + (text[n] == '\n');
		word = "";
	}
}

static void put_head(const struct diagnosis *d, struct buf *out)
{
	const struct diagnosis_kind *k = diagnosis_kind(d->code);

	if (d->record[0] || d->name[0])
		buf_addf(out, "%s: ", d->record[0] ? d->record : d->name);
	buf_addf(out, "%s%s%s%s\n", k ? k->means : d->code, d->authority[0] ? " (authority " : "",
		d->authority, d->authority[0] ? ")" : "");
	label(out, "code");
	buf_addf(out, "%s, %s; to act: %s\n", d->code, severities[d->severity], actors[d->actor]);
}

void diagnosis_text(const struct diagnosis *d, int64_t now_ms, struct buf *out)
{
	const struct diagnosis_kind *k = diagnosis_kind(d->code);
	char when[CLOCK_RFC3339_LEN], human[CLOCK_HUMAN_LEN];

	put_head(d, out);
	put_lines(out, "expected", d->expected);
	put_observed(d, out);
	put_lines(out, "to do", d->fix[0] ? d->fix : k ? k->advice : "");
	put_lines(out, "effect", d->effect);
	if (d->since_ms) {
		label(out, "since");
		buf_adds(out, clock_rfc3339(d->since_ms, when));
		buf_addc(out, '\n');
	}
	if (!d->next_check_ms)
		return;
	label(out, "next look");
	if (d->next_check_ms > now_ms)
		buf_addf(out, "%s, in %s\n", clock_rfc3339(d->next_check_ms, when),
			clock_human((d->next_check_ms - now_ms) / 1000 * 1000, human));
	else
		buf_adds(out, "now\n");
}

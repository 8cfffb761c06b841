/* facts_findings.c - what is wrong with an endpoint's names, and how they are validated (facts.h).
 */
#include "scheduler/cli/facts.h"

#include "common/diagnosis.h"
#include "scheduler/cli/words.h"

#include <string.h>

static enum tint severity_tint(enum diagnosis_severity s)
{
	return s == DIAGNOSIS_CRITICAL ? TINT_BAD : s == DIAGNOSIS_WARNING ? TINT_WARN : TINT_DIM;
}

/* The first line is tinted; the rest is shown as common/diagnosis.c renders it. */
static void put_one(
	const struct diagnosis *d, const struct view *view, size_t indent, struct buf *out)
{
	_buf_release_ struct buf text = BUF_INIT(16384);
	const char *line;
	bool first = true;

	diagnosis_text(d, view->now_ms, &text);
	for (line = buf_cstr(&text); *line; line += strcspn(line, "\n") + 1) {
		int n = (int)strcspn(line, "\n");

		buf_addf(out, "%*s", (int)indent, "");
		term_tint(
			out, view, first ? severity_tint(d->severity) : TINT_NONE, "%.*s", n, line);
		buf_addc(out, '\n');
		first = false;
	}
}

void facts_findings(const struct facts *f, const struct view *view, size_t indent, struct buf *out)
{
	const struct endpoint_verdict *v = &f->endpoint.verdict;

	for (size_t i = 0; f->endpoint.has_verdict && i < v->diagnoses_n; i++) {
		if (i)
			buf_addc(out, '\n');
		put_one(&v->diagnoses[i], view, indent, out);
	}
}

static const char *type_word(const struct endpoint_choice *c)
{
	if (!c->any)
		return "none";
	return c->type == CHALLENGE_DNS01 ? "dns-01" : "http-01";
}

void facts_choices(const struct facts *f, const struct view *view, size_t indent, struct buf *out)
{
	const struct endpoint_config *c = &f->endpoint.config;
	const char *names[ENDPOINT_NAMES_MAX];
	size_t n = endpoint_order_names(c, names);

	for (size_t i = 0; i < n; i++) {
		struct endpoint_choice choice;

		endpoint_choose(&f->endpoint, names[i], &choice);
		buf_addf(out, "%*s%s by %s%s%s: %s\n", (int)indent, "", names[i],
			type_word(&choice), choice.authority[0] ? " at " : "", choice.authority,
			choice.why);
	}
	(void)view;
}

/* --- JSON */

static json_t *observed_json(const struct diagnosis *d)
{
	json_t *all = json_array();

	for (size_t i = 0; i < d->observed_n; i++)
		json_array_append_new(
			all, json_pack("{s:o s:o s:I}", "server", json_text(d->observed[i].server),
				     "what", json_text(d->observed[i].what), "ttl",
				     (json_int_t)d->observed[i].ttl_s));
	return all;
}

static json_t *fix_json(const struct diagnosis *d)
{
	json_t *lines = json_array();

	for (const char *line = d->fix; *line;
		line += strcspn(line, "\n") + (strchr(line, '\n') != NULL))
		json_array_append_new(lines, json_stringn(line, strcspn(line, "\n")));
	return lines;
}

static json_t *finding_json(const struct diagnosis *d)
{
	_buf_release_ struct buf text = BUF_INIT(4096);

	diagnosis_sentence(d, &text);
	return json_pack("{s:s s:s s:s s:o s:o s:o s:o s:o s:I s:o s:o s:o s:o s:o s:o s:o}",
		"code", d->code, "severity", diagnosis_severity_word(d->severity), "actor",
		diagnosis_actor_word(d->actor), "text", json_text(buf_cstr(&text)), "name",
		json_text(d->name), "record", json_text(d->record), "expected",
		json_text(d->expected), "observed", observed_json(d), "observed_more",
		(json_int_t)d->observed_more, "fix", fix_json(d), "effect", json_text(d->effect),
		"effect_at", json_time(d->effect_ms), "since", json_time(d->since_ms), "next_check",
		json_time(d->next_check_ms), "authority", json_text(d->authority), "provider",
		json_text(d->provider));
}

json_t *facts_findings_json(const struct facts *f)
{
	json_t *all = json_array();

	for (size_t i = 0; f->endpoint.has_verdict && i < f->endpoint.verdict.diagnoses_n; i++)
		json_array_append_new(all, finding_json(&f->endpoint.verdict.diagnoses[i]));
	return all;
}

json_t *facts_choice_json(const struct facts *f, const char *name)
{
	struct endpoint_choice c;

	endpoint_choose(&f->endpoint, name, &c);
	return json_pack("{s:o s:o s:s}", "challenge",
		c.any ? json_string(type_word(&c)) : json_null(), "authority",
		c.authority[0] ? json_text(c.authority) : json_null(), "why", c.why);
}

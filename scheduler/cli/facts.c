/* facts.c - pages about one endpoint (see facts.h). */
#include "scheduler/cli/facts.h"

#include "common/certificate.h"
#include "common/clock.h"
#include "common/mem.h"
#include "common/mp.h"
#include "common/str.h"
#include "scheduler/cli/words.h"

#include <stdio.h>
#include <string.h>

#define KEY_COLUMNS 12

void facts_release(struct facts *f)
{
	endpoint_release(&f->endpoint);
	free(f->records);
	free(f->timeline);
	*f = (struct facts){0};
}

void facts_judge(struct facts *f, int64_t now_ms)
{
	f->state = endpoint_state_of(&f->endpoint, now_ms, f->reason);
}

void facts_issuer(struct facts *f)
{
	struct cert_info info;

	if (f->endpoint.has_cert && f->endpoint.cert.der_len > 0 &&
		cert_info_read(f->endpoint.cert.der, f->endpoint.cert.der_len, &info, NULL) == 0)
		snprintf(f->issuer, sizeof f->issuer, "%s", info.issuer);
}

static bool timeline_one(const void *bytes, size_t n, struct timeline_entry *out)
{
	struct mp_doc doc;
	struct mp root;
	struct timeline_entry e = {0};
	_mem_free_ char *text = NULL;

	if (mp_open(&doc, bytes, n, &root, NULL) != 0)
		return false;
	mp_get_int(&root, "t", &e.t_ms);
	mp_get_text(&root, "what", e.what, sizeof e.what);
	mp_opt_str(&root, "text", &text);
	if (mp_err(&doc) != 0)
		return false;
	if (text != NULL)
		str_clean(text, strlen(text), e.text, sizeof e.text);
	*out = e;
	return true;
}

void facts_timeline(struct facts *f, const void *bytes, size_t n)
{
	struct mp_doc doc;
	struct mp root;
	struct mp item;

	if (bytes == NULL || mp_open(&doc, bytes, n, &root, NULL) != 0)
		return;
	free(f->timeline);
	f->timeline = mem_array(mp_count(&root) + 1, sizeof *f->timeline);
	f->timeline_n = 0;
	for (struct mp_iter it = mp_iter(&root); mp_next(&it, &item);) {
		const unsigned char *packed;
		size_t len;
		if (mp_as_bytes(&item, &packed, &len) == 0 &&
			timeline_one(packed, len, &f->timeline[f->timeline_n]))
			f->timeline_n++;
	}
}

bool facts_records_right(const struct facts *f)
{
	for (size_t i = 0; i < f->records_n; i++)
		if (f->records[i].look == NULL || f->records[i].look->status != RECORD_RIGHT)
			return false;
	return f->records_n > 0;
}

/* One fact a line: "  key         value" */

static void key(struct buf *out, const struct view *view, size_t indent, const char *name)
{
	for (size_t i = 0; i < indent; i++)
		buf_addc(out, ' ');
	term_tint(out, view, TINT_DIM, "%s", name);
	for (size_t i = strlen(name); i < KEY_COLUMNS; i++)
		buf_addc(out, ' ');
}

static void line(struct buf *out, const struct view *view, size_t indent, const char *name,
	const char *format, ...) __attribute__((format(printf, 5, 6)));

static void line(struct buf *out, const struct view *view, size_t indent, const char *name,
	const char *format, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	key(out, view, indent, name);
	term_tint(out, view, TINT_NONE, "%s", text);
	buf_addc(out, '\n');
}

static void time_line(
	struct buf *out, const struct view *view, size_t indent, const char *name, int64_t ms)
{
	_buf_release_ struct buf when = BUF_INIT(256);

	term_time(&when, ms);
	if (ms != 0) {
		buf_adds(&when, " (");
		term_when(&when, view, ms);
		buf_addc(&when, ')');
	}
	line(out, view, indent, name, "%s", buf_cstr(&when));
}

static void title(struct buf *out, const struct view *view, const char *text)
{
	buf_addc(out, '\n');
	term_tint(out, view, TINT_BOLD, "%s", text);
	buf_addc(out, '\n');
}

/* Records */

static const struct table_column RECORDS[] = {
	{"NAME", false, true},
	{"TYPE", false, false},
	{"TARGET", false, true},
	{"STATUS", false, false},
	{"SEEN", false, true},
};

#define RECORD_SEEN_MAX 512

/** What was seen instead, and what that means; "" if all is right. */
static void record_seen(const struct owner_record *r, char out[RECORD_SEEN_MAX])
{
	const struct record_look *look = r->look;

	out[0] = '\0';
	if (look == NULL)
		return;
	if (look->status != RECORD_RIGHT && look->observed[0] != '\0')
		snprintf(out, RECORD_SEEN_MAX, "%s (%s)", look->observed, words_means(look->code));
	else
		snprintf(out, RECORD_SEEN_MAX, "%s", words_means(look->code));
}

static void record_row(struct table *t, const struct owner_record *r)
{
	enum record_status status = r->look != NULL ? r->look->status : RECORD_UNKNOWN;
	char seen[RECORD_SEEN_MAX];

	record_seen(r, seen);
	table_cell(t, TINT_NONE, "%s", r->owner);
	table_cell(t, TINT_NONE, "CNAME");
	table_cell(t, TINT_NONE, "%s", r->target);
	table_cell(t, words_record_tint(status), "%s",
		r->look != NULL ? words_record_status(status) : "not looked at");
	table_cell(t, TINT_NONE, "%s", seen);
}

/** For narrow screens: what people copy is never cut. */
static void records_stacked(
	const struct facts *f, const struct view *view, size_t indent, struct buf *out)
{
	for (size_t i = 0; i < f->records_n; i++) {
		const struct owner_record *r = &f->records[i];
		enum record_status status = r->look != NULL ? r->look->status : RECORD_UNKNOWN;
		char seen[RECORD_SEEN_MAX];
		record_seen(r, seen);
		buf_addf(out, "%*s", (int)indent, "");
		term_tint(out, view, TINT_BOLD, "%s", r->owner);
		buf_addf(out, "\n%*sCNAME %s\n%*s", (int)indent + 4, "", r->target, (int)indent + 4,
			"");
		term_tint(out, view, words_record_tint(status), "%s",
			r->look != NULL ? words_record_status(status) : "not looked at");
		term_tint(out, view, TINT_NONE, "%s%s", seen[0] != '\0' ? ": " : "", seen);
		buf_addc(out, '\n');
	}
}

void facts_records(const struct facts *f, const struct view *view, size_t indent, struct buf *out)
{
	struct table t = TABLE_INIT(RECORDS, ARRAY_LEN(RECORDS), indent);

	if (f->no_records != NULL) {
		term_wrap(out, f->no_records, indent, view->width);
		return;
	}
	for (size_t i = 0; i < f->records_n; i++)
		record_row(&t, &f->records[i]);
	if (table_fits(&t, view))
		table_flush(&t, view, out);
	else
		records_stacked(f, view, indent, out);
	table_release(&t);
}

void facts_zone(const struct facts *f, struct buf *out)
{
	for (size_t i = 0; i < f->records_n; i++) {
		const struct owner_record *r = &f->records[i];
		buf_addf(out, "%s. IN CNAME %s.", r->owner, r->target);
		if (r->look != NULL)
			buf_addf(out, " ; %s", words_record_status(r->look->status));
		buf_addc(out, '\n');
	}
}

/* Certificate */

static void life_line(
	const struct endpoint_cert *x, const struct view *view, size_t indent, struct buf *out)
{
	int64_t life = x->not_after_ms - x->not_before_ms;
	int64_t left = x->not_after_ms - view->now_ms;
	char human[CLOCK_HUMAN_LEN];

	if (left <= 0)
		line(out, view, indent, "left", "nothing: it expired %s ago",
			clock_human(-left, human));
	else if (life > 0)
		line(out, view, indent, "left", "%s, %d %% of its life",
			clock_human(left / 1000 * 1000, human),
			(int)(left >= life ? 100 : left * 100 / life));
}

static const char *renewal_reason(const struct endpoint_config *c, const struct endpoint_cert *x)
{
	if (c->renew_asked_ms > x->issued_ms)
		return "asked for";
	if (x->ari_start_ms != 0)
		return "inside the window that the authority suggests";
	return x->not_after_ms - x->not_before_ms <= 10 * CLOCK_DAY_MS
		       ? "at half of its life"
		       : "at two thirds of its life";
}

static void renewal_line(
	const struct facts *f, const struct view *view, size_t indent, struct buf *out)
{
	const struct endpoint_cert *x = &f->endpoint.cert;
	_buf_release_ struct buf text = BUF_INIT(512);

	if (f->endpoint.config.renew_asked_ms > x->issued_ms) {
		line(out, view, indent, "renewal", "now: asked for");
		return;
	}
	term_time(&text, x->renew_at_ms);
	buf_adds(&text, " (");
	term_when(&text, view, x->renew_at_ms);
	buf_addf(&text, "): %s", renewal_reason(&f->endpoint.config, x));
	line(out, view, indent, "renewal", "%s", buf_cstr(&text));
}

void facts_certificate(
	const struct facts *f, const struct view *view, size_t indent, struct buf *out)
{
	const struct endpoint_cert *x = &f->endpoint.cert;

	line(out, view, indent, "serial", "%s", x->serial);
	if (f->issuer[0] != '\0')
		line(out, view, indent, "issuer", "%s (authority %s)", f->issuer, x->authority);
	else
		line(out, view, indent, "authority", "%s", x->authority);
	line(out, view, indent, "key", "%s",
		key_type_name(x->key_type) ? key_type_name(x->key_type) : "?");
	time_line(out, view, indent, "from", x->not_before_ms);
	time_line(out, view, indent, "until", x->not_after_ms);
	life_line(x, view, indent, out);
	if (x->revoked_ms != 0)
		time_line(out, view, indent, "revoked", x->revoked_ms);
	else
		renewal_line(f, view, indent, out);
	if (x->renewals != 0)
		line(out, view, indent, "renewed", "%u time%s", x->renewals,
			x->renewals == 1 ? "" : "s");
	if (x->partial)
		line(out, view, indent, "partial",
			"some of the endpoint's names are left out of it");
}

/* Jobs */

const struct table_column facts_job_columns[] = {
	{"ENDPOINT", false, true},
	{"QUEUE", false, false},
	{"WHERE", false, false},
	{"WORK", false, false},
	{"LANE", false, false},
	{"WHEN", false, false},
	{"STARTS", true, false},
	{"WHY", false, true},
	{"WORKER", false, true},
};
const size_t facts_job_columns_n = ARRAY_LEN(facts_job_columns);

static enum tint where_tint(enum job_where w)
{
	return w == JOB_PARKED ? TINT_BAD : w == JOB_RUNNING ? TINT_BUSY : TINT_NONE;
}

void facts_job_row(const struct facts *f, enum queue_id q, const struct view *view, struct table *t)
{
	const struct job_record *j = &f->endpoint.jobs[q];
	_buf_release_ struct buf when = BUF_INIT(128);

	if (j->where == JOB_DUE && j->due_ms <= view->now_ms)
		buf_adds(&when, "now");
	else if (j->where == JOB_DUE)
		term_when(&when, view, j->due_ms);
	else
		term_when(&when, view, j->since_ms);
	if (t->columns == facts_job_columns)
		table_cell(t, TINT_NONE, "%s", f->endpoint.config.id);
	table_cell(t, TINT_NONE, "%s", queue_name(q));
	table_cell(t, where_tint(j->where), "%s", job_where_name(j->where));
	table_cell(t, TINT_NONE, "%s", job_intent_name(j->intent));
	table_cell(t, TINT_NONE, "%s", job_lane_name(j->lane));
	table_cell(t, TINT_NONE, "%s", buf_cstr(&when));
	table_cell(t, j->lapses != 0 ? TINT_WARN : TINT_NONE, "%u", j->attempt);
	table_cell(t, TINT_NONE, "%s", j->why);
	table_cell(t, TINT_NONE, "%s", j->worker);
}

/* The list */

const struct table_column facts_list_columns[] = {
	{"ID", false, true},
	{"STATE", false, false},
	{"BECAUSE", false, true},
	{"EXPIRES", false, false},
	{"TYPE", false, false},
	{"TENANT", false, true},
	{"NAMES", false, true},
};
const size_t facts_list_columns_n = ARRAY_LEN(facts_list_columns);

/** The first name, unless it is the id, and how many more. */
static void list_names(const struct endpoint_config *c, struct buf *out)
{
	bool same = c->names_n > 0 && strcmp(c->names[0], c->id) == 0;

	if (!same && c->names_n > 0)
		buf_adds(out, c->names[0]);
	if (c->names_n > 1)
		buf_addf(out, "%s+%zu", same ? "" : " ", c->names_n - 1);
}

void facts_list_row(const struct facts *f, const struct view *view, struct table *t)
{
	const struct endpoint_config *c = &f->endpoint.config;
	_buf_release_ struct buf expires = BUF_INIT(128);
	_buf_release_ struct buf names = BUF_INIT(512);

	if (f->endpoint.has_cert)
		term_when(&expires, view, f->endpoint.cert.not_after_ms);
	else
		buf_adds(&expires, "-");
	list_names(c, &names);
	table_cell(t, TINT_NONE, "%s", c->id);
	table_cell(t, words_state_tint(f->state), "%s", endpoint_state_name(f->state));
	table_cell(t, TINT_NONE, "%s", f->reason[0] != '\0' ? f->reason : "-");
	table_cell(t, TINT_NONE, "%s", buf_cstr(&expires));
	table_cell(t, TINT_NONE, "%s", words_type(c->type));
	table_cell(t, TINT_NONE, "%s", c->tenant);
	table_cell(t, TINT_NONE, "%s", buf_cstr(&names));
}

/* The page */

static void head_lines(const struct facts *f, const struct view *view, struct buf *out)
{
	const struct endpoint_config *c = &f->endpoint.config;

	term_tint(out, view, TINT_BOLD, "%s", c->id);
	buf_addc(out, '\n');
	key(out, view, 2, "state");
	term_tint(out, view, words_state_tint(f->state), "%s", endpoint_state_name(f->state));
	if (f->reason[0] != '\0')
		term_tint(out, view, TINT_NONE, ": %s", words_means(f->reason));
	buf_addc(out, '\n');
	if (words_next(f->reason)[0] != '\0')
		line(out, view, 2, "next", "%s", words_next(f->reason));
	line(out, view, 2, "tenant", "%s", c->tenant[0] != '\0' ? c->tenant : "(none)");
	if (c->target[0] != '\0')
		line(out, view, 2, "type", "%s, to %s", words_type(c->type), c->target);
	else
		line(out, view, 2, "type", "%s", words_type(c->type));
	if (c->zone[0] != '\0')
		line(out, view, 2, "zone", "%s", c->zone);
	for (size_t i = 0; i < c->names_n; i++) {
		char people[NAME_SIZE];
		name_to_unicode(c->names[i], people, sizeof people);
		bool same = strcmp(people, c->names[i]) == 0;
		line(out, view, 2, i == 0 ? "names" : "", same ? "%s" : "%s (%s)", c->names[i],
			people);
	}
	line(out, view, 2, "authority", "%s%s%s",
		c->authority[0] != '\0' ? c->authority : "the first of the configuration",
		c->profile[0] != '\0' ? ", profile " : "", c->profile);
	line(out, view, 2, "key", "%s",
		key_type_name(c->key_type) ? key_type_name(c->key_type) : "?");
	time_line(out, view, 2, "added", c->created_ms);
	line(out, view, 2, "generation", "%llu", (unsigned long long)f->endpoint.generation);
}

static const struct table_column VERDICTS[] = {
	{"NAME", false, true},
	{"HTTP-01", false, false},
	{"DNS-01", false, false},
	{"CLAIM", false, false},
};

static void verdict_part(const struct facts *f, const struct view *view, struct buf *out)
{
	const struct endpoint_verdict *v = &f->endpoint.verdict;
	struct table t = TABLE_INIT(VERDICTS, ARRAY_LEN(VERDICTS), 2);

	title(out, view, "Records to create");
	facts_records(f, view, 2, out);
	if (!f->endpoint.has_verdict) {
		buf_adds(out, "  DNS was not looked at yet.\n");
		return;
	}
	_buf_release_ struct buf looked = BUF_INIT(256);
	term_when(&looked, view, v->looked_ms);
	buf_addf(out, "  looked at %s", buf_cstr(&looked));
	if (v->unchanged_looks > 1)
		buf_addf(out, ", the same for %u looks", v->unchanged_looks);
	if (v->generation != f->endpoint.generation)
		buf_adds(out, "; the configuration has changed since");
	buf_addc(out, '\n');
	title(out, view, "What can be proven to the authority");
	for (size_t i = 0; i < v->names_n; i++) {
		const struct name_verdict *n = &v->names[i];
		table_cell(&t, TINT_NONE, "%s", n->name);
		table_cell(&t, words_verdict_tint(n->http01), "%s", words_verdict(n->http01));
		table_cell(&t, words_verdict_tint(n->dns01), "%s", words_verdict(n->dns01));
		table_cell(&t, words_claim_tint(n->claim), "%s", words_claim(n->claim));
	}
	table_flush(&t, view, out);
	table_release(&t);
	facts_choices(f, view, 2, out);
	if (!v->diagnoses_n)
		return;
	title(out, view, "Findings");
	facts_findings(f, view, 2, out);
}

static void issuance_part(const struct facts *f, const struct view *view, struct buf *out)
{
	const struct endpoint_issuance *i = &f->endpoint.issuance;
	int64_t ticket = endpoint_quota_ticket(&f->endpoint);

	if (i->failures == 0 && i->ordered_ms == 0 && !f->endpoint.has_checkpoint && ticket == 0)
		return;
	title(out, view, "Issuing");
	if (ticket != 0) {
		line(out, view, 2, "waiting for", "%s: %s", i->wait_breaker ? "a canary" : "quota",
			i->wait);
		time_line(out, view, 2, "its turn", ticket);
	}
	if (f->endpoint.has_checkpoint)
		line(out, view, 2, "order", "one is open at the authority");
	if (i->ordered_ms != 0)
		time_line(out, view, 2, "last order", i->ordered_ms);
	if (i->challenge[0] != '\0')
		line(out, view, 2, "challenge", "%s", i->challenge);
	if (i->failures == 0)
		return;
	line(out, view, 2, "failures", "%u in a row", i->failures);
	line(out, view, 2, "because", "%s%s%s", words_means(i->code),
		i->actor[0] ? "; to act: " : "", i->actor);
	if (i->detail[0] != '\0')
		line(out, view, 2, "in words", "%s", i->detail);
	time_line(out, view, 2, "next try", i->next_ms);
}

static void jobs_part(const struct facts *f, const struct view *view, struct buf *out)
{
	/* Whose they are is known here. */
	struct table t = TABLE_INIT(facts_job_columns + 1, facts_job_columns_n - 1, 2);

	title(out, view, "Jobs");
	for (enum queue_id q = QUEUE_VERIFY; q <= QUEUE_ISSUE; q++)
		if (f->endpoint.jobs[q].where != JOB_NONE)
			facts_job_row(f, q, view, &t);
	if (table_rows(&t) == 0)
		buf_adds(out, "  none\n");
	table_flush(&t, view, out);
	table_release(&t);
}

static void timeline_part(const struct facts *f, const struct view *view, struct buf *out)
{
	static const struct table_column columns[] = {
		{"WHEN", false, false},
		{"WHAT", false, false},
		{"", false, true},
	};
	struct table t = TABLE_INIT(columns, ARRAY_LEN(columns), 2);

	if (f->timeline_n == 0)
		return;
	title(out, view, "Timeline");
	for (size_t i = 0; i < f->timeline_n; i++) {
		_buf_release_ struct buf when = BUF_INIT(64);
		term_time(&when, f->timeline[i].t_ms);
		table_cell(&t, TINT_DIM, "%s", buf_cstr(&when));
		table_cell(&t, TINT_NONE, "%s", f->timeline[i].what);
		table_cell(&t, TINT_NONE, "%s", f->timeline[i].text);
	}
	table_flush(&t, view, out);
	table_release(&t);
}

static void served_lines(const struct facts *f, const struct view *view, struct buf *out)
{
	const struct served *s = &f->endpoint.verdict.served;
	_buf_release_ struct buf when = BUF_INIT(64);

	if (s->status == SERVED_UNKNOWN && f->endpoint.has_cert &&
		f->endpoint.config.type == ENDPOINT_INTERNAL && !f->endpoint.config.zone[0])
		line(out, view, 2, "served",
			"unknown: internal, and in no zone whose workers "
			"could look");
	if (s->status == SERVED_UNKNOWN && !s->why[0])
		return;
	term_when(&when, view, s->looked_ms);
	if (s->status == SERVED_UNKNOWN) {
		line(out, view, 2, "served", "unknown: %s, tried %s", words_means(s->why),
			buf_cstr(&when));
		return;
	}
	line(out, view, 2, "served", "%s: right at %u of %u addresses, seen %s",
		served_status_name(s->status), (unsigned)s->right, (unsigned)s->addresses,
		buf_cstr(&when));
	for (size_t i = 0; i < s->behind_n; i++)
		line(out, view, 2, i ? "" : "behind", "%s: %s%s%s%s", s->behind[i].at,
			words_means(s->behind[i].code), s->behind[i].what[0] ? " (" : "",
			s->behind[i].what, s->behind[i].what[0] ? ")" : "");
	if (s->addresses - s->right > s->behind_n && s->behind_n)
		line(out, view, 2, "", "and %zu more",
			(size_t)(s->addresses - s->right) - s->behind_n);
}

void facts_page(const struct facts *f, const struct view *view, struct buf *out)
{
	head_lines(f, view, out);
	verdict_part(f, view, out);
	title(out, view, "Certificate");
	if (f->endpoint.has_cert)
		facts_certificate(f, view, 2, out);
	else
		buf_adds(out, "  none yet\n");
	served_lines(f, view, out);
	issuance_part(f, view, out);
	jobs_part(f, view, out);
	timeline_part(f, view, out);
}

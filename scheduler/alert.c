#include "scheduler/alert.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/mp.h"
#include "common/runbook.h"
#include "common/str.h"

#include <stdio.h>
#include <string.h>

static const char *const severities[] = {"info", "warning", "critical"};

/* A text that may be too long or dirty: kept as far as it goes. */
static void take_text(const struct mp *map, const char *key, char *out, size_t size)
{
	const unsigned char *bytes;
	size_t n;

	if (!mp_opt_bytes(map, key, &bytes, &n) && mp_get(map, key, &(struct mp){0}))
		str_clean((const char *)bytes, n, out, size);
}

static void take_severity(const struct mp *map, struct alert_edge *e)
{
	char text[16] = "";

	take_text(map, "severity", text, sizeof text);
	for (size_t i = 0; i < ARRAY_LEN(severities); i++)
		if (!strcmp(text, severities[i]))
			e->severity = (enum alert_severity)i;
}

static void edge_key(struct alert_edge *e)
{
	snprintf(e->key, sizeof e->key, "%s/%s", e->endpoint[0] ? e->endpoint : ENDPOINT_ID_FLEET,
		e->condition);
}

/* Everything but the key and `open`. */
static void take_fields(const struct mp *map, struct alert_edge *e)
{
	mp_opt_int(map, "since", &e->since_ms);
	mp_opt_int(map, "deadline", &e->deadline_ms);
	take_text(map, "condition", e->condition, sizeof e->condition);
	take_text(map, "endpoint", e->endpoint, sizeof e->endpoint);
	take_text(map, "tenant", e->tenant, sizeof e->tenant);
	take_text(map, "actor", e->actor, sizeof e->actor);
	take_text(map, "cause", e->cause, sizeof e->cause);
	take_text(map, "text", e->text, sizeof e->text);
	take_text(map, "fix", e->fix, sizeof e->fix);
	take_text(map, "next", e->next, sizeof e->next);
	take_severity(map, e);
	e->since_ms = e->since_ms > 0 ? e->since_ms : 0;
	e->deadline_ms = e->deadline_ms > 0 ? e->deadline_ms : 0;
	if (!mp_err(map->doc) && !e->condition[0])
		mp_fail(map, CF_EPROTO, "\"condition\" is expected");
}

int alert_edge_decode(
	const void *data, size_t n, const char *subject, struct alert_edge *out, struct why *why)
{
	struct alert_edge e = {.severity = ALERT_WARNING};
	struct mp_doc doc;
	struct mp map;
	int err;

	if (n > ALERT_EDGE_MAX)
		return why_set(why, CF_ETOOBIG, "an edge of %zu bytes: at most %d are expected", n,
			ALERT_EDGE_MAX);
	err = mp_open(&doc, data, n, &map, why);
	if (err)
		return err;
	snprintf(e.endpoint, sizeof e.endpoint, "%s", subject);
	mp_get_bool(&map, "open", &e.open);
	take_fields(&map, &e);
	if (mp_err(&doc))
		return mp_err(&doc);
	edge_key(&e);
	*out = e;
	return 0;
}

int alert_edge_decode_said(const void *data, size_t n, const char *key, struct alert_edge *out)
{
	struct alert_edge e = {.severity = ALERT_WARNING, .open = true};
	struct mp_doc doc;
	struct mp map;

	if (n > ALERT_EDGE_MAX || mp_open(&doc, data, n, &map, NULL))
		return CF_EPROTO;
	take_fields(&map, &e);
	if (mp_err(&doc))
		return mp_err(&doc);
	snprintf(e.key, sizeof e.key, "%s", key);
	*out = e;
	return 0;
}

/* What a person does about it: the condition's runbook, unless the edge knows better. */
static void put_runbook(const struct alert_edge *e, struct buf *out)
{
	const struct runbook *book = runbook_of(e->condition);
	const char *colon = strchr(e->condition, ':');
	const struct runbook_subject subject = {.id = e->endpoint[0] ? e->endpoint : NULL,
		.key = e->key,
		.name = colon ? colon + 1 : NULL};
	_buf_release_ struct buf now = BUF_INIT(1024), brief = BUF_INIT(1024);

	if (book)
		runbook_now(book, &subject, &now);
	mp_key_str(out, "fix", e->fix[0] ? e->fix : buf_cstr(&now));
	if (!book)
		return;
	runbook_brief(book, &subject, &brief);
	mp_key_str(out, "runbook", buf_cstr(&brief));
}

int alert_edge_encode(const struct alert_edge *e, const struct buf *form, struct buf *out)
{
	size_t item = mp_map_open(out), data;

	mp_key_str(out, "key", e->key);
	mp_key_bool(out, "open", e->open);
	mp_key_int(out, "severity", e->severity);
	if (e->again)
		mp_key_bool(out, "again", true);
	mp_key(out, "data");
	data = mp_map_open(out);
	mp_key_str(out, "condition", e->condition);
	mp_key_str(out, "endpoint", e->endpoint);
	mp_key_str(out, "tenant", e->tenant);
	mp_key_str(out, "actor", e->actor);
	mp_key_int(out, "since", e->since_ms);
	mp_key_int(out, "deadline", e->deadline_ms);
	mp_key_str(out, "text", e->text);
	if (e->open)
		put_runbook(e, out);
	mp_key_str(out, "next", e->next);
	mp_key_str(out, "cause", e->cause[0] ? e->cause : NULL);
	mp_map_close(out, data);
	if (form) {
		mp_key(out, "form");
		mp_raw(out, form->data, form->len);
	}
	mp_map_close(out, item);
	return buf_err(out);
}

void alert_fleet(const char *condition, bool open, enum alert_severity severity, const char *text,
	const char *fix, struct alert_edge *out)
{
	memset(out, 0, sizeof *out);
	snprintf(out->condition, sizeof out->condition, "%s", condition);
	snprintf(out->actor, sizeof out->actor, "operator");
	snprintf(out->text, sizeof out->text, "%s", text);
	snprintf(out->fix, sizeof out->fix, "%s", fix);
	out->open = open;
	out->severity = severity;
	edge_key(out);
}

enum alert_severity alert_escalation(
	enum alert_severity given, int64_t opened_ms, int64_t deadline_ms, int64_t now_ms)
{
	int64_t whole = deadline_ms - opened_ms, left = deadline_ms - now_ms;
	enum alert_severity s = ALERT_INFO;

	if (!deadline_ms)
		return given;
	if (left <= whole / 4)
		s = ALERT_CRITICAL;
	else if (left <= whole / 2)
		s = ALERT_WARNING;
	return s > given ? s : given;
}

bool alert_expiry(
	int64_t not_before_ms, int64_t not_after_ms, int64_t now_ms, enum alert_severity *severity)
{
	int64_t life = not_after_ms - not_before_ms, left = not_after_ms - now_ms;

	if (left > life / 10 * 3)
		return false;
	*severity = left > life / 10 ? ALERT_WARNING : ALERT_CRITICAL;
	return true;
}

void alert_expiry_edge(const struct endpoint *e, int64_t now_ms, struct alert_edge *out)
{
	const struct endpoint_cert *x = &e->cert;
	char left[CLOCK_HUMAN_LEN];

	memset(out, 0, sizeof *out);
	out->severity = ALERT_WARNING;
	out->open = e->has_cert && !x->revoked_ms && !e->config.removing && !e->verdict.departed &&
		    alert_expiry(x->not_before_ms, x->not_after_ms, now_ms, &out->severity);
	snprintf(out->condition, sizeof out->condition, "%s", ALERT_EXPIRY);
	snprintf(out->endpoint, sizeof out->endpoint, "%s", e->config.id);
	snprintf(out->tenant, sizeof out->tenant, "%s", e->config.tenant);
	snprintf(out->actor, sizeof out->actor, "%s",
		e->issuance.actor[0] ? e->issuance.actor : "operator");
	out->since_ms = x->renew_at_ms;
	out->deadline_ms = x->not_after_ms;
	if (now_ms < x->not_after_ms)
		snprintf(out->text, sizeof out->text,
			"the certificate expires in %s and is not renewed%s%s",
			clock_human(x->not_after_ms - now_ms, left),
			e->issuance.code[0] ? ": " : "", e->issuance.code);
	else
		snprintf(out->text, sizeof out->text, "the certificate has expired%s%s",
			e->issuance.code[0] ? ": " : "", e->issuance.code);
	snprintf(out->fix, sizeof out->fix, "certfleet endpoint show %s", e->config.id);
	edge_key(out);
}

void alert_cause_of(const void *conditions, size_t n, char out[ALERT_CAUSE_SIZE])
{
	struct mp_doc doc;
	struct mp root, v;

	out[0] = '\0';
	if (!n || n > ALERT_EDGE_MAX || mp_open(&doc, conditions, n, &root, NULL))
		return;
	for (struct mp_iter it = mp_iter(&root); !out[0] && mp_next(&it, &v);)
		take_text(&v, "cause", out, ALERT_CAUSE_SIZE);
}

void alert_edge_of_key(const char *key, struct alert_edge *out)
{
	size_t n = strcspn(key, "/");

	memset(out, 0, sizeof *out);
	out->open = true;
	snprintf(out->key, sizeof out->key, "%s", key);
	snprintf(out->endpoint, sizeof out->endpoint, "%.*s", (int)n, key);
	if (key[n])
		snprintf(out->condition, sizeof out->condition, "%.63s", key + n + 1);
}

bool alert_is_stored(const void *conditions, size_t n, const char *condition)
{
	struct mp_doc doc;
	struct mp root;

	if (!n)
		return false;
	if (n > ALERT_EDGE_MAX || mp_open(&doc, conditions, n, &root, NULL))
		return true;
	return mp_get(&root, condition, &(struct mp){0}) || mp_err(&doc);
}

/* Some conditions are opened by who cannot see their end; the end of others was told and got lost.
 */
static bool is_over(
	const struct alert_edge *was, const struct endpoint *e, bool stored, int64_t now_ms)
{
	struct alert_edge expiry;

	if (!was->endpoint[0])
		return false;
	if (!e)
		return true;
	if (!strcmp(was->condition, "parked"))
		return e->jobs[QUEUE_VERIFY].where != JOB_PARKED &&
		       e->jobs[QUEUE_ISSUE].where != JOB_PARKED;
	if (strcmp(was->condition, ALERT_EXPIRY) != 0)
		return !stored;
	alert_expiry_edge(e, now_ms, &expiry);
	return !expiry.open;
}

bool alert_review(const struct alert_edge *was, int64_t opened_ms, const struct endpoint *e,
	bool stored, int64_t now_ms, struct alert_edge *out)
{
	enum alert_severity severity =
		alert_escalation(was->severity, opened_ms, was->deadline_ms, now_ms);

	if (is_over(was, e, stored, now_ms)) {
		*out = *was;
		out->open = false;
		return true;
	}
	if (severity == was->severity)
		return false;
	*out = *was;
	out->open = out->again = true;
	out->severity = severity;
	return true;
}

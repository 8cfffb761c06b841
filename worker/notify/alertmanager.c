#include "worker/notify/alertmanager.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/mp.h"
#include "common/str.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX 1024

/* What of an alert's data goes out. */
struct alert {
	char condition[128], endpoint[80], tenant[80], severity[16], actor[16], cause[136];
	char was[16], was_actor[16], state[16];
	char text[TEXT_MAX], fix[TEXT_MAX], runbook[TEXT_MAX], next[256];
	int64_t opened_ms, resolved_ms;
};

void alertmanager_name(const char *condition, char *out, size_t size)
{
	bool upper = true;
	size_t n = 0;

	for (const char *p = condition; *p && *p != ':' && n + 1 < size; p++) {
		if (isalnum((unsigned char)*p))
			out[n++] = upper ? (char)toupper((unsigned char)*p) : *p;
		upper = !isalnum((unsigned char)*p);
	}
	out[n] = '\0';
}

static void take(const struct mp *map, const char *key, char *out, size_t size)
{
	const unsigned char *bytes = NULL;
	size_t n = 0;

	if (!mp_opt_bytes(map, key, &bytes, &n) && bytes)
		str_clean((const char *)bytes, n, out, size);
}

static int read_alert(const void *data, size_t n, struct alert *a)
{
	const struct {
		const char *key;
		char *out;
		size_t size;
	} texts[] = {{"condition", a->condition, sizeof a->condition},
		{"endpoint", a->endpoint, sizeof a->endpoint},
		{"tenant", a->tenant, sizeof a->tenant},
		{"severity", a->severity, sizeof a->severity}, {"actor", a->actor, sizeof a->actor},
		{"cause", a->cause, sizeof a->cause}, {"was", a->was, sizeof a->was},
		{"was_actor", a->was_actor, sizeof a->was_actor},
		{"state", a->state, sizeof a->state}, {"text", a->text, sizeof a->text},
		{"fix", a->fix, sizeof a->fix}, {"runbook", a->runbook, sizeof a->runbook},
		{"next", a->next, sizeof a->next}};
	struct mp_doc doc;
	struct mp root;
	int err = mp_open(&doc, data, n, &root, NULL);

	if (err)
		return err;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		take(&root, texts[i].key, texts[i].out, texts[i].size);
	mp_opt_int(&root, "opened", &a->opened_ms);
	mp_opt_int(&root, "resolved", &a->resolved_ms);
	if (mp_err(&doc) || !a->condition[0] || a->opened_ms <= 0)
		return CF_EPROTO;
	return 0;
}

static void put(json_t *map, const char *key, const char *text)
{
	if (text[0])
		json_object_set_new(map, key, json_string(text));
}

static json_t *labels(
	const struct alert *a, const char *fleet, const char *severity, const char *actor)
{
	json_t *l = json_object();
	char name[128];

	alertmanager_name(a->condition, name, sizeof name);
	put(l, "alertname", name);
	put(l, "fleet", fleet);
	put(l, "condition", a->condition);
	put(l, "endpoint", a->endpoint);
	put(l, "tenant", a->tenant);
	put(l, "cause", a->cause);
	put(l, "severity", severity);
	put(l, "actor", actor);
	return l;
}

static json_t *annotations(const struct alert *a)
{
	json_t *n = json_object();
	_mem_free_ char *summary =
		mem_printf("%s: %s", a->endpoint[0] ? a->endpoint : "fleet", a->condition);

	put(n, "summary", summary);
	put(n, "description", a->text);
	put(n, "fix", a->fix);
	put(n, "runbook", a->runbook);
	put(n, "next", a->next);
	return n;
}

static void add(json_t *list, const struct alert *a, json_t *l, int64_t ends_ms)
{
	char starts[CLOCK_RFC3339_LEN], ends[CLOCK_RFC3339_LEN];
	int64_t starts_ms = a->opened_ms < ends_ms ? a->opened_ms : ends_ms;

	json_array_append_new(
		list, json_pack("{s:o s:o s:s s:s}", "labels", l, "annotations", annotations(a),
			      "startsAt", clock_rfc3339(starts_ms, starts), "endsAt",
			      clock_rfc3339(ends_ms, ends)));
}

int alertmanager_add(json_t *list, const char *fleet, const void *data, size_t n, int64_t now_ms,
	int64_t valid_ms)
{
	struct alert a = {.opened_ms = 0};
	int err = read_alert(data, n, &a);
	bool resolved;

	if (err)
		return err;
	resolved = !strcmp(a.state, "resolved");
	if (!resolved && a.was[0] && (strcmp(a.was, a.severity) || strcmp(a.was_actor, a.actor)))
		add(list, &a, labels(&a, fleet, a.was, a.was_actor), now_ms);
	add(list, &a, labels(&a, fleet, a.severity, a.actor),
		resolved ? (a.resolved_ms && a.resolved_ms < now_ms ? a.resolved_ms : now_ms)
			 : now_ms + valid_ms);
	return 0;
}

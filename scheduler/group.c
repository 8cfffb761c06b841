#include "scheduler/group.h"

#include "common/mem.h"
#include "common/mp.h"
#include "common/runbook.h"
#include "common/str.h"

#include <stdio.h>
#include <string.h>

static const struct incident_kind kinds[] = {
	{"authority:", "authority_trouble", true}, {"account:", "account_trouble", true},
	{"our:responders", "our_responders", true}, {"our:resolver", "our_resolver", true},
	{"ns:", "dns_provider", false}, {"zone:", "zone_trouble", false},
	{"edge:", "edge_trouble", false}, {"", "common_cause", false}, /* any other */
};

const struct incident_kind *incident_kind(const char *cause)
{
	size_t i = 0;

	while (!str_starts_with(cause, kinds[i].prefix))
		i++;
	return &kinds[i];
}

/* --- one edge a key */

static void net(struct group_held *held, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct alert_edge *a = &held[i].edge;

		held[i].verdict = GROUP_HOLD;
		for (size_t j = i + 1; j < n && held[i].verdict != GROUP_WITH; j++) {
			struct alert_edge *b = &held[j].edge;

			if (strcmp(a->key, b->key) != 0)
				continue;
			held[i].verdict = GROUP_WITH;
			if (a->open && b->open && a->severity > b->severity)
				*b = *a;
		}
	}
}

/* --- edges with a cause */

static const struct group_cause *find(const struct group_cause *causes, size_t n, const char *cause)
{
	static const struct group_cause unknown = {.open = false};

	for (size_t i = 0; i < n; i++)
		if (!strcmp(causes[i].cause, cause))
			return &causes[i];
	return &unknown;
}

static bool counts(const struct group_held *h, const char *cause)
{
	return h->verdict != GROUP_WITH && h->edge.open && !strcmp(h->edge.cause, cause);
}

/* Endpoints among the held that have the cause; counting ends at enough. */
static size_t endpoints(const struct group_held *held, size_t n, const char *cause, size_t enough)
{
	size_t found = 0;

	for (size_t i = 0; i < n && found < enough; i++) {
		bool first = counts(&held[i], cause);

		for (size_t j = 0; j < i && first; j++)
			first = !counts(&held[j], cause) ||
				strcmp(held[j].edge.endpoint, held[i].edge.endpoint) != 0;
		found += first;
	}
	return found;
}

static enum group_verdict of_cause(const struct group_held *held, size_t n, size_t i,
	const struct group_cause *known, const struct group_policy *p, int64_t age_ms)
{
	const char *cause = held[i].edge.cause;
	size_t least = incident_kind(cause)->at_once ? 1 : p->least, have;

	if (known->open)
		return GROUP_TELL;
	have = (size_t)known->recent + endpoints(held, n, cause, least);
	if (have >= least)
		return GROUP_FORM;
	return have > 1 && age_ms < p->hold_ms ? GROUP_HOLD : GROUP_TELL;
}

void group_decide(struct group_held *held, size_t n, const struct group_cause *causes,
	size_t causes_n, const struct group_policy *p, int64_t now_ms, bool full)
{
	net(held, n);
	for (size_t i = 0; i < n; i++) {
		struct group_held *h = &held[i];
		int64_t age_ms = now_ms - h->at_ms;

		if (h->verdict == GROUP_WITH || (age_ms < p->settle_ms && !full))
			continue;
		h->verdict = GROUP_TELL;
		if (h->edge.open && h->edge.cause[0])
			h->verdict = of_cause(held, n, i, find(causes, causes_n, h->edge.cause), p,
				full ? p->hold_ms : age_ms);
	}
}

/* --- the incident */

void incident_encode(const struct alert_edge *first, const struct group_policy *p, struct buf *out)
{
	const struct incident_kind *kind = incident_kind(first->cause);
	const struct runbook *book = runbook_of(kind->condition);
	_buf_release_ struct buf now = BUF_INIT(1024), brief = BUF_INIT(1024);
	size_t map = mp_map_open(out), data;
	char what[700], key[sizeof first->cause + 16];
	const struct runbook_subject subject = {.id = first->endpoint, .key = key};

	snprintf(key, sizeof key, "incident:%s", first->cause);
	runbook_now(book, &subject, &now);
	runbook_brief(book, &subject, &brief);
	snprintf(what, sizeof what, "%s: %s; the first is %s of %s", first->cause, book->means,
		first->condition, first->endpoint);
	mp_key_int(out, "least", kind->at_once ? 1 : p->least);
	mp_key_int(out, "window", p->window_ms);
	mp_key_str(out, "what", what);
	mp_key(out, "data");
	data = mp_map_open(out);
	mp_key_str(out, "condition", kind->condition);
	mp_key_str(out, "tenant", "");
	mp_key_str(out, "actor", book->actor);
	mp_key_int(out, "since", first->since_ms);
	mp_key_str(out, "fix", buf_cstr(&now));
	mp_key_str(out, "next", first->next);
	mp_key_str(out, "runbook", buf_cstr(&brief));
	mp_map_close(out, data);
	mp_map_close(out, map);
}

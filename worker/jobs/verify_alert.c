/* What a person must know of an endpoint that has a certificate: conditions made of diagnoses. */
#include "common/clock.h"
#include "common/mem.h"
#include "common/names.h"
#include "worker/jobs/conditions.h"
#include "worker/jobs/verify_internal.h"
#include "worker/probe/door_judge.h"
#include "worker/probe/proof.h"

#include <stdio.h>
#include <string.h>

/* No challenge type is left by which the name could be validated. */
static bool hurts(const struct endpoint *e, const char *name)
{
	const struct endpoint_verdict *v = &e->verdict;

	if (!name[0])
		return true;
	return endpoint_verdict_by(v, name, "", CHALLENGE_DNS01) != VERDICT_CAN &&
	       endpoint_verdict_by(v, name, "", CHALLENGE_HTTP01) != VERDICT_CAN;
}

static bool is_listed(const struct condition *c, size_t n, const char *code)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(c[i].code, code))
			return true;
	return false;
}

/* Lines become sentences: an alert is one paragraph. */
static void one_line(const char *lines, char *out, size_t size)
{
	size_t n = 0;

	for (; *lines && n + 3 < size; lines++) {
		if (*lines != '\n') {
			out[n++] = *lines;
			continue;
		}
		out[n++] = ';';
		out[n++] = ' ';
	}
	out[n] = '\0';
}

static bool is_one_of(const char *code, const char *const *codes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(code, codes[i]))
			return true;
	return false;
}

/* What name servers do to all zones that they serve, and what a resolver sees of that. */
static const char *const of_servers[] = {"servers_silent", "lame_delegation", "tcp_refused"};
/* What a zone is to all names in it: its record is the zone's own. */
static const char *const of_zone[] = {"dnssec_bogus", "dnssec_ds", "nxdomain"};
static const char *const of_resolver[] = {"caa_unreadable", "servfail"};

/* An edge that does not load what is issued fails for all that it serves; of several the first. */
static void cause_of_edge(const struct diagnosis *d, char out[CONDITION_CAUSE_SIZE])
{
	const char *first = NULL;

	for (size_t i = 0; i < d->observed_n; i++)
		if (!first || strcmp(d->observed[i].server, first) < 0)
			first = d->observed[i].server;
	if (first)
		snprintf(out, CONDITION_CAUSE_SIZE, "edge:%s", first);
}

/* What the operator's own edge does with challenges it does to all names. What is wrong is shown
 * first. */
static void cause_of_door(const struct diagnosis *d, char out[CONDITION_CAUSE_SIZE])
{
	if (d->actor == ACTOR_OPERATOR && d->observed_n)
		snprintf(out, CONDITION_CAUSE_SIZE, "edge:%s", d->observed[0].server);
}

/* "ns1.provider.example 192.0.2.1": the registered domain of the name; of several the first. */
static void cause_of_servers(const struct diagnosis *d, char out[CONDITION_CAUSE_SIZE])
{
	char name[sizeof d->observed[0].server], first[sizeof name] = "";

	for (size_t i = 0; i < d->observed_n; i++) {
		const char *domain;

		snprintf(name, sizeof name, "%s", d->observed[i].server);
		name[strcspn(name, " ")] = '\0';
		domain = strchr(name, '.') ? name_registered_domain(name) : NULL;
		if (domain && (!first[0] || strcmp(domain, first) < 0))
			snprintf(first, sizeof first, "%s", domain);
	}
	if (first[0])
		snprintf(out, CONDITION_CAUSE_SIZE, "ns:%s", first);
}

void verify_cause(const struct diagnosis *d, char out[CONDITION_CAUSE_SIZE])
{
	out[0] = '\0';
	if (served_is_wrong(d->code))
		cause_of_edge(d, out);
	else if (door_is_code(d->code))
		cause_of_door(d, out);
	else if (is_one_of(d->code, of_servers, ARRAY_LEN(of_servers)))
		cause_of_servers(d, out);
	else if (d->record[0] && is_one_of(d->code, of_zone, ARRAY_LEN(of_zone)))
		snprintf(out, CONDITION_CAUSE_SIZE, "zone:%.120s", d->record);
}

static void describe(const struct endpoint *e, const struct diagnosis *d, int64_t now_ms,
	int64_t next_ms, struct condition *out)
{
	const struct endpoint_cert *x = &e->cert;
	_buf_release_ struct buf text = BUF_INIT(2048);
	char when[CLOCK_RFC3339_LEN];

	diagnosis_sentence(d, &text);
	out->code = d->code;
	out->severity = condition_severity(x->not_before_ms, x->not_after_ms, now_ms);
	out->actor = diagnosis_actor_word(d->actor);
	out->deadline_ms = d->effect_ms;
	verify_cause(d, out->cause);
	snprintf(out->text, sizeof out->text, "%s%s%s", d->effect, d->effect[0] ? " " : "",
		buf_cstr(&text));
	one_line(d->fix, out->fix, sizeof out->fix);
	snprintf(
		out->next, sizeof out->next, "looked at again at %s", clock_rfc3339(next_ms, when));
}

/* What a resolver sees has the cause that the servers themselves show. */
static void share_cause(struct condition *c, size_t n)
{
	const char *cause = NULL;

	for (size_t i = 0; i < n && !cause; i++)
		if (!strncmp(c[i].cause, "ns:", 3) || !strncmp(c[i].cause, "zone:", 5))
			cause = c[i].cause;
	for (size_t i = 0; i < n && cause; i++)
		if (!c[i].cause[0] && is_one_of(c[i].code, of_resolver, ARRAY_LEN(of_resolver)))
			snprintf(c[i].cause, sizeof c[i].cause, "%s", cause);
}

/* A resolver remembers a failure for a while after it has ended: what it alone says, while the
 * servers answer, counts when it goes on. */
static size_t drop_unconfirmed(const struct endpoint_verdict *v, int64_t confirm_ms, int64_t now_ms,
	struct condition *c, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		int64_t since = 0;

		for (size_t k = 0; k < v->diagnoses_n; k++)
			if (!strcmp(v->diagnoses[k].code, c[i].code) &&
				v->diagnoses[k].since_ms > since)
				since = v->diagnoses[k].since_ms;
		if (c[i].cause[0] || !is_one_of(c[i].code, of_resolver, ARRAY_LEN(of_resolver)) ||
			now_ms - since >= confirm_ms)
			c[kept++] = c[i];
	}
	return kept;
}

static void describe_departed(const struct endpoint *e, int64_t next_ms, struct condition *out)
{
	char since[CLOCK_RFC3339_LEN], end[CLOCK_RFC3339_LEN], when[CLOCK_RFC3339_LEN];

	*out = (struct condition){.code = "departed",
		.severity = "info",
		.actor = "operator",
		.deadline_ms = e->cert.not_after_ms};
	snprintf(out->text, sizeof out->text,
		"No record of %s%s points here since %s: its owner seems to have left. Its "
		"certificate is "
		"not renewed any more, and ends at %s.",
		e->config.names[0], e->config.names_n > 1 ? " and its other names" : "",
		clock_rfc3339(e->verdict.gone_ms, since), clock_rfc3339(e->cert.not_after_ms, end));
	snprintf(out->fix, sizeof out->fix,
		"certfleet endpoint remove %s; or let the owner create the records again",
		e->config.id);
	snprintf(
		out->next, sizeof out->next, "looked at again at %s", clock_rfc3339(next_ms, when));
}

/* Edges need some time to load a certificate: it is told when it was seen for so many looks. */
#define STALE_LOOKS 4

static void say_how_many(const struct served *s, struct condition *c)
{
	_buf_release_ struct buf text = BUF_INIT(4096);

	buf_adds(&text, "Served at ");
	proof_words(s, &text);
	buf_addf(&text, ". %s", c->text);
	snprintf(c->text, sizeof c->text, "%s", buf_cstr(&text));
}

static size_t add_served(
	const struct endpoint *e, int64_t now_ms, int64_t next_ms, struct condition *out, size_t n)
{
	const struct endpoint_verdict *v = &e->verdict;

	if (v->served.status != SERVED_STALE || v->served.tries < STALE_LOOKS)
		return n;
	for (size_t i = 0; i < v->diagnoses_n && n < CONDITIONS_MAX; i++) {
		const struct diagnosis *d = &v->diagnoses[i];

		if (!served_is_wrong(d->code) || is_listed(out, n, d->code))
			continue;
		describe(e, d, now_ms, next_ms, &out[n]);
		say_how_many(&v->served, &out[n]);
		out[n++].severity = diagnosis_severity_word(d->severity);
	}
	return n;
}

/* One probe may go wrong by chance. */
#define WRONG_PROBES 2

/* What is seen by connecting is told when it was seen again; what the edge serves, elsewhere. */
static bool is_told(const struct endpoint *e, const struct diagnosis *d)
{
	const struct diagnosis_kind *k = diagnosis_kind(d->code);
	const struct name_verdict *n;

	if (!k || !k->probed)
		return true;
	n = endpoint_verdict_of(&e->verdict, d->name);
	return door_is_code(d->code) && n && n->probe.tries >= WRONG_PROBES;
}

size_t verify_conditions(const struct endpoint *e, int64_t now_ms, int64_t next_ms,
	int64_t confirm_ms, struct condition *out)
{
	const struct endpoint_verdict *v = &e->verdict;
	size_t n = 0;

	if (!e->has_cert || e->cert.revoked_ms)
		return 0;
	if (v->departed) {
		describe_departed(e, next_ms, &out[0]);
		return 1;
	}
	for (size_t i = 0; i < v->diagnoses_n && n < CONDITIONS_MAX; i++) {
		const struct diagnosis *d = &v->diagnoses[i];

		/* An outage of ours is one alert of the fleet's. */
		if (d->severity == DIAGNOSIS_INFO || !is_told(e, d) ||
			!strcmp(d->code, "our_outage") || !hurts(e, d->name) ||
			is_listed(out, n, d->code))
			continue;
		describe(e, d, now_ms, next_ms, &out[n++]);
	}
	share_cause(out, n);
	n = drop_unconfirmed(v, confirm_ms, now_ms, out, n);
	return add_served(e, now_ms, next_ms, out, n);
}

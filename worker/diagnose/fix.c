/* Diagnoses put into words: what was expected and found where, and the edits, in the order that
 * breaks nothing. */
#include "common/clock.h"
#include "common/mem.h"
#include "common/names.h"
#include "worker/diagnose/diagnose_internal.h"
#include "worker/diagnose/provider.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct diagnosis *add_diagnosis(struct view *v, struct diagnose_result *out, const char *code)
{
	struct diagnosis *d;

	if (out->diagnoses_n == DIAGNOSES_MAX)
		return NULL;
	d = &out->diagnoses[out->diagnoses_n++];
	diagnosis_init(d, code, v->c->name);
	d->since_ms = v->c->now_ms;
	return d;
}

void put_record(struct view *v, struct diagnosis *d, const char *owner, const char *type,
	const char *expected)
{
	(void)v;
	snprintf(d->record, sizeof d->record, "%s %s", owner, type);
	snprintf(d->expected, sizeof d->expected, "%s", expected);
}

/* --- what was found */

static void put_records(char *out, size_t size, const struct fact_answer *a, const char *type)
{
	size_t at = 0;

	for (size_t i = 0; i < a->n_records && i < 4 && at < size; i++)
		at += (size_t)snprintf(
			out + at, size - at, "%s%s %s", i ? ", " : "", type, a->records[i]);
	if (a->n_records > 4 && at < size)
		snprintf(out + at, size - at, " and %zu more", a->n_records - 4 + a->n_more);
}

static const char *word_of(const struct fact_answer *a)
{
	switch (a->end) {
	case FACT_NXDOMAIN:
		return "NXDOMAIN";
	case FACT_NODATA:
		return "no such record";
	case FACT_REFERRAL:
		return "a referral to another zone";
	case FACT_LAME:
		return "it does not serve the zone";
	case FACT_SERVFAIL:
		return "SERVFAIL";
	case FACT_BOGUS:
		return "DNSSEC validation failed";
	case FACT_TIMEOUT:
		return "no answer";
	case FACT_NETWORK:
		return "not reachable";
	case FACT_TCP_REFUSED:
		return "TCP refused";
	case FACT_UNSAFE:
		return "not asked: not a public address";
	case FACT_SKIPPED:
		return "not asked";
	case FACT_RECORDS:
	case FACT_ERROR:
		break;
	}
	return "an error";
}

void observe_answer(struct diagnosis *d, const struct fact_answer *a, uint16_t type)
{
	char server[160], what[256] = "", host[ADDR_TEXT_SIZE] = "";

	if (a->address.sa.sa_family && strcmp(a->server, "resolver") != 0)
		addr_format_host(&a->address, host);
	snprintf(server, sizeof server, "%s%s%s", a->server, host[0] ? " " : "", host);
	if (a->n_hops && type != DNS_CNAME)
		snprintf(what, sizeof what, "CNAME %s", a->hops[0]);
	else if (a->end == FACT_RECORDS)
		put_records(what, sizeof what, a, dns_type_word(type));
	else
		snprintf(what, sizeof what, "%s", word_of(a));
	diagnosis_observe(d, server, what, a->ttl_s);
}

void put_observed(struct view *v, struct diagnosis *d, uint16_t type, const char *owner)
{
	const struct fact *fact = facts_find(v->f, ASK_SERVERS, type, owner);

	for (size_t i = 0; fact && i < fact->n; i++)
		if (fact->answers[i].end != FACT_SKIPPED)
			observe_answer(d, &fact->answers[i], type);
	fact = facts_find(v->f, ASK_RESOLVER, type, owner);
	if (fact && fact->n && (!d->observed_n || end_is_failure(fact->answers[0].end)))
		observe_answer(d, &fact->answers[0], type);
}

/* --- the edits */

void fix_line(struct diagnosis *d, const char *format, ...)
{
	size_t at = strlen(d->fix);
	va_list ap;

	if (at && at + 1 < sizeof d->fix)
		d->fix[at++] = '\n';
	va_start(ap, format);
	vsnprintf(d->fix + at, sizeof d->fix - at, format, ap);
	va_end(ap);
}

static const struct provider *provider_here(const struct view *v)
{
	const struct fact_zone *zone = view_zone(v);
	const struct provider *p = NULL;

	for (size_t i = 0; zone && !p && i < zone->n_servers; i++)
		p = provider_of(zone->servers[i].name);
	return p;
}

bool view_is_apex(const struct view *v, const char *name)
{
	const struct fact_zone *zone = view_zone(v);

	return zone && zone->end == FACT_RECORDS ? !strcmp(zone->apex, name)
						 : !strcmp(name_registered_domain(name), name);
}

/* The part of the name before its zone: what most forms want; the whole name if the zone is not
 * known. */
static const char *before_zone(const struct view *v, const char *owner, char out[NAME_SIZE * 2])
{
	const struct fact_zone *zone = view_zone(v);
	size_t n = strlen(owner), m = zone ? strlen(zone->apex) : 0;

	snprintf(out, NAME_SIZE * 2, "%s", owner);
	if (!zone || !strcmp(zone->apex, ".") || !name_is_under(owner, zone->apex))
		return out;
	if (n == m)
		return "@";
	out[n - m - 1] = '\0';
	return out;
}

static void by_provider(const struct view *v, struct diagnosis *d, const struct provider *p,
	const char *verb, const char *owner, const char *target)
{
	char part[NAME_SIZE * 2];

	snprintf(d->provider, sizeof d->provider, "%s", p->name);
	fix_line(d, "At %s (%s), %s: type CNAME, %s \"%s\", %s \"%s%s\"%s%s", p->name, p->where,
		verb, p->field, p->full ? owner : before_zone(v, owner, part), p->value, target,
		p->dot ? "." : "", p->switch_off ? ", " : "", p->switch_off ? p->switch_off : "");
}

static void by_anybody(const struct view *v, struct diagnosis *d, const char *verb,
	const char *owner, const char *target)
{
	char part[NAME_SIZE * 2];
	const char *name = before_zone(v, owner, part);

	fix_line(d, "%s: %s CNAME %s", verb, owner, target);
	if (strcmp(name, owner) != 0)
		fix_line(d,
			"Where the form adds the zone %s by itself, the name is \"%s\"; the target "
			"ends with a dot.",
			view_zone(v)->apex, name);
}

void fix_create(struct view *v, struct diagnosis *d, const char *owner, const char *target)
{
	const struct provider *p = provider_here(v);

	if (p)
		by_provider(v, d, p, "add a record", owner, target);
	else
		by_anybody(v, d, "Create", owner, target);
}

void fix_change(struct view *v, struct diagnosis *d, const char *owner, const char *target,
	const char *from)
{
	const struct provider *p = provider_here(v);
	_mem_free_ char *verb = mem_printf("change the record that has %.200s", from);

	if (p)
		by_provider(v, d, p, verb, owner, target);
	else
		by_anybody(v, d, "Change it to", owner, target);
}

void fix_traffic(struct view *v, struct diagnosis *d)
{
	const char *target = v->c->config->target;
	const struct provider *p = provider_here(v);

	if (!view_is_apex(v, v->c->name)) {
		fix_create(v, d, v->c->name, target);
		return;
	}
	if (p)
		snprintf(d->provider, sizeof d->provider, "%s", p->name);
	if (p && p->apex)
		fix_line(d, "At %s (%s): at the apex, %s \"@\", type %s, to \"%s\"", p->name,
			p->where, p->field, p->apex, target);
	else
		fix_line(d,
			"%s is a zone's apex, where no CNAME can be: create an ALIAS or ANAME to "
			"%s%s%s",
			v->c->name, target, p ? ", which has no name at " : "", p ? p->name : "");
	fix_line(d, "Without such a record: A and AAAA with the addresses of %s", target);
}

/* --- the effect */

static void put_renewal(const struct endpoint_cert *x, struct diagnosis *d, int64_t now_ms)
{
	char due[CLOCK_RFC3339_LEN], end[CLOCK_RFC3339_LEN];
	bool late = x->renew_at_ms <= now_ms;

	clock_rfc3339(x->renew_at_ms, due);
	clock_rfc3339(x->not_after_ms, end);
	d->effect_ms = late ? x->not_after_ms : x->renew_at_ms;
	snprintf(d->effect, sizeof d->effect,
		late ? "The renewal that was due at %s fails; the certificate ends at %s."
		     : "The renewal due at %s will fail; the certificate ends at %s.",
		due, end);
}

void put_effect(const struct view *v, struct diagnosis *d, bool all_hangs_on_it)
{
	bool challenge = !strncmp(d->record, "_acme-challenge.", 16);

	if (d->severity == DIAGNOSIS_INFO || d->actor == ACTOR_NOBODY)
		return;
	if (all_hangs_on_it && v->c->cert)
		put_renewal(v->c->cert, d, v->c->now_ms);
	else if (all_hangs_on_it)
		snprintf(d->effect, sizeof d->effect,
			"No certificate can be issued before this is right.");
	else if (challenge)
		snprintf(d->effect, sizeof d->effect,
			"dns-01 cannot be used; http-01 can, as long as the traffic stays.");
	else if (d->record[0] && v->external)
		snprintf(d->effect, sizeof d->effect,
			"Who opens %.80s does not reach %.80s; certificates are issued by "
			"dns-01.",
			v->c->name, v->c->config->target);
}

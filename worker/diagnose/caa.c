#include "worker/diagnose/caa.h"

#include "common/mem.h"
#include "common/names.h"
#include "worker/diagnose/diagnose_internal.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define VALUE_MAX 512

/* What authorities know; others forbid when they are critical. */
static const char *const known[] = {
	"issue", "issuewild", "iodef", "issuemail", "issuevmc", "contactemail", "contactphone"};

static const char *parent_of(const char *name)
{
	const char *dot = strchr(name, '.');

	return dot ? dot + 1 : NULL;
}

/* No answer at all may be our resolver's fault: the servers tell. */
static bool is_silence(const struct fact_answer *a)
{
	return a->end == FACT_TIMEOUT || a->end == FACT_NETWORK;
}

void view_caa(struct view *v)
{
	if (!v->c->n_authorities)
		return;
	for (const char *at = v->base; at; at = parent_of(at)) {
		const struct fact_answer *a = view_answer(v, DNS_CAA, at);

		if (a && is_silence(a))
			view_need(v, ASK_SERVERS, DNS_CAA, at);
	}
}

static const struct fact_answer *set_at(const struct facts *f, const char *at)
{
	const struct fact *asked = facts_find(f, ASK_RESOLVER, DNS_CAA, at);
	const struct fact_answer *a = asked && asked->n ? &asked->answers[0] : NULL;
	const struct fact *servers = facts_find(f, ASK_SERVERS, DNS_CAA, at);

	for (size_t i = 0; a && is_silence(a) && servers && i < servers->n; i++)
		if (!end_is_failure(servers->answers[i].end))
			return &servers->answers[i];
	return a;
}

/* --- one property's value: "ca.example; accounturi=https://…; validationmethods=dns-01,http-01" */

/* Without the blanks around; cuts at the next ';'. Returns what follows, or NULL. */
static char *take_part(char **part)
{
	char *s = *part + strspn(*part, " \t"), *end = strchr(s, ';'), *rest = end ? end + 1 : NULL;
	size_t n = end ? (size_t)(end - s) : strlen(s);

	while (n && (s[n - 1] == ' ' || s[n - 1] == '\t'))
		n--;
	s[n] = '\0';
	*part = s;
	return rest;
}

static const char *const type_names[] = {
	[CHALLENGE_HTTP01] = "http-01", [CHALLENGE_DNS01] = "dns-01"};

static bool in_list(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (; *list; list += strcspn(list, ","), list += *list == ',') {
		list += strspn(list, " \t");
		if (!strncasecmp(list, word, n) && strchr(", \t", list[n]))
			return true;
	}
	return false;
}

static bool parameter_fits(
	const char *p, const struct diagnose_authority *a, enum challenge_type type)
{
	if (!strncasecmp(p, "accounturi=", 11))
		return !a->account_url || !strcmp(p + 11, a->account_url);
	if (!strncasecmp(p, "validationmethods=", 18))
		return in_list(p + 18, type_names[type]);
	return true; /* unknown parameters are the authority's business */
}

static bool is_identity(const struct diagnose_authority *a, const char *domain)
{
	for (size_t i = 0; i < a->n_identities; i++)
		if (!strcasecmp(a->identities[i], domain))
			return true;
	return false;
}

enum match { OTHER, OTHER_ACCOUNT, FITS };

static enum match match_value(
	const struct dns_record *r, const struct diagnose_authority *a, enum challenge_type type)
{
	char text[VALUE_MAX], *part = text, *rest;
	size_t n = r->caa.value.len < sizeof text - 1 ? r->caa.value.len : sizeof text - 1;

	memcpy(text, r->caa.value.bytes, n);
	text[n] = '\0';
	rest = take_part(&part);
	if (!is_identity(a, part))
		return OTHER;
	while ((part = rest)) {
		rest = take_part(&part);
		if (!parameter_fits(part, a, type))
			return OTHER_ACCOUNT;
	}
	return FITS;
}

/* --- a set */

static bool is_known(const char *tag)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (!strcasecmp(tag, known[i]))
			return true;
	return false;
}

static bool has_tag(const struct fact_answer *set, const char *tag)
{
	for (size_t i = 0; i < set->n_records; i++)
		if (!strcasecmp(set->raw[i].caa.tag, tag))
			return true;
	return false;
}

static const char *judge_set(const struct fact_answer *set, bool wildcard,
	const struct diagnose_authority *a, enum challenge_type type, const char **property)
{
	enum match best = OTHER;

	for (size_t i = 0; i < set->n_records; i++)
		if (set->raw[i].caa.critical && !is_known(set->raw[i].caa.tag))
			return "caa_critical";
	*property = wildcard && has_tag(set, "issuewild") ? "issuewild" : "issue";
	if (!has_tag(set, *property))
		return NULL;
	for (size_t i = 0; i < set->n_records; i++) {
		enum match m = strcasecmp(set->raw[i].caa.tag, *property) != 0
				       ? OTHER
				       : match_value(&set->raw[i], a, type);

		best = m > best ? m : best;
	}
	if (best == FITS)
		return NULL;
	if (best == OTHER_ACCOUNT)
		return "caa_account";
	return !strcmp(*property, "issuewild") ? "caa_wildcard" : "caa_forbids";
}

void caa_judge(const struct facts *f, const char *base, bool wildcard,
	const struct diagnose_authority *a, enum challenge_type type, struct caa_judgement *out)
{
	*out = (struct caa_judgement){
		.said = CAA_ALLOWS, .property = wildcard ? "issuewild" : "issue"};
	for (const char *at = base; at && a->n_identities; at = parent_of(at)) {
		const struct fact_answer *set = set_at(f, at);

		if (!set)
			return; /* never asked */
		if (end_is_missing(set->end))
			continue;
		out->owner = at;
		if (set->end != FACT_RECORDS || (set->n_records && !set->raw)) {
			out->said = CAA_UNREADABLE;
			out->code = "caa_unreadable";
			return;
		}
		out->code = judge_set(set, wildcard, a, type, &out->property);
		out->said = out->code ? CAA_FORBIDS : CAA_ALLOWS;
		return;
	}
}

/* --- for a case */

static void fix_caa(struct view *v, struct diagnosis *d, const struct diagnose_authority *a,
	const struct caa_judgement *j)
{
	const char *identity = a->n_identities ? a->identities[0] : a->name;

	if (!strcmp(j->code, "caa_unreadable"))
		fix_line(d,
			"Let the name servers of %s answer questions for CAA: \"no such record\" "
			"will "
			"do.",
			j->owner);
	else if (!strcmp(j->code, "caa_critical"))
		fix_line(d,
			"Remove the critical CAA property of %s that is not issue or issuewild.",
			j->owner);
	else if (!strcmp(j->code, "caa_account"))
		fix_line(d, "Change it to: %s CAA 0 %s \"%s%s%s\"", j->owner, j->property, identity,
			a->account_url ? "; accounturi=" : "",
			a->account_url ? a->account_url : "");
	else
		fix_line(d, "Add: %s CAA 0 %s \"%s\"", j->owner, j->property, identity);
	(void)v;
}

static void say_caa(struct view *v, struct diagnose_result *out, const struct diagnose_authority *a,
	const struct caa_judgement *j)
{
	struct diagnosis *d = add_diagnosis(v, out, j->code);

	if (!d)
		return;
	snprintf(d->authority, sizeof d->authority, "%s", a->name);
	put_record(v, d, j->owner, "CAA",
		view_text(v, "0 %s \"%s\", or no CAA at all", j->property,
			a->n_identities ? a->identities[0] : a->name));
	put_observed(v, d, DNS_CAA, j->owner);
	fix_caa(v, d, a, j);
}

static enum verdict barred(const struct caa_judgement *j)
{
	return j->said == CAA_ALLOWS    ? VERDICT_CAN
	       : j->said == CAA_FORBIDS ? VERDICT_CANNOT
					: VERDICT_UNSURE;
}

/* Returns whether the authority may do something at least. */
static bool judge_authority(
	struct view *v, struct diagnose_result *out, const struct diagnose_authority *a)
{
	struct caa_judgement dns, http;
	const struct caa_judgement *worse;
	bool wildcard = name_is_wildcard(v->c->name);
	struct verdict_bar *bar;

	caa_judge(v->f, v->base, wildcard, a, CHALLENGE_DNS01, &dns);
	caa_judge(v->f, v->base, wildcard, a, CHALLENGE_HTTP01, &http);
	/* A resolver that says nothing to us says nothing of anybody's CAA. */
	if ((dns.said == CAA_ALLOWS && http.said == CAA_ALLOWS) ||
		(dns.said == CAA_UNREADABLE && (out->blind || out->unanswered)))
		return true;
	if (out->bars_n == DIAGNOSE_BARS_MAX)
		return false;
	worse = dns.said != CAA_ALLOWS ? &dns : &http;
	bar = &out->bars[out->bars_n++];
	*bar = (struct verdict_bar){.http01 = barred(&http), .dns01 = barred(&dns)};
	snprintf(bar->authority, sizeof bar->authority, "%s", a->name);
	snprintf(bar->code, sizeof bar->code, "%s", worse->code);
	say_caa(v, out, a, worse);
	return dns.said == CAA_ALLOWS || http.said == CAA_ALLOWS;
}

void judge_caa(struct view *v, struct diagnose_result *out)
{
	size_t before = out->diagnoses_n;
	bool any = false;

	for (size_t i = 0; i < v->c->n_authorities; i++)
		any |= judge_authority(v, out, &v->c->authorities[i]);
	/* Another authority is used instead. */
	for (size_t i = before; any && i < out->diagnoses_n; i++)
		out->diagnoses[i].severity = DIAGNOSIS_INFO;
}

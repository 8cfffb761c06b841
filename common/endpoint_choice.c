/* Which challenge a name would be validated by, and why: in words. */
#include "common/diagnosis.h"
#include "common/endpoint.h"

#include <stdio.h>
#include <string.h>

static const char *means(const char *code)
{
	const struct diagnosis_kind *k = diagnosis_kind(code);

	return k ? k->means : code;
}

static const struct verdict_bar *bar_of(const struct endpoint_verdict *v, const char *name)
{
	for (size_t i = 0; i < v->bars_n; i++)
		if (!strcmp(v->bars[i].authority, v->via) && v->bars[i].name < v->names_n &&
			!strcmp(v->names[v->bars[i].name].name, name))
			return &v->bars[i];
	return NULL;
}

static void why_none(const struct endpoint *e, const struct name_verdict *n, char *out, size_t size)
{
	const struct verdict_bar *bar = bar_of(&e->verdict, n->name);

	if (bar && bar->code[0])
		snprintf(out, size, "%s", means(bar->code));
	else
		snprintf(out, size, "_acme-challenge: %s%s%s", means(n->challenge.code),
			n->traffic.code[0] ? "; traffic: " : "", means(n->traffic.code));
}

static void why_http(
	const struct endpoint *e, const struct name_verdict *n, bool can, char *out, size_t size)
{
	snprintf(out, size, "the name %s %.90s%s; dns-01 cannot be used: %s",
		can ? "reaches" : "may reach", e->config.target,
		n->probe.status == PROBE_WRONG   ? ", though no challenge came through"
		: n->probe.status == PROBE_RIGHT ? ", as a challenge came through"
						 : "",
		n->challenge.code[0] ? means(n->challenge.code) : "CAA forbids it");
}

void endpoint_choose(const struct endpoint *e, const char *name, struct endpoint_choice *out)
{
	const struct name_verdict *n =
		e->has_verdict ? endpoint_verdict_of(&e->verdict, name) : NULL;
	enum challenge_type types[2];
	size_t types_n = endpoint_challenges(e, name, "", types);

	*out = (struct endpoint_choice){.any = types_n > 0};
	snprintf(out->authority, sizeof out->authority, "%s",
		n && e->verdict.via[0] ? e->verdict.via : e->config.authority);
	if (!n) {
		out->any = false;
		snprintf(out->why, sizeof out->why, "its DNS was not looked at yet");
		return;
	}
	if (!types_n) {
		why_none(e, n, out->why, sizeof out->why);
		return;
	}
	out->type = types[0];
	out->verdict = endpoint_verdict_by(&e->verdict, name, "", types[0]);
	if (out->type == CHALLENGE_HTTP01)
		why_http(e, n, out->verdict == VERDICT_CAN, out->why, sizeof out->why);
	else if (out->verdict == VERDICT_CAN)
		snprintf(out->why, sizeof out->why,
			"its _acme-challenge record is right, and dns-01 needs no traffic here");
	else
		snprintf(out->why, sizeof out->why, "tried once a day, for it is not certain: %s",
			n->challenge.code[0] ? means(n->challenge.code) : "CAA cannot be read");
}

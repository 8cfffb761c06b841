#include "worker/jobs/look.h"

#include "common/label.h"
#include "common/str.h"

#include <stdio.h>
#include <string.h>

static void say(
	struct record_look *l, enum record_status status, const char *code, const char *observed)
{
	l->status = status;
	snprintf(l->code, sizeof l->code, "%s", code);
	snprintf(l->observed, sizeof l->observed, "%s", observed);
}

/* How a look ended that brought no record at all. */
static void say_end(struct record_look *l, enum look_end end)
{
	switch (end) {
	case LOOK_NOTHING:
		say(l, RECORD_MISSING, "record_missing", "");
		return;
	case LOOK_NXDOMAIN:
		say(l, RECORD_MISSING, "record_missing", "NXDOMAIN");
		return;
	case LOOK_SERVFAIL:
		say(l, RECORD_ERROR, "servfail", "SERVFAIL");
		return;
	case LOOK_TIMEOUT:
		say(l, RECORD_ERROR, "servers_silent", "no answer");
		return;
	case LOOK_REFUSED:
		say(l, RECORD_ERROR, "lame_server", "REFUSED");
		return;
	case LOOK_FOUND:
		break;
	}
}

static bool has_hop(const struct look_cname *c, const char *target)
{
	for (size_t i = 0; i < c->n; i++)
		if (!strcmp(c->hops[i], target))
			return true;
	return false;
}

static bool in_our_zones(const struct look_policy *p, const char *name)
{
	for (size_t i = 0; i < p->zones_n; i++)
		if (name_is_under(name, p->zones[i]))
			return true;
	return false;
}

/* The provider's form appended the customer's zone to what was typed. */
static bool doubled(const char *seen, const char *expected)
{
	size_t n = strlen(expected);

	return !strncmp(seen, expected, n) && seen[n] == '.';
}

static void judge_wrong_cname(const struct look_cname *c, const struct look_policy *p,
	const char *expected, struct record_look *l)
{
	const char *last = c->hops[c->n - 1];

	if (c->loop)
		say(l, RECORD_WRONG, "cname_loop", last);
	else if (doubled(c->hops[0], expected))
		say(l, RECORD_WRONG, "target_doubled", c->hops[0]);
	else if (in_our_zones(p, last))
		say(l, RECORD_WRONG, "label_not_yours", last);
	else
		say(l, RECORD_WRONG, "cname_elsewhere", c->hops[0]);
}

static void judge_challenge(const struct endpoint_config *cfg, const struct look_policy *p,
	const struct look_name *seen, struct name_verdict *out)
{
	const struct look_cname *c = &seen->challenge;
	char label[LABEL_SIZE], expected[NAME_SIZE];

	if (c->end != LOOK_FOUND || !c->n) {
		say_end(&out->challenge, c->end == LOOK_FOUND ? LOOK_NOTHING : c->end);
		return;
	}
	label_make(p->label_key, cfg->tenant, name_base(seen->name), label);
	for (size_t i = 0; i < p->zones_n; i++) {
		snprintf(expected, sizeof expected, "%s.%s", label, p->zones[i]);
		if (!has_hop(c, expected))
			continue;
		say(&out->challenge, RECORD_RIGHT, i ? "label_old" : "", expected);
		return;
	}
	snprintf(expected, sizeof expected, "%s.%s", label, p->zones[0]);
	judge_wrong_cname(c, p, expected, &out->challenge);
}

static bool has_address(const struct look_addresses *in, const char *text)
{
	for (size_t i = 0; i < in->n; i++)
		if (!strcmp(in->text[i], text))
			return true;
	return false;
}

/* An apex cannot hold a CNAME: an ALIAS or flattened addresses that all reach the target are right.
 */
static void judge_addresses(const struct look_name *seen, struct record_look *l)
{
	size_t ours = 0;

	if (seen->own.end != LOOK_FOUND || !seen->own.n) {
		say_end(l, seen->own.end == LOOK_FOUND ? LOOK_NOTHING : seen->own.end);
		return;
	}
	for (size_t i = 0; i < seen->own.n; i++)
		ours += has_address(&seen->target, seen->own.text[i]);
	if (ours == seen->own.n)
		say(l, RECORD_RIGHT, "", seen->own.text[0]);
	else
		say(l, RECORD_WRONG, ours ? "addresses_mixed" : "addresses_elsewhere",
			seen->own.text[0]);
}

static void judge_traffic(const struct endpoint_config *cfg, const struct look_policy *p,
	const struct look_name *seen, struct name_verdict *out)
{
	const struct look_cname *c = &seen->traffic;

	if (cfg->type != ENDPOINT_EXTERNAL)
		return;
	if (c->end == LOOK_FOUND && c->n) {
		if (has_hop(c, cfg->target))
			say(&out->traffic, RECORD_RIGHT, "", cfg->target);
		else
			judge_wrong_cname(c, p, cfg->target, &out->traffic);
	} else if (c->end == LOOK_NOTHING) {
		judge_addresses(seen, &out->traffic);
	} else {
		say_end(&out->traffic, c->end);
	}
}

static enum verdict verdict_of(const struct record_look *l)
{
	switch (l->status) {
	case RECORD_RIGHT:
		return VERDICT_CAN;
	case RECORD_MISSING:
	case RECORD_WRONG:
		return VERDICT_CANNOT;
	case RECORD_UNKNOWN:
	case RECORD_ERROR:
		break;
	}
	return VERDICT_UNSURE;
}

/* Design section 3, claim: what in public DNS names this tenant, and whether it can name one only.
 */
static void judge_proof(const struct endpoint_config *cfg, const struct look_policy *p,
	const struct look_name *seen, struct name_verdict *out)
{
	bool traffic_right = out->traffic.status == RECORD_RIGHT;
	const char *owner = p->target_tenant ? p->target_tenant(p->arg, cfg->target) : NULL;

	out->proof_exclusive = out->challenge.status == RECORD_RIGHT ||
			       (traffic_right && owner && !strcmp(owner, cfg->tenant));
	out->proven =
		out->proof_exclusive || seen->txt_proof || (traffic_right && p->trust_target_cname);
}

void look_judge(const struct endpoint_config *c, const struct look_policy *policy,
	const struct look_name *seen, struct name_verdict *out)
{
	memset(out, 0, sizeof *out);
	snprintf(out->name, sizeof out->name, "%s", seen->name);
	judge_challenge(c, policy, seen, out);
	judge_traffic(c, policy, seen, out);
	out->dns01 = verdict_of(&out->challenge);
	out->http01 = c->type == ENDPOINT_EXTERNAL && !name_is_wildcard(seen->name)
			      ? verdict_of(&out->traffic)
			      : VERDICT_CANNOT;
	judge_proof(c, policy, seen, out);
}

static bool same_record(const struct record_look *a, const struct record_look *b)
{
	return a->status == b->status && !strcmp(a->code, b->code) &&
	       !strcmp(a->observed, b->observed);
}

bool look_same(const struct name_verdict *a, const struct name_verdict *b)
{
	return !strcmp(a->name, b->name) && same_record(&a->traffic, &b->traffic) &&
	       same_record(&a->challenge, &b->challenge) && a->http01 == b->http01 &&
	       a->dns01 == b->dns01 && a->claim == b->claim && a->proven == b->proven;
}

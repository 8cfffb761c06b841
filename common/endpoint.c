#include "common/endpoint.h"

#include "common/label.h"
#include "common/mem.h"
#include "common/str.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

void endpoint_config_release(struct endpoint_config *c)
{
	free(c->names);
	memset(c, 0, sizeof *c);
}

void endpoint_config_copy(struct endpoint_config *to, const struct endpoint_config *from)
{
	*to = *from;
	to->names = mem_dup(from->names, from->names_n * sizeof *from->names);
}

static bool valid_word(const char *s, size_t max, bool slash)
{
	size_t n = strlen(s);

	return n >= 1 && n <= max && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789._-") == n &&
	       s[0] != '.' && s[0] != '-' && (slash || !strchr(s, '/'));
}

static int check_words(const struct endpoint_config *c, struct why *why)
{
	if (!valid_word(c->id, ENDPOINT_ID_MAX, false))
		return why_set(why, CF_EINVAL,
			"endpoint id \"%s\": expected 1 to %d of a-z 0-9 . _ -, beginning with a "
			"letter, digit or _",
			c->id, ENDPOINT_ID_MAX);
	if (!strcmp(c->id, ENDPOINT_ID_FLEET))
		return why_set(why, CF_EINVAL,
			"endpoint id \"%s\": it stands for the whole fleet in alerts; expected "
			"another",
			c->id);
	if (!valid_word(c->tenant, ENDPOINT_TENANT_MAX, false))
		return why_set(why, CF_EINVAL,
			"tenant \"%s\": expected 1 to %d of a-z 0-9 . _ -, beginning with a "
			"letter, "
			"digit or _",
			c->tenant, ENDPOINT_TENANT_MAX);
	return 0;
}

static void sort_unique(struct endpoint_config *c)
{
	size_t kept = 0;

	qsort(c->names, c->names_n, sizeof *c->names, compare_names);
	for (size_t i = 0; i < c->names_n; i++) {
		if (kept && !strcmp(c->names[kept - 1], c->names[i]))
			continue;
		if (kept != i)
			memcpy(c->names[kept], c->names[i], sizeof c->names[i]);
		kept++;
	}
	c->names_n = kept;
}

int endpoint_config_check(struct endpoint_config *c, struct why *why)
{
	int err = check_words(c, why);

	if (err)
		return err;
	if (c->names_n < 1)
		return why_set(why, CF_EINVAL, "endpoint \"%s\" has no name: expected 1 to %d",
			c->id, ENDPOINT_NAMES_MAX);
	sort_unique(c);
	if (c->names_n > ENDPOINT_NAMES_MAX)
		return why_set(why, CF_ETOOBIG,
			"endpoint \"%s\" has %zu names: expected at most %d", c->id, c->names_n,
			ENDPOINT_NAMES_MAX);
	if (c->type != ENDPOINT_EXTERNAL && c->type != ENDPOINT_INTERNAL)
		return why_set(why, CF_EINVAL, "endpoint \"%s\": type must be external or internal",
			c->id);
	if (c->type == ENDPOINT_EXTERNAL && !c->target[0])
		return why_set(why, CF_EINVAL,
			"endpoint \"%s\" is external and has no target: expected the platform's "
			"host name that its traffic should reach",
			c->id);
	if (c->type == ENDPOINT_EXTERNAL && c->zone[0])
		return why_set(why, CF_EINVAL,
			"endpoint \"%s\" is external and has a zone: an inner zone is for internal "
			"ones",
			c->id);
	return 0;
}

static bool covered(const struct endpoint_config *c, const char *name)
{
	for (size_t i = 0; i < c->names_n; i++)
		if (name_is_wildcard(c->names[i]) && name_covers(c->names[i], name))
			return true;
	return false;
}

size_t endpoint_order_names(const struct endpoint_config *c, const char **out)
{
	size_t n = 0;

	for (size_t i = 0; i < c->names_n; i++)
		if (!covered(c, c->names[i]))
			out[n++] = c->names[i];
	return n;
}

void endpoint_verdict_release(struct endpoint_verdict *v)
{
	free(v->names);
	free(v->bars);
	free(v->diagnoses);
	memset(v, 0, sizeof *v);
}

void endpoint_cert_release(struct endpoint_cert *x)
{
	free(x->der);
	memset(x, 0, sizeof *x);
}

void endpoint_release(struct endpoint *e)
{
	endpoint_config_release(&e->config);
	endpoint_verdict_release(&e->verdict);
	endpoint_cert_release(&e->cert);
	memset(e, 0, sizeof *e);
}

const struct name_verdict *endpoint_verdict_of(const struct endpoint_verdict *v, const char *name)
{
	for (size_t i = 0; i < v->names_n; i++)
		if (!strcmp(v->names[i].name, name))
			return &v->names[i];
	return NULL;
}

static const struct verdict_bar *bar_of(
	const struct endpoint_verdict *v, size_t name, const char *authority)
{
	for (size_t i = 0; i < v->bars_n; i++)
		if (v->bars[i].name == name && !strcmp(v->bars[i].authority, authority))
			return &v->bars[i];
	return NULL;
}

enum verdict endpoint_verdict_by(const struct endpoint_verdict *v, const char *name,
	const char *authority, enum challenge_type type)
{
	const struct name_verdict *n = endpoint_verdict_of(v, name);
	const struct verdict_bar *bar;
	enum verdict own, barred;

	if (!n)
		return VERDICT_UNSURE;
	own = type == CHALLENGE_DNS01 ? n->dns01 : n->http01;
	bar = bar_of(v, (size_t)(n - v->names), authority[0] ? authority : v->via);
	if (!bar || own == VERDICT_CANNOT)
		return own;
	barred = type == CHALLENGE_DNS01 ? bar->dns01 : bar->http01;
	return barred == VERDICT_CAN ? own : barred;
}

bool endpoint_barred(const struct endpoint_verdict *v, const char *name, const char *authority)
{
	const struct name_verdict *n = endpoint_verdict_of(v, name);

	if (!n || (n->dns01 == VERDICT_CANNOT && n->http01 == VERDICT_CANNOT))
		return false;
	return endpoint_verdict_by(v, name, authority, CHALLENGE_DNS01) == VERDICT_CANNOT &&
	       endpoint_verdict_by(v, name, authority, CHALLENGE_HTTP01) == VERDICT_CANNOT;
}

char *endpoint_key_place(const char *id, bool order, char out[ENDPOINT_PLACE_SIZE])
{
	snprintf(out, ENDPOINT_PLACE_SIZE, "endpoint/%s/%s", id, order ? "order" : "key");
	return out;
}

static const struct record_look *look_of(const struct endpoint *e, const char *name, bool challenge)
{
	const struct name_verdict *v =
		e->has_verdict ? endpoint_verdict_of(&e->verdict, name) : NULL;

	if (!v)
		return NULL;
	return challenge ? &v->challenge : &v->traffic;
}

/* Base and wildcard share one _acme-challenge name. */
static bool has_challenge_record(const struct owner_record *records, size_t n, const char *owner)
{
	for (size_t i = 0; i < n; i++)
		if (records[i].challenge && !strcmp(records[i].owner, owner))
			return true;
	return false;
}

static void fill_challenge(const struct endpoint *e, const uint8_t label_key[32], const char *zone,
	const char *name, struct owner_record *r)
{
	char label[LABEL_SIZE];

	label_make(label_key, e->config.tenant, name_base(name), label);
	snprintf(r->owner, sizeof r->owner, "_acme-challenge.%s", name_base(name));
	snprintf(r->target, sizeof r->target, "%s.%s", label, zone);
	r->challenge = true;
	r->name = name;
	r->look = look_of(e, name, true);
}

size_t endpoint_records(const struct endpoint *e, const uint8_t label_key[32], const char *zone,
	struct owner_record **out)
{
	struct owner_record *records = mem_array(e->config.names_n * 2, sizeof *records);
	size_t n = 0;

	for (size_t i = 0; i < e->config.names_n; i++) {
		const char *name = e->config.names[i];

		if (e->config.type == ENDPOINT_EXTERNAL) {
			snprintf(records[n].owner, sizeof records[n].owner, "%s", name);
			snprintf(records[n].target, sizeof records[n].target, "%s",
				e->config.target);
			records[n].name = name;
			records[n].look = look_of(e, name, false);
			n++;
		}
		fill_challenge(e, label_key, zone, name, &records[n]);
		if (!has_challenge_record(records, n, records[n].owner))
			n++;
	}
	*out = records;
	return n;
}

/* Names of enums: one table each, indexed by value. */

static const char *const queue_names[] = {"verify", "issue"};
static const char *const where_names[] = {"none", "due", "running", "parked"};
static const char *const intent_names[] = {"look", "provision", "renew", "revoke", "remove"};
static const char *const lane_names[] = {"person", "urgent", "normal", "suspect"};
static const char *const state_names[] = {"removing", "parked", "departed", "expired", "failing",
	"partial", "provisioning", "waiting_dns", "active"};

const char *queue_name(enum queue_id q)
{
	return queue_names[q];
}

const char *job_where_name(enum job_where w)
{
	return where_names[w];
}

const char *job_intent_name(enum job_intent i)
{
	return intent_names[i];
}

const char *job_lane_name(enum job_lane l)
{
	return lane_names[l];
}

const char *endpoint_state_name(enum endpoint_state s)
{
	return state_names[s];
}

static int index_of(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(names[i], name))
			return (int)i;
	return CF_EINVAL;
}

int endpoint_state_parse(const char *name, enum endpoint_state *out)
{
	int i = index_of(state_names, ARRAY_LEN(state_names), name);

	if (i < 0)
		return i;
	*out = (enum endpoint_state)i;
	return 0;
}

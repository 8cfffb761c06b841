#include "worker/jobs/conditions.h"

#include "common/mem.h"
#include "common/mp.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FIELD_LIMIT 4096
#define EDGE_LIMIT  4096

struct stored {
	char code[ENDPOINT_CODE_MAX + 1];
	char severity[16];
	int64_t since_ms;
	bool still;
};

/* An unreadable field counts as empty: the conditions that hold are opened anew, under the same
 * alert. */
static size_t read_stored(const struct buf *field, struct stored *out)
{
	struct mp_doc doc;
	struct mp root, v;
	size_t n = 0;

	if (!field->len || mp_open(&doc, field->data, field->len, &root, NULL))
		return 0;
	for (struct mp_iter it = mp_iter(&root); n < CONDITIONS_MAX && mp_next(&it, &v);) {
		struct stored *s = &out[n];

		*s = (struct stored){0};
		if (v.key_len > ENDPOINT_CODE_MAX || mp_type(&v) != MP_MAP)
			continue;
		memcpy(s->code, v.key, v.key_len);
		mp_opt_int(&v, "since", &s->since_ms);
		mp_opt_text(&v, "severity", s->severity, sizeof s->severity);
		n++;
	}
	return n;
}

static struct stored *find(struct stored *s, size_t n, const char *code)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(s[i].code, code))
			return &s[i];
	return NULL;
}

struct place {
	struct outcome *o;
	const char *endpoint, *tenant;
	int64_t now_ms;
};

static void edge(const struct place *p, const struct condition *c, bool open, int64_t since_ms)
{
	_buf_release_ struct buf data = BUF_INIT(EDGE_LIMIT);
	_mem_free_ char *id = mem_printf("%s/%s/%s/%" PRId64, p->endpoint, c->code,
		open ? c->severity : "end", open ? since_ms : p->now_ms);
	size_t map = mp_map_open(&data);

	mp_key_int(&data, "V", 1);
	mp_key_str(&data, "condition", c->code);
	mp_key_bool(&data, "open", open);
	mp_key_str(&data, "endpoint", p->endpoint);
	mp_key_str(&data, "tenant", p->tenant);
	mp_key_int(&data, "since", since_ms);
	if (open) {
		mp_key_str(&data, "severity", c->severity);
		mp_key_str(&data, "actor", c->actor);
		mp_key_str(&data, "cause", c->cause[0] ? c->cause : NULL);
		mp_key_int(&data, "deadline", c->deadline_ms);
		mp_key_str(&data, "text", c->text);
		mp_key_str(&data, "fix", c->fix);
		mp_key_str(&data, "next", c->next);
	}
	mp_map_close(&data, map);
	outcome_edge(p->o, c->code, id, &data);
}

static void begin_or_go_on(
	const struct place *p, const struct condition *c, struct stored *was, struct buf *field)
{
	int64_t since = was ? was->since_ms : p->now_ms;
	size_t map;

	if (was)
		was->still = true;
	if (!was || strcmp(was->severity, c->severity) != 0)
		edge(p, c, true, since);
	mp_key(field, c->code);
	map = mp_map_open(field);
	mp_key_int(field, "since", since);
	mp_key_str(field, "severity", c->severity);
	mp_key_str(field, "cause", c->cause[0] ? c->cause : NULL);
	mp_map_close(field, map);
}

void conditions_update(struct outcome *o, const char *field, const struct buf *stored,
	const char *endpoint, const char *tenant, const struct condition *now, size_t n,
	int64_t now_ms)
{
	const struct place p = {.o = o, .endpoint = endpoint, .tenant = tenant, .now_ms = now_ms};
	struct stored was[CONDITIONS_MAX];
	size_t was_n = read_stored(stored, was);
	_buf_release_ struct buf out = BUF_INIT(FIELD_LIMIT);
	size_t map = mp_map_open(&out);

	for (size_t i = 0; i < n && i < CONDITIONS_MAX; i++)
		begin_or_go_on(&p, &now[i], find(was, was_n, now[i].code), &out);
	mp_map_close(&out, map);
	for (size_t i = 0; i < was_n; i++)
		if (!was[i].still)
			edge(&p, &(struct condition){.code = was[i].code}, false, was[i].since_ms);
	if (n)
		outcome_set_buf(o, field, &out);
	else if (stored->len)
		outcome_set(o, field, NULL, 0);
}

/* What an order can fail by that has nothing to do with its endpoint. */
static const struct {
	const char *code;
	const char *actor; /* NULL: whoever */
	const char *kind;
} causes[] = {
	{"serverInternal", NULL, "authority"},
	{"no_answer", NULL, "authority"},
	{"not_acme", NULL, "authority"},
	{"not_trusted", NULL, "authority"},
	{"unknown_authority", NULL, "authority"},
	{"invalidProfile", NULL, "authority"},
	{"rateLimited", NULL, "account"},
	{"accountDoesNotExist", NULL, "account"},
	{"externalAccountRequired", NULL, "account"},
	{"userActionRequired", NULL, "account"},
	{"invalidContact", NULL, "account"},
	{"unsupportedContact", NULL, "account"},
	{"badSignatureAlgorithm", NULL, "account"},
	{"account_deactivated", NULL, "account"},
	{"account_store", NULL, "account"},
	{"unauthorized", "operator", "account"}, /* about the account, not about a name */
	{"our_outage", NULL, "our:responders"},
	{"no_responder", NULL, "our:responders"},
	{"not_visible", NULL, "our:responders"},
	{"publish_failed", NULL, "our:responders"},
};

const char *condition_cause(
	const char *code, const char *actor, const char *authority, char out[CONDITION_CAUSE_SIZE])
{
	out[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(causes); i++) {
		if (strcmp(causes[i].code, code) != 0 ||
			(causes[i].actor && strcmp(causes[i].actor, actor) != 0))
			continue;
		if (strchr(causes[i].kind, ':'))
			snprintf(out, CONDITION_CAUSE_SIZE, "%s", causes[i].kind);
		else if (authority[0])
			snprintf(out, CONDITION_CAUSE_SIZE, "%s:%s", causes[i].kind, authority);
	}
	return out;
}

const char *condition_severity(int64_t not_before_ms, int64_t not_after_ms, int64_t now_ms)
{
	int64_t life = not_after_ms - not_before_ms;
	int64_t left = not_after_ms - now_ms;

	if (life <= 0)
		return "warning";
	if (left > life / 3)
		return "info";
	return left > life / 10 ? "warning" : "critical";
}

/* Changes: checked here as far as can be, then a request on the stream like everybody's. */
#include "common/event.h"
#include "common/mem.h"
#include "scheduler/api/v1_internal.h"
#include "scheduler/cli/endpoint_spec.h"
#include "scheduler/cli/facts.h"

#include <string.h>

/* --- the body */

struct names {
	const char *items[ENDPOINT_NAMES_MAX];
	size_t n;
	bool given;
};

static bool names_of(struct v1_call *c, struct names *out)
{
	json_t *list = json_object_get(c->body, "names"), *name;
	size_t i;

	*out = (struct names){.given = list != NULL};
	if (list && (!json_is_array(list) || json_array_size(list) > ENDPOINT_NAMES_MAX ||
			    !json_array_size(list)))
		return v1_wrong(c, "names", "a list of 1 to 100 domain names");
	json_array_foreach(list, i, name)
	{
		if (!json_is_string(name))
			return v1_wrong(c, "names", "a list of texts");
		out->items[out->n++] = json_string_value(name);
	}
	return true;
}

static const char *const spec_keys[] = {
	"id", "tenant", "type", "target", "authority", "profile", "zone", "key_type", "names"};

static bool read_spec(struct v1_call *c, struct endpoint_spec *s, struct names *names)
{
	struct {
		const char *key;
		const char **into;
	} texts[] = {{"id", &s->id}, {"tenant", &s->tenant}, {"type", &s->type},
		{"target", &s->target}, {"authority", &s->authority}, {"profile", &s->profile},
		{"zone", &s->zone}, {"key_type", &s->key_type}};

	if (!v1_body_needed(c) || !v1_keys_known(c, spec_keys, ARRAY_LEN(spec_keys)) ||
		!names_of(c, names))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (!v1_text(c, texts[i].key, texts[i].into))
			return false;
	s->names = names->items;
	s->names_n = names->n;
	return true;
}

/* --- add */

void v1_add(struct v1_call *c)
{
	_buf_release_ struct buf data = BUF_INIT(ENDPOINT_SPEC_MAX);
	struct endpoint_spec s = {0};
	struct names names;
	struct why why = {""};

	if (!read_spec(c, &s, &names))
		return;
	if (c->who.tenant[0] && s.tenant && strcmp(c->who.tenant, s.tenant) != 0) {
		v1_problemf(c, 403, "not_yours", "\"%s\" adds for the tenant %s alone", c->who.name,
			c->who.tenant);
		return;
	}
	if (c->who.tenant[0])
		s.tenant = c->who.tenant;
	if (endpoint_spec_encode(&s, c->v1->o.config, &data, &why)) {
		v1_problem(c, 422, "invalid", why.text);
		return;
	}
	v1_ask(c, REQUEST_ADD, s.id ? s.id : s.names[0], &data);
}

/* --- of an endpoint that is there: first a look whether it is the caller's */

struct change {
	struct v1_call *call;
	const char *type;
	struct buf data;
};

static void ask_if_allowed(void *arg, int err, const struct reply *reply)
{
	struct change *change = arg;
	struct v1_call *c = change->call;
	struct facts f = {0};
	bool allowed = false;

	c->left = 0;
	if (!err && !v1_facts(c->v1, reply, false, &f)) {
		allowed = v1_may(c, f.endpoint.config.tenant, f.endpoint.config.id);
		facts_release(&f);
	}
	if (err)
		v1_redis_problem(c, err);
	else if (allowed)
		v1_ask(c, change->type, c->id, &change->data);
	else
		v1_problemf(c, 404, "not_found", "there is no endpoint \"%s\"", c->id);
	buf_release(&change->data);
	free(change);
}

static void look_first(struct v1_call *c, const char *type, struct buf *data)
{
	struct change *change = mem_zalloc(sizeof *change);

	change->call = c;
	change->type = type;
	change->data = *data;
	c->left = 1;
	v1_read(c, c->id, ask_if_allowed, change);
}

static void put_given(struct buf *out, const char *key, const char *text)
{
	if (text)
		mp_key_str(out, key, text);
}

void v1_update(struct v1_call *c)
{
	struct buf data = BUF_INIT(ENDPOINT_SPEC_MAX);
	struct endpoint_spec s = {0};
	struct names names;
	size_t map, list;

	if (!read_spec(c, &s, &names))
		return;
	if (s.id || s.tenant) {
		v1_problem(c, 422, "invalid", "id and tenant stay as they are");
		return;
	}
	map = mp_map_open(&data);
	mp_key_str(&data, "id", c->id);
	put_given(&data, "type", s.type);
	put_given(&data, "target", s.target);
	put_given(&data, "authority", s.authority);
	put_given(&data, "profile", s.profile);
	put_given(&data, "zone", s.zone);
	put_given(&data, "key_type", s.key_type);
	if (names.given) {
		mp_key(&data, "names");
		list = mp_array_open(&data);
		for (size_t i = 0; i < names.n; i++)
			mp_str(&data, names.items[i]);
		mp_array_close(&data, list);
	}
	mp_map_close(&data, map);
	look_first(c, REQUEST_UPDATE, &data);
}

static void simple(struct v1_call *c, const char *type, const char *key, const char *value)
{
	struct buf data = BUF_INIT(1024);
	size_t map = mp_map_open(&data);

	mp_key_str(&data, "id", c->id);
	if (value)
		mp_key_str(&data, key, value);
	mp_map_close(&data, map);
	look_first(c, type, &data);
}

void v1_remove(struct v1_call *c)
{
	simple(c, REQUEST_REMOVE, NULL, NULL);
}

void v1_verify(struct v1_call *c)
{
	simple(c, REQUEST_VERIFY, NULL, NULL);
}

void v1_renew(struct v1_call *c)
{
	simple(c, REQUEST_RENEW, NULL, NULL);
}

void v1_revoke(struct v1_call *c)
{
	static const char *const keys[] = {"reason"};
	const char *reason;

	if (v1_keys_known(c, keys, ARRAY_LEN(keys)) && v1_text(c, "reason", &reason))
		simple(c, REQUEST_REVOKE, "reason", reason);
}

/* Changes: checked here as far as can be, then a request on the stream like everybody's. */
#include "common/event.h"
#include "common/mem.h"
#include "common/str.h"
#include "scheduler/api/v1_internal.h"
#include "scheduler/cli/endpoint_spec.h"
#include "scheduler/cli/facts.h"

#include <inttypes.h>
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
			return v1_wrong(c, "names", "a list of texts, each a domain name");
		out->items[out->n++] = json_string_value(name);
	}
	return true;
}

static bool read_spec(struct v1_call *c, struct endpoint_spec *s, struct names *names)
{
	struct {
		const char *key;
		const char **into;
	} texts[] = {{"id", &s->id}, {"tenant", &s->tenant}, {"type", &s->type},
		{"target", &s->target}, {"authority", &s->authority}, {"profile", &s->profile},
		{"zone", &s->zone}, {"key_type", &s->key_type}};

	if (!names_of(c, names))
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

/* --- of an endpoint that is there: first a look whether it is the caller's, and as he knew it */

struct change {
	struct v1_call *call;
	const char *type;
	struct buf data;
	size_t map; /* of data, still open */
};

/* `"7-9f86…"` and `"7"` are generation 7; a weak one (W/"7") is none. */
static bool etag_generation(const char *etag, size_t n, uint64_t *out)
{
	char digits[24] = "";
	size_t len;

	if (n < 3 || etag[0] != '"' || etag[n - 1] != '"')
		return false;
	len = strspn(etag + 1, "0123456789");
	if (!len || len >= sizeof digits || (etag[1 + len] != '-' && len + 2 != n))
		return false;
	memcpy(digits, etag + 1, len);
	return str_parse_u64(digits, INT64_MAX, out) == 0;
}

/* What was configured counts alone: what is seen of it changes all the time. */
static bool still_is(const char *if_match, uint64_t generation)
{
	if (strcmp(if_match, "*") == 0)
		return true;
	for (const char *p = if_match; *p; p += strspn(p, ", ")) {
		size_t n = strcspn(p, ", ");
		uint64_t known;

		if (etag_generation(p, n, &known) && known == generation)
			return true;
		p += n;
	}
	return false;
}

/* The leader compares once more: between this look and its own somebody may be faster. */
static void ask_for(struct change *change, const struct facts *f)
{
	struct v1_call *c = change->call;
	const char *if_match = c->route->flags & V1_IF ? httpd_header(c->http, "If-Match") : NULL;

	if (if_match && !still_is(if_match, f->endpoint.generation)) {
		v1_problemf(c, 412, "stale",
			"If-Match: \"%s\" was changed since; its generation is %" PRIu64, c->id,
			f->endpoint.generation);
		return;
	}
	if (if_match)
		mp_key_int(&change->data, "generation", (int64_t)f->endpoint.generation);
	mp_map_close(&change->data, change->map);
	if (buf_err(&change->data))
		v1_problemf(c, 422, "invalid", "the body: its texts have more than %d bytes",
			ENDPOINT_SPEC_MAX);
	else
		v1_ask(c, change->type, c->id, &change->data);
}

static void ask_if_allowed(void *arg, int err, const struct reply *reply)
{
	struct change *change = arg;
	struct v1_call *c = change->call;
	struct facts f = {0};

	c->left = 0;
	if (v1_mine(c, err, reply, false, &f)) {
		ask_for(change, &f);
		facts_release(&f);
	}
	buf_release(&change->data);
	free(change);
}

static struct change *change_new(struct v1_call *c, const char *type)
{
	struct change *change = mem_zalloc(sizeof *change);

	change->call = c;
	change->type = type;
	change->data = BUF_INIT(ENDPOINT_SPEC_MAX);
	change->map = mp_map_open(&change->data);
	mp_key_str(&change->data, "id", c->id);
	return change;
}

static void look_first(struct change *change)
{
	struct v1_call *c = change->call;

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
	struct endpoint_spec s = {0};
	struct change *change;
	struct names names;
	struct buf *data;
	size_t list;

	if (!read_spec(c, &s, &names))
		return;
	change = change_new(c, REQUEST_UPDATE);
	data = &change->data;
	put_given(data, "type", s.type);
	put_given(data, "target", s.target);
	put_given(data, "authority", s.authority);
	put_given(data, "profile", s.profile);
	put_given(data, "zone", s.zone);
	put_given(data, "key_type", s.key_type);
	if (names.given) {
		mp_key(data, "names");
		list = mp_array_open(data);
		for (size_t i = 0; i < names.n; i++)
			mp_str(data, names.items[i]);
		mp_array_close(data, list);
	}
	look_first(change);
}

void v1_remove(struct v1_call *c)
{
	look_first(change_new(c, REQUEST_REMOVE));
}

void v1_verify(struct v1_call *c)
{
	look_first(change_new(c, REQUEST_VERIFY));
}

void v1_renew(struct v1_call *c)
{
	look_first(change_new(c, REQUEST_RENEW));
}

void v1_revoke(struct v1_call *c)
{
	struct change *change;
	const char *reason;

	if (!v1_text(c, "reason", &reason))
		return;
	change = change_new(c, REQUEST_REVOKE);
	put_given(&change->data, "reason", reason);
	look_first(change);
}

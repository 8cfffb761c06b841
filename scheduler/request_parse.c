/* Stream entry → struct request. See request.h. */
#include "scheduler/request.h"

#include "common/event.h"
#include "common/mem.h"
#include "common/mp.h"
#include "common/names.h"
#include "common/str.h"

#include <stdio.h>
#include <string.h>

/* What a caller may write for one name before it is parsed: U-labels are longer than A-labels. */
#define NAME_TEXT_MAX 1024

static const struct {
	const char *type;
	enum request_op op;
} types[] = {
	{REQUEST_ADD, REQUEST_OP_ADD},
	{REQUEST_UPDATE, REQUEST_OP_UPDATE},
	{REQUEST_REMOVE, REQUEST_OP_REMOVE},
	{REQUEST_VERIFY, REQUEST_OP_VERIFY},
	{REQUEST_RENEW, REQUEST_OP_RENEW},
	{REQUEST_REVOKE, REQUEST_OP_REVOKE},
};

/* RFC 5280 section 5.3.1; those that a subscriber may give. */
static const struct {
	const char *name;
	int32_t code;
} reasons[] = {
	{"unspecified", 0},
	{"keyCompromise", 1},
	{"affiliationChanged", 3},
	{"superseded", 4},
	{"cessationOfOperation", 5},
	{"privilegeWithdrawn", 9},
};

static int refuse(struct request_refusal *no, const char *code)
{
	snprintf(no->code, sizeof no->code, "%s", code);
	return CF_EINVAL;
}

static int invalid(struct request_refusal *no, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int invalid(struct request_refusal *no, const char *format, ...)
{
	char text[sizeof no->why.text];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	str_clean(text, strlen(text), no->why.text, sizeof no->why.text);
	return refuse(no, "invalid");
}

static const struct request_field *field_of(
	const struct request_field *fields, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(fields[i].name, name))
			return &fields[i];
	return NULL;
}

/* Printable ASCII without blanks: these go into a key's name, where ':' parts them, and back to the
 * sender. */
static bool take_attribute(const struct request_field *f, char *out, size_t max)
{
	if (!f || !f->value_len || f->value_len > max)
		return false;
	for (size_t i = 0; i < f->value_len; i++)
		if (f->value[i] <= 0x20 || f->value[i] >= 0x7f)
			return false;
	memcpy(out, f->value, f->value_len);
	out[f->value_len] = 0;
	return true;
}

static int parse_attributes(
	const struct request_field *fields, size_t n, struct request *r, struct request_refusal *no)
{
	const struct request_field *version = field_of(fields, n, "specversion");
	bool source = take_attribute(field_of(fields, n, "source"), r->source, REQUEST_SOURCE_MAX);
	bool id = take_attribute(field_of(fields, n, "id"), r->id, REQUEST_ID_MAX);
	bool type = take_attribute(field_of(fields, n, "type"), r->type, sizeof r->type - 1);

	if (source && r->source[0] == '~') { /* names answers that are not yet to be seen */
		r->source[0] = '-';
		source = false;
	}
	if (!source)
		return invalid(no,
			"the field \"source\" must be 1 to %d printable ASCII characters that do "
			"not "
			"begin with ~",
			REQUEST_SOURCE_MAX);
	if (!id)
		return invalid(no, "the field \"id\" must be 1 to %d printable ASCII characters",
			REQUEST_ID_MAX);
	if (!type)
		return invalid(no, "the field \"type\" is missing or not readable");
	if (version && (version->value_len != 3 || memcmp(version->value, "1.0", 3)))
		return invalid(no, "the field \"specversion\" must be 1.0");
	return 0;
}

static int parse_op(struct request *r, struct request_refusal *no)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (!strcmp(types[i].type, r->type)) {
			r->op = types[i].op;
			return 0;
		}
	return invalid(no,
		"the type \"%s\" is not known: endpoint.add, .update, .remove, .verify, .renew or "
		".revoke "
		"is expected",
		r->type);
}

static int take_host(const struct mp *map, struct request *r, struct request_refusal *no)
{
	_mem_free_ char *text = NULL;

	if (mp_opt_str(map, "target", &text))
		return CF_EPROTO;
	if (!text)
		return 0;
	r->has_target = true;
	if (!text[0])
		return 0;
	if (strlen(text) > NAME_TEXT_MAX)
		return invalid(no, "target: over %d bytes", NAME_TEXT_MAX);
	if (name_parse_host(text, r->target, &no->why)) {
		why_prefix(&no->why, 0, "target: ");
		return refuse(no, "invalid");
	}
	return 0;
}

static int take_name(const struct mp *value, struct request *r, struct request_refusal *no)
{
	_mem_free_ char *text = NULL;

	if (mp_as_str(value, &text))
		return CF_EPROTO;
	if (strlen(text) > NAME_TEXT_MAX)
		return invalid(no, "a name is over %d bytes", NAME_TEXT_MAX);
	if (name_parse(text, r->names[r->names_n], &no->why))
		return refuse(no, "invalid");
	for (size_t i = 0; i < r->names_n; i++)
		if (!strcmp(r->names[i], r->names[r->names_n]))
			return 0;
	r->names_n++;
	return 0;
}

static int take_names(const struct mp *map, struct request *r, struct request_refusal *no)
{
	struct mp names, one;
	uint32_t count;

	if (!mp_opt_array(map, "names", &names))
		return mp_err(map->doc);
	count = mp_count(&names);
	if (count < 1 || count > ENDPOINT_NAMES_MAX)
		return invalid(no, "names: 1 to %d are expected, not %u", ENDPOINT_NAMES_MAX,
			(unsigned)count);
	r->names = mem_array(count, sizeof *r->names);
	r->has_names = true;
	for (struct mp_iter it = mp_iter(&names); mp_next(&it, &one);) {
		int err = take_name(&one, r, no);

		if (err)
			return err;
	}
	return 0;
}

static int take_type(const struct mp *map, struct request *r)
{
	char text[16] = "";
	struct mp at;

	if (!mp_get(map, "type", &at))
		return 0;
	if (mp_as_text(&at, text, sizeof text))
		return CF_EPROTO;
	r->has_type = true;
	r->endpoint_type = !strcmp(text, "external") ? ENDPOINT_EXTERNAL : ENDPOINT_INTERNAL;
	if (r->endpoint_type == ENDPOINT_INTERNAL && strcmp(text, "internal"))
		return mp_fail(&at, CF_EPROTO, "\"external\" or \"internal\" is expected");
	return 0;
}

static int take_key_type(const struct mp *map, struct request *r)
{
	char text[32] = "";
	struct mp at;

	if (!mp_get(map, "key_type", &at))
		return 0;
	if (mp_as_text(&at, text, sizeof text))
		return CF_EPROTO;
	r->has_key_type = true;
	if (key_type_parse(text, &r->key_type))
		return mp_fail(&at, CF_EPROTO,
			"ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072 or rsa-4096 is expected");
	return 0;
}

static int take_reason(const struct mp *map, struct request *r)
{
	char text[32] = "";
	struct mp at;

	if (!mp_get(map, "reason", &at))
		return 0;
	if (mp_as_text(&at, text, sizeof text))
		return CF_EPROTO;
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (!strcmp(reasons[i].name, text)) {
			r->reason = reasons[i].code;
			return 0;
		}
	return mp_fail(&at, CF_EPROTO,
		"unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation "
		"or "
		"privilegeWithdrawn is expected");
}

static int take_generation(const struct mp *map, struct request *r)
{
	int64_t n = 0;
	struct mp at;

	if (!mp_get(map, "generation", &at))
		return 0;
	if (mp_as_int(&at, &n) || n < 1)
		return mp_fail(&at, CF_EPROTO, "a generation is a whole number from 1 on");
	r->generation = (uint64_t)n;
	return 0;
}

/* A word that was given, even as "": that takes an authority, profile or zone back to the default.
 */
static bool take_word(const struct mp *map, const char *key, char *out, size_t size)
{
	struct mp at;

	return mp_get(map, key, &at) && !mp_as_text(&at, out, size);
}

static const char *const known_keys[] = {"id", "tenant", "names", "type", "target", "authority",
	"profile", "zone", "key_type", "reason", "generation", "V"};

/* A misspelt key would otherwise be a wish that silently does not come true. */
static int only_known_keys(const struct mp *map, struct request_refusal *no)
{
	struct mp value;

	for (struct mp_iter it = mp_iter(map); mp_next(&it, &value);) {
		bool known = false;

		for (size_t i = 0; i < ARRAY_LEN(known_keys) && !known; i++)
			known = strlen(known_keys[i]) == value.key_len &&
				!memcmp(known_keys[i], value.key, value.key_len);
		if (!known)
			return invalid(no, "data: the key \"%.*s\" is not known",
				(int)value.key_len, value.key);
	}
	return 0;
}

static int read_map(const struct mp *map, struct request *r, struct request_refusal *no)
{
	int err;

	if (mp_type(map) != MP_MAP)
		return invalid(no, "the field \"data\" must be a msgpack map");
	if ((err = only_known_keys(map, no)))
		return err;
	r->has_endpoint = take_word(map, "id", r->endpoint, sizeof r->endpoint);
	r->has_tenant = take_word(map, "tenant", r->tenant, sizeof r->tenant);
	r->has_authority = take_word(map, "authority", r->authority, sizeof r->authority);
	r->has_profile = take_word(map, "profile", r->profile, sizeof r->profile);
	r->has_zone = take_word(map, "zone", r->zone, sizeof r->zone);
	if ((err = take_type(map, r)) || (err = take_key_type(map, r)) ||
		(err = take_reason(map, r)) || (err = take_generation(map, r)) ||
		(err = take_host(map, r, no)) || (err = take_names(map, r, no)))
		return err;
	return mp_err(map->doc);
}

static int parse_data(
	const struct request_field *data, struct request *r, struct request_refusal *no)
{
	struct mp_doc doc;
	struct mp map;
	struct why why = {""};
	int err;

	if (!data)
		return invalid(no, "the field \"data\" is missing");
	if (data->value_len > REQUEST_DATA_MAX)
		return invalid(no, "the field \"data\" has %zu bytes: at most %d are allowed",
			data->value_len, REQUEST_DATA_MAX);
	err = mp_open(&doc, data->value, data->value_len, &map, &why);
	if (!err)
		err = read_map(&map, r, no);
	if (err && !no->code[0])
		return invalid(no, "data: %s", why.text[0] ? why.text : cf_strerror(err));
	return err;
}

/* An id from the first name: what people would have typed. */
static void default_id(struct request *r)
{
	const char *name = r->names[0];
	bool wild = name_is_wildcard(name);
	const char *prefix = wild ? "wildcard." : "";
	char whole[NAME_SIZE + 16];
	size_t n = (size_t)snprintf(whole, sizeof whole, "%s%s", prefix, name_base(name));

	if (n > ENDPOINT_ID_MAX)
		n = ENDPOINT_ID_MAX;
	while (n && (whole[n - 1] == '.' || whole[n - 1] == '-'))
		n--;
	memcpy(r->endpoint, whole, n);
	r->endpoint[n] = 0;
}

/* [a-z0-9][a-z0-9._-]* */
static bool valid_word(const char *s)
{
	size_t n = strlen(s);

	return n && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789._-") == n && s[0] != '.' &&
	       s[0] != '-' && s[0] != '_';
}

static int check_words(const struct request *r, struct request_refusal *no)
{
	const char *rule = "expected 1 to 64 of a-z 0-9 . _ -, beginning with a letter or digit";

	if (r->has_endpoint && !valid_word(r->endpoint))
		return invalid(no, "id \"%s\": %s", r->endpoint, rule);
	if (r->has_tenant && !valid_word(r->tenant))
		return invalid(no, "tenant \"%s\": %s", r->tenant, rule);
	if (r->authority[0] && !valid_word(r->authority))
		return invalid(no, "authority \"%s\": %s", r->authority, rule);
	if (r->profile[0] && !valid_word(r->profile))
		return invalid(no, "profile \"%s\": %s", r->profile, rule);
	if (r->zone[0] && !valid_word(r->zone))
		return invalid(no, "zone \"%s\": %s", r->zone, rule);
	return 0;
}

static int check_whole(struct request *r, struct request_refusal *no)
{
	if (r->op != REQUEST_OP_ADD)
		return r->has_endpoint ? 0
				       : invalid(no, "data: \"id\" is missing: which endpoint?");
	if (!r->has_names)
		return invalid(no, "data: \"names\" is missing: which names?");
	if (!r->has_type)
		return invalid(no, "data: \"type\" is missing: external or internal?");
	if (r->generation)
		return invalid(no, "data: \"generation\" is of an endpoint that is there");
	if (!r->has_endpoint)
		default_id(r);
	return 0;
}

int request_parse(const char *stream_id, const struct request_field *fields, size_t n,
	struct request *out, struct request_refusal *no)
{
	int err;

	memset(out, 0, sizeof *out);
	memset(no, 0, sizeof *no);
	snprintf(out->stream_id, sizeof out->stream_id, "%s", stream_id);
	err = parse_attributes(fields, n, out, no);
	if (!out->source[0])
		snprintf(out->source, sizeof out->source, "unknown");
	if (!out->id[0])
		snprintf(out->id, sizeof out->id, "%s", stream_id);
	if (err || (err = parse_op(out, no)) ||
		(err = parse_data(field_of(fields, n, "data"), out, no)) ||
		(err = check_words(out, no)) || (err = check_whole(out, no)))
		out->op = REQUEST_OP_NONE;
	return err ? CF_EINVAL : 0;
}

void request_release(struct request *r)
{
	free(r->names);
	r->names = NULL;
	r->names_n = 0;
}

char *request_answer_name(const struct request *r, char out[REQUEST_ANSWER_NAME_SIZE])
{
	char *at = out + sprintf(out, "req:");

	for (const char *s = r->source; *s; s++)
		if (*s == '%' || *s == ':')
			at += sprintf(at, "%%%02X", (unsigned)*s);
		else
			*at++ = *s;
	sprintf(at, ":%s", r->id);
	return out;
}

void request_endpoint_id(const struct request *r, unsigned try, char out[ENDPOINT_ID_MAX + 1])
{
	char suffix[16] = "";
	size_t keep;

	if (try > 1)
		snprintf(suffix, sizeof suffix, "-%u", try);
	keep = strnlen(r->endpoint, ENDPOINT_ID_MAX - strlen(suffix));
	memcpy(out, r->endpoint, keep);
	memcpy(out + keep, suffix, strlen(suffix) + 1);
}

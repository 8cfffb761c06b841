#include "common/mem.h"
#include "common/mp_wire.h"
#include "common/str.h"

#include <math.h>
#include <string.h>

static const unsigned char nil_byte = 0xc0;

static struct mp nil_value(struct mp_doc *doc)
{
	return (struct mp){.doc = doc, .at = &nil_byte, .end = &nil_byte + 1};
}

int mp_open(struct mp_doc *doc, const void *bytes, size_t n, struct mp *root, struct why *why)
{
	const unsigned char *p = bytes;
	struct mp_scan s = {.items_left = MP_MAX_ITEMS, .string_keys = true};
	const unsigned char *end;

	*doc = (struct mp_doc){.why = why};
	*root = nil_value(doc);
	if (n > MP_MAX_BYTES)
		return doc->err = why_set(why, CF_ETOOBIG,
			       "the record has %zu bytes, at most %u are allowed", n, MP_MAX_BYTES);
	s.end = p ? p + n : NULL;
	end = n ? mp_scan_value(&s, p, 0) : mp_scan_fail(&s, CF_EPROTO, "it is empty");
	if (end && end != s.end)
		end = mp_scan_fail(&s, CF_EPROTO, "something follows its end");
	if (!end)
		return doc->err = why_set(
			       why, s.err, "the record is not right msgpack: %s", s.problem);
	*root = (struct mp){.doc = doc, .at = p, .end = s.end};
	return 0;
}

static struct mp_head head_of(const struct mp *v)
{
	struct mp_head h = {.type = MP_NIL};

	mp_head_read(v->at, v->end, &h);
	return h;
}

/* "a.b[3]"; what a long path begins with is left out. */
static void path_of(const struct mp *v, struct buf *out)
{
	char key[64];

	if (!v->parent)
		return;
	path_of(v->parent, out);
	if (!v->key) {
		buf_addf(out, "[%u]", v->index);
		return;
	}
	if (out->len)
		buf_addc(out, '.');
	buf_adds(out, str_clean(v->key, v->key_len, key, sizeof key));
}

static int fail_at(const struct mp *at, const char *key, int err, const char *text)
{
	_buf_release_ struct buf path = BUF_INIT(4096);

	if (at->doc->err)
		return at->doc->err;
	at->doc->err = err;
	path_of(at, &path);
	if (key)
		buf_addf(&path, "%s%s", path.len ? "." : "", key);
	if (!path.len)
		return why_set(at->doc->why, err, "%s", text);
	return why_set(at->doc->why, err, "at %s: %s", buf_cstr(&path), text);
}

int mp_fail(const struct mp *at, int err, const char *format, ...)
{
	_mem_free_ char *text = NULL;
	va_list ap;

	va_start(ap, format);
	text = mem_vprintf(format, ap);
	va_end(ap);
	return fail_at(at, NULL, err, text);
}

static const char *const type_names[] = {
	[MP_NIL] = "nil",
	[MP_BOOL] = "a boolean",
	[MP_INT] = "an integer",
	[MP_DOUBLE] = "a fraction",
	[MP_STR] = "a string",
	[MP_BIN] = "bytes",
	[MP_ARRAY] = "an array",
	[MP_MAP] = "a map",
};

static int wrong_type(const struct mp *v, const char *expected)
{
	return mp_fail(v, CF_EPROTO, "%s is expected, not %s", expected, type_names[mp_type(v)]);
}

enum mp_type mp_type(const struct mp *v)
{
	return head_of(v).type;
}

uint32_t mp_count(const struct mp *v)
{
	struct mp_head h = head_of(v);

	return h.type == MP_ARRAY || h.type == MP_MAP ? (uint32_t)h.n : 0;
}

struct mp_iter mp_iter(const struct mp *of)
{
	return (struct mp_iter){.of = of, .at = of->at + head_of(of).bytes, .left = mp_count(of)};
}

bool mp_next(struct mp_iter *it, struct mp *v)
{
	const struct mp *of = it->of;
	struct mp_head key;

	if (!it->left)
		return false;
	*v = (struct mp){.doc = of->doc, .parent = of, .end = of->end, .index = it->index};
	if (mp_type(of) == MP_MAP && mp_head_read(it->at, of->end, &key)) {
		v->key = (const char *)it->at + key.bytes;
		v->key_len = (uint32_t)key.n;
		it->at = mp_skip(it->at, of->end);
	}
	v->at = it->at;
	it->at = mp_skip(it->at, of->end);
	it->left--;
	it->index++;
	return true;
}

bool mp_get(const struct mp *map, const char *key, struct mp *out)
{
	size_t len = strlen(key);
	struct mp v;

	if (mp_type(map) != MP_MAP)
		return false;
	for (struct mp_iter it = mp_iter(map); mp_next(&it, &v);) {
		if (!v.key || v.key_len != len || memcmp(v.key, key, len))
			continue;
		if (mp_type(&v) == MP_NIL)
			return false;
		*out = v;
		return true;
	}
	return false;
}

int mp_as_bool(const struct mp *v, bool *out)
{
	struct mp_head h = head_of(v);

	if (h.type != MP_BOOL)
		return wrong_type(v, "a boolean");
	*out = h.n != 0;
	return 0;
}

static double double_of(const struct mp_head *h)
{
	uint32_t bits = (uint32_t)h->n;
	double d;
	float f;

	memcpy(&f, &bits, sizeof f);
	memcpy(&d, &h->n, sizeof d);
	return h->width == 4 ? (double)f : d;
}

/* Lua knows one kind of number; what it sends as a whole fraction is an integer. */
int mp_as_int(const struct mp *v, int64_t *out)
{
	struct mp_head h = head_of(v);
	double d;

	if (h.type == MP_DOUBLE) {
		d = double_of(&h);
		if (!isfinite(d) || fabs(d) > 9007199254740992.0 || d != floor(d))
			return wrong_type(v, "an integer");
		*out = (int64_t)d;
		return 0;
	}
	if (h.type != MP_INT)
		return wrong_type(v, "an integer");
	if (!h.is_signed && h.n > INT64_MAX)
		return mp_fail(v, CF_EPROTO, "the integer is out of range");
	*out = (int64_t)h.n;
	return 0;
}

int mp_as_int_in(const struct mp *v, int64_t least, int64_t most, int64_t *out)
{
	int64_t value = 0;
	int err = mp_as_int(v, &value);

	if (err)
		return err;
	if (value < least || value > most)
		return mp_fail(v, CF_EPROTO, "an integer of %lld to %lld is expected, not %lld",
			(long long)least, (long long)most, (long long)value);
	*out = value;
	return 0;
}

int mp_as_double(const struct mp *v, double *out)
{
	struct mp_head h = head_of(v);

	if (h.type == MP_DOUBLE)
		*out = double_of(&h);
	else if (h.type == MP_INT)
		*out = h.is_signed ? (double)(int64_t)h.n : (double)h.n;
	else
		return wrong_type(v, "a number");
	return 0;
}

static int text_of(const struct mp *v, const char **s, size_t *n)
{
	struct mp_head h = head_of(v);

	if (h.type != MP_STR)
		return wrong_type(v, "a string");
	*s = (const char *)v->at + h.bytes;
	*n = (size_t)h.n;
	if (memchr(*s, '\0', *n))
		return mp_fail(v, CF_EPROTO, "the string holds a NUL");
	return 0;
}

int mp_as_str(const struct mp *v, char **out)
{
	const char *s = "";
	size_t n = 0;
	int err = text_of(v, &s, &n);

	if (err)
		return err;
	free(*out);
	*out = mem_strndup(s, n);
	return 0;
}

int mp_as_text(const struct mp *v, char *out, size_t size)
{
	const char *s = "";
	size_t n = 0;
	int err = text_of(v, &s, &n);

	if (err)
		return err;
	if (n >= size)
		return mp_fail(v, CF_EPROTO, "the string has %zu bytes, at most %zu are allowed", n,
			size - 1);
	memcpy(out, s, n);
	out[n] = '\0';
	return 0;
}

int mp_as_bytes(const struct mp *v, const unsigned char **out, size_t *n)
{
	struct mp_head h = head_of(v);

	if (h.type != MP_STR && h.type != MP_BIN)
		return wrong_type(v, "bytes");
	*out = v->at + h.bytes;
	*n = (size_t)h.n;
	return 0;
}

int mp_as_fixed(const struct mp *v, void *out, size_t n)
{
	const unsigned char *bytes = &nil_byte;
	size_t len = 0;
	int err = mp_as_bytes(v, &bytes, &len);

	if (err)
		return err;
	if (len != n)
		return mp_fail(v, CF_EPROTO, "%zu bytes are expected, not %zu", n, len);
	memcpy(out, bytes, n);
	return 0;
}

static int as_array(const struct mp *v, struct mp *out)
{
	if (mp_type(v) != MP_ARRAY)
		return wrong_type(v, "an array");
	*out = *v;
	return 0;
}

static int as_map(const struct mp *v, struct mp *out)
{
	bool empty_table = mp_type(v) == MP_ARRAY && !mp_count(v);

	if (mp_type(v) != MP_MAP && !empty_table)
		return wrong_type(v, "a map");
	*out = *v;
	return 0;
}

static int missing(const struct mp *map, const char *key)
{
	bool empty_table = mp_type(map) == MP_ARRAY && !mp_count(map);

	if (mp_type(map) != MP_MAP && !empty_table)
		return wrong_type(map, "a map");
	return fail_at(map, key, CF_EPROTO, "it is missing");
}

/* mp_get_X and mp_opt_X differ only in what an absent key means. */
#define GETTERS(name, parameters, call)                                              \
	int mp_get_##name parameters                                                 \
	{                                                                            \
		struct mp v;                                                         \
		return mp_get(map, key, &v) ? mp_as_##name call : missing(map, key); \
	}                                                                            \
	int mp_opt_##name parameters                                                 \
	{                                                                            \
		struct mp v;                                                         \
		return mp_get(map, key, &v) ? mp_as_##name call : 0;                 \
	}

GETTERS(bool, (const struct mp *map, const char *key, bool *out), (&v, out))
GETTERS(int, (const struct mp *map, const char *key, int64_t *out), (&v, out))
GETTERS(int_in, (const struct mp *map, const char *key, int64_t least, int64_t most, int64_t *out),
	(&v, least, most, out))
GETTERS(double, (const struct mp *map, const char *key, double *out), (&v, out))
GETTERS(str, (const struct mp *map, const char *key, char **out), (&v, out))
GETTERS(text, (const struct mp *map, const char *key, char *out, size_t size), (&v, out, size))
GETTERS(bytes, (const struct mp *map, const char *key, const unsigned char **out, size_t *n),
	(&v, out, n))
GETTERS(fixed, (const struct mp *map, const char *key, void *out, size_t n), (&v, out, n))

int mp_get_array(const struct mp *map, const char *key, struct mp *out)
{
	struct mp v;

	return mp_get(map, key, &v) ? as_array(&v, out) : missing(map, key);
}

int mp_get_map(const struct mp *map, const char *key, struct mp *out)
{
	struct mp v;

	return mp_get(map, key, &v) ? as_map(&v, out) : missing(map, key);
}

bool mp_opt_array(const struct mp *map, const char *key, struct mp *out)
{
	struct mp v;

	return mp_get(map, key, &v) && !as_array(&v, out);
}

bool mp_opt_map(const struct mp *map, const char *key, struct mp *out)
{
	struct mp v;

	return mp_get(map, key, &v) && !as_map(&v, out);
}

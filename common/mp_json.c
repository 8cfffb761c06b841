#include "common/mp_json.h"

#include "common/buf.h"
#include "common/mem.h"
#include "common/str.h"

#define TEXT_MAX (2u << 20)

static json_t *bytes_json(const struct mp *v)
{
	_buf_release_ struct buf text = BUF_INIT(TEXT_MAX);
	const unsigned char *bytes;
	size_t n;

	if (mp_as_bytes(v, &bytes, &n) != 0)
		return json_null();
	json_t *j = mp_type(v) == MP_STR ? json_stringn((const char *)bytes, n) : NULL;
	if (j != NULL)
		return j;
	str_base64url(&text, bytes, n);
	return json_string(buf_cstr(&text));
}

/** Depth is bounded by mp_open(). */
json_t *mp_json(const struct mp *v)
{
	struct mp item;
	json_t *j;
	int64_t number = 0;
	double real = 0;
	bool truth = false;

	switch (mp_type(v)) {
	case MP_NIL:
		return json_null();
	case MP_BOOL:
		mp_as_bool(v, &truth);
		return json_boolean(truth);
	case MP_INT:
		mp_as_int(v, &number);
		return json_integer(number);
	case MP_DOUBLE:
		mp_as_double(v, &real);
		j = json_real(real);
		return j != NULL ? j : json_null(); /* JSON has no infinity */
	case MP_STR:
	case MP_BIN:
		return bytes_json(v);
	case MP_ARRAY:
		j = json_array();
		for (struct mp_iter it = mp_iter(v); mp_next(&it, &item);)
			json_array_append_new(j, mp_json(&item));
		return j;
	case MP_MAP:
		j = json_object();
		for (struct mp_iter it = mp_iter(v); mp_next(&it, &item);) {
			_mem_free_ char *key = mem_strndup(item.key, item.key_len);
			json_object_set_new(j, key, mp_json(&item));
		}
		return j;
	}
	return json_null();
}

json_t *mp_json_of(const void *data, size_t n)
{
	struct mp_doc doc;
	struct mp root;

	if (n == 0 || mp_open(&doc, data, n, &root, NULL) != 0)
		return NULL;
	return mp_json(&root);
}

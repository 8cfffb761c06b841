/* mp.h - msgpack for our records: maps with string keys, small arrays, limits.
 *
 * Writing appends to a struct buf, whose limit is the record's limit (buf_err() at the end). A map
 * or array is opened, filled and closed; its count is found when it is closed, so that optional
 * fields need no counting beforehand:
 *
 *	size_t map = mp_map_open(out);
 *	mp_key_int(out, "v", 1);
 *	mp_key_str(out, "id", e->id);      // a NULL text writes nothing, not even the key
 *	mp_key(out, "names");
 *	size_t names = mp_array_open(out);
 *	…mp_str(out, name)…
 *	mp_array_close(out, names);
 *	mp_map_close(out, map);
 *
 * Reading checks the whole record first (one value, depth, items, bytes, string keys, nothing
 * after it), then walks it in place without an allocation. A getter returns 0 or CF_EPROTO, leaves
 * its output untouched on failure, and the first failure stays in the document with a sentence
 * that gives path and expectation ("at authority.limits[2]: an integer is expected, not a
 * string"), so that a codec may call all getters and look once, at mp_err().
 *
 *	struct mp_doc doc;
 *	struct mp root, names, name;
 *	mp_open(&doc, bytes, n, &root, why);
 *	mp_get_str(&root, "id", &e->id);         // must be there
 *	mp_opt_int(&root, "created_ms", &e->created_ms); // absent or nil: untouched
 *	if (mp_opt_array(&root, "names", &names))
 *		for (struct mp_iter it = mp_iter(&names); mp_next(&it, &name);)
 *			mp_as_str(&name, &e->names[i++]);
 *	return mp_err(&doc);
 *
 * Keys that a reader does not know are ignored: records of a newer version stay readable.
 *
 * Two facts about scripts in Redis: its cmsgpack cannot read the bin type, so bytes in a record
 * that a script unpacks are written by mp_strn(); and an empty Lua table is packed as an empty
 * array, which is therefore read as an empty map where a map is expected. Bytes are read from str
 * and bin alike.
 */
#pragma once

#include "common/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MP_MAX_BYTES (1u << 20)
#define MP_MAX_DEPTH 16
#define MP_MAX_ITEMS 65536u /* values in one record, all levels together */

/* Writing */

/** Opens a map; give what it returns to mp_map_close(). */
size_t mp_map_open(struct buf *out);
void mp_map_close(struct buf *out, size_t opened);
size_t mp_array_open(struct buf *out);
void mp_array_close(struct buf *out, size_t opened);

void mp_nil(struct buf *out);
void mp_bool(struct buf *out, bool v);
void mp_int(struct buf *out, int64_t v);
void mp_uint(struct buf *out, uint64_t v);
void mp_double(struct buf *out, double v);
/** NULL writes nil. */
void mp_str(struct buf *out, const char *s);
void mp_strn(struct buf *out, const void *s, size_t n);
void mp_bin(struct buf *out, const void *bytes, size_t n);
/** A value that is msgpack already, one and whole (another record inside this one). */
void mp_raw(struct buf *out, const void *packed, size_t n);

static inline void mp_key(struct buf *out, const char *key)
{
	mp_str(out, key);
}
void mp_key_bool(struct buf *out, const char *key, bool v);
void mp_key_int(struct buf *out, const char *key, int64_t v);
void mp_key_double(struct buf *out, const char *key, double v);
/** NULL writes neither key nor value. */
void mp_key_str(struct buf *out, const char *key, const char *s);
void mp_key_bin(struct buf *out, const char *key, const void *bytes, size_t n);
void mp_key_strn(struct buf *out, const char *key, const void *s, size_t n);
/** An array of texts. */
void mp_key_strs(struct buf *out, const char *key, const char *const *s, size_t n);

/* Reading */

enum mp_type { MP_NIL, MP_BOOL, MP_INT, MP_DOUBLE, MP_STR, MP_BIN, MP_ARRAY, MP_MAP };

/** One record being read; keeps the first failure. */
struct mp_doc {
	int err;
	struct why *why; /* may be NULL */
};

/** A value. Borrows the bytes, its document and, for the path in messages, the value that it was
 * got from. */
struct mp {
	struct mp_doc *doc;
	const struct mp *parent; /* NULL: the root */
	const unsigned char *at;
	const unsigned char *end; /* of the whole record */
	const char *key;          /* in the parent, not terminated; NULL: by index */
	uint32_t key_len;
	uint32_t index;
};

struct mp_iter {
	const struct mp *of;
	const unsigned char *at;
	uint32_t left;
	uint32_t index;
};

/** CF_EPROTO, CF_ETOOBIG; root then reads as nil. */
int mp_open(struct mp_doc *doc, const void *bytes, size_t n, struct mp *root, struct why *why);
static inline int mp_err(const struct mp_doc *doc)
{
	return doc->err;
}
/** For a codec's own checks: sets err with "at PATH: …", unless an earlier failure stands. Returns
 * mp_err(). */
int mp_fail(const struct mp *at, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

enum mp_type mp_type(const struct mp *v);
/** Elements or pairs; 0 if it is neither array nor map. */
uint32_t mp_count(const struct mp *v);
/** True if the map has the key and its value is not nil. Anything else than a map has no keys. */
bool mp_get(const struct mp *map, const char *key, struct mp *out);

/** Over an array's elements or a map's values (their keys in v->key, v->key_len). Over nothing if
 * it is neither. */
struct mp_iter mp_iter(const struct mp *of);
bool mp_next(struct mp_iter *it, struct mp *v);

/* A value as a C value. Failures are recorded. Texts hold no NUL. */

int mp_as_bool(const struct mp *v, bool *out);
int mp_as_int(const struct mp *v, int64_t *out);
int mp_as_int_in(const struct mp *v, int64_t least, int64_t most, int64_t *out);
int mp_as_double(const struct mp *v, double *out);
/** A terminated copy that you own (free()); what *out held before is freed on success, so start
 * with NULL. */
int mp_as_str(const struct mp *v, char **out);
/** Copies into out[size]; fails if it does not fit. */
int mp_as_text(const struct mp *v, char *out, size_t size);
/** Borrowed from the record; str or bin. */
int mp_as_bytes(const struct mp *v, const unsigned char **out, size_t *n);
/** Exactly n bytes, str or bin. */
int mp_as_fixed(const struct mp *v, void *out, size_t n);

/* The key must be there and not be nil. */

int mp_get_bool(const struct mp *map, const char *key, bool *out);
int mp_get_int(const struct mp *map, const char *key, int64_t *out);
int mp_get_int_in(const struct mp *map, const char *key, int64_t least, int64_t most, int64_t *out);
int mp_get_double(const struct mp *map, const char *key, double *out);
int mp_get_str(const struct mp *map, const char *key, char **out);
int mp_get_text(const struct mp *map, const char *key, char *out, size_t size);
int mp_get_bytes(const struct mp *map, const char *key, const unsigned char **out, size_t *n);
int mp_get_fixed(const struct mp *map, const char *key, void *out, size_t n);
int mp_get_array(const struct mp *map, const char *key, struct mp *out);
int mp_get_map(const struct mp *map, const char *key, struct mp *out);

/* Absent or nil: 0, and the output is untouched. */

int mp_opt_bool(const struct mp *map, const char *key, bool *out);
int mp_opt_int(const struct mp *map, const char *key, int64_t *out);
int mp_opt_int_in(const struct mp *map, const char *key, int64_t least, int64_t most, int64_t *out);
int mp_opt_double(const struct mp *map, const char *key, double *out);
int mp_opt_str(const struct mp *map, const char *key, char **out);
int mp_opt_text(const struct mp *map, const char *key, char *out, size_t size);
int mp_opt_bytes(const struct mp *map, const char *key, const unsigned char **out, size_t *n);
int mp_opt_fixed(const struct mp *map, const char *key, void *out, size_t n);
/** True if it is there; of a wrong type is a recorded failure and false. */
bool mp_opt_array(const struct mp *map, const char *key, struct mp *out);
bool mp_opt_map(const struct mp *map, const char *key, struct mp *out);

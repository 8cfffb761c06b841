/* mp_wire.h - msgpack's bytes, for mp_read.c and mp_write.c alone.
 *
 * Hand-checked instead of msgpack_unpack(): that allocates by the counts it reads, 24 bytes for
 * each element that five hostile bytes promise.
 */
#pragma once

#include "common/mp.h"

/** What stands before a value's content. */
struct mp_head {
	enum mp_type type;
	bool is_signed; /* MP_INT: n is an int64_t's bits */
	uint64_t n;     /* bool, number's bits, length in bytes, or count */
	uint8_t bytes;  /* of the head itself */
	uint8_t width;  /* MP_DOUBLE: 4 or 8 */
};

/** False if the bytes end within the head or it is of a type that we do not use (ext, 0xc1). */
bool mp_head_read(const unsigned char *p, const unsigned char *end, struct mp_head *h);

/** One walk over untrusted bytes. */
struct mp_scan {
	const unsigned char *end;
	uint32_t items_left;
	bool string_keys; /* refuse other keys */
	int err;
	const char *problem;
};

/** Returns NULL. */
const unsigned char *mp_scan_fail(struct mp_scan *s, int err, const char *problem);
/** Returns the byte after the value, NULL if it is not whole or over a limit. */
const unsigned char *mp_scan_value(struct mp_scan *s, const unsigned char *p, int depth);
/** The byte after a value that was scanned already. */
const unsigned char *mp_skip(const unsigned char *p, const unsigned char *end);

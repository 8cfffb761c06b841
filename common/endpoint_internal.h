/* endpoint_internal.h - how fields of an endpoint's records are written and read, for endpoint*.c
 * only. */
#pragma once

#include "common/endpoint.h"
#include "common/mp.h"

/* 0 and false are what absence reads as, so they are not written. */
static inline void put_int(struct buf *out, const char *key, int64_t v)
{
	if (v)
		mp_key_int(out, key, v);
}

static inline void put_text(struct buf *out, const char *key, const char *s)
{
	if (s[0])
		mp_key_str(out, key, s);
}

static inline uint32_t get_u32(const struct mp *map, const char *key)
{
	int64_t v = 0;

	mp_opt_int_in(map, key, 0, UINT32_MAX, &v);
	return (uint32_t)v;
}

static inline int get_enum(const struct mp *map, const char *key, int least, int most)
{
	int64_t v = least;

	mp_opt_int_in(map, key, least, most, &v);
	return (int)v;
}

/** Key "sv" of a verdict, unless nothing was looked at yet. */
void served_encode(struct buf *out, const struct served *s);
void served_decode(const struct mp *root, struct served *s);

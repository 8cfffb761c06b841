#include "common/mp_wire.h"

#include <msgpack/pack.h>
#include <string.h>

static int append(void *arg, const char *bytes, size_t n)
{
	buf_add(arg, bytes, n);
	return 0;
}

/* One call to msgpack-c with a packer `pk` onto out. */
#define PACK(out, call)                                \
	do {                                           \
		msgpack_packer pk;                     \
		msgpack_packer_init(&pk, out, append); \
		call;                                  \
	} while (0)

/* One byte is kept for the count; close_members() makes room when that is not enough. */
size_t mp_map_open(struct buf *out)
{
	buf_addc(out, (char)0x80);
	return out->len - !out->over;
}

size_t mp_array_open(struct buf *out)
{
	buf_addc(out, (char)0x90);
	return out->len - !out->over;
}

static uint32_t count_members(const struct buf *out, size_t opened)
{
	const unsigned char *p = (const unsigned char *)out->data + opened + 1;
	const unsigned char *end = (const unsigned char *)out->data + out->len;
	uint32_t n = 0;

	for (; p < end; n++)
		p = mp_skip(p, end);
	return n;
}

static void close_members(struct buf *out, size_t opened, bool map)
{
	unsigned char head[5];
	size_t width;
	uint32_t n;

	if (out->over)
		return;
	n = count_members(out, opened);
	if (map && n % 2) {
		out->over = true; /* a key without its value: better no record than a wrong one */
		return;
	}
	n = map ? n / 2 : n;
	if (n <= 15) {
		out->data[opened] = (char)((map ? 0x80u : 0x90u) | n);
		return;
	}
	width = n <= UINT16_MAX ? 2 : 4;
	head[0] = (unsigned char)((map ? 0xde : 0xdc) + (width == 4));
	for (size_t i = 0; i < width; i++)
		head[1 + i] = (unsigned char)(n >> 8 * (width - 1 - i));
	if (!buf_room(out, width))
		return;
	memmove(out->data + opened + 1 + width, out->data + opened + 1, out->len - opened - 1);
	memcpy(out->data + opened, head, 1 + width);
	buf_took(out, width);
}

void mp_map_close(struct buf *out, size_t opened)
{
	close_members(out, opened, true);
}

void mp_array_close(struct buf *out, size_t opened)
{
	close_members(out, opened, false);
}

void mp_nil(struct buf *out)
{
	PACK(out, msgpack_pack_nil(&pk));
}

void mp_bool(struct buf *out, bool v)
{
	if (v)
		PACK(out, msgpack_pack_true(&pk));
	else
		PACK(out, msgpack_pack_false(&pk));
}

void mp_int(struct buf *out, int64_t v)
{
	PACK(out, msgpack_pack_int64(&pk, v));
}

void mp_uint(struct buf *out, uint64_t v)
{
	PACK(out, msgpack_pack_uint64(&pk, v));
}

void mp_double(struct buf *out, double v)
{
	PACK(out, msgpack_pack_double(&pk, v));
}

void mp_strn(struct buf *out, const void *s, size_t n)
{
	PACK(out, msgpack_pack_str(&pk, n));
	buf_add(out, s, n);
}

void mp_str(struct buf *out, const char *s)
{
	if (s)
		mp_strn(out, s, strlen(s));
	else
		mp_nil(out);
}

void mp_bin(struct buf *out, const void *bytes, size_t n)
{
	PACK(out, msgpack_pack_bin(&pk, n));
	buf_add(out, bytes, n);
}

void mp_raw(struct buf *out, const void *packed, size_t n)
{
	buf_add(out, packed, n);
}

void mp_key_bool(struct buf *out, const char *key, bool v)
{
	mp_key(out, key);
	mp_bool(out, v);
}

void mp_key_int(struct buf *out, const char *key, int64_t v)
{
	mp_key(out, key);
	mp_int(out, v);
}

void mp_key_double(struct buf *out, const char *key, double v)
{
	mp_key(out, key);
	mp_double(out, v);
}

void mp_key_str(struct buf *out, const char *key, const char *s)
{
	if (!s)
		return;
	mp_key(out, key);
	mp_str(out, s);
}

void mp_key_bin(struct buf *out, const char *key, const void *bytes, size_t n)
{
	mp_key(out, key);
	mp_bin(out, bytes, n);
}

void mp_key_strn(struct buf *out, const char *key, const void *s, size_t n)
{
	mp_key(out, key);
	mp_strn(out, s, n);
}

void mp_key_strs(struct buf *out, const char *key, const char *const *s, size_t n)
{
	size_t array;

	mp_key(out, key);
	array = mp_array_open(out);
	for (size_t i = 0; i < n; i++)
		mp_str(out, s[i]);
	mp_array_close(out, array);
}

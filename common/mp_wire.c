#include "common/mp_wire.h"

/* The types from 0xc0 to 0xdf; width is that of the number that follows the first byte. */
static const struct {
	bool known;
	uint8_t type;
	uint8_t width;
	bool is_signed;
} wide[32] = {
	[0x00] = {true, MP_NIL, 0, false},
	[0x02] = {true, MP_BOOL, 0, false},
	[0x03] = {true, MP_BOOL, 0, false},
	[0x04] = {true, MP_BIN, 1, false},
	[0x05] = {true, MP_BIN, 2, false},
	[0x06] = {true, MP_BIN, 4, false},
	[0x0a] = {true, MP_DOUBLE, 4, false},
	[0x0b] = {true, MP_DOUBLE, 8, false},
	[0x0c] = {true, MP_INT, 1, false},
	[0x0d] = {true, MP_INT, 2, false},
	[0x0e] = {true, MP_INT, 4, false},
	[0x0f] = {true, MP_INT, 8, false},
	[0x10] = {true, MP_INT, 1, true},
	[0x11] = {true, MP_INT, 2, true},
	[0x12] = {true, MP_INT, 4, true},
	[0x13] = {true, MP_INT, 8, true},
	[0x19] = {true, MP_STR, 1, false},
	[0x1a] = {true, MP_STR, 2, false},
	[0x1b] = {true, MP_STR, 4, false},
	[0x1c] = {true, MP_ARRAY, 2, false},
	[0x1d] = {true, MP_ARRAY, 4, false},
	[0x1e] = {true, MP_MAP, 2, false},
	[0x1f] = {true, MP_MAP, 4, false},
};

static uint64_t load(const unsigned char *p, unsigned width)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < width; i++)
		v = v << 8 | p[i];
	return v;
}

static uint64_t sign_extend(uint64_t v, unsigned width)
{
	uint64_t sign = UINT64_C(1) << (width * 8 - 1);

	return (v ^ sign) - sign;
}

static bool head_read_wide(const unsigned char *p, const unsigned char *end, struct mp_head *h)
{
	unsigned i = *p & 0x1f;
	unsigned width = wide[i].width;

	if (!wide[i].known || (size_t)(end - p) < 1 + width)
		return false;
	*h = (struct mp_head){.type = (enum mp_type)wide[i].type,
		.is_signed = wide[i].is_signed,
		.n = load(p + 1, width),
		.bytes = (uint8_t)(1 + width),
		.width = (uint8_t)width};
	if (h->is_signed && width)
		h->n = sign_extend(h->n, width);
	else if (h->type == MP_BOOL)
		h->n = *p & 1;
	return true;
}

bool mp_head_read(const unsigned char *p, const unsigned char *end, struct mp_head *h)
{
	if (p >= end)
		return false;
	if (*p <= 0x7f)
		*h = (struct mp_head){.type = MP_INT, .n = *p, .bytes = 1};
	else if (*p <= 0x8f)
		*h = (struct mp_head){.type = MP_MAP, .n = *p & 0x0f, .bytes = 1};
	else if (*p <= 0x9f)
		*h = (struct mp_head){.type = MP_ARRAY, .n = *p & 0x0f, .bytes = 1};
	else if (*p <= 0xbf)
		*h = (struct mp_head){.type = MP_STR, .n = *p & 0x1f, .bytes = 1};
	else if (*p >= 0xe0)
		*h = (struct mp_head){
			.type = MP_INT, .is_signed = true, .n = sign_extend(*p, 1), .bytes = 1};
	else
		return head_read_wide(p, end, h);
	return true;
}

const unsigned char *mp_scan_fail(struct mp_scan *s, int err, const char *problem)
{
	s->err = err;
	s->problem = problem;
	return NULL;
}

static const unsigned char *scan_members(
	struct mp_scan *s, const unsigned char *p, const struct mp_head *h, int depth)
{
	uint64_t n = h->type == MP_MAP ? h->n * 2 : h->n;
	struct mp_head key;

	if (depth >= MP_MAX_DEPTH)
		return mp_scan_fail(s, CF_ETOOBIG, "it is nested too deeply");
	for (uint64_t i = 0; i < n && p; i++) {
		if (h->type == MP_MAP && i % 2 == 0 && s->string_keys &&
			mp_head_read(p, s->end, &key) && key.type != MP_STR)
			return mp_scan_fail(s, CF_EPROTO, "a map's key is not a string");
		p = mp_scan_value(s, p, depth + 1);
	}
	return p;
}

const unsigned char *mp_scan_value(struct mp_scan *s, const unsigned char *p, int depth)
{
	struct mp_head h;

	if (!mp_head_read(p, s->end, &h))
		return mp_scan_fail(s, CF_EPROTO, "it ends early or holds an unknown type");
	if (!s->items_left--)
		return mp_scan_fail(s, CF_ETOOBIG, "it holds too many values");
	p += h.bytes;
	if (h.type == MP_STR || h.type == MP_BIN) {
		if (h.n > (size_t)(s->end - p))
			return mp_scan_fail(s, CF_EPROTO, "it ends within a string");
		return p + h.n;
	}
	if (h.type == MP_MAP || h.type == MP_ARRAY)
		return scan_members(s, p, &h, depth);
	return p;
}

const unsigned char *mp_skip(const unsigned char *p, const unsigned char *end)
{
	struct mp_scan s = {.end = end, .items_left = UINT32_MAX};
	const unsigned char *next = mp_scan_value(&s, p, 0);

	return next ? next : end;
}

#include "common/str.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Length of the UTF-8 sequence at s, 0 if it is not one (overlong, surrogate and > U+10FFFF
 * refused). */
static size_t utf8_len(const unsigned char *s, size_t n, uint32_t *point)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = s[0] < 0x80             ? 1
		     : (s[0] & 0xe0) == 0xc0 ? 2
		     : (s[0] & 0xf0) == 0xe0 ? 3
		     : (s[0] & 0xf8) == 0xf0 ? 4
					     : 0;
	uint32_t c;

	if (!len || len > n)
		return 0;
	c = len == 1 ? s[0] : s[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3fu);
	}
	if (len > 1 && c < least[len])
		return 0;
	if ((c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff)
		return 0;
	*point = c;
	return len;
}

static bool is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || (c >= 0x200e && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x61c ||
	       c == 0xfeff;
}

char *str_clean(const char *in, size_t n, char *out, size_t size)
{
	const unsigned char *s = (const unsigned char *)in;
	size_t used = 0;

	while (n) {
		uint32_t c = 0;
		size_t len = utf8_len(s, n, &c);
		const char *piece = (const char *)s;
		size_t piece_len = len;

		if (!len) {
			piece = "\xef\xbf\xbd";
			piece_len = 3;
			len = 1;
		} else if (is_control(c)) {
			piece = "?";
			piece_len = 1;
		}
		if (used + piece_len >= size)
			break;
		memcpy(out + used, piece, piece_len);
		used += piece_len;
		s += len;
		n -= len;
	}
	out[used] = '\0';
	return out;
}

char *str_lower(char *s)
{
	for (char *p = s; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p + 32);
	return s;
}

bool str_ends_with(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && !memcmp(s + n - m, suffix, m);
}

bool str_starts_with(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

bool str_eq(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

int str_parse_u64(const char *s, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (!*s || strlen(s) > 20)
		return CF_EINVAL;
	for (; *s; s++) {
		uint64_t d = (uint64_t)(*s - '0');

		if (*s < '0' || *s > '9' || v > (UINT64_MAX - d) / 10)
			return CF_EINVAL;
		v = v * 10 + d;
	}
	if (v > max)
		return CF_EINVAL;
	*out = v;
	return 0;
}

void str_hex(const void *bytes, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *p = bytes;

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * n] = '\0';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int str_unhex(const char *hex, void *bytes, size_t n)
{
	unsigned char *p = bytes;

	if (strlen(hex) != 2 * n)
		return CF_EINVAL;
	for (size_t i = 0; i < 2 * n; i++)
		if (hex_digit(hex[i]) < 0)
			return CF_EINVAL;
	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)(hex_digit(hex[2 * i]) * 16 + hex_digit(hex[2 * i + 1]));
	return 0;
}

/* Writes n bytes as groups of `bits` bits, the last one padded by zero bits. */
static void encode(
	struct buf *out, const unsigned char *p, size_t n, unsigned bits, const char *abc)
{
	uint32_t acc = 0;
	unsigned have = 0;

	for (size_t i = 0; i < n; i++) {
		acc = (acc << 8 | p[i]) & 0xffff;
		for (have += 8; have >= bits; have -= bits)
			buf_addc(out, abc[acc >> (have - bits) & ((1u << bits) - 1)]);
	}
	if (have)
		buf_addc(out, abc[acc << (bits - have) & ((1u << bits) - 1)]);
}

static const char abc64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void str_base64url(struct buf *out, const void *bytes, size_t n)
{
	encode(out, bytes, n, 6, abc64);
}

void str_base32(struct buf *out, const void *bytes, size_t n)
{
	encode(out, bytes, n, 5, "abcdefghijklmnopqrstuvwxyz234567");
}

int str_unbase64url(struct buf *out, const char *s, size_t n)
{
	uint32_t acc = 0;
	unsigned have = 0;

	if (n % 4 == 1)
		return CF_EINVAL;
	for (size_t i = 0; i < n; i++)
		if (!s[i] || !strchr(abc64, s[i]))
			return CF_EINVAL;
	if (n % 4 && (strchr(abc64, s[n - 1]) - abc64) & (n % 4 == 2 ? 15 : 3))
		return CF_EINVAL;
	for (size_t i = 0; i < n; i++) {
		acc = (acc << 6 | (uint32_t)(strchr(abc64, s[i]) - abc64)) & 0xffff;
		have += 6;
		if (have >= 8) {
			have -= 8;
			buf_addc(out, (char)(acc >> have & 0xff));
		}
	}
	return buf_err(out);
}

void str_json(struct buf *out, const char *s)
{
	size_t n = strlen(s);
	char *clean = malloc(n * 3 + 1);

	if (!clean)
		abort();
	str_clean(s, n, clean, n * 3 + 1);
	buf_addc(out, '"');
	for (const char *p = clean; *p; p++) {
		if (*p == '"' || *p == '\\')
			buf_addc(out, '\\');
		buf_addc(out, *p);
	}
	buf_addc(out, '"');
	free(clean);
}

#include "worker/net/dnsname.h"

#include "common/err.h"

#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_plain(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_' || c == '*';
}

/* One character after a backslash, or three digits. Returns how many characters were read, 0 if it
 * is wrong. */
static size_t unescape(const char *s, uint8_t *out)
{
	if (!s[0])
		return 0;
	if (!is_digit(s[0])) {
		*out = (uint8_t)s[0];
		return 1;
	}
	if (!is_digit(s[1]) || !is_digit(s[2]))
		return 0;
	int v = (s[0] - '0') * 100 + (s[1] - '0') * 10 + (s[2] - '0');
	*out = (uint8_t)v;
	return v <= 255 ? 3 : 0;
}

int dnsname_from_text(const char *text, uint8_t *wire, size_t *n)
{
	uint8_t out[DNSNAME_MAX_BYTES];
	size_t at = 0, end = 1; /* at: the label's length byte; end: where the next byte goes */
	const char *s = text;

	if (strcmp(text, ".") == 0)
		s++;
	else if (!*s)
		return CF_EINVAL;
	while (*s) {
		uint8_t byte = (uint8_t)*s;
		size_t used = 1;

		if (*s == '.') {
			if (end == at + 1 || end >= sizeof(out))
				return CF_EINVAL;
			out[at] = (uint8_t)(end - at - 1);
			at = end++;
			s++;
			continue;
		}
		if (*s == '\\') {
			used = unescape(s + 1, &byte);
			if (!used++)
				return CF_EINVAL;
		}
		if (end - at > 63 || end >= sizeof(out) - 1)
			return CF_EINVAL;
		out[end++] = byte;
		s += used;
	}
	if (end > at + 1) { /* no root dot: close the last label, then the root */
		out[at] = (uint8_t)(end - at - 1);
		at = end++;
	}
	out[at] = 0;
	memcpy(wire, out, end);
	*n = end;
	return 0;
}

char *dnsname_to_text(const uint8_t *wire, char *out)
{
	char *p = out;

	if (!*wire)
		*p++ = '.';
	for (; *wire; wire += *wire + 1) {
		if (p != out)
			*p++ = '.';
		for (size_t i = 1; i <= *wire; i++) {
			uint8_t c = wire[i];
			if (!is_plain(c))
				*p++ = '\\';
			if (is_plain(c) || c == '.' || c == '\\') {
				*p++ = (char)c;
			} else {
				*p++ = (char)('0' + c / 100);
				*p++ = (char)('0' + c / 10 % 10);
				*p++ = (char)('0' + c % 10);
			}
		}
	}
	*p = '\0';
	return out;
}

int dnsname_read(
	const uint8_t *msg, size_t len, size_t *pos, uint8_t wire[DNSNAME_MAX_BYTES], size_t *n)
{
	size_t at = *pos, out = 0;
	size_t limit = at; /* pointers must go before this, so that there is an end */
	bool jumped = false;

	for (;;) {
		if (at >= len)
			return CF_EPROTO;
		uint8_t c = msg[at];
		if ((c & 0xc0) == 0xc0) {
			if (at + 1 >= len)
				return CF_EPROTO;
			size_t to = (size_t)(c & 0x3f) << 8 | msg[at + 1];
			if (to >= limit)
				return CF_EPROTO;
			if (!jumped)
				*pos = at + 2;
			jumped = true;
			limit = at = to;
			continue;
		}
		if (c & 0xc0 || at + 1 + c > len || out + 1 + c + (c ? 1 : 0) > DNSNAME_MAX_BYTES)
			return CF_EPROTO;
		memcpy(wire + out, msg + at, (size_t)c + 1);
		out += (size_t)c + 1;
		at += (size_t)c + 1;
		if (!c)
			break;
	}
	if (!jumped)
		*pos = at;
	*n = out;
	return 0;
}

int dnsname_skip(const uint8_t *msg, size_t len, size_t *pos)
{
	size_t at = *pos;

	while (at < len) {
		uint8_t c = msg[at];
		if (c == 0 || (c & 0xc0) == 0xc0) {
			at += c ? 2 : 1;
			if (at > len)
				return CF_EPROTO;
			*pos = at;
			return 0;
		}
		if (c & 0xc0)
			return CF_EPROTO;
		at += (size_t)c + 1;
	}
	return CF_EPROTO;
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

/* Length bytes are at most 63, below any letter, so they may pass through lower() too. */
void dnsname_lower(uint8_t *wire, size_t n)
{
	for (size_t i = 0; i < n; i++)
		wire[i] = lower(wire[i]);
}

bool dnsname_equal(const uint8_t *a, size_t an, const uint8_t *b, size_t bn)
{
	if (an != bn)
		return false;
	for (size_t i = 0; i < an; i++)
		if (lower(a[i]) != lower(b[i]))
			return false;
	return true;
}

size_t dnsname_labels(const uint8_t *wire)
{
	size_t n = 0;

	for (; *wire; wire += *wire + 1)
		n++;
	return n;
}

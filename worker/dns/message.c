#include "worker/dns/message.h"

#include "common/mem.h"

#include <stdio.h>
#include <string.h>

enum { OPT_UDP_BYTES = 1232 };

/* --- words */

const char *dns_status_word(enum dns_status status)
{
	static const char *const words[] = {
#define DNS_STATUS_WORD(name, word, text) [DNS_##name] = word,
		DNS_STATUSES(DNS_STATUS_WORD)
#undef DNS_STATUS_WORD
	};

	return (size_t)status < ARRAY_LEN(words) ? words[status] : "unknown";
}

const char *dns_type_word(uint16_t type)
{
	static const struct {
		uint16_t type;
		const char *word;
	} rows[] = {
		{DNS_A, "A"},
		{DNS_NS, "NS"},
		{DNS_CNAME, "CNAME"},
		{DNS_SOA, "SOA"},
		{DNS_TXT, "TXT"},
		{DNS_AAAA, "AAAA"},
		{DNS_DNAME, "DNAME"},
		{DNS_DS, "DS"},
		{DNS_DNSKEY, "DNSKEY"},
		{DNS_CAA, "CAA"},
	};
	static char other[16];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].type == type)
			return rows[i].word;
	snprintf(other, sizeof(other), "TYPE%u", type);
	return other;
}

const char *dns_rcode_word(unsigned rcode)
{
	static const char *const words[] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP",
		"REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE"};
	static char other[16];

	if (rcode < ARRAY_LEN(words))
		return words[rcode];
	if (rcode == 16)
		return "BADVERS";
	snprintf(other, sizeof(other), "RCODE%u", rcode);
	return other;
}

/* --- questions */

static uint8_t *put16(uint8_t *p, unsigned v)
{
	*p++ = (uint8_t)(v >> 8);
	*p++ = (uint8_t)v;
	return p;
}

size_t dns_query_write(uint16_t id, const uint8_t *name, size_t name_len, uint16_t type,
	unsigned flags, uint8_t *out)
{
	/* AD asks for AD in the answer (RFC 6840 section 5.7). */
	unsigned bits = (flags & DNS_RECURSE ? 0x0100u : 0) |
			(flags & DNS_NO_VALIDATION ? 0x0010u : 0) | 0x0020u;
	bool edns = !(flags & DNS_NO_EDNS);
	uint8_t *p = put16(put16(out, id), bits);

	p = put16(put16(p, 1), 0);
	p = put16(put16(p, 0), edns);
	memcpy(p, name, name_len);
	p = put16(put16(p + name_len, type), 1);
	if (edns) {
		*p++ = 0;
		p = put16(put16(p, 41), OPT_UDP_BYTES);
		p = put16(put16(p, 0), flags & DNS_SECURE ? 0x8000 : 0);
		p = put16(p, 0);
	}
	return (size_t)(p - out);
}

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

bool dns_reply_matches(const uint8_t *query, size_t query_len, const uint8_t *msg, size_t n)
{
	size_t q = 12, m = 12;

	if (n < 12 || get16(query) != get16(msg) || !(msg[2] & 0x80) || (msg[2] & 0x78))
		return false;
	if (get16(msg + 4) == 0)
		return (msg[3] & 0x0f) != 0;
	if (get16(msg + 4) != 1 || dnsname_skip(query, query_len, &q) != 0 ||
		dnsname_skip(msg, n, &m) != 0)
		return false;
	return q == m && n - m >= 4 && dnsname_equal(query + 12, q - 12, msg + 12, m - 12) &&
	       memcmp(query + q, msg + m, 4) == 0;
}

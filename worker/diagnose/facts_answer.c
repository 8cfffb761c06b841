/* From what came on the wire to what it says: how it ended, the CNAMEs, the records as text. */
#include "common/buf.h"
#include "common/mem.h"
#include "common/str.h"
#include "worker/diagnose/facts.h"
#include "worker/diagnose/facts_internal.h"
#include "worker/dns/delegation.h"
#include "worker/dns/dnskey.h"

#include <string.h>

const char *fact_end_word(enum fact_end end)
{
	static const char *const words[] = {
#define FACT_END_WORD(name, word, text) [FACT_##name] = word,
		FACT_ENDS(FACT_END_WORD)
#undef FACT_END_WORD
	};

	return (size_t)end < ARRAY_LEN(words) ? words[end] : "unknown";
}

/* --- how it ended */

static const struct dns_record *other(const struct dns_result *r, uint16_t type)
{
	for (size_t i = 0; i < r->n_others; i++)
		if (r->others[i].type == type)
			return &r->others[i];
	return NULL;
}

static enum fact_end end_at_server(const struct dns_result *r, enum fact_end end, const char *zone)
{
	if (r->rcode == 5 || r->rcode == 9) /* REFUSED, NOTAUTH */
		return FACT_LAME;
	if (r->tcp && (end == FACT_TIMEOUT || end == FACT_NETWORK))
		return FACT_TCP_REFUSED;
	if (end != FACT_RECORDS && end != FACT_NODATA && end != FACT_NXDOMAIN)
		return end;
	if (end == FACT_NODATA && delegation_apex(r, zone))
		return FACT_REFERRAL;
	return r->authoritative ? end : FACT_LAME;
}

static enum fact_end end_of(const struct dns_result *r, const char *zone)
{
	static const enum fact_end ends[] = {
		[DNS_ANSWERED] = FACT_RECORDS,
		[DNS_NODATA] = FACT_NODATA,
		[DNS_NXDOMAIN] = FACT_NXDOMAIN,
		[DNS_SERVFAIL] = FACT_SERVFAIL,
		[DNS_BOGUS] = FACT_BOGUS,
		[DNS_REFUSED] = FACT_ERROR,
		[DNS_RCODE] = FACT_ERROR,
		[DNS_MALFORMED] = FACT_ERROR,
		[DNS_TIMEOUT] = FACT_TIMEOUT,
		[DNS_NETWORK] = FACT_NETWORK,
		[DNS_BADNAME] = FACT_ERROR,
		[DNS_CANCELED] = FACT_SKIPPED,
	};

	return zone ? end_at_server(r, ends[r->status], zone) : ends[r->status];
}

/* --- CNAMEs and TTL */

static void fill_hops(struct facts *f, struct fact_answer *a, const struct dns_result *r)
{
	bool asked = r->type == DNS_CNAME && r->n_records;
	size_t n = asked ? 1 : r->n_chain;

	n = n < FACT_HOPS_MAX ? n : FACT_HOPS_MAX;
	const char **hops = facts_alloc(f, n * sizeof(*hops));
	for (size_t i = 0; i < n; i++)
		hops[i] = asked ? r->records[0].name : r->chain[i].target;
	a->hops = hops;
	a->n_hops = n;
	a->loop = r->chain_loops || (asked && strcmp(hops[0], r->name) == 0);
	a->dname = r->dname;
	a->elsewhere = a->end == FACT_NODATA && n && !other(r, DNS_SOA);
}

static void least(uint32_t *ttl, uint32_t other_ttl)
{
	*ttl = other_ttl < *ttl ? other_ttl : *ttl;
}

static uint32_t ttl_of(const struct dns_result *r)
{
	const struct dns_record *soa = r->n_records ? NULL : other(r, DNS_SOA);
	uint32_t ttl = UINT32_MAX;

	for (size_t i = 0; i < r->n_chain; i++)
		least(&ttl, r->chain[i].ttl_s);
	for (size_t i = 0; i < r->n_records; i++)
		least(&ttl, r->records[i].ttl_s);
	if (soa) { /* RFC 2308 section 5 */
		least(&ttl, soa->ttl_s);
		least(&ttl, soa->soa.minimum_s);
	}
	return ttl == UINT32_MAX ? 0 : ttl;
}

/* --- records as text */

static void hex(struct buf *out, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_addf(out, "%02x", bytes[i]);
}

static void add_clean(struct buf *out, const struct dns_bytes *b)
{
	char clean[FACT_TEXT_MAX + 1];

	buf_adds(out, str_clean((const char *)b->bytes, b->len, clean, sizeof(clean)));
}

static void add_raw(struct buf *out, const struct dns_record *r)
{
	const uint8_t *p = r->raw.bytes;
	size_t n = r->raw.len;

	if (r->type == DNS_DS && n > 4) {
		buf_addf(out, "%u %u %u ", (unsigned)p[0] << 8 | p[1], p[2], p[3]);
		hex(out, p + 4, n - 4 < 64 ? n - 4 : 64);
	} else if (r->type == DNS_DNSKEY && n > 4) {
		buf_addf(out, "%u %u %u %u", (unsigned)p[0] << 8 | p[1], p[2], p[3],
			dnskey_tag(p, n));
	} else {
		buf_addf(out, "\\# %zu ", n);
		hex(out, p, n < 128 ? n : 128);
	}
}

static void add_caa(struct buf *out, const struct dns_record *r)
{
	char tag[64];

	str_clean(r->caa.tag, strlen(r->caa.tag), tag, sizeof(tag));
	buf_addf(out, "%u %s \"", r->caa.flags, tag);
	add_clean(out, &r->caa.value);
	buf_addc(out, '"');
}

static void add_record(struct buf *out, const struct dns_record *r)
{
	char text[ADDR_TEXT_SIZE];

	switch (r->type) {
	case DNS_A:
	case DNS_AAAA:
		buf_adds(out, addr_format_host(&r->address, text));
		return;
	case DNS_NS:
	case DNS_CNAME:
	case DNS_DNAME:
		buf_adds(out, r->name);
		return;
	case DNS_TXT:
		add_clean(out, &r->txt);
		return;
	case DNS_SOA:
		buf_addf(out, "%s %u", r->soa.primary, r->soa.serial);
		return;
	case DNS_CAA:
		add_caa(out, r);
		return;
	default:
		add_raw(out, r);
	}
}

static void fill_records(struct facts *f, struct fact_answer *a, const struct dns_result *r)
{
	size_t n = r->n_records < FACT_RECORDS_MAX ? r->n_records : FACT_RECORDS_MAX;
	const char **texts = facts_alloc(f, n * sizeof(*texts));
	_buf_release_ struct buf text = BUF_INIT(2 * DNSNAME_TEXT_SIZE);

	for (size_t i = 0; i < n; i++) {
		buf_clear(&text);
		add_record(&text, &r->records[i]);
		texts[i] = facts_text(f, buf_cstr(&text));
	}
	a->records = texts;
	a->n_records = n;
	a->n_more = r->n_records - n;
	a->raw = r->records;
}

void facts_answer(struct facts *f, struct fact_answer *a, const char *server,
	const struct dns_result *r, const char *zone)
{
	a->server = facts_text(f, server);
	a->address = r->server;
	a->end = end_of(r, zone);
	a->rcode = r->rcode;
	a->ede = r->ede;
	a->authenticated = r->authenticated;
	a->latency_us = r->latency_us;
	a->ttl_s = ttl_of(r);
	fill_hops(f, a, r);
	fill_records(f, a, r);
	if (r->n_records || r->n_chain)
		facts_keep(f, r);
}

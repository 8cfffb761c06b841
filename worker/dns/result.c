#include "common/mem.h"
#include "worker/dns/message.h"

#include <string.h>

/* --- one object with everything in it: blocks that are freed together */

struct block {
	struct block *next;
	size_t used, size;
	_Alignas(max_align_t) uint8_t bytes[];
};

struct dns_arena {
	struct block *blocks;
};

enum { BLOCK_BYTES = 1024 };

static void *arena_get(struct dns_arena *a, size_t n)
{
	struct block *b = a->blocks;

	n = (n + 15) & ~(size_t)15;
	if (!b || b->size - b->used < n) {
		size_t size = n > BLOCK_BYTES ? n : BLOCK_BYTES;
		b = mem_alloc(sizeof(*b) + size);
		*b = (struct block){.next = a->blocks, .size = size};
		a->blocks = b;
	}
	void *p = b->bytes + b->used;
	b->used += n;
	return p;
}

static char *arena_text(struct dns_arena *a, const void *bytes, size_t n)
{
	char *s = arena_get(a, n + 1);

	if (n)
		memcpy(s, bytes, n);
	s[n] = '\0';
	return s;
}

static char *arena_name(struct dns_arena *a, const uint8_t *wire, size_t n)
{
	uint8_t low[DNSNAME_MAX_BYTES];
	char text[DNSNAME_TEXT_SIZE];

	memcpy(low, wire, n);
	dnsname_lower(low, n);
	dnsname_to_text(low, text);
	return arena_text(a, text, strlen(text));
}

struct dns_result *dns_result_new(const char *name, uint16_t type, enum dns_status status)
{
	struct dns_result *r = mem_zalloc(sizeof(*r));

	r->arena = mem_zalloc(sizeof(*r->arena));
	r->refs = 1;
	r->status = status;
	r->type = type;
	r->ede = DNS_NO_EDE;
	r->name = r->end = arena_text(r->arena, name, strlen(name));
	return r;
}

struct dns_result *dns_result_keep(const struct dns_result *r)
{
	struct dns_result *mine = (struct dns_result *)(uintptr_t)r;

	mine->refs++;
	return mine;
}

void dns_result_free(const struct dns_result *r)
{
	struct dns_result *mine = (struct dns_result *)(uintptr_t)r;

	if (!mine || --mine->refs)
		return;
	for (struct block *b = mine->arena->blocks, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	free(mine->arena);
	free(mine);
}

/* --- reading records */

struct reader {
	const uint8_t *msg;
	size_t n, pos;
	struct dns_arena *arena;
};

/* A record as it stands in the message; rdata is msg[at .. at + len). */
struct raw {
	uint8_t owner[DNSNAME_MAX_BYTES];
	size_t owner_len, at, len;
	unsigned type, class;
	uint32_t ttl_s;
};

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static int read_raw(struct reader *in, struct raw *out)
{
	int err = dnsname_read(in->msg, in->n, &in->pos, out->owner, &out->owner_len);

	if (err || in->n - in->pos < 10)
		return CF_EPROTO;
	const uint8_t *p = in->msg + in->pos;
	out->type = get16(p);
	out->class = get16(p + 2);
	out->ttl_s = get32(p + 4) & 0x80000000u ? 0 : get32(p + 4); /* RFC 2181 section 8 */
	out->len = get16(p + 8);
	out->at = in->pos + 10;
	if (in->n - out->at < out->len)
		return CF_EPROTO;
	in->pos = out->at + out->len;
	return 0;
}

/* A name inside the rdata, at *pos. */
static int read_name(struct reader *in, const struct raw *raw, size_t *pos, const char **out)
{
	uint8_t wire[DNSNAME_MAX_BYTES];
	size_t n;

	if (dnsname_read(in->msg, raw->at + raw->len, pos, wire, &n) != 0)
		return CF_EPROTO;
	*out = arena_name(in->arena, wire, n);
	return 0;
}

static int read_target(struct reader *in, const struct raw *raw, struct dns_record *out)
{
	size_t pos = raw->at;

	return read_name(in, raw, &pos, &out->name) == 0 && pos == raw->at + raw->len ? 0
										      : CF_EPROTO;
}

static int read_soa(struct reader *in, const struct raw *raw, struct dns_record *out)
{
	size_t pos = raw->at;

	if (read_name(in, raw, &pos, &out->soa.primary) != 0 ||
		dnsname_skip(in->msg, raw->at + raw->len, &pos) != 0 ||
		raw->at + raw->len - pos != 20)
		return CF_EPROTO;
	out->soa.serial = get32(in->msg + pos);
	out->soa.minimum_s = get32(in->msg + pos + 16);
	return 0;
}

static int read_txt(struct reader *in, const struct raw *raw, struct dns_record *out)
{
	char *joined = arena_get(in->arena, raw->len + 1);
	size_t len = 0;

	for (size_t pos = raw->at, end = raw->at + raw->len; pos < end;) {
		size_t n = in->msg[pos++];
		if (end - pos < n)
			return CF_EPROTO;
		memcpy(joined + len, in->msg + pos, n);
		len += n;
		pos += n;
	}
	joined[len] = '\0';
	out->txt = (struct dns_bytes){(const uint8_t *)joined, len};
	return 0;
}

/* RFC 8659 section 4.1: flags, the tag's length, tag, value. */
static int read_caa(struct reader *in, const struct raw *raw, struct dns_record *out)
{
	const uint8_t *p = in->msg + raw->at;

	if (raw->len < 2 || !p[1] || raw->len < 2u + p[1])
		return CF_EPROTO;
	size_t n = p[1], rest = raw->len - 2 - n;
	char *tag = arena_text(in->arena, p + 2, n);
	for (size_t i = 0; i < n; i++)
		tag[i] = tag[i] >= 'A' && tag[i] <= 'Z' ? (char)(tag[i] + 32) : tag[i];
	out->caa.flags = p[0];
	out->caa.critical = p[0] & 0x80;
	out->caa.tag = tag;
	out->caa.value =
		(struct dns_bytes){(const uint8_t *)arena_text(in->arena, p + 2 + n, rest), rest};
	return 0;
}

static int read_record(struct reader *in, const struct raw *raw, struct dns_record *out)
{
	const uint8_t *rdata = in->msg + raw->at;

	*out = (struct dns_record){.type = (uint16_t)raw->type, .ttl_s = raw->ttl_s};
	out->owner = arena_name(in->arena, raw->owner, raw->owner_len);
	switch (raw->type) {
	case DNS_A:
		if (raw->len != 4)
			return CF_EPROTO;
		addr_from_v4(rdata, 0, &out->address);
		return 0;
	case DNS_AAAA:
		if (raw->len != 16)
			return CF_EPROTO;
		addr_from_v6(rdata, 0, &out->address);
		return 0;
	case DNS_NS:
	case DNS_CNAME:
	case DNS_DNAME:
		return read_target(in, raw, out);
	case DNS_SOA:
		return read_soa(in, raw, out);
	case DNS_TXT:
		return read_txt(in, raw, out);
	case DNS_CAA:
		return read_caa(in, raw, out);
	default:
		out->raw = (struct dns_bytes){
			(const uint8_t *)arena_text(in->arena, rdata, raw->len), raw->len};
		return 0;
	}
}

/* --- the whole message */

struct sections {
	struct dns_record *answers, *others;
	size_t n_answers, n_others;
};

/* RFC 8914: the first extended error is kept. */
static void read_opt(const struct reader *in, const struct raw *raw, struct dns_result *r)
{
	const uint8_t *p = in->msg + raw->at;

	r->rcode = (uint16_t)(r->rcode | get16(in->msg + raw->at - 6) >> 8 << 4);
	for (size_t left = raw->len; left >= 4;) {
		size_t n = get16(p + 2);
		if (left - 4 < n)
			return;
		if (get16(p) == 15 && n >= 2 && r->ede == DNS_NO_EDE)
			r->ede = (uint16_t)get16(p + 4);
		p += 4 + n;
		left -= 4 + n;
	}
}

static bool is_other(unsigned type)
{
	return type == DNS_SOA || type == DNS_NS || type == DNS_A || type == DNS_AAAA ||
	       type == DNS_DS;
}

static int read_section(
	struct reader *in, int section, unsigned count, struct dns_result *r, struct sections *s)
{
	struct raw raw;

	for (unsigned i = 0; i < count; i++) {
		int err = read_raw(in, &raw);
		if (err)
			return err;
		if (section == 3 && raw.type == 41)
			read_opt(in, &raw, r);
		if (raw.class != 1 || s->n_answers + s->n_others >= DNS_MAX_RECORDS)
			continue;
		if (section == 1) {
			bool wanted = raw.type == r->type || raw.type == DNS_CNAME ||
				      raw.type == DNS_DNAME;
			err = wanted ? read_record(in, &raw, &s->answers[s->n_answers]) : 0;
			s->n_answers += wanted && !err;
		} else if (is_other(raw.type)) {
			err = read_record(in, &raw, &s->others[s->n_others]);
			s->n_others += !err;
		}
		if (err)
			return err;
	}
	return 0;
}

static const struct dns_record *find_cname(const struct sections *s, const char *owner)
{
	for (size_t i = 0; i < s->n_answers; i++)
		if (s->answers[i].type == DNS_CNAME && strcmp(s->answers[i].owner, owner) == 0)
			return &s->answers[i];
	return NULL;
}

static void follow(struct dns_result *r, const struct sections *s)
{
	struct dns_cname chain[DNS_MAX_CHAIN];
	const struct dns_record *link;

	while (r->type != DNS_CNAME && (link = find_cname(s, r->end))) {
		if (r->n_chain == DNS_MAX_CHAIN) {
			r->chain_loops = true;
			break;
		}
		chain[r->n_chain++] = (struct dns_cname){link->owner, link->name, link->ttl_s};
		r->end = link->name;
		for (size_t i = 0; i < r->n_chain; i++)
			r->chain_loops |= strcmp(chain[i].owner, r->end) == 0;
		if (r->chain_loops)
			break;
	}
	if (r->n_chain) {
		struct dns_cname *mine = arena_get(r->arena, r->n_chain * sizeof(chain[0]));
		memcpy(mine, chain, r->n_chain * sizeof(chain[0]));
		r->chain = mine;
	}
}

static bool lies_below(const char *name, const char *ancestor)
{
	size_t n = strlen(name), a = strlen(ancestor);

	return n > a + 1 && name[n - a - 1] == '.' && strcmp(name + n - a, ancestor) == 0;
}

static bool has_dname(const struct dns_result *r, const struct sections *s)
{
	for (size_t i = 0; i < s->n_answers; i++) {
		if (s->answers[i].type != DNS_DNAME)
			continue;
		if (lies_below(r->name, s->answers[i].owner))
			return true;
		for (size_t j = 0; j < r->n_chain; j++)
			if (lies_below(r->chain[j].owner, s->answers[i].owner))
				return true;
	}
	return false;
}

/* The asked records at the chain's end come first in answers and are what is given out. */
static void pick(struct dns_result *r, struct sections *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_answers; i++) {
		if (s->answers[i].type != r->type || strcmp(s->answers[i].owner, r->end) != 0)
			continue;
		struct dns_record keep = s->answers[i];
		s->answers[i] = s->answers[n];
		s->answers[n++] = keep;
	}
	r->records = s->answers;
	r->n_records = n;
	r->others = s->others;
	r->n_others = s->n_others;
}

static enum dns_status judge(const struct dns_result *r)
{
	switch (r->rcode) {
	case 0:
		return r->n_records ? DNS_ANSWERED : DNS_NODATA;
	case 2:
		return DNS_SERVFAIL;
	case 3:
		return DNS_NXDOMAIN;
	case 5:
		return DNS_REFUSED;
	default:
		return DNS_RCODE;
	}
}

static int read_message(struct dns_result *r, const uint8_t *msg, size_t n)
{
	struct reader in = {.msg = msg, .n = n, .pos = 12, .arena = r->arena};
	struct sections s = {0};
	unsigned answers = get16(msg + 6), others = get16(msg + 8) + get16(msg + 10);

	r->rcode = msg[3] & 0x0f;
	r->authoritative = msg[2] & 0x04;
	r->truncated = msg[2] & 0x02;
	r->authenticated = msg[3] & 0x20;
	if (get16(msg + 4) && (dnsname_skip(msg, n, &in.pos) != 0 || n - in.pos < 4))
		return CF_EPROTO;
	in.pos += get16(msg + 4) ? 4 : 0;
	s.answers = arena_get(r->arena,
		(answers < DNS_MAX_RECORDS ? answers : DNS_MAX_RECORDS) * sizeof(*s.answers));
	s.others = arena_get(r->arena,
		(others < DNS_MAX_RECORDS ? others : DNS_MAX_RECORDS) * sizeof(*s.others));
	for (int section = 1; section <= 3; section++) {
		int err = read_section(&in, section, get16(msg + 4 + 2 * section), r, &s);
		if (err)
			return err;
	}
	follow(r, &s);
	r->dname = has_dname(r, &s);
	pick(r, &s);
	return 0;
}

struct dns_result *dns_result_read(
	const uint8_t *name, size_t name_len, uint16_t type, const uint8_t *msg, size_t n)
{
	struct dns_result *r = dns_result_new("", type, DNS_MALFORMED);

	r->name = r->end = arena_name(r->arena, name, name_len);
	if (n >= 12 && read_message(r, msg, n) == 0)
		r->status = judge(r);
	return r;
}

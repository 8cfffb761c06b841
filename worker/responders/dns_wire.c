#include "worker/responders/dns_wire.h"

#include "common/mem.h"

#include <string.h>

enum { HEADER = 12, MAX_ZONES = 8, MAX_NAMESERVERS = 13, MAX_ADDRESSES = 8 };

enum {
	TYPE_A = 1,
	TYPE_NS = 2,
	TYPE_SOA = 6,
	TYPE_HINFO = 13,
	TYPE_TXT = 16,
	TYPE_AAAA = 28,
	TYPE_OPT = 41,
	TYPE_META_FIRST = 128,
	TYPE_META_LAST = 255,
	TYPE_ANY = 255,
	CLASS_IN = 1,
};

enum { NOERROR = 0, FORMERR = 1, SERVFAIL = 2, NOTIMP = 4, REFUSED = 5, BADVERS = 16 };

struct name {
	uint8_t wire[DNSNAME_MAX_BYTES]; /* lower case */
	uint8_t len;
};

struct nameserver {
	struct name name;
	int zone; /* the one that it lies in, or -1 */
	uint8_t n_addresses;
	struct addr addresses[MAX_ADDRESSES];
};

struct dns_zones {
	size_t n_zones, n_nameservers;
	uint32_t serial;
	struct name zones[MAX_ZONES];
	struct nameserver nameservers[MAX_NAMESERVERS];
};

/* --- set-up */

static int read_name(const char *text, const char *what, struct name *out, struct why *why)
{
	size_t n;

	if (!text || dnsname_from_text(text, out->wire, &n) != 0 || n == 1)
		return why_set(why, CF_EINVAL, "%s \"%.100s\" is not a domain name", what,
			text ? text : "");
	dnsname_lower(out->wire, n);
	out->len = (uint8_t)n;
	return 0;
}

/* Where zone's name begins in name, if name is the zone or below it; else -1. */
static int tail_at(const struct name *name, const struct name *zone)
{
	for (size_t at = 0; at < name->len && name->len - at >= zone->len;
		at += name->wire[at] + 1u)
		if (name->len - at == zone->len)
			return memcmp(name->wire + at, zone->wire, zone->len) == 0 ? (int)at : -1;
	return -1;
}

/* The closest zone around name, and where its name begins there; -1: none. */
static int find_zone(const struct dns_zones *z, const struct name *name, int *at)
{
	int best = -1;

	for (size_t i = 0; i < z->n_zones; i++) {
		int t = tail_at(name, &z->zones[i]);
		if (t >= 0 && (best < 0 || z->zones[i].len > z->zones[best].len)) {
			best = (int)i;
			*at = t;
		}
	}
	return best;
}

static int read_nameserver(struct dns_zones *z, const struct dns_nameserver *ns, struct why *why)
{
	struct nameserver *out = &z->nameservers[z->n_nameservers];
	int at, err = read_name(ns->name, "name server", &out->name, why);

	if (err)
		return err;
	if (ns->n_addresses > MAX_ADDRESSES)
		return why_set(why, CF_EINVAL, "name server %s has over %d addresses", ns->name,
			MAX_ADDRESSES);
	out->zone = find_zone(z, &out->name, &at);
	if (out->zone >= 0 && !ns->n_addresses)
		return why_set(why, CF_EINVAL,
			"name server %s lies in a challenge zone, so its addresses must be given",
			ns->name);
	for (size_t i = 0; i < ns->n_addresses; i++)
		out->addresses[out->n_addresses++] = ns->addresses[i];
	z->n_nameservers++;
	return 0;
}

static int read_config(const struct dns_zones_config *c, struct dns_zones *z, struct why *why)
{
	int err = 0;

	if (!c->n_zones || c->n_zones > MAX_ZONES)
		return why_set(why, CF_EINVAL, "%zu challenge zones: expected 1 to %d", c->n_zones,
			MAX_ZONES);
	if (c->n_nameservers < 2 || c->n_nameservers > MAX_NAMESERVERS)
		return why_set(why, CF_EINVAL, "%zu name servers: expected 2 to %d",
			c->n_nameservers, MAX_NAMESERVERS);
	for (size_t i = 0; i < c->n_zones && !err; i++)
		err = read_name(c->zones[i], "challenge zone", &z->zones[z->n_zones++], why);
	for (size_t i = 0; i < c->n_nameservers && !err; i++)
		err = read_nameserver(z, &c->nameservers[i], why);
	/* The SOA's mail name is "hostmaster" below the zone, which must fit. */
	for (size_t i = 0; i < z->n_zones && !err; i++)
		if (z->zones[i].len > DNSNAME_MAX_BYTES - 64)
			err = why_set(why, CF_EINVAL,
				"challenge zone \"%s\" leaves no room for labels", c->zones[i]);
	return err;
}

int dns_zones_new(const struct dns_zones_config *config, struct dns_zones **out, struct why *why)
{
	struct dns_zones *z = mem_zalloc(sizeof(*z));
	int err = read_config(config, z, why);

	z->serial = config->serial;
	if (err)
		dns_zones_free(z);
	else
		*out = z;
	return err;
}

void dns_zones_free(struct dns_zones *zones)
{
	free(zones);
}

/* --- writing: past `max` nothing more is written, and `over` says so */

struct writer {
	uint8_t *out;
	size_t len, max;
	bool over;
	uint16_t counts[4]; /* of the four sections */
};

enum { ANSWER = 1, AUTHORITY = 2, ADDITIONAL = 3 };

static void put(struct writer *w, const void *bytes, size_t n)
{
	if (w->over || n > w->max - w->len) {
		w->over = true;
		return;
	}
	memcpy(w->out + w->len, bytes, n);
	w->len += n;
}

static void put8(struct writer *w, unsigned v)
{
	put(w, &(uint8_t){(uint8_t)v}, 1);
}

static void put16(struct writer *w, unsigned v)
{
	put(w, (uint8_t[]){(uint8_t)(v >> 8), (uint8_t)v}, 2);
}

static void put32(struct writer *w, uint32_t v)
{
	put16(w, v >> 16);
	put16(w, v & 0xffff);
}

static void set16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

/* Names that end in the question's zone are cut short by a pointer to it there. */
static void put_name(struct writer *w, const struct dns_zones *z, const struct dns_ask *a,
	const struct name *name)
{
	int at = tail_at(name, &z->zones[a->zone]);

	if (at < 0) {
		put(w, name->wire, name->len);
		return;
	}
	put(w, name->wire, (size_t)at);
	put16(w, 0xc000u | (HEADER + a->zone_at));
}

/* The fixed part of a record whose owner is written; returns where its length goes. */
static size_t begin_rr(struct writer *w, int section, unsigned type, uint32_t ttl)
{
	put16(w, type);
	put16(w, CLASS_IN);
	put32(w, ttl);
	w->counts[section]++;
	size_t at = w->len;
	put16(w, 0);
	return at;
}

static void end_rr(struct writer *w, size_t at)
{
	if (!w->over)
		set16(w->out + at, w->len - at - 2);
}

static void owner_is_question(struct writer *w)
{
	put16(w, 0xc000u | HEADER);
}

static void owner_is_zone(struct writer *w, const struct dns_ask *a)
{
	put16(w, 0xc000u | (HEADER + a->zone_at));
}

static void put_soa(struct writer *w, const struct dns_zones *z, const struct dns_ask *a,
	int section, uint32_t ttl)
{
	static const uint8_t hostmaster[] = "\x0ahostmaster";
	size_t at;

	owner_is_zone(w, a);
	at = begin_rr(w, section, TYPE_SOA, ttl);
	put_name(w, z, a, &z->nameservers[0].name);
	put(w, hostmaster, sizeof(hostmaster) - 1);
	owner_is_zone(w, a);
	put32(w, z->serial);
	put32(w, 3600); /* refresh, retry and expire are for secondaries, which there are none of */
	put32(w, 600);
	put32(w, 604800);
	put32(w, DNS_WIRE_NEGATIVE_TTL_S);
	end_rr(w, at);
}

/* All addresses of one family (type A or AAAA); the owner is the name server. */
static void put_addresses(struct writer *w, const struct dns_zones *z, const struct dns_ask *a,
	int section, const struct nameserver *ns, unsigned type)
{
	for (size_t i = 0; i < ns->n_addresses; i++) {
		const struct addr *ip = &ns->addresses[i];
		bool v4 = ip->sa.sa_family == AF_INET;

		if (v4 != (type == TYPE_A))
			continue;
		put_name(w, z, a, &ns->name);
		size_t at = begin_rr(w, section, type, DNS_WIRE_STATIC_TTL_S);
		put(w, v4 ? (const void *)&ip->in.sin_addr : (const void *)&ip->in6.sin6_addr,
			v4 ? 4 : 16);
		end_rr(w, at);
	}
}

static void put_txt(struct writer *w, const struct dns_txt *v)
{
	size_t at, done = 0;

	owner_is_question(w);
	at = begin_rr(w, ANSWER, TYPE_TXT, DNS_WIRE_TXT_TTL_S);
	do {
		size_t n = v->len - done > 255 ? 255 : v->len - done;
		put8(w, (unsigned)n);
		put(w, v->bytes + done, n);
		done += n;
	} while (done < v->len);
	end_rr(w, at);
}

enum { OPT_BYTES = 11 };

static struct writer begin(const struct dns_ask *a, uint8_t *out)
{
	struct writer w = {.out = out, .max = a->max_bytes};

	put(&w, a->head, a->question_len);
	w.max -= a->edns ? OPT_BYTES : 0;
	return w;
}

/* Header and OPT. An answer that did not fit leaves as question with TC. */
static size_t finish(struct writer *w, const struct dns_ask *a, unsigned rcode, bool authoritative)
{
	uint8_t *h = w->out;

	if (w->over) {
		w->len = a->question_len;
		memset(w->counts, 0, sizeof(w->counts));
	}
	/* QR; the opcode, RD and CD are the asker's. */
	h[2] = (uint8_t)(0x80 | (a->head[2] & 0x79) | (authoritative ? 0x04 : 0) |
			 (w->over ? 0x02 : 0));
	h[3] = (uint8_t)((a->head[3] & 0x10) | (rcode & 0x0f));
	w->over = false;
	w->max = a->max_bytes;
	if (a->edns) {
		put8(w, 0);
		put16(w, TYPE_OPT);
		put16(w, DNS_WIRE_UDP_BYTES);
		put8(w, rcode >> 4);
		put8(w, 0);
		put16(w, a->dnssec_ok ? 0x8000 : 0);
		put16(w, 0);
		w->counts[ADDITIONAL]++;
	}
	w->counts[0] = a->question_len > HEADER;
	for (int i = 0; i < 4; i++)
		set16(h + 4 + 2 * i, w->counts[i]);
	return w->len;
}

static size_t answer_rcode(const struct dns_ask *a, unsigned rcode, uint8_t *out)
{
	struct writer w = begin(a, out);

	return finish(&w, a, rcode, false);
}

static size_t finish_nodata(struct writer *w, const struct dns_zones *z, const struct dns_ask *a)
{
	put_soa(w, z, a, AUTHORITY, DNS_WIRE_NEGATIVE_TTL_S);
	return finish(w, a, NOERROR, true);
}

/* --- reading */

/* The OPT record at pos (behind its owner). 0, or an rcode. */
static int read_opt(const uint8_t *in, size_t pos, bool root, struct dns_ask *a)
{
	unsigned size = get16(in + pos + 2);

	if (!root || a->edns)
		return FORMERR;
	a->edns = true;
	a->dnssec_ok = in[pos + 6] & 0x80;
	if (a->transport == DNS_UDP && size > 512)
		a->max_bytes = (uint16_t)(size < DNS_WIRE_UDP_BYTES ? size : DNS_WIRE_UDP_BYTES);
	return in[pos + 5] ? BADVERS : NOERROR;
}

/* The records behind the question, of which only OPT matters. */
static int read_records(const uint8_t *in, size_t n, size_t pos, struct dns_ask *a)
{
	unsigned before = get16(in + 6) + get16(in + 8), all = before + get16(in + 10);
	int rcode = NOERROR;

	for (unsigned i = 0; i < all; i++) {
		size_t owner = pos;
		if (dnsname_skip(in, n, &pos) != 0 || n - pos < 10)
			return FORMERR;
		unsigned type = get16(in + pos), len = get16(in + pos + 8);
		if (n - pos - 10 < len)
			return FORMERR;
		if (type == TYPE_OPT) {
			int err = i < before ? FORMERR : read_opt(in, pos, in[owner] == 0, a);
			if (err == FORMERR)
				return err;
			rcode = err;
		}
		pos += 10 + len;
	}
	return rcode;
}

/* Header and question into a; the name in lower case into name. 0, or an rcode. */
static int read_question(
	const uint8_t *in, size_t n, struct dns_ask *a, struct name *name, unsigned *class)
{
	size_t pos = HEADER;

	if (get16(in + 4) != 1)
		return FORMERR;
	for (; pos < n && in[pos]; pos += in[pos] + 1u)
		if (in[pos] > 63) /* nothing stands before it that a pointer could point to */
			return FORMERR;
	if (pos >= n || pos + 1 - HEADER > DNSNAME_MAX_BYTES || n - pos - 1 < 4)
		return FORMERR;
	name->len = (uint8_t)(pos + 1 - HEADER);
	memcpy(name->wire, in + HEADER, name->len);
	dnsname_lower(name->wire, name->len);
	a->type = (uint16_t)get16(in + pos + 1);
	*class = get16(in + pos + 3);
	a->question_len = (uint16_t)(pos + 5);
	memcpy(a->head, in, a->question_len);
	return read_records(in, n, pos + 5, a);
}

/* --- deciding */

/* The name's one label below the zone, when it is one that could hold a challenge. */
static bool read_label(const struct name *name, int zone_at, char label[64])
{
	size_t n = name->wire[0];

	if (!n || (size_t)zone_at != n + 1)
		return false;
	for (size_t i = 1; i <= n; i++) {
		uint8_t c = name->wire[i];
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
			return false;
	}
	memcpy(label, name->wire + 1, n);
	label[n] = '\0';
	return true;
}

static size_t answer_ns(const struct dns_zones *z, const struct dns_ask *a, uint8_t *out)
{
	struct writer w = begin(a, out);

	for (size_t i = 0; i < z->n_nameservers; i++) {
		owner_is_question(&w);
		size_t at = begin_rr(&w, ANSWER, TYPE_NS, DNS_WIRE_STATIC_TTL_S);
		put_name(&w, z, a, &z->nameservers[i].name);
		end_rr(&w, at);
	}
	/* Addresses are a courtesy: what does not fit is left out, without TC. */
	for (size_t i = 0; i < z->n_nameservers && !w.over; i++) {
		struct writer before = w;
		if (z->nameservers[i].zone != a->zone)
			continue;
		put_addresses(&w, z, a, ADDITIONAL, &z->nameservers[i], TYPE_A);
		put_addresses(&w, z, a, ADDITIONAL, &z->nameservers[i], TYPE_AAAA);
		if (w.over)
			w = before;
	}
	return finish(&w, a, NOERROR, true);
}

static size_t answer_soa(const struct dns_zones *z, const struct dns_ask *a, uint8_t *out)
{
	struct writer w = begin(a, out);

	put_soa(&w, z, a, ANSWER, DNS_WIRE_STATIC_TTL_S);
	return finish(&w, a, NOERROR, true);
}

static size_t answer_any(const struct dns_ask *a, uint8_t *out)
{
	static const uint8_t rdata[] = "\x07RFC8482"; /* and the NUL: an empty second string */
	struct writer w = begin(a, out);

	owner_is_question(&w);
	size_t at = begin_rr(&w, ANSWER, TYPE_HINFO, DNS_WIRE_STATIC_TTL_S);
	put(&w, rdata, sizeof(rdata));
	end_rr(&w, at);
	return finish(&w, a, NOERROR, true);
}

/* Addresses of a name server of that name, or NODATA. */
static size_t answer_address(
	const struct dns_zones *z, const struct dns_ask *a, const struct name *name, uint8_t *out)
{
	struct writer w = begin(a, out);

	for (size_t i = 0; i < z->n_nameservers; i++) {
		const struct nameserver *ns = &z->nameservers[i];
		if (ns->name.len == name->len && memcmp(ns->name.wire, name->wire, name->len) == 0)
			put_addresses(&w, z, a, ANSWER, ns, a->type);
	}
	return w.counts[ANSWER] ? finish(&w, a, NOERROR, true) : finish_nodata(&w, z, a);
}

/* A question of class IN in zone a->zone. */
static enum dns_wire_step answer_in_zone(const struct dns_zones *z, struct dns_ask *a,
	const struct name *name, uint8_t *out, size_t *len)
{
	bool apex = a->zone_at == 0;

	if (a->type == TYPE_ANY) {
		*len = answer_any(a, out);
	} else if (a->type == TYPE_SOA && apex) {
		*len = answer_soa(z, a, out);
	} else if (a->type == TYPE_NS && apex) {
		*len = answer_ns(z, a, out);
	} else if (a->type == TYPE_A || a->type == TYPE_AAAA) {
		*len = answer_address(z, a, name, out);
	} else if (a->type == TYPE_TXT && read_label(name, a->zone_at, a->label)) {
		return DNS_WIRE_NEED_TXT;
	} else {
		struct writer w = begin(a, out);
		*len = finish_nodata(&w, z, a);
	}
	return DNS_WIRE_DONE;
}

static enum dns_wire_step refuse(struct dns_ask *a, int rcode, uint8_t *out, size_t *len)
{
	a->rcode = (uint8_t)rcode;
	*len = answer_rcode(a, (unsigned)rcode, out);
	return DNS_WIRE_DONE;
}

static bool is_served_type(unsigned type)
{
	return type == TYPE_ANY ||
	       (type != TYPE_OPT && (type < TYPE_META_FIRST || type > TYPE_META_LAST));
}

enum dns_wire_step dns_wire_ask(const struct dns_zones *zones, enum dns_transport transport,
	const uint8_t *in, size_t n, struct dns_ask *ask, uint8_t *out, size_t *len)
{
	struct name name;
	unsigned class = 0;
	int at = 0;

	if (n < HEADER || in[2] & 0x80) /* answers are never answered */
		return DNS_WIRE_DROP;
	memset(ask, 0, offsetof(struct dns_ask, head));
	memcpy(ask->head, in, HEADER);
	ask->transport = (uint8_t)transport;
	ask->question_len = HEADER;
	ask->max_bytes = transport == DNS_UDP ? 512 : DNS_WIRE_TCP_BYTES;
	if (in[2] & 0x78)
		return refuse(ask, NOTIMP, out, len);
	int rcode = read_question(in, n, ask, &name, &class);
	if (rcode)
		return refuse(ask, rcode, out, len);
	/* A question is at least 17 bytes long, so this is never below what header and OPT need. */
	if (transport == DNS_UDP && ask->max_bytes > 3 * n)
		ask->max_bytes = (uint16_t)(3 * n);
	int zone = find_zone(zones, &name, &at);
	if (zone < 0 || class != CLASS_IN || !is_served_type(ask->type))
		return refuse(ask, REFUSED, out, len);
	ask->zone = (uint8_t)zone;
	ask->zone_at = (uint8_t)at;
	return answer_in_zone(zones, ask, &name, out, len);
}

size_t dns_wire_answer_txt(const struct dns_zones *zones, const struct dns_ask *ask,
	const struct dns_txt *values, size_t n, uint8_t *out)
{
	struct writer w = begin(ask, out);

	for (size_t i = 0; i < n && !w.over; i++)
		put_txt(&w, &values[i]);
	return n ? finish(&w, ask, NOERROR, true) : finish_nodata(&w, zones, ask);
}

size_t dns_wire_answer_failure(const struct dns_ask *ask, uint8_t *out)
{
	return answer_rcode(ask, SERVFAIL, out);
}

#include "tests/unit/worker/dns/fake_dns.h"

#include "tests/unit/worker/dns/reply_aid.h"
#include "worker/dns/delegation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { TTL = 300 };

static void add_record(struct reply_aid *m, int section, const struct fake_record *rr)
{
	uint8_t txt[256];

	switch (rr->type) {
	case DNS_A:
	case DNS_AAAA:
		reply_aid_a(m, section, rr->owner, TTL, rr->data);
		return;
	case DNS_TXT:
		txt[0] = (uint8_t)strlen(rr->data);
		memcpy(txt + 1, rr->data, txt[0]);
		reply_aid_rr(m, section, rr->owner, DNS_TXT, TTL, txt, txt[0] + 1u);
		return;
	case DNS_SOA:
		reply_aid_soa(m, rr->owner, TTL, TTL);
		return;
	default:
		reply_aid_name(m, section, rr->owner, rr->type, TTL, rr->data);
	}
}

static size_t add_matching(struct reply_aid *m, int section, const struct fake_server *s,
	const char *owner, uint16_t type)
{
	size_t n = 0;

	for (const struct fake_record *rr = s->records; rr->type; rr++)
		if (rr->type == type && strcmp(rr->owner, owner) == 0) {
			add_record(m, section, rr);
			n++;
		}
	return n;
}

static const char *zone_of(const struct fake_server *s, const char *name)
{
	const char *best = NULL;

	for (const char *const *z = s->zones; *z; z++)
		if (delegation_under(name, *z) &&
			(!best || delegation_labels(*z) > delegation_labels(best)))
			best = *z;
	return best;
}

/* The owner of NS records between the zone and the name. */
static const char *cut_of(const struct fake_server *s, const char *zone, const char *name)
{
	for (const struct fake_record *rr = s->records; rr->type; rr++)
		if (rr->type == DNS_NS && strcmp(rr->owner, zone) != 0 &&
			delegation_under(rr->owner, zone) && delegation_under(name, rr->owner))
			return rr->owner;
	return NULL;
}

static void refer(struct reply_aid *m, const struct fake_server *s, const char *cut)
{
	m->bytes[2] &= (uint8_t)~0x04; /* no AA */
	add_matching(m, REPLY_AUTHORITY, s, cut, DNS_NS);
	for (const struct fake_record *rr = s->records; rr->type; rr++) {
		if (rr->type != DNS_NS || strcmp(rr->owner, cut) != 0)
			continue;
		add_matching(m, REPLY_ADDITIONAL, s, rr->data, DNS_A);
		add_matching(m, REPLY_ADDITIONAL, s, rr->data, DNS_AAAA);
	}
}

static bool exists(const struct fake_server *s, const char *name)
{
	for (const struct fake_record *rr = s->records; rr->type; rr++)
		if (delegation_under(rr->owner, name))
			return true;
	return false;
}

static void fill(struct reply_aid *m, const struct fake_server *s)
{
	const char *zone = zone_of(s, m->name);
	const char *cut = zone ? cut_of(s, zone, m->name) : NULL;

	if (!zone) {
		m->bytes[2] &= (uint8_t)~0x04;
		m->bytes[3] |= 5;
	} else if (cut && !(m->type == DNS_DS && strcmp(cut, m->name) == 0)) {
		refer(m, s, cut);
	} else if (!add_matching(m, REPLY_ANSWER, s, m->name, m->type) &&
		   !add_matching(m, REPLY_ANSWER, s, m->name, DNS_CNAME)) {
		m->bytes[3] |= exists(s, m->name) ? 0 : 3;
		reply_aid_soa(m, zone, TTL, TTL);
	}
}

static void answer(struct fake_server *s, const uint8_t *q, size_t n, const struct addr *to)
{
	static char name[DNSNAME_TEXT_SIZE];
	uint8_t wire[DNSNAME_MAX_BYTES];
	size_t pos = 12, len;

	assert_int_equal(dnsname_read(q, n, &pos, wire, &len), 0);
	dnsname_to_text(wire, name);
	struct reply_aid m = reply_aid(name, (uint16_t)(q[pos] << 8 | q[pos + 1]), REPLY_AA);
	memcpy(m.bytes, q, 2);
	if (s->mood == FAKE_REFUSES)
		m.bytes[3] |= 5;
	else if (s->mood == FAKE_SERVFAIL)
		m.bytes[3] |= 2;
	else if (s->mood == FAKE_TRUNCATES)
		m.bytes[2] |= 0x02;
	else
		fill(&m, s);
	if (s->mood == FAKE_RECURSES)
		m.bytes[2] &= (uint8_t)~0x04;
	sendto(s->fd, m.bytes, m.n, 0, &to->sa, addr_len(to));
}

static void on_packet(uv_poll_t *poll, int status, int events)
{
	struct fake_server *s = poll->data;
	uint8_t q[1500];
	struct addr from;
	socklen_t len = sizeof(from);
	ssize_t n;
	(void)status;
	(void)events;

	while ((n = recvfrom(s->fd, q, sizeof(q), 0, &from.sa, &len)) > 12) {
		s->asked++;
		if (s->mood != FAKE_SILENT)
			answer(s, q, (size_t)n, &from);
	}
}

static bool open_all(struct fake_server *servers, size_t n, uint16_t *port)
{
	size_t i;

	for (i = 0; i < n; i++) {
		struct fake_server *s = &servers[i];
		assert_int_equal(addr_parse(s->host, *port ? *port : 1, &s->address, NULL), 0);
		addr_set_port(&s->address, *port);
		s->fd = addr_bind_udp(&s->address, false, NULL);
		if (s->fd < 0)
			break;
		assert_int_equal(addr_of_socket(s->fd, &s->address), 0);
		*port = addr_port(&s->address);
	}
	if (i == n)
		return true;
	while (i--)
		close(servers[i].fd);
	return false;
}

uint16_t fake_dns_start(uv_loop_t *loop, struct fake_server *servers, size_t n)
{
	uint16_t port = 0;
	int tries = 0;

	while (!open_all(servers, n, &port)) {
		assert_true(++tries < 100);
		port = 0;
	}
	for (size_t i = 0; i < n; i++) {
		uv_poll_init(loop, &servers[i].poll, servers[i].fd);
		servers[i].poll.data = &servers[i];
		uv_poll_start(&servers[i].poll, UV_READABLE, on_packet);
	}
	return port;
}

void fake_dns_stop(struct fake_server *servers, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uv_close((uv_handle_t *)&servers[i].poll, NULL);
		close(servers[i].fd);
	}
}

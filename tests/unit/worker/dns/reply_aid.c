#include "tests/unit/worker/dns/reply_aid.h"

#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void add(struct reply_aid *m, const void *bytes, size_t n)
{
	assert_true(m->n + n <= sizeof(m->bytes));
	memcpy(m->bytes + m->n, bytes, n);
	m->n += n;
}

static void add16(struct reply_aid *m, unsigned v)
{
	add(m, (uint8_t[]){(uint8_t)(v >> 8), (uint8_t)v}, 2);
}

static void add_name(struct reply_aid *m, const char *name)
{
	uint8_t wire[DNSNAME_MAX_BYTES];
	size_t n;

	assert_int_equal(dnsname_from_text(name, wire, &n), 0);
	add(m, wire, n);
}

struct reply_aid reply_aid(const char *name, uint16_t type, unsigned flags)
{
	struct reply_aid m = {.name = name, .type = type};

	add16(&m, 0x1234);
	add16(&m, 0x8000 | flags);
	add(&m, "\0\1\0\0\0\0\0\0", 8);
	add_name(&m, name);
	add16(&m, type);
	add16(&m, 1);
	return m;
}

void reply_aid_rr(struct reply_aid *m, int section, const char *owner, uint16_t type,
	uint32_t ttl_s, const void *rdata, size_t n)
{
	m->bytes[section]++;
	add_name(m, owner);
	add16(m, type);
	add16(m, 1);
	add16(m, ttl_s >> 16);
	add16(m, ttl_s & 0xffff);
	add16(m, (unsigned)n);
	add(m, rdata, n);
}

void reply_aid_name(struct reply_aid *m, int section, const char *owner, uint16_t type,
	uint32_t ttl_s, const char *target)
{
	uint8_t wire[DNSNAME_MAX_BYTES];
	size_t n;

	assert_int_equal(dnsname_from_text(target, wire, &n), 0);
	reply_aid_rr(m, section, owner, type, ttl_s, wire, n);
}

void reply_aid_a(
	struct reply_aid *m, int section, const char *owner, uint32_t ttl_s, const char *address)
{
	struct addr a;

	assert_int_equal(addr_parse(address, 53, &a, NULL), 0);
	if (a.sa.sa_family == AF_INET)
		reply_aid_rr(m, section, owner, DNS_A, ttl_s, &a.in.sin_addr, 4);
	else
		reply_aid_rr(m, section, owner, DNS_AAAA, ttl_s, &a.in6.sin6_addr, 16);
}

void reply_aid_soa(struct reply_aid *m, const char *owner, uint32_t ttl_s, uint32_t minimum_s)
{
	uint8_t rdata[2 + 20] = {0}; /* root names, serial, refresh, retry, expire, minimum */

	rdata[18] = (uint8_t)(minimum_s >> 24);
	rdata[19] = (uint8_t)(minimum_s >> 16);
	rdata[20] = (uint8_t)(minimum_s >> 8);
	rdata[21] = (uint8_t)minimum_s;
	reply_aid_rr(m, REPLY_AUTHORITY, owner, DNS_SOA, ttl_s, rdata, sizeof(rdata));
}

struct dns_result *reply_aid_read(const struct reply_aid *m)
{
	uint8_t wire[DNSNAME_MAX_BYTES];
	size_t n;
	uint8_t *exact = mem_dup(m->bytes, m->n);

	assert_int_equal(dnsname_from_text(m->name, wire, &n), 0);
	struct dns_result *r = dns_result_read(wire, n, m->type, exact, m->n);
	free(exact);
	return r;
}

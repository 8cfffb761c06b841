/* dns_wire_fuzz.c - any bytes as a question to the builtin name server; ldns must be able to read
 * each answer. */
#include "worker/responders/dns_wire.h"

#include "common/mem.h"

#include <ldns/ldns.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct dns_zones *zones_make(void)
{
	static const char *const names[] = {"acme.example", "b.acme.example", "old.test"};
	static struct addr a, b;
	static const struct dns_nameserver ns[] = {
		{"ns1.acme.example", &a, 1},
		{"a.b.c.acme.example", &b, 1},
		{"ns.elsewhere.test", NULL, 0},
	};
	static const struct dns_zones_config config = {names, 3, ns, 3, 1};
	struct dns_zones *zones = NULL;

	(void)addr_parse("192.0.2.1", 53, &a, NULL);
	(void)addr_parse("2001:db8::1", 53, &b, NULL);
	if (dns_zones_new(&config, &zones, NULL) != 0)
		abort();
	return zones;
}

static void check(const uint8_t *out, size_t len, size_t asked, enum dns_transport transport)
{
	ldns_pkt *pkt = NULL;

	if (len < 12 || len > DNS_WIRE_TCP_BYTES)
		abort();
	if (transport == DNS_UDP && (len > DNS_WIRE_UDP_BYTES || len > 3 * asked))
		abort();
	if (ldns_wire2pkt(&pkt, out, len) != LDNS_STATUS_OK)
		abort();
	ldns_pkt_free(pkt);
}

static void run(const struct dns_zones *zones, enum dns_transport transport, const uint8_t *data,
	size_t size)
{
	static uint8_t out[DNS_WIRE_TCP_BYTES];
	static char big[300];
	const struct dns_txt values[] = {{"value", 5}, {"", 0}, {big, sizeof(big)}};
	struct dns_ask ask;
	size_t len = 0;

	switch (dns_wire_ask(zones, transport, data, size, &ask, out, &len)) {
	case DNS_WIRE_DROP:
		return;
	case DNS_WIRE_DONE:
		check(out, len, size, transport);
		return;
	case DNS_WIRE_NEED_TXT:
		for (size_t n = 0; n <= ARRAY_LEN(values); n++)
			check(out, dns_wire_answer_txt(zones, &ask, values, n, out), size,
				transport);
		check(out, dns_wire_answer_failure(&ask, out), size, transport);
		return;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct dns_zones *zones;

	if (!zones)
		zones = zones_make();
	run(zones, DNS_UDP, data, size);
	run(zones, DNS_TCP, data, size);
	return 0;
}

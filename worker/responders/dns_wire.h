/* dns_wire.h - what the builtin name server says, as a pure function of bytes.
 *
 * It is authoritative for the challenge zones and knows: SOA and NS at each apex, A and AAAA of
 *name servers that lie in a zone, and TXT at the labels directly below an apex, whose values the
 *caller looks up. So it works in two steps:
 *
 *	dns_wire_ask(bytes) ──► DROP │ DONE: the answer is written │ NEED_TXT: values at ask.label
 *	                                                                │
 *	                 dns_wire_answer_txt(values) or dns_wire_answer_failure() ◄──┘
 *
 * The rules: AA, never RA; the question is echoed as it came (case too); NODATA, never NXDOMAIN,
 *for all that is below an apex and has nothing; REFUSED outside of the zones, for other classes,
 *AXFR, IXFR and other meta types; NOTIMP for opcodes other than QUERY; FORMERR unless there is
 *exactly one question; ANY is answered by HINFO (RFC 8482); EDNS versions other than 0 get BADVERS,
 *and an OPT is sent only to who sent one (RFC 6891). Over UDP an answer has at most min(the asker's
 *size, 1232) bytes and at most three times the question's, so that it is useless for amplification:
 * else it is empty with TC, and the asker comes by TCP. Nothing here allocates after set-up, logs
 *or reads a clock.
 */
#pragma once

#include "common/addr.h"
#include "common/err.h"
#include "worker/net/dnsname.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_WIRE_UDP_BYTES      1232
#define DNS_WIRE_TCP_BYTES      65535
#define DNS_WIRE_TXT_TTL_S      1
#define DNS_WIRE_NEGATIVE_TTL_S 1
#define DNS_WIRE_STATIC_TTL_S   300 /* SOA, NS, A, AAAA */

/** From the config; read by dns_zones_new() only. Names in A-label form, with or without a root
 * dot. */
struct dns_nameserver {
	const char *name;
	const struct addr *addresses; /* ports do not matter */
	size_t n_addresses;
};

struct dns_zones_config {
	const char *const *zones;
	size_t n_zones;
	const struct dns_nameserver
		*nameservers; /* of every zone; the first is the SOA's primary */
	size_t n_nameservers;
	uint32_t serial; /* of the SOA; constant, since there are no transfers */
};

struct dns_zones;

/** You own *out. CF_EINVAL with a why that names what is wrong: a bad name, no zone, fewer than two
 * name servers, one in a zone without an address, over 8 zones, 13 name servers or 8 addresses
 * each. */
int dns_zones_new(const struct dns_zones_config *config, struct dns_zones **out, struct why *why);
void dns_zones_free(struct dns_zones *zones);

enum dns_transport { DNS_UDP, DNS_TCP };
enum dns_wire_step { DNS_WIRE_DROP, DNS_WIRE_DONE, DNS_WIRE_NEED_TXT };

/** A question understood. A plain value: copy it to answer later. */
struct dns_ask {
	char label[64]; /* NEED_TXT: the label below the zone, in lower case: letters, digits,
			   hyphens */
	uint16_t type;
	uint8_t rcode; /* of the answer given at once; for metrics */
	uint8_t zone;  /* index into the config's zones */
	bool edns, dnssec_ok;
	uint8_t transport;
	uint16_t max_bytes;    /* of the answer */
	uint16_t question_len; /* of the bytes below that count; 12: no question is echoed */
	uint8_t zone_at;       /* where the zone's name begins in the question, for compression */
	uint8_t head[12 + DNSNAME_MAX_BYTES + 4]; /* header and question */
};

/** Reads in[n]. DONE: out has *len bytes to send. out has room for DNS_WIRE_UDP_BYTES or
 * _TCP_BYTES. */
enum dns_wire_step dns_wire_ask(const struct dns_zones *zones, enum dns_transport transport,
	const uint8_t *in, size_t n, struct dns_ask *ask, uint8_t *out, size_t *len);

struct dns_txt {
	const char *bytes;
	size_t len; /* over 255: several strings of one record */
};

/** The bytes to send, as many as returned. n 0: NODATA. The same values in any order are one
 * answer. */
size_t dns_wire_answer_txt(const struct dns_zones *zones, const struct dns_ask *ask,
	const struct dns_txt *values, size_t n, uint8_t *out);
/** SERVFAIL: the values could not be read. */
size_t dns_wire_answer_failure(const struct dns_ask *ask, uint8_t *out);

/* message.h - DNS questions written and answers read (RFC 1035, 6891, 8659, 8914).
 *
 * A result is one heap object with everything in it; names are texts as dnsname.h gives them, in
 * lower case. It is counted: a callback borrows it, and dns_result_keep() holds it for longer.
 * Reading is safe on hostile bytes; at most DNS_MAX_RECORDS records are kept. Nothing here does
 * I/O.
 */
#pragma once

#include "common/addr.h"
#include "common/err.h"
#include "worker/net/dnsname.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dns_type {
	DNS_A = 1,
	DNS_NS = 2,
	DNS_CNAME = 5,
	DNS_SOA = 6,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_DNAME = 39,
	DNS_DS = 43,
	DNS_DNSKEY = 48,
	DNS_CAA = 257,
};

/* status, word, what it means for the question */
#define DNS_STATUSES(X)                                                                     \
	X(ANSWERED, "answered", "records of the asked type came")                           \
	X(NODATA, "nodata", "the name (or where its CNAMEs end) exists without that type")  \
	X(NXDOMAIN, "nxdomain", "the name (or where its CNAMEs end) does not exist")        \
	X(SERVFAIL, "servfail", "the server could not find out")                            \
	X(BOGUS, "bogus", "DNSSEC validation failed")                                       \
	X(REFUSED, "refused", "the server does not want to answer")                         \
	X(RCODE, "rcode", "another rcode: see the field")                                   \
	X(MALFORMED, "malformed", "the answer breaks the protocol")                         \
	X(TIMEOUT, "timeout", "no answer in time")                                          \
	X(NETWORK, "network", "the server cannot be reached: see error")                    \
	X(BADNAME, "badname", "the question's name is not a domain name; nothing was sent") \
	X(CANCELED, "canceled", "given up because its owner is going away")

enum dns_status {
#define DNS_STATUS_ENUM(name, word, text) DNS_##name,
	DNS_STATUSES(DNS_STATUS_ENUM)
#undef DNS_STATUS_ENUM
};

/** "answered", … ; never NULL. */
const char *dns_status_word(enum dns_status status);
/** "A", "TXT", …, "TYPE65280" in static storage that the next call may overwrite; never NULL. */
const char *dns_type_word(uint16_t type);
/** "NOERROR", …, "RCODE11" likewise. */
const char *dns_rcode_word(unsigned rcode);

#define DNS_MAX_RECORDS 256
#define DNS_MAX_CHAIN   16
#define DNS_NO_EDE      0xffff

struct dns_bytes {
	const uint8_t *bytes; /* terminated by a NUL that len does not count, but may hold others */
	size_t len;
};

/** Which member counts depends on type. */
struct dns_record {
	uint16_t type;
	uint32_t ttl_s;
	const char *owner;
	union {
		struct addr address;  /* A, AAAA; port 0 */
		const char *name;     /* CNAME, NS, DNAME: the target */
		struct dns_bytes txt; /* TXT: its strings joined */
		struct {
			const char *primary;
			uint32_t serial, minimum_s;
		} soa;
		struct {
			uint8_t flags;
			bool critical;
			const char *tag; /* lower case */
			struct dns_bytes value;
		} caa;
		struct dns_bytes raw; /* any other type */
	};
};

struct dns_cname {
	const char *owner, *target;
	uint32_t ttl_s;
};

/** What one question brought. Constant once it is given out. */
struct dns_result {
	enum dns_status status;
	uint16_t rcode; /* with the OPT's upper bits; 0 when no answer came */
	uint16_t type;  /* as asked */
	uint16_t ede;   /* extended error (RFC 8914), or DNS_NO_EDE */
	bool authoritative, authenticated, truncated; /* AA, AD, and TC in the last message */
	bool tcp;
	int error;        /* NETWORK: an errno */
	const char *name; /* as asked, lower case */
	const char *end;  /* where the chain ends: name, if there is none */
	const struct dns_cname
		*chain; /* followed from name in this answer; not for CNAME questions */
	size_t n_chain;
	bool chain_loops;                 /* or has over DNS_MAX_CHAIN links */
	bool dname;                       /* a CNAME of the answer was made from a DNAME */
	const struct dns_record *records; /* of the asked type, at the chain's end */
	size_t n_records;
	const struct dns_record
		*others; /* authority and additional: SOA, NS, A, AAAA, DS (referrals, glue) */
	size_t n_others;
	struct addr server; /* who answered, or was last asked */
	uint32_t latency_us;

	/* Private. */
	unsigned refs;
	struct dns_arena *arena;
};

/** Another reference; returns the same. */
struct dns_result *dns_result_keep(const struct dns_result *r);
/** Drops one. NULL is a no-op. */
void dns_result_free(const struct dns_result *r);

/** Flags of a question. */
enum { DNS_RECURSE = 1, DNS_NO_VALIDATION = 2 /* CD */, DNS_SECURE = 4 /* DO */, DNS_NO_EDNS = 8 };

#define DNS_QUERY_BYTES (12 + DNSNAME_MAX_BYTES + 4 + 11)

/** Writes a question into out[DNS_QUERY_BYTES]; returns its length. */
size_t dns_query_write(uint16_t id, const uint8_t *name, size_t name_len, uint16_t type,
	unsigned flags, uint8_t *out);
/** The message is the answer to that question (id, question, QR, opcode). An error answer may lack
 * the question. */
bool dns_reply_matches(const uint8_t *query, size_t query_len, const uint8_t *msg, size_t n);
/** Reads an answer that matches. Never NULL; what cannot be read gives MALFORMED. */
struct dns_result *dns_result_read(
	const uint8_t *name, size_t name_len, uint16_t type, const uint8_t *msg, size_t n);
/** Without an answer. name may be any text. */
struct dns_result *dns_result_new(const char *name, uint16_t type, enum dns_status status);

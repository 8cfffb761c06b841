/* facts.h - what a look saw in DNS, without judgement: a bag of facts, each the answers to one
 * question.
 *
 * A look alternates between a pure core and a driver, until the core wants nothing more:
 *
 *	facts so far ──► look_next() ──► questions ──► the survey asks them ──► facts_add() ─┐
 *	     ▲                                                                               │
 *	     └───────────────────────────────────────────────────────────────────────────────┘
 *	              no more questions, or the budget is spent ──► look_judge()
 *
 * So everything that is clever is a function of values, and the driver (worker/dns/survey.h) only
 * asks. Everything a bag holds lives as long as the bag. Texts are clean: lower case names without
 * a final dot as dnsname.h gives them, no control characters. No network, no clock.
 */
#pragma once

#include "worker/dns/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FACT_RECORDS_MAX 32 /* of one answer; more are counted but not kept */
#define FACT_HOPS_MAX    16 /* CNAMEs in one answer */
#define FACT_SERVERS_MAX 20 /* addresses of name servers asked for one question */
#define FACT_NS_MAX      13 /* name servers of a zone */
#define FACTS_MAX        256
#define FACT_TEXT_MAX    512

/* Whom to ask. */
enum ask_how {
	ASK_RESOLVER, /* the configured resolvers, which validate DNSSEC and follow CNAMEs: one
			 answer */
	ASK_SERVERS,  /* every address of every authoritative server of the owner's zone, found by
			 walking the public delegation from the root: an answer each, CNAMEs not
			 followed out of the zone */
	ASK_ZONE,     /* the zone itself in which owner lies: no answers, only fact.zone */
};

struct ask {
	enum ask_how how;
	uint16_t type; /* enum dns_type; 0 with ASK_ZONE */
	const char *owner;
};

/* How one server's answer ended. */
#define FACT_ENDS(X)                                                                            \
	X(RECORDS, "records", "records of the type came, perhaps behind CNAMEs")                \
	X(NODATA, "nodata", "the name (or the end of its CNAMEs) exists without that type")     \
	X(NXDOMAIN, "nxdomain", "the name (or the end of its CNAMEs) does not exist")           \
	X(REFERRAL, "referral", "the server points to another zone below")                      \
	X(LAME, "lame", "it does not serve the zone: no AA, or REFUSED, or an upward referral") \
	X(SERVFAIL, "servfail", "the server could not find out")                                \
	X(BOGUS, "bogus", "DNSSEC validation failed (the resolver alone says this)")            \
	X(ERROR, "error", "another rcode, or an answer that breaks the protocol")               \
	X(TIMEOUT, "timeout", "no answer in time")                                              \
	X(NETWORK, "network", "the address cannot be reached")                                  \
	X(TCP_REFUSED, "tcp_refused", "UDP said to ask by TCP, and TCP is refused or silent")   \
	X(UNSAFE, "unsafe", "the address may not be asked (private, loopback …)")               \
	X(SKIPPED, "skipped", "the budget was spent before, or this host speaks no IPv6")

enum fact_end {
#define FACT_END_ENUM(name, word, text) FACT_##name,
	FACT_ENDS(FACT_END_ENUM)
#undef FACT_END_ENUM
};
const char *fact_end_word(enum fact_end end);

/** One server's word. */
struct fact_answer {
	const char *server; /* "ns1.dns.example", "resolver" */
	struct addr address;
	enum fact_end end;
	uint16_t rcode;
	uint16_t ede;       /* extended error (RFC 8914), or DNS_NO_EDE */
	bool authenticated; /* the resolver's AD */
	uint32_t ttl_s;     /* the least of what is shown; of the SOA's minimum for a denial */
	uint32_t latency_us;
	const char *const
		*hops; /* targets of the CNAMEs that were followed in this answer, in order;
			  for a CNAME question the target itself is hops[0] and records[0] */
	size_t n_hops;
	bool loop;
	bool dname;     /* a hop was made from a DNAME */
	bool elsewhere; /* NODATA only: the CNAMEs lead to where this server does not serve, so it
			   says nothing of their end */
	const char *const
		*records;             /* as in a zone file, without owner: "192.0.2.1",
					 "0 issue \"ca.example; accounturi=…\"", a TXT's joined value (cut
					 at FACT_TEXT_MAX bytes), "ns1.example 7" (an SOA's primary and serial),
					 "12345 13 2 ab01…" (DS), "257 3 13 12345" (DNSKEY: flags, protocol,
					 algorithm, key tag); other types by RFC 3597 */
	size_t n_records, n_more;     /* shown; over FACT_RECORDS_MAX */
	const struct dns_record *raw; /* n_records of them, for who wants more than text */
};

/** One name server of a zone. */
struct fact_ns {
	const char *name;
	bool at_parent, in_zone; /* who names it */
	bool dangling;           /* the name has no address at all, or does not exist */
	struct addr *addresses;
	size_t n_addresses;
	bool glue_differs; /* the parent's glue is not what the zone says */
};

enum fact_ds { FACT_DS_UNKNOWN, FACT_DS_NONE, FACT_DS_THERE };

/** A zone cut, as the public delegation shows it. */
struct fact_zone {
	const char *apex;
	const char *parent;
	enum fact_end end; /* RECORDS: found; else why the walk stopped here (apex is then the last
			      zone that was found above) */
	struct fact_ns *servers;
	size_t n_servers;
	enum fact_ds ds; /* at the parent */
	bool signed_;    /* the zone has a DNSKEY */
	bool ds_matches; /* one of the parent's DS is of one of the zone's keys */
	bool lame;       /* none of its servers serves it */
	uint32_t delegation_ttl_s;
};

struct fact {
	struct ask ask;
	struct fact_answer *answers; /* one for ASK_RESOLVER */
	size_t n;
	const struct fact_zone *zone; /* ASK_SERVERS, ASK_ZONE; NULL: the walk found nothing */
};

struct facts;

struct facts *facts_new(void);
/** NULL is a no-op. */
void facts_free(struct facts *f);
/** The fact that answers the question, or NULL. */
const struct fact *facts_find(
	const struct facts *f, enum ask_how how, uint16_t type, const char *owner);
size_t facts_n(const struct facts *f);
const struct fact *facts_at(const struct facts *f, size_t i);

/* --- for who fills a bag: everything below is allocated in it. */

/** A fact with room for n answers, zeroed; NULL once FACTS_MAX are there. Copies owner. */
struct fact *facts_add(struct facts *f, const struct ask *question, size_t n);
/** Fills an answer from what came: end, hops, records as text; keeps r. server is copied. zone is
 * the apex of the zone that the server should serve: NULL for a resolver. */
void facts_answer(struct facts *f, struct fact_answer *a, const char *server,
	const struct dns_result *r, const char *zone);
struct fact_zone *facts_add_zone(struct facts *f, const char *apex, size_t n_servers);
const char *facts_text(struct facts *f, const char *text);
void *facts_alloc(struct facts *f, size_t bytes);

/* dns_world.h - a little DNS as a value: records, wildcards, name servers and their faults; it
 * answers what a look asks as resolvers and servers would. For tests of judgement.
 */
#pragma once

#include "worker/diagnose/diagnose.h"

#define WORLD_RECORDS_MAX 64
#define WORLD_SERVERS_MAX 4

struct world_record {
	const char *owner;
	uint16_t type;
	const char *text; /* as facts show it; of CAA "FLAGS TAG VALUE" */
	uint32_t ttl_s;
	unsigned servers; /* bits: which servers have it; 0: all, and the resolver */
};

/** Who is asked so is answered so, whatever the records say. */
struct world_fault {
	enum ask_how how;
	const char *owner; /* NULL: any */
	unsigned server;   /* index; ~0u: each */
	enum fact_end end;
};

struct dns_world {
	const char *zone; /* the customer's */
	const char *servers[WORLD_SERVERS_MAX];
	size_t n_servers;
	struct world_record records[WORLD_RECORDS_MAX];
	size_t n;
	struct world_fault faults[8];
	size_t n_faults;
	struct fact_zone facts; /* what else is known of the zone: ds, signed_, lame, end; apex set:
				   instead of zone */
	bool dangling;          /* the last server's name has no address */
	unsigned asked;         /* questions so far */
};

void dns_world_add(struct dns_world *w, const char *owner, uint16_t type, const char *text);
void dns_world_fault(struct dns_world *w, enum ask_how how, const char *owner, enum fact_end end);
/** Looks until nothing more is wanted, then judges; returns how many rounds it took. */
unsigned dns_world_look(
	struct dns_world *w, const struct diagnose_case *c, struct diagnose_result *out);
/** Answers one question into the bag. */
void dns_world_answer(struct dns_world *w, const struct ask *ask, struct facts *f);

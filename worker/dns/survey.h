/* survey.h - asks what a look wants to know: the resolvers, and by public delegation every
 * authoritative server of a name.
 *
 * One survey serves a worker: it keeps a cache of delegations (zone → name servers → addresses, by
 * their TTL, bounded), so that a warm deep look walks nothing; answers themselves are never cached.
 * Each look has a budget (13 name servers, 20 addresses, 100 queries), each server address has one
 * over time (questions a second, and at once), so that no DNS provider is flooded by us: who is
 * over it waits, bounded, and is then SKIPPED. Addresses of name servers are a stranger's choice:
 * those that addr_unsafe() refuses are not asked (UNSAFE), unless the config's network.allow lets
 * them. The walk starts at the root hints, or at what the config says instead
 * (resolver.roots, for closed networks and tests). IPv4 and IPv6, UDP with EDNS, TCP on truncation.
 * One loop; not thread-safe; nothing logs.
 */
#pragma once

#include "worker/diagnose/facts.h"
#include "worker/dns/exchange.h"
#include "worker/dns/resolver.h"

struct survey;
struct survey_look;

struct survey_budget {
	unsigned servers;   /* 0: 13 */
	unsigned addresses; /* 0: 20 */
	unsigned queries;   /* 0: 100 */
	int64_t timeout_ms; /* of the whole look; 0: 20000 */
	bool fresh; /* walk anew: of what was learned before this look, only the root and the
		       top-level domains are used (after a finding, or when somebody asks) */
};

struct survey_options {
	const struct addr *roots; /* copied; 0: the root hints */
	size_t n_roots;
	uint16_t port; /* of all name servers; 0: 53 (another one in closed networks, and tests) */
	size_t zones;  /* in the cache of delegations; 0: 20000 */
	/** True if the address may be asked. NULL: all that addr_unsafe() lets. */
	bool (*allowed)(void *arg, const struct addr *a);
	void *arg;
	bool ipv6;           /* this host can speak IPv6 */
	unsigned per_second; /* questions to one address; 0: 200 */
	int64_t try_ms;      /* until a question is sent again, and waited for twice as long;
				0: 1000 */
};

/** Never NULL. Borrows x and resolver, which must outlive it. */
struct survey *survey_new(uv_loop_t *loop, struct dns_exchanger *x, struct resolver *resolver,
	const struct survey_options *options);
/** All looks must be over. NULL is a no-op. */
void survey_free(struct survey *s);
/** When a name server last answered by IPv6, by the monotonic clock; 0: never. That a host has a
 * way to it does not say that anything comes back. */
int64_t survey_heard_ipv6_ms(const struct survey *s);
/** Zones in the cache of delegations. */
size_t survey_zones(const struct survey *s);

/** Called once all questions of one survey_ask() have their fact in the bag. */
typedef void survey_done_fn(void *arg);

/** A look: its budget, and the bag that its facts go to (borrowed). */
struct survey_look *survey_look_new(
	struct survey *s, struct facts *facts, const struct survey_budget *budget);
/** Asks all of them side by side (at most 64); those that the bag has already are left out. done is
 * never called before survey_ask() returned. One call at a time. */
void survey_ask(
	struct survey_look *l, const struct ask *asks, size_t n, survey_done_fn *done, void *arg);
/** Cancels what is under way; done is not called any more. NULL is a no-op. */
void survey_look_free(struct survey_look *l);
/** What is left of the budget. */
unsigned survey_queries_left(const struct survey_look *l);

/* resolver.h - questions to the configured recursive resolvers.
 *
 *	ask the best server ──► answered, nodata, nxdomain ─────────────────────────────► done
 *	      ▲      │
 *	      │      └─ time-out, network, SERVFAIL, REFUSED, malformed: the next server, while
 *attempts and time are left └──────────────────────┘ none left, and one said SERVFAIL ──► the same
 *with checking disabled: an answer means BOGUS
 *
 * Equal questions under way share one exchange and one result. Nothing is cached: a look must see
 *changes at once (the resolver's own cache is to be kept short for negative answers). A server that
 *does not answer is asked last until it answers again. Thousands may be under way. One loop; not
 *thread-safe; nothing logs.
 */
#pragma once

#include "worker/dns/exchange.h"

struct resolver;
struct resolver_query;

struct resolver_options {
	const struct addr *servers; /* copied */
	size_t n_servers;           /* at least 1, at most 8 */
	int64_t timeout_ms;         /* for a question with all its attempts; 0: 3000 */
	unsigned attempts;          /* 0: 3, or one a server if there are more */
};

/** Never NULL. Borrows x, which must outlive it. */
struct resolver *resolver_new(
	uv_loop_t *loop, struct dns_exchanger *x, const struct resolver_options *options);
/** Ends what is under way with CANCELED; memory is freed when the loop has turned. NULL is a no-op.
 */
void resolver_free(struct resolver *r);

/** Called once with a borrowed result, never before resolver_query() returned. flags: 0, DNS_SECURE
 * or DNS_NO_VALIDATION; recursion is asked for always. The handle is valid until then. Never NULL.
 */
struct resolver_query *resolver_query(struct resolver *r, const char *name, uint16_t type,
	unsigned flags, dns_result_fn *done, void *arg);
/** done will not be called. NULL is a no-op. */
void resolver_cancel(struct resolver_query *q);
size_t resolver_in_flight(const struct resolver *r);

/* exchange.h - one question to one address: UDP from a random port, TCP when the answer is cut.
 *
 * UDP questions to one address share a connected socket for at most 64 questions or 2 s: the kernel
 * drops what comes from elsewhere, and nobody else sees the random port; with the random id and the
 * question compared, an answer cannot be guessed. At most 192 questions to one address that were
 * sent within the last 40 to 80 ms are unanswered at a time, so that no burst overflows a server's
 * buffer; more wait. EDNS announces 1232 bytes and is left out once when a server answers FORMERR.
 * An exchanger keeps at most max_in_flight questions on the wire, the others wait in line (their
 * time-out begins when they are sent). No judgement of addresses here: whoever passes an address
 * that a stranger chose asks addr_unsafe() first. One loop; not thread-safe; nothing logs.
 */
#pragma once

#include "worker/dns/message.h"

#include <uv.h>

struct dns_exchanger;
struct dns_exchange;

/** Called once, never before dns_ask() returned, and not after dns_exchange_cancel(). Borrowed
 * result; never NULL. */
typedef void dns_result_fn(void *arg, const struct dns_result *result);

/** max_in_flight 0: 4096. Never NULL. */
struct dns_exchanger *dns_exchanger_new(uv_loop_t *loop, size_t max_in_flight);
/** Ends what is under way with CANCELED; memory is freed when the loop has turned. NULL is a no-op.
 */
void dns_exchanger_free(struct dns_exchanger *x);
size_t dns_exchanger_in_flight(const struct dns_exchanger *x);

struct dns_question {
	struct addr server;
	const char *name; /* copied */
	uint16_t type;
	unsigned flags;     /* DNS_RECURSE … */
	int64_t timeout_ms; /* all of it, TCP too; 0: 3000 */
	bool tcp;           /* at once by TCP */
};

/** The handle is valid until the callback is called or it is cancelled. Never NULL. */
struct dns_exchange *dns_ask(
	struct dns_exchanger *x, const struct dns_question *q, dns_result_fn *done, void *arg);
/** NULL is a no-op. */
void dns_exchange_cancel(struct dns_exchange *e);
/** The TXT values of name at one authoritative server: no recursion. */
struct dns_exchange *dns_ask_txt(struct dns_exchanger *x, const struct addr *server,
	const char *name, int64_t timeout_ms, dns_result_fn *done, void *arg);

/* handshake.h - TLS handshakes that only look: who presents what for a name at an address.
 *
 * Nothing is verified, because what is wrong is what is looked for. The chain is kept as it was
 * presented, bounded in count and bytes. Addresses come from outside: the one that was judged by
 * `allowed` is the one that is connected to. A handshake has one deadline for all of it; so many
 * run at once, the others wait in a FIFO. Belongs to one loop, not thread-safe, does not log.
 * SIGPIPE must be ignored.
 */
#pragma once

#include "common/addr.h"
#include "common/certificate.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define HANDSHAKES_MAX       128
#define HANDSHAKE_TIMEOUT_MS 5000

struct handshakes;
struct handshake;

/** Copied by handshakes_new(). */
struct handshakes_options {
	unsigned max;                                     /* live at once; 0: HANDSHAKES_MAX */
	int64_t timeout_ms;                               /* 0: HANDSHAKE_TIMEOUT_MS */
	bool (*allowed)(void *arg, const struct addr *a); /* NULL: !addr_unsafe() */
	void *arg;
};

enum handshake_end {
	HANDSHAKE_PRESENTED,   /* a chain came */
	HANDSHAKE_FORBIDDEN,   /* the address is none that we may connect to: no packet was sent */
	HANDSHAKE_UNREACHABLE, /* no connection */
	HANDSHAKE_FAILED,      /* a connection, but no certificate */
};

/** Borrowed until the callback returns. */
struct handshake_result {
	enum handshake_end end;
	char why[160];      /* one clause, when nothing was presented */
	struct chain chain; /* as presented, the leaf first; at most CHAIN_MAX_CERTS */
};

typedef void handshake_fn(void *arg, const struct handshake_result *result);

/** NULL if OpenSSL will not. */
struct handshakes *handshakes_new(uv_loop_t *loop, const struct handshakes_options *options);
/** Cancels what is under way; memory is freed when the loop has turned. NULL is a no-op. */
void handshakes_free(struct handshakes *s);

/** trusted: the address is our operator's word, and is not judged. fn is called exactly once, never
 * from inside this call, unless handshake_cancel() came before. Never NULL. */
struct handshake *handshake_start(struct handshakes *s, const struct addr *to, bool trusted,
	const char *name, handshake_fn *fn, void *arg);
/** fn will not be called. NULL is a no-op. */
void handshake_cancel(struct handshake *h);

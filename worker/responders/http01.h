/* http01.h - the http-01 responder (RFC 8555 section 8.3).
 *
 * GET and HEAD of /.well-known/acme-challenge/TOKEN are answered from the Redis key
 * `PREFIXhttp:TOKEN` (a string: the key authorization), read anew for each request, so that every
 * node answers alike the moment a challenge is written. 200 and 404 carry Cache-Control: no-store.
 * Not bound to the Host: redirects to another name are legal. When Redis cannot be asked, or too
 * many reads wait for it, the answer is 503 with Retry-After, never 404. Equal reads under way
 * share one; nothing is kept. Nothing here logs; it counts in metrics (certfleet_http01_…).
 */
#pragma once

#include "common/addr.h"
#include "common/err.h"
#include "common/redis.h"

#include <uv.h>

struct http01;

struct http01_options {
	const struct addr *listen; /* copied */
	size_t n_listen;
	bool reuseport;       /* several workers share the addresses */
	size_t max_reads;     /* under way at Redis; 0: 1024 */
	unsigned connections; /* per address; 0: 1024 */
};

/** Listens at once. Borrows redis, which must outlive it. CF_EIO with a why that names the address.
 */
int http01_new(uv_loop_t *loop, struct redis *redis, const struct http01_options *options,
	struct http01 **out, struct why *why);
/** Stops listening, lets current requests be answered for at most timeout_ms, then calls done;
 * http01_free() follows. */
void http01_drain(struct http01 *h, int64_t timeout_ms, void (*done)(void *arg), void *arg);
/** Closes everything at once; memory is freed when the loop has turned and Redis has answered. NULL
 * is a no-op. */
void http01_free(struct http01 *h);
/** Where listen[i] really listens (for port 0). */
const struct addr *http01_address(const struct http01 *h, size_t i);

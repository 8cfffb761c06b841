/* dns01.h - the builtin authoritative name server of the challenge zones, over UDP and TCP.
 *
 * What it says is in dns_wire.h; this is the shell around it: sockets, batches (recvmmsg,
 * sendmmsg), TCP connections, and Redis, where the TXT values of a label are the fields of the hash
 * `PREFIXtxt:LABEL`. They are read anew for each question, so that every node answers alike the
 * moment a challenge is written. When Redis cannot be asked, or too many reads wait for it, the
 * answer is SERVFAIL, never "nothing there". Equal reads under way share one; nothing is kept. TCP
 * connections (RFC 7766) are limited in number, by address and by idle time; several questions may
 * follow each other on one. Nothing here logs; it counts in metrics (certfleet_dns01_…).
 */
#pragma once

#include "common/addr.h"
#include "common/err.h"
#include "common/redis.h"
#include "worker/responders/dns_wire.h"

#include <uv.h>

struct dns01;

struct dns01_options {
	const struct addr *listen; /* copied; each by UDP and TCP; port 0: any one free for both */
	size_t n_listen;
	bool reuseport;                /* several workers share the addresses */
	struct dns_zones_config zones; /* read during dns01_new() only */
	size_t max_reads;              /* under way at Redis; 0: 4096 */
	size_t tcp_connections;        /* at once; 0: 512 */
	size_t tcp_per_address;        /* from one IP address; 0: 64 */
	int64_t tcp_idle_ms;           /* 0: 10000 */
};

/** Listens at once. Borrows redis, which must outlive it. CF_EIO or CF_EINVAL with a why that names
 * the thing. */
int dns01_new(uv_loop_t *loop, struct redis *redis, const struct dns01_options *options,
	struct dns01 **out, struct why *why);
/** Closes everything at once; memory is freed when the loop has turned and Redis has answered. NULL
 * is a no-op. */
void dns01_free(struct dns01 *d);
/** Where listen[i] really listens. */
const struct addr *dns01_address(const struct dns01 *d, size_t i);

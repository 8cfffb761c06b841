/* dns01_internal.h - what dns01.c (UDP, Redis) and dns01_tcp.c share. */
#pragma once

#include "worker/responders/dns01.h"
#include "worker/responders/lookup.h"

#include "common/metrics.h"

enum { DNS01_BATCH = 64, DNS01_IN_BYTES = 2048, DNS01_CONTROL_BYTES = 64 };

struct dns01_tcp; /* a connection */

struct dns01_listener {
	struct dns01 *d;
	struct addr address;
	uv_poll_t udp, tcp;
	int udp_fd, tcp_fd;
};

/** What came by UDP, or goes: the peer, and the ancillary data that names our own address. */
struct dns01_packet {
	struct addr peer;
	size_t control_len;
	_Alignas(8) uint8_t control[DNS01_CONTROL_BYTES];
};

/** Answers waiting for one sendmmsg(). */
struct dns01_batch {
	int fd; /* they all leave by this one */
	size_t n;
	struct dns01_packet packets[DNS01_BATCH];
	size_t lens[DNS01_BATCH];
	uint8_t bytes[DNS01_BATCH][DNS_WIRE_UDP_BYTES];
};

struct dns01 {
	uv_loop_t *loop;
	struct dns_zones *zones;
	struct lookup *lookup;
	struct dns01_listener *listeners;
	size_t n_listeners;
	struct dns01_batch batch;
	uv_prepare_t flush; /* active while the batch holds answers that came from Redis */
	uv_timer_t sweep;   /* closes idle connections; active while there are any */
	struct dns01_tcp *oldest, *newest; /* by last activity */
	size_t n_tcp, max_tcp, max_tcp_per_address;
	int64_t tcp_idle_ms;
	size_t handles;
	bool freed;
};

/** A question that waits for Redis. */
struct dns01_pending {
	struct lookup_waiter waiter;
	struct dns01 *d;
	struct dns01_tcp *conn; /* NULL: UDP */
	int fd;                 /* UDP */
	struct dns01_packet packet;
	struct dns_ask ask;
};

/** Asks Redis for p->ask.label; on shedding p is freed, and false means that SERVFAIL is to be sent
 * now. */
bool dns01_lookup(struct dns01_pending *p);
/** Counts an answer. */
void dns01_count(enum dns_transport transport, const char *result);
const char *dns01_result_word(unsigned rcode);
/** Writes the answer for what Redis said; returns its length. */
size_t dns01_write(const struct dns01 *d, const struct dns_ask *ask, int err,
	const struct reply *reply, uint8_t *out);

/** New connections on l. */
void dns01_tcp_accept(struct dns01_listener *l);
/** The answer to a question of p->conn; frees p. */
void dns01_tcp_answer(struct dns01_pending *p, int err, const struct reply *reply);
/** Closes all connections. */
void dns01_tcp_free(struct dns01 *d);
/** A handle of d was closed. */
void dns01_handle_closed(struct dns01 *d);

/* exchange_internal.h - the state of exchanges, shared by exchange*.c only.
 *
 *	exchange.c      life of an exchange, TCP
 *	exchange_udp.c  lanes: what is on the way to one address, and the sockets that carry it
 */
#pragma once

#include "worker/dns/exchange.h"
#include "worker/dns/list.h"

struct lane;
struct udp_socket;

struct dns_exchanger {
	uv_loop_t *loop;
	struct list active;
	struct list hungry; /* struct lane.hungry: those with someone waiting */
	size_t n_active, max_active;
	struct lane **lanes; /* by address; a power of two */
	size_t n_lanes, n_buckets;
	struct list flushes; /* struct udp_socket.flush: with something to send */
	size_t n_sockets;
	uv_prepare_t flusher; /* active while there is something to send */
	uv_timer_t pacer;     /* active while someone waits for a lane's window */
	uv_timer_t reaper; /* closes sockets that were used long enough; does not hold the loop */
	size_t handles;    /* open ones, ours to wait for */
	bool freed;
	uint16_t ids[256]; /* random, not used yet: the first n_ids */
	size_t n_ids;
};

/* A TCP connection on its way through the loop; outlives the exchange by its closing. */
struct conn {
	uv_poll_t poll;
	int fd;
	struct dns_exchange *e;
};

struct dns_exchange {
	struct list link; /* in its lane's waiting, or active */
	struct dns_exchanger *x;
	uv_timer_t timer;
	struct lane *lane;         /* NULL once it ended */
	struct udp_socket *socket; /* that carries it */
	struct list on;            /* in the socket's */
	uint32_t epoch;            /* of the lane, when it was sent last */
	struct conn *conn;
	struct addr server;
	dns_result_fn *done;
	void *arg;
	struct dns_result *early; /* the outcome, when it is known before the timer ran */
	uint64_t started_ns;
	int64_t timeout_ms;
	uint16_t type;
	unsigned flags;
	bool active, tcp, unsent;
	size_t sent; /* of 2 + query_len, TCP */
	uint8_t *in; /* while reading TCP */
	size_t in_len;
	size_t name_len, query_len;
	uint8_t name[DNSNAME_MAX_BYTES];
	uint8_t query[2 + DNS_QUERY_BYTES]; /* behind TCP's length */
};

/* --- exchange.c */

/** Leaves its lane's line and begins. */
void exchange_start(struct dns_exchange *e);
/** An answer came that matches. */
void exchange_message(struct dns_exchange *e, const uint8_t *msg, size_t n);
/** It cannot be sent, or the address said so. At once, or from the loop. */
void exchange_fail(struct dns_exchange *e, int error);
void exchange_fail_soon(struct dns_exchange *e, int error);
/** A handle was closed. */
void exchanger_handle_gone(struct dns_exchanger *x);

/* --- exchange_udp.c */

void udp_init(struct dns_exchanger *x);
/** Closes everything; after all exchanges have ended. */
void udp_release(struct dns_exchanger *x);
/** Puts it in its lane's line. */
void lane_wait(struct dns_exchange *e);
/** It leaves its lane, its line and its socket. Harmless when it did already. */
void lane_leave(struct dns_exchange *e);
/** Starts who waits, as far as lanes and the exchanger allow. */
void lanes_run(struct dns_exchanger *x);
/** One that waits, NULL if nobody does. */
struct dns_exchange *lanes_first(const struct dns_exchanger *x);
/** By one of the lane's sockets, before the loop sleeps again. */
void udp_send(struct dns_exchange *e);
/** No answer by UDP is wanted any more. */
void udp_leave(struct dns_exchange *e);

/*
 *	waiting ──► UDP: sent ──► the answer ────────────────────────► done
 *	              │  ▲              │ TC        │ FORMERR to EDNS
 *	              │  └──────────────┼───────────┘ (once, without)
 *	              │ tcp             ▼
 *	              └──────────► TCP: connecting ──► written ──► read ──► done
 *
 * The timer runs over all of it. A failure before anything was sent is kept and delivered by the
 *timer, so that no callback comes from within dns_ask().
 */
#include "worker/dns/exchange.h"

#include "common/mem.h"
#include "worker/dns/list.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* Questions leave at this pace, or a burst would overflow the resolver's socket buffer (about 250
 * by default). */
enum { PACE_PER_MS = 64, PACE_BURST = 128 };

enum {
	DEFAULT_IN_FLIGHT = 4096,
	DEFAULT_TIMEOUT_MS = 3000,
	UDP_READ_BYTES = 4096,
	TCP_READ_BYTES = 2 + 65535
};

struct dns_exchanger {
	uv_loop_t *loop;
	struct list waiting, active;
	size_t n_active, max_active;
	uv_timer_t pacer;  /* active while someone waits for the pace only */
	uint64_t paced_ms; /* when allowance was last added to */
	uint64_t allowance;
	size_t handles; /* open ones, ours to wait for */
	bool freed;
	uint16_t ids[256]; /* random, not used yet: the first n_ids */
	size_t n_ids;
};

/* A socket on its way through the loop; outlives the exchange by its closing. */
struct conn {
	uv_poll_t poll;
	int fd;
	struct dns_exchange *e;
};

struct dns_exchange {
	struct list link; /* first: list entries are cast back */
	struct dns_exchanger *x;
	uv_timer_t timer;
	struct conn *conn;
	struct addr server;
	dns_result_fn *done; /* NULL: cancelled */
	void *arg;
	struct dns_result *early; /* the outcome, when it is known before the timer ran */
	uint64_t started_ns;
	int64_t timeout_ms;
	uint16_t type;
	unsigned flags;
	bool active, tcp;
	size_t sent; /* of 2 + query_len, TCP */
	uint8_t *in; /* TCP_READ_BYTES, while reading TCP */
	size_t in_len;
	size_t name_len, query_len;
	uint8_t name[DNSNAME_MAX_BYTES];
	uint8_t query[2 + DNS_QUERY_BYTES]; /* behind TCP's length */
};

/* --- the end */

static void maybe_free(struct dns_exchanger *x)
{
	if (x->freed && !x->handles)
		free(x);
}

static void on_pacer_closed(uv_handle_t *handle)
{
	struct dns_exchanger *x = handle->data;

	x->handles--;
	maybe_free(x);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct dns_exchange *e = handle->data;
	struct dns_exchanger *x = e->x;

	free(e);
	x->handles--;
	maybe_free(x);
}

static void on_conn_closed(uv_handle_t *handle)
{
	struct conn *c = container_of(handle, struct conn, poll);
	struct dns_exchanger *x = handle->data;

	free(c);
	x->handles--;
	maybe_free(x);
}

static void conn_close(struct dns_exchange *e)
{
	struct conn *c = mem_steal(e->conn);

	free(mem_steal(e->in));
	e->in_len = e->sent = 0;
	if (!c)
		return;
	c->poll.data = e->x;
	uv_close((uv_handle_t *)&c->poll, on_conn_closed);
	close(c->fd);
}

static void start(struct dns_exchange *e);

static void start_waiting(struct dns_exchanger *x);

static void on_pacer(uv_timer_t *timer)
{
	start_waiting(timer->data);
}

/* By the loop's own time, which stands still while one callback asks a thousand questions. */
static void allow(struct dns_exchanger *x)
{
	uint64_t more = (uv_now(x->loop) - x->paced_ms) * PACE_PER_MS;

	x->paced_ms = uv_now(x->loop);
	x->allowance = x->allowance + more < PACE_BURST ? x->allowance + more : PACE_BURST;
}

static void start_waiting(struct dns_exchanger *x)
{
	if (x->freed)
		return;
	allow(x);
	while (x->n_active < x->max_active && !list_empty(&x->waiting)) {
		struct dns_exchange *e = (struct dns_exchange *)x->waiting.next;
		if (!x->allowance) {
			uv_timer_start(&x->pacer, on_pacer, 1, 0);
			return;
		}
		x->allowance--;
		list_remove(&e->link);
		start(e);
	}
}

/* Everything but the memory, which the timer's closing frees. */
static void end(struct dns_exchange *e)
{
	conn_close(e);
	list_remove(&e->link);
	if (e->active)
		e->x->n_active--;
	dns_result_free(mem_steal(e->early));
	uv_close((uv_handle_t *)&e->timer, on_timer_closed);
}

/* Takes over result. */
static void deliver(struct dns_exchange *e, struct dns_result *result)
{
	struct dns_exchanger *x = e->x;
	dns_result_fn *done = e->done;
	void *arg = e->arg;

	result->server = e->server;
	result->tcp = e->tcp;
	if (e->active)
		result->latency_us = (uint32_t)((uv_hrtime() - e->started_ns) / 1000);
	end(e);
	done(arg, result);
	dns_result_free(result);
	start_waiting(x);
}

static struct dns_result *outcome(const struct dns_exchange *e, enum dns_status status, int error)
{
	char text[DNSNAME_TEXT_SIZE];
	struct dns_result *r = dns_result_new(dnsname_to_text(e->name, text), e->type, status);

	r->error = error;
	return r;
}

static void on_timer(uv_timer_t *timer)
{
	struct dns_exchange *e = timer->data;

	deliver(e, e->early ? mem_steal(e->early) : outcome(e, DNS_TIMEOUT, 0));
}

/* Delivered by the timer, since we may be inside dns_ask(). */
static void end_soon(struct dns_exchange *e, struct dns_result *result)
{
	conn_close(e);
	e->early = result;
	uv_timer_start(&e->timer, on_timer, 0, 0);
}

/* --- sockets */

static int conn_open(struct dns_exchange *e, int type)
{
	int fd = socket(e->server.sa.sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return errno;
	if (connect(fd, &e->server.sa, addr_len(&e->server)) != 0 && errno != EINPROGRESS) {
		int err = errno;
		close(fd);
		return err;
	}
	struct conn *c = mem_zalloc(sizeof(*c));
	*c = (struct conn){.fd = fd, .e = e};
	if (uv_poll_init(e->x->loop, &c->poll, fd) != 0) {
		free(c);
		close(fd);
		return EIO;
	}
	e->x->handles++;
	c->poll.data = c;
	e->conn = c;
	return 0;
}

static uint16_t next_id(struct dns_exchanger *x)
{
	if (!x->n_ids) {
		if (getrandom(x->ids, sizeof(x->ids), 0) != (ssize_t)sizeof(x->ids))
			abort();
		x->n_ids = ARRAY_LEN(x->ids);
	}
	return x->ids[--x->n_ids];
}

static void on_udp(uv_poll_t *poll, int status, int events);
static void on_tcp(uv_poll_t *poll, int status, int events);

static void write_query(struct dns_exchange *e)
{
	e->query_len = dns_query_write(
		next_id(e->x), e->name, e->name_len, e->type, e->flags, e->query + 2);
	e->query[0] = (uint8_t)(e->query_len >> 8);
	e->query[1] = (uint8_t)e->query_len;
}

/* Opens the socket and sends, or begins to connect. */
static void send_query(struct dns_exchange *e)
{
	int err = conn_open(e, e->tcp ? SOCK_STREAM : SOCK_DGRAM);

	write_query(e);
	if (!err && !e->tcp && send(e->conn->fd, e->query + 2, e->query_len, MSG_NOSIGNAL) < 0 &&
		errno != EAGAIN)
		err = errno;
	if (err)
		end_soon(e, outcome(e, DNS_NETWORK, err));
	else if (e->tcp)
		uv_poll_start(&e->conn->poll, UV_WRITABLE, on_tcp);
	else
		uv_poll_start(&e->conn->poll, UV_READABLE, on_udp);
}

static void start(struct dns_exchange *e)
{
	list_add(&e->x->active, &e->link);
	e->x->n_active++;
	e->active = true;
	e->started_ns = uv_hrtime();
	uint64_t behind_ms = e->started_ns / 1000000 -
			     uv_now(e->x->loop); /* timers count from the loop's time */
	uv_timer_start(&e->timer, on_timer,
		(uint64_t)e->timeout_ms + (behind_ms < 60000 ? behind_ms : 0), 0);
	if (addr_len(&e->server))
		send_query(e);
	else
		end_soon(e, outcome(e, DNS_NETWORK, EAFNOSUPPORT));
}

/* --- answers */

static void on_message(struct dns_exchange *e, const uint8_t *msg, size_t n)
{
	unsigned rcode = msg[3] & 0x0f;
	bool again = (rcode == 1 || rcode == 4) && !(e->flags & DNS_NO_EDNS);

	if (again || (msg[2] & 0x02 && !e->tcp)) {
		if (again)
			e->flags |= DNS_NO_EDNS;
		else
			e->tcp = true;
		conn_close(e);
		send_query(e);
		return;
	}
	deliver(e, dns_result_read(e->name, e->name_len, e->type, msg, n));
}

static void on_udp(uv_poll_t *poll, int status, int events)
{
	struct dns_exchange *e = ((struct conn *)poll->data)->e;
	uint8_t msg[UDP_READ_BYTES];
	(void)status;
	(void)events;

	for (int i = 0; i < 8;
		i++) { /* what does not match is not an answer; the right one may still come */
		ssize_t n = recv(e->conn->fd, msg, sizeof(msg), 0);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) {
			deliver(e, outcome(e, DNS_NETWORK, errno));
			return;
		}
		if (dns_reply_matches(e->query + 2, e->query_len, msg, (size_t)n)) {
			on_message(e, msg, (size_t)n);
			return;
		}
	}
}

static void tcp_write(struct dns_exchange *e)
{
	ssize_t n = send(e->conn->fd, e->query + e->sent, 2 + e->query_len - e->sent, MSG_NOSIGNAL);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) { /* a failed connect shows here too */
		deliver(e, outcome(e, DNS_NETWORK, errno));
		return;
	}
	e->sent += (size_t)n;
	if (e->sent == 2 + e->query_len) {
		e->in = mem_alloc(TCP_READ_BYTES);
		uv_poll_start(&e->conn->poll, UV_READABLE, on_tcp);
	}
}

static void tcp_read(struct dns_exchange *e)
{
	ssize_t n = recv(e->conn->fd, e->in + e->in_len, TCP_READ_BYTES - e->in_len, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		deliver(e, outcome(e, DNS_NETWORK, n ? errno : ECONNRESET));
		return;
	}
	e->in_len += (size_t)n;
	if (e->in_len < 2)
		return;
	size_t want = (size_t)e->in[0] << 8 | e->in[1];
	if (e->in_len - 2 < want)
		return;
	if (dns_reply_matches(e->query + 2, e->query_len, e->in + 2, want))
		on_message(e, e->in + 2, want);
	else
		deliver(e, outcome(e, DNS_MALFORMED, 0));
}

static void on_tcp(uv_poll_t *poll, int status, int events)
{
	struct dns_exchange *e = ((struct conn *)poll->data)->e;
	(void)status;
	(void)events;

	if (e->sent < 2 + e->query_len)
		tcp_write(e);
	else
		tcp_read(e);
}

/* --- for callers */

struct dns_exchanger *dns_exchanger_new(uv_loop_t *loop, size_t max_in_flight)
{
	struct dns_exchanger *x = mem_zalloc(sizeof(*x));

	x->loop = loop;
	x->max_active = max_in_flight ? max_in_flight : DEFAULT_IN_FLIGHT;
	uv_timer_init(loop, &x->pacer);
	x->pacer.data = x;
	x->handles = 1;
	x->paced_ms = uv_now(loop);
	x->allowance = PACE_BURST;
	list_init(&x->waiting);
	list_init(&x->active);
	return x;
}

void dns_exchanger_free(struct dns_exchanger *x)
{
	if (!x)
		return;
	x->freed = true;
	while (!list_empty(&x->active)) {
		struct dns_exchange *e = (struct dns_exchange *)x->active.next;
		deliver(e, outcome(e, DNS_CANCELED, 0));
	}
	while (!list_empty(&x->waiting)) {
		struct dns_exchange *e = (struct dns_exchange *)x->waiting.next;
		deliver(e, outcome(e, DNS_CANCELED, 0));
	}
	uv_close((uv_handle_t *)&x->pacer, on_pacer_closed);
}

size_t dns_exchanger_in_flight(const struct dns_exchanger *x)
{
	return x->n_active;
}

struct dns_exchange *dns_ask(
	struct dns_exchanger *x, const struct dns_question *q, dns_result_fn *done, void *arg)
{
	struct dns_exchange *e = mem_zalloc(sizeof(*e));

	e->x = x;
	e->server = q->server;
	e->done = done;
	e->arg = arg;
	e->type = q->type;
	e->flags = q->flags;
	e->tcp = q->tcp;
	e->timeout_ms = q->timeout_ms > 0 ? q->timeout_ms : DEFAULT_TIMEOUT_MS;
	uv_timer_init(x->loop, &e->timer);
	e->timer.data = e;
	x->handles++;
	if (dnsname_from_text(q->name, e->name, &e->name_len) != 0 || x->freed) {
		list_add(&x->active, &e->link); /* but not e->active: nothing is on the wire */
		end_soon(
			e, dns_result_new(q->name, q->type, x->freed ? DNS_CANCELED : DNS_BADNAME));
	} else {
		list_add(&x->waiting, &e->link);
		start_waiting(x);
	}
	return e;
}

void dns_exchange_cancel(struct dns_exchange *e)
{
	if (!e)
		return;
	struct dns_exchanger *x = e->x;
	end(e);
	start_waiting(x);
}

struct dns_exchange *dns_ask_txt(struct dns_exchanger *x, const struct addr *server,
	const char *name, int64_t timeout_ms, dns_result_fn *done, void *arg)
{
	struct dns_question q = {
		.server = *server, .name = name, .type = DNS_TXT, .timeout_ms = timeout_ms};

	return dns_ask(x, &q, done, arg);
}

/*
 *	waiting ──► UDP: sent ──► the answer ────────────────────────► done
 *	              │  ▲              │ TC        │ FORMERR to EDNS
 *	              │  └──────────────┼───────────┘ (once, without)
 *	              │ tcp             ▼
 *	              └──────────► TCP: connecting ──► written ──► read ──► done
 *
 * The timer runs over all of it. A failure before anything was sent is kept and delivered by the
 * timer, so that no callback comes from within dns_ask().
 */
#include "worker/dns/exchange_internal.h"

#include "common/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum { DEFAULT_IN_FLIGHT = 4096, DEFAULT_TIMEOUT_MS = 3000, TCP_READ_BYTES = 2 + 65535 };

/* --- the end */

void exchanger_handle_gone(struct dns_exchanger *x)
{
	x->handles--;
	if (x->freed && !x->handles)
		free(x);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct dns_exchange *e = handle->data;
	struct dns_exchanger *x = e->x;

	free(e);
	exchanger_handle_gone(x);
}

static void on_conn_closed(uv_handle_t *handle)
{
	struct conn *c = container_of(handle, struct conn, poll);
	struct dns_exchanger *x = handle->data;

	free(c);
	exchanger_handle_gone(x);
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

/* Everything but the memory, which the timer's closing frees. */
static void end(struct dns_exchange *e)
{
	conn_close(e);
	lane_leave(e);
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
	lanes_run(x);
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
	udp_leave(e);
	dns_result_free(e->early);
	e->early = result;
	uv_timer_start(&e->timer, on_timer, 0, 0);
}

void exchange_fail(struct dns_exchange *e, int error)
{
	deliver(e, outcome(e, DNS_NETWORK, error));
}

void exchange_fail_soon(struct dns_exchange *e, int error)
{
	end_soon(e, outcome(e, DNS_NETWORK, error));
}

/* --- asking */

static int conn_open(struct dns_exchange *e)
{
	int fd = socket(e->server.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

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

static void on_tcp(uv_poll_t *poll, int status, int events);

static void write_query(struct dns_exchange *e)
{
	e->query_len = dns_query_write(
		next_id(e->x), e->name, e->name_len, e->type, e->flags, e->query + 2);
	e->query[0] = (uint8_t)(e->query_len >> 8);
	e->query[1] = (uint8_t)e->query_len;
}

static void send_query(struct dns_exchange *e)
{
	write_query(e);
	if (!e->tcp) {
		udp_send(e);
		return;
	}
	int err = conn_open(e);
	if (err)
		exchange_fail_soon(e, err);
	else
		uv_poll_start(&e->conn->poll, UV_WRITABLE, on_tcp);
}

void exchange_start(struct dns_exchange *e)
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
		exchange_fail_soon(e, EAFNOSUPPORT);
}

/* --- answers */

void exchange_message(struct dns_exchange *e, const uint8_t *msg, size_t n)
{
	unsigned rcode = msg[3] & 0x0f;
	bool again = (rcode == 1 || rcode == 4) && !(e->flags & DNS_NO_EDNS);

	if (again || (msg[2] & 0x02 && !e->tcp)) {
		if (again)
			e->flags |= DNS_NO_EDNS;
		else
			e->tcp = true;
		conn_close(e);
		udp_leave(e);
		send_query(e);
		return;
	}
	deliver(e, dns_result_read(e->name, e->name_len, e->type, msg, n));
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
		exchange_message(e, e->in + 2, want);
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
	list_init(&x->active);
	udp_init(x);
	return x;
}

void dns_exchanger_free(struct dns_exchanger *x)
{
	if (!x)
		return;
	struct dns_exchange *e;
	x->freed = true;
	while (!list_empty(&x->active)) {
		e = container_of(x->active.next, struct dns_exchange, link);
		deliver(e, outcome(e, DNS_CANCELED, 0));
	}
	while ((e = lanes_first(x)))
		deliver(e, outcome(e, DNS_CANCELED, 0));
	udp_release(x);
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
	list_init(&e->link);
	list_init(&e->on);
	uv_timer_init(x->loop, &e->timer);
	e->timer.data = e;
	x->handles++;
	if (dnsname_from_text(q->name, e->name, &e->name_len) != 0 || x->freed) {
		list_add(&x->active, &e->link); /* but not e->active: nothing is on the wire */
		end_soon(
			e, dns_result_new(q->name, q->type, x->freed ? DNS_CANCELED : DNS_BADNAME));
	} else {
		lane_wait(e);
		lanes_run(x);
	}
	return e;
}

void dns_exchange_cancel(struct dns_exchange *e)
{
	if (!e)
		return;
	struct dns_exchanger *x = e->x;
	end(e);
	lanes_run(x);
}

struct dns_exchange *dns_ask_txt(struct dns_exchanger *x, const struct addr *server,
	const char *name, int64_t timeout_ms, dns_result_fn *done, void *arg)
{
	struct dns_question q = {
		.server = *server, .name = name, .type = DNS_TXT, .timeout_ms = timeout_ms};

	return dns_ask(x, &q, done, arg);
}

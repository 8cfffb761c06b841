/* DNS over TCP (RFC 7766): length-prefixed questions, several on one connection, answered in
 * whatever order.
 *
 * A connection's clock starts anew with each whole question and whenever answer bytes leave, so one
 * that trickles bytes in, or does not read, ends as an idle one does. It outlives its closing by
 * the questions at Redis.
 */
#include "worker/responders/dns01_internal.h"

#include "common/buf.h"
#include "common/mem.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { MAX_QUESTIONS = 16, MAX_OUT_BYTES = 256 * 1024, SWEEP_MS = 250 };

struct dns01_tcp {
	struct dns01_tcp *older, *newer;
	struct dns01 *d;
	uv_poll_t poll;
	int fd;
	struct addr peer;
	uint64_t active_ms; /* of the loop's clock */
	size_t questions;   /* at Redis */
	bool open, polled;  /* polled: the handle is there */
	bool eof;           /* asks no more, and waits for the answers */
	size_t in_len;
	struct buf out;
	size_t out_sent;
	uint8_t in[2 + DNS01_IN_BYTES];
};

static void maybe_free(struct dns01_tcp *c)
{
	if (c->open || c->polled || c->questions)
		return;
	buf_release(&c->out);
	free(c);
}

static void on_closed(uv_handle_t *handle)
{
	struct dns01_tcp *c = handle->data;
	struct dns01 *d = c->d;

	c->polled = false;
	maybe_free(c);
	dns01_handle_closed(d);
}

static void unlink_conn(struct dns01_tcp *c)
{
	struct dns01 *d = c->d;

	*(c->older ? &c->older->newer : &d->oldest) = c->newer;
	*(c->newer ? &c->newer->older : &d->newest) = c->older;
	c->older = c->newer = NULL;
}

static void link_newest(struct dns01_tcp *c)
{
	struct dns01 *d = c->d;

	c->older = d->newest;
	*(d->newest ? &d->newest->newer : &d->oldest) = c;
	d->newest = c;
	c->active_ms = uv_now(d->loop);
}

static void touch(struct dns01_tcp *c)
{
	unlink_conn(c);
	link_newest(c);
}

static void conn_close(struct dns01_tcp *c)
{
	if (!c->open)
		return;
	c->open = false;
	c->d->n_tcp--;
	unlink_conn(c);
	uv_close((uv_handle_t *)&c->poll, on_closed);
	close(c->fd);
}

static void on_event(uv_poll_t *poll, int status, int events);

static void poll_what_is_wanted(struct dns01_tcp *c)
{
	bool more = !c->eof && c->questions < MAX_QUESTIONS && c->out.len < MAX_OUT_BYTES / 2;

	if (c->open && c->eof && !c->questions && !c->out.len)
		conn_close(c);
	else if (c->open)
		uv_poll_start(&c->poll, (more ? UV_READABLE : 0) | (c->out.len ? UV_WRITABLE : 0),
			on_event);
}

static void write_out(struct dns01_tcp *c)
{
	while (c->open && c->out_sent < c->out.len) {
		ssize_t n = send(
			c->fd, c->out.data + c->out_sent, c->out.len - c->out_sent, MSG_NOSIGNAL);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			conn_close(c);
			return;
		}
		c->out_sent += (size_t)n;
		touch(c);
	}
	buf_clear(&c->out);
	c->out_sent = 0;
}

static void put_answer(struct dns01_tcp *c, const uint8_t *bytes, size_t n)
{
	buf_add(&c->out, (uint8_t[]){(uint8_t)(n >> 8), (uint8_t)n}, 2);
	buf_add(&c->out, bytes, n);
	if (c->out.over)
		conn_close(c); /* it asks and asks, and does not read */
}

static void on_question(struct dns01_tcp *c, const uint8_t *in, size_t n)
{
	static uint8_t out[DNS_WIRE_TCP_BYTES];
	struct dns_ask ask;
	size_t len = 0;

	touch(c);
	switch (dns_wire_ask(c->d->zones, DNS_TCP, in, n, &ask, out, &len)) {
	case DNS_WIRE_DROP:
		dns01_count(DNS_TCP, "dropped");
		conn_close(c);
		return;
	case DNS_WIRE_DONE:
		dns01_count(DNS_TCP, dns01_result_word(ask.rcode));
		put_answer(c, out, len);
		return;
	case DNS_WIRE_NEED_TXT:
		break;
	}
	struct dns01_pending *p = mem_zalloc(sizeof(*p));
	p->d = c->d;
	p->conn = c;
	p->ask = ask;
	c->questions++;
	if (!dns01_lookup(p)) {
		c->questions--;
		put_answer(c, out, dns_wire_answer_failure(&ask, out));
	}
}

/* All whole questions in the buffer, while there may be more of them. */
static void take_questions(struct dns01_tcp *c)
{
	size_t at = 0;

	while (c->open && c->questions < MAX_QUESTIONS && c->in_len - at >= 2) {
		size_t n = (size_t)c->in[at] << 8 | c->in[at + 1];
		if (n > DNS01_IN_BYTES) {
			conn_close(c);
			return;
		}
		if (c->in_len - at - 2 < n)
			break;
		on_question(c, c->in + at + 2, n);
		at += 2 + n;
	}
	memmove(c->in, c->in + at, c->in_len - at);
	c->in_len -= at;
}

void dns01_tcp_answer(struct dns01_pending *p, int err, const struct reply *reply)
{
	static uint8_t out[DNS_WIRE_TCP_BYTES];
	struct dns01_tcp *c = p->conn;

	c->questions--;
	if (c->open) {
		put_answer(c, out, dns01_write(p->d, &p->ask, err, reply, out));
		take_questions(c); /* that waited for their turn */
		write_out(c);
		poll_what_is_wanted(c);
	}
	free(p);
	maybe_free(c);
}

static void read_in(struct dns01_tcp *c)
{
	if (c->in_len == sizeof(c->in)) /* full of questions that wait for their turn */
		return;
	ssize_t n = recv(c->fd, c->in + c->in_len, sizeof(c->in) - c->in_len, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0)
		conn_close(c);
	else if (n == 0)
		c->eof = true;
	else
		c->in_len += (size_t)n;
}

static void on_event(uv_poll_t *poll, int status, int events)
{
	struct dns01_tcp *c = poll->data;

	if (status < 0) {
		conn_close(c);
		return;
	}
	if (events & UV_READABLE)
		read_in(c);
	if (c->open)
		take_questions(c);
	if (c->open)
		write_out(c);
	poll_what_is_wanted(c);
}

/* --- connections */

static void on_sweep(uv_timer_t *timer)
{
	struct dns01 *d = timer->data;

	while (d->oldest && uv_now(d->loop) - d->oldest->active_ms >= (uint64_t)d->tcp_idle_ms) {
		if (d->oldest->questions) /* it is not the asker who is slow */
			touch(d->oldest);
		else
			conn_close(d->oldest);
	}
	if (!d->oldest)
		uv_timer_stop(timer);
}

/* One more is wanted by peer: room is made by closing the one that was idle for longest. */
static bool admit(struct dns01 *d, const struct addr *peer)
{
	size_t same = 0;

	for (const struct dns01_tcp *c = d->oldest; c; c = c->newer)
		same += addr_equal_host(&c->peer, peer);
	if (same >= d->max_tcp_per_address)
		return false;
	if (d->n_tcp < d->max_tcp)
		return true;
	for (struct dns01_tcp *c = d->oldest; c; c = c->newer) {
		if (c->questions || c->out.len)
			continue;
		conn_close(c);
		return true;
	}
	return false;
}

void dns01_tcp_accept(struct dns01_listener *l)
{
	struct dns01 *d = l->d;

	for (int i = 0; i < DNS01_BATCH; i++) {
		struct addr peer = {0};
		socklen_t len = sizeof(peer);
		int fd = accept4(l->tcp_fd, &peer.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return;
		if (!admit(d, &peer)) {
			close(fd);
			continue;
		}
		struct dns01_tcp *c = mem_zalloc(sizeof(*c));
		*c = (struct dns01_tcp){
			.d = d, .fd = fd, .peer = peer, .open = true, .polled = true};
		c->out = BUF_INIT(MAX_OUT_BYTES);
		uv_poll_init(d->loop, &c->poll, fd);
		c->poll.data = c;
		d->handles++;
		d->n_tcp++;
		link_newest(c);
		poll_what_is_wanted(c);
		if (!uv_is_active((uv_handle_t *)&d->sweep))
			uv_timer_start(&d->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
	}
}

void dns01_tcp_free(struct dns01 *d)
{
	while (d->oldest)
		conn_close(d->oldest);
}

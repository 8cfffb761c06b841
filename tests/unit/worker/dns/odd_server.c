#include "tests/unit/worker/dns/odd_server.h"

#include "common/mem.h"
#include "worker/dns/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct reply {
	uint8_t bytes[4096];
	size_t n;
};

static bool has_opt(const uint8_t *q)
{
	return q[11] != 0;
}

static void add_rr(struct reply *r, unsigned type, const void *rdata, size_t n)
{
	uint8_t fixed[] = {
		0xc0, 12, 0, (uint8_t)type, 0, 1, 0, 0, 0, 60, (uint8_t)(n >> 8), (uint8_t)n};

	memcpy(r->bytes + r->n, fixed, sizeof(fixed));
	memcpy(r->bytes + r->n + sizeof(fixed), rdata, n);
	r->n += sizeof(fixed) + n;
	r->bytes[7]++;
}

/* An answer to q: header and question, QR and RA set. */
static struct reply begin(const uint8_t *q, size_t n)
{
	struct reply r = {.n = 12};

	memcpy(r.bytes, q, 12);
	r.bytes[2] |= 0x80;
	r.bytes[3] = 0x80;
	memset(r.bytes + 6, 0, 6);
	assert_int_equal(dnsname_skip(q, n, &r.n), 0);
	r.n += 4;
	memcpy(r.bytes + 12, q + 12, r.n - 12);
	return r;
}

static bool is(const uint8_t *q, const char *word)
{
	return q[12] == strlen(word) && memcmp(q + 13, word, q[12]) == 0;
}

static void fill(const uint8_t *q, bool tcp, struct reply *r)
{
	static const uint8_t big[] = "\3big";
	bool cd = q[3] & 0x10;

	if (is(q, "tc") && !tcp)
		r->bytes[2] |= 0x02;
	else if (is(q, "tc"))
		for (int i = 0; i < 200; i++)
			add_rr(r, DNS_TXT, big, 4);
	else if (is(q, "formerr") && has_opt(q))
		r->bytes[3] |= 1;
	else if (is(q, "servfail") || (is(q, "bogus") && !cd))
		r->bytes[3] |= 2;
	else if (is(q, "nx"))
		r->bytes[3] |= 3;
	else if (!is(q, "nodata"))
		add_rr(r, DNS_TXT, "\2ok", 3);
}

/* A wrong answer before the right one. */
static void send_decoys(
	int fd, const uint8_t *q, struct reply r, const struct sockaddr *to, socklen_t len)
{
	if (is(q, "badid"))
		r.bytes[0] ^= 0xff;
	else if (is(q, "badquestion"))
		r.bytes[13] ^= 0x01;
	else if (is(q, "short"))
		r.n = 11;
	else
		return;
	sendto(fd, r.bytes, r.n, 0, to, len);
}

static bool answer_one(struct odd_server *s)
{
	uint8_t q[1500];
	struct addr from;
	socklen_t len = sizeof(from);
	ssize_t n = recvfrom(s->udp_fd, q, sizeof(q), 0, &from.sa, &len);

	if (n < 12)
		return false;
	s->udp++;
	s->asked_from[addr_port(&from)]++;
	if (s->drop && s->drop--)
		return true;
	if (is(q, "drop"))
		return true;
	struct reply r = begin(q, (size_t)n);
	if (s->refuse)
		r.bytes[3] |= 5;
	else
		fill(q, false, &r);
	send_decoys(s->udp_fd, q, r, &from.sa, len);
	sendto(s->udp_fd, r.bytes, r.n, 0, &from.sa, len);
	return true;
}

static void on_udp(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;

	while (answer_one(poll->data))
		;
}

/* One connection at a time; the question comes in one piece, the answer leaves in two. */
static void on_conn(uv_poll_t *poll, int status, int events)
{
	struct odd_server *s = poll->data;
	uint8_t q[1500];
	ssize_t n = recv(s->conn_fd, q, sizeof(q), 0);
	(void)status;
	(void)events;

	if (n < 14) {
		uv_poll_stop(&s->conn_poll);
		return;
	}
	s->tcp++;
	struct reply r = begin(q + 2, (size_t)n - 2);
	fill(q + 2, true, &r);
	uint8_t length[] = {(uint8_t)(r.n >> 8), (uint8_t)r.n};
	assert_int_equal(send(s->conn_fd, length, 1, MSG_NOSIGNAL), 1);
	assert_int_equal(send(s->conn_fd, length + 1, 1, MSG_NOSIGNAL), 1);
	assert_int_equal(send(s->conn_fd, r.bytes, r.n, MSG_NOSIGNAL), (ssize_t)r.n);
}

static void on_accept(uv_poll_t *poll, int status, int events)
{
	struct odd_server *s = poll->data;
	int fd = accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	(void)status;
	(void)events;

	if (fd < 0 || s->conn_fd >= 0) {
		close(fd);
		return;
	}
	s->conn_fd = fd;
	uv_poll_init(poll->loop, &s->conn_poll, fd);
	s->conn_poll.data = s;
	uv_poll_start(&s->conn_poll, UV_READABLE, on_conn);
}

/* One port for UDP and TCP: the number that is free for the one may be some connection's for the
 * other. */
static void bind_both(struct odd_server *s)
{
	for (int i = 0; i < 100 && s->listen_fd < 0; i++) {
		assert_int_equal(addr_parse("127.0.0.1:0", 0, &s->address, NULL), 0);
		s->udp_fd = addr_bind_udp(&s->address, false, NULL);
		assert_true(s->udp_fd >= 0);
		assert_int_equal(addr_of_socket(s->udp_fd, &s->address), 0);
		s->listen_fd = addr_listen_tcp(&s->address, false, NULL);
		if (s->listen_fd < 0)
			close(s->udp_fd);
	}
	assert_true(s->listen_fd >= 0);
}

void odd_server_start(struct odd_server *s, uv_loop_t *loop)
{
	*s = (struct odd_server){.conn_fd = -1, .listen_fd = -1};
	bind_both(s);
	uv_poll_init(loop, &s->udp_poll, s->udp_fd);
	uv_poll_init(loop, &s->listen_poll, s->listen_fd);
	s->udp_poll.data = s->listen_poll.data = s;
	uv_poll_start(&s->udp_poll, UV_READABLE, on_udp);
	uv_poll_start(&s->listen_poll, UV_READABLE, on_accept);
}

void odd_server_stop(struct odd_server *s)
{
	uv_close((uv_handle_t *)&s->udp_poll, NULL);
	uv_close((uv_handle_t *)&s->listen_poll, NULL);
	close(s->udp_fd);
	close(s->listen_fd);
	if (s->conn_fd >= 0) {
		uv_close((uv_handle_t *)&s->conn_poll, NULL);
		close(s->conn_fd);
	}
}

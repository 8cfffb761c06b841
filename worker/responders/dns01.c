/*
 *	recvmmsg ──► dns_wire_ask ──► DONE ──────────────► batch ──► sendmmsg (at the end of the
 *batch) │ NEED_TXT                        ▲ ▼                                 │ pending ──► lookup
 *──► reply ───────┘ (sent once before the loop sleeps)
 */
#include "worker/responders/dns01_internal.h"

#include "common/mem.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
	DEFAULT_READS = 4096,
	DEFAULT_TCP = 512,
	DEFAULT_TCP_PER_ADDRESS = 64,
	DEFAULT_IDLE_MS = 10000
};
enum { MAX_VALUES = 512, ROUNDS = 8, UDP_BUFFER_BYTES = 4 << 20 };

static struct metric questions = {.type = METRIC_COUNTER,
	.name = "certfleet_dns01_questions_total",
	.help = "Questions to the builtin name server by transport and result.",
	.labels = {"transport", "result"}};
static struct metric shed = {.type = METRIC_COUNTER,
	.name = "certfleet_dns01_reads_shed_total",
	.help = "Questions answered by SERVFAIL at once because too many waited for Redis."};
static struct metric *const metrics[] = {&questions, &shed};

void dns01_count(enum dns_transport transport, const char *result)
{
	metric_inc(&questions, LABELS(transport == DNS_UDP ? "udp" : "tcp", result));
}

const char *dns01_result_word(unsigned rcode)
{
	switch (rcode) {
	case 0:
		return "noerror";
	case 1:
		return "formerr";
	case 2:
		return "servfail";
	case 4:
		return "notimp";
	case 5:
		return "refused";
	default:
		return "badvers";
	}
}

/* --- answers by UDP */

static void batch_send(struct dns01 *d)
{
	struct dns01_batch *b = &d->batch;
	struct mmsghdr msgs[DNS01_BATCH];
	struct iovec iovs[DNS01_BATCH];

	for (size_t i = 0; i < b->n; i++) {
		struct dns01_packet *p = &b->packets[i];
		iovs[i] = (struct iovec){b->bytes[i], b->lens[i]};
		msgs[i] =
			(struct mmsghdr){.msg_hdr = {.msg_name = &p->peer.sa,
						 .msg_namelen = addr_len(&p->peer),
						 .msg_iov = &iovs[i],
						 .msg_iovlen = 1,
						 .msg_control = p->control_len ? p->control : NULL,
						 .msg_controllen = p->control_len}};
	}
	/* What the kernel does not take is lost as UDP may be; one that it refuses must not stop
	 * the others. */
	for (size_t done = 0; done < b->n;) {
		int n = sendmmsg(b->fd, msgs + done, (unsigned)(b->n - done), MSG_NOSIGNAL);
		done += n > 0 ? (size_t)n : 1;
	}
	b->n = 0;
}

/* A place for one more answer; it counts once batch_put() is called. */
static uint8_t *batch_room(struct dns01 *d, int fd)
{
	struct dns01_batch *b = &d->batch;

	if (b->n == DNS01_BATCH || (b->n && b->fd != fd))
		batch_send(d);
	b->fd = fd;
	return b->bytes[b->n];
}

static void batch_put(struct dns01 *d, const struct dns01_packet *packet, size_t len)
{
	struct dns01_batch *b = &d->batch;

	b->packets[b->n] = *packet;
	b->lens[b->n++] = len;
}

static void on_flush(uv_prepare_t *prepare)
{
	uv_prepare_stop(prepare);
	batch_send(prepare->data);
}

/* --- Redis */

size_t dns01_write(const struct dns01 *d, const struct dns_ask *ask, int err,
	const struct reply *reply, uint8_t *out)
{
	struct dns_txt values[MAX_VALUES];
	size_t n = 0;

	if (err || reply_type(reply) != REPLY_ARRAY) {
		dns01_count(ask->transport, "servfail");
		return dns_wire_answer_failure(ask, out);
	}
	for (size_t i = 0; i < reply_len(reply) && n < MAX_VALUES; i++) {
		values[n].bytes = reply_str(reply_at(reply, i), &values[n].len);
		n += values[n].bytes != NULL;
	}
	dns01_count(ask->transport, n ? "txt" : "noerror");
	return dns_wire_answer_txt(d->zones, ask, values, n, out);
}

static void on_read(struct lookup_waiter *w, int err, const struct reply *reply)
{
	struct dns01_pending *p = container_of(w, struct dns01_pending, waiter);
	struct dns01 *d = p->d;

	if (p->conn) {
		dns01_tcp_answer(p, err, reply);
		return;
	}
	if (!d->freed) {
		uint8_t *out = batch_room(d, p->fd);
		batch_put(d, &p->packet, dns01_write(d, &p->ask, err, reply, out));
		uv_prepare_start(&d->flush, on_flush);
	}
	free(p);
}

bool dns01_lookup(struct dns01_pending *p)
{
	p->waiter.done = on_read;
	if (lookup_start(p->d->lookup, p->ask.label, &p->waiter))
		return true;
	metric_inc(&shed, NO_LABELS);
	dns01_count(p->ask.transport, "servfail");
	free(p);
	return false;
}

/* --- questions by UDP */

static void on_question(
	struct dns01_listener *l, const struct dns01_packet *packet, const uint8_t *in, size_t n)
{
	struct dns01 *d = l->d;
	struct dns_ask ask;
	size_t len = 0;
	uint8_t *out = batch_room(d, l->udp_fd);

	switch (dns_wire_ask(d->zones, DNS_UDP, in, n, &ask, out, &len)) {
	case DNS_WIRE_DROP:
		dns01_count(DNS_UDP, "dropped");
		return;
	case DNS_WIRE_DONE:
		dns01_count(DNS_UDP, dns01_result_word(ask.rcode));
		batch_put(d, packet, len);
		return;
	case DNS_WIRE_NEED_TXT:
		break;
	}
	struct dns01_pending *p = mem_alloc(sizeof(*p));
	p->d = d;
	p->conn = NULL;
	p->fd = l->udp_fd;
	p->packet = *packet;
	p->ask = ask;
	if (!dns01_lookup(p))
		batch_put(d, packet, dns_wire_answer_failure(&ask, out));
}

/* The answer is to come from the address that was asked (PKTINFO), but by whatever interface leads
 * to the asker; only link-local ones need the same. */
static void clean_control(struct msghdr *msg, struct dns01_packet *p)
{
	p->control_len = msg->msg_flags & MSG_CTRUNC ? 0 : msg->msg_controllen;
	if (!p->control_len)
		return;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO)
			((struct in_pktinfo *)(void *)CMSG_DATA(c))->ipi_ifindex = 0;
		else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO &&
			 !IN6_IS_ADDR_LINKLOCAL(&p->peer.in6.sin6_addr))
			((struct in6_pktinfo *)(void *)CMSG_DATA(c))->ipi6_ifindex = 0;
	}
}

/* Up to DNS01_BATCH questions; false when there are no more. */
static bool read_batch(struct dns01_listener *l)
{
	static uint8_t bytes[DNS01_BATCH][DNS01_IN_BYTES]; /* one loop, one thread */
	static struct dns01_packet packets[DNS01_BATCH];
	struct mmsghdr msgs[DNS01_BATCH];
	struct iovec iovs[DNS01_BATCH];

	for (size_t i = 0; i < DNS01_BATCH; i++) {
		iovs[i] = (struct iovec){bytes[i], DNS01_IN_BYTES};
		msgs[i] = (struct mmsghdr){.msg_hdr = {.msg_name = &packets[i].peer.sa,
						   .msg_namelen = sizeof(packets[i].peer),
						   .msg_iov = &iovs[i],
						   .msg_iovlen = 1,
						   .msg_control = packets[i].control,
						   .msg_controllen = DNS01_CONTROL_BYTES}};
	}
	int n = recvmmsg(l->udp_fd, msgs, DNS01_BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++) {
		clean_control(&msgs[i].msg_hdr, &packets[i]);
		on_question(l, &packets[i], bytes[i], msgs[i].msg_len);
	}
	return n == DNS01_BATCH;
}

static void on_udp(uv_poll_t *poll, int status, int events)
{
	struct dns01_listener *l = poll->data;
	(void)status;
	(void)events;

	for (int i = 0; i < ROUNDS && read_batch(l); i++)
		; /* then the rest of the loop has its turn */
	batch_send(l->d);
}

static void on_tcp(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	dns01_tcp_accept(poll->data);
}

/* --- set-up */

/* Room for a burst: the kernel's default is full after some 250 questions. Past the system's limit
 * only with CAP_NET_ADMIN; without, as much as it gives. */
static void set_udp_options(const struct dns01_listener *l)
{
	bool v4 = l->address.sa.sa_family == AF_INET;
	int one = 1, bytes = UDP_BUFFER_BYTES;

	setsockopt(l->udp_fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_PKTINFO : IPV6_RECVPKTINFO,
		&one, sizeof(one));
	if (setsockopt(l->udp_fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) != 0)
		setsockopt(l->udp_fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	if (setsockopt(l->udp_fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) != 0)
		setsockopt(l->udp_fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

/* With port 0 TCP has to get the port that UDP got, which may be taken: then another is tried. */
static int open_sockets(struct dns01_listener *l, bool reuseport, struct why *why)
{
	int err = 0;

	for (int i = 0; i < 20; i++) {
		struct addr a = l->address;
		l->udp_fd = addr_bind_udp(&a, reuseport, why);
		if (l->udp_fd < 0)
			return l->udp_fd;
		(void)addr_of_socket(l->udp_fd, &a);
		l->tcp_fd = addr_listen_tcp(&a, reuseport, why);
		if (l->tcp_fd >= 0) {
			l->address = a;
			set_udp_options(l);
			return 0;
		}
		err = l->tcp_fd;
		close(l->udp_fd);
		if (addr_port(&l->address))
			break;
	}
	return err;
}

static int listener_start(
	struct dns01 *d, const struct addr *address, bool reuseport, struct why *why)
{
	struct dns01_listener *l = &d->listeners[d->n_listeners];

	l->d = d;
	l->address = *address;
	int err = open_sockets(l, reuseport, why);
	if (err)
		return err;
	d->n_listeners++;
	uv_poll_init(d->loop, &l->udp, l->udp_fd);
	uv_poll_init(d->loop, &l->tcp, l->tcp_fd);
	d->handles += 2;
	l->udp.data = l->tcp.data = l;
	uv_poll_start(&l->udp, UV_READABLE, on_udp);
	uv_poll_start(&l->tcp, UV_READABLE, on_tcp);
	return 0;
}

static int register_metrics(struct why *why)
{
	int err = metrics_register(metrics_default(), metrics, ARRAY_LEN(metrics), why);

	return err == CF_EEXIST ? 0 : err;
}

#define DEFAULT_TO(value, otherwise) ((value) ? (value) : (otherwise))

int dns01_new(uv_loop_t *loop, struct redis *redis, const struct dns01_options *options,
	struct dns01 **out, struct why *why)
{
	struct dns_zones *zones;
	int err = register_metrics(why);

	err = err ? err : dns_zones_new(&options->zones, &zones, why);
	if (err)
		return err;
	struct dns01 *d = mem_zalloc(sizeof(*d));
	d->loop = loop;
	d->zones = zones;
	d->lookup =
		lookup_new(redis, "HKEYS", "txt:", DEFAULT_TO(options->max_reads, DEFAULT_READS));
	d->max_tcp = DEFAULT_TO(options->tcp_connections, DEFAULT_TCP);
	d->max_tcp_per_address = DEFAULT_TO(options->tcp_per_address, DEFAULT_TCP_PER_ADDRESS);
	d->tcp_idle_ms = DEFAULT_TO(options->tcp_idle_ms, DEFAULT_IDLE_MS);
	d->listeners = mem_array(options->n_listen, sizeof(*d->listeners));
	uv_prepare_init(loop, &d->flush);
	uv_timer_init(loop, &d->sweep);
	d->flush.data = d->sweep.data = d;
	d->handles = 2;
	for (size_t i = 0; i < options->n_listen && !err; i++)
		err = listener_start(d, &options->listen[i], options->reuseport, why);
	if (!err && !options->n_listen)
		err = why_set(why, CF_EINVAL, "no address to listen on for DNS");
	if (err)
		dns01_free(d);
	else
		*out = d;
	return err;
}

void dns01_handle_closed(struct dns01 *d)
{
	if (--d->handles)
		return;
	dns_zones_free(d->zones);
	free(d->listeners);
	free(d);
}

static void on_own_closed(uv_handle_t *handle)
{
	dns01_handle_closed(handle->data);
}

static void on_listener_closed(uv_handle_t *handle)
{
	struct dns01_listener *l = handle->data;

	dns01_handle_closed(l->d);
}

void dns01_free(struct dns01 *d)
{
	if (!d)
		return;
	d->freed = true;
	dns01_tcp_free(d);
	lookup_free(d->lookup);
	for (size_t i = 0; i < d->n_listeners; i++) {
		uv_close((uv_handle_t *)&d->listeners[i].udp, on_listener_closed);
		uv_close((uv_handle_t *)&d->listeners[i].tcp, on_listener_closed);
		close(d->listeners[i].udp_fd);
		close(d->listeners[i].tcp_fd);
	}
	uv_close((uv_handle_t *)&d->flush, on_own_closed);
	uv_close((uv_handle_t *)&d->sweep, on_own_closed);
}

const struct addr *dns01_address(const struct dns01 *d, size_t i)
{
	return &d->listeners[i].address;
}

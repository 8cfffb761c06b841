/*
 * A lane is one address. Its questions share a socket for a while, which is connected, so that the
 * kernel drops what comes from elsewhere, on a random port that nobody but that address sees; after
 * SOCKET_USES questions or SOCKET_MS it gets a new one. Each question has a random id besides, and
 * is compared as a whole.
 *
 * A burst would overflow the socket buffer of a server (room for some 250 questions by default, and
 * a busy server lets it fill), so at most WINDOW questions that were sent lately may be unanswered.
 * Those sent over EPOCH_MS ago do not count any more: they are being worked on, or lost, and a
 * resolver that waits for others must not hold up the rest.
 */
#include "common/mem.h"
#include "worker/dns/exchange_internal.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
	WINDOW = 192,
	EPOCH_MS = 40,
	SOCKET_USES = 64,
	SOCKET_AT_ONCE = 16,
	SOCKET_MS = 2000,
	SOCKETS_KEPT = 1024, /* with more than these, idle ones are closed at once */
	FIRST_BUCKETS = 64,
	READ_BYTES = 4096,
	READ_BATCH = 16,
};

struct lane {
	struct lane *next; /* in its bucket */
	struct dns_exchanger *x;
	struct list hungry;
	struct list waiting;
	struct udp_socket *current;
	size_t refs; /* exchanges and sockets */
	uint32_t epoch;
	unsigned fresh, older; /* unanswered, sent in this epoch and in the one before */
	struct addr addr;
};

struct udp_socket {
	uv_poll_t poll;
	int fd;
	struct lane *lane; /* NULL once closed */
	struct list flush;
	struct list users; /* struct dns_exchange.on */
	struct dns_exchange *unsent[SOCKET_AT_ONCE];
	size_t n_unsent, n_users;
	unsigned uses;
	uint64_t opened_ms;
};

/* --- lanes by address */

static uint64_t hash_of(const struct addr *a)
{
	uint64_t h = 14695981039346656037u ^ addr_port(a);
	const uint8_t *p = a->sa.sa_family == AF_INET ? (const uint8_t *)&a->in.sin_addr
						      : a->in6.sin6_addr.s6_addr;

	for (size_t i = 0; i < (a->sa.sa_family == AF_INET ? 4u : 16u); i++)
		h = (h ^ p[i]) * 1099511628211u;
	return h ^ h >> 29;
}

static struct lane **bucket(const struct dns_exchanger *x, const struct addr *a)
{
	return &x->lanes[hash_of(a) & (x->n_buckets - 1)];
}

static void grow(struct dns_exchanger *x)
{
	struct lane **old = x->lanes;
	size_t n = x->n_buckets;

	x->n_buckets = n ? 2 * n : FIRST_BUCKETS;
	x->lanes = mem_array(x->n_buckets, sizeof(struct lane *));
	for (size_t i = 0; i < n; i++)
		for (struct lane *l = old[i], *next; l; l = next) {
			struct lane **b = bucket(x, &l->addr);
			next = l->next;
			l->next = *b;
			*b = l;
		}
	free(old);
}

static struct lane *lane_of(struct dns_exchanger *x, const struct addr *a)
{
	struct lane *l = *bucket(x, a);

	while (l && !addr_equal(&l->addr, a))
		l = l->next;
	if (l)
		return l;
	if (x->n_lanes++ >= x->n_buckets)
		grow(x);
	l = mem_zalloc(sizeof(*l));
	l->x = x;
	l->addr = *a;
	list_init(&l->hungry);
	list_init(&l->waiting);
	struct lane **b = bucket(x, a);
	l->next = *b;
	*b = l;
	return l;
}

static void lane_drop(struct lane *l)
{
	if (--l->refs)
		return;
	struct lane **p = bucket(l->x, &l->addr);
	while (*p != l)
		p = &(*p)->next;
	*p = l->next;
	l->x->n_lanes--;
	list_remove(&l->hungry);
	free(l);
}

/* --- the window */

static void move_on(struct lane *l)
{
	uint32_t now = (uint32_t)(uv_now(l->x->loop) / EPOCH_MS);

	if (now == l->epoch)
		return;
	l->older = now == l->epoch + 1 ? l->fresh : 0;
	l->fresh = 0;
	l->epoch = now;
}

static bool has_room(struct lane *l)
{
	move_on(l);
	return l->fresh + l->older < WINDOW;
}

static void note_sent(struct dns_exchange *e)
{
	move_on(e->lane);
	e->lane->fresh++;
	e->epoch = e->lane->epoch;
}

static void note_over(struct dns_exchange *e)
{
	struct lane *l = e->lane;

	move_on(l);
	if (e->epoch == l->epoch)
		l->fresh--;
	else if (e->epoch + 1 == l->epoch)
		l->older--;
}

/* --- sockets */

static void on_socket_closed(uv_handle_t *handle)
{
	struct udp_socket *s = container_of(handle, struct udp_socket, poll);
	struct dns_exchanger *x = handle->data;

	free(s);
	exchanger_handle_gone(x);
}

/* It has no users any more. */
static void socket_close(struct udp_socket *s)
{
	struct lane *l = mem_steal(s->lane);

	if (!l)
		return;
	if (l->current == s)
		l->current = NULL;
	list_remove(&s->flush);
	l->x->n_sockets--;
	s->poll.data = l->x;
	uv_close((uv_handle_t *)&s->poll, on_socket_closed);
	close(s->fd);
	lane_drop(l);
}

static bool is_worn(const struct udp_socket *s)
{
	return s->uses >= SOCKET_USES || uv_now(s->lane->x->loop) - s->opened_ms >= SOCKET_MS;
}

/* Takes no new question; it closes with its last one. */
static void socket_retire(struct udp_socket *s)
{
	if (s->lane->current == s)
		s->lane->current = NULL;
	if (!s->n_users)
		socket_close(s);
}

static void on_readable(uv_poll_t *poll, int status, int events);

static int socket_open(struct lane *l)
{
	int fd = socket(l->addr.sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return errno;
	if (connect(fd, &l->addr.sa, addr_len(&l->addr)) != 0) {
		int err = errno;
		close(fd);
		return err;
	}
	struct udp_socket *s = mem_zalloc(sizeof(*s));
	s->fd = fd;
	s->lane = l;
	s->opened_ms = uv_now(l->x->loop);
	list_init(&s->flush);
	list_init(&s->users);
	if (uv_poll_init(l->x->loop, &s->poll, fd) != 0) {
		free(s);
		close(fd);
		return EIO;
	}
	uv_poll_start(&s->poll, UV_READABLE, on_readable);
	l->x->handles++;
	l->x->n_sockets++;
	l->refs++;
	l->current = s;
	return 0;
}

static void forget_unsent(struct udp_socket *s, struct dns_exchange *e)
{
	for (size_t i = 0; i < s->n_unsent; i++)
		if (s->unsent[i] == e)
			s->unsent[i] = s->unsent[--s->n_unsent];
	e->unsent = false;
}

/* An idle socket does not hold the loop. */
static void leave_socket(struct dns_exchange *e)
{
	struct udp_socket *s = mem_steal(e->socket);

	if (!s)
		return;
	if (e->unsent)
		forget_unsent(s, e);
	list_remove(&e->on);
	if (--s->n_users)
		return;
	uv_unref((uv_handle_t *)&s->poll);
	if (s->lane->current != s || is_worn(s) || s->lane->x->n_sockets > SOCKETS_KEPT)
		socket_close(s);
}

static void on_reaper(uv_timer_t *timer)
{
	struct dns_exchanger *x = timer->data;

	for (size_t i = 0; i < x->n_buckets; i++)
		for (struct lane *l = x->lanes[i], *next; l; l = next) {
			next = l->next;
			if (l->current && is_worn(l->current))
				socket_retire(l->current);
		}
	if (!x->n_sockets)
		uv_timer_stop(&x->reaper);
}

/* --- sending */

static void send_all(struct udp_socket *s)
{
	struct mmsghdr msgs[SOCKET_AT_ONCE];
	struct iovec iovs[SOCKET_AT_ONCE];
	struct dns_exchange *batch[SOCKET_AT_ONCE];
	size_t n = s->n_unsent, at = 0;

	for (size_t i = 0; i < n; i++) {
		batch[i] = s->unsent[i];
		batch[i]->unsent = false;
		iovs[i] = (struct iovec){batch[i]->query + 2, batch[i]->query_len};
		msgs[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iovs[i], .msg_iovlen = 1}};
	}
	s->n_unsent = 0;
	while (at < n) {
		int sent = sendmmsg(s->fd, msgs + at, (unsigned)(n - at), MSG_NOSIGNAL);
		if (sent > 0) {
			at += (size_t)sent;
			continue;
		}
		/* A full buffer loses it, as any router on the way may. */
		if (errno != EAGAIN && errno != EINTR)
			exchange_fail_soon(batch[at], errno);
		at += errno != EINTR;
	}
}

static void on_flush(uv_prepare_t *flusher)
{
	struct dns_exchanger *x = flusher->data;

	while (!list_empty(&x->flushes)) {
		struct udp_socket *s = container_of(x->flushes.next, struct udp_socket, flush);
		list_remove(&s->flush);
		send_all(s);
	}
	uv_prepare_stop(flusher);
}

void udp_send(struct dns_exchange *e)
{
	struct lane *l = e->lane;
	struct udp_socket *s = l->current;
	int err;

	if (s && (is_worn(s) || s->n_users == SOCKET_AT_ONCE))
		socket_retire(s);
	if (!l->current && (err = socket_open(l)) != 0) {
		exchange_fail_soon(e, err);
		return;
	}
	s = l->current;
	if (!s->n_users++)
		uv_ref((uv_handle_t *)&s->poll);
	s->uses++;
	e->socket = s;
	e->unsent = true;
	list_add(&s->users, &e->on);
	s->unsent[s->n_unsent++] = e;
	if (list_empty(&s->flush))
		list_add(&l->x->flushes, &s->flush);
	if (!uv_is_active((uv_handle_t *)&l->x->flusher))
		uv_prepare_start(&l->x->flusher, on_flush);
	if (!uv_is_active((uv_handle_t *)&l->x->reaper))
		uv_timer_start(&l->x->reaper, on_reaper, SOCKET_MS, SOCKET_MS);
	note_sent(e);
}

void udp_leave(struct dns_exchange *e)
{
	if (e->socket)
		note_over(e);
	leave_socket(e);
}

/* --- receiving */

static struct dns_exchange *whose(const struct udp_socket *s, const uint8_t *msg, size_t n)
{
	for (struct list *l = s->users.next; n >= 12 && l != &s->users; l = l->next) {
		struct dns_exchange *e = container_of(l, struct dns_exchange, on);
		if (memcmp(e->query + 2, msg, 2) == 0 && !e->unsent &&
			dns_reply_matches(e->query + 2, e->query_len, msg, n))
			return e;
	}
	return NULL;
}

/* Nobody listens there, or no way leads there: so for all that this socket carries. */
static void all_failed(struct udp_socket *s, int error)
{
	struct list users;

	socket_retire(s); /* they are not followed by others */
	list_move(&s->users, &users);
	while (!list_empty(&users)) {
		struct dns_exchange *e = container_of(users.next, struct dns_exchange, on);
		exchange_fail(e, error);
	}
}

/* What does not match is no answer; the right one may still come. A callback may end any exchange,
 * and with the last one the socket. */
static void on_readable(uv_poll_t *poll, int status, int events)
{
	static uint8_t bytes[READ_BATCH][READ_BYTES];
	struct udp_socket *s = container_of(poll, struct udp_socket, poll);
	struct mmsghdr msgs[READ_BATCH];
	struct iovec iovs[READ_BATCH];
	(void)status;
	(void)events;

	for (size_t i = 0; i < READ_BATCH; i++) {
		iovs[i] = (struct iovec){bytes[i], READ_BYTES};
		msgs[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iovs[i], .msg_iovlen = 1}};
	}
	int n = recvmmsg(s->fd, msgs, READ_BATCH, 0, NULL);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		all_failed(s, errno);
	for (int i = 0; i < n && s->lane; i++) {
		struct dns_exchange *e = whose(s, bytes[i], msgs[i].msg_len);
		if (e)
			exchange_message(e, bytes[i], msgs[i].msg_len);
	}
}

/* --- lines */

static void on_pacer(uv_timer_t *timer)
{
	lanes_run(timer->data);
}

/* The lane's first ones, as far as its window goes; false if it is shut. */
static bool lane_run(struct lane *l)
{
	struct dns_exchanger *x = l->x;

	while (!list_empty(&l->waiting) && x->n_active < x->max_active) {
		struct dns_exchange *e = container_of(l->waiting.next, struct dns_exchange, link);
		if (!e->tcp && !has_room(l))
			return false;
		list_remove(&e->link);
		exchange_start(e); /* never ends it at once */
	}
	if (list_empty(&l->waiting))
		list_remove(&l->hungry);
	return true;
}

void lanes_run(struct dns_exchanger *x)
{
	bool shut = false;
	struct list lanes;

	if (x->freed || list_empty(&x->hungry))
		return;
	list_move(&x->hungry, &lanes);
	while (!list_empty(&lanes)) {
		struct lane *l = container_of(lanes.next, struct lane, hungry);
		list_remove(&l->hungry);
		list_add(&x->hungry, &l->hungry);
		shut |= x->n_active < x->max_active && !lane_run(l);
	}
	if (shut && !uv_is_active((uv_handle_t *)&x->pacer))
		uv_timer_start(&x->pacer, on_pacer, EPOCH_MS / 2, 0);
}

struct dns_exchange *lanes_first(const struct dns_exchanger *x)
{
	if (list_empty(&x->hungry))
		return NULL;
	struct lane *l = container_of(x->hungry.next, struct lane, hungry);
	return container_of(l->waiting.next, struct dns_exchange, link);
}

void lane_wait(struct dns_exchange *e)
{
	struct lane *l = lane_of(e->x, &e->server);

	l->refs++;
	e->lane = l;
	list_add(&l->waiting, &e->link);
	if (list_empty(&l->hungry))
		list_add(&e->x->hungry, &l->hungry);
}

void lane_leave(struct dns_exchange *e)
{
	udp_leave(e);
	struct lane *l = mem_steal(e->lane);
	list_remove(&e->link);
	if (!l)
		return;
	if (list_empty(&l->waiting))
		list_remove(&l->hungry);
	lane_drop(l);
}

/* --- with the exchanger */

static void on_handle_closed(uv_handle_t *handle)
{
	exchanger_handle_gone(handle->data);
}

void udp_init(struct dns_exchanger *x)
{
	list_init(&x->hungry);
	list_init(&x->flushes);
	grow(x);
	uv_prepare_init(x->loop, &x->flusher);
	uv_timer_init(x->loop, &x->pacer);
	uv_timer_init(x->loop, &x->reaper);
	x->flusher.data = x->pacer.data = x->reaper.data = x;
	uv_unref((uv_handle_t *)&x->reaper);
	x->handles = 3;
}

void udp_release(struct dns_exchanger *x)
{
	for (size_t i = 0; i < x->n_buckets; i++)
		while (x->lanes[i])
			socket_close(x->lanes[i]->current); /* all that is left of a lane */
	uv_close((uv_handle_t *)&x->flusher, on_handle_closed);
	uv_close((uv_handle_t *)&x->pacer, on_handle_closed);
	uv_close((uv_handle_t *)&x->reaper, on_handle_closed);
	free(mem_steal(x->lanes));
	x->n_buckets = 0;
}

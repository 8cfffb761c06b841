#include "worker/probe/handshake.h"

#include "common/mem.h"
#include "common/names.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct handshake {
	struct handshakes *set;
	struct handshake *next, *prev; /* in the set's list */
	bool live;                     /* counted in the set */
	bool polling, trusted, connected;
	unsigned closing; /* handles whose close callback is still to come */
	uv_timer_t timer; /* the begin, then the deadline */
	uv_poll_t poll;
	int fd;
	SSL *ssl;
	struct addr to;
	char name[NAME_SIZE];
	handshake_fn *fn;
	void *arg;
};

struct handshakes {
	uv_loop_t *loop;
	SSL_CTX *ctx;
	struct handshakes_options options;
	struct handshake *first, *last;
	struct handshake *waiting; /* the first that does not run; all behind it do not either */
	unsigned live;
};

static bool public_only(void *arg, const struct addr *a)
{
	(void)arg;
	return !addr_unsafe(a);
}

/* Weak keys and old digests are to be seen, not to be refused. */
static SSL_CTX *context_new(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (!ctx)
		return NULL;
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_max_cert_list(ctx, CHAIN_MAX_BYTES);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	return ctx;
}

struct handshakes *handshakes_new(uv_loop_t *loop, const struct handshakes_options *options)
{
	struct handshakes *s;
	SSL_CTX *ctx = context_new();

	if (!ctx)
		return NULL;
	s = mem_zalloc(sizeof *s);
	s->loop = loop;
	s->ctx = ctx;
	s->options = *options;
	if (!s->options.max)
		s->options.max = HANDSHAKES_MAX;
	if (!s->options.timeout_ms)
		s->options.timeout_ms = HANDSHAKE_TIMEOUT_MS;
	if (!s->options.allowed)
		s->options.allowed = public_only;
	return s;
}

void handshakes_free(struct handshakes *s)
{
	if (!s)
		return;
	while (s->first)
		handshake_cancel(s->first);
	SSL_CTX_free(s->ctx);
	free(s);
}

/* --- the list, and whose turn it is */

static void append(struct handshakes *s, struct handshake *h)
{
	h->prev = s->last;
	if (s->last)
		s->last->next = h;
	else
		s->first = h;
	s->last = h;
	if (!s->waiting)
		s->waiting = h;
}

static void unlink_from(struct handshakes *s, struct handshake *h)
{
	if (s->waiting == h)
		s->waiting = h->next;
	if (h->prev)
		h->prev->next = h->next;
	else
		s->first = h->next;
	if (h->next)
		h->next->prev = h->prev;
	else
		s->last = h->prev;
	h->next = h->prev = NULL;
}

static void on_begin(uv_timer_t *timer);

static void next_begins(struct handshakes *s)
{
	struct handshake *h = s->waiting;

	if (!h || s->live >= s->options.max)
		return;
	s->waiting = h->next;
	h->live = true;
	s->live++;
	uv_timer_start(&h->timer, on_begin, 0, 0);
}

/* --- the end */

static void on_closed(uv_handle_t *handle)
{
	struct handshake *h = handle->data;

	if (--h->closing)
		return;
	if (h->fd >= 0)
		close(h->fd);
	free(h);
}

void handshake_cancel(struct handshake *h)
{
	struct handshakes *s;

	if (!h)
		return;
	s = h->set;
	unlink_from(s, h);
	SSL_free(mem_steal(h->ssl));
	h->closing = h->polling ? 2 : 1;
	uv_close((uv_handle_t *)&h->timer, on_closed);
	if (h->polling)
		uv_close((uv_handle_t *)&h->poll, on_closed);
	if (!h->live)
		return;
	s->live--;
	next_begins(s);
}

static void end(struct handshake *h, struct handshake_result *r)
{
	handshake_fn *fn = h->fn;
	void *arg = h->arg;

	handshake_cancel(h);
	fn(arg, r);
	chain_release(&r->chain);
}

static void end_without(struct handshake *h, enum handshake_end how, const char *why)
{
	struct handshake_result r = {.end = how};

	snprintf(r.why, sizeof r.why, "%s", why);
	end(h, &r);
}

/* Bounded once more: what OpenSSL lets through is its own count of bytes. */
static void end_presented(struct handshake *h)
{
	struct handshake_result r = {.end = HANDSHAKE_PRESENTED};
	const STACK_OF(X509) *certs = SSL_get_peer_cert_chain(h->ssl);
	int n = certs ? sk_X509_num(certs) : 0;

	for (int i = 0; i < n && i < CHAIN_MAX_CERTS; i++) {
		unsigned char *der = NULL;
		int len = i2d_X509(sk_X509_value(certs, i), &der);

		if (len <= 0)
			break;
		r.chain.certs = mem_grow(r.chain.certs, r.chain.n + 1, sizeof *r.chain.certs);
		r.chain.certs[r.chain.n++] =
			(struct chain_cert){.der = mem_dup(der, (size_t)len), .len = (size_t)len};
		OPENSSL_free(der);
	}
	SSL_shutdown(h->ssl);
	ERR_clear_error();
	if (r.chain.n)
		end(h, &r);
	else
		end_without(h, HANDSHAKE_FAILED, "no certificate was presented");
}

static void on_deadline(uv_timer_t *timer)
{
	struct handshake *h = timer->data;

	if (h->connected)
		end_without(h, HANDSHAKE_FAILED, "the handshake was not over in time");
	else
		end_without(h, HANDSHAKE_UNREACHABLE, "no connection in time");
}

/* --- the steps */

static void on_poll(uv_poll_t *poll, int status, int events);

static void fail_tls(struct handshake *h, int how)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;
	char why[128];

	if (how == SSL_ERROR_SYSCALL || !reason)
		snprintf(why, sizeof why, "the connection was closed during the handshake");
	else
		snprintf(why, sizeof why, "%.120s", reason);
	ERR_clear_error();
	end_without(h, HANDSHAKE_FAILED, why);
}

static void shake(struct handshake *h)
{
	int done, how;

	ERR_clear_error();
	done = SSL_do_handshake(h->ssl);
	if (done == 1) {
		end_presented(h);
		return;
	}
	how = SSL_get_error(h->ssl, done);
	if (how != SSL_ERROR_WANT_READ && how != SSL_ERROR_WANT_WRITE)
		fail_tls(h, how);
	else if (uv_poll_start(
			 &h->poll, how == SSL_ERROR_WANT_READ ? UV_READABLE : UV_WRITABLE, on_poll))
		end_without(h, HANDSHAKE_UNREACHABLE, "the socket cannot be watched");
}

static bool is_connected(struct handshake *h)
{
	int err = 0;
	socklen_t n = sizeof err;

	if (getsockopt(h->fd, SOL_SOCKET, SO_ERROR, &err, &n))
		err = errno;
	if (err)
		end_without(h, HANDSHAKE_UNREACHABLE, uv_strerror(uv_translate_sys_error(err)));
	return !err;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct handshake *h = poll->data;

	(void)events;
	(void)status; /* what is wrong with the socket is its own error */
	if (!h->connected && !is_connected(h))
		return;
	h->connected = true;
	shake(h);
}

static bool make_ssl(struct handshake *h)
{
	h->ssl = SSL_new(h->set->ctx);
	if (!h->ssl || SSL_set_fd(h->ssl, h->fd) != 1 ||
		SSL_set_tlsext_host_name(h->ssl, h->name) != 1) {
		ERR_clear_error();
		return false;
	}
	SSL_set_connect_state(h->ssl);
	return true;
}

static void on_begin(uv_timer_t *timer)
{
	struct handshake *h = timer->data;
	struct handshakes *s = h->set;

	if (!h->trusted && !s->options.allowed(s->options.arg, &h->to)) {
		end_without(h, HANDSHAKE_FORBIDDEN, "no address that may be connected to");
		return;
	}
	h->fd = socket(h->to.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (h->fd < 0 || (connect(h->fd, &h->to.sa, addr_len(&h->to)) && errno != EINPROGRESS)) {
		end_without(h, HANDSHAKE_UNREACHABLE, uv_strerror(uv_translate_sys_error(errno)));
		return;
	}
	if (!make_ssl(h) || uv_poll_init_socket(s->loop, &h->poll, h->fd)) {
		end_without(h, HANDSHAKE_UNREACHABLE, "there is no memory for it");
		return;
	}
	h->poll.data = h;
	h->polling = true;
	uv_timer_start(&h->timer, on_deadline, (uint64_t)s->options.timeout_ms, 0);
	if (uv_poll_start(&h->poll, UV_WRITABLE, on_poll))
		end_without(h, HANDSHAKE_UNREACHABLE, "the socket cannot be watched");
}

struct handshake *handshake_start(struct handshakes *s, const struct addr *to, bool trusted,
	const char *name, handshake_fn *fn, void *arg)
{
	struct handshake *h = mem_zalloc(sizeof *h);

	h->set = s;
	h->to = *to;
	h->trusted = trusted;
	h->fd = -1;
	h->fn = fn;
	h->arg = arg;
	snprintf(h->name, sizeof h->name, "%s", name);
	uv_timer_init(s->loop, &h->timer);
	h->timer.data = h;
	append(s, h);
	next_begins(s);
	return h;
}

#include "common/redis_internal.h"

#include "common/clock.h"
#include "common/mem.h"

#include <hiredis/adapters/libuv.h>
#include <hiredis/hiredis_ssl.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define ADDRESSES_MAX  8
#define ADDRESS_SIZE   64
#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 2000
#define GUIDED_MAX_MS  400  /* where somebody is asked first: a failover shall be ridden out soon */
#define STEADY_MS      2000 /* up for so long, the next loss starts with the shortest backoff */

enum link_state {
	LINK_WAITING,
	LINK_ASKING,
	LINK_RESOLVING,
	LINK_CONNECTING,
	LINK_GREETING,
	LINK_UP,
	LINK_CLOSED,
};

struct redis_link {
	uv_loop_t *loop;
	struct redis_options options;   /* with a guide, host is place's */
	struct redis_guide *guide;      /* NULL: host or unix_path are fixed */
	struct redis_follower follower; /* the guide's */
	struct redis_place place;
	bool told; /* place is where to go next, unasked */
	const struct redis_link_hooks *hooks;
	void *arg;
	enum redis_peer peer;
	enum link_state state;
	redisAsyncContext *ac; /* hiredis frees it; its data is the link, or NULL once let go */
	SSL *ssl;              /* ac's */
	SSL_CTX *tls;
	uv_timer_t timer; /* the backoff, or the deadline of what comes before UP */
	uv_getaddrinfo_t lookup;
	bool looking;
	bool timer_closed;
	char addresses[ADDRESSES_MAX][ADDRESS_SIZE];
	size_t addresses_n;
	size_t address; /* the next to try */
	size_t greeted; /* replies judged */
	int64_t backoff_ms;
	int64_t up_at_ms;
};

static void attempt_at_place(struct redis_link *l);
static void connect_next(struct redis_link *l);
static void on_timer(uv_timer_t *timer);

static void free_if_done(struct redis_link *l)
{
	if (l->state != LINK_CLOSED || l->looking || !l->timer_closed)
		return;
	SSL_CTX_free(l->tls);
	free(l);
}

/* Between half of the backoff and all of it, so that a fleet does not come back in step. */
static uint64_t jittered(int64_t ms)
{
	uint32_t random = 0;

	if (getrandom(&random, sizeof random, 0) != sizeof random)
		random = (uint32_t)clock_mono_ms();
	return (uint64_t)(ms / 2) + random % (uint64_t)(ms / 2 + 1);
}

static int64_t timeout_ms(const struct redis_link *l)
{
	return l->options.timeout_ms > 0 ? l->options.timeout_ms : 5000;
}

/* Calls of hiredis from here on find no link and do nothing. Safe within its callbacks: it then
 * frees later. */
static void let_go(struct redis_link *l)
{
	redisAsyncContext *ac = l->ac;

	l->ac = NULL;
	l->ssl = NULL;
	if (!ac)
		return;
	ac->data = NULL;
	redisAsyncFree(ac);
}

static int64_t backoff_most_ms(const struct redis_link *l)
{
	return l->guide ? GUIDED_MAX_MS : BACKOFF_MAX_MS;
}

static void name_peer(const struct redis_link *l, int err, struct why *why)
{
	char where[300];

	if (l->state != LINK_ASKING)
		why_prefix(why, err, "%s at %s: ", redis_what(&l->options),
			redis_where(&l->options, where, sizeof where));
}

static void fall(struct redis_link *l, int err, const struct why *reason)
{
	struct why why = *reason;

	if (l->state == LINK_UP && clock_mono_ms() - l->up_at_ms >= STEADY_MS)
		l->backoff_ms = BACKOFF_MIN_MS;
	name_peer(l, err, &why);
	let_go(l);
	l->state = LINK_WAITING;
	l->follower.asking = false;
	uv_timer_start(&l->timer, on_timer, jittered(l->backoff_ms), 0);
	l->backoff_ms =
		l->backoff_ms * 2 > backoff_most_ms(l) ? backoff_most_ms(l) : l->backoff_ms * 2;
	l->hooks->down(l->arg, err, &why);
}

/* --- where the primary is */

static void set_place(struct redis_link *l, const struct redis_place *place)
{
	l->place = *place;
	l->options.host = l->place.host;
	l->options.port = l->place.port;
}

static void on_found(
	struct redis_follower *f, int err, const struct redis_place *place, const struct why *why)
{
	struct redis_link *l = container_of(f, struct redis_link, follower);

	if (l->state != LINK_ASKING)
		return;
	if (err) {
		fall(l, err, why);
		return;
	}
	set_place(l, place);
	attempt_at_place(l);
}

/* Falls, and goes there next without asking. */
static void fall_to(
	struct redis_link *l, int err, const struct why *why, const struct redis_place *place)
{
	fall(l, err, why);
	set_place(l, place);
	l->told = true;
}

static void on_moved(struct redis_follower *f, const struct redis_place *place)
{
	struct redis_link *l = container_of(f, struct redis_link, follower);
	struct why why;

	if (l->state == LINK_WAITING) {
		set_place(l, place);
		l->told = true;
	} else if (l->state == LINK_ASKING ||
		   !redis_place_is(place, l->options.host, l->options.port)) {
		why_set(&why, CF_ECONN, "%s:%u is the primary now", place->host,
			(unsigned)place->port);
		fall_to(l, CF_ECONN, &why, place);
	} else {
		return;
	}
	l->backoff_ms = BACKOFF_MIN_MS;
	if (l->state == LINK_WAITING) /* else it was closed meanwhile */
		uv_timer_start(&l->timer, on_timer, 0, 0);
}

/* A connection that could not be made: the name may have other addresses. */
static void connect_failed(struct redis_link *l, const struct why *why)
{
	if (l->address < l->addresses_n) {
		let_go(l);
		connect_next(l);
	} else {
		fall(l, CF_ECONN, why);
	}
}

static void lose(struct redis_link *l, const char *text)
{
	struct why why;

	if (l->ssl && !SSL_is_init_finished(l->ssl)) {
		redis_tls_why(l->ssl, &l->options, &why);
		SSL_CTX_free(l->tls); /* its files may be put right meanwhile */
		l->tls = NULL;
	} else {
		why_set(&why, CF_ECONN, "%s", text && *text ? text : "the connection was lost");
	}
	fall(l, CF_ECONN, &why);
}

static void on_disconnect(const redisAsyncContext *ac, int status)
{
	struct redis_link *l = ac->data;

	(void)status;
	if (!l)
		return;
	lose(l, ac->err ? ac->errstr : "it closed the connection");
}

/* --- greeting */

static void up(struct redis_link *l)
{
	uv_timer_stop(&l->timer);
	l->state = LINK_UP;
	l->up_at_ms = clock_mono_ms();
	l->hooks->up(l->arg);
}

/* An error reply: MOVED says where to go. */
static void fall_by(struct redis_link *l, int err, const struct why *why, const redisReply *reply)
{
	struct redis_place place;

	if (l->guide && reply->type == REDIS_REPLY_ERROR &&
		redis_place_of_moved(reply->str, l->options.host, &place))
		fall_to(l, err, why, &place);
	else
		fall(l, err, why);
}

static void on_hello(redisAsyncContext *ac, void *reply, void *arg)
{
	struct redis_link *l = ac->data;
	struct redis_hello h;
	struct why why;
	int err;

	(void)arg;
	if (!l || !reply || l->state != LINK_GREETING)
		return;
	if (!redis_hello(&l->options, l->peer, l->greeted++, &h))
		return;
	err = redis_hello_judge(&l->options, &h, reply, &why);
	if (err)
		fall_by(l, err, &why, reply);
	else if (h.kind == HELLO_PING)
		up(l);
}

static void greet(struct redis_link *l)
{
	struct redis_hello h;

	l->state = LINK_GREETING;
	l->greeted = 0;
	for (size_t i = 0; redis_hello(&l->options, l->peer, i, &h); i++)
		redisAsyncCommandArgv(l->ac, on_hello, NULL, (int)h.argc, h.argv, h.len);
}

/* hiredis calls this when TCP stands; TLS begins only now. */
static int start_tls(struct redis_link *l, struct why *why)
{
	SSL *ssl;

	if (!l->tls && redis_tls_context(&l->options, &l->tls, why))
		return CF_ECRYPTO;
	ssl = redis_tls_session(l->tls, &l->options);
	if (!ssl)
		return why_set(why, CF_ECRYPTO, "TLS cannot be set up for \"%s\"", l->options.host);
	if (redisInitiateSSL(&l->ac->c, ssl) != REDIS_OK) {
		redis_tls_why(ssl, &l->options, why);
		SSL_free(ssl);
		return CF_ECONN;
	}
	l->ssl = ssl;
	return 0;
}

static void on_connect(redisAsyncContext *ac, int status)
{
	struct redis_link *l = ac->data;
	struct why why;
	int err = 0;

	if (!l)
		return;
	if (status != REDIS_OK) {
		why_set(&why, CF_ECONN, "%s",
			ac->errstr && *ac->errstr ? ac->errstr : "cannot connect");
		ac->data = NULL; /* hiredis frees it itself */
		l->ac = NULL;
		connect_failed(l, &why);
		return;
	}
	if (l->options.tls)
		err = start_tls(l, &why);
	if (err)
		fall(l, err, &why);
	else
		greet(l);
}

/* --- connecting */

static void connect_options(struct redis_link *l, redisOptions *o)
{
	if (l->options.host)
		REDIS_OPTIONS_SET_TCP(o, l->addresses[l->address++], l->options.port);
	else
		REDIS_OPTIONS_SET_UNIX(o, l->options.unix_path);
}

static void connect_next(struct redis_link *l)
{
	redisOptions options = {0};
	redisAsyncContext *ac;
	struct why why;

	connect_options(l, &options);
	l->state = LINK_CONNECTING;
	ac = redisAsyncConnectWithOptions(&options);
	if (!ac)
		abort(); /* memory */
	if (ac->err || redisLibuvAttach(ac, l->loop) != REDIS_OK) {
		why_set(&why, CF_ECONN, "%s", ac->err ? ac->errstr : "cannot watch the socket");
		redisAsyncFree(ac);
		connect_failed(l, &why);
		return;
	}
	ac->data = l;
	l->ac = ac;
	redisAsyncSetConnectCallbackNC(ac, on_connect);
	redisAsyncSetDisconnectCallback(ac, on_disconnect);
}

static void take_addresses(struct redis_link *l, const struct addrinfo *found)
{
	l->address = 0;
	l->addresses_n = 0;
	for (; found && l->addresses_n < ADDRESSES_MAX; found = found->ai_next)
		if (!getnameinfo(found->ai_addr, found->ai_addrlen, l->addresses[l->addresses_n],
			    ADDRESS_SIZE, NULL, 0, NI_NUMERICHOST))
			l->addresses_n++;
}

static void on_resolved(uv_getaddrinfo_t *lookup, int status, struct addrinfo *found)
{
	struct redis_link *l = container_of(lookup, struct redis_link, lookup);
	struct why why;

	l->looking = false;
	if (l->state == LINK_RESOLVING) {
		take_addresses(l, status ? NULL : found);
		if (l->addresses_n) {
			connect_next(l);
		} else {
			why_set(&why, CF_ECONN, "the name does not resolve (%s)",
				status ? uv_strerror(status) : "no address");
			fall(l, CF_ECONN, &why);
		}
	}
	uv_freeaddrinfo(found);
	free_if_done(l);
}

static void resolve(struct redis_link *l)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct why why;
	int err;

	if (l->looking) { /* one that timed out still runs */
		l->state = LINK_WAITING;
		l->told = l->guide != NULL;
		uv_timer_start(&l->timer, on_timer, BACKOFF_MIN_MS, 0);
		return;
	}
	l->state = LINK_RESOLVING;
	err = uv_getaddrinfo(l->loop, &l->lookup, on_resolved, l->options.host, NULL, &hints);
	if (err) {
		why_set(&why, CF_ECONN, "the name cannot be resolved (%s)", uv_strerror(err));
		fall(l, CF_ECONN, &why);
		return;
	}
	l->looking = true;
}

static void attempt_at_place(struct redis_link *l)
{
	uv_timer_start(&l->timer, on_timer, (uint64_t)timeout_ms(l), 0);
	l->address = 0;
	l->addresses_n = 0;
	if (l->options.host)
		resolve(l);
	else
		connect_next(l);
}

static void attempt(struct redis_link *l)
{
	if (!l->guide || l->told) {
		l->told = false;
		attempt_at_place(l);
		return;
	}
	uv_timer_stop(&l->timer); /* the guide has deadlines of its own */
	l->state = LINK_ASKING;
	redis_guide_ask(l->guide, &l->follower);
}

static const char *phase(const struct redis_link *l)
{
	if (l->state == LINK_RESOLVING)
		return "resolving its name";
	if (l->state == LINK_CONNECTING)
		return "connecting";
	if (l->ssl && !SSL_is_init_finished(l->ssl))
		return "waiting for its TLS handshake (does it speak TLS on this port?)";
	return "greeting it";
}

static void on_timer(uv_timer_t *timer)
{
	struct redis_link *l = timer->data;
	struct why why;

	if (l->state == LINK_WAITING) {
		attempt(l);
		return;
	}
	if (l->looking)
		uv_cancel((uv_req_t *)&l->lookup);
	why_set(&why, CF_ETIMEDOUT, "timed out after %lld ms while %s", (long long)timeout_ms(l),
		phase(l));
	fall(l, CF_ETIMEDOUT, &why);
}

/* --- from outside */

struct redis_link *redis_link_new(uv_loop_t *loop, const struct redis_options *options,
	enum redis_peer peer, const struct redis_link_hooks *hooks, void *arg)
{
	struct redis_link *l = mem_zalloc(sizeof *l);

	l->loop = loop;
	l->options = *options;
	l->hooks = hooks;
	l->arg = arg;
	l->peer = peer;
	l->backoff_ms = BACKOFF_MIN_MS;
	uv_timer_init(loop, &l->timer);
	l->timer.data = l;
	uv_timer_start(&l->timer, on_timer, 0, 0); /* no hook is called before we returned */
	l->follower.found = on_found;
	l->follower.moved = on_moved;
	l->guide = redis_guide_join(loop, options, &l->follower);
	return l;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct redis_link *l = handle->data;

	l->timer_closed = true;
	free_if_done(l);
}

void redis_link_close(struct redis_link *l)
{
	if (!l)
		return;
	l->state = LINK_CLOSED;
	redis_guide_leave(l->guide, &l->follower);
	let_go(l);
	if (l->looking)
		uv_cancel((uv_req_t *)&l->lookup);
	uv_close((uv_handle_t *)&l->timer, on_timer_closed);
}

redisAsyncContext *redis_link_context(struct redis_link *l)
{
	return l && l->state == LINK_UP ? l->ac : NULL;
}

const struct redis_options *redis_link_options(const struct redis_link *l)
{
	return &l->options;
}

void *redis_link_owner(const redisAsyncContext *ac)
{
	const struct redis_link *l = ac->data;

	return l ? l->arg : NULL;
}

void redis_link_cut(struct redis_link *l, int err, const char *reason)
{
	struct why why;

	if (l->state != LINK_UP)
		return;
	why_set(&why, err, "%s", reason);
	fall(l, err, &why);
}

void redis_link_cut_reply(struct redis_link *l, const redisReply *reply)
{
	struct why why;

	if (l->state != LINK_UP)
		return;
	why_set(&why, CF_ECONN, "%s", reply->str);
	fall_by(l, CF_ECONN, &why, reply);
}

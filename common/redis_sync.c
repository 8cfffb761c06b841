#include "common/redis_sync.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/redis_internal.h"

#include <errno.h>
#include <hiredis/hiredis_ssl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define FIND_MS       10000 /* how long a failover is waited for */
#define FIND_PAUSE_MS 200
#define GREET_MS      2000 /* and how long a primary that hangs is: by then it may be another */

struct redis_sync {
	struct redis_options options; /* with nodes, host is place's */
	struct redis_place place;
	redisContext *c;
	SSL_CTX *tls;
	redisReply *reply; /* the last one, lent to the caller */
	char *prefix;
};

/* A write to a lost connection must give an error, yet a program in a pipe must still die of its
 * own SIGPIPE: so the signal is held back, and taken away, around our writes only. */
static void hold_sigpipe(sigset_t *old)
{
	sigset_t pipe_only;

	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe_only, old);
}

static void let_sigpipe(const sigset_t *old)
{
	const struct timespec none = {0};
	sigset_t pipe_only;

	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	if (!sigismember(old, SIGPIPE))
		while (sigtimedwait(&pipe_only, NULL, &none) == SIGPIPE)
			;
	pthread_sigmask(SIG_SETMASK, old, NULL);
}

static struct timeval timeout(const struct redis_options *o)
{
	int64_t ms = o->timeout_ms > 0 ? o->timeout_ms : 5000;

	return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

static int where_prefix(const struct redis_sync *r, int err, struct why *why)
{
	char where[300];

	return why_prefix(why, err, "%s at %s: ", redis_what(&r->options),
		redis_where(&r->options, where, sizeof where));
}

static int lost(const struct redis_sync *r, struct why *why)
{
	if (r->c->err == REDIS_ERR_IO && (errno == EAGAIN || errno == EWOULDBLOCK)) {
		why_set(why, CF_ETIMEDOUT, "it did not answer in time");
		return where_prefix(r, CF_ETIMEDOUT, why);
	}
	why_set(why, CF_ECONN, "%s", *r->c->errstr ? r->c->errstr : "the connection was lost");
	return where_prefix(r, CF_ECONN, why);
}

static int start(struct redis_sync *r, struct why *why)
{
	struct timeval limit = timeout(&r->options);
	redisOptions o = {.connect_timeout = &limit, .command_timeout = &limit};

	if (r->options.host)
		REDIS_OPTIONS_SET_TCP(&o, r->options.host, r->options.port);
	else
		REDIS_OPTIONS_SET_UNIX(&o, r->options.unix_path);
	r->c = redisConnectWithOptions(&o);
	if (!r->c)
		abort(); /* memory */
	return r->c->err ? lost(r, why) : 0;
}

static int start_tls(struct redis_sync *r, struct why *why)
{
	int err = redis_tls_context(&r->options, &r->tls, why);
	SSL *ssl;

	if (err)
		return where_prefix(r, err, why);
	ssl = redis_tls_session(r->tls, &r->options);
	if (!ssl)
		return why_set(why, CF_ECRYPTO, "TLS cannot be set up for \"%s\"", r->options.host);
	if (redisInitiateSSL(r->c, ssl) == REDIS_OK)
		return 0;
	redis_tls_why(ssl, &r->options, why);
	SSL_free(ssl);
	return where_prefix(r, CF_ECONN, why);
}

static int receive(struct redis_sync *r, struct why *why)
{
	void *reply = NULL;
	sigset_t old;
	int status;

	freeReplyObject(mem_steal(r->reply));
	hold_sigpipe(&old);
	errno = 0;
	status = redisGetReply(r->c, &reply);
	let_sigpipe(&old);
	if (status != REDIS_OK)
		return lost(r, why);
	r->reply = reply;
	return 0;
}

static int greet(struct redis_sync *r, enum redis_peer peer, struct why *why)
{
	struct redis_hello h;
	size_t n = 0;
	int err = 0;

	for (; redis_hello(&r->options, peer, n, &h); n++)
		redisAppendCommandArgv(r->c, (int)h.argc, h.argv, h.len);
	for (size_t i = 0; i < n && !err; i++) {
		redis_hello(&r->options, peer, i, &h);
		err = receive(r, why);
		if (err)
			return err;
		err = redis_hello_judge(&r->options, &h, r->reply, why);
	}
	return err ? where_prefix(r, err, why) : 0;
}

/* At options->host, or at place if one is given. */
static int open_at(const struct redis_options *options, enum redis_peer peer,
	const struct redis_place *place, struct redis_sync **out, struct why *why)
{
	struct redis_sync *r = mem_zalloc(sizeof *r);
	int err;

	r->options = *options;
	if (place) {
		r->place = *place;
		r->options.host = r->place.host;
		r->options.port = r->place.port;
		if (!options->timeout_ms || options->timeout_ms > GREET_MS)
			r->options.timeout_ms = GREET_MS;
	}
	r->prefix = mem_printf("cf:{%s}:", options->fleet ? options->fleet : "");
	err = start(r, why);
	if (!err && options->tls)
		err = start_tls(r, why);
	if (!err)
		err = greet(r, peer, why);
	if (err) {
		redis_sync_close(r);
		return err;
	}
	r->options.timeout_ms = options->timeout_ms;
	redisSetTimeout(r->c, timeout(&r->options));
	*out = r;
	return 0;
}

/* --- who is the primary */

static int ask_node(
	const struct redis_options *options, size_t i, struct redis_place *place, struct why *why)
{
	struct redis_options node;
	struct redis_hello h;
	struct redis_sync *r;
	int err;

	redis_node_options(options, i, &node);
	err = open_at(&node, redis_node_peer(options), NULL, &r, why);
	if (err)
		return err;
	*place = (struct redis_place){0};
	for (size_t q = 0; !err && redis_question(options, q, &h); q++) {
		redisAppendCommandArgv(r->c, (int)h.argc, h.argv, h.len);
		err = receive(r, why);
		if (err)
			break;
		err = redis_question_judge(options, &node, q, r->reply, place, why);
		if (err)
			where_prefix(r, err, why);
	}
	redis_sync_close(r);
	return err;
}

static int find(const struct redis_options *options, struct redis_search *search,
	struct redis_place *place, struct why *why)
{
	size_t node;
	int err, last = CF_ECONN;

	redis_search_begin(search);
	while (redis_search_next(search, &node)) {
		err = ask_node(options, node, place, why);
		if (err)
			redis_search_pass(search);
		else if (redis_search_answer(search, place))
			return 0;
		else
			err = why_set(why, CF_EAGAIN,
				"a Sentinel names a primary of before the last failover");
		if (last != CF_EAGAIN) /* who says "wait" is listened to */
			last = err;
	}
	return redis_search_settle(search, place) ? 0 : last;
}

/* A failover is waited for: who looks on wants an answer, not a reason to try again. */
static int open_found(const struct redis_options *options, struct redis_sync **out, struct why *why)
{
	const struct timespec pause = {.tv_nsec = FIND_PAUSE_MS * 1000000L};
	int64_t end_ms = clock_mono_ms() + FIND_MS;
	struct redis_search search;
	struct redis_place place;
	int err;

	redis_search_init(&search, options->nodes_n);
	for (;;) {
		err = find(options, &search, &place, why);
		if (!err)
			err = open_at(options, PEER_PRIMARY, &place, out, why);
		else if (err != CF_EAGAIN)
			return err;
		if ((err != CF_ECONN && err != CF_EAGAIN && err != CF_ETIMEDOUT) ||
			clock_mono_ms() > end_ms)
			return err;
		nanosleep(&pause, NULL);
	}
}

int redis_sync_open(const struct redis_options *options, struct redis_sync **out, struct why *why)
{
	return redis_is_guided(options) ? open_found(options, out, why)
					: open_at(options, PEER_PRIMARY, NULL, out, why);
}

void redis_sync_close(struct redis_sync *r)
{
	sigset_t old;

	if (!r)
		return;
	hold_sigpipe(&old);
	freeReplyObject(r->reply);
	redisFree(r->c);
	let_sigpipe(&old);
	SSL_CTX_free(r->tls);
	free(r->prefix);
	free(r);
}

const char *redis_sync_prefix(const struct redis_sync *r)
{
	return r->prefix;
}

static void append(struct redis_sync *r, const struct redis_text *text)
{
	redisAppendFormattedCommand(r->c, text->data, text->len);
}

void redis_sync_send(
	struct redis_sync *r, size_t argc, const char *const *argv, const size_t *argvlen)
{
	struct redis_text text = redis_command_text(argc, argv, argvlen);

	append(r, &text);
	free(text.data);
}

/* The reply in hand, as the caller sees it. */
static int give(struct redis_sync *r, const struct reply **reply, struct why *why)
{
	if (reply)
		*reply = reply_wrap(r->reply);
	if (r->reply->type != REDIS_REPLY_ERROR)
		return 0;
	if (!redis_reply_elsewhere(r->reply))
		return why_set(why, CF_EREDIS, "%s", r->reply->str);
	why_set(why, CF_ECONN, "%s", r->reply->str);
	return where_prefix(r, CF_ECONN, why);
}

int redis_sync_receive(struct redis_sync *r, const struct reply **reply, struct why *why)
{
	int err = receive(r, why);

	return err ? err : give(r, reply, why);
}

int redis_sync_command(struct redis_sync *r, const struct reply **reply, struct why *why,
	size_t argc, const char *const *argv, const size_t *argvlen)
{
	redis_sync_send(r, argc, argv, argvlen);
	return redis_sync_receive(r, reply, why);
}

#define COMMANDV_MAX 64

int redis_sync_commandv(struct redis_sync *r, const struct reply **reply, struct why *why, ...)
{
	const char *argv[COMMANDV_MAX];
	size_t argc = 0;
	va_list ap;

	va_start(ap, why);
	for (const char *s; (s = va_arg(ap, const char *));) {
		if (argc == COMMANDV_MAX)
			abort(); /* a mistake in the source */
		argv[argc++] = s;
	}
	va_end(ap);
	return redis_sync_command(r, reply, why, argc, argv, NULL);
}

int redis_sync_script(struct redis_sync *r, const struct reply **reply, struct why *why,
	const char *name, size_t argc, const char *const *argv, const size_t *argvlen)
{
	const struct lua_script *script = redis_script_find(name);
	struct redis_text text, whole;
	char sha[REDIS_SHA_SIZE];
	int err;

	redis_script_sha(script, sha);
	text = redis_evalsha_text(sha, r->prefix, argc, argv, argvlen);
	append(r, &text);
	err = receive(r, why);
	if (!err && redis_reply_is(r->reply, "NOSCRIPT")) {
		whole = redis_eval_text(script, &text);
		append(r, &whole);
		free(whole.data);
		err = receive(r, why);
	}
	free(text.data);
	return err ? err : give(r, reply, why);
}

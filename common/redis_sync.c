#include "common/redis_sync.h"

#include "common/mem.h"
#include "common/redis_internal.h"

#include <errno.h>
#include <hiredis/hiredis_ssl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct redis_sync {
	const struct redis_options *options;
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

	return why_prefix(why, err, "Redis at %s: ", redis_where(r->options, where, sizeof where));
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
	struct timeval limit = timeout(r->options);
	redisOptions o = {.connect_timeout = &limit, .command_timeout = &limit};

	if (r->options->host)
		REDIS_OPTIONS_SET_TCP(&o, r->options->host, r->options->port);
	else
		REDIS_OPTIONS_SET_UNIX(&o, r->options->unix_path);
	r->c = redisConnectWithOptions(&o);
	if (!r->c)
		abort(); /* memory */
	return r->c->err ? lost(r, why) : 0;
}

static int start_tls(struct redis_sync *r, struct why *why)
{
	int err = redis_tls_context(r->options, &r->tls, why);
	SSL *ssl;

	if (err)
		return where_prefix(r, err, why);
	ssl = redis_tls_session(r->tls, r->options);
	if (!ssl)
		return why_set(
			why, CF_ECRYPTO, "TLS cannot be set up for \"%s\"", r->options->host);
	if (redisInitiateSSL(r->c, ssl) == REDIS_OK)
		return 0;
	redis_tls_why(ssl, r->options, why);
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

static int greet(struct redis_sync *r, struct why *why)
{
	struct redis_hello h;
	size_t n = 0;
	int err = 0;

	for (; redis_hello(r->options, true, n, &h); n++)
		redisAppendCommandArgv(r->c, (int)h.argc, h.argv, h.len);
	for (size_t i = 0; i < n && !err; i++) {
		redis_hello(r->options, true, i, &h);
		err = receive(r, why);
		if (err)
			return err;
		err = redis_hello_judge(r->options, &h, r->reply, why);
	}
	return err ? where_prefix(r, err, why) : 0;
}

int redis_sync_open(const struct redis_options *options, struct redis_sync **out, struct why *why)
{
	struct redis_sync *r = mem_zalloc(sizeof *r);
	int err;

	r->options = options;
	r->prefix = mem_printf("cf:{%s}:", options->fleet ? options->fleet : "");
	err = start(r, why);
	if (!err && options->tls)
		err = start_tls(r, why);
	if (!err)
		err = greet(r, why);
	if (err) {
		redis_sync_close(r);
		return err;
	}
	*out = r;
	return 0;
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
	return why_set(why, CF_EREDIS, "%s", r->reply->str);
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

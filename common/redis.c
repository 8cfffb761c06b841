#include "common/redis.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/redis_internal.h"

#include <signal.h>
#include <string.h>

#define DEFAULT_TIMEOUT_MS 5000
#define PING_EVERY_MS      10000 /* an idle subscription is asked whether it lives */

/* One command. Calls in flight are in the order in which replies come. */
struct call {
	struct call *next;
	redis_reply_fn *done;
	void *arg;
	int64_t deadline_ms;
	int err; /* when it failed */
	const struct lua_script *script;
	struct redis_text evalsha; /* owned; kept to send the script whole if Redis lacks it */
};

struct calls {
	struct call *head, **tail;
	size_t n;
};

struct channel {
	struct channel *next;
	char *name;
	redis_message_fn *fn;
	void *arg;
};

struct redis {
	uv_loop_t *loop;
	const struct redis_options *options;
	redis_state_fn *state;
	void *state_arg;
	char *prefix;
	char (*shas)[REDIS_SHA_SIZE]; /* as lua_scripts */
	struct redis_link *link;
	struct calls flying;
	struct calls failed; /* told on the next turn of the loop */
	uv_timer_t deadline; /* of the oldest in flight */
	uv_timer_t tell;     /* failed */
	bool grace;          /* the deadline passed, sockets get one more look */
	bool told_up;
	bool freed;
	struct why told_why; /* the sentence that state was last given */
	int handles;
	struct redis_link *sub;
	struct channel *channels;
	uv_timer_t ping;
	bool ping_pending;
};

static void push(struct calls *q, struct call *c)
{
	c->next = NULL;
	*q->tail = c;
	q->tail = &c->next;
	q->n++;
}

static struct call *shift(struct calls *q)
{
	struct call *c = q->head;

	if (!c)
		return NULL;
	q->head = c->next;
	if (!q->head)
		q->tail = &q->head;
	q->n--;
	return c;
}

static void call_free(struct call *c)
{
	free(c->evalsha.data);
	free(c);
}

static void call_done(struct call *c, int err, const struct reply *reply)
{
	if (c->done)
		c->done(c->arg, err, reply);
	call_free(c);
}

static int64_t timeout_ms(const struct redis *r)
{
	return r->options->timeout_ms > 0 ? r->options->timeout_ms : DEFAULT_TIMEOUT_MS;
}

/* --- failures are told from the loop, never from within a call */

static void on_tell(uv_timer_t *timer)
{
	struct redis *r = timer->data;
	struct call *c;

	/* Only what failed before: a caller that tries again at once must not keep us here. */
	for (size_t n = r->failed.n; n && !r->freed && (c = shift(&r->failed)); n--)
		call_done(c, c->err, NULL);
	if (!r->freed && r->failed.n)
		uv_timer_start(&r->tell, on_tell, 0, 0);
}

static void fail_later(struct redis *r, struct call *c, int err)
{
	c->err = err;
	push(&r->failed, c);
	if (!uv_is_active((uv_handle_t *)&r->tell))
		uv_timer_start(&r->tell, on_tell, 0, 0);
}

/* --- deadlines */

static void on_deadline(uv_timer_t *timer);

static void arm(struct redis *r, int64_t in_ms)
{
	uv_timer_start(&r->deadline, on_deadline, in_ms > 0 ? (uint64_t)in_ms : 1, 0);
}

/* Timers run before sockets are read: after the loop was busy the reply may be there already. So
 * the first time only says that the next one, a millisecond and a look at the sockets later, is
 * meant. */
static void on_deadline(uv_timer_t *timer)
{
	struct redis *r = timer->data;
	int64_t left;

	if (!r->flying.head)
		return;
	left = r->flying.head->deadline_ms - clock_mono_ms();
	if (left > 0 || !r->grace) {
		r->grace = left <= 0;
		arm(r, left);
		return;
	}
	redis_link_cut(r->link, CF_ETIMEDOUT, "it did not answer in time");
}

/* --- replies */

static void on_reply(redisAsyncContext *ac, void *raw, void *arg);

static void send_call(struct redis *r, struct call *c, const struct redis_text *text)
{
	redisAsyncContext *ac = redis_link_context(r->link);

	if (!ac || redisAsyncFormattedCommand(ac, on_reply, c, text->data, text->len) != REDIS_OK) {
		fail_later(r, c, CF_ECONN);
		return;
	}
	c->deadline_ms = clock_mono_ms() + timeout_ms(r);
	push(&r->flying, c);
	if (!uv_is_active((uv_handle_t *)&r->deadline))
		arm(r, timeout_ms(r));
}

/* A restarted Redis has no scripts; another client may have flushed them. */
static void send_whole(struct redis *r, struct call *c)
{
	struct redis_text whole = redis_eval_text(c->script, &c->evalsha);

	free(mem_steal(c->evalsha.data)); /* once */
	send_call(r, c, &whole);
	free(whole.data);
}

static void on_reply(redisAsyncContext *ac, void *raw, void *arg)
{
	struct redis *r = redis_link_owner(ac);
	redisReply *reply = raw;
	struct call *c;

	if (!r || !reply)
		return; /* the connection goes: on_down() takes them all */
	c = shift(&r->flying);
	if (c != arg)
		abort();
	r->grace = false;
	if (c->evalsha.data && redis_reply_is(reply, "NOSCRIPT")) {
		send_whole(r, c);
		return;
	}
	if (reply->type != REDIS_REPLY_ERROR) {
		call_done(c, 0, reply_wrap(reply));
		return;
	}
	if (!redis_reply_elsewhere(reply)) {
		call_done(c, CF_EREDIS, reply_wrap(reply));
		return;
	}
	call_done(c, CF_ECONN, NULL);
	if (!r->freed) /* who is the primary now? */
		redis_link_cut_reply(r->link, reply);
}

/* --- the connection's ups and downs */

static void tell_state(struct redis *r, bool up, const struct why *why)
{
	static const struct why fine = {""};

	if (up == r->told_up && (up || !strcmp(why->text, r->told_why.text)))
		return;
	r->told_up = up;
	r->told_why = why ? *why : fine;
	if (r->state)
		r->state(r->state_arg, up, why ? why : &fine);
}

static void on_up(void *arg)
{
	tell_state(arg, true, NULL);
}

static void on_down(void *arg, int err, const struct why *why)
{
	struct redis *r = arg;
	int64_t now = clock_mono_ms();
	struct call *c;

	uv_timer_stop(&r->deadline);
	r->grace = false;
	while ((c = shift(&r->flying)))
		fail_later(r, c,
			err == CF_ETIMEDOUT && c->deadline_ms <= now ? CF_ETIMEDOUT : CF_ECONN);
	tell_state(r, false, why);
}

static const struct redis_link_hooks hooks = {on_up, on_down};

/* --- subscriptions */

static void on_message(redisAsyncContext *ac, void *raw, void *arg)
{
	struct redis *r = redis_link_owner(ac);
	const redisReply *m = raw;

	(void)arg;
	if (!r || !m || m->type != REDIS_REPLY_ARRAY || m->elements != 3 || !m->element[0]->str ||
		strcmp(m->element[0]->str, "message") || !m->element[1]->str || !m->element[2]->str)
		return;
	for (struct channel *c = r->channels; c && !r->freed; c = c->next)
		if (!strcmp(c->name, m->element[1]->str))
			c->fn(c->arg, c->name, m->element[2]->str, m->element[2]->len);
}

static void on_pong(redisAsyncContext *ac, void *raw, void *arg)
{
	struct redis *r = redis_link_owner(ac);

	(void)arg;
	if (r && raw)
		r->ping_pending = false;
}

static void on_ping(uv_timer_t *timer)
{
	struct redis *r = timer->data;
	redisAsyncContext *ac = redis_link_context(r->sub);

	if (!ac)
		return;
	if (r->ping_pending) {
		redis_link_cut(r->sub, CF_ETIMEDOUT, "it did not answer in time");
		return;
	}
	r->ping_pending = true;
	redisAsyncCommand(ac, on_pong, NULL, "PING");
}

static bool named_before(const struct redis *r, const struct channel *c)
{
	for (const struct channel *p = r->channels; p != c; p = p->next)
		if (!strcmp(p->name, c->name))
			return true;
	return false;
}

static void send_subscribe(struct redis *r, const struct channel *c)
{
	redisAsyncContext *ac = redis_link_context(r->sub);

	if (ac && !named_before(r, c))
		redisAsyncCommand(ac, on_message, NULL, "SUBSCRIBE %s", c->name);
}

static void on_sub_up(void *arg)
{
	struct redis *r = arg;

	for (const struct channel *c = r->channels; c; c = c->next)
		send_subscribe(r, c);
	r->ping_pending = false;
	uv_timer_start(&r->ping, on_ping, PING_EVERY_MS, PING_EVERY_MS);
}

static void on_sub_down(void *arg, int err, const struct why *why)
{
	struct redis *r = arg;

	uv_timer_stop(&r->ping);
	if (r->told_up) /* else the first connection says why */
		LOG(DEBUG, "redis_subscription_down", LF("error", cf_errname(err)),
			LF("why", why->text));
}

static const struct redis_link_hooks sub_hooks = {on_sub_up, on_sub_down};

void redis_subscribe(struct redis *r, const char *channel, redis_message_fn *fn, void *arg)
{
	struct channel **last = &r->channels;
	struct channel *c = mem_zalloc(sizeof *c);

	while (*last)
		last = &(*last)->next;
	c->name = mem_strdup(channel);
	c->fn = fn;
	c->arg = arg;
	*last = c;
	if (!r->sub)
		r->sub = redis_link_new(r->loop, r->options, PEER_SUBSCRIBED, &sub_hooks, r);
	else
		send_subscribe(r, c);
}

/* --- life */

static void init_timer(struct redis *r, uv_timer_t *timer)
{
	uv_timer_init(r->loop, timer);
	timer->data = r;
	r->handles++;
}

static void hash_scripts(struct redis *r)
{
	r->shas = mem_array(lua_scripts_n + 1, sizeof *r->shas);
	for (size_t i = 0; i < lua_scripts_n; i++)
		redis_script_sha(&lua_scripts[i], r->shas[i]);
}

struct redis *redis_new(
	uv_loop_t *loop, const struct redis_options *options, redis_state_fn *state, void *arg)
{
	struct redis *r = mem_zalloc(sizeof *r);

	signal(SIGPIPE, SIG_IGN); /* neither hiredis nor OpenSSL keep it from a write to a lost
				     connection */
	r->loop = loop;
	r->options = options;
	r->state = state;
	r->state_arg = arg;
	r->prefix = mem_printf("cf:{%s}:", options->fleet ? options->fleet : "");
	r->flying.tail = &r->flying.head;
	r->failed.tail = &r->failed.head;
	hash_scripts(r);
	init_timer(r, &r->deadline);
	init_timer(r, &r->tell);
	init_timer(r, &r->ping);
	r->link = redis_link_new(loop, options, PEER_PRIMARY, &hooks, r);
	return r;
}

static void on_closed(uv_handle_t *handle)
{
	struct redis *r = handle->data;
	struct channel *c;

	if (--r->handles)
		return;
	while ((c = r->channels)) {
		r->channels = c->next;
		free(c->name);
		free(c);
	}
	free(r->prefix);
	free(r->shas);
	free(r);
}

void redis_free(struct redis *r)
{
	struct call *c;

	if (!r || r->freed)
		return;
	r->freed = true;
	redis_link_close(r->link);
	redis_link_close(r->sub);
	r->link = NULL;
	r->sub = NULL;
	while ((c = shift(&r->flying)) || (c = shift(&r->failed)))
		call_done(c, CF_ECANCELED, NULL);
	uv_close((uv_handle_t *)&r->deadline, on_closed);
	uv_close((uv_handle_t *)&r->tell, on_closed);
	uv_close((uv_handle_t *)&r->ping, on_closed);
}

bool redis_is_up(const struct redis *r)
{
	return redis_link_context(r->link) != NULL;
}

const char *redis_server(const struct redis *r, char *out, size_t size)
{
	return redis_where(redis_link_options(r->link), out, size);
}

uv_loop_t *redis_loop(const struct redis *r)
{
	return r->loop;
}

const char *redis_prefix(const struct redis *r)
{
	return r->prefix;
}

size_t redis_in_flight(const struct redis *r)
{
	return r->flying.n + r->failed.n;
}

/* --- commands */

static struct call *call_new(redis_reply_fn *done, void *arg)
{
	struct call *c = mem_zalloc(sizeof *c);

	c->done = done;
	c->arg = arg;
	return c;
}

void redis_command(struct redis *r, size_t argc, const char *const *argv, const size_t *argvlen,
	redis_reply_fn *done, void *arg)
{
	struct redis_text text = redis_command_text(argc, argv, argvlen);

	send_call(r, call_new(done, arg), &text);
	free(text.data);
}

#define COMMANDV_MAX 64

void redis_commandv(struct redis *r, redis_reply_fn *done, void *arg, ...)
{
	const char *argv[COMMANDV_MAX];
	size_t argc = 0;
	va_list ap;

	va_start(ap, arg);
	for (const char *s; (s = va_arg(ap, const char *));) {
		if (argc == COMMANDV_MAX)
			abort(); /* a mistake in the source */
		argv[argc++] = s;
	}
	va_end(ap);
	redis_command(r, argc, argv, NULL, done, arg);
}

void redis_script(struct redis *r, const char *name, size_t argc, const char *const *argv,
	const size_t *argvlen, redis_reply_fn *done, void *arg)
{
	struct call *c = call_new(done, arg);
	struct redis_text text;

	c->script = redis_script_find(name);
	c->evalsha = redis_evalsha_text(
		r->shas[c->script - lua_scripts], r->prefix, argc, argv, argvlen);
	text = c->evalsha;
	send_call(r, c, &text);
}

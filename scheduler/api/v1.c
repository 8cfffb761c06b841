#include "scheduler/api/v1.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/secret.h"
#include "common/str.h"
#include "common/vault.h"
#include "scheduler/api/v1_internal.h"

#include <stdio.h>
#include <string.h>

#define TICK_MS         50
#define TOKENS_EVERY_MS 2000
#define QUERY_ROWS      20000 /* a step of about a millisecond */

/* --- who asks */

static const struct {
	unsigned status;
	const char *code, *text;
} denials[] = {
	[ACCESS_NO_HOST] = {400, "no_host", "the request names no host"},
	[ACCESS_FOREIGN_HOST] = {421, "foreign_host",
		"this server is not the host that the request names: add it to scheduler.hosts if "
		"it should be"},
	[ACCESS_FOREIGN_SITE] = {403, "foreign_site", "another site's page asked for a change"},
	[ACCESS_NOT_JSON] = {415, "not_json", "the body must be application/json"},
};

static bool let_in(struct v1_call *c)
{
	struct access_request r = {.changes = c->changes,
		.host = httpd_header(c->http, "Host"),
		.origin = httpd_header(c->http, "Origin"),
		.fetch_site = httpd_header(c->http, "Sec-Fetch-Site"),
		.content_type = httpd_header(c->http, "Content-Type"),
		.by_cookie = c->by_cookie};
	enum access_denial d;
	size_t len;

	httpd_body(c->http, &len);
	d = access_judge(&r, c->v1->hosts, c->v1->hosts_n, len > 0);
	if (d != ACCESS_OK)
		v1_problem(c, denials[d].status, denials[d].code, denials[d].text);
	return d == ACCESS_OK;
}

static void identify(struct v1_call *c)
{
	const char *bearer = access_bearer(httpd_header(c->http, "Authorization"));
	const char *cookies = httpd_header(c->http, "Cookie");
	const struct access_identity *who;
	char cookie[ACCESS_SECRET_SIZE];

	c->by_cookie =
		!bearer && (access_cookie(cookies, V1_COOKIE, cookie, sizeof cookie) ||
				   access_cookie(cookies, V1_LINK_COOKIE, cookie, sizeof cookie));
	if (!let_in(c))
		return;
	who = bearer ? access_tokens_find(c->v1->tokens, bearer) : NULL;
	if (who) {
		c->who = *who;
		v1_enter(c);
	} else if (bearer && c->v1->tokens) {
		v1_problem(c, 401, "unknown_token", "this token is not known here");
	} else if (c->by_cookie && c->v1->tokens && !(c->route->flags & V1_OPEN)) {
		v1_session(c, cookie);
	} else if (c->v1->tokens && !(c->route->flags & V1_OPEN)) {
		v1_problem(c, 401, "no_token", "send a token: Authorization: Bearer TOKEN");
	} else {
		c->who = (struct access_identity){
			.name = "local", .scope = c->v1->tokens ? ACCESS_READ : ACCESS_WRITE};
		v1_enter(c);
	}
}

/* --- entering */

static bool read_body(struct v1_call *c)
{
	json_error_t error;
	size_t len;
	const char *text = httpd_body(c->http, &len);

	if (!len)
		return true;
	c->body = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	if (!c->body) {
		v1_problemf(c, 400, "not_json", "the body, line %d, column %d: %s", error.line,
			error.column, error.text);
		return false;
	}
	if (json_is_object(c->body))
		return true;
	v1_problem(c, 400, "no_object", "the body: expected a JSON object");
	return false;
}

void v1_enter(struct v1_call *c)
{
	if (!(c->route->flags & V1_OPEN) && c->changes && c->who.scope != ACCESS_WRITE)
		v1_problemf(c, 403, "read_only", "\"%s\" may read alone", c->who.name);
	else if ((c->route->flags & V1_FLEET) && (c->who.tenant[0] || c->who.endpoint[0]))
		v1_problem(c, 403, "not_yours", "this is about the whole fleet");
	else if ((c->route->flags & V1_MANY) && c->who.endpoint[0])
		v1_problem(c, 403, "not_yours", "this link shows one endpoint");
	else if (read_body(c) && v1_fits(c))
		v1_once(c);
}

void v1_handle(struct v1 *v, struct httpd_request *r)
{
	struct v1_call *c = mem_zalloc(sizeof *c);

	c->v1 = v;
	c->http = r;
	c->changes = httpd_method(r) != HTTPD_GET;
	c->next = v->calls;
	c->at = &v->calls;
	if (c->next)
		c->next->at = &c->next;
	v->calls = c;
	if (!v->o.redis)
		v1_problem(c, 503, "starting", "this scheduler is still starting");
	else if (!v->tokens && !v->loopback)
		v1_problem(c, 403, "no_tokens_file",
			"beyond loopback the API wants tokens: set scheduler.tokens_file");
	else if (v1_find_route(c))
		identify(c);
}

/* --- queries, a step each turn of the loop */

/* One step of the call that came first: the loop stands still no longer however many wait, and
 * nobody's answer is later for those that came after. */
static void on_work(uv_idle_t *work)
{
	struct v1 *v = work->data;
	struct v1_call *first = NULL;
	void (*done)(struct v1_call *);

	for (struct v1_call *c = v->calls; c; c = c->next)
		if (c->query && c->queried)
			first = c; /* the newest is the head */
	if (!first) {
		uv_idle_stop(work);
	} else if (index_query_step(first->query, QUERY_ROWS)) {
		done = mem_steal(first->queried);
		done(first);
	}
}

void v1_query(struct v1_call *c, struct index_query *q, void (*done)(struct v1_call *c))
{
	c->query = q;
	c->queried = done;
	uv_idle_start(&c->v1->work, on_work);
}

static void on_tick(uv_timer_t *tick)
{
	v1_ask_tick(tick->data, clock_mono_ms());
}

/* --- life */

static int load_tokens(struct v1 *v, struct why *why)
{
	const char *path = v->o.config->scheduler.tokens_file;
	_buf_release_secret_ struct buf text = BUF_INIT(ACCESS_FILE_MAX);
	struct access_tokens *tokens;
	int err;

	if (!path)
		return 0;
	err = secret_read_file(path, ACCESS_FILE_MAX, &text, why);
	if (err)
		return err;
	err = access_tokens_parse(text.data, text.len, &tokens, why);
	if (err)
		return why_prefix(why, err, "%s: ", path);
	access_tokens_free(v->tokens);
	v->tokens = tokens;
	return 0;
}

/* A file that cannot be read, or is being written, changes nothing: those who could get in can. */
static void tokens_changed(
	uv_fs_poll_t *poll, int status, const uv_stat_t *before, const uv_stat_t *now)
{
	struct v1 *v = poll->data;
	struct why why = {""};

	(void)before, (void)now;
	if (status)
		snprintf(why.text, sizeof why.text, "%s: %s", v->o.config->scheduler.tokens_file,
			uv_strerror(status));
	if (status || load_tokens(v, &why)) {
		LOG(ERROR, "tokens_kept", LF("why", why.text),
			LF("then", "the tokens of before go on being good"));
		return;
	}
	LOG(INFO, "tokens_read", LF_INT("n", (int64_t)access_tokens_n(v->tokens)));
	events_hang_up(v->events);
}

static void name_hosts(struct v1 *v)
{
	static const char *const loopback[] = {"localhost", "127.0.0.1", "::1"};
	const struct config_strings *more = &v->o.config->scheduler.hosts;
	const struct config_address *listen = &v->o.config->scheduler.listen;

	v->hosts = mem_array(ARRAY_LEN(loopback) + more->n + 1, sizeof *v->hosts);
	for (size_t i = 0; i < ARRAY_LEN(loopback); i++)
		v->hosts[v->hosts_n++] = loopback[i];
	for (size_t i = 0; i < more->n; i++)
		v->hosts[v->hosts_n++] = more->items[i];
	if (listen->host)
		v->hosts[v->hosts_n++] = listen->host;
}

int v1_new(const struct v1_options *options, struct v1 **out, struct why *why)
{
	struct v1 *v = mem_zalloc(sizeof *v);
	const char *key = options->config->challenges.label_key_file, *unsafe;
	int err;

	v->o = *options;
	err = load_tokens(v, why);
	if (err) {
		free(v);
		return err;
	}
	v->has_label_key = key && options->config->challenges.zones.n &&
			   !vault_read_key_file(key, v->label_key, NULL);
	unsafe = addr_unsafe(&options->config->scheduler.listen.addr);
	v->loopback = unsafe && strcmp(unsafe, "loopback") == 0;
	name_hosts(v);
	*out = v;
	return 0;
}

void v1_listen(struct v1_call *c)
{
	events_listen(c->v1->events, c);
}

void v1_changed(void *arg, const char *endpoint)
{
	struct v1 *v = arg;

	if (v->events && !v->closed)
		events_changed(v->events, endpoint);
}

void v1_start(struct v1 *v, struct redis *redis, const struct redis_options *options,
	const struct feed *feed)
{
	v->o.redis = redis;
	v->o.feed = feed;
	v->events = events_new(v->o.loop, redis, options, v->o.index);
	uv_timer_init(v->o.loop, &v->tick);
	uv_idle_init(v->o.loop, &v->work);
	v->tick.data = v->work.data = v;
	uv_timer_start(&v->tick, on_tick, TICK_MS, TICK_MS);
	uv_fs_poll_init(v->o.loop, &v->tokens_file);
	v->tokens_file.data = v;
	if (v->tokens)
		uv_fs_poll_start(&v->tokens_file, tokens_changed,
			v->o.config->scheduler.tokens_file, TOKENS_EVERY_MS);
}

void v1_close(struct v1 *v)
{
	if (!v)
		return;
	v->closed = true;
	if (!v->o.redis)
		return; /* it was not started */
	events_close(v->events);
	uv_close((uv_handle_t *)&v->tick, NULL);
	uv_close((uv_handle_t *)&v->work, NULL);
	uv_close((uv_handle_t *)&v->tokens_file, NULL);
	for (struct v1_call *c = v->calls, *next; c; c = next) {
		next = c->next;
		if (!c->left) /* else the last reply of Redis ends it */
			v1_problem(c, 503, "draining", "this scheduler is stopping");
	}
}

void v1_free(struct v1 *v)
{
	if (!v)
		return;
	events_free(v->events);
	access_tokens_free(v->tokens);
	free(v->hosts);
	mem_wipe(v->label_key, sizeof v->label_key);
	free(v);
}

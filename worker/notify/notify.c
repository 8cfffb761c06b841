#include "worker/notify/notify.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/secret.h"
#include "common/str.h"
#include "worker/notify/target.h"
#include "worker/worker.h"

#include <inttypes.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#define TICK_MS       250
#define LEASE_MOST_MS (10 * CLOCK_SECOND_MS)
#define TARGETS_MAX   32
#define SECRETS_BYTES 4096
#define GROUP_PREFIX  "notify:"

struct notify {
	struct worker *w;
	uv_timer_t tick;
	struct target *targets[TARGETS_MAX];
	size_t n;
	char nonce[160];
	int64_t lease_ms, asked_ms, until_ms; /* of the monotonic clock */
	bool asking, closed, draining, giving_back;
	int64_t drain_until_ms;
	void (*drained)(void *arg);
	void *drained_arg;
};

static struct metric *const metrics[] = {&target_deliveries, &target_pending, &target_oldest};

/* --- the leases */

/* An answer that came too late is worth nothing: another may deliver by now. */
static void got_leases(void *arg, int err, const struct reply *reply)
{
	struct notify *n = arg;

	n->asking = false;
	if (n->closed || n->giving_back)
		return;
	if (!err && clock_mono_ms() < n->asked_ms + n->lease_ms) {
		n->until_ms = n->asked_ms + n->lease_ms;
		for (size_t i = 0; i < n->n; i++) {
			int64_t state = reply_int(reply_at(reply, i));

			target_lease(n->targets[i], state > 0, state == 2, n->asked_ms);
		}
	}
	for (size_t i = 0; i < n->n; i++)
		target_pump(n->targets[i]);
}

static void ask_leases(struct notify *n, int64_t lease_ms, redis_reply_fn *done)
{
	const char *argv[2 + TARGETS_MAX] = {n->nonce};
	char lease[24];

	snprintf(lease, sizeof lease, "%" PRId64, lease_ms);
	argv[1] = lease;
	for (size_t i = 0; i < n->n; i++)
		argv[2 + i] = n->targets[i]->name;
	n->asking = true;
	n->asked_ms = clock_mono_ms();
	redis_script(n->w->redis, "notify_lease", 2 + n->n, argv, NULL, done, n);
}

/* A sixth before Redis could give them to another. */
static void drop_lapsed(struct notify *n, int64_t now)
{
	if (now < n->until_ms - n->lease_ms / 6)
		return;
	for (size_t i = 0; i < n->n; i++)
		target_lease(n->targets[i], false, n->targets[i]->gone, now);
}

/* --- draining */

static void given_back(void *arg, int err, const struct reply *reply)
{
	struct notify *n = arg;

	(void)err;
	(void)reply;
	n->asking = false;
	if (n->drained && !n->closed)
		n->drained(n->drained_arg);
	n->drained = NULL;
}

static void drain_on(struct notify *n, int64_t now)
{
	bool idle = true;

	for (size_t i = 0; i < n->n; i++) {
		target_pump(n->targets[i]);
		idle = idle && target_idle(n->targets[i]);
	}
	if (!idle && now < n->drain_until_ms)
		return;
	n->giving_back = true;
	uv_timer_stop(&n->tick);
	ask_leases(n, 0, given_back);
}

void notify_drain(struct notify *n, int64_t grace_ms, void (*done)(void *arg), void *arg)
{
	n->draining = true;
	n->drain_until_ms = clock_mono_ms() + grace_ms;
	n->drained = done;
	n->drained_arg = arg;
	for (size_t i = 0; i < n->n; i++)
		n->targets[i]->draining = true;
}

static void on_tick(uv_timer_t *timer)
{
	struct notify *n = timer->data;
	int64_t now = clock_mono_ms();

	drop_lapsed(n, now);
	if (n->draining) {
		drain_on(n, now);
		return;
	}
	if (!n->asking && now >= n->asked_ms + n->lease_ms / 4 && redis_is_up(n->w->redis))
		ask_leases(n, n->lease_ms, got_leases);
	for (size_t i = 0; i < n->n; i++)
		target_pump(n->targets[i]);
}

/* --- targets from the config */

/* Unless it has a name: the URL's host, and what tells it from others there; a path may be secret.
 */
static void name_target(struct target *t, const char *name, const char *url)
{
	unsigned char sha[SHA256_DIGEST_LENGTH];
	const char *host = strstr(url, "://");
	char digest[13];

	if (name) {
		snprintf(t->name, sizeof t->name, "%s", name);
		return;
	}
	host = host ? host + 3 : url;
	if (strchr(host, '@') && strchr(host, '@') < host + strcspn(host, "/"))
		host = strchr(host, '@') + 1;
	SHA256((const unsigned char *)url, strlen(url), sha);
	str_hex(sha, 6, digest);
	snprintf(t->name, sizeof t->name, "%.*s-%s", (int)(strcspn(host, "/:?#") % 64), host,
		digest);
}

static struct target *add_target(struct notify *n, enum target_kind kind, const char *name,
	const char *url, const char *ca_file)
{
	const struct config *c = n->w->config;
	struct target *t = mem_zalloc(sizeof *t);
	const struct http_options http = {
		.ca_file = ca_file, .allow_http = !strncasecmp(url, "http://", 7)};

	name_target(t, name, url);
	t->kind = kind;
	t->group = mem_printf(GROUP_PREFIX "%s", t->name);
	t->stream = mem_printf("%salerts", redis_prefix(n->w->redis));
	t->fleet = c->fleet;
	t->consumer = n->w->name;
	t->redis = n->w->redis;
	t->http = http_client_new(&n->w->loop, &http);
	t->policy = (struct target_policy){
		c->alerts.retry.first_ms, c->alerts.retry.longest_ms, c->alerts.retry.give_up_ms};
	snprintf(t->cursor, sizeof t->cursor, "0-0");
	n->targets[n->n++] = t;
	return t;
}

static int read_secrets(const char *path, struct webhook_secrets *out, struct why *why)
{
	_buf_release_secret_ struct buf text = BUF_INIT(SECRETS_BYTES);
	int err = secret_read_file(path, SECRETS_BYTES, &text, why);

	if (err)
		return err;
	err = webhook_secrets_parse(text.data, text.len, out, why);
	return err ? why_prefix(why, err, "%s: ", path) : 0;
}

static int add_webhook(struct notify *n, const struct config_webhook *c, struct why *why)
{
	struct target *t = add_target(n, TARGET_WEBHOOK, c->name, c->url, c->ca_file);

	t->url = mem_strdup(c->url);
	t->timeout_ms = c->timeout_ms;
	t->plan.most = c->in_flight;
	t->events = (c->events & EVENTS_ALERT ? 1u << NOTICE_ALERT : 0) |
		    (c->events & EVENTS_SNAPSHOT ? 1u << NOTICE_SNAPSHOT : 0) |
		    (c->events & EVENTS_HEARTBEAT ? 1u << NOTICE_HEARTBEAT : 0);
	return c->secret_file ? read_secrets(c->secret_file, &t->secrets, why) : 0;
}

static int add_alertmanager(struct notify *n, const struct config_alertmanager *c, struct why *why)
{
	struct target *t = add_target(n, TARGET_ALERTMANAGER, c->name, c->url, c->ca_file);
	_buf_release_secret_ struct buf token = BUF_INIT(SECRET_LINE_MAX_BYTES);
	size_t len = strlen(c->url);
	int err = 0;

	while (len && c->url[len - 1] == '/')
		len--;
	t->url = mem_printf("%.*s/api/v2/alerts", (int)len, c->url);
	t->timeout_ms = c->timeout_ms;
	t->resend_ms = c->resend_ms;
	t->plan.most = 4;
	t->events = 1u << NOTICE_ALERT;
	if (c->token_file)
		err = secret_read_line(c->token_file, &token, why);
	if (!err && c->token_file)
		t->token = mem_strndup(token.data, token.len > 1024 ? 1024 : token.len);
	return err;
}

static int add_targets(struct notify *n, struct why *why)
{
	const struct config *c = n->w->config;
	int err = 0;

	for (size_t i = 0; !err && i < c->alerts.webhooks.n; i++)
		err = add_webhook(n, &c->alerts.webhooks.items[i], why);
	for (size_t i = 0; !err && i < c->alerts.alertmanagers.n; i++)
		err = add_alertmanager(n, &c->alerts.alertmanagers.items[i], why);
	for (size_t i = 0; !err && i < n->n; i++)
		for (size_t j = 0; j < i; j++)
			if (!strcmp(n->targets[i]->name, n->targets[j]->name))
				err = why_set(why, CF_EINVAL,
					"alerts: two targets have the name \"%s\"",
					n->targets[i]->name);
	return err;
}

/* --- life */

static void collect(void *arg)
{
	const struct notify *n = arg;

	for (size_t i = 0; i < n->n; i++)
		target_show(n->targets[i]);
}

static void make_nonce(struct notify *n)
{
	unsigned char random[8];
	char hex[17];

	RAND_bytes(random, sizeof random);
	str_hex(random, sizeof random, hex);
	snprintf(n->nonce, sizeof n->nonce, "%s:%s", n->w->name, hex);
}

int notify_start(struct worker *w, struct notify **out, struct why *why)
{
	struct notify *n;
	int err;

	*out = NULL;
	if (!(w->config->worker.roles & ROLE_NOTIFY))
		return 0;
	n = mem_zalloc(sizeof *n);
	n->w = w;
	n->lease_ms = w->config->worker.lease_ms < LEASE_MOST_MS ? w->config->worker.lease_ms
								 : LEASE_MOST_MS;
	n->asked_ms = -n->lease_ms;
	make_nonce(n);
	uv_timer_init(&w->loop, &n->tick);
	n->tick.data = n;
	*out = n; /* whatever follows, notify_close() and notify_free() end it */
	err = add_targets(n, why);
	if (!err)
		err = metrics_register(metrics_default(), metrics, ARRAY_LEN(metrics), why);
	if (err)
		return err;
	metrics_add_collector(metrics_default(), collect, n);
	uv_timer_start(&n->tick, on_tick, 0, TICK_MS);
	LOG(INFO, "notify_started", LF_INT("targets", n->n));
	return 0;
}

void notify_close(struct notify *n)
{
	if (!n)
		return;
	n->closed = true;
	metrics_remove_collector(metrics_default(), collect, n);
	uv_close((uv_handle_t *)&n->tick, NULL);
	for (size_t i = 0; i < n->n; i++)
		target_close(n->targets[i]);
}

void notify_free(struct notify *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < n->n; i++)
		target_free(n->targets[i]);
	free(n);
}

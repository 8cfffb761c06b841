#include "worker/worker.h"

#include "common/canary.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/authorities.h"
#include "worker/breaker.h"
#include "worker/doubt.h"
#include "worker/health.h"
#include "worker/jobs/again.h"
#include "worker/jobs/issue.h"
#include "worker/jobs/verify.h"
#include "worker/lookups.h"
#include "worker/net/http.h"
#include "worker/nodes.h"
#include "worker/notify/notify.h"
#include "worker/pool.h"
#include "worker/responders.h"
#include "worker/stats.h"
#include "worker/zones.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define NODE_REQUESTS_MAX  256
#define RESPONDER_GRACE_MS 2000
#define FILES_WANTED       65536

/* --- jobs wait for Redis and for the vault's canary */

static void on_wake(void *arg, const char *channel, const char *text, size_t len)
{
	struct worker *w = arg;

	(void)channel;
	(void)text;
	(void)len;
	for (int q = 0; q < 2; q++)
		if (w->pools[q])
			pool_wake(w->pools[q]);
}

static void start_pool(struct worker *w, const struct job_kind *kind, uint32_t slots)
{
	const struct pool_options options = {.loop = &w->loop,
		.redis = w->redis,
		.barrier = w->barrier,
		.kind = kind,
		.worker = w,
		.name = w->name,
		.slots = slots,
		.lease_ms = w->config->worker.lease_ms};
	_mem_free_ char *channel =
		mem_printf("%swake:%s", redis_prefix(w->redis), queue_name(kind->queue));

	w->pools[kind->queue] = pool_new(&options);
	redis_subscribe(w->redis, channel, on_wake, w);
}

static void start_jobs(struct worker *w)
{
	if (w->pools[QUEUE_VERIFY] || w->draining)
		return;
	start_pool(w, &verify_kind, w->config->worker.slots.verify);
	start_pool(w, &issue_kind, w->config->worker.slots.issue);
	LOG(INFO, "jobs_started", LF("worker", w->name),
		LF_INT("verify", w->config->worker.slots.verify),
		LF_INT("issue", w->config->worker.slots.issue));
}

static void fatal(struct worker *w, const char *event, const char *text)
{
	LOG(ERROR, event, LF("why", text));
	w->exit_status = 1;
	uv_stop(&w->loop);
}

static void fatal_key(struct worker *w, const struct why *why)
{
	_mem_free_ char *text = mem_printf("%s: %s",
		w->canaries ? w->config->vault.certificates_key_file
			    : w->config->vault.accounts_key_file,
		why->text);

	fatal(w, "wrong_vault_key", text);
}

static void check_canary(struct worker *w);

static void on_canary(void *arg, int err, const struct why *why)
{
	struct worker *w = arg;

	w->canary_asked = false;
	if (err == CF_EAUTH) {
		fatal_key(w, why);
		return;
	}
	if (err) /* Redis went away: asked again when it is back */
		return;
	if (++w->canaries == 2)
		start_jobs(w);
	else
		check_canary(w);
}

/* One wrap after the other. */
static void check_canary(struct worker *w)
{
	w->canary_asked = true;
	canary_check(w->redis, w->vault, w->canaries ? VAULT_CERTIFICATES : VAULT_ACCOUNTS,
		on_canary, w);
}

static void on_redis(void *arg, bool up, const struct why *why)
{
	struct worker *w = arg;
	char at[300];

	if (!up) {
		w->redis_lost_ms = clock_wall_ms();
		LOG(WARN, "redis_down", LF("why", why->text));
		return;
	}
	w->redis_back_ms = w->redis_lost_ms ? clock_wall_ms() : 0;
	LOG(INFO, "redis_up", LF("at", redis_server(w->redis, at, sizeof at)));
	for (int q = 0; q < 2; q++)
		if (w->pools[q])
			pool_redis_up(w->pools[q]);
	if (w->nodes)
		nodes_beat(w->nodes);
	if (w->vault && w->canaries < 2 && !w->canary_asked)
		check_canary(w);
	on_wake(w, NULL, NULL, 0);
}

/* --- start */

static const char *target_tenant(void *arg, const char *target)
{
	const struct config *c = arg;

	for (size_t i = 0; i < c->targets.n; i++)
		if (!strcmp(c->targets.items[i].host, target))
			return c->targets.items[i].tenant;
	return NULL;
}

static void fill_policies(struct worker *w)
{
	const struct config *c = w->config;

	w->diagnose_policy = (struct diagnose_policy){
		.zones = (const char *const *)c->challenges.zones.items,
		.zones_n = c->challenges.zones.n,
		.label_key = w->label_key,
		.trust_target_cname = c->challenges.trust_target_cname,
		.target_tenant = target_tenant,
		.unsafe = lookups_unsafe,
		.arg = w->config,
		.confirm_ms = c->scheduler.confirm_after_ms,
	};
	w->deep_every_ms = c->scheduler.deep_every_ms;
	w->departed_after_ms = c->scheduler.departed_after_ms;
	w->needs_policy = (struct needs_policy){.verify_every_ms = c->scheduler.verify_every_ms,
		.verify_fast_ms = c->scheduler.verify_fast_ms,
		.proof_every_ms = c->scheduler.proof_every_ms};
}

/* What the roles need beyond what every config has. */
static int check_roles(const struct config *c, struct why *why)
{
	bool jobs = c->worker.roles & ROLE_JOBS, dns = c->worker.roles & ROLE_DNS_01;
	const struct {
		bool needed, there;
		const char *role, *key, *what;
	} rows[] = {
		{jobs, c->authorities.n > 0, "jobs", "authorities",
			"at least one certificate authority"},
		{jobs || dns, c->challenges.zones.n > 0, "jobs and dns-01", "challenges.zones",
			"the zone in which challenges are answered"},
		{jobs, c->challenges.label_key_file, "jobs", "challenges.label_key_file",
			"the file with the key of the labels"},
		{jobs, c->vault.accounts_key_file, "jobs", "vault.accounts_key_file",
			"the file with the key that seals account keys"},
		{jobs, c->vault.certificates_key_file, "jobs", "vault.certificates_key_file",
			"the file with the key that seals certificate keys"},
		{dns, c->challenges.nameservers.n > 0, "dns-01", "challenges.nameservers",
			"the name servers of the challenge zones"},
		{(c->worker.roles & ROLE_NOTIFY) != 0,
			c->alerts.webhooks.n + c->alerts.alertmanagers.n > 0, "notify",
			"alerts.webhooks or alerts.alertmanagers",
			"where alerts are to be brought"},
	};

	if (c->worker.roles & ROLE_TLS_ALPN_01)
		return why_set(why, CF_EINVAL,
			"worker.roles: tls-alpn-01 is not supported yet; expected of jobs, "
			"http-01, dns-01, notify, look");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].needed && !rows[i].there)
			return why_set(why, CF_EINVAL, "worker.roles has %s: expected %s: %s",
				rows[i].role, rows[i].key, rows[i].what);
	return 0;
}

static int open_secrets(struct worker *w, struct why *why)
{
	const struct config *c = w->config;
	int err;

	if (!(c->worker.roles & ROLE_JOBS))
		return 0; /* responders need no key at all */
	err = vault_read_key_file(c->challenges.label_key_file, w->label_key, why);
	if (!err)
		err = vault_open(
			c->vault.accounts_key_file, c->vault.certificates_key_file, &w->vault, why);
	return err;
}

static int start_job_parts(struct worker *w, struct why *why)
{
	const struct http_options plain = {.allow_http = true, .max_requests = NODE_REQUESTS_MAX};

	if (!(w->config->worker.roles & (ROLE_JOBS | ROLE_LOOK)))
		return 0;
	lookups_start(w);
	w->zones = zones_new(w);
	if (!(w->config->worker.roles & ROLE_JOBS))
		return 0;
	w->doubt = doubt_new(w);
	w->node_client = http_client_new(&w->loop, &plain);
	if (w->config->redis.replicas)
		w->barrier = barrier_new(&w->loop, &w->redis_options, w->config->redis.replicas,
			w->config->redis.barrier_timeout_ms);
	w->breaker = breaker_new(w);
	return authorities_new(w, &w->authorities, why);
}

static void on_signal(uv_signal_t *s, int number)
{
	struct worker *w = s->data;

	(void)number;
	worker_drain(w);
}

static void catch_signal(struct worker *w, uv_signal_t *s, int number)
{
	uv_signal_init(&w->loop, s);
	s->data = w;
	uv_signal_start(s, on_signal, number);
	uv_unref((uv_handle_t *)s);
}

/* Each question to a name server has a socket of its own. */
static void raise_file_limit(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) || l.rlim_cur >= l.rlim_max)
		return;
	l.rlim_cur = l.rlim_max < FILES_WANTED ? l.rlim_max : FILES_WANTED;
	if (setrlimit(RLIMIT_NOFILE, &l))
		LOG(WARN, "file_limit_kept", LF_INT("files", l.rlim_cur));
}

int worker_start(struct worker *w, struct config *config, struct why *why)
{
	char host[sizeof w->name];
	int err;

	w->config = config;
	w->started_ms = clock_wall_ms();
	snprintf(w->name, sizeof w->name, "%s", config_worker_name(config, host, sizeof host));
	uv_loop_init(&w->loop);
	raise_file_limit();
	err = check_roles(config, why);
	if (!err)
		err = open_secrets(w, why);
	if (!err)
		err = config_redis_options(config, w->name, &w->redis_options, why);
	if (err)
		return err;
	fill_policies(w);
	w->redis = redis_new(&w->loop, &w->redis_options, on_redis, w);
	err = start_job_parts(w, why);
	if (!err)
		err = notify_start(w, &w->notify, why);
	if (!err)
		err = responders_start(w, why);
	if (!err)
		err = health_start(w, why);
	if (!err)
		err = stats_register(w, why);
	if (err)
		return err;
	w->nodes = nodes_new(w);
	catch_signal(w, &w->sigterm, SIGTERM);
	catch_signal(w, &w->sigint, SIGINT);
	LOG(INFO, "worker_started", LF("worker", w->name), LF("fleet", config->fleet),
		LF("version", CERTFLEET_VERSION));
	return 0;
}

/* --- drain: jobs first, then /readyz has failed for a while, responders last */

static void on_responders_drained(void *arg)
{
	struct worker *w = arg;

	uv_stop(&w->loop);
}

static void on_pool_drained(void *arg)
{
	struct worker *w = arg;

	if (--w->pools_left)
		return;
	LOG(INFO, "jobs_drained", LF("worker", w->name));
	responders_drain(w, RESPONDER_GRACE_MS, on_responders_drained, w);
}

void worker_drain(struct worker *w)
{
	if (w->draining) { /* asked twice: at once */
		w->exit_status = 1;
		uv_stop(&w->loop);
		return;
	}
	w->draining = true;
	LOG(INFO, "draining", LF("worker", w->name),
		LF_INT("grace_ms", w->config->worker.drain_ms));
	breaker_drain(w->breaker);
	w->pools_left = 1;
	for (int q = 0; q < 2; q++) {
		if (!w->pools[q])
			continue;
		w->pools_left++;
		pool_drain(w->pools[q], w->config->worker.drain_ms, on_pool_drained, w);
	}
	if (w->notify) {
		w->pools_left++;
		notify_drain(w->notify, w->config->worker.drain_ms, on_pool_drained, w);
	}
	on_pool_drained(w);
}

int worker_run(struct worker *w)
{
	uv_run(&w->loop, UV_RUN_DEFAULT);
	return w->exit_status;
}

/* Lets what was begun by closing end: callbacks of handles, sockets, pool threads. */
static void turn_until_closed(struct worker *w)
{
	int64_t end = clock_mono_ms() + 2000;

	while (uv_loop_close(&w->loop) == UV_EBUSY && clock_mono_ms() < end)
		uv_run(&w->loop, UV_RUN_NOWAIT);
}

void worker_stop(struct worker *w)
{
	if (!w->started_ms)
		return;
	stats_unregister(w);
	nodes_free(w->nodes);
	health_stop(w);
	responders_stop(w);
	for (int q = 0; q < 2; q++)
		pool_free(w->pools[q]);
	notify_close(w->notify);
	again_cancel_all(w);
	breaker_free(mem_steal(w->breaker));
	authorities_free(w->authorities);
	zones_free(mem_steal(w->zones));
	doubt_free(mem_steal(w->doubt));
	lookups_stop(w);
	http_client_free(w->node_client);
	barrier_free(w->barrier);
	redis_free(w->redis);
	if (w->sigterm.data)
		uv_close((uv_handle_t *)&w->sigterm, NULL);
	if (w->sigint.data)
		uv_close((uv_handle_t *)&w->sigint, NULL);
	turn_until_closed(w);
	notify_free(w->notify);
	vault_close(w->vault);
	mem_wipe(w->label_key, sizeof w->label_key);
}

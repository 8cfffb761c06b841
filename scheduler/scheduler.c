#include "scheduler/scheduler.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/queue.h"
#include "common/str.h"
#include "common/vault.h"
#include "scheduler/alerts.h"
#include "scheduler/api.h"
#include "scheduler/fleet.h"
#include "scheduler/index/feed.h"
#include "scheduler/leader.h"
#include "scheduler/patrol.h"
#include "scheduler/reap.h"
#include "scheduler/requests.h"
#include "scheduler/startup.h"
#include "scheduler/stats.h"
#include "scheduler/sweep.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define DRAIN_MS        5000 /* for requests in work */
#define DRAIN_TICK_MS   20
#define HTTP_DRAIN_MS   2000
#define LIFE_TICK_MS    5000 /* the sweep learns of the longest lifetime */
#define EDGES_SETTLE_MS 2000

struct scheduler {
	uv_loop_t *loop;
	struct config *config;
	struct vault *vault;
	struct redis_options redis_options;
	struct redis *redis, *block;
	struct barrier *barrier;
	struct startup startup;
	struct api *api;
	struct v1 *v1;
	struct index *index;
	struct feed *feed;
	struct leader *leader;
	struct requests *requests;
	struct reap *reap;
	struct patrol *patrol;
	struct alerts *alerts;
	struct sweep *sweep;
	struct fleet *fleet;
	uv_timer_t timer; /* life tick, then drain tick */
	char nonce[128];
	char trouble[600]; /* why Redis is away; "" when it is there */
	const char **authorities, **zones;
	int64_t drain_until_ms;
	bool looked; /* startup is done and the parts are there */
	bool draining, closing;
	int status;
};

static void close_all(struct scheduler *s);

/* --- who leads */

static void leader_changed(void *arg, bool leading, uint64_t term)
{
	struct scheduler *s = arg;

	if (leading)
		LOG(INFO, "leading", LF_INT("term", term));
	else
		LOG(INFO, "leads_no_more");
	metric_set(&stat_leader, leading, NO_LABELS);
	metric_set(&stat_term, (double)term, NO_LABELS);
	metric_add(&stat_takeovers, leading, NO_LABELS);
	reap_lead(s->reap, leading);
	requests_lead(s->requests, leading);
	patrol_lead(s->patrol, leading);
	alerts_lead(s->alerts, leading, term);
	sweep_lead(s->sweep, leading);
	fleet_lead(s->fleet, leading, term);
}

static void leader_clock(void *arg, int64_t sent_ms, int64_t received_ms, int64_t redis_ms)
{
	struct scheduler *s = arg;

	reap_clock(s->reap, sent_ms, received_ms, redis_ms);
}

/* Redis is another one than before: what is in it may lack the last moments, and readers may have
 * seen more. */
static void redis_moved(void *arg)
{
	struct scheduler *s = arg;

	LOG(WARN, "redis_moved", LF("then", "audit of all endpoints, snapshot of alerts"));
	if (s->leader && leader_leads(s->leader)) {
		patrol_hurry(s->patrol);
		alerts_snapshot(s->alerts);
	}
}

/* --- starting */

static struct needs_policy policy_of(const struct config *c)
{
	return (struct needs_policy){.verify_every_ms = c->scheduler.verify_every_ms,
		.verify_fast_ms = c->scheduler.verify_fast_ms,
		.proof_every_ms = c->scheduler.proof_every_ms};
}

static void new_requests(struct scheduler *s)
{
	const struct config *c = s->config;
	struct request_context context = {.redis = s->redis};

	s->authorities = mem_array(c->authorities.n + 1, sizeof *s->authorities);
	for (size_t i = 0; i < c->authorities.n; i++)
		s->authorities[i] = c->authorities.items[i].name;
	s->zones = mem_array(c->challenges.zones.n + 1, sizeof *s->zones);
	for (size_t i = 0; i < c->challenges.zones.n; i++)
		s->zones[i] = c->challenges.zones.items[i];
	if (c->redis.replicas) {
		s->barrier = barrier_new(
			s->loop, &s->redis_options, c->redis.replicas, c->redis.barrier_timeout_ms);
		context.barrier = s->barrier;
	}
	context.policy = (struct request_policy){.authorities = s->authorities,
		.authorities_n = c->authorities.n,
		.zones = s->zones,
		.zones_n = c->challenges.zones.n,
		.needs = policy_of(c)};
	s->requests = requests_new(s->loop, s->block, &context);
}

static void on_life(uv_timer_t *timer)
{
	struct scheduler *s = timer->data;

	sweep_longest_life(s->sweep, patrol_longest_life_ms(s->patrol));
}

static struct fleet_options fleet_options(const struct scheduler *s)
{
	const struct config *c = s->config;
	struct fleet_options o = {.name = c->fleet,
		.nonce = s->nonce,
		.replicas = (int64_t)c->redis.replicas,
		.cap = c->streams.cap,
		.keep_ms = c->streams.keep_ms,
		.canary = c->breaker.canary};

	for (size_t i = 0; i < c->authorities.n && o.limits_n < FLEET_LIMITS_MAX; i++) {
		const struct config_rate *rate = &c->authorities.items[i].limits.new_orders;

		if (rate->count)
			o.limits[o.limits_n++] =
				(struct fleet_limit){.authority = c->authorities.items[i].name,
					.count = rate->count,
					.window_ms = rate->window_ms};
	}
	return o;
}

static void new_parts(struct scheduler *s)
{
	const struct config *c = s->config;
	struct needs_policy policy = policy_of(c);
	const struct group_policy grouping = {.settle_ms = EDGES_SETTLE_MS,
		.hold_ms = c->alerts.incident.hold_ms,
		.window_ms = c->alerts.incident.window_ms,
		.least = c->alerts.incident.endpoints};
	struct leader_events events = {.changed = leader_changed, .clock = leader_clock, .arg = s};

	struct fleet_options fleet = fleet_options(s);

	s->looked = true;
	s->block = redis_new(s->loop, &s->redis_options, NULL, NULL);
	new_requests(s);
	fleet.barrier = s->barrier;
	s->reap = reap_new(s->loop, s->redis, c->worker.lease_ms, redis_moved, s);
	s->patrol = patrol_new(s->loop, s->redis, &policy);
	s->alerts = alerts_new(s->loop, s->redis, &grouping);
	s->sweep = sweep_new(s->loop, s->redis, s->alerts);
	s->fleet = fleet_new(s->loop, s->redis, s->alerts, &fleet);
	s->leader = leader_new(s->loop, s->redis, s->nonce, c->scheduler.lease_ms, &events);
	s->feed = feed_new(s->loop, s->redis, &s->redis_options, s->index,
		&(struct feed_hooks){.changed = v1_changed, .arg = s->v1});
	v1_start(s->v1, s->redis, &s->redis_options, s->feed);
	uv_timer_start(&s->timer, on_life, LIFE_TICK_MS, LIFE_TICK_MS);
}

static void looked(void *arg, int err, const struct why *why)
{
	struct scheduler *s = arg;

	if (s->draining || err == CF_ECONN) /* when it is back up we look again */
		return;
	if (err) {
		LOG(ERROR, "cannot_start", LF("why", why->text));
		s->status = 1;
		scheduler_stop(s);
		return;
	}
	new_parts(s);
}

/* --- Redis comes and goes */

static void redis_state(void *arg, bool up, const struct why *why)
{
	struct scheduler *s = arg;
	char at[300];

	metric_set(&stat_redis_up, up, NO_LABELS);
	if (!up) {
		if (strcmp(s->trouble, why->text) != 0) /* each attempt says so; once is enough */
			LOG(ERROR, "redis_away", LF("why", why->text));
		snprintf(s->trouble, sizeof s->trouble, "%s", why->text);
		return;
	}
	LOG(INFO, "redis_up", LF("fleet", s->config->fleet),
		LF("at", redis_server(s->redis, at, sizeof at)));
	s->trouble[0] = 0;
	if (s->looked) {
		reap_connected(s->reap);
		alerts_connected(s->alerts);
	} else if (!s->draining)
		startup_look(&s->startup);
}

/* --- what HTTP shows */

static const struct breaker_row *view_breakers(void *arg, size_t *n)
{
	const struct scheduler *s = arg;

	return fleet_breakers(s->fleet, n);
}

static bool view_leads(void *arg)
{
	const struct scheduler *s = arg;

	return s->leader && leader_leads(s->leader);
}

static const char *view_unready(void *arg)
{
	const struct scheduler *s = arg;

	if (s->draining)
		return "draining";
	if (s->trouble[0])
		return s->trouble;
	return s->looked ? NULL : "starting";
}

/* --- stopping */

static void http_drained(void *arg)
{
	close_all(arg);
}

static void lease_given_back(void *arg)
{
	struct scheduler *s = arg;

	if (s->closing)
		return;
	if (s->api)
		api_drain(s->api, HTTP_DRAIN_MS, http_drained, s);
	else
		close_all(s);
}

static void on_drain(uv_timer_t *timer)
{
	struct scheduler *s = timer->data;

	if (s->requests && !requests_idle(s->requests) && clock_mono_ms() < s->drain_until_ms)
		return;
	uv_timer_stop(timer);
	if (s->leader && redis_is_up(s->redis))
		leader_stop(s->leader, lease_given_back, s);
	else
		lease_given_back(s);
}

void scheduler_stop(struct scheduler *s)
{
	if (s->draining) {
		close_all(s);
		return;
	}
	LOG(INFO, "draining");
	s->draining = true;
	s->drain_until_ms = clock_mono_ms() + DRAIN_MS;
	if (s->requests)
		requests_lead(s->requests, false);
	uv_timer_start(&s->timer, on_drain, 0, DRAIN_TICK_MS);
}

static void close_all(struct scheduler *s)
{
	if (s->closing)
		return;
	s->closing = true;
	uv_close((uv_handle_t *)&s->timer, NULL);
	api_free(s->api);
	s->api = NULL;
	v1_close(s->v1);
	feed_close(s->feed);
	leader_close(s->leader);
	fleet_close(s->fleet);
	sweep_close(s->sweep);
	alerts_close(s->alerts);
	patrol_close(s->patrol);
	reap_close(s->reap);
	requests_close(s->requests);
	redis_free(s->block);
	redis_free(s->redis);
	barrier_free(s->barrier);
}

int scheduler_free(struct scheduler *s)
{
	int status;

	if (!s)
		return 0;
	status = s->status;
	leader_free(s->leader);
	fleet_free(s->fleet);
	sweep_free(s->sweep);
	alerts_free(s->alerts);
	patrol_free(s->patrol);
	reap_free(s->reap);
	requests_free(s->requests);
	feed_free(s->feed);
	v1_free(s->v1);
	index_free(s->index);
	vault_close(s->vault);
	free(s->authorities);
	free(s->zones);
	LOG(INFO, "stopped", LF_INT("status", status));
	free(s);
	return status;
}

/* --- making */

static void make_nonce(struct scheduler *s)
{
	char host[64] = "host", hex[17];
	uint8_t random[8];

	gethostname(host, sizeof host - 1);
	if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
		memcpy(random, &(int64_t){clock_wall_ms()}, sizeof random);
	str_hex(random, sizeof random, hex);
	snprintf(s->nonce, sizeof s->nonce, "%s:%d:%s", host, (int)getpid(), hex);
}

static int open_vault(struct scheduler *s, struct why *why)
{
	const char *accounts = s->config->vault.accounts_key_file;
	const char *certificates = s->config->vault.certificates_key_file;

	s->startup = (struct startup){
		.accounts = accounts, .certificates = certificates, .done = looked, .arg = s};
	if (!accounts && !certificates)
		return 0;
	return vault_open(accounts, certificates, &s->vault, why);
}

static int open_api(struct scheduler *s, struct why *why)
{
	const struct config_address *listen = &s->config->scheduler.listen;
	struct v1_options options = {.loop = s->loop,
		.config = s->config,
		.index = s->index,
		.name = s->nonce,
		.leads = view_leads,
		.breakers = view_breakers,
		.arg = s};
	struct api_view view = {.leads = view_leads, .unready = view_unready, .arg = s};
	char text[ADDR_TEXT_SIZE];
	int err = v1_new(&options, &s->v1, why);

	if (err || !listen->text)
		return err;
	view.v1 = s->v1;
	err = api_new(s->loop, &listen->addr, &view, &s->api, why);
	if (!err)
		LOG(INFO, "listening", LF("http", addr_format(api_address(s->api), text)));
	return err;
}

int scheduler_new(uv_loop_t *loop, struct config *config, struct scheduler **out, struct why *why)
{
	struct scheduler *s = mem_zalloc(sizeof *s);
	int err;

	s->loop = loop;
	s->config = config;
	s->index = index_new();
	make_nonce(s);
	snprintf(s->trouble, sizeof s->trouble, "connecting to Redis");
	stats_register();
	if ((err = config_redis_options(config, "certfleet-scheduler", &s->redis_options, why)) ||
		(err = open_vault(s, why)) || (err = open_api(s, why))) {
		v1_free(s->v1);
		index_free(s->index);
		vault_close(s->vault);
		free(s);
		return err;
	}
	s->timer.data = s;
	uv_timer_init(loop, &s->timer);
	s->redis = redis_new(loop, &s->redis_options, redis_state, s);
	s->startup.redis = s->redis;
	s->startup.replicas = config->redis.replicas;
	s->startup.failover = s->redis_options.nodes_n > 0;
	s->startup.vault = s->vault;
	*out = s;
	return 0;
}

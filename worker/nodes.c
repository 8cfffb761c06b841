#include "worker/nodes.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/authorities.h"
#include "worker/doubt.h"
#include "worker/pool.h"
#include "worker/worker.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SILENT_MS       2500 /* two beats missed */
#define BEAT_MS         1000
#define REDIS_SILENT_MS 2000 /* a responder holds a question no longer */
#define KEEP_ROW_S      "60"
#define FIELD_SIZE      2048

struct nodes {
	struct worker *w;
	uv_timer_t beat;
	struct addr *addrs[NODE_ROLES], *reading[NODE_ROLES];
	size_t n[NODE_ROLES], reading_n[NODE_ROLES];
	size_t rows_left;
	int64_t silent_ms; /* when some node was last seen to have missed its beats; Unix time */
	bool busy, freed, asking_doubt;
};

static void add_address(struct nodes *n, enum node_role role, const char *text)
{
	struct addr a;

	if (addr_parse(text, 0, &a, NULL) || n->reading_n[role] == NODES_MAX)
		return;
	for (size_t i = 0; i < n->reading_n[role]; i++)
		if (addr_equal(&n->reading[role][i], &a))
			return;
	n->reading[role] = mem_grow(n->reading[role], n->reading_n[role] + 1, sizeof a);
	n->reading[role][n->reading_n[role]++] = a;
}

static void add_addresses(struct nodes *n, enum node_role role, const struct reply *field)
{
	char text[FIELD_SIZE];
	char *save = NULL;
	const char *s = reply_str(field, NULL);

	if (!s)
		return;
	snprintf(text, sizeof text, "%s", s);
	for (char *p = strtok_r(text, " ", &save); p; p = strtok_r(NULL, " ", &save))
		add_address(n, role, p);
}

static void free_if_over(struct nodes *n)
{
	if (!n->freed || n->busy || n->asking_doubt)
		return;
	for (int r = 0; r < NODE_ROLES; r++) {
		free(n->addrs[r]);
		free(n->reading[r]);
	}
	free(n);
}

static void reading_over(struct nodes *n, bool whole)
{
	for (int r = 0; r < NODE_ROLES; r++) {
		if (whole) {
			struct addr *old = n->addrs[r];

			n->addrs[r] = n->reading[r];
			n->n[r] = n->reading_n[r];
			n->reading[r] = old;
		}
		n->reading_n[r] = 0;
	}
	n->busy = false;
	free_if_over(n);
}

static void row_read(void *arg, int err, const struct reply *reply)
{
	struct nodes *n = arg;

	if (!err) {
		add_addresses(n, NODE_HTTP01, reply_at(reply, 0));
		add_addresses(n, NODE_DNS01, reply_at(reply, 1));
	}
	if (--n->rows_left == 0)
		reading_over(n, !err);
}

/* reply: name, beat, name, beat, … */
static void list_read(void *arg, int err, const struct reply *reply)
{
	struct nodes *n = arg;
	int64_t now = clock_wall_ms();

	n->rows_left = err ? 0 : reply_len(reply) / 2;
	if (n->freed || !n->rows_left) {
		reading_over(n, !err && !n->freed);
		return;
	}
	for (size_t i = 0; i + 1 < reply_len(reply); i += 2) {
		const char *beat = reply_str(reply_at(reply, i + 1), NULL);
		_mem_free_ char *key = mem_printf(
			"%sw:%s", redis_prefix(n->w->redis), reply_str(reply_at(reply, i), NULL));

		if (beat && strtoll(beat, NULL, 10) < now - SILENT_MS)
			n->silent_ms = now;
		redis_commandv(n->w->redis, row_read, n, "HMGET", key, "http01", "dns01", NULL);
	}
}

static void advertised(const struct config_addresses *advertise,
	const struct config_addresses *listen, bool on, char out[FIELD_SIZE])
{
	const struct config_addresses *from = advertise->n ? advertise : listen;
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; on && i < from->n && used < FIELD_SIZE - 100; i++)
		used += (size_t)snprintf(
			out + used, FIELD_SIZE - used, "%s%s", i ? " " : "", from->items[i].text);
}

static void number(char out[24], int64_t v)
{
	snprintf(out, 24, "%" PRId64, v);
}

#define ROLES_SIZE 96
static void role_words(const struct config *c, char out[ROLES_SIZE])
{
	uint32_t roles = c->worker.roles;
	const char *zone = c->worker.zone;

	snprintf(out, ROLES_SIZE, "%s%s%s%s%s%s%s", roles & ROLE_JOBS ? "jobs " : "",
		roles & ROLE_HTTP_01 ? "http-01 " : "", roles & ROLE_DNS_01 ? "dns-01 " : "",
		roles & ROLE_NOTIFY ? "notify " : "", roles & ROLE_LOOK ? "look " : "",
		zone ? "zone:" : "", zone ? zone : "");
}

bool nodes_redis_is_silent(const struct worker *w)
{
	return w->redis_asked_ms && clock_wall_ms() - w->redis_asked_ms > REDIS_SILENT_MS;
}

/* A Redis that stood still was away, though no connection broke. */
static void acknowledged(void *arg, int err, const struct reply *reply)
{
	struct worker *w = arg;

	(void)reply;
	if (!err && nodes_redis_is_silent(w)) {
		w->redis_lost_ms = w->redis_asked_ms;
		w->redis_back_ms = clock_wall_ms();
	}
	w->redis_asked_ms = 0;
}

static void say_alive(struct nodes *n)
{
	struct worker *w = n->w;
	const struct config *c = w->config;
	char http01[FIELD_SIZE], dns01[FIELD_SIZE], now[24], started[24], pid[24], host[256] = "";
	char counts[4][24], roles[ROLES_SIZE], looked[24], turned[24];
	char apart[24];
	const char *ca;
	int64_t apart_ms;
	unsigned names, bad;
	_mem_free_ char *row = mem_printf("%sw:%s", redis_prefix(w->redis), w->name);
	_mem_free_ char *all = mem_printf("%sworkers", redis_prefix(w->redis));

	role_words(c, roles);
	gethostname(host, sizeof host - 1);
	advertised(&c->worker.http_01.advertise, &c->worker.http_01.listen,
		c->worker.roles & ROLE_HTTP_01 && !w->draining, http01);
	advertised(&c->worker.dns_01.advertise, &c->worker.dns_01.listen,
		c->worker.roles & ROLE_DNS_01 && !w->draining, dns01);
	number(now, clock_wall_ms());
	number(started, w->started_ms);
	number(pid, getpid());
	ca = authorities_clock(w->authorities, &apart_ms);
	number(apart, apart_ms);
	doubt_counts(w->doubt, &names, &bad);
	number(looked, names);
	number(turned, bad);
	for (int q = 0; q < 2; q++) {
		number(counts[2 * q], w->pools[q] ? pool_running(w->pools[q]) : 0);
		number(counts[2 * q + 1], w->pools[q] ? pool_slots(w->pools[q]) : 0);
	}
	const char *fields[] = {"HSET", row, "version", CERTFLEET_VERSION, "host", host, "pid", pid,
		"started", started, "beat", now, "roles", roles, "state",
		w->draining ? "draining" : "running", "verify_running", counts[0], "verify_slots",
		counts[1], "issue_running", counts[2], "issue_slots", counts[3], "http01", http01,
		"dns01", dns01, "looked", looked, "turned", turned, "trouble",
		doubt_trouble(w->doubt), "barrier", barrier_is_late(w->barrier) ? "late" : "",
		"ca_apart", apart, "ca", ca};
	const char *argv[ARRAY_LEN(fields) + 1] = {w->name, now, KEEP_ROW_S};

	if (c->worker.roles & ROLE_JOBS) { /* at maxmemory too */
		memcpy(argv + 3, fields + 2, sizeof fields - 2 * sizeof *fields);
		if (!w->redis_asked_ms)
			w->redis_asked_ms = clock_wall_ms();
		redis_script(w->redis, "alive", ARRAY_LEN(argv), argv, NULL, acknowledged, w);
		return;
	}
	redis_command(w->redis, ARRAY_LEN(fields), fields, NULL, NULL, NULL);
	redis_commandv(w->redis, NULL, NULL, "EXPIRE", row, KEEP_ROW_S, NULL);
	redis_commandv(w->redis, NULL, NULL, "ZADD", all, now, w->name, NULL);
}

static void doubt_read(void *arg, int err, const struct reply *reply)
{
	struct nodes *n = arg;

	n->asking_doubt = false;
	if (n->freed)
		free_if_over(n);
	else if (!err)
		doubt_set(n->w->doubt, reply_str(reply, NULL) != NULL);
}

static void read_doubt(struct nodes *n)
{
	_mem_free_ char *key = mem_printf("%sdoubt", redis_prefix(n->w->redis));

	if (n->asking_doubt || !n->w->doubt)
		return;
	n->asking_doubt = true;
	redis_commandv(n->w->redis, doubt_read, n, "GET", key, NULL);
}

static void on_beat(uv_timer_t *t)
{
	struct nodes *n = t->data;
	_mem_free_ char *all = mem_printf("%sworkers", redis_prefix(n->w->redis));
	char since[24], limit[24];

	if (!redis_is_up(n->w->redis))
		return;
	say_alive(n);
	read_doubt(n);
	if (n->busy)
		return;
	n->busy = true;
	number(since, clock_wall_ms() - NODES_ALIVE_MS);
	number(limit, NODES_MAX);
	redis_commandv(n->w->redis, list_read, n, "ZRANGEBYSCORE", all, since, "+inf", "WITHSCORES",
		"LIMIT", "0", limit, NULL);
}

void nodes_beat(struct nodes *n)
{
	on_beat(&n->beat);
}

struct nodes *nodes_new(struct worker *w)
{
	struct nodes *n = mem_zalloc(sizeof *n);

	n->w = w;
	uv_timer_init(&w->loop, &n->beat);
	n->beat.data = n;
	uv_timer_start(&n->beat, on_beat, 0, BEAT_MS);
	return n;
}

static void beat_closed(uv_handle_t *h)
{
	struct nodes *n = h->data;

	n->freed = true;
	free_if_over(n);
}

void nodes_free(struct nodes *n)
{
	struct redis *r;

	if (!n)
		return;
	r = n->w->redis;
	if (redis_is_up(r)) {
		_mem_free_ char *all = mem_printf("%sworkers", redis_prefix(r));
		_mem_free_ char *row = mem_printf("%sw:%s", redis_prefix(r), n->w->name);

		redis_commandv(r, NULL, NULL, "ZREM", all, n->w->name, NULL);
		redis_commandv(r, NULL, NULL, "DEL", row, NULL);
	}
	uv_close((uv_handle_t *)&n->beat, beat_closed);
}

const struct addr *nodes_of(const struct nodes *n, enum node_role role, size_t *count)
{
	*count = n->n[role];
	return n->addrs[role];
}

int64_t nodes_silent_ms(const struct nodes *n)
{
	return n->silent_ms;
}

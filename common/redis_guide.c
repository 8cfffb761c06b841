#include "common/redis_internal.h"

#include "common/mem.h"

#include <string.h>

#define TICK_MS    500 /* the subscription is asked whether it lives, and made anew */
#define SILENT_MAX 3   /* ticks without an answer */

struct redis_guide {
	struct redis_guide *next;
	uv_loop_t *loop;
	const struct redis_options *options;
	struct redis_follower *followers;
	uint32_t move; /* how often followers were told of another primary */
	/* The round of questions. */
	struct redis_search search;
	struct redis_options asked; /* the node's, while ask is there */
	struct redis_link *ask;
	size_t node;
	struct redis_place answer;
	struct why why; /* of the last that did not help */
	/* The subscription, with Sentinels only. */
	struct redis_options watched;
	struct redis_link *watch;
	size_t watch_node;
	int silent; /* ticks since its ping was sent; -1: none is */
	uv_timer_t tick;
};

/* Few: one for all links of a process. */
static _Thread_local struct redis_guide *guides;

static void ask_next(struct redis_guide *g);

/* --- telling: a follower may leave, or free everything, when it is told */

static struct redis_follower *who_asks(const struct redis_guide *g)
{
	struct redis_follower *f = g->followers;

	while (f && !f->asking)
		f = f->next;
	return f;
}

static void tell_found(
	struct redis_guide *g, int err, const struct redis_place *place, const struct why *why)
{
	struct redis_follower *f;

	while ((f = who_asks(g))) {
		f->asking = false;
		f->found(f, err, place, why);
	}
}

static void tell_moved(struct redis_guide *g, const struct redis_place *place)
{
	struct redis_follower *f;

	g->move++;
	do {
		f = g->followers;
		while (f && f->told == g->move)
			f = f->next;
		if (f) {
			f->told = g->move;
			f->moved(f, place);
		}
	} while (f);
}

/* --- a round of questions */

static void end_round(struct redis_guide *g, int err, const struct redis_place *found)
{
	const struct redis_place place = found ? *found : (struct redis_place){0};
	struct why why = g->why;

	redis_link_close(g->ask);
	g->ask = NULL;
	tell_found(g, err, &place, &why);
	/* Who did not ask may be connected to the one before. */
	if (!err && g->options->sentinel_master)
		tell_moved(g, &place);
}

static void node_failed(struct redis_guide *g, int err, const struct why *why)
{
	char where[300];

	g->why = *why;
	if (err != CF_ECONN && err != CF_ETIMEDOUT)
		why_prefix(&g->why, err,
			"%s at %s: ", g->options->sentinel_master ? "Sentinel" : "Redis",
			redis_where(&g->asked, where, sizeof where));
	redis_search_pass(&g->search);
	ask_next(g);
}

static void on_answer(redisAsyncContext *ac, void *raw, void *arg)
{
	struct redis_guide *g = redis_link_owner(ac);
	size_t i = (size_t)(uintptr_t)arg;
	struct redis_hello more;
	struct why why;
	int err;

	if (!g || !raw)
		return;
	err = redis_question_judge(g->options, &g->asked, i, raw, &g->answer, &why);
	if (err)
		node_failed(g, err, &why);
	else if (redis_question(g->options, i + 1, &more))
		return;
	else if (redis_search_answer(&g->search, &g->answer))
		end_round(g, 0, &g->answer);
	else
		ask_next(g);
}

static void on_ask_up(void *arg)
{
	struct redis_guide *g = arg;
	struct redis_hello h;

	g->answer = (struct redis_place){0};
	for (size_t i = 0; redis_question(g->options, i, &h); i++)
		redisAsyncCommandArgv(redis_link_context(g->ask), on_answer, (void *)(uintptr_t)i,
			(int)h.argc, h.argv, h.len);
}

static void on_ask_down(void *arg, int err, const struct why *why)
{
	(void)err; /* why names the node */
	node_failed(arg, CF_ECONN, why);
}

static const struct redis_link_hooks ask_hooks = {on_ask_up, on_ask_down};

static void none_helps(struct redis_guide *g)
{
	struct redis_place place;

	if (redis_search_settle(&g->search, &place)) {
		end_round(g, 0, &place);
		return;
	}
	if (g->search.older)
		why_set(&g->why, CF_ECONN,
			"of %zu Sentinels only %zu answer, and those name a primary of before "
			"the last failover",
			g->search.nodes, g->search.older);
	else
		why_prefix(&g->why, CF_ECONN, "no %s of %zu says who is the primary: ",
			g->options->sentinel_master ? "Sentinel" : "node", g->search.nodes);
	end_round(g, CF_ECONN, NULL);
}

static void ask_next(struct redis_guide *g)
{
	redis_link_close(g->ask);
	g->ask = NULL;
	if (!redis_search_next(&g->search, &g->node)) {
		none_helps(g);
		return;
	}
	redis_node_options(g->options, g->node, &g->asked);
	g->ask = redis_link_new(g->loop, &g->asked, redis_node_peer(g->options), &ask_hooks, g);
}

static void begin_round(struct redis_guide *g)
{
	if (g->ask)
		return;
	redis_search_begin(&g->search);
	ask_next(g);
}

void redis_guide_ask(struct redis_guide *g, struct redis_follower *f)
{
	f->asking = true;
	begin_round(g);
}

/* Anew, and first at the one that we are subscribed to, which knows of what it published. */
static void check(struct redis_guide *g)
{
	redis_link_close(g->ask);
	g->ask = NULL;
	redis_search_prefer(&g->search, g->watch_node);
	begin_round(g);
}

/* --- the subscription */

static void on_message(redisAsyncContext *ac, void *raw, void *arg)
{
	struct redis_guide *g = redis_link_owner(ac);
	const redisReply *m = raw;
	struct redis_place place;

	(void)arg;
	if (!g || !m || m->type != REDIS_REPLY_ARRAY || m->elements != 3 || !m->element[0]->str ||
		strcmp(m->element[0]->str, "message") || !m->element[2]->str)
		return;
	if (!redis_place_of_switch(m->element[2]->str, g->options->sentinel_master, &place))
		return;
	check(g); /* for the epoch */
	tell_moved(g, &place);
}

static void on_pong(redisAsyncContext *ac, void *raw, void *arg)
{
	struct redis_guide *g = redis_link_owner(ac);

	(void)arg;
	if (g && raw)
		g->silent = -1;
}

/* What was switched before we subscribed is asked for. */
static void on_watch_up(void *arg)
{
	struct redis_guide *g = arg;

	g->silent = -1;
	redisAsyncCommand(
		redis_link_context(g->watch), on_message, NULL, "SUBSCRIBE +switch-master");
	check(g);
}

static void on_watch_down(void *arg, int err, const struct why *why)
{
	struct redis_guide *g = arg;

	(void)err;
	(void)why;
	redis_link_close(g->watch);
	g->watch = NULL;
}

static const struct redis_link_hooks watch_hooks = {on_watch_up, on_watch_down};

/* At another than before. */
static void watch(struct redis_guide *g)
{
	g->watch_node = (g->watch_node + 1) % g->search.nodes;
	redis_node_options(g->options, g->watch_node, &g->watched);
	g->watch = redis_link_new(g->loop, &g->watched, PEER_SENTINEL, &watch_hooks, g);
}

static void on_tick(uv_timer_t *timer)
{
	struct redis_guide *g = timer->data;
	redisAsyncContext *ac = redis_link_context(g->watch);

	if (!g->watch) {
		watch(g);
	} else if (ac && g->silent < 0) {
		g->silent = 0;
		redisAsyncCommand(ac, on_pong, NULL, "PING");
	} else if (ac && ++g->silent == SILENT_MAX) {
		redis_link_cut(g->watch, CF_ETIMEDOUT, "it did not answer in time");
	}
}

/* --- life */

static struct redis_guide *guide_new(uv_loop_t *loop, const struct redis_options *options)
{
	struct redis_guide *g = mem_zalloc(sizeof *g);

	g->loop = loop;
	g->options = options;
	redis_search_init(&g->search, options->nodes_n);
	g->watch_node = options->nodes_n - 1; /* the first watch is at the next, which is 0 */
	uv_timer_init(loop, &g->tick);
	g->tick.data = g;
	if (options->sentinel_master)
		uv_timer_start(&g->tick, on_tick, 0, TICK_MS);
	g->next = guides;
	guides = g;
	return g;
}

struct redis_guide *redis_guide_join(
	uv_loop_t *loop, const struct redis_options *options, struct redis_follower *f)
{
	struct redis_guide *g = guides;

	if (!redis_is_guided(options))
		return NULL;
	while (g && (g->loop != loop || g->options != options))
		g = g->next;
	if (!g)
		g = guide_new(loop, options);
	f->told = g->move;
	f->next = g->followers;
	g->followers = f;
	return g;
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void guide_close(struct redis_guide *g)
{
	struct redis_guide **at = &guides;

	while (*at != g)
		at = &(*at)->next;
	*at = g->next;
	redis_link_close(g->ask);
	redis_link_close(g->watch);
	g->ask = g->watch = NULL;
	uv_close((uv_handle_t *)&g->tick, on_closed);
}

void redis_guide_leave(struct redis_guide *g, struct redis_follower *f)
{
	struct redis_follower **at = g ? &g->followers : NULL;

	if (!g)
		return;
	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	f->asking = false;
	if (!g->followers)
		guide_close(g);
}

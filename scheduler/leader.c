#include "scheduler/leader.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

#include <stdio.h>
#include <string.h>

#define TICK_MS 200

struct leader {
	uv_timer_t tick;
	uv_check_t woken;
	struct redis *redis;
	struct leader_events events;
	struct leader_state state;
	char *nonce, *holder;
	int64_t next_ms, sent_ms; /* monotonic */
	bool asking, stopped;
	int last_err;
	void (*stop_done)(void *arg);
	void *stop_arg;
};

static void apply_change(struct leader *l, enum leader_change change)
{
	switch (change) {
	case LEADER_SAME:
		return;
	case LEADER_LOST:
		l->events.changed(l->events.arg, false, 0);
		return;
	case LEADER_AGAIN:
		l->events.changed(l->events.arg, false, 0);
		break;
	case LEADER_WON:
		break;
	}
	l->events.changed(l->events.arg, true, l->state.term);
}

static void resigned(void *arg, int err)
{
	struct leader *l = arg;

	if (err)
		LOG(INFO, "lease_not_given_back", LF("why", cf_strerror(err)));
	if (l->stop_done)
		l->stop_done(l->stop_arg);
	l->stop_done = NULL;
}

static void answered(
	void *arg, int err, bool leading, uint64_t term, int64_t redis_ms, const char *holder)
{
	struct leader *l = arg;
	int64_t now = clock_mono_ms();

	l->asking = false;
	if (l->stopped) { /* won or renewed while stopping: give it back */
		if (!err && leading)
			leader_resign(l->redis, l->nonce, term, resigned, l);
		else
			resigned(l, 0);
		return;
	}
	if (err && err != l->last_err && err != CF_ECONN && err != CF_ECANCELED)
		LOG(WARN, "lease_unknown", LF("why", cf_strerror(err)));
	l->last_err = err;
	if (err) {
		l->next_ms = now + TICK_MS;
	} else {
		free(l->holder);
		l->holder = mem_strdup(holder ? holder : "");
		l->events.clock(l->events.arg, l->sent_ms, now, redis_ms);
	}
	apply_change(l, leader_state_reply(&l->state, l->sent_ms, now, err, leading, term));
}

static void tick(uv_timer_t *timer)
{
	struct leader *l = timer->data;
	int64_t now = clock_mono_ms();

	apply_change(l, leader_state_tick(&l->state, now));
	if (l->asking || l->stopped || now < l->next_ms || !redis_is_up(l->redis))
		return;
	l->asking = true;
	l->sent_ms = now;
	l->next_ms = now + l->state.lease_ms / 3;
	leader_hold(l->redis, l->nonce, l->state.term, l->state.lease_ms, answered, l);
}

/* Before any timer of a process that was stopped does what only a leader may. */
static void woken(uv_check_t *check)
{
	struct leader *l = check->data;

	apply_change(l, leader_state_tick(&l->state, clock_mono_ms()));
}

struct leader *leader_new(uv_loop_t *loop, struct redis *redis, const char *nonce, int64_t lease_ms,
	const struct leader_events *events)
{
	struct leader *l = mem_zalloc(sizeof *l);

	l->redis = redis;
	l->events = *events;
	l->state.lease_ms = lease_ms;
	l->nonce = mem_strdup(nonce);
	l->holder = mem_strdup("");
	l->tick.data = l;
	uv_timer_init(loop, &l->tick);
	uv_timer_start(&l->tick, tick, 0, TICK_MS);
	l->woken.data = l;
	uv_check_init(loop, &l->woken);
	uv_check_start(&l->woken, woken);
	return l;
}

bool leader_leads(const struct leader *l)
{
	return l->state.leading;
}

const char *leader_holder(const struct leader *l)
{
	return l->holder;
}

void leader_stop(struct leader *l, void (*done)(void *arg), void *arg)
{
	uint64_t term = l->state.term;

	l->stopped = true;
	l->stop_done = done;
	l->stop_arg = arg;
	if (l->state.leading) {
		l->state.leading = false;
		l->state.term = 0;
		l->events.changed(l->events.arg, false, 0);
	}
	if (l->asking) /* answered() goes on: it knows whether there is a lease to give back */
		return;
	if (term)
		leader_resign(l->redis, l->nonce, term, resigned, l);
	else
		resigned(l, 0);
}

void leader_close(struct leader *l)
{
	if (!l)
		return;
	uv_close((uv_handle_t *)&l->tick, NULL);
	uv_close((uv_handle_t *)&l->woken, NULL);
}

void leader_free(struct leader *l)
{
	if (!l)
		return;
	free(l->nonce);
	free(l->holder);
	free(l);
}

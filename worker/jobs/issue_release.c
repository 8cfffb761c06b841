/* Names that leave: when an endpoint goes, or names were taken out of its config, their valid
 * authorizations are deactivated at every authority before the claims are given up, so that the
 * next holder's orders are validated anew. */
#include "common/clock.h"
#include "common/event.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/mp.h"
#include "worker/jobs/events.h"
#include "worker/jobs/issue_internal.h"
#include "worker/pool.h"
#include "worker/worker.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* After so many tries the endpoint goes all the same: what is still valid at the CA stays listed
 * with the name, and is deactivated before the next holder's first order. */
#define REMOVE_TRIES 3

static void add_name(struct issue *s, const char *name)
{
	for (size_t i = 0; i < s->leaving_n; i++)
		if (!strcmp(s->leaving[i], name))
			return;
	s->leaving = mem_grow(s->leaving, s->leaving_n + 1, sizeof *s->leaving);
	s->leaving[s->leaving_n++] = mem_strdup(name);
}

static void collect_names(struct issue *s)
{
	const struct endpoint_config *c = &s->job->endpoint.config;
	char name[NAME_SIZE];
	struct mp_doc doc;
	struct mp root, v;

	for (size_t i = 0; c->removing && i < c->names_n; i++)
		add_name(s, c->names[i]);
	if (!s->job->dropped.len ||
		mp_open(&doc, s->job->dropped.data, s->job->dropped.len, &root, NULL))
		return;
	for (struct mp_iter it = mp_iter(&root); mp_next(&it, &v);)
		if (!mp_as_text(&v, name, sizeof name))
			add_name(s, name);
}

static void on_claims(void *arg, int err, const struct queue_claim_result *results, size_t n)
{
	struct issue *s = arg;

	if (!issue_resume(s))
		return;
	s->stale_left--;
	for (size_t i = 0; !err && i < n; i++)
		for (size_t k = 0; k < results[i].stale_n; k++)
			issue_deactivate(s, &results[i].stale[k], s->leaving[i]);
	if (err)
		issue_redis_failed(s, err, "the claims of the names could not be read");
	else if (!s->stale_left)
		issue_names_released(s);
}

void issue_release_names(struct issue *s)
{
	_mem_free_ struct queue_claim_name *names = NULL;

	if (!s->leaving_n)
		collect_names(s);
	if (!s->leaving_n) {
		issue_names_released(s);
		return;
	}
	names = mem_array(s->leaving_n, sizeof *names);
	for (size_t i = 0; i < s->leaving_n; i++)
		names[i] = (struct queue_claim_name){.name = s->leaving[i], .leaving = true};
	s->stale_left++; /* the answer itself: nothing is released before it has come */
	issue_hold(s);
	queue_claim(pool_queue(s->job->pool), s->job->id, s->job->token, names, s->leaving_n,
		on_claims, s);
}

static void tell_removed(struct issue *s)
{
	_buf_release_ struct buf data = BUF_INIT(EVENT_DATA_MAX);
	_mem_free_ char *id =
		mem_printf("removed/%s/%" PRId64, s->job->id, s->job->endpoint.config.created_ms);

	event_removed(&data, &s->job->endpoint);
	outcome_event(s->outcome, EVENT_REMOVED, id, &data);
}

void issue_names_released(struct issue *s)
{
	struct endpoint *e = &s->job->endpoint;

	if (s->stale_failed && e->issuance.failures + 1 < REMOVE_TRIES) {
		issue_fail(s, &s->stale_failure);
		return;
	}
	for (size_t i = 0; i < s->leaving_n; i++)
		outcome_dropped(s->outcome, s->leaving[i]);
	if (e->config.removing) {
		outcome_remove(s->outcome);
		tell_removed(s);
		LOG(INFO, "endpoint_removed", LF("endpoint", s->job->id));
	}
	e->issuance.failures = 0;
	e->issuance.next_ms = 0;
	e->has_dropped = false;
	issue_finish(s);
}

/* The canary's order: as a customer's, but it ends before finalize, and its authorizations are
 * deactivated. */
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/authorities.h"
#include "worker/breaker_internal.h"
#include "worker/jobs/challenge.h"
#include "worker/stats.h"
#include "worker/worker.h"

#include <stdio.h>
#include <string.h>

#define DEADLINE_MS (2 * CLOCK_MINUTE_MS)

static const char *tenant_of(const struct canary *c)
{
	return c->b->w->config->breaker.tenant;
}

/* --- hooks: nothing of it outlives the process */

static void hook_checkpoint(void *arg, const struct acme_checkpoint *checkpoint, bool barrier,
	acme_done_fn *done, void *done_arg)
{
	struct canary *c = arg;

	(void)checkpoint;
	c->valid = c->valid || barrier; /* it stands before finalize: all was validated */
	done(done_arg, barrier ? CF_EREFUSED : 0);
}

static void hook_publish(
	void *arg, const struct acme_challenge *challenge, acme_done_fn *done, void *done_arg)
{
	struct canary *c = arg;

	c->asked = true;
	challenge_publish(c->b->w, tenant_of(c), challenge, done, done_arg);
}

static void hook_visible(
	void *arg, const struct acme_challenge *challenge, acme_done_fn *done, void *done_arg)
{
	struct canary *c = arg;

	challenge_visible(c->b->w, tenant_of(c), challenge, done, done_arg);
}

static void hook_unpublish(
	void *arg, const struct acme_challenge *challenge, acme_done_fn *done, void *done_arg)
{
	struct canary *c = arg;

	challenge_unpublish(c->b->w, tenant_of(c), challenge, done, done_arg);
}

static const struct acme_hooks hooks = {
	.checkpoint = hook_checkpoint,
	.publish = hook_publish,
	.visible = hook_visible,
	.unpublish = hook_unpublish,
};

/* --- the end */

static void place(struct canary *c);

static void over(struct canary *c)
{
	if (c->valid && !c->asked && !c->again && c->way != BREAKER_ORDERS) {
		c->again = true;
		c->valid = false;
		place(c);
		return;
	}
	if (c->valid && !c->asked && c->way != BREAKER_ORDERS) {
		c->valid = false;
		snprintf(c->why, sizeof c->why, "the authority did not validate it anew");
	}
	canary_over(c->b, c);
	free(c);
}

static void on_deactivated(void *arg, const struct acme_failure *f)
{
	struct canary *c = arg;

	(void)f; /* then the next try orders twice */
	if (--c->left)
		return;
	if (c->b)
		over(c);
	else
		free(c);
}

static void on_order(void *arg, struct acme_result *r)
{
	struct canary *c = arg;
	struct acme_authority *a = authorities_get(c->b->w->authorities, c->authority);

	c->order = NULL;
	if (!c->valid && r->failure)
		snprintf(c->why, sizeof c->why, "%s: %s", r->failure->code, r->failure->detail);
	c->left = 1;
	for (size_t i = 0; c->valid && i < r->n_authorizations; i++) {
		c->left++;
		acme_deactivate_authz(a, r->authorizations[i].url, on_deactivated, c);
	}
	on_deactivated(c, NULL);
}

/* --- the beginning */

static void fill_choices(const struct canary *c, struct acme_identifier *out)
{
	static const enum acme_challenge_type types[] = {
		[BREAKER_HTTP01] = ACME_HTTP_01, [BREAKER_DNS01] = ACME_DNS_01};

	for (enum breaker_way way = 0; way < BREAKER_ORDERS; way++)
		if (c->way == way || (c->way == BREAKER_ORDERS &&
					     c->b->w->config->breaker.challenges & 1u << way))
			out->choices[out->n_choices++] = types[way];
}

static void place(struct canary *c)
{
	struct acme_identifier name = {.name = c->b->w->config->breaker.canary};
	const struct acme_order_spec spec = {.names = &name,
		.n_names = 1,
		.key_type = KEY_P256,
		.deadline_ms = DEADLINE_MS,
		.log_id = "canary"};

	fill_choices(c, &name);
	c->order = acme_order_start(authorities_get(c->b->w->authorities, c->authority), &spec,
		NULL, &hooks, c, on_order);
}

void canary_start(struct breaker *b, const char *authority, enum breaker_way way)
{
	struct canary *c = mem_zalloc(sizeof *c);

	c->b = b;
	c->way = way;
	snprintf(c->authority, sizeof c->authority, "%s", authority);
	b->canary = c;
	LOG(INFO, "canary_tried", LF("authority", authority), LF("way", breaker_way_name(way)),
		LF("name", b->w->config->breaker.canary));
	place(c);
}

void canary_cancel(struct canary *c)
{
	if (!c)
		return;
	c->b->canary = NULL;
	if (c->order)
		acme_order_cancel(mem_steal(c->order), false);
	c->b = NULL;
	if (!c->left)
		free(c);
}

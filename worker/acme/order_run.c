#include "worker/acme/order_run.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

#include <string.h>

#define DEADLINE_DEFAULT_MS CLOCK_HOUR_MS
#define NEVER               INT64_MAX
#define NOT_HELD_MS         250 /* until it is asked again; its owner ends it soon */

static void run_unref(struct acme_order *run)
{
	if (--run->refs)
		return;
	order_release(&run->order);
	buf_release_secret(&run->packed);
	EVP_PKEY_free(run->key);
	chain_release(&run->chain);
	free(run->flights);
	free(run->log_id);
	free(run);
}

static void on_closed(uv_handle_t *handle)
{
	run_unref(container_of(handle, struct acme_order, timer));
}

/* Nobody wants it any more; it lives on while hooks or pool threads hold flights of it. */
static void run_drop(struct acme_order *run)
{
	run->dead = true;
	authority_unwait(run->authority, &run->waiter);
	for (size_t i = 0; i < run->n_flights; i++)
		if (run->flights[i])
			run_take_back(run->flights[i]);
	uv_close((uv_handle_t *)&run->timer, on_closed);
	run_unref(run);
}

/* --- the end --- */

static size_t list_authorizations(const struct order *o, struct acme_authorization *out)
{
	size_t n = 0;

	for (size_t i = 0; i < o->n_authz; i++) {
		const struct authz *a = &o->authz[i];

		if (a->end == AUTHZ_VALID && a->name)
			out[n++] = (struct acme_authorization){.name = a->name,
				.wildcard = a->wildcard,
				.url = a->url,
				.expires_wall_ms = a->expires_wall_ms};
	}
	return n;
}

static void finish(struct acme_order *run)
{
	const struct order *o = &run->order;
	struct acme_authorization *list = mem_array(o->n_authz + 1, sizeof(*list));
	struct acme_result r = {
		.ok = o->step == ORDER_DONE,
		.chain = o->step == ORDER_DONE ? &run->chain : NULL,
		.key = o->step == ORDER_DONE ? run->key : NULL,
		.replaced = o->replaced,
		.order_url = o->url,
		.authorizations = list,
		.n_authorizations = list_authorizations(o, list),
		.orders_placed = o->placed,
		.failure = o->failure,
	};

	run->refs++;
	run_drop(run);
	run->fn(run->arg, &r);
	free(list);
	run_unref(run);
}

/* --- the pump --- */

static void make_room(struct acme_order *run)
{
	size_t n = run->order.n_authz + 1;

	if (n <= run->n_flights)
		return;
	run->flights = mem_grow(run->flights, n, sizeof(struct flight *));
	while (run->n_flights < n)
		run->flights[run->n_flights++] = NULL;
}

/* Starts, or takes back, what the unit calls for; true if the order changed at once. */
static void pump_unit(struct acme_order *run, int unit)
{
	const struct outcome canceled = {.canceled = true, .err = CF_ECANCELED};
	struct flight *f = run->flights[unit + 1];
	struct effect e;

	if (f) {
		if (order_unwanted(&run->order, unit))
			run_take_back(f);
		return;
	}
	if (unit != ORDER_UNIT && order_unwanted(&run->order, unit)) {
		order_consume(&run->order, unit, &canceled);
		run->again = true;
		return;
	}
	order_next(&run->order, unit, &e);
	run_effect(run, unit, &e);
	free((char *)e.payload);
}

static void note_authz(struct acme_order *run, struct authz *a)
{
	if (!a->fresh)
		return;
	a->fresh = false;
	LOG(DEBUG, "authz_step", LF("endpoint", run->log_id), LF("step", authz_step_name(a->step)),
		LF("name", a->name), LF("authz", a->url));
}

static void pump_all(struct acme_order *run)
{
	pump_unit(run, ORDER_UNIT);
	for (int i = 0; run->order.step == ORDER_AUTHORIZE && i < (int)run->order.n_authz; i++) {
		make_room(run);
		note_authz(run, &run->order.authz[i]);
		pump_unit(run, i);
	}
}

static void on_timer(uv_timer_t *timer);

static bool held(const struct acme_order *run)
{
	return !run->hooks->held || run->hooks->held(run->arg);
}

static void arm(struct acme_order *run)
{
	int64_t now = clock_mono_ms(), at = run->deadline_mono_ms;

	if (run->again && now + NOT_HELD_MS < at)
		at = now + NOT_HELD_MS;
	for (size_t i = 0; i < run->n_flights; i++)
		if (run->flights[i] && run->flights[i]->kind == EFFECT_WAIT &&
			run->flights[i]->wake_mono_ms < at)
			at = run->flights[i]->wake_mono_ms;
	if (at == NEVER)
		uv_timer_stop(&run->timer);
	else
		uv_timer_start(&run->timer, on_timer, at > now ? (uint64_t)(at - now) : 0, 0);
}

void run_pump(struct acme_order *run)
{
	const struct ca_directory *d = authority_directory(run->authority);

	run->again = true;
	if (run->pumping || run->dead)
		return;
	run->pumping = true;
	run->order.new_order_url = d->new_order;
	run->order.renewal_info = d->renewal_info != NULL;
	while (run->again && !order_is_over(&run->order) && held(run)) {
		run->again = false;
		pump_all(run);
	}
	run->pumping = false;
	if (order_is_over(&run->order))
		finish(run);
	else
		arm(run);
}

void run_consume(struct flight *f, const struct outcome *outcome)
{
	struct acme_order *run = f->run;

	if (run->flights[f->unit + 1] == f)
		run->flights[f->unit + 1] = NULL;
	if (!run->dead) {
		order_consume(&run->order, f->unit, outcome);
		make_room(run);
	}
	flight_free(f);
	run_pump(run);
	run_unref(run);
}

static void wake(struct acme_order *run, int64_t now)
{
	const struct outcome woken = {0};

	for (size_t i = 0; i < run->n_flights; i++) {
		struct flight *f = run->flights[i];

		if (f && f->kind == EFFECT_WAIT && f->wake_mono_ms <= now)
			run_consume(f, &woken);
	}
}

static void on_timer(uv_timer_t *timer)
{
	struct acme_order *run = container_of(timer, struct acme_order, timer);
	int64_t now = clock_mono_ms();

	run->refs++;
	if (now >= run->deadline_mono_ms) {
		struct acme_failure f = {0};

		run->deadline_mono_ms = NEVER;
		failure_set(&f, ACME_BACKOFF, ACME_ORDER, "deadline",
			"the order was not done in time, at step %s",
			order_step_name(run->order.step));
		order_give_up(&run->order, &f);
		failure_release(&f);
		run_pump(run);
	} else {
		run->pumping = true; /* one pump for all that wake together */
		wake(run, now);
		run->pumping = false;
		run_pump(run);
	}
	run_unref(run);
}

/* --- the start --- */

static void on_entered(void *arg, const struct order *o, enum order_step from)
{
	struct acme_order *run = arg;

	(void)from;
	run->since_wall_ms = clock_wall_ms();
	LOG(DEBUG, "order_step", LF("endpoint", run->log_id), LF("step", order_step_name(o->step)),
		LF("order", o->url));
	if (run->hooks->progress)
		run->hooks->progress(run->arg, order_step_name(o->step),
			order_step_sentence(o->step), run->since_wall_ms);
}

static void fail_start(
	struct acme_order *run, enum acme_class class, const char *code, const char *text)
{
	struct acme_failure f = {0};

	failure_set(&f, class, ACME_ORDER, code, "%s", text);
	order_give_up(&run->order, &f);
	failure_release(&f);
}

static void on_ready(void *arg, const struct acme_failure *failure)
{
	struct acme_order *run = arg;

	run->order.entered = on_entered;
	run->order.entered_arg = run;
	on_entered(run, &run->order, run->order.step);
	if (failure)
		order_give_up(&run->order, failure);
	else if (run->order.n_names == 0 || run->order.n_names > ACME_NAMES_MAX)
		fail_start(run, ACME_OPERATOR, "malformed", "an order has 1 to 100 names");
	run_pump(run);
}

/* What was checkpointed for something else is of no use. */
static void resume(struct acme_order *run, const struct acme_checkpoint *c)
{
	if (!c || c->version != ACME_CHECKPOINT_VERSION || !c->key_len || !c->authority ||
		strcmp(c->authority, authority_name(run->authority)) != 0 ||
		memcmp(c->names_hash, run->names_hash, sizeof(c->names_hash)) != 0)
		return;
	if (keypair_unpack(c->key, c->key_len, &run->key) < 0) {
		run->key = NULL;
		return;
	}
	buf_add(&run->packed, c->key, c->key_len);
	order_resume(&run->order, c->order_url);
}

struct acme_order *acme_order_start(struct acme_authority *a, const struct acme_order_spec *spec,
	const struct acme_checkpoint *from, const struct acme_hooks *hooks, void *arg,
	acme_order_fn *fn)
{
	struct acme_order *run = mem_zalloc(sizeof(*run));
	struct order_input in = {
		.names = spec->names,
		.n_names = spec->n_names,
		.profile = spec->profile ? spec->profile : authority_profile(a),
		.replaces = spec->replaces,
		.seed = (uint32_t)uv_hrtime() | 1,
	};

	run->authority = a;
	run->key_type = spec->key_type ? spec->key_type : KEY_P256;
	run->log_id = mem_strdup(spec->log_id ? spec->log_id : "");
	run->hooks = hooks;
	run->arg = arg;
	run->fn = fn;
	run->packed = BUF_INIT(8192);
	run->refs = 2; /* the owner's and the timer's */
	run->since_wall_ms = clock_wall_ms();
	run->deadline_mono_ms =
		clock_mono_ms() + (spec->deadline_ms > 0 ? spec->deadline_ms : DEADLINE_DEFAULT_MS);
	run_names_hash(run->key_type, spec->names, spec->n_names, run->names_hash);
	order_init(&run->order, &in);
	uv_timer_init(authority_loop(a), &run->timer);
	make_room(run);
	resume(run, from);
	arm(run);
	authority_wait(a, &run->waiter, on_ready, run);
	return run;
}

void acme_order_cancel(struct acme_order *run, bool keep)
{
	if (!run)
		return;
	run->dead = true;
	for (size_t i = 0; !keep && i < run->order.n_authz; i++)
		if (run->order.authz[i].published && run->order.authz[i].token)
			run_unpublish(run, &run->order.authz[i]);
	run_drop(run);
}

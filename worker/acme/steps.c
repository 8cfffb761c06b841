#include "worker/acme/steps_internal.h"

#include "common/mem.h"
#include "common/str.h"

#include <stdio.h>
#include <string.h>

enum {
	RESTARTS_MAX = 1, /* orders placed anew because the first one is gone */
	PAYLOAD_BYTES_MAX = 65536,
};

struct order_row {
	void (*next)(const struct order *o, struct effect *out);
	void (*consume)(struct order *o, const struct outcome *outcome);
	uint8_t budget; /* failed tries before the order fails */
	enum unknown_rule unknown;
	bool durable; /* entered only after a barrier was acknowledged */
};

static const struct order_row rows[ORDER_STEPS_N];

#define TEXT(id, name, sentence) [ORDER_##id] = {name, sentence},
static const struct {
	const char *name, *sentence;
} texts[ORDER_STEPS_N] = {ORDER_STEPS(TEXT)};
#undef TEXT

const char *order_step_name(enum order_step step)
{
	return (size_t)step < ORDER_STEPS_N ? texts[step].name : "unknown";
}

const char *order_step_sentence(enum order_step step)
{
	return (size_t)step < ORDER_STEPS_N ? texts[step].sentence : "";
}

enum verdict order_judge(struct order *o, const struct outcome *outcome, struct acme_failure *f)
{
	const struct order_row *row = &rows[o->step];

	return steps_judge(&o->seed, &o->walk, row->budget, row->unknown, outcome, f);
}

/* --- life --- */

void order_init(struct order *o, const struct order_input *in)
{
	*o = (struct order){.step = ORDER_MAKE_KEY, .n_names = in->n_names, .seed = in->seed};
	o->names = mem_array(in->n_names, sizeof(*o->names));
	for (size_t i = 0; i < in->n_names; i++) {
		o->names[i] = in->names[i];
		o->names[i].name = mem_strdup(in->names[i].name);
	}
	o->profile = mem_strdup_opt(in->profile);
	o->replaces = mem_strdup_opt(in->replaces);
}

static void free_error(struct order *o)
{
	if (o->error)
		problem_release(o->error);
	free(o->error);
	o->error = NULL;
}

/* All that belongs to one order at the CA. */
static void forget_order(struct order *o)
{
	for (size_t i = 0; i < o->n_authz; i++)
		authz_release(&o->authz[i]);
	free(o->authz);
	o->authz = NULL;
	o->n_authz = 0;
	free(o->url);
	free(o->finalize_url);
	free(o->certificate_url);
	free(o->pem);
	o->url = o->finalize_url = o->certificate_url = o->pem = NULL;
	o->status = CA_UNKNOWN;
	o->durable = o->finalize_asked = false;
	free_error(o);
}

void order_release(struct order *o)
{
	forget_order(o);
	for (size_t i = 0; i < o->n_names; i++)
		free((char *)o->names[i].name);
	free(o->names);
	free(o->profile);
	free(o->replaces);
	free(o->csr);
	if (o->failure)
		failure_release(o->failure);
	free(o->failure);
	*o = (struct order){0};
}

/* The only place where the step changes. */
void order_enter(struct order *o, enum order_step step)
{
	enum order_step from = o->step;

	if (rows[step].durable && !o->durable)
		step = ORDER_BARRIER;
	o->step = step;
	o->walk = (struct walk){0};
	if (o->entered)
		o->entered(o->entered_arg, o, from);
}

void order_resume(struct order *o, const char *order_url)
{
	o->have_key = true;
	o->url = mem_strdup_opt(order_url);
	order_enter(o, order_url ? ORDER_READ_ORDER : ORDER_NEW_ORDER);
}

/* The order can be taken up again where it stands, unless what failed is the order itself. */
static bool is_resumable(const struct order *o, const struct acme_failure *f)
{
	return o->url && o->status != CA_INVALID &&
	       (f->class == ACME_BACKOFF || f->class == ACME_WAIT_UNTIL ||
		       f->class == ACME_OPERATOR || f->class == ACME_CANCELED);
}

void order_fail(struct order *o, struct acme_failure *f)
{
	if (o->failure || order_is_over(o)) {
		failure_release(f);
		return;
	}
	f->resumable = is_resumable(o, f) && !f->counts_as_failed_authz;
	snprintf(f->step, sizeof(f->step), "%s", texts[o->step].name);
	o->failure = mem_dup(f, sizeof(*f));
	*f = (struct acme_failure){0};
	for (size_t i = 0; i < o->n_authz; i++)
		authz_abandon(o, &o->authz[i]);
	if (o->step != ORDER_AUTHORIZE || authz_settle(o))
		order_enter(o, ORDER_FAILED);
}

void order_fail_with(struct order *o, enum acme_class class, enum acme_scope scope,
	const char *code, const char *text)
{
	struct acme_failure f = {0};

	failure_set(&f, class, scope, code, "%s", text);
	order_fail(o, &f);
}

/* The order is gone (expired, or an authorization was deactivated): a new one, with the same key.
 */
void order_restart(struct order *o)
{
	if (o->restarts++ >= RESTARTS_MAX) {
		forget_order(o);
		order_fail_with(o, ACME_BACKOFF, ACME_ORDER, "order_gone",
			"the CA's order vanished or died, twice");
		return;
	}
	forget_order(o);
	order_enter(o, ORDER_NEW_ORDER);
}

/* --- reading the CA's order --- */

static void set_text(char **at, const char *text)
{
	char *copy = mem_strdup_opt(text);

	free(*at);
	*at = copy;
}

static void fork_authz(struct order *o, const struct ca_order *c)
{
	if (o->authz || !c->n_authorizations)
		return;
	o->authz = mem_array(c->n_authorizations, sizeof(*o->authz));
	o->n_authz = c->n_authorizations;
	for (size_t i = 0; i < o->n_authz; i++)
		o->authz[i] =
			(struct authz){.url = mem_strdup(c->authorizations[i]), .fresh = true};
}

int order_take(struct order *o, const struct outcome *outcome)
{
	struct ca_order c;
	int err = ca_order_parse(outcome->body, outcome->len, &c, NULL);

	if (err < 0)
		return err;
	o->status = c.status;
	o->replaced |= c.replaces;
	set_text(&o->finalize_url, c.finalize);
	if (c.certificate)
		set_text(&o->certificate_url, c.certificate);
	fork_authz(o, &c);
	free_error(o);
	o->error = mem_steal(c.error);
	ca_order_release(&c);
	return 0;
}

void order_fail_invalid(struct order *o)
{
	struct acme_failure f = {0};

	if (o->error)
		problem_to_failure(o->error, 0, 0, &f);
	else
		failure_set(&f, ACME_BACKOFF, ACME_ORDER, "order_gone",
			"the CA made the order invalid and gave no reason");
	f.scope = f.failed_name[0] ? ACME_IDENTIFIER : ACME_ORDER;
	order_fail(o, &f);
}

/* --- the key and what is saved --- */

static void next_make_key(const struct order *o, struct effect *out)
{
	(void)o;
	out->kind = EFFECT_MAKE_KEY;
}

static void consume_make_key(struct order *o, const struct outcome *outcome)
{
	if (outcome->err) {
		order_fail_with(o, ACME_BACKOFF, ACME_ORDER, "key", "no key could be made");
		return;
	}
	o->have_key = true;
	order_enter(o, ORDER_SAVE_KEY);
}

static void next_checkpoint(const struct order *o, struct effect *out)
{
	out->kind = EFFECT_CHECKPOINT;
	out->barrier = o->step == ORDER_BARRIER;
}

static bool saved(struct order *o, const struct outcome *outcome)
{
	if (!outcome->err)
		return true;
	order_fail_with(o, ACME_BACKOFF, ACME_ORDER, "checkpoint_failed",
		outcome->why && outcome->why[0] ? outcome->why : cf_strerror(outcome->err));
	return false;
}

static void consume_save_key(struct order *o, const struct outcome *outcome)
{
	if (saved(o, outcome))
		order_enter(o, o->url ? ORDER_READ_ORDER : ORDER_NEW_ORDER);
}

static void consume_save_order(struct order *o, const struct outcome *outcome)
{
	if (saved(o, outcome))
		order_enter(o, ORDER_AUTHORIZE);
}

static void consume_barrier(struct order *o, const struct outcome *outcome)
{
	if (!saved(o, outcome))
		return;
	o->durable = true;
	order_enter(o, o->csr ? ORDER_FINALIZE : ORDER_MAKE_CSR);
}

/* --- newOrder --- */

static void next_new_order(const struct order *o, struct effect *out)
{
	struct buf b = BUF_INIT(PAYLOAD_BYTES_MAX);

	buf_adds(&b, "{\"identifiers\":[");
	for (size_t i = 0; i < o->n_names; i++) {
		buf_adds(&b, i ? ",{\"type\":\"dns\",\"value\":" : "{\"type\":\"dns\",\"value\":");
		str_json(&b, o->names[i].name);
		buf_addc(&b, '}');
	}
	buf_addc(&b, ']');
	if (o->profile) {
		buf_adds(&b, ",\"profile\":");
		str_json(&b, o->profile);
	}
	if (o->replaces && o->renewal_info) {
		buf_adds(&b, ",\"replaces\":");
		str_json(&b, o->replaces);
	}
	buf_addc(&b, '}');
	out->kind = EFFECT_POST;
	out->url = o->new_order_url;
	out->payload = buf_detach(&b, NULL);
}

/* RFC 9773 section 5 says 409 alreadyReplaced; CAs were seen to say other things, Pebble
 * serverInternal for a certificate whose serial begins with a zero byte. The worst that a needless
 * second try costs is the exemption. */
static bool blames_replaces(const struct order *o, const struct acme_failure *f)
{
	return o->replaces && o->renewal_info &&
	       (f->status == 409 || !strcmp(f->code, "alreadyReplaced") ||
		       !strcmp(f->code, "conflict") || !strcmp(f->code, "malformed") ||
		       !strcmp(f->code, "unauthorized") || !strcmp(f->code, "serverInternal"));
}

static void refused_new_order(struct order *o, struct acme_failure *f)
{
	if (!blames_replaces(o, f)) {
		order_fail(o, f);
		return;
	}
	failure_release(f);
	free(o->replaces);
	o->replaces = NULL;
}

static void took_new_order(struct order *o, const struct outcome *outcome)
{
	o->placed++;
	if (!outcome->location || order_take(o, outcome) < 0) {
		order_fail_with(o, ACME_BACKOFF, ACME_AUTHORITY, "not_acme",
			"the CA's answer to newOrder is not an order with a Location");
		return;
	}
	set_text(&o->url, outcome->location);
	o->replaced = o->replaces && o->renewal_info;
	order_enter(o, ORDER_SAVE_ORDER);
}

static void consume_new_order(struct order *o, const struct outcome *outcome)
{
	struct acme_failure f = {0};

	switch (order_judge(o, outcome, &f)) {
	case VERDICT_OK:
		took_new_order(o, outcome);
		break;
	case VERDICT_FAIL:
		refused_new_order(o, &f);
		break;
	case VERDICT_AGAIN:
	case VERDICT_ASK:
		o->placed += outcome->err && outcome->sent; /* it may have been taken */
		break;
	}
}

/* --- where does it stand? --- */

static void next_read_order(const struct order *o, struct effect *out)
{
	out->kind = EFFECT_POST;
	out->url = o->url;
}

static void consume_read_order(struct order *o, const struct outcome *outcome)
{
	struct acme_failure f = {0};
	enum verdict v = order_judge(o, outcome, &f);

	if (v == VERDICT_FAIL && steps_is_refusal(&f)) {
		failure_release(&f); /* unknown to the CA, or another account's */
		order_restart(o);
	} else if (v == VERDICT_FAIL) {
		order_fail(o, &f);
	} else if (v == VERDICT_OK && order_take(o, outcome) < 0) {
		order_fail_with(o, ACME_BACKOFF, ACME_AUTHORITY, "not_acme",
			"what the CA has at the order's URL is not an order");
	} else if (v == VERDICT_OK) {
		order_enter(o, ORDER_AUTHORIZE);
	}
}

/* --- authorizations --- */

static void next_authorize(const struct order *o, struct effect *out)
{
	(void)o;
	(void)out; /* the authorizations have their own */
}

static void consume_authorize(struct order *o, const struct outcome *outcome)
{
	(void)o;
	(void)outcome;
}

/* All authorizations are over. */
static void after_authorize(struct order *o)
{
	bool dead = false;

	for (size_t i = 0; i < o->n_authz; i++)
		dead |= o->authz[i].end == AUTHZ_DEAD;
	if (o->failure)
		order_enter(o, ORDER_FAILED);
	else if (o->status == CA_INVALID && o->error)
		order_fail_invalid(o);
	else if (o->status == CA_VALID || o->status == CA_PROCESSING)
		order_enter(o, o->certificate_url ? ORDER_DOWNLOAD : ORDER_POLL_ORDER);
	else if (dead || (o->status != CA_PENDING && o->status != CA_READY))
		order_restart(o);
	else
		order_enter(o, ORDER_BARRIER);
}

static void next_done(const struct order *o, struct effect *out)
{
	out->kind = o->step == ORDER_DONE ? EFFECT_DONE : EFFECT_FAIL;
}

static void consume_done(struct order *o, const struct outcome *outcome)
{
	(void)o;
	(void)outcome;
}

/* --- the table --- */

static const struct order_row rows[ORDER_STEPS_N] = {
	[ORDER_MAKE_KEY] = {.next = next_make_key, .consume = consume_make_key},
	[ORDER_SAVE_KEY] = {.next = next_checkpoint, .consume = consume_save_key},
	/* There is no asking: CAs have no list of orders, but hand the same pending one out again.
	 */
	[ORDER_NEW_ORDER] = {.next = next_new_order,
		.consume = consume_new_order,
		.budget = 4,
		.unknown = UNKNOWN_REPLAY},
	[ORDER_SAVE_ORDER] = {.next = next_checkpoint, .consume = consume_save_order},
	[ORDER_READ_ORDER] = {.next = next_read_order, .consume = consume_read_order, .budget = 6},
	[ORDER_AUTHORIZE] = {.next = next_authorize, .consume = consume_authorize},
	[ORDER_BARRIER] = {.next = next_checkpoint, .consume = consume_barrier},
	[ORDER_MAKE_CSR] = {.next = order_next_make_csr, .consume = order_consume_make_csr},
	[ORDER_FINALIZE] = {.next = order_next_finalize,
		.consume = order_consume_finalize,
		.budget = 4,
		.unknown = UNKNOWN_ASK,
		.durable = true},
	[ORDER_POLL_ORDER] = {.next = next_read_order, .consume = order_consume_poll, .budget = 8},
	[ORDER_DOWNLOAD] = {.next = order_next_download,
		.consume = order_consume_download,
		.budget = 8},
	[ORDER_CHECK_CHAIN] = {.next = order_next_check_chain,
		.consume = order_consume_check_chain},
	[ORDER_DONE] = {.next = next_done, .consume = consume_done},
	[ORDER_FAILED] = {.next = next_done, .consume = consume_done},
};

/* --- the interface --- */

static const struct walk *walk_of(const struct order *o, int unit)
{
	return unit == ORDER_UNIT ? &o->walk : &o->authz[unit].walk;
}

void order_next(const struct order *o, int unit, struct effect *out)
{
	const struct walk *w = walk_of(o, unit);

	*out = (struct effect){.kind = EFFECT_NONE};
	if (unit == ORDER_UNIT && order_is_over(o)) {
		next_done(o, out);
	} else if (w->account) {
		out->kind = EFFECT_ACCOUNT;
	} else if (w->pause_ms) {
		out->kind = EFFECT_WAIT;
		out->wait_ms = w->pause_ms;
	} else if (unit == ORDER_UNIT) {
		rows[o->step].next(o, out);
	} else {
		authz_next(o, &o->authz[unit], out);
	}
}

/* What comes before a step's own effect is over. */
static bool took_pause(struct walk *w)
{
	if (w->account) {
		w->account = false;
		return true;
	}
	if (w->pause_ms) {
		w->pause_ms = 0;
		return true;
	}
	return false;
}

void order_consume(struct order *o, int unit, const struct outcome *outcome)
{
	if (unit == ORDER_UNIT) {
		if (!order_is_over(o) && !took_pause(&o->walk) && !outcome->canceled)
			rows[o->step].consume(o, outcome);
	} else if (unit < (int)o->n_authz) {
		struct authz *a = &o->authz[unit];

		if (order_unwanted(o, unit) || !took_pause(&a->walk))
			authz_consume(o, a, outcome);
	}
	if (o->step == ORDER_AUTHORIZE && authz_settle(o))
		after_authorize(o);
}

bool order_unwanted(const struct order *o, int unit)
{
	if (unit == ORDER_UNIT)
		return order_is_over(o);
	return o->authz[unit].abandoned && o->authz[unit].end == AUTHZ_RUNS;
}

void order_give_up(struct order *o, const struct acme_failure *failure)
{
	struct acme_failure f = {0};

	failure_copy(&f, failure);
	order_fail(o, &f);
	if (o->step == ORDER_AUTHORIZE && authz_settle(o))
		after_authorize(o);
}

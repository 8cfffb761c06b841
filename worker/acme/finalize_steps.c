/* finalize_steps.c - the second half of an order: from all authorizations to a checked certificate.
 */
#include "worker/acme/steps_internal.h"

#include "common/mem.h"

#include <string.h>

enum {
	FINALIZES_MAX = 5,
	READY_POLLS = 5, /* looks at an order that stays ready after it was finalized, before it is
			    again */
	POLLS_MAX = 1000,
	DOWNLOADS_MAX = 8,
};

void order_next_make_csr(const struct order *o, struct effect *out)
{
	(void)o;
	out->kind = EFFECT_MAKE_CSR;
}

void order_consume_make_csr(struct order *o, const struct outcome *outcome)
{
	if (outcome->err) {
		order_fail_with(
			o, ACME_BACKOFF, ACME_ORDER, "key", "no signing request could be made");
		return;
	}
	free(o->csr);
	o->csr = mem_strndup(outcome->body, outcome->len);
	order_enter(o, ORDER_FINALIZE);
}

void order_next_finalize(const struct order *o, struct effect *out)
{
	out->kind = EFFECT_POST;
	out->url = o->finalize_url;
	out->payload = mem_printf("{\"csr\":\"%s\"}", o->csr);
}

/* An order after finalize, as it was just read. */
static void follow(struct order *o, int64_t retry_after_ms)
{
	if (o->status == CA_VALID && o->certificate_url) {
		order_enter(o, ORDER_DOWNLOAD);
		return;
	}
	if (o->status == CA_INVALID) {
		order_fail_invalid(o);
		return;
	}
	if (o->step != ORDER_POLL_ORDER)
		order_enter(o, ORDER_POLL_ORDER);
	if (o->status == CA_READY && (!o->finalize_asked || o->walk.polls >= READY_POLLS)) {
		if (o->finalizes < FINALIZES_MAX)
			order_enter(o, ORDER_FINALIZE);
		else
			order_fail_with(o, ACME_BACKOFF, ACME_AUTHORITY, "not_acme",
				"the CA's order stays ready however often it is finalized");
		return;
	}
	if (o->walk.polls >= POLLS_MAX)
		order_fail_with(o, ACME_BACKOFF, ACME_AUTHORITY, "deadline",
			"the CA's order never became valid");
	else
		steps_poll_later(&o->seed, &o->walk, retry_after_ms);
}

/* badCSR, badPublicKey: once with another key, which is saved before it is used. */
static void rekey(struct order *o)
{
	o->rekeyed = true;
	o->have_key = o->durable = o->finalize_asked = false;
	free(o->csr);
	o->csr = NULL;
	order_enter(o, ORDER_MAKE_KEY);
}

/* The outcome is not known, or it came too early: what the order says decides. */
static void ask_order(struct order *o, bool asked)
{
	int64_t pause_ms = o->walk.pause_ms;

	o->finalize_asked = asked;
	order_enter(o, ORDER_POLL_ORDER);
	o->walk.pause_ms = pause_ms;
}

static void refused_finalize(struct order *o, struct acme_failure *f)
{
	if (!strcmp(f->code, "orderNotReady")) {
		steps_poll_later(&o->seed, &o->walk, f->retry_after_ms);
		failure_release(f);
		ask_order(o, false);
	} else if (!o->rekeyed &&
		   (!strcmp(f->code, "badCSR") || !strcmp(f->code, "badPublicKey"))) {
		failure_release(f);
		rekey(o);
	} else {
		order_fail(o, f);
	}
}

void order_consume_finalize(struct order *o, const struct outcome *outcome)
{
	struct acme_failure f = {0};

	switch (order_judge(o, outcome, &f)) {
	case VERDICT_OK:
		o->finalizes++;
		o->finalize_asked = true;
		if (order_take(o, outcome) < 0)
			ask_order(o, true);
		else
			follow(o, outcome->retry_after_ms);
		break;
	case VERDICT_ASK:
		o->finalizes++;
		/* Unknown is not asked: if the order is still ready, it did not arrive. */
		ask_order(o, false);
		break;
	case VERDICT_FAIL:
		o->finalizes++;
		refused_finalize(o, &f);
		break;
	case VERDICT_AGAIN:
		break;
	}
}

void order_consume_poll(struct order *o, const struct outcome *outcome)
{
	struct acme_failure f = {0};

	switch (order_judge(o, outcome, &f)) {
	case VERDICT_OK:
		if (order_take(o, outcome) < 0)
			order_fail_with(o, ACME_BACKOFF, ACME_AUTHORITY, "not_acme",
				"what the CA has at the order's URL is not an order");
		else
			follow(o, outcome->retry_after_ms);
		break;
	case VERDICT_FAIL:
		if (f.status == 404) {
			failure_release(&f);
			order_restart(o);
		} else {
			order_fail(o, &f);
		}
		break;
	case VERDICT_AGAIN:
	case VERDICT_ASK:
		break;
	}
}

/* --- the certificate --- */

void order_next_download(const struct order *o, struct effect *out)
{
	out->kind = EFFECT_POST;
	out->url = o->certificate_url;
	out->pem = true;
}

void order_consume_download(struct order *o, const struct outcome *outcome)
{
	struct acme_failure f = {0};
	enum verdict v = order_judge(o, outcome, &f);

	if (v == VERDICT_OK) {
		free(o->pem);
		o->pem = mem_dup(outcome->body, outcome->len + 1);
		o->pem_len = outcome->len;
		order_enter(o, ORDER_CHECK_CHAIN);
	} else if (v == VERDICT_FAIL && steps_is_refusal(&f) && o->walk.tries < DOWNLOADS_MAX) {
		/* The order is valid, so that the certificate is there, or will be. */
		o->walk.pause_ms = steps_backoff(&o->seed, o->walk.tries++, 500, 30000);
		failure_release(&f);
	} else if (v == VERDICT_FAIL) {
		f.class = f.class == ACME_WAIT_UNTIL ? ACME_WAIT_UNTIL : ACME_BACKOFF;
		order_fail(o, &f);
	}
}

void order_next_check_chain(const struct order *o, struct effect *out)
{
	(void)o;
	out->kind = EFFECT_CHECK;
}

void order_consume_check_chain(struct order *o, const struct outcome *outcome)
{
	if (outcome->err)
		order_fail_with(o, ACME_OTHER_AUTHORITY, ACME_AUTHORITY, "chain_wrong",
			outcome->why && outcome->why[0] ? outcome->why : cf_strerror(outcome->err));
	else
		order_enter(o, ORDER_DONE);
}

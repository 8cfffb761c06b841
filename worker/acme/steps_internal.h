/* steps_internal.h - what steps.c and authz_steps.c share; for nobody else. */
#pragma once

#include "worker/acme/steps.h"

/** What an answer to a signed request means for the unit that sent it. */
enum verdict {
	VERDICT_OK,    /* 2xx */
	VERDICT_AGAIN, /* the same step once more; walk says after what */
	VERDICT_ASK,   /* the outcome is unknown: ask before anything is sent again */
	VERDICT_FAIL,  /* failure is filled in */
};

/** Judges an outcome against the budget of failed tries; f must be zeroed or released. seed is for
 * jitter. */
enum verdict steps_judge(uint32_t *seed, struct walk *w, unsigned budget, enum unknown_rule unknown,
	const struct outcome *outcome, struct acme_failure *f);
/** A refusal of the request itself (4xx) that says nothing about time, account or the server's
 * health. */
bool steps_is_refusal(const struct acme_failure *f);
/** Sets the pause before the next look at an object that is not ready. */
void steps_poll_later(uint32_t *seed, struct walk *w, int64_t retry_after_ms);
/** A pause of base_ms × 2^n, at most limit_ms, give or take a quarter. */
int64_t steps_backoff(uint32_t *seed, unsigned n, int64_t base_ms, int64_t limit_ms);

/** steps_judge() with the row of the order's step. */
enum verdict order_judge(struct order *o, const struct outcome *outcome, struct acme_failure *f);
/** The only place where the step changes. */
void order_enter(struct order *o, enum order_step step);
/** Reads the order object that came. CF_EPROTO, CF_ETOOBIG. */
int order_take(struct order *o, const struct outcome *outcome);
/** The order is gone at the CA (expired, or an authorization was deactivated): a new one, with the
 * same key. */
void order_restart(struct order *o);
void order_fail_with(struct order *o, enum acme_class class, enum acme_scope scope,
	const char *code, const char *text);
/** The CA made the order invalid: its own error says why. */
void order_fail_invalid(struct order *o);

/* finalize_steps.c */
void order_next_make_csr(const struct order *o, struct effect *out);
void order_consume_make_csr(struct order *o, const struct outcome *outcome);
void order_next_finalize(const struct order *o, struct effect *out);
void order_consume_finalize(struct order *o, const struct outcome *outcome);
void order_consume_poll(struct order *o, const struct outcome *outcome);
void order_next_download(const struct order *o, struct effect *out);
void order_consume_download(struct order *o, const struct outcome *outcome);
void order_next_check_chain(const struct order *o, struct effect *out);
void order_consume_check_chain(struct order *o, const struct outcome *outcome);

/** Records the order's first failure (taking f's contents) and abandons the authorizations. */
void order_fail(struct order *o, struct acme_failure *f);

void authz_next(const struct order *o, const struct authz *a, struct effect *out);
void authz_consume(struct order *o, struct authz *a, const struct outcome *outcome);
void authz_release(struct authz *a);
/** Ends what is not over yet; what is under way is awaited or taken back. */
void authz_abandon(struct order *o, struct authz *a);
/** Lets those go on that held for others; true if all are over. */
bool authz_settle(struct order *o);

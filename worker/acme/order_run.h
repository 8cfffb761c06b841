/* order_run.h - the driver of one order: it performs the effects that steps.h asks for, and knows
 * no step. What order_run.c (the pump, start and end) and order_effects.c (what each effect does)
 * share.
 */
#pragma once

#include "worker/acme/authority.h"
#include "worker/acme/steps.h"

/** One effect under way. Lives until its outcome came, even if the order is dead by then. */
struct flight {
	struct acme_order *run;
	int unit;
	enum effect_kind kind;
	struct authority_post *post;
	struct authority_waiter waiter;
	int64_t wake_mono_ms; /* EFFECT_WAIT */
	char *key_authorization, *txt;
	/* off the loop: */
	uv_work_t work;
	enum key_type key_type;
	EVP_PKEY *key; /* a reference of its own */
	struct buf csr;
	int err;
};

struct acme_order {
	struct acme_authority *authority;
	struct order order;
	enum key_type key_type;
	char *log_id;
	const struct acme_hooks *hooks;
	void *arg;
	acme_order_fn *fn;
	EVP_PKEY *key;
	struct buf packed; /* of key; secret */
	unsigned char names_hash[32];
	struct chain chain;
	uv_timer_t timer; /* the earliest wait, or the deadline */
	int64_t deadline_mono_ms;
	int64_t since_wall_ms; /* of the step */
	struct authority_waiter waiter;
	unsigned epoch;          /* of the account that the last request went by */
	struct flight **flights; /* of unit i at i + 1; NULL: none under way */
	size_t n_flights;
	unsigned refs; /* flights, the timer, and one for the owner */
	bool pumping, again;
	bool dead; /* nobody wants the outcome */
};

/** Performs the effect; the outcome comes by run_consume(), perhaps before this returns. */
void run_effect(struct acme_order *run, int unit, const struct effect *effect);
/** The flight is over: feeds its outcome and frees it. */
void run_consume(struct flight *f, const struct outcome *outcome);
/** Takes back what can be taken back (a request, a wait) and consumes it as canceled. False: it
 * must be awaited. */
bool run_take_back(struct flight *f);
void flight_free(struct flight *f);
/** Unpublishes without waiting for it, when the order is dropped. */
void run_unpublish(struct acme_order *run, const struct authz *a);
/** SHA-256 over key type and names, in whatever order they stand. */
void run_names_hash(
	enum key_type type, const struct acme_identifier *names, size_t n, unsigned char out[32]);
/** Asks for the next effects until nothing more can be started; may free run. */
void run_pump(struct acme_order *run);

/* again.h - a write to Redis that an order waits for, made again while Redis is away.
 *
 * An outage of ours must not fail a customer's order: the write is repeated with short pauses until
 * Redis answers, for at most AGAIN_LEASES leases, by which time the lease is gone and another
 * worker goes on, or replicas are missing and the job is given back. What is written is fenced by
 * the job's token or harmless (challenges expire), so that a repeat or a straggler does no damage.
 */
#pragma once

#include "worker/acme/acme.h"

#define AGAIN_LEASES   2
#define AGAIN_PAUSE_MS 200

struct worker;
struct again;

/** Makes the write; its answer goes to again_answer(), now or later. */
typedef void again_try_fn(struct again *a, void *arg);

/** arg is owned from here on and freed by release at the end. done comes exactly once. */
void again_start(struct worker *w, again_try_fn *try, void (*release)(void *arg), void *arg,
	acme_done_fn *done, void *done_arg);
/** Redis was not reached, is loading or full, or lacks its replicas: nothing about what was asked.
 */
bool again_is_passing(int err);
/** A write that an order waited for ended so: if Redis was to blame the order is not. */
void again_note(struct worker *w, int err);
/** 0 and refusals end it; what a connection says of itself is tried again. */
void again_answer(struct again *a, int err);
/** At the process's end: all that wait are told CF_ECANCELED. */
void again_cancel_all(struct worker *w);

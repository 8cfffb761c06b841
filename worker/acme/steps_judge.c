/* steps_judge.c - what an answer means, and how long to wait; the same for orders and
 * authorizations. */
#include "worker/acme/steps_internal.h"

#include "common/mem.h"

#include <string.h>

enum {
	AT_ONCE_MAX = 10, /* bad nonces in a row; at 5 % that is one in 10^13 */
	ACCOUNT_MAX = 2,
	BACKOFF_BASE_MS = 500,
	BACKOFF_LIMIT_MS = 30000,
	WAIT_HERE_MS =
		60000, /* a longer Retry-After ends the attempt: a job that waits holds no slot */
	POLL_BASE_MS = 250,
	POLL_LIMIT_MS = 10000,
	POLL_RETRY_LIMIT_MS = 30000, /* CAs were seen to say a day while an order was processing */
};

static uint32_t next_random(uint32_t *seed)
{
	uint32_t x = *seed ? *seed : 2463534242u;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return *seed = x;
}

int64_t steps_backoff(uint32_t *seed, unsigned n, int64_t base_ms, int64_t limit_ms)
{
	int64_t ms = base_ms;

	while (n-- && ms < limit_ms)
		ms *= 2;
	if (ms > limit_ms)
		ms = limit_ms;
	return ms - ms / 4 + (int64_t)(next_random(seed) % (uint32_t)(ms / 2 + 1));
}

void steps_poll_later(uint32_t *seed, struct walk *w, int64_t retry_after_ms)
{
	unsigned n = w->polls++;

	if (retry_after_ms)
		w->pause_ms =
			retry_after_ms < POLL_RETRY_LIMIT_MS ? retry_after_ms : POLL_RETRY_LIMIT_MS;
	else
		w->pause_ms = steps_backoff(seed, n, POLL_BASE_MS, POLL_LIMIT_MS);
	w->tries = w->at_once = 0;
}

bool steps_is_refusal(const struct acme_failure *f)
{
	return f->status >= 400 && f->status < 500 && f->class != ACME_WAIT_UNTIL &&
	       f->class != ACME_BACKOFF && f->class != ACME_AT_ONCE &&
	       strcmp(f->code, "accountDoesNotExist") != 0;
}

static enum verdict no_answer(uint32_t *seed, struct walk *w, unsigned budget,
	enum unknown_rule unknown, const struct outcome *outcome, struct acme_failure *f)
{
	if (outcome->err == CF_EINVAL || w->tries >= budget) {
		failure_set(f, ACME_BACKOFF, ACME_AUTHORITY,
			outcome->err == CF_ECANCELED ? "canceled" : "no_answer", "%s",
			outcome->why && outcome->why[0] ? outcome->why : cf_strerror(outcome->err));
		return VERDICT_FAIL;
	}
	w->pause_ms = steps_backoff(seed, w->tries++, BACKOFF_BASE_MS, BACKOFF_LIMIT_MS);
	return outcome->sent && unknown == UNKNOWN_ASK ? VERDICT_ASK : VERDICT_AGAIN;
}

static enum verdict at_once(struct walk *w, struct acme_failure *f)
{
	if (!strcmp(f->code, "accountDoesNotExist")) {
		if (w->at_once++ < ACCOUNT_MAX) {
			w->account = true;
			failure_release(f);
			return VERDICT_AGAIN;
		}
		f->class = ACME_OPERATOR;
		return VERDICT_FAIL;
	}
	if (!strcmp(f->code, "badNonce") && w->at_once++ < AT_ONCE_MAX) {
		failure_release(f);
		return VERDICT_AGAIN;
	}
	f->class = ACME_BACKOFF; /* whoever reads it outside must not try again at once for ever */
	return VERDICT_FAIL;
}

static enum verdict later(uint32_t *seed, struct walk *w, unsigned budget,
	enum unknown_rule unknown, struct acme_failure *f)
{
	bool unsure = f->status >= 500;

	if (f->retry_after_ms > WAIT_HERE_MS || w->tries >= budget)
		return VERDICT_FAIL;
	w->pause_ms = steps_backoff(seed, w->tries++, BACKOFF_BASE_MS, BACKOFF_LIMIT_MS);
	if (f->retry_after_ms > w->pause_ms)
		w->pause_ms = f->retry_after_ms;
	failure_release(f);
	return unsure && unknown == UNKNOWN_ASK ? VERDICT_ASK : VERDICT_AGAIN;
}

enum verdict steps_judge(uint32_t *seed, struct walk *w, unsigned budget, enum unknown_rule unknown,
	const struct outcome *outcome, struct acme_failure *f)
{
	struct problem p;
	bool readable;

	if (outcome->err)
		return no_answer(seed, w, budget, unknown, outcome, f);
	if (outcome->status >= 200 && outcome->status < 300)
		return VERDICT_OK;
	readable = problem_parse(outcome->body, outcome->len, &p) == 0;
	problem_to_failure(readable ? &p : NULL, outcome->status, outcome->retry_after_ms, f);
	if (readable)
		problem_release(&p);
	if (f->class == ACME_AT_ONCE)
		return at_once(w, f);
	if ((f->class == ACME_BACKOFF || f->class == ACME_WAIT_UNTIL) &&
		strcmp(f->code, "orderNotReady") != 0)
		return later(seed, w, budget, unknown, f);
	return VERDICT_FAIL;
}

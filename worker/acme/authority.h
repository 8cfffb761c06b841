/* authority.h - the shared machine of one CA, as orders and small calls use it; jobs see acme.h.
 *
 * Readiness is one walk that all who wait share: the directory (fetched again when hours old or
 * when it misled us), then the account: loaded, or made by one process of the fleet under a lock.
 *
 *   idle ─► directory ─► load ─► found with URL ─────────────────────────────────────────► ready
 *                          ▲       │ none, or without URL (its newAccount was not answered)
 *                          │busy   ▼
 *                          └──── lock ─► load again ─► make key ─► save ─► newAccount ─► save ─►
 * unlock
 *
 * A signed request waits for an account, a nonce and a slot, in this order, and is signed last, so
 * that nonces do not grow old in a queue.
 */
#pragma once

#include "worker/acme/jws.h"
#include "worker/acme/objects.h"
#include "worker/net/http.h"

struct authority_post;

/** Embedded by whoever waits for readiness. */
struct authority_waiter {
	struct authority_waiter *next, *prev;
	bool waits;
	unsigned round;
	acme_ready_fn *fn;
	void *arg;
};

/** fn is called exactly once, never from inside, unless the waiter is taken back. */
void authority_wait(
	struct acme_authority *a, struct authority_waiter *w, acme_ready_fn *fn, void *arg);
void authority_unwait(struct acme_authority *a, struct authority_waiter *w);

/** Counts registrations. Who was told accountDoesNotExist hands in the count as it was when it
 * sent: the account is registered again unless that has happened since. Then authority_wait(). */
unsigned authority_epoch(const struct acme_authority *a);
void authority_account_lost(struct acme_authority *a, unsigned epoch);
/** An answer that hints at another directory (404, 405, 410, 3xx at one of its URLs): it is fetched
 * anew before the next one is ready. */
void authority_doubt(struct acme_authority *a, int status);

/** A request signed by the account. payload NULL or "": POST-as-GET. Copied. */
struct authority_call {
	const char *url;
	const char *payload;
	bool pem; /* wants application/pem-certificate-chain */
};
struct authority_post *authority_post(
	struct acme_authority *a, const struct authority_call *call, http_fn *fn, void *arg);
/** fn will not be called. NULL is a no-op. */
void authority_post_cancel(struct authority_post *p);

/** Valid while ready; borrowed until the loop turns. */
const struct ca_directory *authority_directory(const struct acme_authority *a);
const char *authority_thumbprint(const struct acme_authority *a);
const char *authority_name(const struct acme_authority *a);
const char *authority_profile(const struct acme_authority *a);
struct http_client *authority_http(const struct acme_authority *a);
uv_loop_t *authority_loop(const struct acme_authority *a);
int64_t authority_timeout_ms(const struct acme_authority *a);

/** The small calls' own list, so that freeing the authority ends them. */
struct acme_call;
struct acme_call **authority_calls(struct acme_authority *a);
void calls_cancel_all(struct acme_authority *a);

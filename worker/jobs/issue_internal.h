/* issue_internal.h - the state of one issue job, shared by issue*.c only. */
#pragma once

#include "worker/acme/acme.h"
#include "worker/jobs/issue_quota.h"
#include "worker/jobs/job.h"

#define REASON_KEY_COMPROMISE 1 /* RFC 5280, 5.3.1 */
#define COMPROMISED_MS \
	CLOCK_HOUR_MS /* a leaked key's certificate waits so long for its successor */

/* What the order at hand spends of its authority's limits. */
struct issue_quota {
	struct quota_touch *touches; /* owned; NULL: it spends nothing */
	size_t n;
	char once[256]; /* names the intent in the ledger */
	bool spent;     /* by this job */
	bool refused;   /* the CA said rateLimited, and the ledger is asked for a turn */
	struct acme_failure refusal;
};

struct issue {
	struct job *job; /* NULL once stopped */
	struct worker *w;
	enum job_intent intent; /* as decided now */
	char authority[ENDPOINT_AUTHORITY_MAX + 1];
	struct acme_order *order;
	int64_t ordered_ms;                    /* when it was started here; Unix time */
	unsigned pending;                      /* callbacks that will still come */
	const char *names[ENDPOINT_NAMES_MAX]; /* what is ordered; borrowed from the endpoint */
	size_t names_n;
	bool left_out;       /* some names of the config are not ordered */
	bool asked;          /* a person or program asked for this renewal */
	bool replaces;       /* ARI's exemption is claimed */
	unsigned stale_left; /* authorizations that are being deactivated */
	bool stale_failed;
	struct acme_failure stale_failure;
	struct issue_quota quota;
	unsigned ways;               /* bits of enum breaker_way that challenges were answered by */
	struct acme_failure failure; /* while the breakers judge it */
	struct outcome *outcome;     /* what is known so far for the finish */
	char **leaving;              /* names whose claims are given up; owned */
	size_t leaving_n;
	unsigned char *old_der; /* the certificate to revoke, when it is replaced first */
	size_t old_der_len;
};

/* issue_plan.c: decisions as functions of values */

/** What to do now. false: nothing is due; the job ends and *need says when it is. */
bool issue_decide(const struct endpoint *e, enum job_lane lane, const struct needs_policy *policy,
	int64_t now_ms, struct need *need);
/** The names to order: all that the config needs, less those that cannot be validated once half of
 * what the renewal plan left is gone. Returns how many; *left_out tells that some are missing. */
size_t issue_names(const struct endpoint *e, int64_t now_ms, const char **names, bool *left_out);
/** Records a failure: how many, until when to wait, whose turn it is. now is Unix ms. */
void issue_note_failure(struct endpoint *e, const char *authority, const struct acme_failure *f,
	int64_t now_ms, double jitter);
/** A new ARI window: keeps the instant drawn before if the window is the same; else draws one. roll
 * in [0, 1). Whatever the window says, the instant is within the certificate's life and at
 * needs_renew_latest() at the latest; one that ends before it starts is no answer. */
void issue_note_window(struct endpoint_cert *x, int64_t start_ms, int64_t end_ms, int64_t again_ms,
	double roll, int64_t now_ms);

/* issue_finish.c */

/** A random number in [0, 1). */
double issue_roll(void);

/** Writes what follows from e for people and the plan (state, next, conditions) and ends the job.
 */
void issue_finish(struct issue *s);
void issue_fail(struct issue *s, const struct acme_failure *f);
/** Redis did not answer: the job is given back, to go on in a moment; nothing failed and nothing is
 * charged. Another err fails it, with what as its detail. */
void issue_redis_failed(struct issue *s, int err, const char *what);
int issue_take_certificate(struct issue *s, struct acme_result *r);

/* issue_order.c */
/** Places the order, or goes on with the one under way; waits for quota when it must. */
void issue_order(struct issue *s);
void issue_place_order(struct issue *s);
void issue_hold(struct issue *s);
/** Challenge types by the verdict; when it allows nothing (a due renewal is tried all the same),
 * whatever can exist at all. */
void issue_fill_choices(const struct endpoint *e, const char *name, const char *authority,
	struct acme_identifier *out);
/** The next that CAA does not bar for any of the names; NULL: none. */
const char *issue_next_authority(const struct issue *s);
/** What was done at the former one is of no use there. */
void issue_change_authority(struct issue *s, const char *to);
/** A failure that was looked at from all sides. */
void issue_fail_order(struct issue *s, const struct acme_failure *f);
/** A callback has come: false if the job was stopped meanwhile (s may be gone). */
bool issue_resume(struct issue *s);
/* issue_quota.c */

/** Which limits the order to come touches. */
void issue_quota_begin(struct issue *s);
/** Spends of them, then issue_place_order(); or the job ends, and its turn comes later. quota.n
 * ≥ 1. */
void issue_quota_reserve(struct issue *s);
/** After an order, before anything else is made of its result. */
void issue_quota_settle(struct issue *s, const struct acme_result *r);
/** The CA said rateLimited about a limit of the ledger: true if the job waits for its turn then. */
bool issue_quota_refused(struct issue *s, const struct acme_result *r);
void issue_quota_release(struct issue *s);
/* issue_breaker.c: the circuit breakers (worker/breaker.h) */

/** Half of the time that a renewal's plan left is gone: from then on it is tried whatever is known.
 */
int64_t issue_half_time(const struct endpoint *e);
/** No order can be placed now: the job has ended, and its turn comes after the canary's. May
 * change the authority. */
bool issue_breaker_holds(struct issue *s);
/** Takes away what is shut, while something is left. */
void issue_breaker_choices(const struct issue *s, struct acme_identifier *id);
void issue_breaker_published(struct issue *s, enum acme_challenge_type type);
void issue_breaker_passed(struct issue *s);
/** Counts a failure for which the order goes elsewhere. */
void issue_breaker_tell(struct issue *s, const struct acme_failure *f);
/** true: the failure may be everybody's, and the job goes on when it is known. */
bool issue_breaker_judges(struct issue *s, const struct acme_failure *f);

/* issue_release.c: names that leave. issue_names_released() goes on once their authorizations are
 * dealt with. */
void issue_release_names(struct issue *s);
void issue_names_released(struct issue *s);
/* issue.c */
void issue_after_order(struct issue *s);
void issue_deactivate(struct issue *s, const struct queue_authz *authz, const char *name);

/* audit.h - proves, endpoint by endpoint, that what is needed is recorded, and restores it where it
 * is not.
 *
 * The invariant (design section 4): what needs_verify() and needs_issue() say of an endpoint stands
 * in its own job field as due, running or parked, and each index agrees. A slice of 64 endpoints is
 * read by one script, judged here, and put right by a script that compares before it writes, so
 * that nothing that changed meanwhile is touched; a job that runs goes on running. What no slice
 * can see, since it hangs on no endpoint, is looked at before (strays) and after (counts). The
 * leader does so for ever, `certfleet audit` once.
 */
#pragma once

#include "common/needs.h"
#include "common/queue.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

enum audit_finding {
	AUDIT_RIGHT,
	AUDIT_MISSING,    /* something is needed, and no job is recorded */
	AUDIT_INDEX,      /* the record and the sorted sets disagree */
	AUDIT_LATE,       /* the job is recorded for long after it is needed */
	AUDIT_ORPHAN,     /* the index of endpoints names one that is not there */
	AUDIT_UNREADABLE, /* the endpoint's record cannot be read: only a person can help */
	AUDIT_STRAY,      /* an index leads nowhere, or an endpoint is not in the list of them */
	AUDIT_CLAIM,      /* a name of the config is not claimed */
	AUDIT_EXPIRY,     /* the index of certificates' ends does not say this one's */
	AUDIT_COUNT,      /* the number of a tenant's running jobs is wrong */
	AUDIT_FINDINGS,
};

const char *audit_finding_name(enum audit_finding f);

/** Judges one queue's job of an endpoint. *plan is what is to be recorded (any == false: nothing).
 */
enum audit_finding audit_judge(const struct endpoint *e, enum queue_id q, bool index_ok,
	const struct needs_policy *policy, int64_t now_ms, struct need *plan);

#define AUDIT_DAYS_N 10
extern const double audit_days[AUDIT_DAYS_N];

/** One pass over the fleet. */
struct audit_counts {
	size_t endpoints;
	size_t found[2][AUDIT_FINDINGS]; /* by queue */
	size_t repaired[2];
	size_t failed; /* repairs that Redis refused */
	size_t states[STATE_ACTIVE + 1];
	size_t jobs[2][4][4];           /* queue, lane, where */
	size_t days_left[AUDIT_DAYS_N]; /* valid certificates with at most audit_days[i] left */
	int64_t longest_life_ms;        /* of a certificate */
	int64_t took_ms;
};

size_t audit_found(const struct audit_counts *c);
size_t audit_repaired(const struct audit_counts *c);
/** Adds one endpoint to the census (states, jobs, days). */
void audit_census(struct audit_counts *c, const struct endpoint *e, int64_t now_ms);

struct audit_options {
	struct needs_policy policy;
	bool repair;
	int64_t pace_ms; /* between slices; 0: none */
	/** After each slice; may be NULL. */
	void (*progress)(void *arg, const struct audit_counts *so_far);
	/** Called for each finding; may be NULL. id is the endpoint's, or a tenant's; with
	 * AUDIT_STRAY plan->why names the index. */
	void (*finding)(void *arg, const char *id, enum queue_id q, enum audit_finding f,
		const struct need *plan);
	/** At the end, or when Redis failed (err). The audit is freed by audit_free(), which done
	 * may call. */
	void (*done)(void *arg, int err, const struct audit_counts *counts);
	void *arg;
};

struct audit;

/** Begins a pass. Never NULL. Borrows redis. */
struct audit *audit_run(uv_loop_t *loop, struct redis *redis, const struct audit_options *options);
/** Stops without a further call; frees once the loop has turned and nothing is in flight. NULL is a
 * no-op. */
void audit_free(struct audit *a);

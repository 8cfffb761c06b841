/* conditions.h - what is wrong with an endpoint right now, as one queue's jobs see it, and the
 * edges.
 *
 * Each queue keeps its open conditions in a field of its own (av, ai: a msgpack map code → { since,
 * severity, cause? }), so that two jobs never overwrite each other. A job states what holds now;
 * the difference to what was stored are the edges that the leader turns into alerts.
 */
#pragma once

#include "common/buf.h"
#include "worker/jobs/outcome.h"

#define CONDITIONS_MAX       8
#define CONDITION_CAUSE_SIZE 129

struct condition {
	const char *code;                 /* a diagnosis code; borrowed */
	const char *severity;             /* "info", "warning", "critical" */
	const char *actor;                /* "owner", "operator", "authority", "nobody" */
	int64_t deadline_ms;              /* when it starts to hurt; 0: none */
	char cause[CONDITION_CAUSE_SIZE]; /* what it has in common with others (common/README.md,
					     Causes); "": nothing */
	char text[1152];                  /* what happened, to what, why */
	char fix[640];                    /* what to do next; may be "" */
	char next[128];                   /* the next automatic action; may be "" */
};

/** Writes the field and an edge for each condition that begins, ends or changes its severity.
 * stored: the field as it was taken (may be empty). */
void conditions_update(struct outcome *o, const char *field, const struct buf *stored,
	const char *endpoint, const char *tenant, const struct condition *now, size_t n,
	int64_t now_ms);

/** The cause behind a failed order: "authority:NAME", "account:NAME" or "our:responders" when its
 * code is not about this endpoint alone; else "". Returns out. */
const char *condition_cause(
	const char *code, const char *actor, const char *authority, char out[CONDITION_CAUSE_SIZE]);

/** By the fraction of the certificate's life that is left: "info" above a third, "warning" above a
 * tenth. Without one: "warning". */
const char *condition_severity(int64_t not_before_ms, int64_t not_after_ms, int64_t now_ms);

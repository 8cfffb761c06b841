/* runbook.h - what a person does about an alert: one table of the conditions that are not a
 * diagnosis of one endpoint's DNS or edge (those are in diagnosis.h).
 *
 * Constant; texts are whole sentences without a final dot in `means`. The alert carries `now` and
 * `ends` as its `runbook`; the command line and the documentation show all of it.
 */
#pragma once

#include "common/buf.h"

#include <stddef.h>

struct runbook {
	const char *condition;
	const char *actor; /* who must act: owner, operator, authority, nobody */
	const char *means; /* one clause: "no worker has given a sign of life for a minute" */
	const char *now;   /* what to do now */
	const char *ends;  /* what ends it */
};

/** The row of a condition, NULL if there is none. What follows a ':' ("webhook_failing:ops") names
 * one of several and does not count. */
const struct runbook *runbook_of(const char *condition);
/** All rows, in the order of the table. */
const struct runbook *runbook_all(size_t *n);

/** What an alert is about. In `now` the words ID, KEY and NAME stand for these; NULL leaves the
 * word as it is. */
struct runbook_subject {
	const char *id;   /* of the endpoint */
	const char *key;  /* of the alert */
	const char *name; /* of one of several: what follows the ':' of the condition */
};

/** `now` with its words replaced. subject NULL: as it stands in the table. */
void runbook_now(const struct runbook *r, const struct runbook_subject *subject, struct buf *out);
/** "NOW It ends …": what an alert carries. */
void runbook_brief(const struct runbook *r, const struct runbook_subject *subject, struct buf *out);

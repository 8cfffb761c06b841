/* group.h - which edges may be told now, which are held, and when many with one cause become one
 * incident. Functions of values.
 *
 * An edge settles for a moment, so that what flutters says nothing. One whose cause nobody else has
 * is then told. When a second one has the same cause, both wait a little longer for others: with
 * `least` endpoints inside the window (held, or opened singly before) the cause is an incident, and
 * they and whatever comes later are its members. So the alerts of at most least - 1 endpoints
 * are ever said singly, and they are folded into the incident (common/lua/_incident.lua).
 *
 *	         settled, alone                        least reached
 *	 held ───────────────────► told      held ───────────────────► told, forms the incident
 *	  │ settled, a second has its cause          ▲
 *	  └──────────► held until hold_ms ───────────┴────► told singly, if least was not reached
 */
#pragma once

#include "scheduler/alert.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GROUP_HELD_MAX 768

struct group_policy {
	int64_t settle_ms; /* every edge */
	int64_t hold_ms;   /* an edge whose cause others have */
	int64_t window_ms; /* how far apart the members of a beginning incident may be */
	uint32_t least;    /* endpoints */
};

enum group_verdict {
	GROUP_HOLD,
	GROUP_TELL,
	GROUP_FORM, /* told, and opens the incident of its cause unless it is open */
	GROUP_WITH, /* a later edge of the same key speaks for it */
};

struct group_held {
	struct alert_edge edge;
	char entry[48]; /* of the stream; "": from a sweep */
	int64_t at_ms;  /* Redis' clock */
	enum group_verdict verdict;
};

/** What Redis knows of a cause. */
struct group_cause {
	char cause[ALERT_CAUSE_SIZE];
	bool open;      /* its incident */
	int64_t recent; /* alerts opened singly within the window */
};

/** A kind of cause, and the incident that it makes. */
struct incident_kind {
	const char *prefix;    /* of the cause */
	const char *condition; /* of its incident: a row of common/runbook.h */
	bool at_once;          /* one endpoint is enough: it is the fleet's trouble */
};
const struct incident_kind *incident_kind(const char *cause);

/** Sets each verdict. Of several edges of one key the last decides (of opens the gravest). With
 * `full` nothing is held that has settled: there is no room for more. */
void group_decide(struct group_held *held, size_t n, const struct group_cause *causes,
	size_t causes_n, const struct group_policy *p, int64_t now_ms, bool full);

/** What the script needs to open the incident of first's cause: a value for the key "form". */
void incident_encode(const struct alert_edge *first, const struct group_policy *p, struct buf *out);

/* alert.h - from conditions to alerts: what is said, and how grave it is. Functions of values.
 *
 * A condition is keyed by where it holds and what it is: "ENDPOINT/CODE", or "fleet/CODE". Jobs
 * tell its edges on the `edges` stream, sweeps say what they see again and again; both come to the
 * same script (common/lua/alert.lua), which knows what is open and says only changes. Edges that
 * share a cause may become one incident instead (group.h):
 *
 *              open                 open, graver
 *  resolved ──────────► open #n ─────────────────► (escalated) ─┐
 *      ▲                  │  ▲  └── open, no graver: nothing ───┤
 *      └──────────────────┘  └──────────────────────────────────┘
 *             closed
 */
#pragma once

#include "common/buf.h"
#include "common/endpoint.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum alert_severity { ALERT_INFO, ALERT_WARNING, ALERT_CRITICAL };

#define ALERT_KEY_SIZE   256
#define ALERT_CAUSE_SIZE 129
#define ALERT_EDGE_MAX   16384 /* bytes of data */

/** One condition that begins, goes on or ends. Texts are terminated; times are Unix ms, 0 = none.
 */
struct alert_edge {
	int64_t since_ms, deadline_ms;
	enum alert_severity severity;
	bool open;
	bool again; /* of one that was open when it was looked at: may be graver, never opens it */
	char key[ALERT_KEY_SIZE];
	char condition[64];
	char endpoint[72]; /* "" for the fleet */
	char tenant[72];
	char actor[16];
	char cause[ALERT_CAUSE_SIZE]; /* what it has in common with others; "": nothing */
	char text[513], fix[513], next[129];
};

/** From an entry's data. subject is the entry's endpoint, believed when data names none. CF_EPROTO,
 * CF_ETOOBIG. */
int alert_edge_decode(
	const void *data, size_t n, const char *subject, struct alert_edge *out, struct why *why);
/** What an open alert said last (field d), under its key; the same fields. */
int alert_edge_decode_said(const void *data, size_t n, const char *key, struct alert_edge *out);
/** One item for the script. form: packed, from incident_encode(); NULL: none. */
int alert_edge_encode(const struct alert_edge *e, const struct buf *form, struct buf *out);
/** A condition of the whole fleet. */
void alert_fleet(const char *condition, bool open, enum alert_severity severity, const char *text,
	const char *fix, struct alert_edge *out);

/** How grave something with a deadline is: critical in the last quarter of the time there was, a
 * warning in the last half, never less than given. */
enum alert_severity alert_escalation(
	enum alert_severity given, int64_t opened_ms, int64_t deadline_ms, int64_t now_ms);

/** What the sweep over expiry times thinks of a certificate, whatever the jobs believe: silent
 * above three tenths of its life (renewal is due at a third), a warning below, critical below a
 * tenth and once expired. */
bool alert_expiry(
	int64_t not_before_ms, int64_t not_after_ms, int64_t now_ms, enum alert_severity *severity);

#define ALERT_EXPIRY "expiry" /* the sweep's own condition */

/** The sweep's condition of an endpoint: open, or closed when its certificate is far from its end,
 * revoked or gone. */
void alert_expiry_edge(const struct endpoint *e, int64_t now_ms, struct alert_edge *out);
/** The first cause among an endpoint's open conditions (field av or ai); "" if none has one. */
void alert_cause_of(const void *conditions, size_t n, char out[ALERT_CAUSE_SIZE]);
/** Is a condition among those (field av or ai)? What cannot be read may have it. */
bool alert_is_stored(const void *conditions, size_t n, const char *condition);
/** What can be known of an alert by its key alone. */
void alert_edge_of_key(const char *key, struct alert_edge *out);

/** An alert that is open, looked at again: true if *out is to be told (graver, or over). e is NULL
 * if the endpoint is gone, and for the fleet's conditions, which say themselves when they end;
 * stored: its record has the condition. was is what was said last. */
bool alert_review(const struct alert_edge *was, int64_t opened_ms, const struct endpoint *e,
	bool stored, int64_t now_ms, struct alert_edge *out);

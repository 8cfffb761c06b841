/* outcome.h - what a job has to say at its end, built piece by piece and owned until Redis has it.
 */
#pragma once

#include "common/buf.h"
#include "common/needs.h"
#include "common/queue.h"

#define OUTCOME_SETS_MAX     8
#define OUTCOME_EVENTS_MAX   16
#define OUTCOME_TIMELINE_MAX 8
#define OUTCOME_BYTES_MAX    (1u << 20)

struct outcome;

struct outcome *outcome_new(void);
/** NULL is a no-op. */
void outcome_free(struct outcome *o);

/** A field to write; bytes are copied. NULL bytes: the field goes. */
void outcome_set(struct outcome *o, const char *field, const void *bytes, size_t n);
void outcome_set_buf(struct outcome *o, const char *field, const struct buf *b);
/** data is copied. */
void outcome_event(struct outcome *o, const char *type, const char *id, const struct buf *data);
void outcome_edge(struct outcome *o, const char *condition, const char *id, const struct buf *data);
/** One line of the endpoint's timeline. */
void outcome_timeline(struct outcome *o, int64_t now_ms, const char *what, const char *text);
/** Nothing is planned when need->any is false. */
void outcome_next(struct outcome *o, const struct need *need);
void outcome_ask_other(struct outcome *o, const struct need *need);
void outcome_state(struct outcome *o, const char *state, const char *reason);
void outcome_chain(struct outcome *o, const char *sha, const void *bytes, size_t n);
void outcome_authz(struct outcome *o, const char *name, const char *authority, const char *url,
	int64_t expires_ms);
void outcome_dropped(struct outcome *o, const char *name);
void outcome_expiry(struct outcome *o, int64_t expiry_ms);
void outcome_remove(struct outcome *o);

/** Borrowed, valid until outcome_free(). id, token, generation and want are filled in. */
const struct queue_finish *outcome_as_finish(
	struct outcome *o, const char *id, const char *token, uint64_t generation, uint64_t want);

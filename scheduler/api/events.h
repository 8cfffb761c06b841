/* events.h - GET /v1/events: all that happens, as server-sent events.
 *
 * One reader a process follows the streams `results` and `alerts` and hands each entry to all who
 * listen. An event's id is a place in both streams ("RESULTS,ALERTS"): who comes back with it as
 * Last-Event-ID gets what was missed first, read for him alone, and `gap` if some of it is no
 * longer there. Besides, `changed` names an endpoint that looks different now; it has no id, and
 * is a hint to read again. Each event is seen at least once; the same fact has the same `id`
 * inside.
 *
 *	with Last-Event-ID ──► CATCHING UP ── nothing more ──► LIVE ──► too slow, or gone: ended
 *	without            ───────────────────────────────────► ▲
 */
#pragma once

#include "scheduler/api/v1.h"

struct v1_call;
struct events;

struct events *events_new(uv_loop_t *loop, struct redis *redis, const struct redis_options *options,
	const struct index *index);
/** Answers the call by a stream. */
void events_listen(struct events *e, struct v1_call *c);
/** This endpoint looks different. */
void events_changed(struct events *e, const char *endpoint);
/** Ends every stream: whoever still may comes back, and misses nothing. */
void events_hang_up(struct events *e);
void events_close(struct events *e);
/** After events_close() and the loop. NULL is a no-op. */
void events_free(struct events *e);

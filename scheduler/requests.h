/* requests.h - the leader reads the `requests` stream, and answers each entry.
 *
 * Entries are read as consumer "leader" of the group "scheduler": first what an earlier leader (or
 * we) left pending, then what is new, up to 64 side by side; those for one endpoint keep their
 * order. What cannot be done now stays pending and is walked over again each two seconds, past
 * those that could be, so that one entry never blocks the others. Waiting for new entries (BLOCK)
 * has a connection of its own.
 */
#pragma once

#include "scheduler/request_job.h"

#include <uv.h>

struct requests;

/** Never NULL. Borrows all; block is a connection that nobody else uses. */
struct requests *requests_new(
	uv_loop_t *loop, struct redis *block, const struct request_context *context);
/** Begins or ends reading; what is in work is finished in any case. */
void requests_lead(struct requests *r, bool leading);
/** Nothing is in work: the drain may go on. */
bool requests_idle(const struct requests *r);
void requests_close(struct requests *r);
/** After the loop has turned and the connections are freed. NULL is a no-op. */
void requests_free(struct requests *r);

/* request_job.h - one request on its way: endpoint read, decided, applied, answered.
 *
 *  read ──► decide ──► apply ─────────────────────────► done
 *   ▲ ▲       │          │ (with replicas: the answer lies under a hidden name)
 *   │ └───────┘          ├──► barrier ──► answer ──► done
 *   │ id taken           │
 *   └────────────────────┘ somebody was faster
 *
 * Whatever fails on the way leaves the entry in the stream, where it is found again: applying and
 * answering are deduplicated by the request's source and id.
 */
#pragma once

#include "common/queue.h"
#include "scheduler/request.h"

#include <stdbool.h>

/** What all requests share; borrowed. */
struct request_context {
	struct redis *redis;
	struct barrier *barrier; /* NULL: no replicas, nothing to wait for */
	struct request_policy policy;
};

enum request_end {
	REQUEST_END_DONE,
	REQUEST_END_REFUSED,
	REQUEST_END_REPEATED, /* it had been answered before */
	REQUEST_END_LATER,    /* not now: it stays in the stream */
};

struct request_job;
typedef void request_job_fn(void *arg, struct request_job *job, enum request_end end);

/** Reads one entry of the stream. Never NULL; free it by request_job_free() from done or later. */
struct request_job *request_job_new(const struct request_context *context, const char *stream_id,
	const struct request_field *fields, size_t n, request_job_fn *done, void *arg);
/** Jobs of the same key must run one after the other. "" for what is refused anyway. */
const char *request_job_key(const struct request_job *job);
const struct request *request_job_request(const struct request_job *job);
void request_job_start(struct request_job *job);
void request_job_free(struct request_job *job);

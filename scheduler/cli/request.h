/* request.h - asks the scheduler that leads, and waits for its answer.
 *
 * A request is an entry of the `requests` stream (common/event.h). Its answer appears at
 * req:SOURCE:ID and says done or refused; the source names this run, so that repeats of a request
 * after a broken connection are told from new ones and applied once.
 */
#pragma once

#include "scheduler/cli/cli.h"

struct request {
	const char *type;    /* REQUEST_* of common/event.h; borrowed, as are the others */
	const char *subject; /* what it is about, for people that read the stream */
	const void *data;    /* msgpack map */
	size_t len;
	/* What came of it. */
	bool sent, answered;
	char id[32];
	struct answer {
		bool done; /* else refused */
		char endpoint[65];
		char code[33];
		char text[513]; /* cleaned */
		uint64_t generation;
	} answer;
};

typedef void request_progress_fn(void *arg, size_t answered, size_t n);

/** Sends them, many at a time, and waits until each is answered. CF_ETIMEDOUT: timeout_ms passed
 * without any answer, and some have none. A broken connection is opened anew within that time.
 * progress may be NULL. */
int request_run(struct cli *cli, struct request *requests, size_t n, int64_t timeout_ms,
	request_progress_fn *progress, void *arg, struct why *why);
/** Reads an answer's bytes. CF_EPROTO. */
int request_answer_decode(const void *bytes, size_t n, struct answer *out, struct why *why);
/** One request that is answered, or a failure told to the person; the exit status (CLI_NOT_YET if
 * nobody answered). */
int request_one(struct cli *cli, struct request *r, int64_t timeout_ms);
/** Says why nobody answered; CLI_NOT_YET. */
int request_fail_unanswered(struct cli *cli, size_t n, int64_t timeout_ms);
json_t *request_json(const struct request *r);

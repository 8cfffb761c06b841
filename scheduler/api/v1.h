/* v1.h - the HTTP API below /v1: JSON in the words of the command line.
 *
 *	request ──► Host, Origin ──► who asks (bearer, cookie) ──► route ──► handler ──► answer
 *	               access.h        a session is read from Redis    may read the index at once,
 *or Redis; a change is a request on the stream, answered by the leader
 *
 * Every scheduler answers, leading or not: what is read comes from the index and from Redis, and
 * what is changed goes the way of all requests (common/event.h), once for each idempotency key.
 * Errors are problem details (RFC 9457), `type` being urn:certfleet:CODE. Answers to GET have an
 * ETag, and 304 spares what is known. Lists are pages: `limit` at most, `next` where more begins.
 */
#pragma once

#include "common/config.h"
#include "common/httpd.h"
#include "common/redis.h"
#include "scheduler/index/feed.h"

#include <uv.h>

struct v1;

struct breaker_row;
struct v1_options {
	uv_loop_t *loop;
	struct redis *redis; /* NULL until v1_start() */
	const struct config *config;
	struct index *index;
	const struct feed *feed; /* likewise */
	const char *name;        /* of this process: the source of what it asks for */
	bool (*leads)(void *arg);
	/* The circuit breakers as last seen; NULL: nobody knows. */
	const struct breaker_row *(*breakers)(void *arg, size_t *n);
	void *arg;
};

/** Reads the tokens file. CF_EINVAL, CF_EIO with a why that names it. Borrows all of options'
 * pointers. */
int v1_new(const struct v1_options *options, struct v1 **out, struct why *why);
/** From now on it answers by these; before, by 503. */
void v1_start(struct v1 *v, struct redis *redis, const struct redis_options *options,
	const struct feed *feed);
/** For the feed's hook: this endpoint looks different. arg is the v1. */
void v1_changed(void *arg, const char *endpoint);
/** Answers, now or later. */
void v1_handle(struct v1 *v, struct httpd_request *r);
/** Answers what is unanswered by 503; callbacks of Redis may still come until it is freed. */
void v1_close(struct v1 *v);
/** After v1_close(), the end of the Redis connection, and the loop. NULL is a no-op. */
void v1_free(struct v1 *v);

/* proof_pack.h - questions and answers of a look that a worker makes for another (worker/zones.h),
 * as they pass through Redis. Readers have limits and trust nothing. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "worker/jobs/proof_look.h"

#define PROOF_ID_SIZE  33
#define PROOF_ASK_MAX  131072 /* bytes */
#define PROOF_SEEN_MAX 131072

/** A question; its pointers are owned: proof_asked_release(). */
struct proof_asked {
	char id[PROOF_ID_SIZE]; /* by which the answer is found: 32 hex digits */
	struct proof_ask ask;
};

int proof_ask_encode(const char *id, const struct proof_ask *ask, struct buf *out);
/** CF_EPROTO, CF_ETOOBIG with a why; *out is then empty. */
int proof_ask_decode(const void *bytes, size_t n, struct proof_asked *out, struct why *why);
void proof_asked_release(struct proof_asked *a);

int proof_seen_encode(const struct served_seen *seen, size_t n, struct buf *out);
/** *out is owned (free()); at most PROOF_LOOKS_MAX. CF_EPROTO, CF_ETOOBIG with a why. */
int proof_seen_decode(
	const void *bytes, size_t n, struct served_seen **out, size_t *out_n, struct why *why);

/* err.h - error codes, and a place for the sentence that goes with one.
 *
 * Functions that can fail return 0 or a negative CF_E*. Where a person will read why, the caller
 * passes a `struct why *`, and the function leaves one sentence in it: what happened, to what, what
 * was expected. Outputs are untouched on failure.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>

#define CF_ERRORS(X)                                  \
	X(EINVAL, -1, "invalid input")                \
	X(ETOOBIG, -2, "over a limit")                \
	X(ENOTFOUND, -3, "not found")                 \
	X(EEXIST, -4, "exists already")               \
	X(ETIMEDOUT, -5, "timed out")                 \
	X(ECANCELED, -6, "cancelled")                 \
	X(ECONN, -7, "not connected")                 \
	X(EREDIS, -8, "Redis answered with an error") \
	X(EPROTO, -9, "the peer broke the protocol")  \
	X(EAUTH, -10, "refused: wrong credentials")   \
	X(EBUSY, -11, "busy")                         \
	X(ELOST, -12, "the lease is lost")            \
	X(EGONE, -13, "the endpoint is gone")         \
	X(ESTALE, -14, "based on an older state")     \
	X(ECRYPTO, -15, "cryptography failed")        \
	X(EIO, -16, "input or output failed")         \
	X(EVERSION, -17, "of an unknown version")     \
	X(EREFUSED, -18, "refused")                   \
	X(EAGAIN, -19, "not now")                     \
	X(EDNS, -20, "DNS answered with an error")

enum cf_err {
#define CF_ERR_ENUM(name, value, text) CF_##name = (value),
	CF_ERRORS(CF_ERR_ENUM)
#undef CF_ERR_ENUM
};

/** One sentence for a code; never NULL. */
const char *cf_strerror(int err);

/** The code's name ("ETOOBIG") for logs; never NULL. */
const char *cf_errname(int err);

/** The sentence that explains a failure. Always a terminated string, of valid length; cut if
 * longer. */
struct why {
	char text[512];
};

/** Sets the sentence and returns err, so that `return why_set(why, CF_EINVAL, …)` reads well. why
 * may be NULL. */
int why_set(struct why *why, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** Puts a prefix ("FILE:3: ") before what stands there already. why may be NULL. */
int why_prefix(struct why *why, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

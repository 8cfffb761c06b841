/* words.h - what reason and diagnosis codes (design sections 3 and 7) mean to a person, and what to
 * do next.
 *
 * A code that is not in the table is shown as it is: a newer worker may know more than this
 * program.
 */
#pragma once

#include "common/endpoint.h"
#include "scheduler/cli/term.h"

struct words {
	const char *code;
	const char *means; /* a clause, lower case, without a full stop */
	const char *next;  /* what to do, as a sentence; "" if nothing */
};

/** NULL if the code is unknown. */
const struct words *words_of(const char *code);
/** The meaning, or the code itself. */
const char *words_means(const char *code);

enum tint words_state_tint(enum endpoint_state state);
enum tint words_record_tint(enum record_status status);
const char *words_record_status(
	enum record_status status); /* "unknown", "missing", "wrong", "right", "error" */
enum tint words_verdict_tint(enum verdict v);
const char *words_verdict(enum verdict v); /* "unsure", "can", "cannot" */
const char *words_claim(enum claim c);     /* "unproven", "held", "held_elsewhere" */
enum tint words_claim_tint(enum claim c);
const char *words_type(enum endpoint_type t); /* "external", "internal" */

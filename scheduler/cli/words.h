/* words.h - what reason codes mean to a person, and what to do next: those of states and
 * authorities from a table here, those of diagnoses from common/diagnosis.h.
 *
 * A code that is not in the table is shown as it is: a newer worker may know more than this
 * program.
 */
#pragma once

#include "common/endpoint.h"
#include "scheduler/cli/term.h"

bool words_known(const char *code);
/** The meaning, or the code itself. */
const char *words_means(const char *code);
/** What to do next, as a sentence; "" if nothing. */
const char *words_next(const char *code);

enum tint words_state_tint(enum endpoint_state state);
enum tint words_record_tint(enum record_status status);
const char *words_record_status(
	enum record_status status); /* "unknown", "missing", "wrong", "right", "error" */
enum tint words_verdict_tint(enum verdict v);
const char *words_verdict(enum verdict v); /* "unsure", "can", "cannot" */
const char *words_claim(enum claim c);     /* "unproven", "held", "held_elsewhere" */
enum tint words_claim_tint(enum claim c);
const char *words_type(enum endpoint_type t); /* "external", "internal" */

/* silence.h - what an operator does not want to hear of for a while, as a value.
 *
 * The script common/lua/alert_silence.lua keeps them, and knows what they mean; the command line
 * and the API check, write and show them alike by what is here.
 */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SILENCE_ID_SIZE     17
#define SILENCE_PATTERN_MAX 200 /* bytes; common/lua/_silence.lua has the same */
#define SILENCE_REASON_MAX  250
#define SILENCES_MAX        256
#define SILENCE_MARK        64 /* open alerts that one "mark" looks at */

struct silence {
	char id[65];
	char field[16]; /* which of an alert's fields the pattern is about; "": any of four */
	char pattern[SILENCE_PATTERN_MAX + 1];
	char reason[SILENCE_REASON_MAX + 1];
	char by[200];
	int64_t from_ms, till_ms; /* from: when Redis took it, 0 before */
};

/** key, endpoint, condition, tenant or cause; or "". */
bool silence_field_known(const char *field);
/** CF_EINVAL with a why that names what is wrong, and what was expected. */
int silence_check(const char *field, const char *pattern, const char *reason, struct why *why);
/** Could a silence have this id? */
bool silence_id_ok(const char *id);
/** A random one. */
void silence_new_id(char out[SILENCE_ID_SIZE]);
/** For "add". */
void silence_encode(const struct silence *s, struct buf *out);
/** As Redis has it. CF_EPROTO. */
int silence_decode(const void *bytes, size_t n, struct silence *out);
/** A new reference. */
json_t *silence_json(const struct silence *s, int64_t now_ms);

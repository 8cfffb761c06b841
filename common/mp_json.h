/* mp_json.h - a msgpack record as JSON, for people and for receivers that do not know msgpack. */
#pragma once

#include "common/mp.h"

#include <jansson.h>

/** A new reference. Bytes that are no text become base64url; times stay Unix milliseconds. */
json_t *mp_json(const struct mp *v);
/** The whole record; NULL if it cannot be read. */
json_t *mp_json_of(const void *data, size_t n);

/* retry_after.h - when a server wants to be asked again. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define RETRY_AFTER_MAX_MS (7 * INT64_C(86400000))
/** Seconds or an HTTP date (RFC 9110 section 10.2.3), as ms from now, between 1 s and
 * RETRY_AFTER_MAX_MS. 0: absent (NULL), neither form, or not in the future. */
int64_t retry_after_parse(const char *value, int64_t now_wall_ms);

/** An HTTP date in any of its three forms (RFC 9110, 5.6.7), to the second. */
bool http_date_parse(const char *s, int64_t *wall_ms);

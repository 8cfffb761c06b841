/* clock.h - the two clocks, durations and timestamps as text. Times are milliseconds in int64_t. */
#pragma once

#include "common/err.h"

#include <stddef.h>
#include <stdint.h>

#define CLOCK_SECOND_MS INT64_C(1000)
#define CLOCK_MINUTE_MS INT64_C(60000)
#define CLOCK_HOUR_MS   INT64_C(3600000)
#define CLOCK_DAY_MS    INT64_C(86400000)

/** Unix time. Steps when the host's clock is set: for dates only, never for deadlines. */
int64_t clock_wall_ms(void);
/** Never steps, counts from boot: for deadlines and measuring. */
int64_t clock_mono_ms(void);

#define CLOCK_RFC3339_LEN 25
/** "2026-11-23T18:47:00.123Z" into out[CLOCK_RFC3339_LEN]; returns out. */
char *clock_rfc3339(int64_t wall_ms, char out[CLOCK_RFC3339_LEN]);
/** Reads RFC 3339 with fraction and offset. CF_EINVAL. */
int clock_parse_rfc3339(const char *s, int64_t *wall_ms);

/** "90s", "1h30m", "7d", "250ms" → ms. A bare number, "0s" excepted "0", is refused. CF_EINVAL. */
int clock_parse_duration(const char *s, int64_t *ms);

#define CLOCK_HUMAN_LEN 24
/** The two largest units, a zero left out: "2d 3h", "45s", "120ms", "3h"; negative as "-3h". */
char *clock_human(int64_t ms, char out[CLOCK_HUMAN_LEN]);

#include "worker/net/retry_after.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

/* Seconds, saturated; false if it is not a number. A sign is read, because CAs were seen to send
 * one. */
static bool parse_seconds(const char *s, int64_t *ms)
{
	bool negative = *s == '-';
	int64_t n = 0;

	s += negative;
	if (!isdigit((unsigned char)*s))
		return false;
	for (; isdigit((unsigned char)*s); s++)
		if (n < RETRY_AFTER_MAX_MS)
			n = n * 10 + (*s - '0');
	if (s[strspn(s, " \t")] != '\0')
		return false;
	*ms = negative ? 0 : n < RETRY_AFTER_MAX_MS / 1000 ? n * 1000 : RETRY_AFTER_MAX_MS;
	return true;
}

bool http_date_parse(const char *s, int64_t *wall_ms)
{
	static const char *const forms[] = {
		"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct tm tm = {0};

		if (!strptime(s, forms[i], &tm))
			continue;
		*wall_ms = (int64_t)timegm(&tm) * 1000;
		return true;
	}
	return false;
}

static bool parse_date(const char *s, int64_t now_wall_ms, int64_t *ms)
{
	int64_t at;

	if (!http_date_parse(s, &at))
		return false;
	*ms = at - now_wall_ms;
	return true;
}

int64_t retry_after_parse(const char *value, int64_t now_wall_ms)
{
	int64_t ms;

	if (!value)
		return 0;
	value += strspn(value, " \t");
	if (strlen(value) > 64)
		return 0;
	if (!parse_seconds(value, &ms) && !parse_date(value, now_wall_ms, &ms))
		return 0;
	if (ms <= 0)
		return 0;
	return ms < 1000 ? 1000 : ms > RETRY_AFTER_MAX_MS ? RETRY_AFTER_MAX_MS : ms;
}

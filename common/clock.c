#include "common/clock.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t clock_wall_ms(void)
{
	return read_clock(CLOCK_REALTIME);
}

int64_t clock_mono_ms(void)
{
	return read_clock(CLOCK_BOOTTIME);
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0 ? 1 : 0);
}

char *clock_rfc3339(int64_t wall_ms, char out[CLOCK_RFC3339_LEN])
{
	time_t seconds = (time_t)floor_div(wall_ms, 1000);
	int ms = (int)(wall_ms - (int64_t)seconds * 1000);
	struct tm tm;
	size_t n;

	if (!gmtime_r(&seconds, &tm) || tm.tm_year + 1900 > 9999 || tm.tm_year + 1900 < 0) {
		memcpy(out, "0000-00-00T00:00:00.000Z", CLOCK_RFC3339_LEN);
		return out;
	}
	n = strftime(out, CLOCK_RFC3339_LEN, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, CLOCK_RFC3339_LEN - n, ".%03uZ", (unsigned)ms % 1000u);
	return out;
}

/* Digits after the point: the first three count, the rest must only be digits. */
static const char *parse_fraction(const char *p, int64_t *ms)
{
	int64_t scale = 100;

	if (*p != '.')
		return p;
	for (p++; isdigit((unsigned char)*p); p++) {
		*ms += (*p - '0') * scale;
		scale /= 10;
	}
	return p;
}

static const char *parse_offset(const char *p, int64_t *offset_ms)
{
	int h, m, used = 0;

	if (*p == 'Z' || *p == 'z')
		return p + 1;
	if ((*p != '+' && *p != '-') || sscanf(p + 1, "%2d:%2d%n", &h, &m, &used) != 2 || used != 5 ||
	    h > 23 || m > 59 || h < 0 || m < 0)
		return NULL;
	*offset_ms = (h * 60 + m) * CLOCK_MINUTE_MS * (*p == '-' ? -1 : 1);
	return p + 6;
}

static bool fields_in_range(const struct tm *tm)
{
	return tm->tm_mon >= 0 && tm->tm_mon <= 11 && tm->tm_mday >= 1 && tm->tm_mday <= 31 &&
	       tm->tm_hour >= 0 && tm->tm_hour <= 23 && tm->tm_min >= 0 && tm->tm_min <= 59 &&
	       tm->tm_sec >= 0 && tm->tm_sec <= 60;
}

int clock_parse_rfc3339(const char *s, int64_t *wall_ms)
{
	struct tm tm = { 0 };
	int64_t ms = 0, offset_ms = 0;
	int used = 0;
	const char *p;

	if (sscanf(s, "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
		   &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &used) != 6 ||
	    used != 19)
		return CF_EINVAL;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	if (!fields_in_range(&tm))
		return CF_EINVAL;
	p = parse_offset(parse_fraction(s + used, &ms), &offset_ms);
	if (!p || *p)
		return CF_EINVAL;
	*wall_ms = (int64_t)timegm(&tm) * 1000 + ms - offset_ms;
	return 0;
}

static const struct {
	const char *suffix;
	int64_t ms;
} units[] = {
	{ "ms", 1 },
	{ "s", CLOCK_SECOND_MS },
	{ "m", CLOCK_MINUTE_MS },
	{ "h", CLOCK_HOUR_MS },
	{ "d", CLOCK_DAY_MS },
	{ "w", 7 * CLOCK_DAY_MS },
};

static int64_t unit_ms(const char *p, size_t n)
{
	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
		if (strlen(units[i].suffix) == n && !strncmp(units[i].suffix, p, n))
			return units[i].ms;
	return 0;
}

int clock_parse_duration(const char *s, int64_t *ms)
{
	int64_t total = 0;

	if (!strcmp(s, "0")) {
		*ms = 0;
		return 0;
	}
	if (!*s)
		return CF_EINVAL;
	while (*s) {
		size_t digits = strspn(s, "0123456789");
		size_t letters = strspn(s + digits, "mshdw");
		int64_t unit = unit_ms(s + digits, letters);

		if (!digits || digits > 10 || !unit)
			return CF_EINVAL;
		total += strtoll(s, NULL, 10) * unit;
		if (total > INT64_C(1000) * 366 * CLOCK_DAY_MS)
			return CF_EINVAL;
		s += digits + letters;
	}
	*ms = total;
	return 0;
}

char *clock_human(int64_t ms, char out[CLOCK_HUMAN_LEN])
{
	const char *sign = ms < 0 ? "-" : "";
	int64_t a = ms < 0 ? -ms : ms;
	long long d = a / CLOCK_DAY_MS, h = a / CLOCK_HOUR_MS % 24, m = a / CLOCK_MINUTE_MS % 60,
		  s = a / 1000 % 60;

	if (d > 99)
		snprintf(out, CLOCK_HUMAN_LEN, "%s%lldd", sign, d);
	else if (d)
		snprintf(out, CLOCK_HUMAN_LEN, "%s%lldd %lldh", sign, d, h);
	else if (h)
		snprintf(out, CLOCK_HUMAN_LEN, "%s%lldh %lldm", sign, h, m);
	else if (m)
		snprintf(out, CLOCK_HUMAN_LEN, "%s%lldm %llds", sign, m, s);
	else if (s)
		snprintf(out, CLOCK_HUMAN_LEN, "%s%llds", sign, s);
	else
		snprintf(out, CLOCK_HUMAN_LEN, "%s%lldms", sign, (long long)a);
	return out;
}

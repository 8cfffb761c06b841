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
	int ms = (int)((wall_ms % 1000 + 1000) % 1000);
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

/* `n` digits, no sign and no space as sscanf() would take; -1 if there are not as many. */
static int digits(const char *p, int n)
{
	int v = 0;

	for (int i = 0; i < n; i++) {
		if (!isdigit((unsigned char)p[i]))
			return -1;
		v = v * 10 + (p[i] - '0');
	}
	return v;
}

/* Digits after the point: the first three count. NULL if there is none. */
static const char *parse_fraction(const char *p, int64_t *ms)
{
	int64_t scale = 100;

	if (*p != '.')
		return p;
	if (!isdigit((unsigned char)p[1]))
		return NULL;
	for (p++; isdigit((unsigned char)*p); p++) {
		*ms += (*p - '0') * scale;
		scale /= 10;
	}
	return p;
}

static const char *parse_offset(const char *p, int64_t *offset_ms)
{
	int h, m;

	if (*p == 'Z' || *p == 'z')
		return p + 1;
	if (*p != '+' && *p != '-')
		return NULL;
	h = digits(p + 1, 2);
	m = h >= 0 && p[3] == ':' ? digits(p + 4, 2) : -1;
	if (m < 0 || h > 23 || m > 59)
		return NULL;
	*offset_ms = (h * 60 + m) * CLOCK_MINUTE_MS * (*p == '-' ? -1 : 1);
	return p + 6;
}

static int days_in_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

static bool fields_in_range(const struct tm *tm)
{
	return tm->tm_year >= 0 && tm->tm_mon >= 1 && tm->tm_mon <= 12 && tm->tm_mday >= 1 &&
	       tm->tm_mday <= days_in_month(tm->tm_year, tm->tm_mon) && tm->tm_hour >= 0 &&
	       tm->tm_hour <= 23 && tm->tm_min >= 0 && tm->tm_min <= 59 && tm->tm_sec >= 0 &&
	       tm->tm_sec <= 60;
}

/* "2026-11-23T18:47:00", as written, not as struct tm counts. Each mark is looked at before what
 * follows it, so nothing is read past a short text's end. */
static bool parse_fields(const char *s, struct tm *tm)
{
	static const char marks[] = "--T::";
	int *const fields[] = {
		&tm->tm_year, &tm->tm_mon, &tm->tm_mday, &tm->tm_hour, &tm->tm_min, &tm->tm_sec};

	for (int i = 0; i < 6; i++) {
		int n = i ? 2 : 4;

		*fields[i] = digits(s, n);
		if (*fields[i] < 0)
			return false;
		s += n;
		if (i == 5)
			break;
		if (*s != marks[i] && !(marks[i] == 'T' && (*s == 't' || *s == ' ')))
			return false;
		s++;
	}
	return fields_in_range(tm);
}

int clock_parse_rfc3339(const char *s, int64_t *wall_ms)
{
	struct tm tm = {0};
	int64_t ms = 0, offset_ms = 0;
	const char *p;

	if (!parse_fields(s, &tm))
		return CF_EINVAL;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	p = parse_fraction(s + strlen("2026-11-23T18:47:00"), &ms);
	p = p ? parse_offset(p, &offset_ms) : NULL;
	if (!p || *p)
		return CF_EINVAL;
	*wall_ms = (int64_t)timegm(&tm) * 1000 + ms - offset_ms;
	return 0;
}

static const struct {
	const char *suffix;
	int64_t ms;
} units[] = {
	{"ms", 1},
	{"s", CLOCK_SECOND_MS},
	{"m", CLOCK_MINUTE_MS},
	{"h", CLOCK_HOUR_MS},
	{"d", CLOCK_DAY_MS},
	{"w", 7 * CLOCK_DAY_MS},
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
		size_t number = strspn(s, "0123456789");
		size_t letters = strspn(s + number, "mshdw");
		int64_t unit = unit_ms(s + number, letters);

		if (!number || number > 10 || !unit)
			return CF_EINVAL;
		total += strtoll(s, NULL, 10) * unit;
		if (total > INT64_C(1000) * 366 * CLOCK_DAY_MS)
			return CF_EINVAL;
		s += number + letters;
	}
	*ms = total;
	return 0;
}

static const struct {
	const char *suffix;
	int64_t ms;
} human[] = {
	{"d", CLOCK_DAY_MS},
	{"h", CLOCK_HOUR_MS},
	{"m", CLOCK_MINUTE_MS},
	{"s", CLOCK_SECOND_MS},
	{"ms", 1},
};

char *clock_human(int64_t ms, char out[CLOCK_HUMAN_LEN])
{
	int64_t a = ms == INT64_MIN ? INT64_MAX : ms < 0 ? -ms : ms;
	int64_t first, second = 0;
	size_t i = 0;
	int n;

	while (i + 1 < sizeof human / sizeof human[0] && a < human[i].ms)
		i++;
	first = a / human[i].ms;
	if (i < 3 && !(i == 0 && first > 99))
		second = a % human[i].ms / human[i + 1].ms;
	n = snprintf(out, CLOCK_HUMAN_LEN, "%s%lld%s", ms < 0 ? "-" : "", (long long)first,
		human[i].suffix);
	if (second && n > 0 && n < CLOCK_HUMAN_LEN)
		snprintf(out + n, (size_t)(CLOCK_HUMAN_LEN - n), " %lld%s", (long long)second,
			human[i + 1].suffix);
	return out;
}

/* headers.c - Retry-After and Link; declared in objects.h. */
#include "worker/acme/objects.h"

#include "common/str.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
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

static bool parse_date(const char *s, int64_t now_wall_ms, int64_t *ms)
{
	static const char *const forms[] = {
		"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct tm tm = {0};

		if (!strptime(s, forms[i], &tm))
			continue;
		*ms = (int64_t)timegm(&tm) * 1000 - now_wall_ms;
		return true;
	}
	return false;
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

static const char *skip_space(const char *p)
{
	return p + strspn(p, " \t");
}

/* One parameter value, quoted or not, into out; over-long ones are cut. NULL when a quote stays
 * open. */
static const char *read_value(const char *p, char *out, size_t size)
{
	bool quoted = *p == '"';
	size_t n = 0;

	for (p += quoted; *p && (quoted ? *p != '"' : !strchr(";, \t", *p)); p++) {
		if (quoted && *p == '\\' && p[1])
			p++;
		if (n + 1 < size)
			out[n++] = *p;
	}
	out[n] = '\0';
	if (!quoted)
		return p;
	return *p ? p + 1 : NULL;
}

/* Parameters of one link up to its comma or the end; rel is left in out. NULL when malformed. */
static const char *read_params(const char *p, char *rel, size_t size)
{
	char value[256];
	bool have_rel = false;

	rel[0] = '\0';
	for (p = skip_space(p); *p == ';'; p = skip_space(p)) {
		const char *name = p = skip_space(p + 1);
		size_t n = strcspn(p, "=;, \t");

		value[0] = '\0';
		p = skip_space(p + n);
		if (*p == '=' && !(p = read_value(skip_space(p + 1), value, sizeof(value))))
			return NULL;
		if (n == 3 && !strncasecmp(name, "rel", 3) && !have_rel) {
			snprintf(rel, size, "%s", value);
			have_rel = true;
		}
	}
	return *p == '\0' || *p == ',' ? p : NULL;
}

static void each_relation(
	char *rel, const char *target, void (*fn)(void *, const char *, const char *), void *arg)
{
	char *save, *word = strtok_r(rel, " \t", &save);

	if (!word)
		fn(arg, target, "");
	for (; word; word = strtok_r(NULL, " \t", &save))
		fn(arg, target, str_lower(word));
}

void link_each(
	const char *value, void (*fn)(void *arg, const char *target, const char *rel), void *arg)
{
	char target[OBJECT_URL_MAX + 1], rel[256];
	const char *p = value;

	while (*(p += strspn(p, " \t,")) == '<') {
		size_t n = strcspn(++p, ">");

		if (p[n] != '>' || n > OBJECT_URL_MAX)
			return;
		memcpy(target, p, n);
		target[n] = '\0';
		p = read_params(p + n + 1, rel, sizeof(rel));
		if (!p)
			return;
		each_relation(rel, target, fn, arg);
	}
}

/* headers.c - Link; declared in objects.h. */
#include "worker/acme/objects.h"

#include "common/str.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

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

#include "common/log.h"

#include "common/buf.h"
#include "common/clock.h"
#include "common/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define LINE_LIMIT  8192
#define FIELD_LIMIT 512

static struct {
	enum log_level least;
	enum log_format format;
	const char *component;
} state = {LOG_INFO, LOG_LOGFMT, "certfleet"};

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_setup(enum log_level least, enum log_format format, const char *component)
{
	state.least = least;
	state.format = format;
	state.component = component;
}

bool log_wanted(enum log_level level)
{
	return level >= state.least;
}

int log_level_parse(const char *name)
{
	for (int i = 0; i < 4; i++)
		if (!strcasecmp(name, level_names[i]))
			return i;
	return -1;
}

static bool needs_quotes(const char *s)
{
	return !*s || strpbrk(s, " \"=\\") != NULL;
}

static void add_quoted(struct buf *b, const char *s)
{
	buf_addc(b, '"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			buf_addc(b, '\\');
		buf_addc(b, *s);
	}
	buf_addc(b, '"');
}

static void add_field(struct buf *b, const char *key, const char *text, int64_t number)
{
	char clean[FIELD_LIMIT + 1];
	bool json = state.format == LOG_JSON;

	buf_addf(b, json ? ",\"%s\":" : " %s=", key);
	if (!text) {
		buf_addf(b, "%" PRId64, number);
		return;
	}
	str_clean(text, strlen(text), clean, sizeof clean);
	if (json || needs_quotes(clean))
		add_quoted(b, clean);
	else
		buf_adds(b, clean);
}

/* A field that does not fit is left out whole, so that a long line stays a line of its format. */
static void add_whole_field(struct buf *b, const struct log_field *f)
{
	size_t before = b->len;

	add_field(b, f->key, f->text, f->number);
	if (!b->over)
		return;
	b->len = before;
	b->data[before] = '\0';
	b->over = false;
}

void log_write(enum log_level level, const char *event, const struct log_field *fields, size_t n)
{
	_buf_release_ struct buf line = BUF_INIT(LINE_LIMIT);
	char when[CLOCK_RFC3339_LEN];
	bool json = state.format == LOG_JSON;
	ssize_t wrote;

	clock_rfc3339(clock_wall_ms(), when);
	buf_addf(&line, json ? "{\"time\":\"%s\",\"level\":\"%s\"" : "time=%s level=%s", when,
		level_names[level]);
	add_field(&line, "part", state.component, 0);
	add_field(&line, "event", event, 0);
	for (size_t i = 0; i < n; i++)
		add_whole_field(&line, &fields[i]);
	line.limit += 2;
	buf_adds(&line, json ? "}\n" : "\n");
	wrote = write(STDERR_FILENO, line.data, line.len);
	(void)wrote; /* there is nowhere left to say it */
}

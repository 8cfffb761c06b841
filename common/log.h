/* log.h - one line an event, logfmt for people or JSON for machines, to standard error.
 *
 *	LOG(INFO, "job_taken", LF("endpoint", id), LF_INT("attempt", n));
 *
 * Text from outside (a CA, DNS, a customer) passes through here cleaned: valid UTF-8, no control
 * characters, at most 512 bytes a field. Secrets never come here. Libraries of pure logic do not
 *log.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_LOGFMT, LOG_JSON };

struct log_field {
	const char *key;
	const char *text; /* NULL: number counts */
	int64_t number;
};

static inline const char *log_text(const char *text)
{
	return text ? text : "";
}

#define LF(k, v)     ((struct log_field){.key = (k), .text = log_text(v)})
#define LF_INT(k, v) ((struct log_field){.key = (k), .number = (int64_t)(v)})

/** component is e.g. "worker"; borrowed for ever. */
void log_setup(enum log_level least, enum log_format format, const char *component);
bool log_wanted(enum log_level level);
void log_write(enum log_level level, const char *event, const struct log_field *fields, size_t n);
/** "debug" … "error" → level; -1 if none. */
int log_level_parse(const char *name);

/* An empty field ends the list, so that an event without fields is legal C too. */
#define LOG(level, ...) LOG_FIELDS(LOG_##level, __VA_ARGS__, ((struct log_field){.key = NULL}))

#define LOG_FIELDS(level, event, ...)                                            \
	do {                                                                     \
		if (log_wanted(level)) {                                         \
			const struct log_field log_fields_[] = {__VA_ARGS__};    \
			log_write(level, event, log_fields_,                     \
				sizeof log_fields_ / sizeof log_fields_[0] - 1); \
		}                                                                \
	} while (0)

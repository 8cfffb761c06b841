#include "common/err.h"

#include <stdio.h>
#include <string.h>

const char *cf_strerror(int err)
{
	switch (err) {
	case 0:
		return "ok";
#define CF_ERR_TEXT(name, value, text) \
	case value:                    \
		return text;
		CF_ERRORS(CF_ERR_TEXT)
#undef CF_ERR_TEXT
	default:
		return "unknown error";
	}
}

const char *cf_errname(int err)
{
	switch (err) {
	case 0:
		return "OK";
#define CF_ERR_NAME(name, value, text) \
	case value:                    \
		return #name;
		CF_ERRORS(CF_ERR_NAME)
#undef CF_ERR_NAME
	default:
		return "EUNKNOWN";
	}
}

int why_set(struct why *why, int err, const char *format, ...)
{
	va_list ap;

	if (!why)
		return err;
	va_start(ap, format);
	vsnprintf(why->text, sizeof why->text, format, ap);
	va_end(ap);
	return err;
}

int why_prefix(struct why *why, int err, const char *format, ...)
{
	char head[sizeof why->text];
	char rest[sizeof why->text];
	va_list ap;
	size_t used;

	if (!why)
		return err;
	va_start(ap, format);
	vsnprintf(head, sizeof head, format, ap);
	va_end(ap);
	memcpy(rest, why->text, sizeof rest);
	used = strnlen(head, sizeof head - 1);
	memcpy(why->text, head, used);
	snprintf(why->text + used, sizeof why->text - used, "%s", rest);
	return err;
}

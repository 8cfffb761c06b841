/* The members of a body: what is not known, or not of its type, is refused by name. */
#include "scheduler/api/v1_internal.h"

#include <inttypes.h>
#include <string.h>

bool v1_wrong(struct v1_call *c, const char *key, const char *expected)
{
	v1_problemf(c, 422, "invalid", "%s: expected %s", key, expected);
	return false;
}

bool v1_text(struct v1_call *c, const char *key, const char **out)
{
	json_t *v = json_object_get(c->body, key);

	*out = NULL;
	if (!v || json_is_null(v))
		return true;
	if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v))
		return v1_wrong(c, key, "a text without NUL");
	*out = json_string_value(v);
	return true;
}

bool v1_seconds(struct v1_call *c, const char *key, int64_t least, int64_t most, int64_t fallback,
	int64_t *out)
{
	json_t *v = json_object_get(c->body, key);
	int64_t n = json_is_integer(v) ? json_integer_value(v) : fallback;

	if ((v && !json_is_integer(v)) || n < least || n > most) {
		v1_problemf(c, 422, "invalid",
			"%s: expected a whole number of seconds from %" PRId64 " to %" PRId64, key,
			least, most);
		return false;
	}
	*out = n;
	return true;
}

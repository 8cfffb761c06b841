#include "scheduler/silence.h"

#include "common/mem.h"
#include "common/mp.h"
#include "common/str.h"
#include "scheduler/cli/facts.h"

#include <openssl/rand.h>
#include <string.h>

bool silence_field_known(const char *field)
{
	static const char *const fields[] = {"", "key", "endpoint", "condition", "tenant", "cause"};

	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (strcmp(fields[i], field) == 0)
			return true;
	return false;
}

static bool is_line(const char *text, size_t most)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t n = 0;

	while (p[n] >= ' ' && p[n] != 0x7f)
		n++;
	return n && n <= most && !p[n];
}

int silence_check(const char *field, const char *pattern, const char *reason, struct why *why)
{
	if (!silence_field_known(field))
		return why_set(why, CF_EINVAL,
			"field: expected key, endpoint, condition, tenant or cause, got \"%.32s\"",
			field);
	if (!is_line(pattern, SILENCE_PATTERN_MAX))
		return why_set(why, CF_EINVAL,
			"pattern: expected one line of 1 to %d bytes, got %zu bytes",
			SILENCE_PATTERN_MAX, strlen(pattern));
	if (!is_line(reason, SILENCE_REASON_MAX))
		return why_set(why, CF_EINVAL,
			"reason: expected one line of 1 to %d bytes, got %zu bytes",
			SILENCE_REASON_MAX, strlen(reason));
	return 0;
}

bool silence_id_ok(const char *id)
{
	return is_line(id, 64);
}

void silence_new_id(char out[SILENCE_ID_SIZE])
{
	unsigned char random[4];

	if (RAND_bytes(random, sizeof random) != 1)
		abort();
	str_hex(random, sizeof random, out);
}

void silence_encode(const struct silence *s, struct buf *out)
{
	size_t map = mp_map_open(out);

	mp_key_str(out, "id", s->id);
	mp_key_str(out, "field", s->field);
	mp_key_str(out, "pattern", s->pattern);
	mp_key_str(out, "reason", s->reason);
	mp_key_str(out, "by", s->by);
	mp_key_int(out, "till", s->till_ms);
	mp_map_close(out, map);
}

int silence_decode(const void *bytes, size_t n, struct silence *out)
{
	struct silence s = {.from_ms = 0};
	struct mp_doc doc;
	struct mp root;

	if (mp_open(&doc, bytes, n, &root, NULL))
		return CF_EPROTO;
	mp_get_text(&root, "id", s.id, sizeof s.id);
	mp_get_text(&root, "field", s.field, sizeof s.field);
	mp_get_text(&root, "pattern", s.pattern, sizeof s.pattern);
	mp_get_text(&root, "reason", s.reason, sizeof s.reason);
	mp_get_text(&root, "by", s.by, sizeof s.by);
	mp_get_int(&root, "from", &s.from_ms);
	mp_get_int(&root, "till", &s.till_ms);
	if (mp_err(&doc))
		return CF_EPROTO;
	*out = s;
	return 0;
}

json_t *silence_json(const struct silence *s, int64_t now_ms)
{
	return json_pack("{s:o s:o s:o s:o s:o s:o s:o s:b}", "id", json_text(s->id), "field",
		json_text(s->field), "pattern", json_text(s->pattern), "reason",
		json_text(s->reason), "by", json_text(s->by), "from", json_time(s->from_ms),
		"until", json_time(s->till_ms), "active", s->till_ms > now_ms);
}

#include "common/breaker.h"

#include "common/mem.h"

#include <stdio.h>
#include <string.h>

static const char *const ways[BREAKER_WAYS] = {"http-01", "dns-01", "orders"};
static const char *const states[] = {"closed", "half_open", "open"};

const char *breaker_way_name(enum breaker_way way)
{
	return ways[way];
}

int breaker_way_parse(const char *name, enum breaker_way *out)
{
	for (size_t i = 0; name && i < BREAKER_WAYS; i++) {
		if (strcmp(ways[i], name) != 0)
			continue;
		*out = (enum breaker_way)i;
		return 0;
	}
	return CF_ENOTFOUND;
}

const char *breaker_state_name(enum breaker_state state)
{
	return states[state];
}

bool breaker_is_shut(const struct breaker_row *row)
{
	return row->state != BREAKER_CLOSED;
}

static bool read_row(const struct reply *r, struct breaker_row *out)
{
	const char *authority = reply_str(reply_at(r, 0), NULL);
	const char *why = reply_str(reply_at(r, 9), NULL);
	int64_t state = reply_int(reply_at(r, 2));

	*out = (struct breaker_row){.since_ms = reply_int(reply_at(r, 3)),
		.from_ms = reply_int(reply_at(r, 4)),
		.next_ms = reply_int(reply_at(r, 5)),
		.tries = (uint32_t)reply_int(reply_at(r, 6)),
		.failures = (uint32_t)reply_int(reply_at(r, 7)),
		.armed = reply_int(reply_at(r, 8)) == 1};
	if (!authority || strlen(authority) >= sizeof out->authority || state < 0 ||
		state >= (int64_t)ARRAY_LEN(states) ||
		breaker_way_parse(reply_str(reply_at(r, 1), NULL), &out->way))
		return false;
	out->state = (enum breaker_state)state;
	snprintf(out->authority, sizeof out->authority, "%s", authority);
	snprintf(out->why, sizeof out->why, "%s", why ? why : "");
	return true;
}

size_t breaker_read(
	const struct reply *reply, struct breaker_row *rows, size_t max, int64_t *now_ms)
{
	size_t n = 0;

	if (now_ms)
		*now_ms = reply_int(reply_at(reply, 0));
	for (size_t i = 1; i < reply_len(reply) && n < max; i++)
		n += read_row(reply_at(reply, i), &rows[n]);
	return n;
}

#include "scheduler/reap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Beyond what the trip explains; clocks are disciplined by far less than this a second. */
#define CLOCK_STEP_MS 500

static const char *pause_for(struct reap_guard *g, int64_t now_ms, const char *why)
{
	g->not_before_ms = now_ms + g->lease_ms;
	return why;
}

void reap_guard_connected(struct reap_guard *g)
{
	g->looked = false;
}

const char *reap_guard_look(struct reap_guard *g, int64_t now_ms, const char *replid,
	const char *remembered, bool loading)
{
	bool silent = g->looked_ms && now_ms - g->looked_ms > REAP_LOOK_EVERY_MS + g->lease_ms / 3;
	char before[REPLID_SIZE];

	g->looked_ms = now_ms;
	snprintf(before, sizeof before, "%s", g->replid[0] ? g->replid : remembered);
	snprintf(g->replid, sizeof g->replid, "%s", replid);
	g->looked = true;
	if (loading)
		return pause_for(g, now_ms, "loading");
	if (before[0] && strcmp(before, replid))
		return pause_for(g, now_ms, "replication_id_changed");
	return silent ? pause_for(g, now_ms, "silent") : NULL;
}

const char *reap_guard_clock(
	struct reap_guard *g, int64_t sent_ms, int64_t received_ms, int64_t redis_ms)
{
	int64_t trip = received_ms - sent_ms;
	int64_t ahead = redis_ms - (sent_ms + trip / 2);
	bool stepped = g->has_clock && llabs(ahead - g->ahead_ms) > trip + CLOCK_STEP_MS;

	if (trip > CLOCK_STEP_MS) /* such a reading says nothing, and must not become the measure */
		return NULL;
	g->has_clock = true;
	g->ahead_ms = ahead;
	return stepped ? pause_for(g, received_ms, "clock_stepped") : NULL;
}

int64_t reap_guard_expects(const struct reap_guard *g, int64_t now_ms)
{
	return g->has_clock ? now_ms + g->ahead_ms : 0;
}

bool reap_guard_allows(const struct reap_guard *g, int64_t now_ms)
{
	return g->looked && now_ms >= g->not_before_ms;
}

char *info_field(const char *info, size_t len, const char *name, char *out, size_t size)
{
	size_t want = strlen(name);
	const char *end = info + len;

	out[0] = 0;
	for (const char *line = info; line < end;) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));
		size_t n = (size_t)((stop ? stop : end) - line);

		if (n && line[n - 1] == '\r')
			n--;
		if (n > want && !memcmp(line, name, want) && line[want] == ':') {
			snprintf(out, size, "%.*s", (int)(n - want - 1), line + want + 1);
			return out;
		}
		line = stop ? stop + 1 : end;
	}
	return out;
}

#include "scheduler/breakers.h"

#include "common/clock.h"

#include <stdio.h>
#include <string.h>

#define CANARY_TRIES 3 /* a routine canary is told of when it failed so often in a row */

/* What of it is whose. */
static const struct {
	const char *what, *fix, *actor;
} of_way[] = {
	[BREAKER_HTTP01] = {"orders by http-01",
		"see why the canary fails: is /.well-known/acme-challenge/ at the edge still "
		"passed "
		"to the workers, and port 80 open to the world?",
		"operator"},
	[BREAKER_DNS01] = {"orders by dns-01",
		"see why the canary fails: is the challenge zone delegated to the workers, and do "
		"they answer from outside?",
		"operator"},
	[BREAKER_ORDERS] = {"orders",
		"look at the authority's status page, and at the workers' way to it", "authority"},
};

static void breaker_open(const struct breaker_row *row, const char *canary, struct alert_edge *out)
{
	char condition[64], text[512], when[CLOCK_RFC3339_LEN];
	bool open = canary && breaker_is_shut(row) && row->tries > 0;

	snprintf(condition, sizeof condition, "breaker_open:%.32s:%s", row->authority,
		breaker_way_name(row->way));
	snprintf(text, sizeof text,
		"%s at %s fail for everybody since %s, the canary %s too (%.160s): new ones pause, "
		"and nobody's failure is counted. Due renewals wait for the canary; from the "
		"second "
		"half of the time that is left to them they are tried all the same",
		of_way[row->way].what, row->authority, clock_rfc3339(row->from_ms, when),
		canary ? canary : "", row->why);
	alert_fleet(condition, open, ALERT_CRITICAL, text, of_way[row->way].fix, out);
	snprintf(out->actor, sizeof out->actor, "%s", of_way[row->way].actor);
	out->since_ms = row->from_ms;
	snprintf(out->next, sizeof out->next, "the canary is tried again at %s",
		clock_rfc3339(row->next_ms, when));
}

static void canary_failing(
	const struct breaker_row *row, const char *canary, struct alert_edge *out)
{
	char condition[64], text[512];
	bool open = canary && !breaker_is_shut(row) && row->tries >= CANARY_TRIES;

	snprintf(condition, sizeof condition, "canary_failing:%.32s:%s", row->authority,
		breaker_way_name(row->way));
	snprintf(text, sizeof text, "the canary %s fails at %s by %s, %u times in a row: %.240s",
		canary ? canary : "", row->authority, breaker_way_name(row->way), row->tries,
		row->why);
	alert_fleet(condition, open, ALERT_WARNING, text, "", out);
}

void breakers_judge(const struct breaker_row *row, const char *canary,
	struct alert_edge out[BREAKERS_CONDITIONS])
{
	breaker_open(row, canary, &out[0]);
	canary_failing(row, canary, &out[1]);
}

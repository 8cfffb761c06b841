/* breaker.h - the circuit breakers of a fleet as Redis has them (common/lua/breaker.lua).
 *
 * One for each authority and way of issuing: a challenge type, or the orders themselves, which are
 * the authority's. While one is not closed, orders that need the way wait until a canary, a name of
 * the fleet's own, has passed by it. So an outage of ours or the authority's is charged to nobody.
 */
#pragma once

#include "common/endpoint.h"
#include "common/redis.h"

enum breaker_way { BREAKER_HTTP01, BREAKER_DNS01, BREAKER_ORDERS, BREAKER_WAYS };
enum breaker_state {
	BREAKER_CLOSED,    /* all is well */
	BREAKER_HALF_OPEN, /* tries pause, and the canary's turn has come */
	BREAKER_OPEN,      /* tries pause: the canary failed as well */
};

/** "http-01", "dns-01", "orders". */
const char *breaker_way_name(enum breaker_way way);
/** CF_ENOTFOUND. */
int breaker_way_parse(const char *name, enum breaker_way *out);
/** "closed", "half_open", "open". */
const char *breaker_state_name(enum breaker_state state);

struct breaker_row {
	char authority[ENDPOINT_AUTHORITY_MAX + 1];
	enum breaker_way way;
	enum breaker_state state;
	int64_t since_ms;  /* of the state */
	int64_t from_ms;   /* the first of the failures that began it */
	int64_t next_ms;   /* when the canary is tried, by Redis' clock */
	uint32_t tries;    /* of the canary that failed in a row */
	uint32_t failures; /* of customers' orders */
	bool armed;        /* the canary passed of late: it can tell our trouble from the owners' */
	char why[513];     /* what the canary failed by */
};

#define BREAKER_ROWS_MAX 64

/** The script's answer to `look`, all by Redis' clock; returns how many were put in rows[max]. What
 * cannot be read is left out. now_ms may be NULL. */
size_t breaker_read(
	const struct reply *reply, struct breaker_row *rows, size_t max, int64_t *now_ms);
/** What is stopped: orders at this authority, or by this challenge type. */
bool breaker_is_shut(const struct breaker_row *row);

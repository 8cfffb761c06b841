/* wait.h - waits until endpoints are as wanted, and says meanwhile how they are. */
#pragma once

#include "scheduler/cli/cli.h"
#include "scheduler/cli/facts.h"

enum wait_goal {
	WAIT_STATE,  /* has the state */
	WAIT_GONE,   /* exists no more */
	WAIT_SERIAL, /* has a valid certificate of another serial than `serial` */
};

struct waiter {
	const char *id; /* borrowed */
	enum wait_goal goal;
	enum endpoint_state state;
	char serial[41];
	/* How it is. */
	bool reached, hopeless, seen, told;
	enum endpoint_state now;
	char reason[ENDPOINT_CODE_MAX + 1];
};

/** True if it is as wanted; f is NULL when the endpoint does not exist. Pure. */
bool wait_reached(const struct waiter *w, const struct facts *f);
/** CLI_DONE; CLI_NOT_YET when the time ran out or nothing will change by waiting, told on standard
 * error; CLI_FAILED. */
int wait_run(struct cli *cli, struct waiter *waiters, size_t n, int64_t timeout_ms);

/* door_judge.h - what looks through a name's front door mean for http-01. Pure. */
#pragma once

#include "common/diagnosis.h"
#include "worker/probe/door.h"

#define DOOR_FINDINGS_MAX 6 /* one a code */

struct door_case {
	const char *name, *target;
	const struct endpoint_cert *cert; /* NULL: none that is valid */
	bool ours;  /* the addresses are the target's: what is wrong there is the operator's */
	bool alone; /* no other challenge type is open */
	int64_t now_ms;
};

struct door_seen {
	struct addr at;
	struct door_result result;
};

/** Fills out[DOOR_FINDINGS_MAX] with what is wrong: redirect_slash, probe_redirect, probe_foreign,
 * probe_refused, probe_timeout, aaaa_unreachable (IPv6 takes no connection, IPv4 does), each with
 * what every address gave. UNKNOWN when no address said anything: it was us who could not see. */
enum probe_status door_judge(const struct door_case *c, const struct door_seen *seen, size_t n,
	struct diagnosis *out, size_t *out_n);
/** One of the codes above. */
bool door_is_code(const char *code);

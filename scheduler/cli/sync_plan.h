/* sync_plan.h - whether a certificate of the fleet replaces the one in an edge's folder: a pure
 * decision.
 *
 * An edge keeps serving what it has rather than take a step back: nothing older is ever installed,
 * whatever Redis says (a restored backup, a failover that lost seconds), nothing revoked, and
 * nothing is deleted because it is absent.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct sync_cert {
	bool there;
	char serial[41];
	int64_t not_before_ms, not_after_ms;
	bool revoked; /* of the fleet's */
};

enum sync_step {
	SYNC_KEEP,    /* they are the same */
	SYNC_INSTALL, /* there is none yet, or the file holds no certificate */
	SYNC_REPLACE,
	SYNC_OLDER,   /* the fleet's is older than the file's: refused */
	SYNC_REVOKED, /* the fleet's is revoked: refused */
};

enum sync_step sync_decide(const struct sync_cert *file, const struct sync_cert *fleet);

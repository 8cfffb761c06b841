/* proof.h - what edges showed, put together: at how many addresses the certificate is served, which
 * are behind, and for each code one diagnosis that says what to do at which edge. Pure. */
#pragma once

#include "common/diagnosis.h"
#include "worker/probe/served.h"

#define PROOF_FOUND_MAX 6 /* there are so many served_* codes */

struct proof_case {
	const char *endpoint; /* its id */
	const struct endpoint_cert *cert;
	int64_t now_ms;
};

struct proof {
	struct served served; /* status, right, addresses, behind, why; the rest is 0 */
	struct diagnosis found[PROOF_FOUND_MAX];
	size_t found_n;
};

/** An address is right when each name is right there. Addresses that we may not connect to do not
 * count. No connection is no finding: it may be us who cannot. */
void proof_sum(
	const struct proof_case *c, const struct served_seen *seen, size_t n, struct proof *out);
/** "2 of 3 addresses; behind: 192.0.2.7:443 (served_old)": for people. */
void proof_words(const struct served *s, struct buf *out);

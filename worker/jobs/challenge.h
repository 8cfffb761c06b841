/* challenge.h - challenges put where every responder of the fleet finds them, looked at, and taken
 * away.
 *
 * In Redis: `http:TOKEN` (the key authorization) and `txt:LABEL` (a hash whose fields are the TXT
 * values), both with a TTL, so that nothing of a dead order stays for ever. Visible means that each
 * living responder was asked directly and gave the right answer.
 */
#pragma once

#include "worker/acme/acme.h"

struct worker;

/** done comes exactly once, also when nobody waits any more. tenant is copied. */
void challenge_publish(struct worker *w, const char *tenant, const struct acme_challenge *c,
	acme_done_fn *done, void *done_arg);
/** 0, or CF_EAGAIN: some responder does not answer right yet, or none lives. */
void challenge_visible(struct worker *w, const char *tenant, const struct acme_challenge *c,
	acme_done_fn *done, void *done_arg);
void challenge_unpublish(struct worker *w, const char *tenant, const struct acme_challenge *c,
	acme_done_fn *done, void *done_arg);

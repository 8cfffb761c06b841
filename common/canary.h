/* canary.h - is our vault key the fleet's?
 *
 * A sealed blob that only the right key opens lies in Redis for each wrap (vault:accounts,
 * vault:certificates). The first process that looks makes it; whoever cannot open it has a wrong
 * key and must not start: what it sealed nobody else could open.
 */
#pragma once

#include "common/redis.h"
#include "common/vault.h"

/** err 0: the key is right. CF_EAUTH: it is not, why names the wrap and the way out. CF_ECONN and
 * others of redis.h: not known; ask again. */
typedef void canary_fn(void *arg, int err, const struct why *why);

/** Borrows redis and vault until done is called, exactly once. */
void canary_check(
	struct redis *redis, struct vault *vault, enum vault_wrap wrap, canary_fn *done, void *arg);

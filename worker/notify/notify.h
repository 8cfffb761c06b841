/* notify.h - the role `notify`: brings alerts to webhooks and to Alertmanager.
 *
 * A target is one more consumer group, `notify:NAME`, on the stream `alerts`. Whoever has its lease
 * delivers to it, under its own consumer name; the targets are thus shared among all workers with
 * this role. An entry is acknowledged when the target took it, or when it is given up, so nothing
 * is lost whoever dies, and what was taken but not acknowledged comes twice at most, with the same
 * webhook-id.
 *
 *	 no lease ──won──► join (the group is made) ──► claim (what another had pending) ──► read
 *	    ▲                 ▲                                                                │
 *	    └── lost: all is  └────────────── Redis failed: begin again ───────────────────────┘
 *	        dropped
 */
#pragma once

#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

struct worker;
struct notify;

/** Reads secrets and begins. *out is NULL without the role. CF_E* with a why that names the file.
 */
int notify_start(struct worker *w, struct notify **out, struct why *why);
/** Takes no more, waits for what is on its way (grace_ms at most), gives the leases back, and calls
 * done. */
void notify_drain(struct notify *n, int64_t grace_ms, void (*done)(void *arg), void *arg);
/** Ends all that goes on; before its Redis and loop end. NULL is a no-op. */
void notify_close(struct notify *n);
/** Once the loop has turned. NULL is a no-op. */
void notify_free(struct notify *n);

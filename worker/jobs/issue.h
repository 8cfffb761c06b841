/* issue.h - jobs of the queue `issue`: provision, renew, revoke, remove.
 *
 *	 decide ──► claims ──► ARI (renew) ──► stale authorizations ──► order ──► revoke (revoke)
 *──► finish │          │          │ not yet                               │ ▲ └ nothing  └ not ours
 *└───────────────► finish                └─┘ next authority, names split off
 *
 * What an endpoint needs is decided anew from its record at the start: the intent in the queue is a
 *hint that may be older than the record. Nothing here blocks; every callback may come after the job
 *was stopped, so the state is freed when the last one has come.
 */
#pragma once

#include "worker/jobs/job.h"

extern const struct job_kind issue_kind;

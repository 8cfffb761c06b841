/* sync_plan.c - see sync_plan.h. */
#include "scheduler/cli/sync_plan.h"

#include <string.h>

enum sync_step sync_decide(const struct sync_cert *file, const struct sync_cert *fleet)
{
	if (file->there && strcmp(file->serial, fleet->serial) == 0)
		return SYNC_KEEP;
	if (fleet->revoked)
		return SYNC_REVOKED;
	if (!file->there)
		return SYNC_INSTALL;
	if (fleet->not_before_ms < file->not_before_ms)
		return SYNC_OLDER;
	/* Issued in the same second: Redis knows which was last. */
	return SYNC_REPLACE;
}

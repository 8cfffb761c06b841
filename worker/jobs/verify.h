/* verify.h - jobs of the queue `verify`: look at the records that the owner must create, and say
 *what they mean.
 *
 *	 ask DNS for each name, side by side ──► judge (look.h) ──► claims in Redis ──► finish
 *
 * A look that turns an endpoint ready makes its issuing due in the same step; one that turns an
 *active endpoint's records wrong raises the condition that says when the renewal will fail.
 */
#pragma once

#include "worker/jobs/job.h"

extern const struct job_kind verify_kind;

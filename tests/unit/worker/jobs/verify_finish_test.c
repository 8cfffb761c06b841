/* When a look asks for issuing. */
#include "worker/jobs/verify_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NOW INT64_C(1800000000000)

static const struct need none = {.any = false};
static const struct need now_due = {.any = true, .intent = INTENT_PROVISION, .due_ms = NOW};
static const struct need much_later = {
	.any = true, .intent = INTENT_RENEW, .due_ms = NOW + 86400000};

static struct job_record job(enum job_where where, int64_t due_ms)
{
	return (struct job_record){.where = where, .due_ms = due_ms};
}

static void asks_for_what_is_not_planned(void **state)
{
	struct job_record nowhere = job(JOB_NONE, 0), late = job(JOB_DUE, NOW + 60000);
	struct job_record soon = job(JOB_DUE, NOW), running = job(JOB_RUNNING, NOW + 3000);

	(void)state;
	assert_false(verify_asks_issue(&nowhere, &none, true));
	assert_true(verify_asks_issue(&nowhere, &much_later, false));
	assert_true(verify_asks_issue(&late, &now_due, false));
	assert_false(verify_asks_issue(&soon, &now_due, false));
	assert_false(verify_asks_issue(&late, &much_later, false));
	assert_false(verify_asks_issue(&running, &now_due, false));
}

/* Both jobs were due at the same time: issuing ran upon the old verdict, planned by it, and was
 * done after the look; what the look had found was forgotten until the next change. */
static void a_changed_verdict_asks_though_issuing_was_due(void **state)
{
	struct job_record due = job(JOB_DUE, NOW - 5), running = job(JOB_RUNNING, NOW + 3000);

	(void)state;
	assert_true(verify_asks_issue(&due, &now_due, true));
	assert_true(verify_asks_issue(&running, &now_due, true));
	assert_true(verify_asks_issue(&running, &much_later, true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(asks_for_what_is_not_planned),
		cmocka_unit_test(a_changed_verdict_asks_though_issuing_was_due),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

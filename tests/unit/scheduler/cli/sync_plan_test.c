/* An edge never takes a step back. */
#include "scheduler/cli/sync_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct sync_cert NONE = {.there = false};
static const struct sync_cert OLD = {true, "01", 1000, 5000, false};
static const struct sync_cert NEW = {true, "02", 3000, 8000, false};

static void first_is_installed(void **state)
{
	(void)state;
	assert_int_equal(sync_decide(&NONE, &OLD), SYNC_INSTALL);
}

static void same_is_kept(void **state)
{
	struct sync_cert revoked = OLD;

	(void)state;
	assert_int_equal(sync_decide(&OLD, &OLD), SYNC_KEEP);
	revoked.revoked = true;
	assert_int_equal(sync_decide(&OLD, &revoked), SYNC_KEEP);
}

static void newer_replaces(void **state)
{
	(void)state;
	assert_int_equal(sync_decide(&OLD, &NEW), SYNC_REPLACE);
}

static void older_is_refused(void **state)
{
	(void)state;
	assert_int_equal(sync_decide(&NEW, &OLD), SYNC_OLDER);
}

static void same_second_follows_redis(void **state)
{
	struct sync_cert twin = OLD;

	(void)state;
	twin.serial[0] = '7';
	assert_int_equal(sync_decide(&OLD, &twin), SYNC_REPLACE);
}

static void revoked_is_refused(void **state)
{
	struct sync_cert revoked = NEW;

	(void)state;
	revoked.revoked = true;
	assert_int_equal(sync_decide(&OLD, &revoked), SYNC_REVOKED);
	assert_int_equal(sync_decide(&NONE, &revoked), SYNC_REVOKED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_is_installed),
		cmocka_unit_test(same_is_kept),
		cmocka_unit_test(newer_replaces),
		cmocka_unit_test(older_is_refused),
		cmocka_unit_test(same_second_follows_redis),
		cmocka_unit_test(revoked_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

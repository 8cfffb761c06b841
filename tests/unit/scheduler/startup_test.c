#include "scheduler/startup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int version(const char *info)
{
	struct why why;

	return startup_version(info, strlen(info), &why);
}

static void wants_seven(void **state)
{
	(void)state;
	assert_int_equal(version("redis_version:7.0.15\r\n"), 0);
	assert_int_equal(version("redis_version:8.0.0\r\n"), 0);
	assert_int_equal(version("redis_version:7.2.4\r\nvalkey_version:8.1.0\r\n"), 0);
	assert_int_equal(version("redis_version:6.2.14\r\n"), CF_EVERSION);
	assert_int_equal(version(""), 0); /* a server that does not say is not refused for it */
}

static bool safe(const char *info, const char *appendfsync, const char *word)
{
	bool is_safe;
	const char *line = startup_durability(info, strlen(info), appendfsync, &is_safe);

	if (!strstr(line, word))
		fail_msg("\"%s\" does not say \"%s\"", line, word);
	return is_safe;
}

static void risk(
	const char *info, uint32_t replicas, bool failover, const char *word, const char *how)
{
	const char *fix = NULL,
		   *line = startup_replication(info, strlen(info), replicas, failover, &fix);

	if (!word) {
		assert_null(line);
		return;
	}
	assert_non_null(line);
	if (!strstr(line, word) || !strstr(fix, how))
		fail_msg("\"%s\" (%s) does not say \"%s\" (%s)", line, fix, word, how);
}

#define NONE    "role:master\r\nconnected_slaves:0\r\n"
#define ONE     "role:master\r\nconnected_slaves:1\r\n"
#define TWO     "role:master\r\nconnected_slaves:2\r\nmin_slaves_good_slaves:2\r\n"
#define GUARDED ONE "min_slaves_good_slaves:1\r\n"

static void says_what_a_failover_can_lose(void **state)
{
	(void)state;
	risk(NONE, 0, false, NULL, NULL);
	risk(NONE, 1, false, "fewer replicas", "lower redis.replicas");
	risk(GUARDED, 2, true, "fewer replicas", "connect replicas");
	risk(NONE, 0, true, "no replica is connected", "a replica");
	risk(ONE, 0, true, "redis.replicas is 0", "redis.replicas: 1");
	risk(ONE, 1, true, "min-replicas-to-write is 0", "min-replicas-to-write 1");
	risk(ONE, 1, false, NULL, NULL);
}

/* Neither is a fault: what each promises is said all the same. */
static void says_what_is_promised(void **state)
{
	const char *fix = "";

	(void)state;
	assert_non_null(strstr(
		startup_replication(GUARDED, strlen(GUARDED), 1, true, &fix), "on every replica"));
	assert_null(fix);
	fix = "";
	assert_non_null(strstr(
		startup_replication(TWO, strlen(TWO), 1, true, &fix), "on some of the replicas"));
	assert_null(fix);
	assert_non_null(
		strstr(startup_replication(TWO, strlen(TWO), 2, true, &fix), "on every replica"));
}

static void says_what_can_be_lost(void **state)
{
	(void)state;
	assert_true(safe("aof_enabled:1\r\n", "everysec", "up to 2 s"));
	assert_true(safe("aof_enabled:1\r\n", "always", "nothing"));
	assert_true(safe("aof_enabled:1\r\n", "", "appendonly is on"));
	assert_false(safe("aof_enabled:1\r\n", "no", "can be lost"));
	assert_false(safe("aof_enabled:0\r\n", "everysec", "appendonly is off"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wants_seven),
		cmocka_unit_test(says_what_can_be_lost),
		cmocka_unit_test(says_what_a_failover_can_lose),
		cmocka_unit_test(says_what_is_promised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

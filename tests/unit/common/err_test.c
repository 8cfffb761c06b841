#include "common/err.h"

#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <string.h>

static void test_codes_have_names_and_texts(void **state)
{
	(void)state;
#define CHECK(name, value, text)                           \
	assert_true(CF_##name == (value) && (value) < 0);  \
	assert_string_equal(cf_errname(CF_##name), #name); \
	assert_string_equal(cf_strerror(CF_##name), text);
	CF_ERRORS(CHECK)
#undef CHECK
	assert_string_equal(cf_strerror(0), "ok");
	assert_string_equal(cf_errname(0), "OK");
	assert_string_equal(cf_strerror(-9999), "unknown error");
	assert_string_equal(cf_errname(1), "EUNKNOWN");
}

static void test_why(void **state)
{
	struct why why;

	(void)state;
	assert_int_equal(why_set(&why, CF_EINVAL, "%s is %d", "x", 3), CF_EINVAL);
	assert_string_equal(why.text, "x is 3");
	assert_int_equal(why_prefix(&why, CF_EIO, "%s:%d: ", "file", 7), CF_EIO);
	assert_string_equal(why.text, "file:7: x is 3");
	assert_int_equal(why_set(NULL, CF_EINVAL, "x"), CF_EINVAL);
	assert_int_equal(why_prefix(NULL, CF_EINVAL, "x"), CF_EINVAL);
}

static void test_why_is_cut(void **state)
{
	char longest[2000];
	struct why why;

	(void)state;
	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	why_set(&why, CF_EINVAL, "%s", longest);
	assert_int_equal(strlen(why.text), sizeof why.text - 1);
	why_prefix(&why, CF_EINVAL, "head: ");
	assert_int_equal(strlen(why.text), sizeof why.text - 1);
	assert_memory_equal(why.text, "head: xxx", 9);
	why_prefix(&why, CF_EINVAL, "%s", longest);
	assert_int_equal(strlen(why.text), sizeof why.text - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_codes_have_names_and_texts),
		cmocka_unit_test(test_why),
		cmocka_unit_test(test_why_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

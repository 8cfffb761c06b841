#include "common/runbook.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void finds_a_condition_with_what_it_is_about(void **state)
{
	(void)state;
	assert_string_equal(runbook_of("expiry")->condition, "expiry");
	assert_string_equal(runbook_of("webhook_failing:ops")->condition, "webhook_failing");
	assert_null(runbook_of("webhook"));
	assert_null(runbook_of(""));
}

/* An alert has 513 bytes for it, and no row may say less than what to do and what ends it. */
static void every_row_is_whole_and_unique(void **state)
{
	size_t n;
	const struct runbook *all = runbook_all(&n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		struct buf b = BUF_INIT(512);

		assert_ptr_equal(runbook_of(all[i].condition), &all[i]);
		assert_true(all[i].actor[0] && all[i].means[0] && all[i].now[0] && all[i].ends[0]);
		runbook_brief(&all[i], &b);
		assert_int_equal(buf_err(&b), 0);
		assert_non_null(strstr(buf_cstr(&b), " It ends "));
		buf_release(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_a_condition_with_what_it_is_about),
		cmocka_unit_test(every_row_is_whole_and_unique),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

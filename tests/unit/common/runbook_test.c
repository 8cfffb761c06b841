#include "common/runbook.h"

#include "common/mem.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
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
		runbook_brief(&all[i], NULL, &b);
		assert_int_equal(buf_err(&b), 0);
		assert_int_equal(strncmp(buf_cstr(&b), all[i].now, strlen(all[i].now)), 0);
		assert_non_null(strstr(buf_cstr(&b), " It ends "));
		buf_release(&b);
	}
}

static bool has_word(const char *text, const char *word)
{
	for (const char *s = text; (s = strstr(s, word)); s++)
		if ((s == text || !isalpha((unsigned char)s[-1])) &&
			!isalpha((unsigned char)s[strlen(word)]))
			return true;
	return false;
}

/* A command that a person can run as it stands. */
static void an_alert_has_no_placeholder(void **state)
{
	static const char *const placeholders[] = {
		"ID", "KEY", "NAME", "FLEET", "GROUP", "STREAM", "TARGET", "HOST", "FILE"};
	const struct runbook_subject subject = {
		.id = "shop", .key = "incident:ns:p.example", .name = "ops"};
	const struct runbook *all;
	size_t n, replaced = 0;

	(void)state;
	all = runbook_all(&n);
	for (size_t i = 0; i < n; i++) {
		struct buf b = BUF_INIT(512);

		runbook_brief(&all[i], &subject, &b);
		assert_int_equal(buf_err(&b), 0);
		for (size_t w = 0; w < ARRAY_LEN(placeholders); w++)
			if (has_word(buf_cstr(&b), placeholders[w]))
				fail_msg("%s: \"%s\"", all[i].condition, buf_cstr(&b));
		assert_null(strpbrk(buf_cstr(&b), "{}<>%$"));
		replaced += strstr(buf_cstr(&b), "shop") || strstr(buf_cstr(&b), "incident:") ||
			    strstr(buf_cstr(&b), " enable ops");
		buf_release(&b);
	}
	assert_int_equal(replaced, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_a_condition_with_what_it_is_about),
		cmocka_unit_test(every_row_is_whole_and_unique),
		cmocka_unit_test(an_alert_has_no_placeholder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "common/log.h"

#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

static char line[16384];

/* What `log` writes to standard error, without its time. */
#define CAPTURE(...)                                        \
	do {                                                \
		int saved_ = dup(STDERR_FILENO), ends_[2];  \
		ssize_t n_;                                 \
		assert_int_equal(pipe(ends_), 0);           \
		dup2(ends_[1], STDERR_FILENO);              \
		close(ends_[1]);                            \
		__VA_ARGS__;                                \
		dup2(saved_, STDERR_FILENO);                \
		close(saved_);                              \
		n_ = read(ends_[0], line, sizeof line - 1); \
		line[n_ > 0 ? n_ : 0] = '\0';               \
		close(ends_[0]);                            \
	} while (0)

static void test_logfmt(void **state)
{
	(void)state;
	log_setup(LOG_INFO, LOG_LOGFMT, "worker");
	CAPTURE(LOG(INFO, "job_taken", LF("endpoint", "e 1"), LF_INT("n", -5), LF("none", NULL)));
	assert_non_null(strstr(
		line, " level=info part=worker event=job_taken endpoint=\"e 1\" n=-5 none=\"\"\n"));
	assert_memory_equal(line, "time=20", 7);
	CAPTURE(LOG(ERROR, "alone"));
	assert_non_null(strstr(line, " level=error part=worker event=alone\n"));
}

static void test_levels(void **state)
{
	(void)state;
	log_setup(LOG_WARN, LOG_LOGFMT, "worker");
	CAPTURE(LOG(INFO, "quiet"));
	assert_string_equal(line, "");
	CAPTURE(LOG(WARN, "loud"));
	assert_string_not_equal(line, "");
	assert_int_equal(log_level_parse("Debug"), LOG_DEBUG);
	assert_int_equal(log_level_parse("error"), LOG_ERROR);
	assert_int_equal(log_level_parse("fatal"), -1);
	assert_int_equal(log_level_parse(""), -1);
}

/* A CA's text cannot begin a line of its own, colour a terminal or end a JSON string. */
static void test_hostile_text(void **state)
{
	static const char evil[] = "a\nlevel=error\x1b[31m\"}\\ \xff";
	json_t *root;

	(void)state;
	log_setup(LOG_INFO, LOG_LOGFMT, "worker");
	CAPTURE(LOG(INFO, "ca_said", LF("detail", evil)));
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
	assert_null(strchr(line, 0x1b));
	assert_non_null(strstr(line, "detail=\"a?level=error?[31m\\\"}\\\\ \xef\xbf\xbd\"\n"));
	log_setup(LOG_INFO, LOG_JSON, "worker");
	CAPTURE(LOG(INFO, "ca_said", LF("detail", evil), LF_INT("n", 3)));
	root = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(root);
	assert_string_equal(json_string_value(json_object_get(root, "detail")),
		"a?level=error?[31m\"}\\ \xef\xbf\xbd");
	assert_int_equal(json_integer_value(json_object_get(root, "n")), 3);
	assert_string_equal(json_string_value(json_object_get(root, "event")), "ca_said");
	json_decref(root);
}

static void test_a_line_over_its_limit_stays_json(void **state)
{
	struct log_field fields[40];
	char longest[2000];
	json_t *root;

	(void)state;
	memset(longest, '"', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		fields[i] = LF("k", longest);
	fields[ARRAY_LEN(fields) - 1] = LF_INT("last", 1);
	log_setup(LOG_INFO, LOG_JSON, "worker");
	CAPTURE(log_write(LOG_INFO, "long", fields, ARRAY_LEN(fields)));
	assert_true(strlen(line) <= 8194);
	root = json_loads(line, 0, NULL);
	assert_non_null(root);
	assert_int_equal(json_string_length(json_object_get(root, "k")), 512);
	json_decref(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_logfmt),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_hostile_text),
		cmocka_unit_test(test_a_line_over_its_limit_stays_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "common/secret.h"

#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/certfleet-secret-XXXXXX";
static char path[128];

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof path, "%s/secret", folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

static void put(const void *bytes, size_t n)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0600), 0);
}

static void test_lines(void **state)
{
	static const struct {
		const char *file;
		size_t n;
		int err;
		const char *line;
	} cases[] = {
		{"pass word\n", 10, 0, "pass word"},
		{"pass", 4, 0, "pass"},
		{" x \r\n", 5, 0, " x "},
		{"a\nb\n", 4, CF_EINVAL, NULL},
		{"a\n\n", 3, CF_EINVAL, NULL},
		{"\n", 1, CF_EINVAL, NULL},
		{"\r\n", 2, CF_EINVAL, NULL},
		{"a\0b", 3, CF_EINVAL, NULL},
		{"", 0, CF_EINVAL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		_buf_release_secret_ struct buf line = BUF_INIT(100);
		struct why why = {""};

		put(cases[i].file, cases[i].n);
		assert_int_equal(secret_read_line(path, &line, &why), cases[i].err);
		if (cases[i].line)
			assert_string_equal(buf_cstr(&line), cases[i].line);
		else
			assert_non_null(strstr(why.text, path));
		if (cases[i].err)
			assert_int_equal(line.len, 0);
	}
}

static void test_limits(void **state)
{
	_buf_release_secret_ struct buf whole = BUF_INIT(100);
	char long_line[SECRET_LINE_MAX_BYTES + 1];
	struct why why = {""};

	(void)state;
	put("12345678", 8);
	assert_int_equal(secret_read_file(path, 8, &whole, &why), 0);
	assert_int_equal(whole.len, 8);
	assert_int_equal(secret_read_file(path, 7, &whole, &why), CF_ETOOBIG);
	assert_non_null(strstr(why.text, "more than the 7 bytes"));
	assert_int_equal(whole.len, 8);
	memset(long_line, 'x', sizeof long_line);
	put(long_line, sizeof long_line);
	assert_int_equal(secret_read_line(path, &whole, &why), CF_ETOOBIG);
}

static void test_no_such_file(void **state)
{
	_buf_release_secret_ struct buf whole = BUF_INIT(100);
	struct why why = {""};

	(void)state;
	assert_int_equal(secret_read_file("/nonexistent/secret", 8, &whole, &why), CF_ENOTFOUND);
	assert_string_equal(why.text, "/nonexistent/secret: No such file or directory");
	assert_int_equal(secret_read_file(folder, 8, &whole, &why), CF_EIO);
}

static void test_open_to_others_is_only_a_warning(void **state)
{
	_buf_release_secret_ struct buf whole = BUF_INIT(100);

	(void)state;
	put("x", 1);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(secret_read_file(path, 8, &whole, NULL), 0);
}

static void test_hardened(void **state)
{
	pid_t child = fork();
	int status = 0;

	(void)state;
	if (!child) {
		struct rlimit core;

		if (process_harden() || getrlimit(RLIMIT_CORE, &core))
			_exit(1);
		_exit(core.rlim_cur || core.rlim_max || prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_no_such_file),
		cmocka_unit_test(test_open_to_others_is_only_a_warning),
		cmocka_unit_test(test_hardened),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

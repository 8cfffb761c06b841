#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_copies(void **state)
{
	_mem_free_ char *whole = mem_strdup("abc"), *cut = mem_strndup("abc", 2),
			*none = mem_strdup_opt(NULL);
	_mem_free_ char *longer = mem_strndup("abc", 9), *text = mem_printf("%s-%d", "x", 7);
	_mem_free_ char *bytes = mem_dup("a\0b", 3), *empty = mem_dup(NULL, 0);

	(void)state;
	assert_string_equal(whole, "abc");
	assert_string_equal(cut, "ab");
	assert_string_equal(longer, "abc");
	assert_string_equal(text, "x-7");
	assert_null(none);
	assert_memory_equal(bytes, "a\0b", 3);
	assert_non_null(empty);
}

static void test_arrays(void **state)
{
	_mem_free_ int *a = mem_array(4, sizeof *a);
	_mem_free_ char *nothing = mem_array(0, 8), *taken = NULL;
	char *s = mem_strdup("x");

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(a[i], 0);
	a[3] = 7;
	a = mem_grow(a, 1000, sizeof *a);
	assert_int_equal(a[3], 7);
	assert_non_null(nothing);
	taken = mem_steal(s);
	assert_null(s);
	assert_string_equal(taken, "x");
}

static void test_wipe(void **state)
{
	char secret[8] = "secret!";

	(void)state;
	mem_wipe(secret, sizeof secret);
	for (size_t i = 0; i < sizeof secret; i++)
		assert_int_equal(secret[i], 0);
	mem_wipe(NULL, 8);
	mem_wipe_free(NULL, 8);
	mem_wipe_free(mem_strdup("secret"), 6);
}

/* An array whose size overflows must not come out small. */
static void test_overflow_aborts(void **state)
{
	pid_t child = fork();
	int status = 0;

	(void)state;
	if (!child) {
		const struct rlimit none = {0, 0};

		setrlimit(RLIMIT_CORE, &none);
		dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
		mem_grow(NULL, SIZE_MAX / 2, 4);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_arrays),
		cmocka_unit_test(test_wipe),
		cmocka_unit_test(test_overflow_aborts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

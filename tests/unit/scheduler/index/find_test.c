/* index_find() against memmem(): texts of few letters, so that near misses are many, at each length
 * and in memory that ends where the text ends. */
#include "scheduler/index/index_internal.h"

#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static uint32_t seed = 7;

static uint32_t roll(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

static void letters(char *out, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = (char)('a' + roll(3));
}

static void finds_as_memmem_does(void **state)
{
	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t n = roll(300), len = 1 + roll(8);
		_mem_free_ char *hay = mem_alloc(n ? n : 1); /* exactly: ASan watches its end */
		char needle[8];

		letters(hay, n);
		letters(needle, len);
		assert_ptr_equal(index_find(hay, n, needle, len), memmem(hay, n, needle, len));
	}
}

static void finds_what_stands_last(void **state)
{
	char hay[200];

	(void)state;
	memset(hay, 'x', sizeof hay);
	memcpy(hay + sizeof hay - 6, "needle", 6);
	for (size_t n = 6; n <= sizeof hay; n++)
		assert_ptr_equal(
			index_find(hay + sizeof hay - n, n, "needle", 6), hay + sizeof hay - 6);
	assert_null(index_find(hay, 5, "xxxxxx", 6));
	assert_null(index_find(hay, 0, "x", 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_as_memmem_does),
		cmocka_unit_test(finds_what_stands_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

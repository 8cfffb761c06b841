#include "common/buf.h"

#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <string.h>

static void test_appends(void **state)
{
	_buf_release_ struct buf b = BUF_INIT(100);

	(void)state;
	assert_string_equal(buf_cstr(&b), "");
	buf_adds(&b, "one");
	buf_addc(&b, ' ');
	buf_addf(&b, "%d-%s", 2, "x");
	buf_add(&b, "\0y", 2);
	buf_add(&b, NULL, 0);
	assert_int_equal(b.len, 9);
	assert_memory_equal(b.data, "one 2-x\0y", 10); /* with the NUL that len does not count */
	assert_int_equal(buf_err(&b), 0);
}

static void test_limit(void **state)
{
	_buf_release_ struct buf b = BUF_INIT(5);

	(void)state;
	buf_adds(&b, "12345");
	assert_int_equal(buf_err(&b), 0);
	buf_adds(&b, "");
	assert_int_equal(buf_err(&b), 0);
	buf_addc(&b, '6');
	assert_int_equal(buf_err(&b), CF_ETOOBIG);
	assert_string_equal(buf_cstr(&b), "12345");
	/* Over stays over, so that what follows a hole is not taken for the whole. */
	b.len = 0;
	buf_adds(&b, "a");
	assert_int_equal(b.len, 0);
	buf_clear(&b);
	buf_adds(&b, "a");
	assert_int_equal(buf_err(&b), 0);
	assert_string_equal(buf_cstr(&b), "a");
	assert_null(buf_room(&b, SIZE_MAX));
	assert_int_equal(buf_err(&b), CF_ETOOBIG);
}

static void test_grows(void **state)
{
	_buf_release_ struct buf b = BUF_INIT(1 << 20);

	(void)state;
	for (int i = 0; i < 100000; i++)
		buf_addc(&b, (char)('a' + i % 26));
	assert_int_equal(b.len, 100000);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(b.data[i], 'a' + i % 26);
	assert_int_equal(b.data[b.len], 0);
}

static void test_room(void **state)
{
	_buf_release_ struct buf b = BUF_INIT(10);
	char *room = buf_room(&b, 10);

	(void)state;
	assert_non_null(room);
	memcpy(room, "abc", 3);
	buf_took(&b, 3);
	assert_string_equal(buf_cstr(&b), "abc");
	assert_non_null(buf_room(&b, 7));
	assert_null(buf_room(&b, 8));
}

static void test_detach(void **state)
{
	struct buf b = BUF_INIT(10);
	size_t n = 9;
	char *s = buf_detach(&b, &n);

	(void)state;
	assert_string_equal(s, "");
	assert_int_equal(n, 0);
	free(s);
	buf_adds(&b, "abc");
	s = buf_detach(&b, &n);
	assert_string_equal(s, "abc");
	assert_int_equal(n, 3);
	assert_null(b.data);
	assert_int_equal(b.limit, 10);
	free(s);
	buf_release(&b);
	buf_release(&b);
	buf_release_secret(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_appends),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_grows),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_detach),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

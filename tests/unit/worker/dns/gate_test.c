#include "worker/dns/gate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include <cmocka.h>

static struct addr address(unsigned i)
{
	char text[32];
	struct addr a;

	snprintf(text, sizeof(text), "192.0.%u.%u", i / 256 % 256, i % 256);
	assert_int_equal(addr_parse(text, 53, &a, NULL), 0);
	return a;
}

static void test_rate(void **state)
{
	struct gate *g = gate_new(10, 8); /* one in 100 ms, a burst of 500 ms */
	struct addr a = address(1), b = address(2);
	int64_t now = 1000000;
	(void)state;

	for (int i = 0; i < 6; i++)
		assert_int_equal(gate_take(g, &a, now), 0);
	for (int i = 1; i <= 30; i++)
		assert_int_equal(gate_take(g, &a, now), 100 * i);
	assert_true(gate_take(g, &a, now) < 0); /* over GATE_WAIT_MS */
	assert_true(gate_take(g, &a, now) < 0); /* and nothing was reserved */
	assert_int_equal(gate_take(g, &b, now), 0);
	now += 3600;
	assert_int_equal(gate_take(g, &a, now), 0);
	gate_free(g);
	gate_free(NULL);
}

static void test_no_limit(void **state)
{
	struct gate *g = gate_new(0, 8);
	struct addr a = address(1);
	(void)state;

	for (int i = 0; i < 10000; i++)
		assert_int_equal(gate_take(g, &a, 5), 0);
	gate_free(g);
}

static void test_silence(void **state)
{
	struct gate *g = gate_new(10, 8);
	struct addr a = address(1), other_port = a;
	(void)state;

	addr_set_port(&other_port, 54);
	assert_int_equal(gate_silence(g, &a, 0), 0);
	gate_note(g, &a, false, 100);
	gate_note(g, &a, false, 200);
	assert_int_equal(gate_silence(g, &a, 300), 2);
	assert_int_equal(gate_silence(g, &other_port, 300), 0);
	assert_int_equal(gate_silence(g, &a, 201 + GATE_SILENCE_MS), 0);
	gate_note(g, &a, true, 400);
	assert_int_equal(gate_silence(g, &a, 401), 0);
	gate_free(g);
}

static void test_bounded(void **state)
{
	enum { MAX = 1000 };
	struct gate *g = gate_new(100, MAX);
	struct addr a;
	(void)state;

	for (unsigned i = 0; i < MAX; i++) {
		a = address(i);
		assert_int_equal(gate_take(g, &a, 1000), 0);
	}
	a = address(0);
	gate_note(g, &a, false, 1000);
	a = address(MAX);
	assert_true(gate_take(g, &a, 1000) < 0); /* all are busy */
	assert_int_equal(gate_take(g, &a, 2000), 0);
	assert_int_equal(gate_n(g), 2); /* it, and the one that was silent */
	a = address(0);
	assert_int_equal(gate_silence(g, &a, 2000), 1);
	gate_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_no_limit),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

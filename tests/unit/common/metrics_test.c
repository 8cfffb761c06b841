#include "common/metrics.h"

#include "common/mem.h"
#include "tests/unit/promcheck.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const double le[] = {1, 2.5, 5};
static const struct metric_buckets buckets = {3, le};

static struct metric plain = {.type = METRIC_COUNTER, .name = "t_plain_total", .help = "Plain."};
static struct metric by_queue = {.type = METRIC_COUNTER,
	.name = "t_taken_total",
	.help = "Back\\slash and\nline.",
	.labels = {"queue", "lane"}};
static struct metric size = {
	.type = METRIC_GAUGE, .name = "t_size", .help = "Size.", .labels = {"of"}};
static struct metric took = {.type = METRIC_HISTOGRAM,
	.name = "t_took_seconds",
	.help = "Took.",
	.labels = {"queue"},
	.buckets = &buckets};
static struct metric *const table[] = {&took, &plain, &by_queue, &size};

static struct metrics *registry;

static int setup(void **state)
{
	(void)state;
	registry = metrics_new();
	return metrics_register(registry, table, ARRAY_LEN(table), NULL);
}

static int teardown(void **state)
{
	(void)state;
	metrics_free(registry);
	return 0;
}

static void assert_text(const char *expected)
{
	_buf_release_ struct buf out = BUF_INIT(1 << 20);
	struct why why = {""};

	metrics_write(registry, &out);
	assert_int_equal(buf_err(&out), 0);
	if (promcheck(buf_cstr(&out), &why))
		fail_msg("%s\n%s", why.text, buf_cstr(&out));
	if (expected)
		assert_string_equal(buf_cstr(&out), expected);
}

static void test_untouched(void **state)
{
	(void)state;
	assert_text("# HELP t_plain_total Plain.\n# TYPE t_plain_total counter\nt_plain_total 0\n");
}

static void test_all_types(void **state)
{
	(void)state;
	metric_inc(&plain, NO_LABELS);
	metric_add(&plain, 0.5, NO_LABELS);
	metric_add(&plain, -3, NO_LABELS);
	metric_add(&plain, NAN, NO_LABELS);
	metric_inc(&by_queue, LABELS("verify", "a\"b\\c\nd"));
	metric_inc(&by_queue, LABELS("verify", "normal"));
	metric_inc(&by_queue, LABELS("verify", "normal"));
	metric_inc(&by_queue, LABELS("issue"));
	metric_set(&size, 1e17, LABELS("x"));
	metric_set(&size, 1795000000.125, LABELS("y"));
	metric_move(&size, -0.1, LABELS("z"));
	metric_set(&size, INFINITY, LABELS("i"));
	metric_observe(&took, 0.25, LABELS("verify"));
	metric_observe(&took, 2.5, LABELS("verify"));
	metric_observe(&took, 100, LABELS("verify"));
	metric_observe(&took, NAN, LABELS("verify"));
	assert_text("# HELP t_plain_total Plain.\n"
		    "# TYPE t_plain_total counter\n"
		    "t_plain_total 1.5\n"
		    "# HELP t_size Size.\n"
		    "# TYPE t_size gauge\n"
		    "t_size{of=\"x\"} 1e+17\n"
		    "t_size{of=\"y\"} 1795000000.125\n"
		    "t_size{of=\"z\"} -0.1\n"
		    "t_size{of=\"i\"} +Inf\n"
		    "# HELP t_taken_total Back\\\\slash and\\nline.\n"
		    "# TYPE t_taken_total counter\n"
		    "t_taken_total{queue=\"verify\",lane=\"a\\\"b\\\\c?d\"} 1\n"
		    "t_taken_total{queue=\"verify\",lane=\"normal\"} 2\n"
		    "t_taken_total{queue=\"issue\",lane=\"\"} 1\n"
		    "# HELP t_took_seconds Took.\n"
		    "# TYPE t_took_seconds histogram\n"
		    "t_took_seconds_bucket{queue=\"verify\",le=\"1\"} 1\n"
		    "t_took_seconds_bucket{queue=\"verify\",le=\"2.5\"} 2\n"
		    "t_took_seconds_bucket{queue=\"verify\",le=\"5\"} 2\n"
		    "t_took_seconds_bucket{queue=\"verify\",le=\"+Inf\"} 3\n"
		    "t_took_seconds_sum{queue=\"verify\"} 102.75\n"
		    "t_took_seconds_count{queue=\"verify\"} 3\n");
	assert_true(metric_value(&by_queue, LABELS("verify", "normal")) == 2);
	assert_true(metric_value(&took, LABELS("verify")) == 3);
	assert_true(metric_value(&took, LABELS("never")) == 0);
}

static void test_wrong_kind_is_ignored(void **state)
{
	(void)state;
	metric_observe(&plain, 1, NO_LABELS);
	metric_add(&size, 1, LABELS("x"));
	metric_set(&took, 1, LABELS("x"));
	metric_move(&plain, 1, NO_LABELS);
	assert_true(metric_value(&plain, NO_LABELS) == 0);
	assert_true(metric_value(&size, LABELS("x")) == 0);
	assert_true(metric_value(&took, LABELS("x")) == 0);
}

static void test_series_have_a_limit(void **state)
{
	(void)state;
	for (int i = 0; i < 3 * METRIC_MAX_SERIES; i++) {
		char name[16];

		snprintf(name, sizeof name, "n%d", i);
		metric_inc(&by_queue, LABELS(name, "x"));
	}
	assert_true(metric_value(&by_queue, LABELS("n0", "x")) == 1);
	assert_true(metric_value(&by_queue, LABELS("n700", "x")) == 0);
	assert_true(metric_value(&by_queue, LABELS("other", "other")) == 2 * METRIC_MAX_SERIES);
	assert_int_equal(by_queue.n_series, METRIC_MAX_SERIES + 1);
	assert_text(NULL);
}

static void test_hostile_label_values(void **state)
{
	char longest[1000];

	(void)state;
	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	metric_inc(&by_queue, LABELS("\xff\xfe", longest));
	metric_inc(&by_queue, LABELS("\x1b[0m}", "a,b=\"c\"}"));
	assert_text(NULL);
}

static void collect(void *arg)
{
	metric_reset(&size);
	metric_set(&size, ++*(int *)arg, LABELS("c"));
}

static void test_collectors(void **state)
{
	int calls = 0;

	(void)state;
	metric_set(&size, 9, LABELS("gone"));
	metrics_add_collector(registry, collect, &calls);
	assert_text(NULL);
	assert_text(NULL);
	assert_int_equal(calls, 2);
	assert_int_equal(size.n_series, 1);
	metrics_remove_collector(registry, collect, &calls);
	assert_text(NULL);
	assert_int_equal(calls, 2);
}

static void test_register_refuses(void **state)
{
	static const double falling[] = {2, 1};
	static const struct metric_buckets bad_buckets = {2, falling};
	static struct metric bad[] = {
		{.type = METRIC_COUNTER, .name = "t_count", .help = "x"},
		{.type = METRIC_GAUGE, .name = "t_total", .help = "x"},
		{.type = METRIC_GAUGE, .name = "1t", .help = "x"},
		{.type = METRIC_GAUGE, .name = "", .help = "x"},
		{.type = METRIC_GAUGE, .name = "t_help", .help = ""},
		{.type = METRIC_GAUGE, .name = "t_l", .help = "x", .labels = {"le"}},
		{.type = METRIC_GAUGE, .name = "t_l", .help = "x", .labels = {"__a"}},
		{.type = METRIC_GAUGE, .name = "t_l", .help = "x", .labels = {"a-b"}},
		{.type = METRIC_GAUGE, .name = "t_l", .help = "x", .labels = {"a", "a"}},
		{.type = METRIC_GAUGE, .name = "t_b", .help = "x", .buckets = &buckets},
		{.type = METRIC_HISTOGRAM, .name = "t_b", .help = "x"},
		{.type = METRIC_HISTOGRAM, .name = "t_b", .help = "x", .buckets = &bad_buckets},
	};
	static struct metric twice = {.type = METRIC_GAUGE, .name = "t_size", .help = "x"};
	struct why why;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct metric *one = &bad[i];

		why.text[0] = '\0';
		assert_int_equal(metrics_register(registry, &one, 1, &why), CF_EINVAL);
		assert_true(why.text[0] != '\0');
	}
	struct metric *one = &twice;
	assert_int_equal(metrics_register(registry, &one, 1, &why), CF_EEXIST);
	assert_int_equal(metrics_register(registry, table, 1, &why), CF_EEXIST);
	assert_string_equal(why.text, "metric t_took_seconds is registered already");
}

static void test_process_metrics(void **state)
{
	_buf_release_ struct buf out = BUF_INIT(1 << 16);

	(void)state;
	metrics_register_process(registry, "worker");
	metrics_register_process(registry, "worker"); /* no harm */
	metrics_write(registry, &out);
	assert_text(NULL);
	assert_non_null(strstr(buf_cstr(&out), "component=\"worker\"} 1\n"));
	assert_non_null(strstr(buf_cstr(&out), "\nprocess_resident_memory_bytes "));
	assert_null(strstr(buf_cstr(&out), "\nprocess_resident_memory_bytes 0\n"));
}

static void test_the_checker_itself(void **state)
{
	static const char *const bad[] = {
		"x 1\n",
		"# HELP x X\nx 1\n",
		"# HELP x X\n# TYPE x gauge\nx 1",
		"# HELP x X\n# TYPE x gauge\nx 1\nx 2\n",
		"# HELP x X\n# TYPE x gauge\nx{a=\"\\q\"} 1\n",
		"# HELP x X\n# TYPE x gauge\nx{a=\"b} 1\n",
		"# HELP x X\n# TYPE x gauge\nx one\n",
		"# HELP x X\n# TYPE x counter\nx 1\n",
		"# HELP x X\n# TYPE x gauge\nx 1\n# HELP y Y\n# TYPE y gauge\ny 1\n# HELP x X\n",
		"# HELP h H\n# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\n",
		"# HELP h H\n# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_sum 1\nh_count 2\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(promcheck(bad[i], NULL), CF_EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_untouched, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_types, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrong_kind_is_ignored, setup, teardown),
		cmocka_unit_test_setup_teardown(test_series_have_a_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_label_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_collectors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_register_refuses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_process_metrics, setup, teardown),
		cmocka_unit_test(test_the_checker_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

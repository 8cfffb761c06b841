#include "common/buf.h"
#include "scheduler/stats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void registers_and_shows(void **state)
{
	_buf_release_ struct buf page = BUF_INIT(1 << 20);

	(void)state;
	stats_register();
	metric_inc(&stat_requests, LABELS("endpoint.add", "done"));
	metric_set(&stat_days_left, 3, LABELS("30"));
	metrics_write(metrics_default(), &page);
	assert_non_null(strstr(buf_cstr(&page),
		"certfleet_requests_total{type=\"endpoint.add\",result=\"done\"} 1\n"));
	assert_non_null(
		strstr(buf_cstr(&page), "certfleet_certificates_within_days{days=\"30\"} 3\n"));
	assert_non_null(strstr(buf_cstr(&page), "certfleet_scheduler_leader 0\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(registers_and_shows)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

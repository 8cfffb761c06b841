/* When a front door is asked, and what the answer makes of a name's verdict until the next. */
#include "common/clock.h"
#include "common/config.h"
#include "common/mem.h"
#include "worker/jobs/verify_internal.h"
#include "worker/worker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOW INT64_C(1795000000000)
#define DAY CLOCK_DAY_MS

struct world {
	struct config config;
	struct worker worker;
	struct job job;
	struct name_verdict now, before;
	struct verify_seen seen;
	struct verify v;
};

static int set_up(void **state)
{
	struct world *w = mem_zalloc(sizeof *w);

	w->config.scheduler.probe_every_ms = DAY;
	w->worker.config = &w->config;
	w->job.lane = LANE_NORMAL;
	w->job.endpoint.config.type = ENDPOINT_EXTERNAL;
	w->job.endpoint.verdict.names = &w->before;
	w->job.endpoint.verdict.names_n = 1;
	w->job.endpoint.has_verdict = true;
	snprintf(w->now.name, NAME_SIZE, "shop.example");
	w->now.traffic.status = RECORD_RIGHT;
	w->now.http01 = w->now.dns01 = VERDICT_CAN;
	w->now.claim = CLAIM_HELD;
	w->before = w->now;
	w->v = (struct verify){.job = &w->job,
		.w = &w->worker,
		.seen = &w->seen,
		.verdict = {.names = &w->now, .names_n = 1}};
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	free(w->v.verdict.diagnoses);
	free(w);
	return 0;
}

static bool due(struct world *w, enum probe_status was, int64_t ago_ms)
{
	w->before.probe = (struct probe){
		.status = was, .tries = was == PROBE_WRONG, .looked_ms = ago_ms ? NOW - ago_ms : 0};
	verify_recall_probe(&w->v, 0);
	return verify_probe_is_due(&w->v, 0, NOW);
}

static void when_it_is_time(void **state)
{
	struct world *w = *state;

	/* never asked: before an order that hangs on it, else in a deep look */
	assert_false(due(w, PROBE_UNKNOWN, 0));
	w->now.dns01 = VERDICT_CANNOT;
	assert_true(due(w, PROBE_UNKNOWN, 0));
	w->now.dns01 = VERDICT_CAN;
	w->seen.deep = true;
	assert_true(due(w, PROBE_UNKNOWN, 0));
	/* right: once a day, in a deep look */
	assert_false(due(w, PROBE_RIGHT, DAY / 2));
	assert_true(due(w, PROBE_RIGHT, DAY));
	/* what is right by the probe alone: in each deep look */
	w->now.http01 = VERDICT_UNSURE;
	assert_true(due(w, PROBE_RIGHT, 1000));
	w->now.http01 = VERDICT_CAN;
	w->seen.deep = false;
	assert_false(due(w, PROBE_RIGHT, DAY * 2));
	/* wrong, or asked by a person: now */
	assert_true(due(w, PROBE_WRONG, 1000));
	w->job.lane = LANE_PERSON;
	assert_true(due(w, PROBE_RIGHT, 1000));
}

static void whom_nobody_asks(void **state)
{
	struct world *w = *state;

	w->job.lane = LANE_PERSON;
	assert_true(due(w, PROBE_WRONG, DAY));
	w->now.http01 = VERDICT_CANNOT;
	assert_false(due(w, PROBE_WRONG, DAY));
	assert_int_equal(w->now.probe.looked_ms, 0);
	w->now.http01 = VERDICT_CAN;
	w->now.traffic.status = RECORD_MISSING;
	assert_false(due(w, PROBE_WRONG, DAY));
	w->now.traffic.status = RECORD_RIGHT;
	w->now.claim = CLAIM_ELSEWHERE;
	assert_false(due(w, PROBE_WRONG, DAY));
	w->now.claim = CLAIM_HELD;
	w->job.endpoint.config.type = ENDPOINT_INTERNAL;
	assert_false(due(w, PROBE_WRONG, DAY));
	w->job.endpoint.config.type = ENDPOINT_EXTERNAL;
	snprintf(w->now.name, NAME_SIZE, "*.shop.example");
	assert_false(due(w, PROBE_WRONG, DAY));
}

static void wrong_is_unsure_and_never_more(void **state)
{
	struct world *w = *state;

	w->now.probe.status = PROBE_WRONG;
	verify_settle_probe(&w->v, 0);
	assert_int_equal(w->now.http01, VERDICT_UNSURE);
	assert_int_equal(w->now.dns01, VERDICT_CAN);
	w->now.http01 = VERDICT_CANNOT;
	verify_settle_probe(&w->v, 0);
	assert_int_equal(w->now.http01, VERDICT_CANNOT);
}

/* Addresses that are not the target's, and yet it answers: a CDN, whatever it is called. */
static void what_passes_on_is_no_finding(void **state)
{
	struct world *w = *state;
	struct diagnosis d;

	diagnosis_init(&d, "addresses_elsewhere", w->now.name);
	d.since_ms = NOW - DAY;
	d.effect_ms = NOW + DAY;
	verify_add_diagnosis(&w->v.verdict, &d);
	diagnosis_init(&d, "record_missing", w->now.name);
	verify_add_diagnosis(&w->v.verdict, &d);
	w->v.gone = true;
	w->now.http01 = VERDICT_UNSURE;
	w->now.traffic.status = RECORD_WRONG;
	snprintf(w->now.traffic.code, ENDPOINT_CODE_MAX, "addresses_elsewhere");
	w->now.probe.status = PROBE_RIGHT;
	verify_settle_probe(&w->v, 0);
	assert_int_equal(w->now.http01, VERDICT_CAN);
	assert_int_equal(w->now.traffic.status, RECORD_RIGHT);
	assert_false(w->v.gone);
	assert_string_equal(w->v.verdict.diagnoses[0].code, "record_missing");
	assert_string_equal(w->v.verdict.diagnoses[1].code, "cdn_in_front");
	assert_int_equal(w->v.verdict.diagnoses[1].severity, DIAGNOSIS_INFO);
	assert_int_equal(w->v.verdict.diagnoses[1].effect_ms, 0);
	assert_true(w->v.verdict.diagnoses[1].since_ms == NOW - DAY);
}

/* A CNAME with a typing error stays one, wherever it leads. */
static void other_findings_stay(void **state)
{
	struct world *w = *state;

	w->now.http01 = VERDICT_UNSURE;
	w->now.traffic.status = RECORD_WRONG;
	snprintf(w->now.traffic.code, ENDPOINT_CODE_MAX, "cname_typo");
	w->now.probe.status = PROBE_RIGHT;
	verify_settle_probe(&w->v, 0);
	assert_int_equal(w->now.http01, VERDICT_UNSURE);
	assert_int_equal(w->now.traffic.status, RECORD_WRONG);
}

static void findings_stand_until_it_is_asked_again(void **state)
{
	struct world *w = *state;
	struct diagnosis d;

	diagnosis_init(&d, "probe_refused", w->now.name);
	due(w, PROBE_WRONG, 1000);
	assert_true(verify_keeps_probed(&w->v, &d));
	w->now.probe.looked_ms = NOW; /* asked anew */
	assert_false(verify_keeps_probed(&w->v, &d));
	due(w, PROBE_WRONG, 1000);
	w->now.traffic.status = RECORD_MISSING;
	verify_recall_probe(&w->v, 0);
	assert_false(verify_keeps_probed(&w->v, &d));
	/* while we are blind what was known stays; of another config nothing does */
	w->v.blind = true;
	verify_recall_probe(&w->v, 0);
	assert_true(verify_keeps_probed(&w->v, &d));
	w->job.endpoint.generation = 2;
	verify_recall_probe(&w->v, 0);
	assert_false(verify_keeps_probed(&w->v, &d));
	diagnosis_init(&d, "served_old", w->now.name);
	assert_true(verify_keeps_probed(&w->v, &d));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(when_it_is_time, set_up, tear_down),
		cmocka_unit_test_setup_teardown(whom_nobody_asks, set_up, tear_down),
		cmocka_unit_test_setup_teardown(wrong_is_unsure_and_never_more, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_passes_on_is_no_finding, set_up, tear_down),
		cmocka_unit_test_setup_teardown(other_findings_stay, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			findings_stand_until_it_is_asked_again, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

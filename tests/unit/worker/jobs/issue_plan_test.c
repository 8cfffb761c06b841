/* Decisions of issue jobs. */
#include "common/clock.h"
#include "common/mem.h"
#include "worker/jobs/issue_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOW INT64_C(1800000000000)

static const struct needs_policy policy = {
	.verify_every_ms = CLOCK_HOUR_MS, .verify_fast_ms = 5000};

static void make(struct endpoint *e)
{
	*e = (struct endpoint){.generation = 1, .has_verdict = true, .has_cert = true};
	e->config.type = ENDPOINT_INTERNAL;
	e->config.key_type = KEY_P256;
	e->config.names = mem_array(2, sizeof *e->config.names);
	e->config.names_n = 2;
	e->verdict.generation = 1;
	e->verdict.names = mem_array(2, sizeof *e->verdict.names);
	e->verdict.names_n = 2;
	for (int i = 0; i < 2; i++) {
		snprintf(e->config.names[i], NAME_SIZE, "%c.example.com", 'a' + i);
		memcpy(e->verdict.names[i].name, e->config.names[i], NAME_SIZE);
		e->verdict.names[i].dns01 = VERDICT_CAN;
		e->verdict.names[i].http01 = VERDICT_CANNOT;
		e->verdict.names[i].claim = CLAIM_HELD;
	}
	e->cert.not_before_ms = NOW - 60 * CLOCK_DAY_MS;
	e->cert.not_after_ms = NOW + 30 * CLOCK_DAY_MS;
	e->cert.renew_at_ms = NOW;
	e->cert.wanted = endpoint_wanted(&e->config);
}

static void nothing_is_done_before_its_time(void **state)
{
	struct endpoint e;
	struct need need;

	(void)state;
	make(&e);
	assert_true(issue_decide(&e, LANE_NORMAL, &policy, NOW, &need));
	assert_int_equal(need.intent, INTENT_RENEW);
	e.cert.renew_at_ms = NOW + CLOCK_DAY_MS;
	assert_false(issue_decide(&e, LANE_NORMAL, &policy, NOW, &need));
	assert_int_equal(need.due_ms, NOW + CLOCK_DAY_MS);
	endpoint_release(&e);
}

static void a_person_does_not_wait_for_a_backoff(void **state)
{
	struct endpoint e;
	struct need need;

	(void)state;
	make(&e);
	e.issuance.failures = 2;
	e.issuance.next_ms = NOW + CLOCK_HOUR_MS;
	assert_false(issue_decide(&e, LANE_NORMAL, &policy, NOW, &need));
	assert_true(issue_decide(&e, LANE_PERSON, &policy, NOW, &need));
	endpoint_release(&e);
}

static void names_that_cannot_are_left_out_late_not_early(void **state)
{
	const char *names[ENDPOINT_NAMES_MAX];
	struct endpoint e;
	bool left_out;

	(void)state;
	make(&e);
	e.verdict.names[0].dns01 = VERDICT_CANNOT;
	assert_int_equal(issue_names(&e, NOW, names, &left_out), 2);
	assert_false(left_out);
	assert_int_equal(issue_names(&e, NOW + 16 * CLOCK_DAY_MS, names, &left_out), 1);
	assert_true(left_out);
	assert_string_equal(names[0], "b.example.com");
	e.verdict.names[1].dns01 = VERDICT_CANNOT; /* all of them: we may be the blind ones */
	assert_int_equal(issue_names(&e, NOW + 16 * CLOCK_DAY_MS, names, &left_out), 2);
	assert_false(left_out);
	endpoint_release(&e);
}

static void failures_wait_as_their_class_says(void **state)
{
	struct acme_failure f = {.class = ACME_OWNER, .code = "dns", .detail = "NXDOMAIN"};
	struct endpoint e;

	(void)state;
	make(&e);
	e.has_cert = false;
	issue_note_failure(&e, "ca", &f, NOW, 0);
	assert_int_equal(e.issuance.next_ms, NOW + CLOCK_MINUTE_MS);
	assert_string_equal(e.issuance.actor, "owner");
	assert_string_equal(e.issuance.detail, "ca: NXDOMAIN");
	issue_note_failure(&e, "ca", &f, NOW, 0);
	assert_int_equal(e.issuance.next_ms, NOW + 10 * CLOCK_MINUTE_MS);
	f = (struct acme_failure){
		.class = ACME_WAIT_UNTIL, .code = "rateLimited", .retry_after_ms = 777000};
	issue_note_failure(&e, "ca", &f, NOW, 0);
	assert_int_equal(e.issuance.next_ms, NOW + 777000);
	assert_string_equal(e.issuance.actor, "authority");
	e.has_cert = true; /* a due renewal: at half of what remains */
	e.cert.wanted = endpoint_wanted(&e.config);
	f = (struct acme_failure){.class = ACME_OWNER, .code = "dns"};
	issue_note_failure(&e, "ca", &f, NOW, 0);
	assert_int_equal(e.issuance.next_ms, NOW + 15 * CLOCK_DAY_MS);
	endpoint_release(&e);
}

static void only_a_routine_renewal_takes_its_time(void **state)
{
	const struct acme_failure f = {.class = ACME_OWNER, .code = "unauthorized"};
	struct endpoint e;

	(void)state;
	make(&e);
	e.cert.wanted = endpoint_wanted(&e.config) + 1; /* other names than it was issued for */
	issue_note_failure(&e, "ca", &f, NOW, 0);
	assert_int_equal(e.issuance.next_ms, NOW + CLOCK_MINUTE_MS);
	e.cert.wanted = endpoint_wanted(&e.config);
	e.issuance.failures = 0;
	e.config.renew_asked_ms = e.cert.issued_ms + 1;
	issue_note_failure(&e, "ca", &f, NOW, 0);
	assert_int_equal(e.issuance.next_ms, NOW + CLOCK_MINUTE_MS);
	e.config.renew_asked_ms = 0;
	e.config.revoke_asked_ms = NOW - 1;
	issue_note_failure(&e, "ca", &f, NOW, 0);
	assert_int_equal(e.issuance.next_ms, NOW + 10 * CLOCK_MINUTE_MS);
	e.config.revoke_reason =
		1; /* a leaked key's certificate is revoked after an hour at the latest */
	issue_note_failure(&e, "ca", &f, NOW, 0);
	assert_int_equal(e.issuance.next_ms, e.config.revoke_asked_ms + CLOCK_HOUR_MS + 1);
	endpoint_release(&e);
}

static void the_instant_in_a_window_is_drawn_once(void **state)
{
	struct endpoint_cert x = {
		.not_before_ms = NOW - 60 * CLOCK_DAY_MS, .not_after_ms = NOW + 30 * CLOCK_DAY_MS};

	(void)state;
	issue_note_window(&x, NOW, NOW + 1000, CLOCK_HOUR_MS, 0.25, NOW);
	assert_int_equal(x.renew_at_ms, NOW + 250);
	assert_int_equal(x.ari_next_ms, NOW + CLOCK_HOUR_MS);
	issue_note_window(&x, NOW, NOW + 1000, CLOCK_HOUR_MS, 0.75, NOW + 5);
	assert_int_equal(x.renew_at_ms, NOW + 250);
	issue_note_window(&x, NOW - 5000, NOW - 1000, CLOCK_HOUR_MS, 0.5, NOW);
	assert_int_equal(x.renew_at_ms, NOW - 3000);
}

static void a_window_is_not_asked_for_past_expiry(void **state)
{
	struct endpoint_cert x = {.not_after_ms = NOW + 1000};

	(void)state;
	issue_note_window(&x, NOW, NOW + 500, CLOCK_HOUR_MS, 0.5, NOW);
	assert_int_equal(x.ari_next_ms, 0);
}

/* A certificate of 90 days, 30 of which are left: our own plan says now, and 3 days later at most.
 */
static int64_t drawn(int64_t start_ms, int64_t end_ms, double roll)
{
	struct endpoint_cert x = {.not_before_ms = NOW - 60 * CLOCK_DAY_MS,
		.not_after_ms = NOW + 30 * CLOCK_DAY_MS,
		.renew_at_ms = NOW + 7};

	issue_note_window(&x, start_ms, end_ms, CLOCK_HOUR_MS, roll, NOW);
	return x.renew_at_ms - NOW;
}

static void no_window_puts_a_renewal_off_too_far(void **state)
{
	const int64_t day = CLOCK_DAY_MS, latest = 3 * day, end = NOW + 30 * day;

	(void)state;
	assert_int_equal(needs_renew_latest(NOW - 60 * day, end), NOW + latest);
	/* reaching too far: cut */
	assert_int_equal(drawn(NOW + day, NOW + 4 * day, 0), day);
	assert_int_equal(drawn(NOW + day, NOW + 4 * day, 0.5), 2 * day);
	/* too late as a whole, past expiry, far, absurd: between our own plan and the latest */
	for (double roll = 0; roll < 1; roll += 0.25) {
		const int64_t expected = (int64_t)(roll * (double)latest);

		assert_int_equal(drawn(NOW + latest, NOW + 5 * day, roll), expected);
		assert_int_equal(drawn(NOW + 10 * day, NOW + 12 * day, roll), expected);
		assert_int_equal(drawn(end + 1, end + day, roll), expected);
		assert_int_equal(drawn(NOW + 36500 * day, NOW + 36501 * day, roll), expected);
		assert_int_equal(drawn(INT64_MAX - 1, INT64_MAX, roll), expected);
	}
	/* past or endless: now, within the certificate's life */
	assert_int_equal(drawn(NOW - 365 * day, NOW - 364 * day, 0.5), -60 * day);
	assert_int_equal(drawn(INT64_MIN, INT64_MIN + 1, 0.5), -60 * day);
	assert_int_equal(drawn(INT64_MIN, INT64_MAX, 0), -60 * day);
	assert_true(drawn(INT64_MIN, INT64_MAX, 0.999) < latest);
	/* reversed or empty: no answer, what was planned stays */
	assert_int_equal(drawn(NOW + day, NOW, 0.5), 7);
	assert_int_equal(drawn(NOW, NOW, 0.5), 7);
	assert_int_equal(drawn(INT64_MAX, INT64_MIN, 0.5), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_done_before_its_time),
		cmocka_unit_test(a_person_does_not_wait_for_a_backoff),
		cmocka_unit_test(names_that_cannot_are_left_out_late_not_early),
		cmocka_unit_test(failures_wait_as_their_class_says),
		cmocka_unit_test(only_a_routine_renewal_takes_its_time),
		cmocka_unit_test(the_instant_in_a_window_is_drawn_once),
		cmocka_unit_test(a_window_is_not_asked_for_past_expiry),
		cmocka_unit_test(no_window_puts_a_renewal_off_too_far),
	};

	return cmocka_run_group_tests_name("issue_plan", tests, NULL, NULL);
}

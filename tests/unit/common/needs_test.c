/* What is due, when and why: the one place that decides it. */
#include "common/clock.h"
#include "common/mem.h"
#include "common/needs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOW INT64_C(1800000000000)

static const struct needs_policy policy = {
	.verify_every_ms = CLOCK_HOUR_MS, .verify_fast_ms = 5000};

static void make(struct endpoint *e, const char *name)
{
	*e = (struct endpoint){.generation = 1};
	snprintf(e->config.id, sizeof e->config.id, "shop");
	snprintf(e->config.tenant, sizeof e->config.tenant, "t1");
	e->config.type = ENDPOINT_INTERNAL;
	e->config.key_type = KEY_P256;
	e->config.names = mem_array(1, sizeof *e->config.names);
	e->config.names_n = 1;
	snprintf(e->config.names[0], NAME_SIZE, "%s", name);
}

static void look(struct endpoint *e, enum verdict dns01, enum claim claim)
{
	e->has_verdict = true;
	e->verdict.generation = e->generation;
	e->verdict.looked_ms = NOW - 1000;
	e->verdict.names = mem_zalloc(sizeof *e->verdict.names);
	e->verdict.names_n = 1;
	snprintf(e->verdict.names[0].name, NAME_SIZE, "%s", e->config.names[0]);
	e->verdict.names[0].dns01 = dns01;
	e->verdict.names[0].http01 = VERDICT_CANNOT;
	e->verdict.names[0].claim = claim;
	e->verdict.names[0].challenge.status = dns01 == VERDICT_CAN ? RECORD_RIGHT : RECORD_MISSING;
}

static void certify(struct endpoint *e)
{
	e->has_cert = true;
	e->cert.not_before_ms = NOW - 10 * CLOCK_DAY_MS;
	e->cert.not_after_ms = NOW + 80 * CLOCK_DAY_MS;
	e->cert.issued_ms = e->cert.not_before_ms;
	e->cert.renew_at_ms = needs_renew_at(e->cert.not_before_ms, e->cert.not_after_ms);
	e->cert.wanted = endpoint_wanted(&e->config);
}

static void what_is_served_is_looked_at_until_right_then_rarely(void **state)
{
	const struct needs_policy proving = {.verify_every_ms = CLOCK_HOUR_MS,
		.verify_fast_ms = 5000,
		.proof_every_ms = CLOCK_DAY_MS};
	struct endpoint e;
	struct served *s = &e.verdict.served;

	(void)state;
	make(&e, "shop.example.com");
	look(&e, VERDICT_CAN, CLAIM_HELD);
	certify(&e);
	snprintf(e.cert.serial, sizeof e.cert.serial, "0a");
	e.cert.issued_ms = NOW;
	assert_int_equal(needs_proof(&e, &proving, 0.5), 0); /* internal */
	snprintf(e.config.zone, sizeof e.config.zone, "office");
	assert_int_equal(needs_proof(&e, &proving, 0.5), NOW + 2000); /* somebody inside may look */
	e.config.zone[0] = '\0';
	e.config.type = ENDPOINT_EXTERNAL;
	e.verdict.names[0].traffic.status = RECORD_RIGHT;
	assert_int_equal(needs_proof(&e, &policy, 0.5), 0);
	assert_int_equal(needs_verify(&e, &proving, NOW, 0.5).due_ms, NOW + 2000);
	assert_string_equal(needs_verify(&e, &proving, NOW, 0.5).why, "proof");
	*s = (struct served){.status = SERVED_STALE, .looked_ms = NOW, .serial = "0a", .tries = 3};
	assert_int_equal(needs_proof(&e, &proving, 0.5), NOW + 16000);
	s->tries = 4000;
	assert_int_equal(needs_proof(&e, &proving, 0.5), NOW + 5 * CLOCK_MINUTE_MS);
	s->status = SERVED_UNREACHABLE;
	assert_int_equal(needs_proof(&e, &proving, 0.5), NOW + CLOCK_DAY_MS);
	s->status = SERVED_OK;
	assert_int_equal(needs_proof(&e, &proving, 0.5), NOW + CLOCK_DAY_MS);
	assert_string_equal(needs_verify(&e, &proving, NOW, 0.5).why, "routine");
	e.cert.revoked_ms = NOW;
	assert_int_equal(needs_proof(&e, &proving, 0.5), 0);
	endpoint_release(&e);
}

static void new_endpoint_is_looked_at_now(void **state)
{
	struct endpoint e;
	struct need n;

	(void)state;
	make(&e, "shop.example.com");
	n = needs_verify(&e, &policy, NOW, 0.5);
	assert_true(n.any);
	assert_int_equal(n.due_ms, NOW);
	assert_string_equal(n.why, "new");
	assert_false(needs_issue(&e, &policy, NOW, 0.5).any);
	endpoint_release(&e);
}

static void waiting_looks_get_rarer_up_to_the_routine(void **state)
{
	struct endpoint e;
	int64_t last = 0;

	(void)state;
	make(&e, "shop.example.com");
	look(&e, VERDICT_CANNOT, CLAIM_UNPROVEN);
	for (uint32_t i = 0; i < 40; i++) {
		int64_t due;

		e.verdict.unchanged_looks = i;
		due = needs_verify(&e, &policy, NOW, 0.5).due_ms - e.verdict.looked_ms;
		assert_true(due >= last && due <= policy.verify_every_ms);
		last = due;
	}
	assert_int_equal(last, policy.verify_every_ms);
	endpoint_release(&e);
}

static void provisioning_waits_for_dns_and_proof(void **state)
{
	struct endpoint e;

	(void)state;
	make(&e, "shop.example.com");
	look(&e, VERDICT_CANNOT, CLAIM_HELD);
	assert_false(needs_issue(&e, &policy, NOW, 0.5).any);
	e.verdict.names[0].dns01 = VERDICT_CAN;
	assert_int_equal(needs_issue(&e, &policy, NOW, 0.5).intent, INTENT_PROVISION);
	assert_int_equal(needs_issue(&e, &policy, NOW, 0.5).due_ms, NOW);
	e.verdict.names[0].claim = CLAIM_ELSEWHERE;
	assert_false(needs_issue(&e, &policy, NOW, 0.5).any);
	e.verdict.names[0].claim = CLAIM_UNPROVEN;
	assert_false(needs_issue(&e, &policy, NOW, 0.5).any);
	e.verdict.names[0].proven = true;
	assert_true(needs_issue(&e, &policy, NOW, 0.5).any);
	e.verdict.generation = 0; /* the config changed since the look */
	assert_false(needs_issue(&e, &policy, NOW, 0.5).any);
	endpoint_release(&e);
}

static void unsure_is_tried_once_a_day(void **state)
{
	struct endpoint e;
	struct need n;

	(void)state;
	make(&e, "shop.example.com");
	look(&e, VERDICT_UNSURE, CLAIM_HELD);
	e.issuance.ordered_ms = NOW - CLOCK_HOUR_MS;
	n = needs_issue(&e, &policy, NOW, 0.5);
	assert_true(n.any);
	assert_int_equal(n.due_ms, e.issuance.ordered_ms + CLOCK_DAY_MS);
	endpoint_release(&e);
}

static void renewal_follows_the_plan_and_the_window(void **state)
{
	struct endpoint e;
	struct need n;

	(void)state;
	make(&e, "shop.example.com");
	look(&e, VERDICT_CANNOT, CLAIM_HELD); /* a due renewal is planned whatever the verdict */
	certify(&e);
	n = needs_issue(&e, &policy, NOW, 0.5);
	assert_int_equal(n.intent, INTENT_RENEW);
	assert_int_equal(n.due_ms, e.cert.not_before_ms + 60 * CLOCK_DAY_MS);
	e.cert.ari_next_ms = NOW + CLOCK_HOUR_MS;
	n = needs_issue(&e, &policy, NOW, 0.5);
	assert_int_equal(n.due_ms, e.cert.ari_next_ms);
	assert_string_equal(n.why, "ari_poll");
	e.config.renew_asked_ms = NOW;
	n = needs_issue(&e, &policy, NOW, 0.5);
	assert_int_equal(n.due_ms, NOW);
	assert_int_equal(n.lane, LANE_PERSON);
	endpoint_release(&e);
}

static void changed_names_are_issued_anew_when_right(void **state)
{
	struct endpoint e;
	struct need n;

	(void)state;
	make(&e, "shop.example.com");
	look(&e, VERDICT_CAN, CLAIM_HELD);
	certify(&e);
	e.cert.wanted++;
	n = needs_issue(&e, &policy, NOW, 0.5);
	assert_int_equal(n.intent, INTENT_PROVISION);
	assert_string_equal(n.why, "changed");
	e.verdict.names[0].dns01 =
		VERDICT_CANNOT; /* until then the old certificate is kept alive */
	assert_int_equal(needs_issue(&e, &policy, NOW, 0.5).intent, INTENT_RENEW);
	endpoint_release(&e);
}

static void removal_and_revocation_come_first(void **state)
{
	struct endpoint e;

	(void)state;
	make(&e, "shop.example.com");
	look(&e, VERDICT_CAN, CLAIM_HELD);
	certify(&e);
	e.config.revoke_asked_ms = NOW;
	assert_int_equal(needs_issue(&e, &policy, NOW, 0.5).intent, INTENT_REVOKE);
	e.issuance.revoked_ms = NOW;
	assert_int_equal(needs_issue(&e, &policy, NOW, 0.5).intent, INTENT_RENEW);
	e.config.removing = true;
	assert_int_equal(needs_issue(&e, &policy, NOW, 0.5).intent, INTENT_REMOVE);
	assert_false(needs_verify(&e, &policy, NOW, 0.5).any);
	endpoint_release(&e);
}

static void owner_failures_end_early_when_dns_changed(void **state)
{
	struct endpoint e;

	(void)state;
	make(&e, "shop.example.com");
	look(&e, VERDICT_CAN, CLAIM_HELD);
	e.issuance.failures = 3;
	e.issuance.failed_ms = NOW - CLOCK_MINUTE_MS;
	e.issuance.next_ms = NOW + CLOCK_HOUR_MS;
	snprintf(e.issuance.actor, sizeof e.issuance.actor, "owner");
	assert_int_equal(needs_issue(&e, &policy, NOW, 0.5).due_ms, NOW + CLOCK_HOUR_MS);
	e.verdict.changed_ms = NOW - 1000;
	assert_int_equal(needs_issue(&e, &policy, NOW, 0.5).due_ms, NOW);
	endpoint_release(&e);
}

static void backoff_is_capped_by_the_life_that_is_left(void **state)
{
	(void)state;
	assert_int_equal(needs_backoff(0, 0), 0);
	assert_int_equal(needs_backoff(1, 0), CLOCK_MINUTE_MS);
	assert_int_equal(needs_backoff(2, 0), 10 * CLOCK_MINUTE_MS);
	assert_int_equal(needs_backoff(3, 0), 100 * CLOCK_MINUTE_MS);
	assert_int_equal(needs_backoff(4, 0), CLOCK_DAY_MS);
	assert_int_equal(needs_backoff(9, 8 * CLOCK_HOUR_MS), CLOCK_HOUR_MS);
}

static void short_lives_renew_at_half(void **state)
{
	(void)state;
	assert_int_equal(needs_renew_at(0, 160 * CLOCK_HOUR_MS), 80 * CLOCK_HOUR_MS);
	assert_int_equal(needs_renew_at(0, 90 * CLOCK_DAY_MS), 60 * CLOCK_DAY_MS);
}

static void jitter_is_stable_and_spread(void **state)
{
	double least = 1, most = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		char id[16];
		double j;

		snprintf(id, sizeof id, "e%d", i);
		j = needs_jitter(id);
		assert_true(j >= 0 && j < 1);
		assert_true(j == needs_jitter(id));
		least = j < least ? j : least;
		most = j > most ? j : most;
	}
	assert_true(least < 0.05 && most > 0.95);
}

static void orders_wait_for_their_ticket(void **state)
{
	struct endpoint e;
	struct need n;

	(void)state;
	make(&e, "shop.example.com");
	look(&e, VERDICT_CAN, CLAIM_HELD);
	e.issuance.wait_ms = NOW + CLOCK_HOUR_MS;
	e.issuance.wait_wanted = endpoint_wanted(&e.config);
	assert_int_equal(needs_issue(&e, &policy, NOW, 0.5).due_ms, NOW + CLOCK_HOUR_MS);
	snprintf(e.issuance.actor, sizeof e.issuance.actor, "owner");
	e.verdict.changed_ms = NOW; /* ends a backoff, not this */
	assert_int_equal(needs_issue(&e, &policy, NOW, 0.5).due_ms, NOW + CLOCK_HOUR_MS);
	snprintf(e.config.authority, sizeof e.config.authority, "other");
	assert_int_equal(needs_issue(&e, &policy, NOW, 0.5).due_ms, NOW);
	e.config.removing = true;
	assert_int_equal(needs_issue(&e, &policy, NOW, 0.5).due_ms, NOW);
	e.config.removing = false;
	certify(&e);
	e.cert.renew_at_ms = NOW;
	e.issuance.wait_wanted = endpoint_wanted(&e.config);
	n = needs_issue(&e, &policy, NOW, 0.5);
	assert_int_equal(n.due_ms, NOW + CLOCK_HOUR_MS);
	assert_string_equal(n.why, "waiting_quota");
	e.cert.renew_at_ms = NOW + CLOCK_DAY_MS;
	assert_int_equal(needs_issue(&e, &policy, NOW, 0.5).due_ms, NOW + CLOCK_DAY_MS);
	endpoint_release(&e);
}

static void bar(struct endpoint *e, const char *authority)
{
	struct verdict_bar *b;

	e->verdict.bars = mem_grow(e->verdict.bars, e->verdict.bars_n + 1, sizeof *b);
	b = &e->verdict.bars[e->verdict.bars_n++];
	*b = (struct verdict_bar){.http01 = VERDICT_CANNOT, .dns01 = VERDICT_CANNOT};
	snprintf(b->authority, sizeof b->authority, "%s", authority);
	snprintf(b->code, sizeof b->code, "caa_forbids");
}

static void an_authority_that_caa_bars_is_not_asked(void **state)
{
	struct endpoint e;
	char code[ENDPOINT_CODE_MAX + 1];
	enum challenge_type types[2];

	(void)state;
	make(&e, "shop.example.com");
	look(&e, VERDICT_CAN, CLAIM_HELD);
	bar(&e, "first");
	assert_int_equal(endpoint_ready_by(&e, "first"), READY_NO);
	assert_int_equal(endpoint_ready_by(&e, "second"), READY_YES);
	assert_int_equal(endpoint_challenges(&e, "shop.example.com", "second", types), 1);
	assert_int_equal(endpoint_challenges(&e, "shop.example.com", "first", types), 0);
	assert_true(endpoint_barred(&e.verdict, "shop.example.com", "first"));
	assert_false(endpoint_barred(&e.verdict, "shop.example.com", "second"));
	snprintf(e.verdict.via, sizeof e.verdict.via, "first");
	assert_false(needs_issue(&e, &policy, NOW, 0.5).any);
	assert_int_equal(endpoint_state_of(&e, NOW, code), STATE_WAITING_DNS);
	assert_string_equal(code, "caa_forbids");
	snprintf(e.verdict.via, sizeof e.verdict.via, "second");
	assert_string_equal(needs_issue(&e, &policy, NOW, 0.5).why, "dns_right");
	endpoint_release(&e);
}

static void what_is_denied_is_waited_for_and_not_tried(void **state)
{
	struct endpoint e;

	(void)state;
	make(&e, "shop.example.com");
	look(&e, VERDICT_UNSURE, CLAIM_HELD);
	assert_int_equal(endpoint_ready(&e), READY_UNSURE);
	e.verdict.names[0].challenge.bad_since_ms = NOW - 1000;
	assert_int_equal(endpoint_ready(&e), READY_NO);
	assert_false(needs_issue(&e, &policy, NOW, 0.5).any);
	endpoint_release(&e);
}

static void the_departed_are_looked_at_daily_and_not_renewed(void **state)
{
	struct endpoint e;
	char code[ENDPOINT_CODE_MAX + 1];

	(void)state;
	make(&e, "shop.example.com");
	look(&e, VERDICT_CANNOT, CLAIM_HELD);
	certify(&e);
	assert_true(needs_issue(&e, &policy, NOW, 0.5).any);
	e.verdict.departed = true;
	assert_false(needs_issue(&e, &policy, NOW, 0.5).any);
	assert_int_equal(
		needs_verify(&e, &policy, NOW, 0.5).due_ms, e.verdict.looked_ms + CLOCK_DAY_MS);
	assert_int_equal(endpoint_state_of(&e, NOW, code), STATE_DEPARTED);
	endpoint_release(&e);
}

static void the_stable_and_the_hopeless_are_looked_at_less(void **state)
{
	struct endpoint e;

	(void)state;
	make(&e, "shop.example.com");
	look(&e, VERDICT_CAN, CLAIM_HELD);
	e.verdict.unchanged_looks = 200;
	assert_int_equal(needs_verify(&e, &policy, NOW, 0.5).due_ms,
		e.verdict.looked_ms + 2 * CLOCK_HOUR_MS);
	e.verdict.names[0].dns01 = VERDICT_CANNOT;
	assert_int_equal(needs_verify(&e, &policy, NOW, 0.5).due_ms,
		e.verdict.looked_ms + 6 * CLOCK_HOUR_MS);
	e.verdict.unchanged_looks = 1000;
	assert_int_equal(
		needs_verify(&e, &policy, NOW, 0.5).due_ms, e.verdict.looked_ms + CLOCK_DAY_MS);
	certify(&e); /* whose renewal will fail */
	assert_int_equal(
		needs_verify(&e, &policy, NOW, 0.5).due_ms, e.verdict.looked_ms + CLOCK_HOUR_MS);
	endpoint_release(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_served_is_looked_at_until_right_then_rarely),
		cmocka_unit_test(new_endpoint_is_looked_at_now),
		cmocka_unit_test(waiting_looks_get_rarer_up_to_the_routine),
		cmocka_unit_test(provisioning_waits_for_dns_and_proof),
		cmocka_unit_test(unsure_is_tried_once_a_day),
		cmocka_unit_test(renewal_follows_the_plan_and_the_window),
		cmocka_unit_test(changed_names_are_issued_anew_when_right),
		cmocka_unit_test(removal_and_revocation_come_first),
		cmocka_unit_test(owner_failures_end_early_when_dns_changed),
		cmocka_unit_test(backoff_is_capped_by_the_life_that_is_left),
		cmocka_unit_test(short_lives_renew_at_half),
		cmocka_unit_test(jitter_is_stable_and_spread),
		cmocka_unit_test(orders_wait_for_their_ticket),
		cmocka_unit_test(an_authority_that_caa_bars_is_not_asked),
		cmocka_unit_test(what_is_denied_is_waited_for_and_not_tried),
		cmocka_unit_test(the_departed_are_looked_at_daily_and_not_renewed),
		cmocka_unit_test(the_stable_and_the_hopeless_are_looked_at_less),
	};

	return cmocka_run_group_tests_name("needs", tests, NULL, NULL);
}

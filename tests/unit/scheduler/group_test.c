/* Which edges are told, held, or become an incident: a function of values. */
#include "scheduler/group.h"

#include "common/mem.h"
#include "common/mp.h"
#include "common/runbook.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOW INT64_C(1800000000000)
#define NS  "ns:provider.example"

static const struct group_policy policy = {
	.settle_ms = 2000, .hold_ms = 30000, .window_ms = 7200000, .least = 5};

static struct group_held held(const char *endpoint, const char *condition, const char *cause,
	bool open, enum alert_severity severity, int64_t age_ms)
{
	struct group_held h = {.at_ms = NOW - age_ms};

	snprintf(h.edge.key, sizeof h.edge.key, "%s/%s", endpoint, condition);
	snprintf(h.edge.endpoint, sizeof h.edge.endpoint, "%s", endpoint);
	snprintf(h.edge.condition, sizeof h.edge.condition, "%s", condition);
	snprintf(h.edge.cause, sizeof h.edge.cause, "%s", cause);
	h.edge.open = open;
	h.edge.severity = severity;
	return h;
}

static struct group_held of(const char *endpoint, const char *cause, int64_t age_ms)
{
	return held(endpoint, "servers_silent", cause, true, ALERT_WARNING, age_ms);
}

static void decide(struct group_held *h, size_t n, const struct group_cause *causes, size_t m)
{
	group_decide(h, n, causes, m, &policy, NOW, false);
}

static void an_edge_settles_then_is_told(void **state)
{
	struct group_held h[] = {of("a", "", 1999), of("b", "", 2000), of("c", NS, 2000)};

	(void)state;
	decide(h, 3, NULL, 0);
	assert_int_equal(h[0].verdict, GROUP_HOLD);
	assert_int_equal(h[1].verdict, GROUP_TELL);
	assert_int_equal(h[2].verdict, GROUP_TELL); /* nobody else has its cause */
}

static void the_last_edge_of_a_key_speaks_the_gravest_is_kept(void **state)
{
	struct group_held h[] = {held("a", "x", "", true, ALERT_CRITICAL, 9000),
		held("b", "x", "", true, ALERT_WARNING, 9000),
		held("a", "x", "", true, ALERT_INFO, 8000),
		held("b", "x", "", false, ALERT_WARNING, 8000)};

	(void)state;
	decide(h, 4, NULL, 0);
	assert_int_equal(h[0].verdict, GROUP_WITH);
	assert_int_equal(h[1].verdict, GROUP_WITH);
	assert_int_equal(h[2].verdict, GROUP_TELL);
	assert_int_equal(h[2].edge.severity, ALERT_CRITICAL);
	assert_int_equal(h[3].verdict, GROUP_TELL);
	assert_false(h[3].edge.open);
}

static void two_with_one_cause_wait_for_more(void **state)
{
	struct group_held h[] = {
		of("a", NS, 29999), of("b", NS, 3000), of("c", "ns:other.example", 3000)};

	(void)state;
	decide(h, 3, NULL, 0);
	assert_int_equal(h[0].verdict, GROUP_HOLD);
	assert_int_equal(h[1].verdict, GROUP_HOLD);
	assert_int_equal(h[2].verdict, GROUP_TELL);
	h[0].at_ms = NOW - 30000; /* none came */
	decide(h, 3, NULL, 0);
	assert_int_equal(h[0].verdict, GROUP_TELL);
	assert_int_equal(h[1].verdict, GROUP_HOLD);
	group_decide(h, 3, NULL, 0, &policy, NOW, true); /* no room */
	assert_int_equal(h[1].verdict, GROUP_TELL);
}

static void enough_are_an_incident(void **state)
{
	struct group_held h[] = {of("a", NS, 2500), of("b", NS, 2400), of("c", NS, 2300),
		of("d", NS, 2200), of("e", NS, 10)};
	struct group_cause cause = {.cause = NS, .recent = 1};

	(void)state;
	decide(h, 4, NULL, 0);
	assert_int_equal(h[0].verdict, GROUP_HOLD);
	decide(h, 5, NULL, 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(h[i].verdict, GROUP_FORM);
	assert_int_equal(h[4].verdict, GROUP_HOLD); /* counts, and settles */
	decide(h, 4, &cause, 1);                    /* one was said singly before */
	assert_int_equal(h[0].verdict, GROUP_FORM);
	cause.open = true;
	decide(h, 1, &cause, 1); /* it joins */
	assert_int_equal(h[0].verdict, GROUP_TELL);
}

/* Five conditions of one endpoint are no incident; neither is what has ended meanwhile. */
static void endpoints_are_counted_once_and_while_it_lasts(void **state)
{
	struct group_held h[8];

	(void)state;
	for (int i = 0; i < 5; i++) {
		char condition[16];

		snprintf(condition, sizeof condition, "c%d", i);
		h[i] = held("a", condition, NS, true, ALERT_WARNING, 40000);
	}
	decide(h, 5, NULL, 0);
	assert_int_equal(h[4].verdict, GROUP_TELL);
	for (int i = 0; i < 5; i++)
		h[i] = of((const char *[]){"a", "b", "c", "d", "e"}[i], NS, 40000);
	h[5] = held("e", "servers_silent", "", false, ALERT_WARNING, 3000);
	decide(h, 6, NULL, 0);
	assert_int_equal(h[0].verdict, GROUP_TELL);
	assert_int_equal(h[4].verdict, GROUP_WITH);
}

static void the_fleets_own_trouble_is_one_at_once(void **state)
{
	struct group_held h[] = {
		of("a", "authority:letsencrypt", 2000), of("b", "our:resolver", 2000)};

	(void)state;
	decide(h, 2, NULL, 0);
	assert_int_equal(h[0].verdict, GROUP_FORM);
	assert_int_equal(h[1].verdict, GROUP_FORM);
}

static void every_kind_of_cause_has_a_runbook(void **state)
{
	static const char *const causes[] = {"authority:x", "account:x", "our:responders",
		"our:resolver", "ns:x", "zone:x", "edge:x", "moon:full", ""};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(causes); i++)
		assert_non_null(runbook_of(incident_kind(causes[i])->condition));
	assert_string_equal(incident_kind("moon:full")->condition, "common_cause");
}

static void the_incident_says_what_it_is(void **state)
{
	struct group_held h = of("shop", NS, 0);
	_buf_release_ struct buf b = BUF_INIT(4096);
	struct mp_doc doc;
	struct mp root, data;
	char text[700];
	int64_t least;

	(void)state;
	incident_encode(&h.edge, &policy, &b);
	assert_int_equal(mp_open(&doc, b.data, b.len, &root, NULL), 0);
	assert_int_equal(mp_get_int(&root, "least", &least), 0);
	assert_int_equal(least, 5);
	assert_int_equal(mp_get_text(&root, "what", text, sizeof text), 0);
	assert_string_equal(text, "ns:provider.example: the name servers of one DNS provider fail; "
				  "the first is servers_silent of shop");
	assert_int_equal(mp_get_map(&root, "data", &data), 0);
	assert_int_equal(mp_get_text(&data, "condition", text, sizeof text), 0);
	assert_string_equal(text, "dns_provider");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_edge_settles_then_is_told),
		cmocka_unit_test(the_last_edge_of_a_key_speaks_the_gravest_is_kept),
		cmocka_unit_test(two_with_one_cause_wait_for_more),
		cmocka_unit_test(enough_are_an_incident),
		cmocka_unit_test(endpoints_are_counted_once_and_while_it_lasts),
		cmocka_unit_test(the_fleets_own_trouble_is_one_at_once),
		cmocka_unit_test(every_kind_of_cause_has_a_runbook),
		cmocka_unit_test(the_incident_says_what_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

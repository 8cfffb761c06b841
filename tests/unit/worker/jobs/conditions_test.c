/* Conditions become edges exactly when they begin, change their severity, or end. */
#include "worker/jobs/conditions.h"

#include "common/clock.h"
#include "common/mp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOW INT64_C(1800000000000)

static const struct queue_finish *run(struct outcome *o, const struct buf *stored,
	const struct condition *now, size_t n, int64_t at)
{
	conditions_update(o, "av", stored, "shop", "t1", now, n, at);
	return outcome_as_finish(o, "shop", "token", 1, 1);
}

static bool is_open(const struct queue_event *e)
{
	struct mp_doc doc;
	struct mp root;
	bool open = false;

	assert_int_equal(mp_open(&doc, e->data, e->len, &root, NULL), 0);
	assert_int_equal(mp_get_bool(&root, "open", &open), 0);
	return open;
}

static void opened_once_escalated_and_resolved(void **state)
{
	struct condition c = {
		.code = "record_missing", .severity = "info", .actor = "owner", .text = "gone"};
	struct buf stored = BUF_INIT(4096);
	const struct queue_finish *f;
	struct outcome *o;

	(void)state;
	o = outcome_new();
	f = run(o, &stored, &c, 1, NOW);
	assert_int_equal(f->events_n, 1);
	assert_true(f->events[0].edge && is_open(&f->events[0]));
	assert_string_equal(f->events[0].type, "record_missing");
	assert_string_equal(f->sets[0].field, "av");
	buf_add(&stored, f->sets[0].bytes, f->sets[0].len);
	outcome_free(o);

	o = outcome_new();
	f = run(o, &stored, &c, 1, NOW + 1000); /* the same again: no edge */
	assert_int_equal(f->events_n, 0);
	outcome_free(o);

	c.severity = "critical";
	o = outcome_new();
	f = run(o, &stored, &c, 1, NOW + 2000);
	assert_int_equal(f->events_n, 1);
	assert_true(is_open(&f->events[0]));
	buf_clear(&stored);
	buf_add(&stored, f->sets[0].bytes, f->sets[0].len);
	outcome_free(o);

	o = outcome_new();
	f = run(o, &stored, NULL, 0, NOW + 3000);
	assert_int_equal(f->events_n, 1);
	assert_false(is_open(&f->events[0]));
	assert_null(f->sets[0].bytes); /* the field goes */
	outcome_free(o);
	buf_release(&stored);
}

static void one_ends_while_another_begins(void **state)
{
	struct condition before = {.code = "a", .severity = "info", .actor = "owner"};
	struct condition after = {.code = "b", .severity = "info", .actor = "owner"};
	struct buf stored = BUF_INIT(4096);
	const struct queue_finish *f;
	struct outcome *o = outcome_new();

	(void)state;
	f = run(o, &stored, &before, 1, NOW);
	buf_add(&stored, f->sets[0].bytes, f->sets[0].len);
	outcome_free(o);
	o = outcome_new();
	f = run(o, &stored, &after, 1, NOW + 1);
	assert_int_equal(f->events_n, 2);
	assert_string_equal(f->events[0].type, "b");
	assert_true(is_open(&f->events[0]));
	assert_string_equal(f->events[1].type, "a");
	assert_false(is_open(&f->events[1]));
	outcome_free(o);
	buf_release(&stored);
}

static void a_damaged_field_counts_as_empty(void **state)
{
	struct condition c = {.code = "a", .severity = "info", .actor = "owner"};
	struct buf stored = BUF_INIT(64);
	struct outcome *o = outcome_new();

	(void)state;
	buf_adds(&stored, "\xc1garbage");
	assert_int_equal(run(o, &stored, &c, 1, NOW)->events_n, 1);
	outcome_free(o);
	buf_release(&stored);
}

static void severity_is_a_fraction_of_the_life(void **state)
{
	(void)state;
	assert_string_equal(condition_severity(0, 90, 10), "info");
	assert_string_equal(condition_severity(0, 90, 70), "warning");
	assert_string_equal(condition_severity(0, 90, 85), "critical");
	assert_string_equal(condition_severity(0, 0, 85), "warning");
}

static void what_many_orders_can_fail_by_has_a_cause(void **state)
{
	static const struct {
		const char *code, *actor, *authority, *cause;
	} rows[] = {
		{"serverInternal", "authority", "letsencrypt", "authority:letsencrypt"},
		{"rateLimited", "authority", "letsencrypt", "account:letsencrypt"},
		{"unauthorized", "operator", "letsencrypt", "account:letsencrypt"},
		{"unauthorized", "owner", "letsencrypt", ""},
		{"our_outage", "nobody", "letsencrypt", "our:responders"},
		{"dns", "owner", "letsencrypt", ""},
		{"serverInternal", "authority", "", ""},
	};
	char cause[CONDITION_CAUSE_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_string_equal(
			condition_cause(rows[i].code, rows[i].actor, rows[i].authority, cause),
			rows[i].cause);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_many_orders_can_fail_by_has_a_cause),
		cmocka_unit_test(opened_once_escalated_and_resolved),
		cmocka_unit_test(one_ends_while_another_begins),
		cmocka_unit_test(a_damaged_field_counts_as_empty),
		cmocka_unit_test(severity_is_a_fraction_of_the_life),
	};

	return cmocka_run_group_tests_name("conditions", tests, NULL, NULL);
}

/* Pages about one endpoint: exact text. */
#include "scheduler/cli/facts.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/mp.h"
#include "scheduler/cli/wait.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define NOW INT64_C(1800000000000) /* 2027-01-15 08:00:00 */

static const struct view PLAIN = {.now_ms = NOW};
static const uint8_t LABEL_KEY[32] = {1, 2, 3};

static void set_names(struct facts *f, const char *a, const char *b)
{
	struct endpoint_config *c = &f->endpoint.config;

	c->names = mem_zalloc(2 * sizeof *c->names);
	c->names_n = b ? 2 : 1;
	snprintf(c->names[0], NAME_SIZE, "%s", a);
	if (b)
		snprintf(c->names[1], NAME_SIZE, "%s", b);
}

/** An external endpoint whose owner has created one of two records. */
static void waiting(struct facts *f)
{
	struct endpoint *e = &f->endpoint;

	*f = (struct facts){0};
	snprintf(e->config.id, sizeof e->config.id, "shop.example.com");
	snprintf(e->config.tenant, sizeof e->config.tenant, "acme");
	snprintf(e->config.target, sizeof e->config.target, "ingress.platform.example");
	e->config.type = ENDPOINT_EXTERNAL;
	e->config.key_type = KEY_P256;
	e->config.created_ms = NOW - CLOCK_HOUR_MS;
	e->generation = 1;
	set_names(f, "shop.example.com", NULL);
	e->has_verdict = true;
	e->verdict.generation = 1;
	e->verdict.looked_ms = NOW - 12000;
	e->verdict.unchanged_looks = 3;
	e->verdict.names = mem_zalloc(sizeof *e->verdict.names);
	e->verdict.names_n = 1;
	struct name_verdict *v = &e->verdict.names[0];
	snprintf(v->name, sizeof v->name, "shop.example.com");
	v->traffic.status = RECORD_RIGHT;
	v->challenge.status = RECORD_MISSING;
	snprintf(v->challenge.code, sizeof v->challenge.code, "record_missing");
	v->http01 = VERDICT_UNSURE;
	v->dns01 = VERDICT_CANNOT;
	e->jobs[QUEUE_VERIFY] = (struct job_record){.where = JOB_DUE,
		.due_ms = NOW + 40000,
		.lane = LANE_NORMAL,
		.since_ms = NOW - 12000,
		.why = "waiting"};
	f->records_n = endpoint_records(e, LABEL_KEY, "acme.platform.example", &f->records);
	f->state = STATE_WAITING_DNS;
	snprintf(f->reason, sizeof f->reason, "record_missing");
}

static void add_certificate(struct facts *f)
{
	struct endpoint_cert *x = &f->endpoint.cert;

	f->endpoint.has_cert = true;
	snprintf(x->serial, sizeof x->serial, "04ab");
	snprintf(x->authority, sizeof x->authority, "letsencrypt");
	snprintf(f->issuer, sizeof f->issuer, "R12");
	x->key_type = KEY_P256;
	x->not_before_ms = NOW - 30 * CLOCK_DAY_MS;
	x->not_after_ms = NOW + 60 * CLOCK_DAY_MS;
	x->issued_ms = x->not_before_ms;
	x->renew_at_ms = NOW + 30 * CLOCK_DAY_MS;
	x->renewals = 1;
	f->state = STATE_ACTIVE;
	f->reason[0] = '\0';
}

static void records_table(void **state)
{
	_buf_release_ struct buf out = BUF_INIT(65536);
	struct facts f;

	(void)state;
	waiting(&f);
	facts_records(&f, &PLAIN, 0, &out);
	_mem_free_ char *expected = mem_printf(
		"NAME                              TYPE   TARGET%*s  STATUS   SEEN\n"
		"shop.example.com                  CNAME  ingress.platform.example%*s  right\n"
		"_acme-challenge.shop.example.com  CNAME  %s  missing  the record does not exist\n",
		(int)strlen(f.records[1].target) - 6, "", (int)strlen(f.records[1].target) - 24, "",
		f.records[1].target);
	assert_string_equal(buf_cstr(&out), expected);
	assert_false(facts_records_right(&f));
	facts_release(&f);
}

static void records_are_never_cut(void **state)
{
	_buf_release_ struct buf out = BUF_INIT(65536);
	struct view narrow = {.now_ms = NOW, .width = 60};
	struct facts f;

	(void)state;
	waiting(&f);
	facts_records(&f, &narrow, 2, &out);
	_mem_free_ char *expected = mem_printf("  shop.example.com\n"
					       "      CNAME ingress.platform.example\n"
					       "      right\n"
					       "  _acme-challenge.shop.example.com\n"
					       "      CNAME %s\n"
					       "      missing: the record does not exist\n",
		f.records[1].target);
	assert_string_equal(buf_cstr(&out), expected);
	facts_release(&f);
}

static void zone_lines(void **state)
{
	_buf_release_ struct buf out = BUF_INIT(65536);
	struct facts f;

	(void)state;
	waiting(&f);
	facts_zone(&f, &out);
	_mem_free_ char *expected =
		mem_printf("shop.example.com. IN CNAME ingress.platform.example. ; right\n"
			   "_acme-challenge.shop.example.com. IN CNAME %s. ; missing\n",
			f.records[1].target);
	assert_string_equal(buf_cstr(&out), expected);
	facts_release(&f);
}

static void certificate_lines(void **state)
{
	_buf_release_ struct buf out = BUF_INIT(65536);
	struct facts f;

	(void)state;
	waiting(&f);
	add_certificate(&f);
	facts_certificate(&f, &PLAIN, 0, &out);
	assert_string_equal(buf_cstr(&out),
		"serial      04ab\n"
		"issuer      R12 (authority letsencrypt)\n"
		"key         ecdsa-p256\n"
		"from        2026-12-16 08:00:00 UTC (30d ago)\n"
		"until       2027-03-16 08:00:00 UTC (in 60d)\n"
		"left        60d, 66 % of its life\n"
		"renewal     2027-02-14 08:00:00 UTC (in 30d): at two thirds of its life\n"
		"renewed     1 time\n");
	facts_release(&f);
}

static void page_says_all(void **state)
{
	_buf_release_ struct buf out = BUF_INIT(65536);
	struct facts f;

	(void)state;
	waiting(&f);
	f.endpoint.issuance.failures = 2;
	snprintf(f.endpoint.issuance.code, sizeof f.endpoint.issuance.code, "unauthorized");
	snprintf(
		f.endpoint.issuance.detail, sizeof f.endpoint.issuance.detail, "Invalid\nresponse");
	snprintf(f.endpoint.issuance.actor, sizeof f.endpoint.issuance.actor, "owner");
	f.endpoint.issuance.next_ms = NOW + 600000;
	f.endpoint.issuance.wait_ms = NOW + 1200000;
	f.endpoint.issuance.wait_wanted = endpoint_wanted(&f.endpoint.config);
	snprintf(f.endpoint.issuance.wait, sizeof f.endpoint.issuance.wait,
		"ca allows 3 new orders in 1h");
	facts_page(&f, &PLAIN, &out);
	const char *page = buf_cstr(&out);
	assert_non_null(strstr(page,
		"shop.example.com\n  state       waiting_dns: the record does not exist\n"
		"  next        Create the record as shown.\n"));
	assert_non_null(strstr(page, "  type        external, to ingress.platform.example\n"));
	assert_non_null(strstr(page, "  looked at 12s ago, the same for 3 looks\n"));
	assert_non_null(strstr(page, "  NAME              HTTP-01  DNS-01  CLAIM\n"
				     "  shop.example.com  unsure   cannot  unproven\n"));
	assert_non_null(strstr(page, "Certificate\n  none yet\n"));
	assert_non_null(strstr(page, "  in words    Invalid?response\n"));
	assert_non_null(strstr(page, "  next try    2027-01-15 08:10:00 UTC (in 10m)\n"));
	assert_non_null(strstr(page, "  waiting for quota: ca allows 3 new orders in 1h\n"
				     "  its turn    2027-01-15 08:20:00 UTC (in 20m)\n"));
	assert_non_null(strstr(page, "verify  due    look"));
	facts_release(&f);
}

static void timeline_is_read(void **state)
{
	_buf_release_ struct buf one = BUF_INIT(1000);
	_buf_release_ struct buf all = BUF_INIT(1000);
	struct facts f = {0};

	(void)state;
	size_t map = mp_map_open(&one);
	mp_key_int(&one, "t", NOW);
	mp_key_str(&one, "what", "issued");
	mp_key_str(&one, "text", "serial 04ab");
	mp_map_close(&one, map);
	size_t array = mp_array_open(&all);
	mp_bin(&all, one.data, one.len);
	mp_str(&all, "garbage");
	mp_strn(&all, one.data, one.len);
	mp_array_close(&all, array);
	facts_timeline(&f, all.data, all.len);
	assert_int_equal(f.timeline_n, 2);
	assert_string_equal(f.timeline[1].what, "issued");
	assert_string_equal(f.timeline[1].text, "serial 04ab");
	facts_timeline(&f, "\xc1", 1);
	facts_release(&f);
}

static const char *text_of(const json_t *j, const char *key)
{
	return json_string_value(json_object_get(j, key));
}

static void json_has_the_words(void **state)
{
	struct facts f;

	(void)state;
	waiting(&f);
	add_certificate(&f);
	json_t *j = facts_json(&f, true);
	assert_non_null(j);
	assert_string_equal(text_of(j, "id"), "shop.example.com");
	assert_string_equal(text_of(j, "state"), "active");
	assert_true(json_is_null(json_object_get(j, "reason")));
	const json_t *records = json_object_get(j, "records");
	assert_int_equal(json_array_size(records), 2);
	assert_string_equal(text_of(json_array_get(records, 1), "purpose"), "challenge");
	assert_string_equal(text_of(json_array_get(records, 1), "status"), "missing");
	const json_t *x = json_object_get(j, "certificate");
	assert_string_equal(text_of(x, "serial"), "04ab");
	assert_string_equal(text_of(x, "not_after"), "2027-03-16T08:00:00.000Z");
	const json_t *dns = json_array_get(json_object_get(json_object_get(j, "dns"), "names"), 0);
	assert_string_equal(text_of(dns, "dns-01"), "cannot");
	assert_int_equal(json_array_size(json_object_get(j, "jobs")), 1);
	json_decref(j);
	facts_release(&f);
}

static void rows_fit_a_list(void **state)
{
	_buf_release_ struct buf out = BUF_INIT(65536);
	struct table t = TABLE_INIT(facts_list_columns, facts_list_columns_n, 0);
	struct facts f;

	(void)state;
	waiting(&f);
	facts_list_row(&f, &PLAIN, &t);
	facts_release(&f);
	waiting(&f);
	add_certificate(&f);
	facts_list_row(&f, &PLAIN, &t);
	facts_release(&f);
	table_flush(&t, &PLAIN, &out);
	table_release(&t);
	assert_string_equal(buf_cstr(&out),
		"ID                STATE        BECAUSE         EXPIRES  TYPE      TENANT  NAMES\n"
		"shop.example.com  waiting_dns  record_missing  -        external  acme\n"
		"shop.example.com  active       -               in 60d   external  acme\n");
}

static void waiting_for_a_goal(void **state)
{
	struct waiter w = {.id = "x", .goal = WAIT_STATE, .state = STATE_ACTIVE};
	struct facts f;

	(void)state;
	waiting(&f);
	assert_false(wait_reached(&w, &f));
	assert_false(wait_reached(&w, NULL));
	add_certificate(&f);
	assert_true(wait_reached(&w, &f));
	w.goal = WAIT_SERIAL;
	snprintf(w.serial, sizeof w.serial, "04ab");
	assert_false(wait_reached(&w, &f));
	snprintf(w.serial, sizeof w.serial, "03");
	assert_true(wait_reached(&w, &f));
	w.goal = WAIT_GONE;
	assert_false(wait_reached(&w, &f));
	assert_true(wait_reached(&w, NULL));
	facts_release(&f);
}

static int utf8(void **state)
{
	(void)state;
	assert_non_null(setlocale(LC_CTYPE, "C.UTF-8"));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_table),
		cmocka_unit_test(records_are_never_cut),
		cmocka_unit_test(zone_lines),
		cmocka_unit_test(certificate_lines),
		cmocka_unit_test(page_says_all),
		cmocka_unit_test(timeline_is_read),
		cmocka_unit_test(json_has_the_words),
		cmocka_unit_test(rows_fit_a_list),
		cmocka_unit_test(waiting_for_a_goal),
	};

	return cmocka_run_group_tests(tests, utf8, NULL);
}

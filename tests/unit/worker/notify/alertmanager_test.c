/* Alerts as Alertmanager's API v2 takes them. */
#include "worker/notify/alertmanager.h"

#include "common/mp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define NOW   INT64_C(1800000000000)
#define VALID INT64_C(300000)

static void alert(struct buf *b, const char *state, const char *severity, const char *was)
{
	size_t map = mp_map_open(b);

	mp_key_str(b, "condition", "caa_forbids");
	mp_key_str(b, "endpoint", "shop");
	mp_key_str(b, "tenant", "");
	mp_key_str(b, "state", state);
	mp_key_str(b, "severity", severity);
	mp_key_str(b, "actor", "owner");
	mp_key_str(b, "was", was);
	mp_key_str(b, "was_actor", was ? "owner" : NULL);
	mp_key_str(b, "text", "CAA forbids it");
	mp_key_int(b, "opened", NOW - 1000);
	if (!strcmp(state, "resolved"))
		mp_key_int(b, "resolved", NOW - 1);
	mp_map_close(b, map);
}

static const char *text(const json_t *list, size_t i, const char *part, const char *key)
{
	const json_t *a = json_array_get(list, i);

	return json_string_value(json_object_get(part ? json_object_get(a, part) : a, key));
}

static void what_is_open_lasts_a_while(void **state)
{
	_buf_release_ struct buf b = BUF_INIT(1024);
	json_t *list = json_array();

	(void)state;
	alert(&b, "open", "warning", NULL);
	assert_int_equal(alertmanager_add(list, "prod", b.data, b.len, NOW, VALID), 0);
	assert_int_equal(json_array_size(list), 1);
	assert_string_equal(text(list, 0, "labels", "alertname"), "CaaForbids");
	assert_string_equal(text(list, 0, "labels", "fleet"), "prod");
	assert_null(text(list, 0, "labels", "tenant")); /* an empty label is none */
	assert_string_equal(text(list, 0, "annotations", "description"), "CAA forbids it");
	assert_string_equal(text(list, 0, "annotations", "summary"), "shop: caa_forbids");
	assert_string_equal(text(list, 0, NULL, "startsAt"), "2027-01-15T07:59:59.000Z");
	assert_string_equal(text(list, 0, NULL, "endsAt"), "2027-01-15T08:05:00.000Z");
	json_decref(list);
}

static void what_is_over_ends(void **state)
{
	_buf_release_ struct buf b = BUF_INIT(1024);
	json_t *list = json_array();

	(void)state;
	alert(&b, "resolved", "critical", "warning");
	assert_int_equal(alertmanager_add(list, "prod", b.data, b.len, NOW, VALID), 0);
	assert_int_equal(json_array_size(list), 1);
	assert_string_equal(text(list, 0, NULL, "endsAt"), "2027-01-15T07:59:59.999Z");
	json_decref(list);
}

/* Its labels change, so the one before would stay. */
static void a_graver_one_ends_the_one_before(void **state)
{
	_buf_release_ struct buf b = BUF_INIT(1024), same = BUF_INIT(1024);
	json_t *list = json_array();

	(void)state;
	alert(&b, "open", "critical", "warning");
	assert_int_equal(alertmanager_add(list, "prod", b.data, b.len, NOW, VALID), 0);
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(text(list, 0, "labels", "severity"), "warning");
	assert_string_equal(text(list, 0, NULL, "endsAt"), "2027-01-15T08:00:00.000Z");
	assert_string_equal(text(list, 1, "labels", "severity"), "critical");
	json_array_clear(list);
	alert(&same, "open", "warning", "warning"); /* an incident that grew */
	assert_int_equal(alertmanager_add(list, "prod", same.data, same.len, NOW, VALID), 0);
	assert_int_equal(json_array_size(list), 1);
	json_decref(list);
}

static void what_cannot_be_read_is_refused(void **state)
{
	json_t *list = json_array();

	(void)state;
	assert_int_equal(alertmanager_add(list, "prod", "\xc1", 1, NOW, VALID), CF_EPROTO);
	assert_int_equal(alertmanager_add(list, "prod", "\x80", 1, NOW, VALID), CF_EPROTO);
	assert_int_equal(json_array_size(list), 0);
	json_decref(list);
}

static void names_are_in_camel_case(void **state)
{
	char out[64];

	(void)state;
	alertmanager_name("webhook_failing:ops-1", out, sizeof out);
	assert_string_equal(out, "WebhookFailing");
	alertmanager_name("rateLimited", out, sizeof out);
	assert_string_equal(out, "RateLimited");
	alertmanager_name("", out, sizeof out);
	assert_string_equal(out, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_open_lasts_a_while),
		cmocka_unit_test(what_is_over_ends),
		cmocka_unit_test(a_graver_one_ends_the_one_before),
		cmocka_unit_test(what_cannot_be_read_is_refused),
		cmocka_unit_test(names_are_in_camel_case),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

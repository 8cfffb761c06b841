/* The signature by the vector of the Standard Webhooks project, secrets, ids and bodies. */
#include "worker/notify/webhook.h"

#include "common/mem.h"
#include "common/mp.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

static void signs_as_the_vector(void **state)
{
	static const char body[] = "{\"test\": 2432232314}";
	_buf_release_ struct buf out = BUF_INIT(1024);
	struct webhook_secrets s;

	(void)state;
	assert_int_equal(webhook_secrets_parse(SECRET "\n", strlen(SECRET) + 1, &s, NULL), 0);
	webhook_signature(&s, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body, strlen(body), &out);
	assert_string_equal(buf_cstr(&out), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

static void two_secrets_sign_both(void **state)
{
	static const char text[] =
		SECRET "\r\n\nwhsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";
	_buf_release_ struct buf out = BUF_INIT(1024);
	struct webhook_secrets s;

	(void)state;
	assert_int_equal(webhook_secrets_parse(text, strlen(text), &s, NULL), 0);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.lens[0], 24);
	assert_int_equal(s.lens[1], 32);
	webhook_signature(&s, "a", 1, "", 0, &out);
	assert_non_null(strstr(buf_cstr(&out), "= v1,"));
}

static void refuses_what_is_no_secret(void **state)
{
	static const char *const bad[] = {"", "\n\n", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_",
		"whsec_c2hvcnQ=", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaL_Sw",
		"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!", "whsec_MfKQ9r8GKYqr TwjUPD8ILPZIo2LaLaSw",
		SECRET "\n" SECRET "\n" SECRET "\n" SECRET "\n" SECRET,
		"whsec_"
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		"AAAAAAAAAA=="};
	struct webhook_secrets s;
	struct why why;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(
			webhook_secrets_parse(bad[i], strlen(bad[i]), &s, &why), CF_EINVAL);
		assert_null(strstr(why.text, "MfKQ")); /* no secret in what is logged */
	}
}

static struct notice notice(const char *id, struct buf *data)
{
	return (struct notice){.id = (char *)(uintptr_t)id,
		.type = (char *)(uintptr_t) "certfleet.alert.opened",
		.source = (char *)(uintptr_t) "prod",
		.subject = (char *)(uintptr_t) "shop.example",
		.time = (char *)(uintptr_t) "2026-11-24T12:00:00.000Z",
		.data = data->data,
		.len = data->len};
}

static void the_id_is_the_events_and_has_no_dot(void **state)
{
	struct buf none = BUF_INIT(1);
	struct notice a = notice("shop.example/expiry#1:opened", &none);
	struct notice b = notice("shop.example/expiry#2:opened", &none);
	char one[WEBHOOK_ID_SIZE], again[WEBHOOK_ID_SIZE], other[WEBHOOK_ID_SIZE];

	(void)state;
	webhook_id(&a, one);
	webhook_id(&a, again);
	webhook_id(&b, other);
	assert_string_equal(one, again);
	assert_string_not_equal(one, other);
	assert_null(strchr(one, '.'));
	assert_int_equal(strlen(one), 36);
}

static void the_body_is_a_cloud_event(void **state)
{
	_buf_release_ struct buf data = BUF_INIT(1024), body = BUF_INIT(4096);
	size_t map = mp_map_open(&data);
	struct notice n;
	json_t *j;

	(void)state;
	mp_key_str(&data, "text", "a \"quoted\" text");
	mp_key_int(&data, "deadline", INT64_C(1800000000000));
	mp_map_close(&data, map);
	n = notice("id", &data);
	assert_int_equal(webhook_body(&n, &body), 0);
	j = json_loads(buf_cstr(&body), 0, NULL);
	assert_non_null(j);
	assert_string_equal(json_string_value(json_object_get(j, "specversion")), "1.0");
	assert_string_equal(json_string_value(json_object_get(j, "subject")), "shop.example");
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(j, "data"), "deadline")),
		INT64_C(1800000000000));
	json_decref(j);
	n.len = 1; /* cut */
	assert_int_equal(webhook_body(&n, &body), CF_EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signs_as_the_vector),
		cmocka_unit_test(two_secrets_sign_both),
		cmocka_unit_test(refuses_what_is_no_secret),
		cmocka_unit_test(the_id_is_the_events_and_has_no_dot),
		cmocka_unit_test(the_body_is_a_cloud_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Events and answers, as they are read from streams: hostile bytes included. */
#include "scheduler/cli/stream.h"

#include "common/mp.h"
#include "scheduler/cli/request.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct view PLAIN = {.now_ms = 1};

static void pack(struct buf *out)
{
	size_t map = mp_map_open(out);

	mp_key_int(out, "V", 1);
	mp_key_str(out, "serial", "04ab");
	mp_key_int(out, "not_after", INT64_C(1800000000000));
	mp_key_int(out, "renewals", 0);
	mp_key_bin(out, "raw", "\x00\xff", 2);
	mp_key_str(out, "text", "all\nis well\033[2J");
	mp_map_close(out, map);
}

static struct stream_entry entry(const struct buf *data)
{
	struct stream_entry e = {.stream_id = "1-0",
		.id = "x",
		.type = "certfleet.certificate.issued",
		.source = "prod",
		.subject = "shop",
		.time = "2027-01-15T08:00:00.000Z",
		.data = data->data,
		.len = data->len};

	return e;
}

static void one_line(void **state)
{
	_buf_release_ struct buf data = BUF_INIT(1000);
	_buf_release_ struct buf out = BUF_INIT(4000);

	(void)state;
	pack(&data);
	struct stream_entry e = entry(&data);
	stream_entry_line(&e, &PLAIN, &out);
	assert_string_equal(buf_cstr(&out),
		"2027-01-15T08:00:00  certificate.issued    shop  all?is well?[2J  serial=04ab  "
		"not_after=2027-01-15 08:00:00 UTC  raw=AP8\n");
	struct view narrow = {.width = 60};
	buf_clear(&out);
	stream_entry_line(&e, &narrow, &out);
	assert_int_equal(term_width(buf_cstr(&out)), 60 + 1); /* and its newline */
}

static void put_status(struct buf *out, const char *key, const char *status)
{
	mp_key(out, key);
	size_t map = mp_map_open(out);
	mp_key_str(out, "status", status);
	mp_map_close(out, map);
}

static void looks_of_a_dns_change(void **state)
{
	_buf_release_ struct buf data = BUF_INIT(1000);
	_buf_release_ struct buf out = BUF_INIT(4000);

	(void)state;
	size_t map = mp_map_open(&data);
	mp_key(&data, "records");
	size_t array = mp_array_open(&data);
	size_t one = mp_map_open(&data);
	mp_key_str(&data, "name", "a.example.com");
	put_status(&data, "traffic", "right");
	put_status(&data, "challenge", "missing");
	mp_map_close(&data, one);
	mp_array_close(&data, array);
	mp_map_close(&data, map);
	struct stream_entry e = entry(&data);
	snprintf(e.type, sizeof e.type, "certfleet.dns.changed");
	stream_entry_line(&e, &PLAIN, &out);
	assert_string_equal(buf_cstr(&out), "2027-01-15T08:00:00  dns.changed           shop  "
					    "a.example.com traffic right, challenge "
					    "missing\n");
}

static void as_json(void **state)
{
	_buf_release_ struct buf data = BUF_INIT(1000);

	(void)state;
	pack(&data);
	struct stream_entry e = entry(&data);
	json_t *j = stream_entry_json(&e);
	assert_non_null(j);
	assert_string_equal(json_string_value(json_object_get(j, "type")), e.type);
	const json_t *d = json_object_get(j, "data");
	assert_int_equal(json_integer_value(json_object_get(d, "not_after")), 1800000000000);
	assert_string_equal(json_string_value(json_object_get(d, "raw")), "AP8");
	json_decref(j);
}

static void broken_data(void **state)
{
	_buf_release_ struct buf out = BUF_INIT(4000);
	struct buf data = {.data = (char *)(uintptr_t) "\xc1", .len = 1};
	struct stream_entry e = entry(&data);

	(void)state;
	assert_null(stream_data_json("\x81", 1));
	assert_null(stream_data_json("", 0));
	stream_entry_line(&e, &PLAIN, &out);
	assert_string_equal(buf_cstr(&out), "2027-01-15T08:00:00  certificate.issued    shop\n");
	json_t *j = stream_entry_json(&e);
	assert_true(json_is_null(json_object_get(j, "data")));
	json_decref(j);
}

static void answers(void **state)
{
	_buf_release_ struct buf data = BUF_INIT(1000);
	struct answer a = {.done = true};
	struct why why = {0};

	(void)state;
	size_t map = mp_map_open(&data);
	mp_key_str(&data, "status", "refused");
	mp_key_str(&data, "code", "invalid");
	mp_key_str(&data, "text", "a\tb");
	mp_key_int(&data, "generation", 7);
	mp_map_close(&data, map);
	assert_int_equal(request_answer_decode(data.data, data.len, &a, &why), 0);
	assert_false(a.done);
	assert_string_equal(a.code, "invalid");
	assert_string_equal(a.text, "a?b");
	assert_int_equal(a.generation, 7);
	assert_int_not_equal(request_answer_decode("\x80", 1, &a, &why), 0);
	assert_int_not_equal(request_answer_decode("x", 1, &a, &why), 0);
	assert_int_equal(a.generation, 7);
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
		cmocka_unit_test(one_line),
		cmocka_unit_test(looks_of_a_dns_change),
		cmocka_unit_test(as_json),
		cmocka_unit_test(broken_data),
		cmocka_unit_test(answers),
	};

	return cmocka_run_group_tests(tests, utf8, NULL);
}

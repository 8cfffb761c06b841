#include "worker/net/dnsname.h"

#include "common/err.h"
#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_text(void **state)
{
	static const struct {
		const char *in, *out; /* out NULL: refused */
	} rows[] = {
		{"example.com", "example.com"},
		{"Example.COM.", "Example.COM"},
		{".", "."},
		{"_acme-challenge.*.x", "_acme-challenge.*.x"},
		{"a\\.b.c", "a\\.b.c"},
		{"a\\\\b", "a\\\\b"},
		{"a\\000b\\255", "a\\000b\\255"},
		{"sp\\032ace", "sp\\032ace"},
		{"", NULL},
		{"..", NULL},
		{".a", NULL},
		{"a..b", NULL},
		{"a\\", NULL},
		{"a\\25", NULL},
		{"a\\256", NULL},
	};
	uint8_t wire[DNSNAME_MAX_BYTES];
	char text[DNSNAME_TEXT_SIZE];
	size_t n;
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int err = dnsname_from_text(rows[i].in, wire, &n);
		if (err != (rows[i].out ? 0 : CF_EINVAL))
			fail_msg("\"%s\" gave %d", rows[i].in, err);
		if (!err)
			assert_string_equal(dnsname_to_text(wire, text), rows[i].out);
	}
}

static void test_limits(void **state)
{
	uint8_t wire[DNSNAME_MAX_BYTES];
	char text[300];
	size_t n;
	(void)state;

	memset(text, 'a', sizeof(text));
	text[63] = '\0';
	assert_int_equal(dnsname_from_text(text, wire, &n), 0);
	text[63] = 'a';
	text[64] = '\0';
	assert_int_equal(dnsname_from_text(text, wire, &n), CF_EINVAL);
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = i % 2 ? '.' : 'a';
	text[253] = '\0'; /* 127 labels: 255 bytes on the wire */
	assert_int_equal(dnsname_from_text(text, wire, &n), 0);
	assert_int_equal(n, 255);
	assert_int_equal(dnsname_labels(wire), 127);
	text[253] = '.';
	text[254] = '\0';
	assert_int_equal(dnsname_from_text(text, wire, &n), 0);
	text[254] = 'a';
	text[255] = '\0';
	assert_int_equal(dnsname_from_text(text, wire, &n), CF_EINVAL);
}

static void test_read(void **state)
{
	/* 0: "a.b"; 5: "c" and a pointer to "b"; 9: a pointer to itself; 11: one forwards; 13: cut
	 */
	static const uint8_t msg[] = {
		1, 'a', 1, 'b', 0, 1, 'c', 0xc0, 2, 0xc0, 9, 0xc0, 13, 3, 'x'};
	uint8_t wire[DNSNAME_MAX_BYTES];
	char text[DNSNAME_TEXT_SIZE];
	size_t pos = 0, n;
	(void)state;

	assert_int_equal(dnsname_read(msg, sizeof(msg), &pos, wire, &n), 0);
	assert_int_equal(pos, 5);
	assert_string_equal(dnsname_to_text(wire, text), "a.b");
	assert_int_equal(dnsname_read(msg, sizeof(msg), &pos, wire, &n), 0);
	assert_int_equal(pos, 9);
	assert_string_equal(dnsname_to_text(wire, text), "c.b");
	for (pos = 9; pos <= sizeof(msg); pos += 2) {
		size_t at = pos;
		assert_int_equal(dnsname_read(msg, sizeof(msg), &at, wire, &n), CF_EPROTO);
	}
	pos = 5;
	assert_int_equal(dnsname_skip(msg, sizeof(msg), &pos), 0);
	assert_int_equal(pos, 9);
	pos = 13;
	assert_int_equal(dnsname_skip(msg, sizeof(msg), &pos), CF_EPROTO);
	pos = 7;
	assert_int_equal(dnsname_skip(msg, 8, &pos), CF_EPROTO);
}

static void test_equal(void **state)
{
	uint8_t a[DNSNAME_MAX_BYTES], b[DNSNAME_MAX_BYTES];
	size_t an, bn;
	(void)state;

	assert_int_equal(dnsname_from_text("WWW.Example.com", a, &an), 0);
	assert_int_equal(dnsname_from_text("www.exAmple.COM.", b, &bn), 0);
	assert_true(dnsname_equal(a, an, b, bn));
	dnsname_lower(a, an);
	assert_memory_equal(a, "\003www\007example\003com", 17);
	assert_int_equal(dnsname_from_text("www.example.co", b, &bn), 0);
	assert_false(dnsname_equal(a, an, b, bn));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_equal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

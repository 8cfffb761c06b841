#include "common/label.h"

#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <string.h>

static void key_of(uint8_t key[LABEL_KEY_BYTES], uint8_t first)
{
	for (size_t i = 0; i < LABEL_KEY_BYTES; i++)
		key[i] = (uint8_t)(first + i);
}

/* Vectors by another implementation (Python's hmac and base64) with the key 00 01 … 1f. */
static void test_vectors(void **state)
{
	static const struct {
		const char *tenant, *name, *label;
	} cases[] = {
		{"acme", "shop.example.com", "mz7oxhexhpon3e4ykqvf666qqw"},
		{"acme", "*.shop.example.com",
			"mz7oxhexhpon3e4ykqvf666qqw"}, /* base and wildcard share it */
		{"acme2", "shop.example.com", "nk6qlnn3hdgfi7hfmeezn2tjqe"},
		{"acm", "eshop.example.com",
			"7zdtugdinv3bq7jw3jmze7houb"}, /* the 0 byte parts them */
		{"", "a.example", "fhtdky4cknbydum6vyldufmob5"},
	};
	uint8_t key[LABEL_KEY_BYTES];
	char label[LABEL_SIZE];

	(void)state;
	key_of(key, 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		label_make(key, cases[i].tenant, cases[i].name, label);
		assert_string_equal(label, cases[i].label);
		assert_int_equal(strlen(label), LABEL_LEN);
	}
}

static void test_another_key_another_label(void **state)
{
	uint8_t key[LABEL_KEY_BYTES];
	char label[LABEL_SIZE];

	(void)state;
	key_of(key, 1);
	label_make(key, "acme", "shop.example.com", label);
	assert_string_not_equal(label, "mz7oxhexhpon3e4ykqvf666qqw");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_another_key_another_label),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Questions and answers of a look by another worker come back as they were, and nothing else is
 * taken. */
#include "worker/jobs/proof_pack.h"

#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID "0123456789abcdef0123456789abcdef"

static void a_question_comes_back(void **state)
{
	const struct proof_name names[] = {
		{"shop.example.com", true}, {"x.apps.example.com", false}};
	const struct proof_ask ask = {
		.der = "\0der", .der_len = 4, .before = "0a", .names = names, .names_n = 2};
	_buf_release_ struct buf b = BUF_INIT(PROOF_ASK_MAX);
	struct proof_asked back;
	struct why why = {""};

	(void)state;
	assert_int_equal(proof_ask_encode(ID, &ask, &b), 0);
	assert_int_equal(proof_ask_decode(b.data, b.len, &back, &why), 0);
	assert_string_equal(back.id, ID);
	assert_string_equal(back.ask.before, "0a");
	assert_int_equal(back.ask.der_len, 4);
	assert_memory_equal(back.ask.der, "\0der", 4);
	assert_int_equal(back.ask.names_n, 2);
	assert_string_equal(back.ask.names[0].name, "shop.example.com");
	assert_true(back.ask.names[0].resolved && !back.ask.names[1].resolved);
	proof_asked_release(&back);
	for (size_t n = 0; n < b.len; n++) { /* what was cut is refused */
		assert_true(proof_ask_decode(b.data, n, &back, &why) < 0);
		assert_null(back.ask.der);
		assert_null(back.ask.names);
	}
}

static void refuse_ask(const char *id, const char *name, size_t der_len, const char *says)
{
	struct proof_name one = {.resolved = true};
	const struct proof_ask ask = {
		.der = "der", .der_len = der_len, .names = &one, .names_n = 1};
	_buf_release_ struct buf b = BUF_INIT(PROOF_ASK_MAX);
	struct proof_asked back;
	struct why why = {""};

	snprintf(one.name, sizeof one.name, "%s", name);
	proof_ask_encode(id, &ask, &b);
	assert_true(proof_ask_decode(b.data, b.len, &back, &why) < 0);
	assert_non_null(strstr(why.text, says));
}

static void wrong_questions_are_refused(void **state)
{
	(void)state;
	refuse_ask("short", "shop.example.com", 3, "32 hex digits");
	refuse_ask("0123456789abcdef0123456789abcdez", "shop.example.com", 3, "32 hex digits");
	refuse_ask(ID, "../../etc", 3, "a host name");
	refuse_ask(ID, "shop.example.com", 0, "a certificate");
}

static void an_answer_comes_back(void **state)
{
	const struct served_seen seen[] = {{.name = "shop.example.com",
						   .at = "10.0.0.7:443",
						   .code = "served_old",
						   .what = "serial 0a",
						   .serial = "0a",
						   .from_ms = 1,
						   .ends_ms = 2},
		{.name = "shop.example.com", .at = "10.0.0.8:443"}};
	_buf_release_ struct buf b = BUF_INIT(PROOF_SEEN_MAX);
	_mem_free_ struct served_seen *back = NULL;
	struct why why = {""};
	size_t n = 0;

	(void)state;
	assert_int_equal(proof_seen_encode(seen, 2, &b), 0);
	assert_int_equal(proof_seen_decode(b.data, b.len, &back, &n, &why), 0);
	assert_int_equal(n, 2);
	assert_memory_equal(&back[0], &seen[0], sizeof seen[0]);
	assert_string_equal(back[1].at, "10.0.0.8:443");
	assert_string_equal(back[1].code, "");
}

static void wrong_answers_are_refused(void **state)
{
	struct served_seen *seen = mem_array(PROOF_LOOKS_MAX + 1, sizeof *seen);
	_buf_release_ struct buf many = BUF_INIT(PROOF_SEEN_MAX), odd = BUF_INIT(PROOF_SEEN_MAX);
	struct served_seen *back = NULL;
	struct why why = {""};
	size_t n = 7;

	(void)state;
	proof_seen_encode(seen, PROOF_LOOKS_MAX + 1, &many);
	assert_true(proof_seen_decode(many.data, many.len, &back, &n, &why) < 0);
	snprintf(seen[0].code, sizeof seen[0].code, "served_well");
	proof_seen_encode(seen, 1, &odd);
	assert_true(proof_seen_decode(odd.data, odd.len, &back, &n, &why) < 0);
	assert_non_null(strstr(why.text, "no such code"));
	assert_true(!back && n == 7);
	free(seen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_question_comes_back),
		cmocka_unit_test(wrong_questions_are_refused),
		cmocka_unit_test(an_answer_comes_back),
		cmocka_unit_test(wrong_answers_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* common/redis_place.c: whom to ask, and whom to believe. */
#include "common/lua_scripts.h"
#include "common/mem.h"
#include "common/redis_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
/* cmocka.h wants setjmp.h, stdarg.h and stddef.h. */
#include <cmocka.h>

const struct lua_script lua_scripts[] = {{NULL, NULL, 0}};
const size_t lua_scripts_n = 0;

static void moved(const char *text, const char *host, uint16_t port)
{
	struct redis_place p = {.host = "untouched"};

	if (!host) {
		assert_false(redis_place_of_moved(text, "10.0.0.9", &p));
		assert_string_equal(p.host, "untouched");
		return;
	}
	assert_true(redis_place_of_moved(text, "10.0.0.9", &p));
	assert_string_equal(p.host, host);
	assert_int_equal(p.port, port);
	assert_true(redis_place_is(&p, host, port));
	assert_false(redis_place_is(&p, host, (uint16_t)(port + 1)));
	assert_false(redis_place_is(&p, NULL, port));
}

static void test_moved(void **state)
{
	char longest[400] = "MOVED 1 ";

	(void)state;
	moved("MOVED 3999 127.0.0.1:6381", "127.0.0.1", 6381);
	moved("MOVED 3999 node-2.example:6381", "node-2.example", 6381);
	moved("MOVED 3999 2001:db8::2:6381", "2001:db8::2", 6381);
	moved("MOVED 3999 :6381", "10.0.0.9", 6381);
	moved("MOVED 3999 ?:6381", NULL, 0);
	moved("MOVED 3999", NULL, 0);
	moved("MOVED 3999 nowhere", NULL, 0);
	moved("MOVED 3999 x:0", NULL, 0);
	moved("MOVED 3999 x:65536", NULL, 0);
	moved("MOVED 3999 x:", NULL, 0);
	moved("ASK 3999 127.0.0.1:6381", NULL, 0);
	moved("", NULL, 0);
	memset(longest + 8, 'a', 300);
	strcpy(longest + 308, ":1");
	moved(longest, NULL, 0);
}

static void test_switch(void **state)
{
	struct redis_place p = {.port = 1};

	(void)state;
	assert_true(redis_place_of_switch("m 10.0.0.1 6379 10.0.0.2 6380", "m", &p));
	assert_true(redis_place_is(&p, "10.0.0.2", 6380));
	assert_true(redis_place_of_switch("m ::1 6379 ::2 6380", "m", &p));
	assert_true(redis_place_is(&p, "::2", 6380));
	assert_false(redis_place_of_switch("mm 10.0.0.1 6379 10.0.0.3 6380", "m", &p));
	assert_false(redis_place_of_switch("m 10.0.0.1 6379 10.0.0.3", "m", &p));
	assert_false(redis_place_of_switch("m 10.0.0.1 6379 10.0.0.3 port", "m", &p));
	assert_false(redis_place_of_switch("m", "m", &p));
	assert_false(redis_place_of_switch("", "m", &p));
	assert_true(redis_place_is(&p, "::2", 6380));
}

static struct redis_place at(uint16_t port, int64_t epoch)
{
	return (struct redis_place){.host = "h", .port = port, .epoch = epoch};
}

/* Which node is asked now; -1: all were. */
static int now(const struct redis_search *s)
{
	size_t node;

	return redis_search_next(s, &node) ? (int)node : -1;
}

static void test_who_answered_is_asked_first(void **state)
{
	struct redis_search s;
	struct redis_place p = at(1, -1);

	(void)state;
	redis_search_init(&s, 3);
	redis_search_begin(&s);
	assert_int_equal(now(&s), 0);
	redis_search_pass(&s);
	assert_int_equal(now(&s), 1);
	redis_search_pass(&s);
	assert_int_equal(now(&s), 2);
	assert_true(redis_search_answer(&s, &p));
	redis_search_begin(&s);
	assert_int_equal(now(&s), 2);
	redis_search_pass(&s);
	assert_int_equal(now(&s), 0);
	redis_search_pass(&s);
	assert_int_equal(now(&s), 1);
	redis_search_pass(&s);
	assert_int_equal(now(&s), -1);
	assert_false(redis_search_settle(&s, &p));
	redis_search_prefer(&s, 1);
	redis_search_prefer(&s, 7);
	redis_search_begin(&s);
	assert_int_equal(now(&s), 1);
}

/* One of three was cut off and names the primary of before: it is not believed while another can
 * be asked, nor when it is alone. */
static void test_an_older_answer_is_not_believed(void **state)
{
	struct redis_search s;
	struct redis_place fresh = at(2, 5), stale = at(1, 0), unknown = at(3, -1), out = at(9, 9);

	(void)state;
	redis_search_init(&s, 3);
	redis_search_begin(&s);
	assert_true(redis_search_answer(&s, &fresh));
	redis_search_begin(&s);
	assert_false(redis_search_answer(&s, &stale));
	assert_true(redis_search_answer(&s, &fresh));
	redis_search_begin(&s);
	assert_int_equal(now(&s), 1); /* it comes first now */
	assert_false(redis_search_answer(&s, &stale));
	redis_search_pass(&s);
	redis_search_pass(&s);
	assert_false(redis_search_settle(&s, &out));
	assert_int_equal(out.port, 9);
	/* A user who may not see the epoch is believed: there is nothing else to go by. */
	redis_search_begin(&s);
	assert_true(redis_search_answer(&s, &unknown));
}

/* When most know less than we do, they were made anew. */
static void test_sentinels_made_anew(void **state)
{
	struct redis_search s;
	struct redis_place fresh = at(2, 5), one = at(3, 0), two = at(4, 2), out;

	(void)state;
	redis_search_init(&s, 3);
	redis_search_begin(&s);
	assert_true(redis_search_answer(&s, &fresh));
	redis_search_begin(&s);
	assert_false(redis_search_answer(&s, &one));
	assert_false(redis_search_answer(&s, &two));
	redis_search_pass(&s);
	assert_true(redis_search_settle(&s, &out));
	assert_int_equal(out.port, 4); /* of the newer */
	redis_search_begin(&s);
	assert_true(redis_search_answer(&s, &two)); /* from here on that is the measure */
}

static void test_node_options(void **state)
{
	const struct redis_options o = {.nodes = {{"a", 1}, {"b", 2}},
		.nodes_n = 2,
		.db = 3,
		.username = "u",
		.password = "p",
		.tls = true,
		.timeout_ms = 5000};
	struct redis_options sentinel = o, node;

	(void)state;
	assert_true(redis_node_options(&o, 1, &node));
	assert_string_equal(node.host, "b");
	assert_int_equal(node.port, 2);
	assert_int_equal(node.db, 0);
	assert_string_equal(node.username, "u");
	assert_true(node.tls);
	assert_true(node.timeout_ms <= 1000);
	assert_false(redis_is_guided(&node));
	assert_false(redis_node_options(&o, 2, &node));
	sentinel.sentinel_master = "m";
	assert_true(redis_node_options(&sentinel, 0, &node));
	assert_null(node.username); /* Sentinels have users of their own */
	assert_null(node.password);
	assert_false(node.tls);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moved),
		cmocka_unit_test(test_switch),
		cmocka_unit_test(test_who_answered_is_asked_first),
		cmocka_unit_test(test_an_older_answer_is_not_believed),
		cmocka_unit_test(test_sentinels_made_anew),
		cmocka_unit_test(test_node_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

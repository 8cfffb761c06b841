/* The index follows a real Redis: what is there, what changes, what goes, and what was missed. */
#include "scheduler/index/feed.h"

#include "common/event.h"
#include "common/mem.h"
#include "common/queue.h"
#include "scheduler/requests.h"
#include "tests/unit/scheduler/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct scene {
	struct world w;
	struct index *index;
	struct feed *feed;
	struct requests *requests;
	struct request_context context;
	int told;
	char told_id[ENDPOINT_ID_MAX + 1];
	size_t want;            /* rows */
	const char *id, *state; /* to be shown so */
};

static void on_changed(void *arg, const char *id)
{
	struct scene *s = arg;

	s->told++;
	snprintf(s->told_id, sizeof s->told_id, "%s", id);
}

static void start(struct scene *s)
{
	memset(s, 0, sizeof *s);
	world_start(&s->w);
	s->context = (struct request_context){.redis = s->w.redis,
		.policy = {.needs = {.verify_every_ms = 3600000, .verify_fast_ms = 5000}}};
	s->requests = requests_new(&s->w.loop, s->w.block, &s->context);
	requests_lead(s->requests, true);
	s->index = index_new();
}

static void begin(struct scene *s)
{
	const struct feed_hooks hooks = {.changed = on_changed, .arg = s};

	s->feed = feed_new(&s->w.loop, s->w.redis, &s->w.options, s->index, &hooks);
}

static void finish(struct scene *s)
{
	requests_close(s->requests);
	feed_close(s->feed);
	world_finish(&s->w);
	requests_free(s->requests);
	feed_free(s->feed);
	index_free(s->index);
}

static void add(struct scene *s, const char *id)
{
	char request[64], words[200];

	snprintf(request, sizeof request, "add-%s", id);
	snprintf(words, sizeof words, "id=%s names=%s.example.com type=internal tenant=acme", id,
		id);
	world_request(&s->w, request, REQUEST_ADD, words);
}

static bool has_rows(void *arg)
{
	struct scene *s = arg;

	return feed_ready(s->feed) && index_n(s->index) == s->want;
}

static void expect_rows(struct scene *s, size_t n)
{
	s->want = n;
	if (!loop_until(&s->w.loop, has_rows, s, SOON_MS))
		fail_msg("%zu rows, expected %zu", index_n(s->index), n);
}

static bool stands(void *arg)
{
	struct scene *s = arg;

	return world_ask_int(&s->w, "ZCARD", "@endpoints") == (int64_t)s->want;
}

static void expect_stored(struct scene *s, size_t n)
{
	s->want = n;
	assert_true(loop_until(&s->w.loop, stands, s, SOON_MS));
}

static void is_filled_by_pages(void **state)
{
	struct scene s;
	struct index_row row;
	char id[32];

	(void)state;
	start(&s);
	for (int i = 0; i < 450; i++) {
		snprintf(id, sizeof id, "e%03d", i);
		add(&s, id);
	}
	expect_stored(&s, 450);
	begin(&s);
	assert_false(feed_ready(s.feed));
	expect_rows(&s, 450);
	assert_true(index_get(s.index, "e123", &row));
	assert_string_equal(row.names, "e123.example.com");
	assert_string_equal(row.tenant, "acme");
	assert_int_equal(row.type, ENDPOINT_INTERNAL);
	assert_int_equal(row.state, STATE_PROVISIONING);
	assert_int_equal(s.told, 0); /* nobody is told of the first filling */
	finish(&s);
}

static void follows_changes(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	begin(&s);
	expect_rows(&s, 0);
	add(&s, "shop");
	expect_rows(&s, 1);
	assert_int_equal(s.told, 1);
	assert_string_equal(s.told_id, "shop");
	/* Gone, as the removal's script does it. */
	world_ask(&s.w, "DEL", "@e:shop", NULL);
	world_ask(&s.w, "XADD", "@changes", "*", "id", "shop", NULL);
	expect_rows(&s, 0);
	assert_true(s.told >= 2);
	finish(&s);
}

static void sees_what_was_missed_while_redis_was_away(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	add(&s, "one");
	expect_stored(&s, 1);
	begin(&s);
	expect_rows(&s, 1);
	/* Persists nothing: it comes back empty, as another would be that lost all. */
	redis_server_restart(s.w.server);
	expect_rows(&s, 0);
	finish(&s);
}

/* Entries that were trimmed unread: without a second look the index would stay wrong. */
static void fills_anew_after_a_gap(void **state)
{
	struct scene s;
	struct index_row row = {
		.id = "ghost", .tenant = "", .authority = "", .reason = "", .names = ""};

	(void)state;
	start(&s);
	add(&s, "one");
	expect_stored(&s, 1);
	begin(&s);
	expect_rows(&s, 1);
	index_put(s.index, &row); /* as if its removal had not been seen */
	world_ask(&s.w, "XADD", "@changes", "*", "id", "one", NULL);
	world_ask(&s.w, "XADD", "@changes", "*", "id", "one", NULL);
	world_ask(&s.w, "XADD", "@changes", "*", "id", "one", NULL);
	world_ask(&s.w, "XTRIM", "@changes", "MAXLEN", "1", NULL);
	expect_rows(&s, 1);
	finish(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_filled_by_pages),
		cmocka_unit_test(follows_changes),
		cmocka_unit_test(sees_what_was_missed_while_redis_was_away),
		cmocka_unit_test(fills_anew_after_a_gap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

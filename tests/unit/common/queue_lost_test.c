/* What common/queue*.c does when replies are lost, scripts forgotten and batches large, against a
 * real redis-server.
 *
 * A reply is lost like this: the server is stopped, the call is written, the caller gives up on the
 * connection, and the server, going on, carries out what it has read for nobody.
 */
#include "common/queue.h"

#include "common/mem.h"
#include "tests/unit/support/loop.h"
#include "tests/unit/support/redis_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h wants setjmp.h, stdarg.h and stddef.h. */
#include <cmocka.h>

#define SOON_MS    20000
#define TIMEOUT_MS 1000
#define LEASE_MS   60000

struct world {
	uv_loop_t loop;
	struct redis_server *server;
	struct redis_options options;
	struct redis *redis;
	struct queue *queue;
	int ups, dones, takes, beats, beats_failed;
	int err; /* of the last take */
	int errs[256];
	size_t jobs_n;
	char ids[QUEUE_BATCH][65], tokens[QUEUE_BATCH][65];
	uint32_t attempt; /* the highest of those taken */
};

static void on_state(void *arg, bool up, const struct why *why)
{
	struct world *w = arg;

	(void)why;
	w->ups += up;
}

static void on_done(void *arg, int err)
{
	struct world *w = arg;

	w->errs[w->dones++ % 256] = err;
}

static void on_apply(void *arg, int err, bool dup, const char *conflict)
{
	(void)dup;
	(void)conflict;
	on_done(arg, err);
}

static void on_take(void *arg, int err, const struct queue_job *jobs, size_t n, int64_t next_due_ms)
{
	struct world *w = arg;

	(void)next_due_ms;
	w->takes++;
	w->err = err;
	w->jobs_n = n;
	w->attempt = 0;
	for (size_t i = 0; i < n; i++) {
		snprintf(w->ids[i], sizeof w->ids[i], "%s", jobs[i].id);
		snprintf(w->tokens[i], sizeof w->tokens[i], "%s", jobs[i].token);
		w->attempt = jobs[i].attempt > w->attempt ? jobs[i].attempt : w->attempt;
	}
}

static void on_beat(void *arg, int err, const char *id, bool lost, bool cancelled)
{
	struct world *w = arg;

	(void)id;
	assert_false(lost || cancelled);
	w->beats++;
	w->beats_failed += err != 0;
}

static int setup(void **state)
{
	struct world *w = mem_zalloc(sizeof *w);

	uv_loop_init(&w->loop);
	w->server = redis_server_start(NULL);
	redis_server_options(w->server, &w->options);
	w->options.timeout_ms = TIMEOUT_MS;
	w->redis = redis_new(&w->loop, &w->options, on_state, w);
	assert_true(loop_until_count(&w->loop, &w->ups, 1, SOON_MS));
	w->queue = queue_new(w->redis, QUEUE_VERIFY, "w1", LEASE_MS);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	queue_free(w->queue);
	redis_free(w->redis);
	loop_finish(&w->loop);
	redis_server_stop(w->server);
	free(w);
	return 0;
}

static void add_many(struct world *w, int n)
{
	struct queue_plan now = {.intent = INTENT_LOOK, .lane = LANE_NORMAL, .why = "new"};
	int before = w->dones;
	char id[16];

	for (int i = 0; i < n; i++) {
		struct queue_apply a = {.source = "test",
			.request_id = id,
			.op = "add",
			.endpoint = id,
			.tenant = "t1",
			.config = "config",
			.config_len = 6,
			.verify = &now,
			.answer = "\x80",
			.answer_len = 1};

		snprintf(id, sizeof id, "e%03d", i);
		queue_apply(w->redis, &a, on_apply, w);
	}
	assert_true(loop_until_count(&w->loop, &w->dones, before + n, SOON_MS));
	for (int i = 0; i < n; i++)
		assert_int_equal(w->errs[(before + i) % 256], 0);
}

static void begin_take(struct world *w)
{
	queue_take(w->queue, QUEUE_BATCH, 1000, 0, QUEUE_SUSPECTS, on_take, w);
}

/* A busy machine may lose a reply of its own accord: that is what is tested, so it is asked again.
 */
static void take(struct world *w)
{
	do {
		int before = w->takes;

		assert_true(loop_until_count(&w->loop, &w->ups, 1, SOON_MS));
		begin_take(w);
		assert_true(loop_until_count(&w->loop, &w->takes, before + 1, SOON_MS));
	} while (w->err == CF_ECONN || w->err == CF_ETIMEDOUT);
	assert_int_equal(w->err, 0);
}

/* What a key's command gives, waited for: the server may still be at what it had read. */
static void await_cli(struct world *w, const char *command, const char *expected)
{
	for (int i = 0; i < 1000; i++) {
		_mem_free_ char *got = redis_server_cli(w->server, command);

		if (!strcmp(got, expected))
			return;
		loop_for(&w->loop, 10);
	}
	fail_msg("%s never gave %s", command, expected);
}

/* The server is stopped while call is on its way, and goes on when its caller has given up. */
static void lose_reply(struct world *w, void (*call)(struct world *w), const int *told, int n)
{
	int ups = w->ups, before = *told;

	redis_server_pause(w->server);
	call(w);
	assert_true(loop_until_count(&w->loop, told, before + n, SOON_MS));
	redis_server_resume(w->server);
	assert_true(loop_until_count(&w->loop, &w->ups, ups + 1, SOON_MS));
}

/* Twice: both were carried out for nobody, and the third gets what the first was given. */
static void test_take_lost_twice(void **state)
{
	struct world *w = *state;

	add_many(w, 3);
	for (int i = 0; i < 2; i++) {
		lose_reply(w, begin_take, &w->takes, 1);
		assert_int_equal(w->err, CF_ETIMEDOUT);
		assert_int_equal(w->jobs_n, 0);
		await_cli(w, "ZCARD cf:{test}:run:verify", "3");
	}
	add_many(w, 4); /* e003 is new: not theirs */
	take(w);
	assert_int_equal(w->jobs_n, 3);
	assert_int_equal(w->attempt, 1);
	take(w);
	assert_int_equal(w->jobs_n, 1);
	assert_string_equal(w->ids[0], "e003");
	await_cli(w, "HGET cf:{test}:rt:verify t1", "4");
}

/* What a take gave is forgotten after a while: the next one is given nothing twice. */
static void test_take_forgotten(void **state)
{
	struct world *w = *state;

	add_many(w, 1);
	lose_reply(w, begin_take, &w->takes, 1);
	await_cli(w, "ZCARD cf:{test}:run:verify", "1");
	await_cli(w, "DEL cf:{test}:last:w1:verify", "1"); /* as it expires */
	take(w);
	assert_int_equal(w->jobs_n, 0);
	await_cli(w, "ZCARD cf:{test}:run:verify", "1"); /* until its lease lapses */
}

static const struct queue_event event = {"certfleet.dns.changed", "e1", "\x80", 1, false};

static void finish_all(struct world *w)
{
	for (size_t i = 0; i < w->jobs_n; i++) {
		struct queue_finish f = {.id = w->ids[i],
			.token = w->tokens[i],
			.generation = 1,
			.want = 1,
			.events = &event,
			.events_n = 1};

		queue_finish(w->queue, &f, on_done, w);
	}
}

static void checkpoint_and_beat(struct world *w)
{
	for (size_t i = 0; i < w->jobs_n; i++) {
		const char *id = w->ids[i], *token = w->tokens[i];

		queue_checkpoint(w->queue, id, token, "order", 5, false, on_done, w);
		queue_beat(w->queue, &id, &token, 1, on_beat, w);
	}
}

static void expect_dones(struct world *w, int before, int n, int err)
{
	for (int i = 0; i < n; i++)
		assert_int_equal(w->errs[(before + i) % 256], err);
}

static void test_finish_lost(void **state)
{
	struct world *w = *state;
	int before;

	add_many(w, 5);
	take(w);
	assert_int_equal(w->jobs_n, 5);
	before = w->dones;
	lose_reply(w, finish_all, &w->dones, 5);
	expect_dones(w, before, 5, CF_ETIMEDOUT);
	await_cli(w, "ZCARD cf:{test}:run:verify", "0");
	before = w->dones;
	finish_all(w);
	assert_true(loop_until_count(&w->loop, &w->dones, before + 5, SOON_MS));
	expect_dones(w, before, 5, 0);
	await_cli(w, "XLEN cf:{test}:results", "5");
}

static void test_checkpoint_lost(void **state)
{
	struct world *w = *state;
	int before;

	add_many(w, 5);
	take(w);
	lose_reply(w, checkpoint_and_beat, &w->dones, 5);
	before = w->dones;
	checkpoint_and_beat(w);
	assert_true(loop_until_count(&w->loop, &w->dones, before + 5, SOON_MS));
	assert_true(loop_until_count(&w->loop, &w->beats, 10, SOON_MS));
	expect_dones(w, before, 5, 0);
	assert_int_equal(w->beats_failed, 5);
	await_cli(w, "HGET cf:{test}:e:e004 o", "order");
}

/* Redis forgets its scripts while calls are on their way, in one pipeline. */
static void test_scripts_forgotten(void **state)
{
	struct world *w = *state;
	int before;

	add_many(w, 64);
	take(w);
	assert_int_equal(w->jobs_n, 64);
	before = w->dones;
	redis_commandv(w->redis, NULL, NULL, "SCRIPT", "FLUSH", NULL);
	checkpoint_and_beat(w);
	finish_all(w);
	assert_true(loop_until_count(&w->loop, &w->dones, before + 128, SOON_MS));
	expect_dones(w, before, 128, 0);
	assert_int_equal(w->beats, 64);
	assert_int_equal(w->beats_failed, 0);
	await_cli(w, "ZCARD cf:{test}:run:verify", "0");
	await_cli(w, "XLEN cf:{test}:results", "64");
}

/* 64 finishes of 100 kB each, and one that is too large for any: it alone is refused. */
static void test_large_batches(void **state)
{
	struct world *w = *state;
	size_t large = 100 * 1000, huge = 5 * 1000 * 1000;
	_mem_free_ char *bytes = mem_zalloc(huge);
	struct queue_set set = {"v", bytes, large};
	int before, refused = 0;

	add_many(w, 64);
	take(w);
	assert_int_equal(w->jobs_n, 64);
	before = w->dones;
	for (size_t i = 0; i < 64; i++) {
		struct queue_finish f = {.id = w->ids[i],
			.token = w->tokens[i],
			.generation = 1,
			.want = 1,
			.sets = &set,
			.sets_n = 1};

		set.len = i == 40 ? huge : large;
		queue_finish(w->queue, &f, on_done, w);
	}
	assert_true(loop_until_count(&w->loop, &w->dones, before + 64, SOON_MS));
	for (int i = 0; i < 64; i++) {
		int err = w->errs[(before + i) % 256];

		refused += err == CF_ETOOBIG;
		assert_true(err == 0 || err == CF_ETOOBIG);
	}
	assert_int_equal(refused, 1);
	await_cli(w, "ZCARD cf:{test}:run:verify", "1");
	await_cli(w, "HSTRLEN cf:{test}:e:e063 v", "100000");
}

/* Names cost the script as much as jobs: ten finishes of 40 go in four calls, 120 names in each of
 * the first. */
static void test_names_fill_a_batch(void **state)
{
	struct world *w = *state;
	struct queue_authz authzs[40];
	_mem_free_ char *info = NULL;
	int before;

	for (size_t i = 0; i < ARRAY_LEN(authzs); i++)
		authzs[i] = (struct queue_authz){
			"a.example", "ca", "https://ca.example/1", 4102444800000};
	add_many(w, 10);
	take(w);
	assert_int_equal(w->jobs_n, 10);
	before = w->dones;
	await_cli(w, "CONFIG RESETSTAT", "OK");
	for (size_t i = 0; i < w->jobs_n; i++) {
		struct queue_finish f = {.id = w->ids[i],
			.token = w->tokens[i],
			.generation = 1,
			.want = 1,
			.authzs = authzs,
			.authzs_n = ARRAY_LEN(authzs)};

		queue_finish(w->queue, &f, on_done, w);
	}
	assert_true(loop_until_count(&w->loop, &w->dones, before + 10, SOON_MS));
	expect_dones(w, before, 10, 0);
	info = redis_server_cli(w->server, "INFO commandstats");
	assert_non_null(strstr(info, "cmdstat_evalsha:calls=4,"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		TEST(test_take_lost_twice),
		TEST(test_take_forgotten),
		TEST(test_finish_lost),
		TEST(test_checkpoint_lost),
		TEST(test_scripts_forgotten),
		TEST(test_large_batches),
		TEST(test_names_fill_a_batch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

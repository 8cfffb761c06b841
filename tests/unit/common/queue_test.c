/* common/queue*.c and the scripts behind them, against a real redis-server. */
#include "common/queue.h"

#include "common/clock.h"
#include "common/mem.h"
#include "tests/unit/support/loop.h"
#include "tests/unit/support/redis_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h wants setjmp.h, stdarg.h and stddef.h. */
#include <cmocka.h>

#define SOON_MS  5000
#define LEASE_MS 30000

struct taken_job {
	char id[65], token[65], config[64], checkpoint[64];
	uint64_t want;
	uint32_t attempt;
	enum job_lane lane;
};

struct world {
	uv_loop_t loop;
	struct redis_server *server;
	struct redis_options options;
	struct redis *redis;
	struct queue *verify, *issue;
	int ups, dones, takes, beats, claims, others;
	int err;
	int errs[128];
	struct taken_job jobs[QUEUE_BATCH];
	size_t jobs_n;
	int beats_lost, beats_cancelled;
	bool dup;
	char conflict[256];
	enum claim claim;
	char stale_url[64];
	size_t rows_n;
	bool index_ok;
	struct queue_reaped reaped;
	uint64_t term;
	bool leading;
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

	w->err = err;
	w->errs[w->dones++ % 128] = err;
}

static void copy(char *out, size_t size, const struct endpoint_field *f)
{
	snprintf(out, size, "%.*s", (int)f->len, f->bytes ? (const char *)f->bytes : "");
}

static void on_take(void *arg, int err, const struct queue_job *jobs, size_t n, int64_t next_due_ms)
{
	struct world *w = arg;

	assert_in_range(next_due_ms, 0, 1000);
	w->takes++;
	w->err = err;
	w->jobs_n = n;
	for (size_t i = 0; i < n; i++) {
		struct taken_job *j = &w->jobs[i];

		snprintf(j->id, sizeof j->id, "%s", jobs[i].id);
		snprintf(j->token, sizeof j->token, "%s", jobs[i].token);
		copy(j->config, sizeof j->config, &jobs[i].fields[0]);
		copy(j->checkpoint, sizeof j->checkpoint, &jobs[i].fields[7]);
		j->want = jobs[i].want;
		j->attempt = jobs[i].attempt;
		j->lane = jobs[i].lane;
	}
}

static void on_beat(void *arg, int err, const char *id, bool lost, bool cancelled)
{
	struct world *w = arg;

	assert_non_null(id);
	w->err = err;
	w->beats++;
	w->beats_lost += lost;
	w->beats_cancelled += cancelled;
}

static void on_apply(void *arg, int err, bool dup, const char *conflict)
{
	struct world *w = arg;

	w->dones++;
	w->err = err;
	w->dup = dup;
	snprintf(w->conflict, sizeof w->conflict, "%s", conflict ? conflict : "");
}

static void on_claim(void *arg, int err, const struct queue_claim_result *results, size_t n)
{
	struct world *w = arg;

	w->dones++;
	w->err = err;
	if (!n)
		return;
	w->claim = results[0].claim;
	snprintf(w->stale_url, sizeof w->stale_url, "%s",
		results[0].stale_n ? results[0].stale[0].url : "");
}

static void on_audit(
	void *arg, int err, const struct queue_audit_row *rows, size_t n, const char *after)
{
	struct world *w = arg;

	w->dones++;
	w->err = err;
	w->rows_n += n;
	for (size_t i = 0; i < n; i++)
		w->index_ok = w->index_ok && rows[i].index_ok[0] && rows[i].index_ok[1];
	if (after)
		queue_audit(w->redis, after, on_audit, w);
	else
		w->others++;
}

static void on_reap(void *arg, int err, const struct queue_reaped *r)
{
	struct world *w = arg;

	w->dones++;
	w->err = err;
	w->reaped = *r;
}

static void on_leader(
	void *arg, int err, bool leading, uint64_t term, int64_t redis_ms, const char *holder)
{
	struct world *w = arg;

	w->dones++;
	w->err = err;
	w->leading = leading;
	w->term = term;
	assert_true(redis_ms > 0);
	assert_string_equal(holder, "one");
}

/* Waits for the next answer, and gives its error. */
static int answer(struct world *w, int before)
{
	assert_true(loop_until_count(&w->loop, &w->dones, before + 1, SOON_MS));
	return w->err;
}

static int setup(void **state)
{
	struct world *w = mem_zalloc(sizeof *w);

	uv_loop_init(&w->loop);
	w->server = redis_server_start(NULL);
	redis_server_options(w->server, &w->options);
	w->redis = redis_new(&w->loop, &w->options, on_state, w);
	assert_true(loop_until_count(&w->loop, &w->ups, 1, SOON_MS));
	w->verify = queue_new(w->redis, QUEUE_VERIFY, "w1", LEASE_MS);
	w->issue = queue_new(w->redis, QUEUE_ISSUE, "w1", LEASE_MS);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	queue_free(w->verify);
	queue_free(w->issue);
	redis_free(w->redis);
	loop_finish(&w->loop);
	redis_server_stop(w->server);
	free(w);
	return 0;
}

static int apply(struct world *w, const char *op, const char *id, const char *tenant,
	const char *request_id, const char *name)
{
	struct queue_plan now = {.intent = INTENT_LOOK, .lane = LANE_NORMAL, .why = "new"};
	const char *names[] = {name};
	struct queue_apply a = {
		.source = "test",
		.request_id = request_id,
		.op = op,
		.endpoint = id,
		.tenant = tenant,
		.config = "config",
		.config_len = 6,
		.verify = &now,
		.answer = "\x80",
		.answer_len = 1,
		.names_added = names,
		.names_added_n = name ? 1 : 0,
		.events = {{.type = "certfleet.endpoint.added",
			.id = request_id,
			.data = "\x80",
			.len = 1}},
		.events_n = 1,
	};
	int before = w->dones;

	queue_apply(w->redis, &a, on_apply, w);
	return answer(w, before);
}

static void take(struct world *w, struct queue *q, size_t n)
{
	queue_take(q, n, 1000, 0, QUEUE_SUSPECTS, on_take, w);
	assert_true(loop_until_count(&w->loop, &w->takes, w->takes + 1, SOON_MS));
	assert_int_equal(w->err, 0);
}

static void add_many(struct world *w, int n)
{
	char id[16];

	for (int i = 0; i < n; i++) {
		snprintf(id, sizeof id, "e%03d", i);
		assert_int_equal(apply(w, "add", id, "t1", id, NULL), 0);
	}
}

static char *hget(struct world *w, const char *id, const char *field)
{
	char args[128];

	snprintf(args, sizeof args, "HGET cf:{test}:e:%s %s", id, field);
	return redis_server_cli(w->server, args);
}

static void test_apply(void **state)
{
	struct world *w = *state;

	assert_int_equal(apply(w, "add", "a", "t1", "r1", "a.example"), 0);
	assert_false(w->dup);
	assert_int_equal(apply(w, "add", "a", "t1", "r1", "a.example"), 0);
	assert_true(w->dup);
	assert_int_equal(apply(w, "add", "a", "t1", "r2", "a.example"), CF_EEXIST);
	assert_string_equal(w->conflict, "");
	assert_int_equal(apply(w, "add", "b", "t1", "r3", "a.example"), CF_EEXIST);
	assert_string_equal(w->conflict, "a.example is in endpoint a");
	assert_int_equal(apply(w, "update", "c", "t1", "r4", NULL), CF_ENOTFOUND);
	assert_int_equal(apply(w, "nonsense", "c", "t1", "r5", NULL), CF_EINVAL);
	assert_int_equal(apply(w, "refuse", "", "t1", "r5", NULL), 0);
}

static void test_life(void **state)
{
	struct world *w = *state;
	struct queue_plan later = {.intent = INTENT_LOOK, .lane = LANE_NORMAL, .why = "look"};
	struct queue_plan issue = {
		.intent = INTENT_PROVISION, .lane = LANE_URGENT, .why = "dns_right"};
	struct queue_set sets[] = {{"v", "ver\0dict", 8}, {"av", NULL, 0}};
	struct queue_event event = {"certfleet.dns.changed", "e1", "\x80", 1, false};
	const void *entries[] = {"looked"};
	size_t lens[] = {6};
	struct queue_finish f = {.id = "a",
		.generation = 1,
		.sets = sets,
		.sets_n = 2,
		.next = &later,
		.other = &issue,
		.events = &event,
		.events_n = 1,
		.timeline = entries,
		.timeline_lens = lens,
		.timeline_n = 1,
		.state = "waiting_dns",
		.reason = "record_missing"};
	int before;
	char *got;

	assert_int_equal(apply(w, "add", "a", "t1", "r1", "a.example"), 0);
	take(w, w->verify, 10);
	assert_int_equal(w->jobs_n, 1);
	assert_string_equal(w->jobs[0].config, "config");
	assert_int_equal(strlen(w->jobs[0].token), QUEUE_TOKEN_LEN);
	f.token = w->jobs[0].token;
	f.want = w->jobs[0].want;
	later.due_ms = clock_wall_ms() + CLOCK_HOUR_MS;

	/* In one turn: the checkpoint goes out before the finish, and a repeat is done. */
	before = w->dones;
	queue_finish(w->verify, &f, on_done, w);
	queue_checkpoint(w->verify, "a", f.token, "order", 5, true, on_done, w);
	queue_finish(w->verify, &f, on_done, w);
	assert_true(loop_until_count(&w->loop, &w->dones, before + 3, SOON_MS));
	for (int i = 0; i < 3; i++)
		assert_int_equal(w->errs[before + i], 0);
	got = hget(w, "a", "s");
	assert_string_equal(got, "waiting_dns");
	free(got);
	got = redis_server_cli(w->server, "XLEN cf:{test}:results");
	assert_string_equal(got, "3"); /* added, dns.changed, state */
	free(got);
	take(w, w->verify, 10);
	assert_int_equal(w->jobs_n, 0);
	take(w, w->issue, 10);
	assert_int_equal(w->jobs_n, 1);
	assert_int_equal(w->jobs[0].lane, LANE_URGENT);
	assert_string_equal(w->jobs[0].checkpoint, "order");
}

static void test_batches(void **state)
{
	struct world *w = *state;
	const char *ids[100], *tokens[100];
	struct taken_job all[100];
	size_t n = 0;
	int before;

	add_many(w, 100);
	for (int i = 0; i < 2; i++) {
		take(w, w->verify, QUEUE_BATCH);
		memcpy(all + n, w->jobs, w->jobs_n * sizeof *all);
		n += w->jobs_n;
	}
	assert_int_equal(n, 100);
	for (size_t i = 0; i < n; i++) {
		ids[i] = all[i].id;
		tokens[i] = i == 5 ? "stale" : all[i].token;
	}
	queue_beat(w->verify, ids, tokens, n, on_beat, w);
	assert_true(loop_until_count(&w->loop, &w->beats, 100, SOON_MS));
	assert_int_equal(w->beats_lost, 1);
	before = w->dones;
	for (size_t i = 0; i < n; i++) {
		struct queue_finish f = {
			.id = ids[i], .token = tokens[i], .generation = 1, .want = 1};

		queue_finish(w->verify, &f, on_done, w);
	}
	assert_true(loop_until_count(&w->loop, &w->dones, before + 100, SOON_MS));
	for (int i = 0; i < 100; i++)
		assert_int_equal(w->errs[(before + i) % 128], i == 5 ? CF_ELOST : 0);
	w->index_ok = true;
	queue_audit(w->redis, NULL, on_audit, w);
	assert_true(loop_until_count(&w->loop, &w->others, 1, SOON_MS));
	assert_int_equal(w->rows_n, 100);
	assert_true(w->index_ok);
}

/* A finish that the script refuses does not take those beside it along. */
static void test_bad_neighbour(void **state)
{
	struct world *w = *state;
	struct queue_set bad = {"x", "not verify's", 12};
	int before;

	add_many(w, 3);
	take(w, w->verify, 3);
	before = w->dones;
	for (size_t i = 0; i < 3; i++) {
		struct queue_finish f = {.id = w->jobs[i].id,
			.token = w->jobs[i].token,
			.generation = 1,
			.want = 1,
			.sets = &bad,
			.sets_n = i == 1};

		queue_finish(w->verify, &f, on_done, w);
	}
	assert_true(loop_until_count(&w->loop, &w->dones, before + 3, SOON_MS));
	assert_int_equal(w->errs[before] + w->errs[before + 1] + w->errs[before + 2], CF_EINVAL);
}

static void test_release_ask_reap(void **state)
{
	struct world *w = *state;
	struct queue_plan now = {.intent = INTENT_LOOK, .lane = LANE_PERSON, .why = "asked"};
	int before;

	assert_int_equal(apply(w, "add", "a", "t1", "r1", NULL), 0);
	take(w, w->verify, 1);
	before = w->dones;
	queue_release(w->verify, "a", w->jobs[0].token, clock_wall_ms() + CLOCK_HOUR_MS, "quota",
		on_done, w);
	assert_int_equal(answer(w, before), 0);
	take(w, w->verify, 1);
	assert_int_equal(w->jobs_n, 0);
	before = w->dones;
	queue_ask(w->redis, QUEUE_VERIFY, "a", &now, false, on_done, w);
	assert_int_equal(answer(w, before), 0);
	before = w->dones;
	queue_ask(w->redis, QUEUE_VERIFY, "nobody", &now, false, on_done, w);
	assert_int_equal(answer(w, before), CF_EGONE);
	take(w, w->verify, 1);
	assert_int_equal(w->jobs_n, 1);
	assert_int_equal(w->jobs[0].lane, LANE_PERSON);
	assert_int_equal(w->jobs[0].attempt, 1);
	before = w->dones;
	queue_reap(w->redis, QUEUE_VERIFY, 0, 0, on_reap, w);
	assert_int_equal(answer(w, before), 0);
	assert_int_equal(w->reaped.looked, 0);
}

static void test_claim(void **state)
{
	struct world *w = *state;
	struct queue_claim_name name = {.name = "a.example", .proven = true};
	struct queue_authz authz = {
		"a.example", "ca", "https://ca/authz/1", INT64_C(4102444800000)};
	struct queue_finish f = {
		.id = "a", .generation = 1, .want = 1, .authzs = &authz, .authzs_n = 1};
	char token[65];
	int before;

	assert_int_equal(apply(w, "add", "a", "t1", "r1", "a.example"), 0);
	take(w, w->verify, 1);
	before = w->dones;
	queue_claim(w->verify, "a", w->jobs[0].token, &name, 1, on_claim, w);
	assert_int_equal(answer(w, before), 0);
	assert_int_equal(w->claim, CLAIM_HELD);
	f.token = w->jobs[0].token;
	before = w->dones;
	queue_finish(w->verify, &f, on_done, w);
	assert_int_equal(answer(w, before), 0);

	assert_int_equal(apply(w, "add", "b", "t2", "r2", "a.example"), 0);
	take(w, w->verify, 1);
	snprintf(token, sizeof token, "%s", w->jobs[0].token);
	before = w->dones;
	queue_claim(w->verify, "b", token, &name, 1, on_claim, w);
	assert_int_equal(answer(w, before), 0);
	assert_int_equal(w->claim, CLAIM_ELSEWHERE);
	name.exclusive = true;
	before = w->dones;
	queue_claim(w->verify, "b", token, &name, 1, on_claim, w);
	assert_int_equal(answer(w, before), 0);
	assert_int_equal(w->claim, CLAIM_HELD);
	assert_string_equal(w->stale_url, "https://ca/authz/1");
	before = w->dones;
	queue_authz_forget(w->verify, "b", token, "a.example", w->stale_url, on_done, w);
	assert_int_equal(answer(w, before), 0);
	before = w->dones;
	queue_claim(w->verify, "b", token, &name, 1, on_claim, w);
	assert_int_equal(answer(w, before), 0);
	assert_string_equal(w->stale_url, "");
	before = w->dones;
	queue_claim(w->verify, "b", "stale", &name, 1, on_claim, w);
	assert_int_equal(answer(w, before), CF_ELOST);
	before = w->dones;
	queue_claim(w->verify, "b", token, NULL, 0, on_claim, w);
	assert_int_equal(answer(w, before), 0);
}

static void test_leader(void **state)
{
	struct world *w = *state;
	uint64_t term;
	int before = w->dones;

	leader_hold(w->redis, "one", 0, 5000, on_leader, w);
	assert_int_equal(answer(w, before), 0);
	assert_true(w->leading);
	term = w->term;
	before = w->dones;
	leader_hold(w->redis, "two", 0, 5000, on_leader, w);
	assert_int_equal(answer(w, before), 0);
	assert_false(w->leading);
	before = w->dones;
	leader_resign(w->redis, "two", term, on_done, w);
	assert_int_equal(answer(w, before), CF_ELOST);
	before = w->dones;
	leader_hold(w->redis, "one", term, 5000, on_leader, w);
	assert_int_equal(answer(w, before), 0);
	assert_true(w->leading && w->term == term);
	before = w->dones;
	leader_resign(w->redis, "one", term, on_done, w);
	assert_int_equal(answer(w, before), 0);
}

static void on_trim(void *arg, int err, const struct queue_trimmed *t)
{
	struct world *w = arg;

	w->err = err;
	w->dones++;
	w->rows_n = t->length;
	assert_non_null(t->first);
}

static void test_trim(void **state)
{
	struct world *w = *state;
	int before;

	assert_int_equal(apply(w, "add", "a", "t1", "r1", NULL), 0);
	before = w->dones;
	queue_trim(w->redis, "results", 1000, CLOCK_DAY_MS, 100, on_trim, w);
	assert_int_equal(answer(w, before), 0);
	assert_int_equal(w->rows_n, 1);
	before = w->dones;
	queue_trim(w->redis, "endpoints", 1000, CLOCK_DAY_MS, 100, on_trim, w);
	assert_int_equal(answer(w, before), CF_EINVAL);
}

/* The reply of a take is lost with the connection: the next call gets the same jobs. */
static void test_lost_take(void **state)
{
	struct world *w = *state;
	char *got;
	int ups = w->ups;

	assert_int_equal(apply(w, "add", "a", "t1", "r1", NULL), 0);
	got = redis_server_cli(w->server, "CLIENT KILL TYPE normal SKIPME yes");
	free(got);
	queue_take(w->verify, 1, 10, 0, QUEUE_SUSPECTS, on_take, w);
	assert_true(loop_until_count(&w->loop, &w->takes, 1, SOON_MS));
	assert_int_equal(w->err, CF_ECONN);
	assert_true(loop_until_count(&w->loop, &w->ups, ups + 1, SOON_MS));
	take(w, w->verify, 1);
	assert_int_equal(w->jobs_n, 1);
	assert_int_equal(w->jobs[0].attempt, 1);
}

static void test_free_tells_all(void **state)
{
	struct world *w = *state;
	struct queue *q = queue_new(w->redis, QUEUE_VERIFY, "w2", LEASE_MS);
	const char *ids[] = {"a"}, *tokens[] = {"t"};
	struct queue_finish f = {.id = "a", .token = "t"};

	queue_take(q, 1, 10, 0, QUEUE_SUSPECTS, on_take, w);
	queue_finish(q, &f, on_done, w);
	queue_beat(q, ids, tokens, 1, on_beat, w);
	queue_free(q);
	assert_int_equal(w->takes, 1);
	assert_int_equal(w->dones, 1);
	assert_int_equal(w->beats, 1);
	assert_int_equal(w->err, CF_ECANCELED);
	q = queue_new(w->redis, QUEUE_VERIFY, "w2", LEASE_MS);
	queue_finish(q, &f, on_done, w);
	uv_run(&w->loop, UV_RUN_NOWAIT); /* it is on its way */
	queue_free(q);
	assert_int_equal(w->dones, 2);
	queue_free(NULL);
}

static void test_barrier(void **state)
{
	struct world *w = *state;
	struct barrier *none = barrier_new(&w->loop, &w->options, 0, 100);
	struct barrier *b = barrier_new(&w->loop, &w->options, 1, 100);
	struct redis_server *replica;
	char port[16], host[] = "127.0.0.1";
	const char *args[] = {"--replicaof", port, NULL};
	int before = 0;

	barrier_wait(none, w->redis, on_done, w);
	assert_int_equal(w->dones, 1);
	barrier_free(none);
	loop_for(&w->loop, 200); /* its connection */
	barrier_wait(b, w->redis, on_done, w);
	assert_int_equal(answer(w, 1), CF_EAGAIN);

	snprintf(port, sizeof port, "%s %u", host, redis_server_port(w->server));
	replica = redis_server_start(args);
	w->err = CF_EAGAIN;
	for (int64_t end = clock_mono_ms() + 15000; w->err && clock_mono_ms() < end;) {
		before = w->dones;
		barrier_wait(b, w->redis, on_done, w);
		barrier_wait(b, w->redis, on_done, w);
		assert_true(loop_until_count(&w->loop, &w->dones, before + 2, SOON_MS));
	}
	assert_int_equal(w->err, 0);
	before = w->dones;
	barrier_wait(b, w->redis, on_done, w);
	barrier_wait(b, w->redis, on_done, w);
	barrier_free(b);
	assert_int_equal(w->dones, before + 2);
	assert_int_equal(w->err, CF_ECANCELED);
	redis_server_stop(replica);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		TEST(test_apply),
		TEST(test_life),
		TEST(test_batches),
		TEST(test_bad_neighbour),
		TEST(test_release_ask_reap),
		TEST(test_claim),
		TEST(test_leader),
		TEST(test_trim),
		TEST(test_lost_take),
		TEST(test_free_tells_all),
		TEST(test_barrier),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The ledger around an order, with a real Redis: what the job decides is caught at its rim. */
#include "worker/jobs/issue_internal.h"

#include "common/clock.h"
#include "common/mem.h"
#include "tests/unit/support/loop.h"
#include "tests/unit/support/redis_server.h"
#include "worker/authorities.h"
#include "worker/stats.h"
#include "worker/worker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h wants setjmp.h, stdarg.h and stddef.h. */
#include <cmocka.h>

#define SOON_MS 5000

static struct {
	struct redis_server *server;
	struct redis_options options;
	struct worker w;
	struct job job;
	struct issue s;
	int ups, answers, placed, finished, failed;
	char code[48];
} t;

static const struct config_limits limits = {
	.new_orders = {1, CLOCK_HOUR_MS},
	.certificates_per_registered_domain = {1, CLOCK_DAY_MS},
};

/* --- the rim of the job */

struct metric stats_orders = {
	.type = METRIC_COUNTER, .name = "orders", .labels = {"authority", "result"}};

const struct config_limits *authorities_limits(struct authorities *all, const char *name)
{
	(void)all;
	(void)name;
	return &limits;
}

void issue_hold(struct issue *s)
{
	s->pending++;
}

bool issue_resume(struct issue *s)
{
	s->pending--;
	return true;
}

void issue_place_order(struct issue *s)
{
	(void)s;
	t.placed++;
	t.answers++;
}

void issue_finish(struct issue *s)
{
	(void)s;
	t.finished++;
	t.answers++;
}

void issue_fail(struct issue *s, const struct acme_failure *f)
{
	(void)s;
	snprintf(t.code, sizeof t.code, "%s", f->code);
	t.failed++;
	t.answers++;
}

void issue_redis_failed(struct issue *s, int err, const char *what)
{
	(void)s;
	(void)what;
	snprintf(t.code, sizeof t.code, "%s", err == CF_ECONN ? "redis" : cf_strerror(err));
	t.failed++;
	t.answers++;
}

/* --- the world */

static void on_state(void *arg, bool up, const struct why *why)
{
	(void)arg;
	(void)why;
	t.ups += up;
}

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof t);
	uv_loop_init(&t.w.loop);
	t.server = redis_server_start(NULL);
	redis_server_options(t.server, &t.options);
	t.w.redis = redis_new(&t.w.loop, &t.options, on_state, NULL);
	assert_true(loop_until_count(&t.w.loop, &t.ups, 1, SOON_MS));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	issue_quota_release(&t.s);
	outcome_free(t.s.outcome);
	free(t.job.endpoint.config.names);
	redis_free(t.w.redis);
	loop_finish(&t.w.loop);
	redis_server_stop(t.server);
	return 0;
}

/* A job for an endpoint that has one name. */
static void begin(const char *id, const char *name)
{
	issue_quota_release(&t.s);
	outcome_free(t.s.outcome);
	free(t.job.endpoint.config.names);
	t.job = (struct job){.lane = LANE_NORMAL};
	t.s = (struct issue){
		.job = &t.job, .w = &t.w, .intent = INTENT_PROVISION, .outcome = outcome_new()};
	snprintf(t.job.id, sizeof t.job.id, "%s", id);
	snprintf(t.s.authority, sizeof t.s.authority, "ca");
	t.job.endpoint.config.names = mem_zalloc(sizeof *t.job.endpoint.config.names);
	t.job.endpoint.config.names_n = 1;
	snprintf(t.job.endpoint.config.names[0], NAME_SIZE, "%s", name);
	t.s.names[0] = t.job.endpoint.config.names[0];
	t.s.names_n = 1;
	issue_quota_begin(&t.s);
}

static void reserve(void)
{
	int before = t.answers;

	issue_quota_reserve(&t.s);
	assert_true(loop_until_count(&t.w.loop, &t.answers, before + 1, SOON_MS));
}

static void end(struct acme_result *r, const struct acme_failure *f)
{
	r->ok = !f;
	r->failure = f;
	issue_quota_settle(&t.s, r);
}

/* --- tests */

static void what_crashed_is_not_charged_again(void **state)
{
	(void)state;
	for (int i = 1; i <= 2; i++) { /* nothing was finished between the two */
		begin("a", "a.example.com");
		reserve();
		assert_int_equal(t.placed, i);
	}
	begin("b", "b.example.org");
	reserve();
	assert_int_equal(t.placed, 2);
	assert_int_equal(t.finished, 1);
	assert_string_equal(t.job.endpoint.issuance.wait, "ca allows 1 new orders in 1h");
	assert_true(
		endpoint_quota_ticket(&t.job.endpoint) > clock_wall_ms() + CLOCK_HOUR_MS - 10000);
	assert_int_equal(t.job.endpoint.issuance.failures, 0);
}

static void an_order_that_never_was_costs_nothing(void **state)
{
	const struct acme_failure f = {.class = ACME_BACKOFF, .code = "no_answer"};
	struct acme_result r = {0};

	(void)state;
	begin("a", "a.example.com");
	reserve();
	end(&r, &f);
	begin("b", "b.example.com");
	reserve();
	assert_int_equal(t.placed, 2);
	r.orders_placed = 1;
	end(&r, NULL);
	begin("c", "c.example.com");
	reserve();
	assert_int_equal(t.placed, 2);
}

static void a_resumed_order_is_charged_once(void **state)
{
	struct acme_result r = {0};

	(void)state;
	begin("a", "a.example.com");
	reserve();
	begin("a", "a.example.com"); /* another worker goes on with it, and gets the certificate */
	end(&r, NULL);
	begin("b", "b.example.com");
	reserve();
	assert_in_range(t.job.endpoint.issuance.wait_ms, clock_wall_ms() + CLOCK_DAY_MS - 10000,
		clock_wall_ms() + CLOCK_DAY_MS);
}

static void the_ca_corrects_the_ledger(void **state)
{
	const struct acme_failure f = {.class = ACME_WAIT_UNTIL,
		.code = "rateLimited",
		.detail = "too many new orders (300) from this account",
		.status = 429,
		.retry_after_ms = 2 * CLOCK_HOUR_MS};
	struct acme_failure vague = f;
	struct acme_result r = {0};
	int64_t first;

	(void)state;
	begin("a", "a.example.com");
	reserve();
	end(&r, &f);
	assert_true(issue_quota_refused(&t.s, &r));
	assert_true(loop_until_count(&t.w.loop, &t.answers, 2, SOON_MS));
	assert_int_equal(t.finished, 1);
	assert_int_equal(t.failed, 0);
	first = t.job.endpoint.issuance.wait_ms;
	assert_in_range(first, clock_wall_ms() + 2 * CLOCK_HOUR_MS - 10000,
		clock_wall_ms() + 2 * CLOCK_HOUR_MS + 1000);
	begin("b", "b.example.org");
	reserve();
	assert_int_equal(
		t.job.endpoint.issuance.wait_ms, first + CLOCK_HOUR_MS); /* a turn of its own */
	snprintf(vague.detail, sizeof vague.detail, "Service busy; retry later.");
	end(&r, &vague);
	assert_false(issue_quota_refused(&t.s, &r));
}

static void a_compromised_key_waits_an_hour_at_most(void **state)
{
	(void)state;
	begin("a", "a.example.com");
	reserve();
	begin("b", "b.example.com");
	t.s.intent = INTENT_REVOKE;
	t.job.endpoint.config.revoke_reason = 1;
	t.job.endpoint.config.revoke_asked_ms = clock_wall_ms();
	reserve();
	assert_int_equal(t.job.endpoint.issuance.wait_ms,
		t.job.endpoint.config.revoke_asked_ms + CLOCK_HOUR_MS + 1);
}

static void without_the_ledger_no_order_is_placed(void **state)
{
	(void)state;
	begin("a", "a.example.com");
	redis_server_stop(t.server);
	t.server = NULL;
	reserve();
	assert_int_equal(t.placed, 0);
	assert_int_equal(t.failed, 1);
	assert_string_equal(t.code, "redis");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_crashed_is_not_charged_again),
		TEST(an_order_that_never_was_costs_nothing),
		TEST(a_resumed_order_is_charged_once),
		TEST(the_ca_corrects_the_ledger),
		TEST(a_compromised_key_waits_an_hour_at_most),
		TEST(without_the_ledger_no_order_is_placed),
	};

	return cmocka_run_group_tests_name("issue_quota", tests, NULL, NULL);
}

/* The command line on a fleet in a real Redis: what is said, and the exit status. */
#include "scheduler/cli/cli.h"

#include "common/clock.h"
#include "common/event.h"
#include "common/mem.h"
#include "common/mp.h"
#include "tests/unit/scheduler/cli/fleet_aid.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* Usage */

static void wrong_usage(struct fleet_aid *f, int status, const char *said)
{
	assert_int_equal(status, CLI_USAGE);
	assert_string_equal(f->out, "");
	fleet_aid_contains(f->err, said);
}

static void usage(void **state)
{
	struct fleet_aid *f = *state;

	wrong_usage(f, FLEET_RUN("endpont", "list"),
		"certfleet: unknown command \"endpont\". Did you mean \"endpoint\"?\n");
	wrong_usage(f, FLEET_RUN("jobs", "lst"), "Did you mean \"jobs list\"?");
	wrong_usage(f, FLEET_RUN("jobs"), "\"jobs\" needs a second word");
	wrong_usage(f, FLEET_RUN("endpoint", "list", "--sate", "x"),
		"unknown option --sate. Did you mean --state?");
	wrong_usage(f, FLEET_RUN("endpoint", "list", "--state"),
		"--state needs a value: --state STATE");
	wrong_usage(f, FLEET_RUN("endpoint", "list", "--state", "bad"),
		"--state: expected one of active, waiting_dns");
	wrong_usage(f, FLEET_RUN("endpoint", "list", "--limit", "-1"),
		"--limit: expected a whole number");
	wrong_usage(f, FLEET_RUN("endpoint", "wait", "x", "--timeout", "60x"),
		"expected a duration such as 45s");
	wrong_usage(f, FLEET_RUN("endpoint", "add", "x.example.com"), "--type TYPE is missing");
	wrong_usage(f, FLEET_RUN("endpoint", "show"),
		"ID... is missing\n  Usage: certfleet endpoint show ID...");
	wrong_usage(f, FLEET_RUN("status", "x"), "\"x\" is too much");
	wrong_usage(f, FLEET_RUN("endpoint", "list", "--tenant", "a", "--tenant=b"),
		"--tenant is given twice");
	wrong_usage(f, FLEET_RUN("status", "--check=1"), "--check takes no value");
	wrong_usage(f, FLEET_RUN("endpoint", "wait"), "which endpoint?");
}

static void help_for_each_command(void **state)
{
	struct fleet_aid *f = *state;

	for (const struct cli_command *c = cli_commands; c->name != NULL; c++) {
		char first[32];
		char *second = strchr(c->name, ' ');
		snprintf(first, sizeof first, "%.*s", (int)strcspn(c->name, " "), c->name);
		assert_int_equal(FLEET_RUN("help", first, second ? second + 1 : NULL), CLI_DONE);
		fleet_aid_contains(f->out, c->brief);
		assert_true(strlen(c->brief) <= 58); /* what the list has at 80 columns */
		fleet_aid_contains(f->out, "Usage\n  certfleet ");
		fleet_aid_contains(f->out, "Exit status\n  0 ");
		assert_string_equal(f->err, "");
		for (const struct cli_option *o = c->options; o != NULL && o->name != NULL; o++)
			fleet_aid_contains(f->out, o->name);
	}
	assert_int_equal(FLEET_RUN("records", "--help"), CLI_DONE);
	fleet_aid_contains(f->out, "--zone");
	assert_int_equal(FLEET_RUN("help"), CLI_DONE);
	fleet_aid_contains(f->out, "endpoint import     add thousands");
	assert_int_equal(FLEET_RUN("--version"), CLI_DONE);
	assert_true(strncmp(f->out, "certfleet ", 10) == 0);
}

static void completes_each_command_and_option(void **state)
{
	struct fleet_aid *f = *state;

	for (const struct cli_command *c = cli_commands; c->name != NULL; c++) {
		char first[32];
		char *second = strchr(c->name, ' ');
		snprintf(first, sizeof first, "%.*s", (int)strcspn(c->name, " "), c->name);
		assert_int_equal(FLEET_RUN("completion", "words", "--", first,
					 second ? second + 1 : "--", second ? "--" : NULL),
			CLI_DONE);
		for (const struct cli_option *o = c->options; o != NULL && o->name != NULL; o++)
			fleet_aid_contains(f->out, o->name);
		fleet_aid_contains(f->out, "--json\t");
	}
	assert_int_equal(
		FLEET_RUN("completion", "words", "--", "endpoint", "show", "--", ""), CLI_DONE);
	assert_int_equal(FLEET_RUN("completion", "words"), CLI_DONE);
	assert_int_equal(FLEET_RUN("completion", "words", "--", "--", "=", "-", "x"), CLI_DONE);
	assert_int_equal(FLEET_RUN("completion", "tcsh"), CLI_USAGE);
}

static void manual_pages(void **state)
{
	struct fleet_aid *f = *state;

	assert_int_equal(FLEET_RUN("manual", "--date", "2026-01-02"), CLI_DONE);
	fleet_aid_contains(f->out, ".TH CERTFLEET 1 \"2026");
	for (const struct cli_command *c = cli_commands; c->name != NULL; c++)
		fleet_aid_contains(f->out, c->name);
	assert_int_equal(FLEET_RUN("manual", "certfleet.yaml.5"), CLI_DONE);
	fleet_aid_contains(f->out, "authorities[].directory");
	assert_int_equal(FLEET_RUN("manual", "certfleet-worker.8"), CLI_DONE);
	assert_int_equal(FLEET_RUN("manual", "nothing.1"), CLI_USAGE);
	assert_int_equal(FLEET_RUN("audit", "--watch"), CLI_USAGE);
}

/* Reading */

static void empty_fleet_says_what_to_do(void **state)
{
	struct fleet_aid *f = *state;

	assert_int_equal(FLEET_RUN("endpoint", "list"), CLI_DONE);
	assert_string_equal(f->out, "");
	fleet_aid_contains(f->err, "certfleet endpoint add shop.example.com");
	assert_int_equal(FLEET_RUN("--json", "endpoint", "list"), CLI_DONE);
	assert_string_equal(f->out, "{\"endpoints\":[]}\n");
	assert_int_equal(FLEET_RUN("alerts"), CLI_DONE);
	assert_string_equal(f->err, "No alert is open.\n");
	assert_int_equal(FLEET_RUN("workers"), CLI_DONE);
	fleet_aid_contains(f->err, "certfleet-worker -c ");
	assert_int_equal(FLEET_RUN("status", "--check"), CLI_NOT_YET);
	fleet_aid_contains(f->out, "leader      none: no certfleet-scheduler runs\n");
	assert_int_equal(FLEET_RUN("results"), CLI_DONE);
	assert_int_equal(FLEET_RUN("jobs", "list"), CLI_DONE);
	fleet_aid_contains(f->err, "No job runs");
	assert_int_equal(FLEET_RUN("audit"), CLI_DONE);
	fleet_aid_contains(f->out, "0 endpoints looked at");
}

static void many_endpoints_come_in_pages(void **state)
{
	struct fleet_aid *f = *state;
	size_t lines = 0;

	for (int i = 0; i < 450; i++) {
		char id[32];
		snprintf(id, sizeof id, "n%03d.example.com", i);
		fleet_aid_endpoint(f, id, i % 2 ? "odd" : "even");
	}
	assert_int_equal(FLEET_RUN("endpoint", "list"), CLI_DONE);
	for (const char *p = f->out; *p; p++)
		lines += *p == '\n';
	assert_int_equal(lines, 451);
	assert_int_equal(FLEET_RUN("--json", "endpoint", "list", "--tenant", "odd", "--limit", "3"),
		CLI_DONE);
	json_t *j = json_loads(f->out, 0, NULL);
	const json_t *list = json_object_get(j, "endpoints");
	assert_int_equal(json_array_size(list), 3);
	const json_t *first = json_array_get(list, 0);
	assert_string_equal(json_string_value(json_object_get(first, "id")), "n001.example.com");
	assert_int_equal(FLEET_RUN("endpoint", "list", "n44"), CLI_DONE);
	fleet_aid_contains(f->out, "n449.example.com");
	assert_null(strstr(f->out, "n399.example.com"));
	assert_int_equal(FLEET_RUN("endpoint", "list", "--state", "parked"), CLI_DONE);
	fleet_aid_contains(f->err, "None of the 450 endpoints fits.");
	list = json_object_get(first, "reason");
	assert_int_equal(FLEET_RUN("endpoint", "list", "n44", "--reason", json_string_value(list)),
		CLI_DONE);
	fleet_aid_contains(f->out, "n449.example.com");
	assert_int_equal(FLEET_RUN("endpoint", "list", "--reason", "record_missing"), CLI_DONE);
	fleet_aid_contains(f->err, "None of the 450 endpoints fits.");
	assert_int_equal(FLEET_RUN("endpoint", "list", "--authority", "nobody"), CLI_DONE);
	fleet_aid_contains(f->err, "None of the 450 endpoints fits.");
	json_decref(j);
}

static void unknown_endpoint(void **state)
{
	struct fleet_aid *f = *state;

	fleet_aid_endpoint(f, "shop.example.com", "acme");
	assert_int_equal(FLEET_RUN("endpoint", "show", "shop"), CLI_FAILED);
	fleet_aid_contains(f->err,
		"there is no endpoint \"shop\" in fleet test\n  Similar ones: shop.example.com\n");
	assert_int_equal(FLEET_RUN("certificate", "show", "SHOP"), CLI_FAILED);
	assert_int_equal(FLEET_RUN("records", "nothing"), CLI_FAILED);
	fleet_aid_contains(f->err, "\"certfleet endpoint list\" shows those that there are.");
}

static void records_and_their_check(void **state)
{
	struct fleet_aid *f = *state;

	fleet_aid_endpoint(f, "wiki.example.com", "acme");
	assert_int_equal(FLEET_RUN("records", "wiki.example.com"), CLI_DONE);
	fleet_aid_contains(f->out, "_acme-challenge.wiki.example.com  CNAME  ");
	fleet_aid_contains(f->out, ".acme.platform.example  not looked at\n");
	assert_int_equal(FLEET_RUN("records", "wiki.example.com", "--check"), CLI_NOT_YET);
	assert_int_equal(FLEET_RUN("records", "wiki.example.com", "--zone"), CLI_DONE);
	fleet_aid_contains(f->out, "_acme-challenge.wiki.example.com. IN CNAME ");
	assert_int_equal(FLEET_RUN("--json", "records", "wiki.example.com"), CLI_DONE);
	json_t *j = json_loads(f->out, 0, NULL);
	assert_int_equal(json_array_size(json_object_get(j, "records")), 1);
	json_decref(j);
}

static void unreadable_records_are_told(void **state)
{
	struct fleet_aid *f = *state;

	fleet_aid_endpoint(f, "a.example.com", "acme");
	fleet_aid_endpoint(f, "b.example.com", "acme");
	fleet_aid_field(f, "a.example.com", "c", "\x01", 1);
	assert_int_equal(FLEET_RUN("endpoint", "list"), CLI_DONE);
	fleet_aid_contains(f->out, "b.example.com");
	fleet_aid_contains(f->err, "endpoint a.example.com cannot be read: ");
	assert_int_equal(FLEET_RUN("endpoint", "show", "a.example.com"), CLI_FAILED);
}

static void redis_and_config_that_are_not_there(void **state)
{
	struct fleet_aid *f = *state;

	redis_server_kill(f->server);
	assert_int_equal(FLEET_RUN("endpoint", "list"), CLI_FAILED);
	fleet_aid_contains(f->err, "Connection refused");
	fleet_aid_contains(f->err, "Is Redis running and reachable from here?");
	redis_server_restart(f->server);
	assert_int_equal(FLEET_RUN("-c", "/nonexistent.yaml", "status"), CLI_USAGE);
	fleet_aid_contains(f->err, "--config is given twice");
	FILE *file = fopen(f->config, "ae");
	fputs("flet: x\n", file);
	fclose(file);
	assert_int_equal(FLEET_RUN("config", "check"), CLI_FAILED);
	fleet_aid_contains(f->err, "certfleet.yaml:13:1: unknown key \"flet\"");
}

static void redis_that_does_not_answer(void **state)
{
	struct fleet_aid *f = *state;

	fleet_aid_endpoint(f, "a.example.com", "acme");
	redis_server_pause(f->server);
	assert_int_equal(FLEET_RUN("endpoint", "list"), CLI_FAILED);
	fleet_aid_contains(f->err, "did not answer in time");
	redis_server_resume(f->server);
	assert_int_equal(FLEET_RUN("endpoint", "list"), CLI_DONE);
}

/* Requests: a thread answers as a scheduler would */

struct answerer {
	struct fleet_aid *f;
	size_t n;           /* how many to answer */
	const char *refuse; /* the subject to be refused */
};

static void answer_one(struct redis_sync *r, const struct reply *entry, const struct answerer *a)
{
	_buf_release_ struct buf key = BUF_INIT(500);
	_buf_release_ struct buf data = BUF_INIT(5000);
	const struct reply *fields = reply_at(entry, 1);
	const char *source = "";
	const char *id = "";
	const char *subject = "";

	for (size_t i = 0; i + 1 < reply_len(fields); i += 2) {
		const char *name = reply_str(reply_at(fields, i), NULL);
		const char *value = reply_str(reply_at(fields, i + 1), NULL);
		if (strcmp(name, "source") == 0)
			source = value;
		else if (strcmp(name, "id") == 0)
			id = value;
		else if (strcmp(name, "subject") == 0)
			subject = value;
	}
	bool refused = a->refuse != NULL && strcmp(a->refuse, subject) == 0;
	buf_addf(&key, "cf:{test}:req:%s:%s", source, id);
	size_t map = mp_map_open(&data);
	mp_key_str(&data, "status", refused ? "refused" : "done");
	mp_key_str(&data, "endpoint", refused ? "" : subject);
	mp_key_str(&data, "code", refused ? "exists" : "");
	mp_key_str(&data, "text", refused ? "it is there already" : "");
	mp_key_int(&data, "generation", 1);
	mp_map_close(&data, map);
	const char *argv[] = {"SET", buf_cstr(&key), data.data};
	size_t lens[] = {3, key.len, data.len};
	redis_sync_command(r, NULL, NULL, 3, argv, lens);
}

static void *answer(void *arg)
{
	const struct answerer *a = arg;
	const struct reply *reply;
	struct redis_sync *r = NULL;
	char last[64] = "0-0";

	if (redis_sync_open(&a->f->options, &r, NULL) != 0)
		return NULL;
	for (size_t done = 0; done < a->n;) {
		if (redis_sync_commandv(r, &reply, NULL, "XREAD", "COUNT", "1", "BLOCK", "3000",
			    "STREAMS", "cf:{test}:requests", last, NULL) != 0 ||
			reply_type(reply) == REPLY_NIL)
			break;
		const struct reply *entry = reply_at(reply_at(reply_at(reply, 0), 1), 0);
		snprintf(last, sizeof last, "%s", reply_str(reply_at(entry, 0), NULL));
		answer_one(r, entry, a);
		done++;
	}
	redis_sync_close(r);
	return NULL;
}

static void nobody_answers(void **state)
{
	struct fleet_aid *f = *state;

	assert_int_equal(FLEET_RUN("endpoint", "verify", "a.example.com", "--timeout", "200ms"),
		CLI_NOT_YET);
	fleet_aid_contains(f->err, "no scheduler answered within 200ms: none leads the fleet");
	fleet_aid_contains(f->err, "The request stays queued");
	_mem_free_ char *stream = redis_server_cli(f->server, "XRANGE cf:{test}:requests - +");
	fleet_aid_contains(stream, "endpoint.verify");
	fleet_aid_contains(stream, "application/msgpack");
	fleet_aid_contains(stream, "cli/");
}

static void names_are_checked_before_anything_is_sent(void **state)
{
	struct fleet_aid *f = *state;

	assert_int_equal(
		FLEET_RUN("endpoint", "add", "192.0.2.1", "--type", "internal"), CLI_FAILED);
	fleet_aid_contains(f->err, "192.0.2.1");
	assert_int_equal(
		FLEET_RUN("endpoint", "add", "a.example.com", "--type", "external"), CLI_FAILED);
	fleet_aid_contains(f->err, "target is missing");
	assert_int_equal(FLEET_RUN("endpoint", "add", "a.example.com", "A.example.com", "--type",
				 "internal"),
		CLI_FAILED);
	fleet_aid_contains(f->err, "\"A.example.com\" is named twice");
	assert_int_equal(FLEET_RUN("endpoint", "add", "a.example.com", "--type", "internal",
				 "--authority", "x"),
		CLI_FAILED);
	fleet_aid_contains(
		f->err, "authority \"x\" is not in the configuration, which has: testca");
	assert_int_equal(
		FLEET_RUN("endpoint", "add", "a.example.com", "--type", "internal", "--id", "A b"),
		CLI_FAILED);
	_mem_free_ char *n = redis_server_cli(f->server, "EXISTS cf:{test}:requests");
	assert_string_equal(n, "0");
}

static void import_goes_on_after_a_refusal(void **state)
{
	struct fleet_aid *f = *state;
	struct answerer a = {.f = f, .n = 3, .refuse = "b"};
	_mem_free_ char *path = mem_printf("%s/fleet.yaml", f->folder);
	pthread_t thread;
	FILE *file = fopen(path, "we");

	fputs("endpoints:\n"
	      "  - {id: a, names: [a.example.com], type: internal}\n"
	      "  - {id: b, names: [b.example.com], type: internal}\n"
	      "  - {id: c, names: [not_a_name], type: internal}\n"
	      "  - {id: d, names: [d.example.com], type: internal}\n",
		file);
	fclose(file);
	assert_int_equal(FLEET_RUN("endpoint", "import", "--dry-run", path), CLI_FAILED);
	fleet_aid_contains(f->err, "fleet.yaml:4:5: ");
	fleet_aid_contains(f->err, "3 of 4 endpoints are right; nothing was sent");
	assert_int_equal(pthread_create(&thread, NULL, answer, &a), 0);
	assert_int_equal(FLEET_RUN("endpoint", "import", path), CLI_FAILED);
	pthread_join(thread, NULL);
	fleet_aid_contains(f->out, "2 added, 1 refused, 1 wrong in the file, in ");
	fleet_aid_contains(f->err, "fleet.yaml:3:5: b is refused: it is there already\n");
}

/* Jobs: by the queue's own scripts */

static void script(struct fleet_aid *f, const char *name, size_t n, const char *const *argv)
{
	struct why why = {0};

	if (redis_sync_script(f->redis, NULL, &why, name, n, argv, NULL) != 0)
		fail_msg("%s: %s", name, why.text);
}

static void jobs_are_shown_retried_and_cancelled(void **state)
{
	struct fleet_aid *f = *state;
	_mem_free_ char *later = mem_printf("%lld", (long long)clock_wall_ms() + 3600000);
	const char *plan[] = {"verify", "a.example.com", "0", "2", later, "routine", "0"};
	const char *take[] = {"verify", "w1", "0123456789abcdef0123", "8", "60000", "8", "0", "1"};

	fleet_aid_endpoint(f, "a.example.com", "acme");
	assert_int_equal(FLEET_RUN("jobs", "retry", "a.example.com"), CLI_FAILED);
	fleet_aid_contains(f->err, "has no job that waits or is parked");
	script(f, "ask", ARRAY_LEN(plan), plan);
	assert_int_equal(FLEET_RUN("jobs", "list"), CLI_DONE);
	assert_string_equal(f->out, "");
	assert_int_equal(FLEET_RUN("jobs", "list", "--all"), CLI_DONE);
	fleet_aid_contains(f->out, "a.example.com  verify  due    look  normal  in 59m 59s");
	assert_int_equal(
		FLEET_RUN("jobs", "retry", "a.example.com", "--queue", "verify"), CLI_DONE);
	assert_string_equal(f->out, "a.example.com: its verify job is due now\n");
	assert_int_equal(FLEET_RUN("jobs", "cancel", "a.example.com"), CLI_FAILED);
	fleet_aid_contains(f->err, "no job of a.example.com runs now");

	script(f, "take", ARRAY_LEN(take), take);
	assert_int_equal(FLEET_RUN("jobs", "list", "--where", "running"), CLI_DONE);
	fleet_aid_contains(f->out, "a.example.com  verify  running  look  person");
	fleet_aid_contains(f->out, "w1\n");
	assert_int_equal(FLEET_RUN("jobs", "show", "a.example.com"), CLI_DONE);
	fleet_aid_contains(f->out, "verify: running\n");
	fleet_aid_contains(f->out, "  worker      w1\n");
	assert_int_equal(FLEET_RUN("jobs", "cancel", "a.example.com"), CLI_DONE);
	assert_string_equal(f->out, "a.example.com: w1 is told to stop its verify job\n");
	assert_int_equal(FLEET_RUN("jobs", "retry", "none"), CLI_FAILED);
}

static void status_of_a_fleet_that_works(void **state)
{
	struct fleet_aid *f = *state;
	_mem_free_ char *now = mem_printf("%lld", (long long)clock_wall_ms());
	const char *hold[] = {"hold", "sched:1:abc", "0", "60000"};

	script(f, "leader", ARRAY_LEN(hold), hold);
	fleet_aid_redis(f, "ZADD", "@workers", now, "w1", NULL);
	fleet_aid_redis(f, "HSET", "@w:w1", "verify_running", "3", "verify_slots", "10", "dns01",
		"127.0.0.1:53", "started", now, NULL);
	fleet_aid_redis(f, "ZADD", "@workers", "5", "w0", NULL);
	fleet_aid_endpoint(f, "a.example.com", "acme");
	assert_int_equal(FLEET_RUN("status", "--check"), CLI_DONE);
	fleet_aid_contains(f->out, "leader      sched:1:abc, its lease runs ");
	fleet_aid_contains(f->out, "workers     1 alive, 1 silent\n");
	fleet_aid_contains(f->out, "endpoints   1: 1 provisioning\n");
	assert_int_equal(FLEET_RUN("workers"), CLI_DONE);
	fleet_aid_contains(f->out, "w1      alive");
	fleet_aid_contains(f->out, "3/10");
	fleet_aid_contains(f->out, "w0      silent");
	assert_int_equal(FLEET_RUN("endpoint", "verify", "a.example.com", "--timeout", "100ms"),
		CLI_NOT_YET);
	fleet_aid_contains(f->err, "one leads, but does not get round to it");
	/* No job is recorded for an endpoint that was made by hand, and no claim. */
	assert_int_equal(FLEET_RUN("audit"), CLI_NOT_YET);
	fleet_aid_contains(f->out, "a.example.com  verify");
	fleet_aid_contains(f->out, "2 faults found, 0 repaired");
	assert_int_equal(FLEET_RUN("--json", "audit", "--repair"), CLI_DONE);
	json_t *j = json_loads(f->out, 0, NULL);
	assert_int_equal(json_integer_value(json_object_get(j, "repaired")), 2);
	json_decref(j);
	assert_int_equal(FLEET_RUN("audit"), CLI_DONE);
	fleet_aid_contains(f->out, "all that is needed is planned");
}

static void wait_ends_and_says_why(void **state)
{
	struct fleet_aid *f = *state;

	fleet_aid_endpoint(f, "a.example.com", "acme");
	assert_int_equal(
		FLEET_RUN("endpoint", "wait", "a.example.com", "--timeout", "150ms"), CLI_NOT_YET);
	fleet_aid_contains(f->err, "not yet after ");
	fleet_aid_contains(f->err, "a.example.com is provisioning");
	fleet_aid_certificate(f, "a.example.com", "0a01", clock_wall_ms(), NULL);
	assert_int_equal(FLEET_RUN("endpoint", "wait", "--all"), CLI_DONE);
	fleet_aid_contains(f->err, "a.example.com is active.\n");
	assert_int_equal(FLEET_RUN("endpoint", "wait", "b.example.com"), CLI_FAILED);
	assert_int_equal(
		FLEET_RUN("endpoint", "wait", "b.example.com", "--state", "gone"), CLI_DONE);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, fleet_aid_setup, fleet_aid_teardown)
	const struct CMUnitTest tests[] = {
		TEST(usage),
		TEST(help_for_each_command),
		TEST(completes_each_command_and_option),
		TEST(manual_pages),
		TEST(empty_fleet_says_what_to_do),
		TEST(many_endpoints_come_in_pages),
		TEST(unknown_endpoint),
		TEST(records_and_their_check),
		TEST(unreadable_records_are_told),
		TEST(redis_and_config_that_are_not_there),
		TEST(redis_that_does_not_answer),
		TEST(nobody_answers),
		TEST(names_are_checked_before_anything_is_sent),
		TEST(import_goes_on_after_a_refusal),
		TEST(jobs_are_shown_retried_and_cancelled),
		TEST(status_of_a_fleet_that_works),
		TEST(wait_ends_and_says_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

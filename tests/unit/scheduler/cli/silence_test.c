/* certfleet alerts silence, silences, unsilence, members, enable: on a private Redis. */
#include "common/mem.h"
#include "scheduler/cli/cli.h"
#include "tests/unit/scheduler/cli/fleet_aid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void silences_come_and_go(void **state)
{
	struct fleet_aid *f = *state;
	char id[16];

	assert_int_equal(fleet_aid_run(f, "alerts", "silences", NULL), CLI_DONE);
	fleet_aid_contains(f->err, "Nothing is silenced.");
	assert_int_equal(fleet_aid_run(f, "alerts", "silence", "tenant=acme", "--reason",
				 "they move", "--for", "2h", NULL),
		CLI_DONE);
	fleet_aid_contains(f->out, "0 open alerts");
	snprintf(id, sizeof id, "%.8s", f->out);
	assert_int_equal(fleet_aid_run(f, "alerts", "silences", NULL), CLI_DONE);
	fleet_aid_contains(f->out, id);
	fleet_aid_contains(f->out, "tenant=acme");
	fleet_aid_contains(f->out, "they move");
	assert_int_equal(fleet_aid_run(f, "alerts", "unsilence", id, NULL), CLI_DONE);
	assert_int_equal(fleet_aid_run(f, "alerts", "silences", NULL), CLI_DONE);
	fleet_aid_contains(f->out, "over");
	assert_int_equal(fleet_aid_run(f, "alerts", "unsilence", "none", NULL), CLI_FAILED);
	fleet_aid_contains(f->err, "there is no silence \"none\"");
}

static void what_is_missing_is_said(void **state)
{
	struct fleet_aid *f = *state;

	assert_int_equal(
		fleet_aid_run(f, "alerts", "silence", "a", "--for", "2h", NULL), CLI_USAGE);
	fleet_aid_contains(f->err, "--reason");
	assert_int_equal(
		fleet_aid_run(f, "alerts", "silence", "a", "--reason", "r", NULL), CLI_USAGE);
	fleet_aid_contains(f->err, "--for");
	assert_int_equal(fleet_aid_run(f, "alerts", "quiet", NULL), CLI_USAGE);
	fleet_aid_contains(f->err, "\"quiet\" is too much");
	assert_int_equal(
		fleet_aid_run(f, "alerts", "silence", "a", "--for", "1h", "--reason", "a\nb", NULL),
		CLI_FAILED);
}

static void members_of_an_incident(void **state)
{
	struct fleet_aid *f = *state;
	char key[32];

	for (int i = 0; i < 130; i++) {
		snprintf(key, sizeof key, "e%03d/nxdomain", i);
		fleet_aid_redis(f, "ZADD", "@incident:ns:a.example", "1790000000000", key, NULL);
	}
	assert_int_equal(
		fleet_aid_run(f, "alerts", "members", "incident:ns:a.example", NULL), CLI_DONE);
	fleet_aid_contains(f->out, "e099/nxdomain");
	assert_null(strstr(f->out, "e100/nxdomain"));
	assert_int_equal(
		fleet_aid_run(f, "alerts", "members", "incident:ns:a.example", "-n", "0", NULL),
		CLI_DONE);
	fleet_aid_contains(f->out, "2026-09-21T14:13:20  e129/nxdomain");
	assert_int_equal(
		fleet_aid_run(f, "alerts", "members", "incident:ns:b.example", NULL), CLI_NOT_YET);
	assert_int_equal(fleet_aid_run(f, "alerts", "members", "shop/expiry", NULL), CLI_FAILED);
	fleet_aid_contains(f->err, "is no incident");
}

static void a_target_is_enabled_once(void **state)
{
	struct fleet_aid *f = *state;

	fleet_aid_redis(f, "HSET", "@notify:gone", "hook", "1", NULL);
	assert_int_equal(fleet_aid_run(f, "alerts", "enable", "hook", NULL), CLI_DONE);
	assert_int_equal(fleet_aid_run(f, "alerts", "enable", "hook", NULL), CLI_FAILED);
}

static void runbooks_are_explained(void **state)
{
	struct fleet_aid *f = *state;

	assert_int_equal(fleet_aid_run(f, "explain", "dns_provider", NULL), CLI_DONE);
	fleet_aid_contains(f->out, "the name servers of one DNS provider fail");
	fleet_aid_contains(f->out, "ends: when its name servers answer again");
	assert_int_equal(fleet_aid_run(f, "explain", NULL), CLI_DONE);
	fleet_aid_contains(f->out, "queue_late");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			silences_come_and_go, fleet_aid_setup, fleet_aid_teardown),
		cmocka_unit_test_setup_teardown(
			what_is_missing_is_said, fleet_aid_setup, fleet_aid_teardown),
		cmocka_unit_test_setup_teardown(
			members_of_an_incident, fleet_aid_setup, fleet_aid_teardown),
		cmocka_unit_test_setup_teardown(
			a_target_is_enabled_once, fleet_aid_setup, fleet_aid_teardown),
		cmocka_unit_test_setup_teardown(
			runbooks_are_explained, fleet_aid_setup, fleet_aid_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

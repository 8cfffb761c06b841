/* What findings have in common with those of other zones. */
#include "worker/jobs/conditions.h"
#include "worker/jobs/verify_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct diagnosis found(const char *code, const char *server, const char *other)
{
	struct diagnosis d;

	diagnosis_init(&d, code, "www.shop.example");
	diagnosis_observe(&d, server, "no answer", 0);
	if (other)
		diagnosis_observe(&d, other, "no answer", 0);
	return d;
}

static void name_servers_are_a_cause(void **state)
{
	static const struct {
		const char *code, *server, *other, *cause;
	} rows[] = {
		{"servers_silent", "ns1.provider.example 192.0.2.1", NULL, "ns:provider.example"},
		{"servers_silent", "resolver", "b.ns.zeta.example 192.0.2.1", "ns:zeta.example"},
		{"lame_delegation", "ns.beta.example 192.0.2.1", "ns.alpha.example 192.0.2.2",
			"ns:alpha.example"},
		{"servers_silent", "resolver", NULL, ""},
		{"served_old", "192.0.2.7:443", "192.0.2.3:443", "edge:192.0.2.3:443"},
		{"served_handshake", "[2001:db8::7]:443", NULL, "edge:[2001:db8::7]:443"},
		{"record_missing", "ns1.provider.example 192.0.2.1", NULL, ""},
	};
	char cause[CONDITION_CAUSE_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct diagnosis d = found(rows[i].code, rows[i].server, rows[i].other);

		verify_cause(&d, cause);
		assert_string_equal(cause, rows[i].cause);
	}
}

/* CAA cannot be read because the servers are silent: the same cause. */
static void what_a_resolver_sees_shares_it(void **state)
{
	struct diagnosis d[] = {found("caa_unreadable", "resolver", NULL),
		found("servers_silent", "ns1.provider.example 192.0.2.1", NULL),
		found("record_missing", "resolver", NULL)};
	struct endpoint e = {.has_cert = true, .has_verdict = true};
	struct condition c[CONDITIONS_MAX] = {0};

	(void)state;
	for (size_t i = 0; i < 3; i++)
		d[i].severity = DIAGNOSIS_WARNING;
	e.verdict.diagnoses = d;
	e.verdict.diagnoses_n = 3;
	assert_int_equal(verify_conditions(&e, 1, 2, 0, c), 3);
	assert_string_equal(c[0].cause, "ns:provider.example");
	assert_string_equal(c[1].cause, "ns:provider.example");
	assert_string_equal(c[2].cause, "");
}

static void a_zone_is_the_cause_of_what_it_does_to_all_names(void **state)
{
	static const char *const codes[] = {"dnssec_bogus", "dnssec_ds", "nxdomain"};
	char cause[CONDITION_CAUSE_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
		struct diagnosis d = found(codes[i], "resolver", NULL);

		verify_cause(&d, cause);
		assert_string_equal(cause, "");
		snprintf(d.record, sizeof d.record, "shop.example");
		verify_cause(&d, cause);
		assert_string_equal(cause, "zone:shop.example");
	}
}

/* When a provider is back, a resolver remembers its failure for a while. */
static void what_only_a_resolver_says_waits_to_be_confirmed(void **state)
{
	struct diagnosis d[] = {found("servfail", "resolver", NULL),
		found("servers_silent", "ns1.provider.example 192.0.2.1", NULL)};
	struct endpoint e = {.has_cert = true,
		.has_verdict = true,
		.verdict = {.diagnoses = d, .diagnoses_n = 1}};
	struct condition c[CONDITIONS_MAX] = {0};

	(void)state;
	d[0].severity = d[1].severity = DIAGNOSIS_WARNING;
	d[0].since_ms = 1000;
	assert_int_equal(verify_conditions(&e, 1000, 2000, 300, c), 0);
	assert_int_equal(verify_conditions(&e, 1299, 2000, 300, c), 0);
	assert_int_equal(verify_conditions(&e, 1300, 2000, 300, c), 1);
	e.verdict.diagnoses_n = 2; /* the servers show it as well */
	assert_int_equal(verify_conditions(&e, 1000, 2000, 300, c), 2);
	assert_string_equal(c[0].cause, "ns:provider.example");
}

/* Each of them is an alert when two probes in a row went wrong, and none when it goes right again;
 * what hurts nobody, since dns-01 is open, is none either. */
static void what_a_probe_saw_is_told_when_seen_twice(void **state)
{
	static const char *const codes[] = {"probe_foreign", "probe_redirect", "redirect_slash",
		"probe_refused", "probe_timeout", "aaaa_unreachable"};
	struct name_verdict name = {.name = "www.shop.example", .http01 = VERDICT_UNSURE};

	(void)state;
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
		struct diagnosis d = found(codes[i], "192.0.2.1:80", NULL);
		struct endpoint e = {.has_cert = true,
			.has_verdict = true,
			.verdict = {
				.names = &name, .names_n = 1, .diagnoses = &d, .diagnoses_n = 1}};
		struct condition c[CONDITIONS_MAX] = {0};

		name.dns01 = VERDICT_UNSURE;
		name.probe = (struct probe){.status = PROBE_WRONG, .tries = 1};
		assert_int_equal(verify_conditions(&e, 1, 2, 0, c), 0);
		name.probe.tries = 2;
		assert_int_equal(verify_conditions(&e, 1, 2, 0, c), 1);
		assert_string_equal(c[0].code, codes[i]);
		assert_string_equal(c[0].actor, "owner");
		assert_string_equal(c[0].cause, "");
		d.actor = ACTOR_OPERATOR;
		verify_conditions(&e, 1, 2, 0, c);
		assert_string_equal(c[0].cause, "edge:192.0.2.1:80");
		name.dns01 = VERDICT_CAN;
		assert_int_equal(verify_conditions(&e, 1, 2, 0, c), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(name_servers_are_a_cause),
		cmocka_unit_test(what_a_resolver_sees_shares_it),
		cmocka_unit_test(a_zone_is_the_cause_of_what_it_does_to_all_names),
		cmocka_unit_test(what_only_a_resolver_says_waits_to_be_confirmed),
		cmocka_unit_test(what_a_probe_saw_is_told_when_seen_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

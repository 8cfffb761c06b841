/* From what was seen in DNS to what it means. */
#include "worker/jobs/look.h"

#include "common/label.h"
#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t label_key[LABEL_KEY_BYTES] = {7};
static const char *const zones[] = {"acme.platform.test", "old.platform.test"};

static const char *owner_of_target(void *arg, const char *target)
{
	(void)arg;
	return !strcmp(target, "own.platform.test") ? "t1" : NULL;
}

static struct look_policy policy = {
	.zones = zones, .zones_n = 2, .label_key = label_key, .target_tenant = owner_of_target};

static struct endpoint_config config(enum endpoint_type type, const char *target)
{
	struct endpoint_config c = {.type = type};

	snprintf(c.tenant, sizeof c.tenant, "t1");
	snprintf(c.target, sizeof c.target, "%s", target);
	return c;
}

static void hop(struct look_cname *c, const char *target)
{
	if (!c->hops)
		c->hops = mem_array(LOOK_HOPS_MAX, sizeof *c->hops);
	snprintf(c->hops[c->n++], NAME_SIZE, "%s", target);
	c->end = LOOK_FOUND;
}

static void done(struct look_name *seen)
{
	free(seen->challenge.hops);
	free(seen->traffic.hops);
}

static const char *label_in(const char *tenant, const char *name, const char *zone)
{
	static char out[NAME_SIZE];
	char label[LABEL_SIZE];

	label_make(label_key, tenant, name, label);
	snprintf(out, sizeof out, "%s.%s", label, zone);
	return out;
}

static void right_challenge_can_and_proves(void **state)
{
	struct endpoint_config c = config(ENDPOINT_INTERNAL, "");
	struct look_name seen = {.name = "*.shop.test"};
	struct name_verdict v;

	(void)state;
	hop(&seen.challenge, "hop.shop.test");
	hop(&seen.challenge, label_in("t1", "shop.test", zones[0]));
	look_judge(&c, &policy, &seen, &v);
	assert_int_equal(v.challenge.status, RECORD_RIGHT);
	assert_int_equal(v.dns01, VERDICT_CAN);
	assert_int_equal(v.http01, VERDICT_CANNOT);
	assert_true(v.proven && v.proof_exclusive);
	assert_int_equal(v.traffic.status, RECORD_UNKNOWN);
	done(&seen);
}

static void label_of_an_older_zone_is_still_right(void **state)
{
	struct endpoint_config c = config(ENDPOINT_INTERNAL, "");
	struct look_name seen = {.name = "shop.test"};
	struct name_verdict v;

	(void)state;
	hop(&seen.challenge, label_in("t1", "shop.test", zones[1]));
	look_judge(&c, &policy, &seen, &v);
	assert_int_equal(v.challenge.status, RECORD_RIGHT);
	assert_string_equal(v.challenge.code, "label_old");
	done(&seen);
}

static void another_tenants_label_proves_nothing(void **state)
{
	struct endpoint_config c = config(ENDPOINT_INTERNAL, "");
	struct look_name seen = {.name = "shop.test"};
	struct name_verdict v;

	(void)state;
	hop(&seen.challenge, label_in("t2", "shop.test", zones[0]));
	look_judge(&c, &policy, &seen, &v);
	assert_int_equal(v.challenge.status, RECORD_WRONG);
	assert_string_equal(v.challenge.code, "label_not_yours");
	assert_int_equal(v.dns01, VERDICT_CANNOT);
	assert_false(v.proven);
	done(&seen);
}

static void codes_of_wrong_cnames(void **state)
{
	struct endpoint_config c = config(ENDPOINT_INTERNAL, "");
	char doubled[NAME_SIZE + 16];
	struct name_verdict v;

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct look_name seen = {.name = "shop.test"};

		snprintf(doubled, sizeof doubled, "%s.shop.test",
			label_in("t1", "shop.test", zones[0]));
		hop(&seen.challenge, i == 1 ? doubled : "elsewhere.test");
		seen.challenge.loop = i == 2;
		look_judge(&c, &policy, &seen, &v);
		assert_string_equal(v.challenge.code, i == 0   ? "cname_elsewhere"
						      : i == 1 ? "target_doubled"
							       : "cname_loop");
		done(&seen);
	}
}

static void what_could_not_be_seen_is_unsure(void **state)
{
	static const enum look_end ends[] = {LOOK_SERVFAIL, LOOK_TIMEOUT, LOOK_REFUSED};
	struct endpoint_config c = config(ENDPOINT_EXTERNAL, "ingress.platform.test");
	struct name_verdict v;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct look_name seen = {.name = "shop.test"};

		seen.challenge.end = seen.traffic.end = ends[i];
		look_judge(&c, &policy, &seen, &v);
		assert_int_equal(v.dns01, VERDICT_UNSURE);
		assert_int_equal(v.http01, VERDICT_UNSURE);
		assert_false(v.proven);
	}
}

static void shared_target_is_no_proof_but_txt_and_own_target_are(void **state)
{
	struct name_verdict v;

	(void)state;
	for (int i = 0; i < 4; i++) {
		const char *target = i == 1 ? "own.platform.test" : "ingress.platform.test";
		struct endpoint_config c = config(ENDPOINT_EXTERNAL, target);
		struct look_name seen = {.name = "shop.test", .txt_proof = i == 2};

		seen.challenge.end = LOOK_NXDOMAIN;
		hop(&seen.traffic, target);
		policy.trust_target_cname = i == 3;
		look_judge(&c, &policy, &seen, &v);
		assert_int_equal(v.http01, VERDICT_CAN);
		assert_int_equal(v.proven, i > 0);
		assert_int_equal(v.proof_exclusive, i == 1);
		done(&seen);
	}
	policy.trust_target_cname = false;
}

static void apex_addresses_must_all_reach_the_target(void **state)
{
	struct endpoint_config c = config(ENDPOINT_EXTERNAL, "ingress.platform.test");
	static const char *const codes[] = {"", "addresses_mixed", "addresses_elsewhere"};
	struct name_verdict v;

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct look_name seen = {.name = "shop.test"};

		seen.traffic.end = LOOK_NOTHING;
		seen.own = (struct look_addresses){.end = LOOK_FOUND, .n = i == 1 ? 2 : 1};
		seen.target = (struct look_addresses){.end = LOOK_FOUND, .n = 1};
		snprintf(seen.target.text[0], sizeof seen.target.text[0], "192.0.2.1");
		snprintf(seen.own.text[0], sizeof seen.own.text[0],
			i == 2 ? "192.0.2.9" : "192.0.2.1");
		snprintf(seen.own.text[1], sizeof seen.own.text[1], "192.0.2.9");
		look_judge(&c, &policy, &seen, &v);
		assert_string_equal(v.traffic.code, codes[i]);
		assert_int_equal(v.traffic.status, i == 0 ? RECORD_RIGHT : RECORD_WRONG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(right_challenge_can_and_proves),
		cmocka_unit_test(label_of_an_older_zone_is_still_right),
		cmocka_unit_test(another_tenants_label_proves_nothing),
		cmocka_unit_test(codes_of_wrong_cnames),
		cmocka_unit_test(what_could_not_be_seen_is_unsure),
		cmocka_unit_test(shared_target_is_no_proof_but_txt_and_own_target_are),
		cmocka_unit_test(apex_addresses_must_all_reach_the_target),
	};

	return cmocka_run_group_tests_name("look", tests, NULL, NULL);
}

/* The endpoint's records: written and read back, refused when not ours; readiness, state, records
 * to create. */
#include "common/clock.h"
#include "common/endpoint.h"
#include "common/label.h"
#include "common/mem.h"
#include "common/mp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOW INT64_C(1800000000000)

static void add_names(struct endpoint_config *c, size_t n, const char *const *names)
{
	c->names = mem_array(n, sizeof *c->names);
	c->names_n = n;
	for (size_t i = 0; i < n; i++)
		snprintf(c->names[i], NAME_SIZE, "%s", names[i]);
}

static void make(struct endpoint *e, enum endpoint_type type)
{
	static const char *const names[] = {
		"b.example.com", "*.example.com", "example.com", "example.com"};

	*e = (struct endpoint){.generation = 3};
	snprintf(e->config.id, sizeof e->config.id, "shop.example.com");
	snprintf(e->config.tenant, sizeof e->config.tenant, "t1");
	snprintf(e->config.target, sizeof e->config.target, "ingress.platform.test");
	e->config.type = type;
	e->config.key_type = KEY_P384;
	e->config.created_ms = NOW;
	add_names(&e->config, 4, names);
	assert_int_equal(endpoint_config_check(&e->config, NULL), 0);
}

static void config_comes_back(void **state)
{
	_buf_release_ struct buf b = BUF_INIT(4096);
	struct endpoint_config back;
	struct endpoint e;

	(void)state;
	make(&e, ENDPOINT_EXTERNAL);
	e.config.removing = true;
	e.config.revoke_reason = 4;
	assert_int_equal(e.config.names_n, 3); /* sorted, doubles gone */
	assert_string_equal(e.config.names[0], "*.example.com");
	assert_int_equal(endpoint_config_encode(&e.config, &b), 0);
	assert_int_equal(endpoint_config_decode(b.data, b.len, &back, NULL), 0);
	assert_string_equal(back.id, e.config.id);
	assert_string_equal(back.target, e.config.target);
	assert_int_equal(back.key_type, KEY_P384);
	assert_int_equal(back.names_n, 3);
	assert_string_equal(back.names[2], "example.com");
	assert_true(back.removing);
	assert_int_equal(back.revoke_reason, 4);
	endpoint_config_release(&back);
	endpoint_release(&e);
}

static void damaged_records_are_refused_whole(void **state)
{
	_buf_release_ struct buf b = BUF_INIT(4096);
	_buf_release_ struct buf newer = BUF_INIT(64);
	struct endpoint_config back = {.names_n = 77};
	struct why why = {""};
	struct endpoint e;
	size_t map;

	(void)state;
	make(&e, ENDPOINT_EXTERNAL);
	assert_int_equal(endpoint_config_encode(&e.config, &b), 0);
	for (size_t cut = 0; cut < b.len; cut++)
		assert_int_not_equal(endpoint_config_decode(b.data, cut, &back, NULL), 0);
	assert_int_equal(back.names_n, 77);
	map = mp_map_open(&newer);
	mp_key_int(&newer, "V", 9);
	mp_map_close(&newer, map);
	assert_int_equal(endpoint_config_decode(newer.data, newer.len, &back, &why), CF_EVERSION);
	assert_non_null(strstr(why.text, "version 9"));
	endpoint_release(&e);
}

static void verdict_certificate_and_issuance_come_back(void **state)
{
	_buf_release_ struct buf v = BUF_INIT(4096), x = BUF_INIT(4096), i = BUF_INIT(4096),
				 c = BUF_INIT(4096);
	struct endpoint e, back;
	struct endpoint_field f[ENDPOINT_FIELDS_N] = {{0}};

	(void)state;
	make(&e, ENDPOINT_EXTERNAL);
	e.verdict.names = mem_array(3, sizeof *e.verdict.names);
	e.verdict.names_n = 3;
	e.verdict.looked_ms = NOW;
	snprintf(e.verdict.names[1].name, NAME_SIZE, "b.example.com");
	snprintf(e.verdict.names[1].challenge.code, ENDPOINT_CODE_MAX, "record_missing");
	e.verdict.names[1].challenge.status = RECORD_MISSING;
	e.verdict.names[1].dns01 = VERDICT_CANNOT;
	e.verdict.names[1].probe =
		(struct probe){.status = PROBE_WRONG, .tries = 3, .looked_ms = NOW - 9};
	e.verdict.served = (struct served){SERVED_STALE, 1, 3,
		.behind = {{"192.0.2.7:443", "served_old", "serial 0abb"},
			{"[2001:db8::7]:443", "unreachable", ""}},
		.behind_n = 2, .tries = 2, .looked_ms = NOW - 7, .serial = "0abc", .proven = "0abb",
		.why = "no_worker"};
	e.cert.der = mem_dup("\0der", 4);
	e.cert.der_len = 4;
	snprintf(e.cert.serial, sizeof e.cert.serial, "0a0b");
	e.cert.not_after_ms = NOW + 1;
	e.cert.wanted = endpoint_wanted(&e.config);
	e.issuance.failures = 2;
	snprintf(e.issuance.detail, sizeof e.issuance.detail, "no TXT record found");
	e.issuance.wait_ms = NOW + 5;
	e.issuance.wait_wanted = e.cert.wanted;
	snprintf(e.issuance.wait, sizeof e.issuance.wait, "ca allows 3 new orders in 1h");
	endpoint_config_encode(&e.config, &c);
	endpoint_verdict_encode(&e.verdict, &v);
	endpoint_cert_encode(&e.cert, &x);
	endpoint_issuance_encode(&e.issuance, &i);
	f[0] = (struct endpoint_field){c.data, c.len};
	f[1] = (struct endpoint_field){"12", 2};
	f[2] = (struct endpoint_field){v.data, v.len};
	f[3] = (struct endpoint_field){x.data, x.len};
	f[4] = (struct endpoint_field){i.data, i.len};
	assert_int_equal(endpoint_decode(f, &back, NULL), 0);
	assert_int_equal(back.generation, 12);
	assert_int_equal(
		endpoint_verdict_of(&back.verdict, "b.example.com")->dns01, VERDICT_CANNOT);
	assert_int_equal(back.cert.der_len, 4);
	assert_memory_equal(back.cert.der, "\0der", 4);
	assert_true(back.cert.wanted == e.cert.wanted);
	assert_int_equal(back.issuance.failures, 2);
	assert_int_equal(back.verdict.names[1].probe.status, PROBE_WRONG);
	assert_int_equal(back.verdict.names[1].probe.tries, 3);
	assert_true(back.verdict.names[1].probe.looked_ms == NOW - 9);
	assert_int_equal(back.verdict.names[0].probe.looked_ms, 0);
	assert_int_equal(back.verdict.served.status, SERVED_STALE);
	assert_int_equal(back.verdict.served.right, 1);
	assert_int_equal(back.verdict.served.addresses, 3);
	assert_int_equal(back.verdict.served.tries, 2);
	assert_true(back.verdict.served.looked_ms == NOW - 7);
	assert_string_equal(back.verdict.served.serial, "0abc");
	assert_string_equal(back.verdict.served.proven, "0abb");
	assert_string_equal(back.verdict.served.why, "no_worker");
	assert_int_equal(back.verdict.served.behind_n, 2);
	assert_string_equal(back.verdict.served.behind[0].at, "192.0.2.7:443");
	assert_string_equal(back.verdict.served.behind[0].code, "served_old");
	assert_string_equal(back.verdict.served.behind[0].what, "serial 0abb");
	assert_string_equal(back.verdict.served.behind[1].code, "unreachable");
	assert_string_equal(back.issuance.detail, "no TXT record found");
	assert_int_equal(endpoint_quota_ticket(&back), NOW + 5);
	assert_string_equal(back.issuance.wait, "ca allows 3 new orders in 1h");
	endpoint_release(&back);
	f[3].len = 3; /* one damaged field: nothing is given out */
	assert_int_not_equal(endpoint_decode(f, &back, NULL), 0);
	f[0].bytes = NULL;
	assert_int_equal(endpoint_decode(f, &back, NULL), CF_ENOTFOUND);
	endpoint_release(&e);
}

static void covered_names_are_left_out_of_the_order(void **state)
{
	const char *names[ENDPOINT_NAMES_MAX];
	struct endpoint e;

	(void)state;
	make(&e, ENDPOINT_EXTERNAL);
	assert_int_equal(endpoint_order_names(&e.config, names), 2);
	assert_string_equal(names[0], "*.example.com");
	assert_string_equal(names[1], "example.com");
	endpoint_release(&e);
}

static void two_records_for_external_one_for_internal(void **state)
{
	static const uint8_t key[32] = {1};
	struct owner_record *r;
	struct endpoint e;
	size_t n;

	(void)state;
	make(&e, ENDPOINT_EXTERNAL);
	n = endpoint_records(&e, key, "acme.platform.test", &r);
	/* three traffic records; *.example.com and example.com share their challenge */
	assert_int_equal(n, 5);
	assert_string_equal(r[0].owner, "*.example.com");
	assert_string_equal(r[0].target, "ingress.platform.test");
	assert_string_equal(r[1].owner, "_acme-challenge.example.com");
	assert_int_equal(strlen(r[1].target), LABEL_LEN + 1 + strlen("acme.platform.test"));
	free(r);
	e.config.type = ENDPOINT_INTERNAL;
	n = endpoint_records(&e, key, "acme.platform.test", &r);
	assert_int_equal(n, 2);
	assert_true(r[0].challenge && r[1].challenge);
	free(r);
	endpoint_release(&e);
}

static void bad_configs_are_refused_with_the_rule(void **state)
{
	struct why why = {""};
	struct endpoint e;

	(void)state;
	make(&e, ENDPOINT_EXTERNAL);
	e.config.target[0] = '\0';
	assert_int_equal(endpoint_config_check(&e.config, &why), CF_EINVAL);
	assert_non_null(strstr(why.text, "has no target"));
	snprintf(e.config.id, sizeof e.config.id, "Shop");
	assert_int_equal(endpoint_config_check(&e.config, &why), CF_EINVAL);
	assert_non_null(strstr(why.text, "\"Shop\""));
	snprintf(e.config.target, sizeof e.config.target, "i.example.net");
	snprintf(e.config.id, sizeof e.config.id, "fleet"); /* its alerts would be the fleet's */
	assert_int_equal(endpoint_config_check(&e.config, &why), CF_EINVAL);
	assert_non_null(strstr(why.text, "the whole fleet"));
	snprintf(e.config.id, sizeof e.config.id, "fleet-1");
	assert_int_equal(endpoint_config_check(&e.config, &why), 0);
	endpoint_release(&e);
}

static void states_by_precedence(void **state)
{
	char code[ENDPOINT_CODE_MAX + 1];
	struct endpoint e;

	(void)state;
	make(&e, ENDPOINT_INTERNAL);
	assert_int_equal(endpoint_state_of(&e, NOW, code), STATE_PROVISIONING);
	assert_string_equal(code, "not_looked_at");
	e.has_verdict = true;
	e.verdict.generation = e.generation;
	assert_int_equal(endpoint_state_of(&e, NOW, code), STATE_WAITING_DNS);
	e.has_cert = true;
	e.cert.not_after_ms = NOW + 1;
	e.issuance.wait_ms = NOW + 1;
	e.issuance.wait_wanted = endpoint_wanted(&e.config);
	assert_int_equal(endpoint_state_of(&e, NOW, code), STATE_ACTIVE);
	assert_string_equal(code, "waiting_quota");
	e.issuance.wait_wanted++; /* given for another config */
	assert_int_equal(endpoint_state_of(&e, NOW, code), STATE_ACTIVE);
	assert_string_equal(code, "");
	e.issuance.failures = 1;
	assert_int_equal(endpoint_state_of(&e, NOW, code), STATE_FAILING);
	assert_int_equal(endpoint_state_of(&e, NOW + 1, code), STATE_EXPIRED);
	e.jobs[QUEUE_ISSUE].where = JOB_PARKED;
	assert_int_equal(endpoint_state_of(&e, NOW, code), STATE_PARKED);
	e.config.removing = true;
	assert_int_equal(endpoint_state_of(&e, NOW, code), STATE_REMOVING);
	endpoint_release(&e);
}

static void job_records_of_the_scripts_are_read(void **state)
{
	_buf_release_ struct buf b = BUF_INIT(1024);
	struct job_record j;
	size_t a = mp_array_open(&b);

	(void)state;
	for (int i = 0; i < 8; i++)
		mp_int(&b, i == 0 ? JOB_RUNNING : i == 2 ? LANE_URGENT : i == 3 ? INTENT_RENEW : i);
	mp_str(&b, "t123");
	mp_str(&b, "worker-1");
	mp_int(&b, NOW);
	mp_str(&b, "ari");
	mp_str(&b, "more than we know");
	mp_array_close(&b, a);
	assert_int_equal(job_record_decode(b.data, b.len, &j, NULL), 0);
	assert_int_equal(j.where, JOB_RUNNING);
	assert_int_equal(j.lane, LANE_URGENT);
	assert_int_equal(j.intent, INTENT_RENEW);
	assert_int_equal(j.lapses, 5);
	assert_string_equal(j.worker, "worker-1");
	assert_string_equal(j.why, "ari");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(config_comes_back),
		cmocka_unit_test(damaged_records_are_refused_whole),
		cmocka_unit_test(verdict_certificate_and_issuance_come_back),
		cmocka_unit_test(covered_names_are_left_out_of_the_order),
		cmocka_unit_test(two_records_for_external_one_for_internal),
		cmocka_unit_test(bad_configs_are_refused_with_the_rule),
		cmocka_unit_test(states_by_precedence),
		cmocka_unit_test(job_records_of_the_scripts_are_read),
	};

	return cmocka_run_group_tests_name("endpoint", tests, NULL, NULL);
}

#include "common/mem.h"
#include "common/mp.h"
#include "scheduler/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOW INT64_C(1800000000000)

static const char *const authorities[] = {"letsencrypt", "other"};
static const char *const zones[] = {"acme.platform.example"};
static const struct request_policy policy = {
	.authorities = authorities,
	.authorities_n = 2,
	.zones = zones,
	.zones_n = 1,
	.needs = {.verify_every_ms = 3600000, .verify_fast_ms = 5000},
};

/* "id=shop names=a.example.com,b.example.com type=external": words to a msgpack map. */
static void pack_words(const char *words, struct buf *out)
{
	_mem_free_ char *copy = mem_strdup(words);
	size_t map = mp_map_open(out);

	for (char *save = NULL, *w = strtok_r(copy, " ", &save); w;
		w = strtok_r(NULL, " ", &save)) {
		char *value = strchr(w, '=');

		*value++ = 0;
		if (strcmp(w, "generation") == 0) {
			mp_key_int(out, w, atoi(value));
			continue;
		}
		if (strcmp(w, "names") != 0) {
			mp_key_str(out, w, value);
			continue;
		}
		mp_key(out, w);
		size_t names = mp_array_open(out);
		for (char *more = NULL, *n = strtok_r(value, ",", &more); n;
			n = strtok_r(NULL, ",", &more))
			mp_str(out, n);
		mp_array_close(out, names);
	}
	mp_map_close(out, map);
}

static int parse(const char *type, const char *words, struct request *r, struct request_refusal *no)
{
	_buf_release_ struct buf data = BUF_INIT(1 << 20);
	int err;

	pack_words(words, &data);
	const struct request_field fields[] = {
		{"id", "r-1", 3},
		{"source", "/test", 5},
		{"type", type, strlen(type)},
		{"specversion", "1.0", 3},
		{"data", data.data, data.len},
	};
	err = request_parse("1-1", fields, ARRAY_LEN(fields), r, no);
	return err;
}

static void must_refuse(const char *type, const char *words, const char *expected)
{
	struct request r;
	struct request_refusal no;

	assert_int_equal(parse(type, words, &r, &no), CF_EINVAL);
	assert_string_equal(no.code, "invalid");
	if (!strstr(no.why.text, expected))
		fail_msg("\"%s\" does not speak of \"%s\"", no.why.text, expected);
	assert_int_equal(r.op, REQUEST_OP_NONE);
	assert_string_equal(r.id, "r-1"); /* the refusal finds its way */
	request_release(&r);
}

static void refuses_bad_data(void **state)
{
	(void)state;
	must_refuse("endpoint.frobnicate", "id=x", "endpoint.frobnicate");
	must_refuse("endpoint.add", "type=external target=i.example.net", "names");
	must_refuse("endpoint.add", "names=shop.example.com target=i.example.net", "type");
	must_refuse("endpoint.add", "names=shop.example.com type=inside", "type");
	must_refuse("endpoint.add", "names=192.0.2.1 type=internal", "192.0.2.1");
	must_refuse("endpoint.add", "names=co.uk type=internal", "co.uk");
	must_refuse("endpoint.add", "names=shop.example.com type=internal id=Bad!", "Bad!");
	must_refuse("endpoint.add", "names=shop.example.com type=internal tenant=_x", "tenant");
	must_refuse(
		"endpoint.add", "names=shop.example.com type=internal key_type=dsa", "key_type");
	must_refuse("endpoint.add", "names=shop.example.com type=external target=not_a_host!",
		"target");
	must_refuse("endpoint.add", "names=shop.example.com type=internal colour=red", "colour");
	must_refuse("endpoint.add", "names=shop.example.com type=internal zone=_x", "zone");
	must_refuse("endpoint.add",
		"names=shop.example.com type=internal zone=a23456789012345678901234567890123",
		"zone");
	must_refuse("endpoint.revoke", "id=shop reason=bored", "reason");
	must_refuse("endpoint.verify", "tenant=acme", "id");
}

static void refuses_bad_envelopes(void **state)
{
	struct request r;
	struct request_refusal no;
	const struct request_field none[] = {{"x", "y", 1}};
	const struct request_field hidden[] = {
		{"source", "~x", 2}, {"id", "1", 1}, {"type", "endpoint.add", 12}};
	const struct request_field blank[] = {
		{"source", "a b", 3}, {"id", "1", 1}, {"type", "endpoint.add", 12}};
	const struct request_field garbage[] = {{"source", "s", 1}, {"id", "1", 1},
		{"type", "endpoint.add", 12}, {"data", "\xc1", 1}};

	(void)state;
	assert_int_equal(request_parse("5-1", none, 1, &r, &no), CF_EINVAL);
	assert_string_equal(r.source, "unknown");
	assert_string_equal(r.id, "5-1");
	assert_int_equal(request_parse("5-2", NULL, 0, &r, &no), CF_EINVAL);
	assert_int_equal(request_parse("5-3", hidden, 3, &r, &no), CF_EINVAL);
	assert_string_equal(r.source, "-x");
	assert_int_equal(request_parse("5-4", blank, 3, &r, &no), CF_EINVAL);
	assert_int_equal(request_parse("5-5", garbage, 4, &r, &no), CF_EINVAL);
	assert_string_equal(r.id, "1");
}

/* common/lua/apply.lua and answer.lua hold the same limits: tests/unit/lua/test_fleet.py. */
static void source_and_id_have_one_limit(void **state)
{
	char text[REQUEST_SOURCE_MAX + 2];
	struct request_field fields[] = {{"source", text, REQUEST_SOURCE_MAX},
		{"id", text, REQUEST_ID_MAX}, {"type", "endpoint.frobnicate", 19}};
	struct request r;
	struct request_refusal no;

	(void)state;
	memset(text, 's', sizeof text);
	assert_int_equal(request_parse("5-1", fields, 3, &r, &no), CF_EINVAL);
	assert_non_null(strstr(no.why.text, "frobnicate")); /* both were taken */
	assert_int_equal(strlen(r.source), REQUEST_SOURCE_MAX);
	assert_int_equal(strlen(r.id), REQUEST_ID_MAX);
	fields[0].value_len++;
	assert_int_equal(request_parse("5-2", fields, 3, &r, &no), CF_EINVAL);
	assert_non_null(strstr(no.why.text, "\"source\" must be 1 to 128"));
	assert_string_equal(r.source, "unknown");
	fields[0].value_len--;
	fields[1].value_len++;
	assert_int_equal(request_parse("5-3", fields, 3, &r, &no), CF_EINVAL);
	assert_non_null(strstr(no.why.text, "\"id\" must be 1 to 128"));
	assert_string_equal(r.id, "5-3");
}

static void reads_an_add(void **state)
{
	struct request r;
	struct request_refusal no;
	char id[ENDPOINT_ID_MAX + 1];

	(void)state;
	assert_int_equal(
		parse("endpoint.add",
			"names=Shop.Example.com.,www.example.com,shop.example.com type=external "
			"target=Ingress.platform.example authority=other key_type=rsa-2048",
			&r, &no),
		0);
	assert_int_equal(r.op, REQUEST_OP_ADD);
	assert_int_equal(r.names_n, 2);
	assert_string_equal(r.names[0], "shop.example.com");
	assert_string_equal(r.endpoint, "shop.example.com");
	assert_false(r.has_endpoint);
	assert_string_equal(r.target, "ingress.platform.example");
	request_endpoint_id(&r, 1, id);
	assert_string_equal(id, "shop.example.com");
	request_endpoint_id(&r, 12, id);
	assert_string_equal(id, "shop.example.com-12");
	request_release(&r);
	assert_int_equal(parse("endpoint.add", "names=*.example.com type=internal", &r, &no), 0);
	assert_string_equal(r.endpoint, "wildcard.example.com");
	request_release(&r);
}

static void cuts_long_ids(void **state)
{
	struct request r = {.op = REQUEST_OP_ADD};
	char id[ENDPOINT_ID_MAX + 1];

	(void)state;
	memset(r.endpoint, 'a', ENDPOINT_ID_MAX);
	request_endpoint_id(&r, 7, id);
	assert_int_equal(strlen(id), ENDPOINT_ID_MAX);
	assert_string_equal(id + ENDPOINT_ID_MAX - 3, "a-7");
}

static void names_the_answer(void **state)
{
	struct request r = {.source = "cli:a%b", .id = "7"};
	char name[REQUEST_ANSWER_NAME_SIZE];

	(void)state;
	assert_string_equal(request_answer_name(&r, name), "req:cli%3Aa%25b:7");
}

/* An endpoint as it is after "endpoint.add" of words. */
static struct endpoint added(const char *words)
{
	struct endpoint e = {.generation = 3};
	struct request_effect f;
	struct request_refusal no;
	struct request r;

	assert_int_equal(parse("endpoint.add", words, &r, &no), 0);
	assert_int_equal(
		request_decide(&r, r.endpoint, NULL, &policy, NOW - 1000, &f, &no), REQUEST_APPLY);
	endpoint_config_copy(&e.config, &f.config);
	request_effect_release(&f);
	request_release(&r);
	return e;
}

static enum request_verdict decide(const char *type, const char *words, const struct endpoint *e,
	struct request_effect *f, struct request_refusal *no)
{
	struct request r;
	enum request_verdict v;

	assert_int_equal(parse(type, words, &r, no), 0);
	v = request_decide(&r, r.endpoint, e, &policy, NOW, f, no);
	request_release(&r);
	return v;
}

static void add_plans_a_look(void **state)
{
	struct request_effect f;
	struct request_refusal no;

	(void)state;
	assert_int_equal(decide("endpoint.add", "names=shop.example.com type=internal tenant=acme",
				 NULL, &f, &no),
		REQUEST_APPLY);
	assert_string_equal(f.op, "add");
	assert_string_equal(f.config.tenant, "acme");
	assert_int_equal(f.added_n, 1);
	assert_int_equal(f.generation, 1);
	assert_true(f.verify.any);
	assert_int_equal(f.verify.lane, LANE_PERSON);
	assert_false(f.issue.any);
	request_effect_release(&f);
}

static void add_refusals(void **state)
{
	struct endpoint e = added("names=shop.example.com type=internal tenant=acme");
	struct request_effect f;
	struct request_refusal no;

	(void)state;
	assert_int_equal(decide("endpoint.add", "names=shop.example.com type=internal tenant=acme",
				 &e, &f, &no),
		REQUEST_REFUSED);
	assert_string_equal(no.code, "exists");
	assert_int_equal(decide("endpoint.add", "names=shop.example.com type=internal tenant=rival",
				 &e, &f, &no),
		REQUEST_TAKEN);
	assert_int_equal(
		decide("endpoint.add", "names=x.example.com type=internal authority=nobody", NULL,
			&f, &no),
		REQUEST_REFUSED);
	assert_string_equal(no.code, "unknown_authority");
	assert_int_equal(decide("endpoint.add", "names=x.example.com type=external", NULL, &f, &no),
		REQUEST_REFUSED);
	assert_string_equal(no.code, "invalid");
	assert_int_equal(
		decide("endpoint.add",
			"names=x.example.com type=external target=i.example.net zone=office", NULL,
			&f, &no),
		REQUEST_REFUSED);
	assert_non_null(strstr(no.why.text, "zone"));
	assert_int_equal(decide("endpoint.add", "names=x.acme.platform.example type=internal", NULL,
				 &f, &no),
		REQUEST_REFUSED);
	assert_non_null(strstr(no.why.text, "challenge zone"));
	endpoint_release(&e);
}

static void update_knows_what_changed(void **state)
{
	struct endpoint e =
		added("id=shop names=a.example.com,b.example.com type=internal tenant=acme");
	struct request_effect f;
	struct request_refusal no;

	(void)state;
	assert_int_equal(
		decide("endpoint.update", "id=shop names=b.example.com,c.example.com", &e, &f, &no),
		REQUEST_APPLY);
	assert_string_equal(f.op, "update");
	assert_true(f.new_generation);
	assert_int_equal(f.generation, 4);
	assert_int_equal(f.added_n, 1);
	assert_string_equal(f.added[0], "c.example.com");
	assert_int_equal(f.dropped_n, 1);
	assert_string_equal(f.dropped[0], "a.example.com");
	assert_true(f.verify.any);
	assert_true(f.issue.any); /* the dropped name is to be released */
	assert_int_equal(f.issue.intent, INTENT_REMOVE);
	request_effect_release(&f);
	assert_int_equal(
		decide("endpoint.update", "id=shop names=b.example.com,a.example.com", &e, &f, &no),
		REQUEST_APPLY);
	assert_string_equal(f.op, "touch");
	assert_false(f.new_generation);
	assert_int_equal(f.generation, 3);
	request_effect_release(&f);
	assert_int_equal(
		decide("endpoint.update", "id=shop tenant=rival", &e, &f, &no), REQUEST_REFUSED);
	endpoint_release(&e);
}

static void a_zone_comes_and_goes(void **state)
{
	struct endpoint e = added("id=shop names=a.example.com type=internal zone=office");
	struct request_effect f;
	struct request_refusal no;

	(void)state;
	assert_string_equal(e.config.zone, "office");
	assert_int_equal(
		decide("endpoint.update", "id=shop zone=office", &e, &f, &no), REQUEST_APPLY);
	assert_false(f.new_generation); /* as it was */
	request_effect_release(&f);
	assert_int_equal(decide("endpoint.update", "id=shop zone=", &e, &f, &no), REQUEST_APPLY);
	assert_true(f.new_generation);
	assert_string_equal(f.config.zone, "");
	request_effect_release(&f);
	endpoint_release(&e);
}

static void what_was_changed_since_is_stale(void **state)
{
	static const char *const types[] = {
		"endpoint.update", "endpoint.remove", "endpoint.verify", "endpoint.renew"};
	struct endpoint e = added("id=shop names=a.example.com type=internal tenant=acme");
	struct request_effect f;
	struct request_refusal no;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		assert_int_equal(
			decide(types[i], "id=shop generation=3", &e, &f, &no), REQUEST_APPLY);
		request_effect_release(&f);
		assert_int_equal(
			decide(types[i], "id=shop generation=2", &e, &f, &no), REQUEST_REFUSED);
		assert_string_equal(no.code, "stale");
		assert_non_null(strstr(no.why.text, "generation is 3, not 2"));
	}
	endpoint_release(&e);
}

static void touches(void **state)
{
	struct endpoint e = added("id=shop names=a.example.com type=internal");
	struct request_effect f;
	struct request_refusal no;

	(void)state;
	assert_int_equal(decide("endpoint.verify", "id=shop", &e, &f, &no), REQUEST_APPLY);
	assert_string_equal(f.op, "touch");
	assert_true(f.verify.any && f.verify.due_ms == NOW);
	assert_false(f.issue.any);
	request_effect_release(&f);
	assert_int_equal(decide("endpoint.revoke", "id=shop", &e, &f, &no), REQUEST_REFUSED);
	assert_string_equal(no.code, "no_certificate");
	e.has_cert = true;
	e.cert.issued_ms = NOW - 5000;
	e.cert.not_after_ms = e.cert.renew_at_ms = NOW + 90 * INT64_C(86400000);
	e.cert.wanted = endpoint_wanted(&e.config);
	assert_int_equal(
		decide("endpoint.revoke", "id=shop reason=superseded", &e, &f, &no), REQUEST_APPLY);
	assert_int_equal(f.config.revoke_reason, 4);
	assert_int_equal(f.issue.intent, INTENT_REVOKE);
	request_effect_release(&f);
	assert_int_equal(decide("endpoint.renew", "id=shop", &e, &f, &no), REQUEST_APPLY);
	assert_int_equal(f.config.renew_asked_ms, NOW);
	assert_int_equal(f.issue.intent, INTENT_RENEW);
	assert_int_equal(f.issue.lane, LANE_PERSON);
	request_effect_release(&f);
	assert_int_equal(
		decide("endpoint.renew", "id=shop tenant=rival", &e, &f, &no), REQUEST_REFUSED);
	assert_string_equal(no.code, "not_found");
	assert_int_equal(decide("endpoint.renew", "id=gone", NULL, &f, &no), REQUEST_REFUSED);
	assert_string_equal(no.code, "not_found");
	endpoint_release(&e);
}

static void removes_once_and_for_all(void **state)
{
	struct endpoint e = added("id=shop names=a.example.com type=internal");
	struct request_effect f;
	struct request_refusal no;

	(void)state;
	assert_int_equal(decide("endpoint.remove", "id=shop", &e, &f, &no), REQUEST_APPLY);
	assert_string_equal(f.op, "remove");
	assert_true(f.config.removing);
	assert_int_equal(f.issue.intent, INTENT_REMOVE);
	assert_false(f.verify.any);
	request_effect_release(&f);
	e.config.removing = true;
	assert_int_equal(decide("endpoint.remove", "id=shop", &e, &f, &no), REQUEST_APPLY);
	request_effect_release(&f);
	assert_int_equal(decide("endpoint.renew", "id=shop", &e, &f, &no), REQUEST_REFUSED);
	assert_string_equal(no.code, "removing");
	assert_int_equal(
		decide("endpoint.add", "id=shop names=a.example.com type=internal", &e, &f, &no),
		REQUEST_REFUSED);
	endpoint_release(&e);
}

static void answers(void **state)
{
	_buf_release_ struct buf b = BUF_INIT(4096);
	struct request r = {.source = "/s", .id = "1", .type = "endpoint.add"};
	struct request_refusal no = {.code = "exists"};
	struct mp_doc doc;
	struct mp root;
	char text[64];

	(void)state;
	assert_int_equal(request_answer(&r, "shop", 2, &no, &b), 0);
	assert_int_equal(mp_open(&doc, b.data, b.len, &root, NULL), 0);
	assert_int_equal(mp_get_text(&root, "status", text, sizeof text), 0);
	assert_string_equal(text, "refused");
	assert_int_equal(mp_get_text(&root, "code", text, sizeof text), 0);
	assert_string_equal(text, "exists");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_bad_data),
		cmocka_unit_test(refuses_bad_envelopes),
		cmocka_unit_test(source_and_id_have_one_limit),
		cmocka_unit_test(reads_an_add),
		cmocka_unit_test(cuts_long_ids),
		cmocka_unit_test(names_the_answer),
		cmocka_unit_test(add_plans_a_look),
		cmocka_unit_test(add_refusals),
		cmocka_unit_test(update_knows_what_changed),
		cmocka_unit_test(a_zone_comes_and_goes),
		cmocka_unit_test(what_was_changed_since_is_stale),
		cmocka_unit_test(touches),
		cmocka_unit_test(removes_once_and_for_all),
		cmocka_unit_test(answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/unit/worker/acme/steps_ca.h"

#include "common/mem.h"
#include "common/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

void ca_setup(struct ca *ca, size_t n, const char *const *names, enum acme_challenge_type first)
{
	struct acme_identifier ids[AUTHZ_MAX];
	struct order_input in = {.names = ids, .n_names = n, .seed = 7};

	*ca = (struct ca){.order_status = "pending",
		.after_finalize = "processing",
		.n = n,
		.body = BUF_INIT(65536)};
	for (size_t i = 0; i < n; i++) {
		bool wild = names[i][0] == '*';

		ids[i] = (struct acme_identifier){.name = names[i], .n_choices = wild ? 1 : 2};
		ids[i].choices[0] = wild ? ACME_DNS_01 : first;
		ids[i].choices[1] = first == ACME_DNS_01 ? ACME_HTTP_01 : ACME_DNS_01;
		ca->authz[i].name = names[i] + (wild ? 2 : 0);
		ca->authz[i].wildcard = wild;
		ca->authz[i].status = "pending";
	}
	order_init(&ca->o, &in);
	ca->o.new_order_url = "https://ca/new";
	ca->o.renewal_info = true;
}

void ca_setup_one(struct ca *ca)
{
	static const char *const names[] = {"a.example"};

	ca_setup(ca, 1, names, ACME_DNS_01);
}

void ca_setup_pair(struct ca *ca)
{
	static const char *const names[] = {"a.example", "*.a.example"};

	ca_setup(ca, 2, names, ACME_DNS_01);
}

void ca_teardown(struct ca *ca)
{
	order_release(&ca->o);
	buf_release(&ca->body);
}

static void ca_say_order(struct ca *ca, struct outcome *out)
{
	buf_clear(&ca->body);
	buf_addf(&ca->body, "{\"status\":\"%s\",\"finalize\":\"https://ca/f\",\"authorizations\":[",
		ca->order_status);
	for (size_t i = 0; i < ca->n; i++)
		buf_addf(&ca->body, "%s\"https://ca/a/%zu\"", i ? "," : "", i);
	buf_adds(&ca->body, "]");
	if (!strcmp(ca->order_status, "valid") && !ca->no_certificate)
		buf_adds(&ca->body, ",\"certificate\":\"https://ca/cert\"");
	if (ca->order_error)
		buf_addf(&ca->body, ",\"error\":%s", ca->order_error);
	buf_adds(&ca->body, "}");
	out->status = 200;
}

static void ca_say_authz(struct ca *ca, size_t i, struct outcome *out)
{
	const char *status =
		strcmp(ca->authz[i].status, "pending") ? ca->authz[i].status : "pending";

	buf_clear(&ca->body);
	buf_addf(&ca->body,
		"{\"status\":\"%s\",\"identifier\":{\"type\":\"dns\",\"value\":\"%s\"},%s"
		"\"expires\":\"2027-01-01T00:00:00Z\",\"challenges\":[",
		status, ca->authz[i].name, ca->authz[i].wildcard ? "\"wildcard\":true," : "");
	/* Case 4: unknown types, also without a token. */
	buf_adds(&ca->body,
		"{\"type\":\"dns-persist-01\",\"url\":\"https://ca/c/p\",\"status\":\"pending\"},");
	if (ca->authz[i].error)
		buf_addf(&ca->body,
			"{\"type\":\"dns-01\",\"url\":\"https://ca/c/%zu/d\",\"token\":\"tokD%zu\","
			"\"status\":\"invalid\",\"error\":%s}",
			i, i, ca->authz[i].error);
	else if (ca->authz[i].challenges)
		buf_adds(&ca->body, ca->authz[i].challenges);
	else
		buf_addf(&ca->body, CA_TWO_TYPES, i, i, "pending", i, i, "pending");
	buf_adds(&ca->body, "]}");
	out->status = 200;
}

void ca_say_problem(struct ca *ca, int status, const char *type, struct outcome *out)
{
	buf_clear(&ca->body);
	buf_addf(&ca->body, "{\"type\":\"" URN "%s\",\"detail\":\"words of the CA\"}", type);
	out->status = status;
}

void ca_answer_post(struct ca *ca, const struct effect *e, struct outcome *out)
{
	size_t i = 0;

	snprintf(ca->last_payload, sizeof(ca->last_payload), "%s", e->payload ? e->payload : "");
	if (!strcmp(e->url, "https://ca/new")) {
		ca->new_orders++;
		ca_say_order(ca, out);
		out->status = 201;
		out->location = "https://ca/o";
	} else if (!strcmp(e->url, "https://ca/o")) {
		if (!strcmp(ca->order_status, "processing"))
			ca->order_status = "valid";
		ca_say_order(ca, out);
	} else if (sscanf(e->url, "https://ca/a/%zu", &i) == 1) {
		if (e->payload) {
			assert_string_equal(e->payload, "{\"status\":\"deactivated\"}");
			ca->deactivated++;
			ca->authz[i].status = "deactivated";
		}
		ca_say_authz(ca, i, out);
	} else if (sscanf(e->url, "https://ca/c/%zu", &i) == 1) {
		assert_string_equal(e->payload, "{}"); /* case 2 */
		if (!ca->answers++)
			ca->both_published = ca->published >= (int)ca->n;
		if (!ca->authz[i].error)
			ca->authz[i].status = "valid";
		else
			ca->authz[i].status = "invalid";
		ca_say_problem(ca, 200, "none", out);
	} else if (!strcmp(e->url, "https://ca/f")) {
		ca->finalizes++;
		ca->order_status = ca->after_finalize;
		ca_say_order(ca, out);
	} else if (!strcmp(e->url, "https://ca/cert")) {
		assert_true(e->pem);
		ca->downloads++;
		buf_clear(&ca->body);
		buf_adds(&ca->body, "PEM");
		out->status = 200;
	} else {
		fail_msg("posted to %s", e->url);
	}
}

static void perform(struct ca *ca, const struct effect *e, struct outcome *out)
{
	switch (e->kind) {
	case EFFECT_POST:
		ca_answer_post(ca, e, out);
		break;
	case EFFECT_MAKE_KEY:
		ca->keys++;
		break;
	case EFFECT_MAKE_CSR:
		buf_clear(&ca->body);
		buf_addf(&ca->body, "CSR%d", ca->keys);
		break;
	case EFFECT_CHECKPOINT:
		ca->barriers += e->barrier;
		break;
	case EFFECT_PUBLISH:
		ca->published++;
		break;
	case EFFECT_UNPUBLISH:
		ca->unpublished++;
		break;
	case EFFECT_VISIBLE:
		ca->visibles++;
		break;
	case EFFECT_WAIT:
		ca->waits++;
		if (e->wait_ms > ca->longest_wait_ms)
			ca->longest_wait_ms = e->wait_ms;
		break;
	case EFFECT_ACCOUNT:
		ca->accounts++;
		break;
	case EFFECT_CHECK:
		assert_string_equal(ca->o.pem, "PEM");
		break;
	case EFFECT_NONE:
	case EFFECT_DONE:
	case EFFECT_FAIL:
		fail();
	}
}

/* One effect of one unit; false if it has none. */
bool ca_turn(struct ca *ca, int unit)
{
	struct outcome out = {0};
	struct effect e;

	if (unit != ORDER_UNIT && order_unwanted(&ca->o, unit)) {
		out.canceled = true;
		order_consume(&ca->o, unit, &out);
		return true;
	}
	order_next(&ca->o, unit, &e);
	if (e.kind == EFFECT_NONE || e.kind == EFFECT_DONE || e.kind == EFFECT_FAIL)
		return false;
	if (ca->twist && ca->twist(ca, &e, &out))
		ca->twisted++;
	else
		perform(ca, &e, &out);
	out.body = buf_cstr(&ca->body);
	out.len = ca->body.len;
	order_consume(&ca->o, unit, &out);
	free((char *)e.payload);
	return true;
}

void ca_run(struct ca *ca)
{
	for (int n = 0; !order_is_over(&ca->o); n++) {
		bool moved = ca_turn(ca, ORDER_UNIT);

		for (int i = 0; ca->o.step == ORDER_AUTHORIZE && i < (int)ca->o.n_authz; i++)
			moved |= ca_turn(ca, i);
		if (!moved)
			fail_msg("stuck at %s", order_step_name(ca->o.step));
		if (n > EFFECTS_MAX)
			fail_msg("runs for ever at %s", order_step_name(ca->o.step));
	}
	assert_int_equal(ca->published, ca->unpublished);
}

void ca_run_well(struct ca *ca)
{
	ca_run(ca);
	if (ca->o.step != ORDER_DONE)
		fail_msg("%s at %s: %s", ca->o.failure->code, ca->o.failure->step,
			ca->o.failure->detail);
}

void ca_run_badly(struct ca *ca, const char *code, enum acme_class class)
{
	ca_run(ca);
	assert_int_equal(ca->o.step, ORDER_FAILED);
	assert_string_equal(ca->o.failure->code, code);
	assert_int_equal(ca->o.failure->class, class);
}

bool ca_posts_to(const struct effect *e, const char *url)
{
	return e->kind == EFFECT_POST && str_starts_with(e->url, url);
}

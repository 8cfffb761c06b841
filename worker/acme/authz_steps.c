/* authz_steps.c - one authorization of an order (RFC 8555 section 7.5), as steps.h draws it. */
#include "worker/acme/steps_internal.h"

#include "common/mem.h"
#include "common/str.h"

#include <stdio.h>
#include <string.h>

enum {
	VISIBLE_TRIES = 40, /* with pauses up to VISIBLE_LIMIT_MS: about three minutes */
	VISIBLE_BASE_MS = 200,
	VISIBLE_LIMIT_MS = 5000,
	PUBLISH_BASE_MS = 200,
	PUBLISH_LIMIT_MS = 2000,
	POLLS_MAX = 1000,
};

struct authz_row {
	void (*next)(const struct order *o, const struct authz *a, struct effect *out);
	void (*consume)(struct order *o, struct authz *a, const struct outcome *outcome);
	uint8_t budget;
	enum unknown_rule unknown;
};

static const struct authz_row rows[AUTHZ_STEPS_N];

const char *authz_step_name(enum authz_step step)
{
#define TEXT(id, name, sentence) [AUTHZ_##id] = (name),
	static const char *const names[] = {AUTHZ_STEPS(TEXT)};
#undef TEXT

	return (size_t)step < AUTHZ_STEPS_N ? names[step] : "unknown";
}

void authz_release(struct authz *a)
{
	free(a->url);
	free(a->name);
	free(a->challenge_url);
	free(a->token);
	*a = (struct authz){.step = AUTHZ_OVER, .end = AUTHZ_LEFT};
}

static void enter(struct authz *a, enum authz_step step)
{
	a->step = step;
	a->fresh = true;
	a->walk = (struct walk){0};
}

/* Decides how it ends, and walks to the end: what was published goes first. */
static void finish(struct authz *a, enum authz_end end)
{
	a->end = end;
	enter(a, a->published ? AUTHZ_UNPUBLISH : AUTHZ_OVER);
}

static void full_name(const struct authz *a, char out[256])
{
	snprintf(out, 256, "%s%.250s", a->wildcard ? "*." : "", a->name ? a->name : "");
}

/* Only these can be ended at the CA: pending ones of an order that will not be resumed. */
static bool may_be_pending(const struct order *o)
{
	return o->failure && !o->failure->resumable && o->status == CA_PENDING;
}

/* Takes f's contents. The order's first failure counts, and abandons the siblings. */
static void authz_fail(struct order *o, struct authz *a, struct acme_failure *f)
{
	bool decided = f->counts_as_failed_authz;

	if (a->name)
		full_name(a, f->failed_name);
	if (a->token)
		snprintf(
			f->failed_type, sizeof(f->failed_type), "%s", acme_challenge_name(a->type));
	a->end = AUTHZ_FAILED;
	order_fail(o, f);
	if (!decided && a->name && may_be_pending(o))
		enter(a, AUTHZ_DEACTIVATE);
	else
		finish(a, AUTHZ_FAILED);
}

void authz_abandon(struct order *o, struct authz *a)
{
	(void)o;
	if (a->end == AUTHZ_RUNS)
		a->abandoned = true;
}

/* Called once nothing of an abandoned one is under way. One that was not read yet may be a valid
 * one, reused. */
static void leave(struct order *o, struct authz *a)
{
	a->end = AUTHZ_LEFT;
	if (may_be_pending(o))
		enter(a, a->name ? AUTHZ_DEACTIVATE : AUTHZ_READ);
	else
		finish(a, AUTHZ_LEFT);
}

/* --- which challenge --- */

static const struct acme_identifier *identifier_of(const struct order *o, const struct authz *a)
{
	for (size_t i = 0; i < o->n_names; i++) {
		const char *name = o->names[i].name;
		bool wildcard = str_starts_with(name, "*.");

		if (wildcard == a->wildcard && !strcmp(wildcard ? name + 2 : name, a->name))
			return &o->names[i];
	}
	return NULL;
}

static const struct ca_challenge *find_challenge(
	const struct ca_authz *c, enum acme_challenge_type type)
{
	for (size_t i = 0; i < c->n_challenges; i++)
		if (c->challenges[i].type == type && c->challenges[i].status != CA_INVALID)
			return &c->challenges[i];
	return NULL;
}

static void take_challenge(struct authz *a, const struct ca_challenge *c)
{
	free(a->challenge_url);
	free(a->token);
	a->challenge_url = mem_strdup(c->url);
	a->token = mem_strdup(c->token);
	a->type = c->type;
	a->answered = c->status == CA_PROCESSING;
	enter(a, AUTHZ_PUBLISH);
}

static void no_challenge(struct order *o, struct authz *a)
{
	struct acme_failure f = {0};

	failure_set(&f, ACME_OTHER_CHALLENGE, ACME_IDENTIFIER, "no_challenge",
		a->choice ? "no challenge type is left that could be answered"
			  : "the CA offers no challenge type that this name can answer");
	authz_fail(o, a, &f);
}

/* From choice a->choice on. A challenge that the CA is looking at already goes before the
 * preference. */
static void choose(struct order *o, struct authz *a, const struct ca_authz *c)
{
	const struct acme_identifier *id = identifier_of(o, a);
	size_t n = id ? id->n_choices : 0;
	const struct ca_challenge *found = NULL;

	for (size_t i = a->choice; i < n && !found; i++) {
		const struct ca_challenge *ch = find_challenge(c, id->choices[i]);

		if (ch && ch->status == CA_PROCESSING) {
			found = ch;
			a->choice = (uint8_t)i;
		}
	}
	for (size_t i = a->choice; i < n && !found; i++) {
		found = find_challenge(c, id->choices[i]);
		if (found)
			a->choice = (uint8_t)i;
	}
	if (found)
		take_challenge(a, found);
	else
		no_challenge(o, a);
}

/* --- reading it --- */

static void next_read(const struct order *o, const struct authz *a, struct effect *out)
{
	(void)o;
	out->kind = EFFECT_POST;
	out->url = a->url;
}

static void take_identity(struct authz *a, const struct ca_authz *c)
{
	if (!a->name)
		a->name = mem_strdup(c->name);
	a->wildcard = c->wildcard;
	a->expires_wall_ms = c->expires_wall_ms;
}

static const struct problem *challenge_error(const struct authz *a, const struct ca_authz *c)
{
	for (size_t i = 0; a->token && i < c->n_challenges; i++)
		if (c->challenges[i].type == a->type && c->challenges[i].error)
			return c->challenges[i].error;
	return c->error;
}

static void invalid(struct order *o, struct authz *a, const struct ca_authz *c)
{
	struct acme_failure f = {0};

	problem_to_failure(challenge_error(a, c), 0, 0, &f);
	f.counts_as_failed_authz = true;
	if (!a->token) /* resumed: the challenge that failed is the one with an error */
		for (size_t i = 0; i < c->n_challenges; i++)
			if (c->challenges[i].error && !f.failed_type[0])
				snprintf(f.failed_type, sizeof(f.failed_type), "%s",
					acme_challenge_name(c->challenges[i].type));
	authz_fail(o, a, &f);
}

/* An order that is past authorizing is only looked at, to know what it used. */
static bool only_looks(const struct order *o)
{
	return o->status == CA_VALID || o->status == CA_PROCESSING || o->status == CA_INVALID;
}

static void follow_read(struct order *o, struct authz *a, const struct ca_authz *c)
{
	take_identity(a, c);
	if (c->status == CA_VALID)
		finish(a, AUTHZ_VALID);
	else if (a->end == AUTHZ_LEFT && c->status == CA_PENDING)
		enter(a, AUTHZ_DEACTIVATE);
	else if (c->status == CA_INVALID && a->end != AUTHZ_LEFT)
		invalid(o, a, c);
	else if (a->end == AUTHZ_LEFT || only_looks(o))
		finish(a, AUTHZ_LEFT);
	else if (c->status == CA_PENDING)
		choose(o, a, c);
	else
		finish(a, AUTHZ_DEAD);
}

static void not_an_authz(struct order *o, struct authz *a, const char *why)
{
	struct acme_failure f = {0};

	failure_set(&f, ACME_BACKOFF, ACME_AUTHORITY, "not_acme", "%s", why);
	authz_fail(o, a, &f);
}

static void consume_read(struct order *o, struct authz *a, const struct outcome *outcome)
{
	struct acme_failure f = {0};
	struct ca_authz c;
	struct why why;
	enum verdict v = steps_judge(
		&o->seed, &a->walk, rows[a->step].budget, rows[a->step].unknown, outcome, &f);

	if (v == VERDICT_FAIL && (only_looks(o) || a->end == AUTHZ_LEFT)) {
		failure_release(&f);
		finish(a, AUTHZ_LEFT);
	} else if (v == VERDICT_FAIL && f.status == 404) {
		failure_release(&f);
		finish(a, AUTHZ_DEAD);
	} else if (v == VERDICT_FAIL) {
		authz_fail(o, a, &f);
	} else if (v == VERDICT_OK && ca_authz_parse(outcome->body, outcome->len, &c, &why) < 0) {
		if (only_looks(o) || a->end == AUTHZ_LEFT)
			finish(a, AUTHZ_LEFT);
		else
			not_an_authz(o, a, why.text);
	} else if (v == VERDICT_OK) {
		follow_read(o, a, &c);
		ca_authz_release(&c);
	}
}

/* --- publishing it --- */

static void fill_challenge(const struct authz *a, struct effect *out)
{
	out->challenge = (struct acme_challenge){
		.type = a->type,
		.name = a->name,
		.wildcard = a->wildcard,
		.token = a->token,
	};
}

static void next_publish(const struct order *o, const struct authz *a, struct effect *out)
{
	(void)o;
	out->kind = EFFECT_PUBLISH;
	fill_challenge(a, out);
}

/* The next choice, by reading the authorization again; what was published is withdrawn before. */
static void other_choice(
	struct order *o, struct authz *a, const char *code, const struct outcome *outcome)
{
	const struct acme_identifier *id = identifier_of(o, a);
	struct acme_failure f = {0};

	if (!a->answered && id && (size_t)a->choice + 1 < id->n_choices) {
		a->choice++;
		enter(a, a->published ? AUTHZ_UNPUBLISH : AUTHZ_READ);
		return;
	}
	failure_set(&f, ACME_BACKOFF, ACME_ORDER, code, "the challenge could not be %s: %s",
		!strcmp(code, "not_visible") ? "seen at every responder" : "published",
		outcome->why && outcome->why[0] ? outcome->why : cf_strerror(outcome->err));
	authz_fail(o, a, &f);
}

static void consume_publish(struct order *o, struct authz *a, const struct outcome *outcome)
{
	a->published = true; /* even a failed attempt may have left something to withdraw */
	if (!outcome->err)
		enter(a, AUTHZ_HOLD);
	else if (a->walk.tries < rows[a->step].budget)
		a->walk.pause_ms =
			steps_backoff(&o->seed, a->walk.tries++, PUBLISH_BASE_MS, PUBLISH_LIMIT_MS);
	else
		other_choice(o, a, "publish_failed", outcome);
}

static void next_nothing(const struct order *o, const struct authz *a, struct effect *out)
{
	(void)o;
	(void)a;
	(void)out;
}

static void consume_nothing(struct order *o, struct authz *a, const struct outcome *outcome)
{
	(void)o;
	(void)a;
	(void)outcome;
}

/* Base and wildcard share a name: neither is looked at before both values are there. */
static bool may_go_on(const struct order *o, const struct authz *a)
{
	for (size_t i = 0; i < o->n_authz; i++) {
		const struct authz *b = &o->authz[i];

		if (b->step >= AUTHZ_HOLD)
			continue;
		if (!b->name || !strcmp(b->name, a->name))
			return false;
	}
	return true;
}

bool authz_settle(struct order *o)
{
	bool over = true;

	for (size_t i = 0; i < o->n_authz; i++) {
		struct authz *a = &o->authz[i];

		if (a->step == AUTHZ_HOLD && may_go_on(o, a))
			enter(a, AUTHZ_AWAIT_VISIBLE);
	}
	for (size_t i = 0; i < o->n_authz; i++)
		over &= o->authz[i].step == AUTHZ_OVER;
	return over;
}

static void next_visible(const struct order *o, const struct authz *a, struct effect *out)
{
	(void)o;
	out->kind = EFFECT_VISIBLE;
	fill_challenge(a, out);
}

static void consume_visible(struct order *o, struct authz *a, const struct outcome *outcome)
{
	if (!outcome->err)
		enter(a, a->answered ? AUTHZ_POLL : AUTHZ_ANSWER);
	else if (outcome->err == CF_EAGAIN && a->walk.tries < rows[a->step].budget)
		a->walk.pause_ms =
			steps_backoff(&o->seed, a->walk.tries++, VISIBLE_BASE_MS, VISIBLE_LIMIT_MS);
	else
		other_choice(o, a, "not_visible", outcome);
}

/* --- telling the CA --- */

static void next_answer(const struct order *o, const struct authz *a, struct effect *out)
{
	(void)o;
	out->kind = EFFECT_POST;
	out->url = a->challenge_url;
	out->payload = mem_strdup("{}");
}

static void poll_after_answer(struct order *o, struct authz *a, const struct outcome *outcome)
{
	struct ca_challenge c;
	bool known = ca_challenge_parse(outcome->body, outcome->len, &c, NULL) == 0;

	a->answered = true;
	enter(a, AUTHZ_POLL);
	if (!known || (c.status != CA_VALID && c.status != CA_INVALID))
		steps_poll_later(&o->seed, &a->walk, outcome->retry_after_ms);
	if (known)
		ca_challenge_release(&c);
}

static void consume_answer(struct order *o, struct authz *a, const struct outcome *outcome)
{
	struct acme_failure f = {0};
	int64_t pause_ms;

	switch (steps_judge(
		&o->seed, &a->walk, rows[a->step].budget, rows[a->step].unknown, outcome, &f)) {
	case VERDICT_OK:
		poll_after_answer(o, a, outcome);
		break;
	case VERDICT_ASK: /* not answered, as far as we know: if it is still pending, once more */
		pause_ms = a->walk.pause_ms;
		enter(a, AUTHZ_POLL);
		a->walk.pause_ms = pause_ms;
		break;
	case VERDICT_FAIL:
		if (steps_is_refusal(&f)) { /* it may be answered or decided already */
			failure_release(&f);
			a->refused = true;
			enter(a, AUTHZ_POLL);
		} else {
			authz_fail(o, a, &f);
		}
		break;
	case VERDICT_AGAIN:
		break;
	}
}

static void still_pending(struct order *o, struct authz *a, const struct outcome *outcome)
{
	struct acme_failure f = {0};

	if (a->refused && !a->answered) {
		failure_set(&f, ACME_OTHER_CHALLENGE, ACME_IDENTIFIER, "malformed",
			"the CA refused the answer to its challenge and leaves the authorization "
			"pending");
		authz_fail(o, a, &f);
	} else if (!a->answered) {
		enter(a, AUTHZ_ANSWER);
	} else if (a->walk.polls >= POLLS_MAX) {
		failure_set(&f, ACME_BACKOFF, ACME_AUTHORITY, "deadline",
			"the CA never decided on the challenge");
		authz_fail(o, a, &f);
	} else {
		steps_poll_later(&o->seed, &a->walk, outcome->retry_after_ms);
	}
}

static void follow_poll(
	struct order *o, struct authz *a, const struct ca_authz *c, const struct outcome *outcome)
{
	const struct ca_challenge *ch = find_challenge(c, a->type);

	a->expires_wall_ms = c->expires_wall_ms;
	if (c->status == CA_VALID) {
		finish(a, AUTHZ_VALID);
	} else if (c->status == CA_INVALID) {
		invalid(o, a, c);
	} else if (c->status == CA_PENDING) {
		a->answered |= ch && ch->status == CA_PROCESSING;
		still_pending(o, a, outcome);
	} else {
		finish(a, AUTHZ_DEAD);
	}
}

static void consume_poll(struct order *o, struct authz *a, const struct outcome *outcome)
{
	struct acme_failure f = {0};
	struct ca_authz c;
	struct why why;

	switch (steps_judge(
		&o->seed, &a->walk, rows[a->step].budget, rows[a->step].unknown, outcome, &f)) {
	case VERDICT_OK:
		if (ca_authz_parse(outcome->body, outcome->len, &c, &why) < 0) {
			not_an_authz(o, a, why.text);
			break;
		}
		follow_poll(o, a, &c, outcome);
		ca_authz_release(&c);
		break;
	case VERDICT_FAIL:
		if (f.status == 404) {
			failure_release(&f);
			finish(a, AUTHZ_DEAD);
		} else {
			authz_fail(o, a, &f);
		}
		break;
	case VERDICT_AGAIN:
	case VERDICT_ASK:
		break;
	}
}

/* --- the end --- */

static void next_deactivate(const struct order *o, const struct authz *a, struct effect *out)
{
	(void)o;
	out->kind = EFFECT_POST;
	out->url = a->url;
	out->payload = mem_strdup("{\"status\":\"deactivated\"}");
}

static void consume_deactivate(struct order *o, struct authz *a, const struct outcome *outcome)
{
	struct acme_failure f = {0};
	enum verdict v = steps_judge(
		&o->seed, &a->walk, rows[a->step].budget, rows[a->step].unknown, outcome, &f);

	failure_release(&f);
	if (v == VERDICT_OK || v == VERDICT_FAIL) /* it expires by itself */
		finish(a, a->end);
}

static void next_unpublish(const struct order *o, const struct authz *a, struct effect *out)
{
	(void)o;
	out->kind = EFFECT_UNPUBLISH;
	fill_challenge(a, out);
}

static void consume_unpublish(struct order *o, struct authz *a, const struct outcome *outcome)
{
	(void)o;
	(void)outcome; /* it has a time to live */
	a->published = false;
	enter(a, a->end == AUTHZ_RUNS ? AUTHZ_READ : AUTHZ_OVER);
}

static const struct authz_row rows[AUTHZ_STEPS_N] = {
	[AUTHZ_READ] = {.next = next_read, .consume = consume_read, .budget = 6},
	[AUTHZ_PUBLISH] = {.next = next_publish, .consume = consume_publish, .budget = 3},
	[AUTHZ_HOLD] = {.next = next_nothing, .consume = consume_nothing},
	[AUTHZ_AWAIT_VISIBLE] = {.next = next_visible,
		.consume = consume_visible,
		.budget = VISIBLE_TRIES},
	[AUTHZ_ANSWER] = {.next = next_answer,
		.consume = consume_answer,
		.budget = 4,
		.unknown = UNKNOWN_ASK},
	[AUTHZ_POLL] = {.next = next_read, .consume = consume_poll, .budget = 8},
	[AUTHZ_DEACTIVATE] = {.next = next_deactivate, .consume = consume_deactivate, .budget = 1},
	[AUTHZ_UNPUBLISH] = {.next = next_unpublish, .consume = consume_unpublish},
	[AUTHZ_OVER] = {.next = next_nothing, .consume = consume_nothing},
};

void authz_next(const struct order *o, const struct authz *a, struct effect *out)
{
	rows[a->step].next(o, a, out);
}

void authz_consume(struct order *o, struct authz *a, const struct outcome *outcome)
{
	if (a->abandoned && a->end == AUTHZ_RUNS) {
		if (a->step == AUTHZ_PUBLISH && !outcome->canceled)
			a->published = true;
		leave(o, a);
		return;
	}
	rows[a->step].consume(o, a, outcome);
}

/* calls.c - what is asked of an authority besides orders: one request each, retried within a
 * budget. */
#include "worker/acme/authority.h"
#include "worker/acme/authority_internal.h"
#include "worker/acme/steps_internal.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"

#include <stdio.h>
#include <string.h>

enum {
	CALL_TRIES = 4,
	CERT_ID_MAX = 256,
};
#define RENEWAL_DEFAULT_MS (6 * CLOCK_HOUR_MS)

struct acme_call {
	struct acme_authority *authority;
	struct acme_call *next, *prev;
	/* The URL is known once the directory is: NULL means that the CA has no such thing. */
	char *(*make_url)(const struct acme_call *c);
	/* Looks at an answer's failure: true if it is a success after all. NULL: none is. */
	bool (*forgives)(const struct acme_failure *f);
	char *text;    /* URL or CertID */
	char *payload; /* NULL: a plain GET */
	const char *missing;
	acme_call_fn *fn;
	acme_renewal_fn *renewal_fn;
	void *arg;

	struct authority_waiter waiter;
	struct authority_post *post;
	struct http_request *get;
	uv_timer_t timer;
	struct walk walk;
	uint32_t seed;
	unsigned epoch;
};

static void send_call(struct acme_call *c);

static void on_closed(uv_handle_t *handle)
{
	struct acme_call *c = container_of(handle, struct acme_call, timer);

	free(c->text);
	free(c->payload);
	free(c);
}

/* Calls back exactly once; c is gone for its owner afterwards. */
static void finish(
	struct acme_call *c, const struct acme_renewal *renewal, const struct acme_failure *f)
{
	if (c->prev)
		c->prev->next = c->next;
	else
		*authority_calls(c->authority) = c->next;
	if (c->next)
		c->next->prev = c->prev;
	authority_unwait(c->authority, &c->waiter);
	authority_post_cancel(c->post);
	http_cancel(c->get);
	uv_close((uv_handle_t *)&c->timer, on_closed);
	if (c->renewal_fn)
		c->renewal_fn(c->arg, renewal, f);
	else
		c->fn(c->arg, f);
}

static void finish_with(
	struct acme_call *c, enum acme_class class, const char *code, const char *text)
{
	struct acme_failure f = {0};

	failure_set(&f, class, ACME_AUTHORITY, code, "%s", text);
	finish(c, NULL, &f);
	failure_release(&f);
}

void calls_cancel_all(struct acme_authority *a)
{
	while (*authority_calls(a))
		finish_with(
			*authority_calls(a), ACME_CANCELED, "canceled", "certfleet is stopping");
}

static int64_t clamp(int64_t x, int64_t least, int64_t most)
{
	return x < least ? least : x > most ? most : x;
}

static void took_renewal(struct acme_call *c, const struct http_answer *answer)
{
	struct acme_renewal r;
	struct why why;
	int64_t retry_ms = retry_after_parse(answer->retry_after, clock_wall_ms());

	if (ca_renewal_parse(answer->body, answer->len, &r, &why) < 0) {
		finish_with(c, ACME_BACKOFF, "not_acme", why.text);
		return;
	}
	r.retry_after_ms =
		retry_ms ? clamp(retry_ms, CLOCK_MINUTE_MS, CLOCK_DAY_MS) : RENEWAL_DEFAULT_MS;
	finish(c, &r, NULL);
	free((char *)r.explanation_url);
}

static void on_ready(void *arg, const struct acme_failure *failure)
{
	struct acme_call *c = arg;

	if (failure)
		finish(c, NULL, failure);
	else
		send_call(c);
}

static void on_pause(uv_timer_t *timer)
{
	send_call(container_of(timer, struct acme_call, timer));
}

static void again(struct acme_call *c)
{
	int64_t pause_ms = c->walk.pause_ms;

	c->walk.pause_ms = 0;
	if (c->walk.account) {
		c->walk.account = false;
		authority_account_lost(c->authority, c->epoch);
		authority_wait(c->authority, &c->waiter, on_ready, c);
	} else {
		uv_timer_start(&c->timer, on_pause, (uint64_t)pause_ms, 0);
	}
}

static void on_answer(void *arg, const struct http_answer *answer)
{
	struct acme_call *c = arg;
	struct outcome o = {.err = answer->err,
		.sent = answer->sent,
		.status = answer->status,
		.body = answer->body,
		.len = answer->len,
		.why = answer->why.text,
		.retry_after_ms = retry_after_parse(answer->retry_after, clock_wall_ms())};
	struct acme_failure f = {0};
	enum verdict v = steps_judge(&c->seed, &c->walk, CALL_TRIES, UNKNOWN_REPLAY, &o, &f);

	if (c->get)
		authority_note_clock(c->authority, answer);
	c->post = NULL;
	c->get = NULL;
	if (v == VERDICT_OK && c->renewal_fn)
		took_renewal(c, answer);
	else if (v == VERDICT_OK || (v == VERDICT_FAIL && c->forgives && c->forgives(&f)))
		finish(c, NULL, NULL);
	else if (v == VERDICT_FAIL)
		finish(c, NULL, &f);
	else
		again(c);
	failure_release(&f);
}

static void send_call(struct acme_call *c)
{
	_mem_free_ char *url = c->make_url(c);
	struct authority_call post = {.url = url, .payload = c->payload};
	struct http_call get = {.url = url,
		.timeout_ms = authority_timeout_ms(c->authority),
		.max_bytes = OBJECT_BYTES_MAX};

	if (!url) {
		finish_with(c, ACME_OTHER_AUTHORITY, c->missing,
			"the CA's directory does not offer this");
		return;
	}
	c->epoch = authority_epoch(c->authority);
	if (c->payload)
		c->post = authority_post(c->authority, &post, on_answer, c);
	else
		c->get = http_send(authority_http(c->authority), &get, on_answer, c);
}

static struct acme_call *call_new(
	struct acme_authority *a, acme_call_fn *fn, acme_renewal_fn *renewal_fn, void *arg)
{
	struct acme_call *c = mem_zalloc(sizeof(*c)), **head = authority_calls(a);

	c->authority = a;
	c->fn = fn;
	c->renewal_fn = renewal_fn;
	c->arg = arg;
	c->seed = (uint32_t)uv_hrtime() | 1;
	c->next = *head;
	if (c->next)
		c->next->prev = c;
	*head = c;
	uv_timer_init(authority_loop(a), &c->timer);
	authority_wait(a, &c->waiter, on_ready, c);
	return c;
}

static char *url_revoke(const struct acme_call *c)
{
	return mem_strdup_opt(authority_directory(c->authority)->revoke_cert);
}

static bool is_revoked_already(const struct acme_failure *f)
{
	return !strcmp(f->code, "alreadyRevoked");
}

void acme_revoke(struct acme_authority *a, const void *der, size_t n, int reason, acme_call_fn *fn,
	void *arg)
{
	struct acme_call *c = call_new(a, fn, NULL, arg);
	struct buf payload = BUF_INIT((size_t)2 * CHAIN_MAX_BYTES);

	buf_adds(&payload, "{\"certificate\":\"");
	str_base64url(&payload, der, n);
	buf_addf(&payload, "\",\"reason\":%d}", reason);
	c->payload = buf_detach(&payload, NULL);
	c->make_url = url_revoke;
	c->forgives = is_revoked_already;
	c->missing = "no_revocation";
}

static char *url_itself(const struct acme_call *c)
{
	return mem_strdup(c->text);
}

/* Gone, or in a state that cannot be left: nothing of it can be reused. */
static bool is_over_already(const struct acme_failure *f)
{
	return f->status == 404 || f->status == 410 ||
	       (f->status == 400 && !strcmp(f->code, "malformed"));
}

void acme_deactivate_authz(struct acme_authority *a, const char *url, acme_call_fn *fn, void *arg)
{
	struct acme_call *c = call_new(a, fn, NULL, arg);

	c->text = mem_strdup(url);
	c->payload = mem_strdup("{\"status\":\"deactivated\"}");
	c->make_url = url_itself;
	c->forgives = is_over_already;
	c->missing = "";
}

static char *url_renewal(const struct acme_call *c)
{
	const char *base = authority_directory(c->authority)->renewal_info;

	if (!base)
		return NULL;
	return mem_printf("%s%s%s", base, str_ends_with(base, "/") ? "" : "/", c->text);
}

void acme_renewal_info(
	struct acme_authority *a, const char *cert_id, acme_renewal_fn *fn, void *arg)
{
	struct acme_call *c = call_new(a, NULL, fn, arg);

	c->text = mem_strndup(cert_id, strnlen(cert_id, CERT_ID_MAX));
	c->make_url = url_renewal;
	c->missing = "no_renewal_info";
}

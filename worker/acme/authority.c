#include "worker/acme/authority_internal.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"

#include <string.h>

enum {
	DIRECTORY_TRIES = 3,
	REQUEST_TIMEOUT_MS = 30000,
};
#define DIRECTORY_AGE_MS (6 * CLOCK_HOUR_MS)

static void start(struct acme_authority *a);

/* --- waiters --- */

static void waiter_add(struct acme_authority *a, struct authority_waiter *w)
{
	w->next = NULL;
	w->prev = a->waiters_last;
	if (w->prev)
		w->prev->next = w;
	else
		a->waiters = w;
	a->waiters_last = w;
	w->waits = true;
	w->round = a->round;
}

void authority_unwait(struct acme_authority *a, struct authority_waiter *w)
{
	if (!w->waits)
		return;
	if (w->prev)
		w->prev->next = w->next;
	else
		a->waiters = w->next;
	if (w->next)
		w->next->prev = w->prev;
	else
		a->waiters_last = w->prev;
	w->waits = false;
}

/* Only those that wait now: a callback may wait again. */
static void tell_waiters(struct acme_authority *a, const struct acme_failure *failure)
{
	unsigned round = a->round++;

	while (a->waiters && a->waiters->round <= round) {
		struct authority_waiter *w = a->waiters;

		authority_unwait(a, w);
		w->fn(w->arg, failure);
	}
}

void authority_settle(struct acme_authority *a, const struct acme_failure *failure)
{
	a->refs++;
	a->state = failure ? AUTHORITY_IDLE : AUTHORITY_READY;
	a->walk = (struct walk){0};
	if (failure)
		LOG(WARN, "authority_failed", LF("authority", a->name), LF("code", failure->code),
			LF("class", acme_class_name(failure->class)),
			LF("detail", failure->detail));
	tell_waiters(a, failure);
	if (failure && !a->freed)
		post_fail_waiting(a, failure);
	post_pump(a);
	authority_unref(a);
}

static bool is_fresh(const struct acme_authority *a)
{
	return a->have_directory && a->directory_mono_ms &&
	       clock_mono_ms() - a->directory_mono_ms < DIRECTORY_AGE_MS;
}

static void on_soon(uv_idle_t *idle)
{
	struct acme_authority *a = container_of(idle, struct acme_authority, soon);

	uv_idle_stop(&a->soon);
	if (a->state == AUTHORITY_READY && is_fresh(a) && a->account_url)
		authority_settle(a, NULL);
	else if (a->state == AUTHORITY_READY || a->state == AUTHORITY_IDLE)
		start(a);
}

void authority_nudge(struct acme_authority *a)
{
	if (!a->account_url && (a->state == AUTHORITY_READY || a->state == AUTHORITY_IDLE))
		uv_idle_start(&a->soon, on_soon);
}

void authority_wait(
	struct acme_authority *a, struct authority_waiter *w, acme_ready_fn *fn, void *arg)
{
	w->fn = fn;
	w->arg = arg;
	waiter_add(a, w);
	if (a->state == AUTHORITY_READY || a->state == AUTHORITY_IDLE)
		uv_idle_start(&a->soon, on_soon);
}

void authority_pause(struct acme_authority *a, int64_t ms, uv_timer_cb fn)
{
	uv_timer_start(&a->timer, fn, (uint64_t)ms, 0);
}

/* --- the directory --- */

static void fetch_directory(struct acme_authority *a);

static void on_pause(uv_timer_t *timer)
{
	fetch_directory(container_of(timer, struct acme_authority, timer));
}

static void fail_directory(struct acme_authority *a, struct acme_failure *f)
{
	authority_settle(a, f);
	failure_release(f);
}

static void took_directory(struct acme_authority *a, const struct http_answer *answer)
{
	struct acme_failure f = {0};
	struct ca_directory d;
	struct why why;

	if (ca_directory_parse(answer->body, answer->len, a->allow_http, &d, &why) < 0) {
		failure_set(&f, ACME_OPERATOR, ACME_AUTHORITY, "not_acme",
			"%s is not an ACME directory: %s", a->directory_url, why.text);
		fail_directory(a, &f);
		return;
	}
	ca_directory_release(&a->directory);
	a->directory = d;
	a->have_directory = true;
	a->directory_mono_ms = clock_mono_ms();
	a->state = AUTHORITY_ACCOUNT;
	if (a->account_url && a->key)
		authority_settle(a, NULL);
	else
		account_start(a);
}

/* A refusal of a plain GET is about the URL that the operator wrote, or about trust. */
static void adjust_directory_failure(const struct http_answer *answer, struct acme_failure *f)
{
	if (answer->err == CF_EINVAL)
		f->class = ACME_OPERATOR;
	if (answer->err == CF_EAUTH)
		failure_set(f, ACME_OPERATOR, ACME_AUTHORITY, "not_trusted",
			"the CA's own HTTPS is not trusted: %.350s; if it is a private CA, set "
			"ca_file",
			answer->why.text);
	if (!answer->err && answer->status < 500 && answer->status != 429) {
		char detail[512];

		str_clean(f->detail, strlen(f->detail), detail, sizeof(detail));
		failure_set(f, ACME_OPERATOR, ACME_AUTHORITY, "not_acme",
			"the directory's URL answers %d: %.300s", answer->status, detail);
		f->status = answer->status;
	}
}

void authority_note_clock(struct acme_authority *a, const struct http_answer *answer)
{
	ca_clock_note(&a->clock, answer->date, answer->took_ms, ca_clock_boot_ms());
}

static void on_directory(void *arg, const struct http_answer *answer)
{
	struct acme_authority *a = arg;
	struct outcome o = {.err = answer->err,
		.status = answer->status,
		.body = answer->body,
		.len = answer->len,
		.why = answer->why.text,
		.retry_after_ms = retry_after_parse(answer->retry_after, clock_wall_ms())};
	struct acme_failure f = {0};
	unsigned budget = answer->err == CF_EAUTH ? 0 : DIRECTORY_TRIES;

	authority_note_clock(a, answer);
	a->fetch = NULL;
	switch (steps_judge(&a->seed, &a->walk, budget, UNKNOWN_REPLAY, &o, &f)) {
	case VERDICT_OK:
		took_directory(a, answer);
		break;
	case VERDICT_AGAIN:
	case VERDICT_ASK:
		authority_pause(a, a->walk.pause_ms, on_pause);
		a->walk.pause_ms = 0;
		break;
	case VERDICT_FAIL:
		adjust_directory_failure(answer, &f);
		fail_directory(a, &f);
		break;
	}
}

static void fetch_directory(struct acme_authority *a)
{
	static const char *const headers[] = {"Accept: application/json"};
	struct http_call call = {.url = a->directory_url,
		.headers = headers,
		.n_headers = 1,
		.timeout_ms = a->timeout_ms,
		.max_bytes = OBJECT_BYTES_MAX};

	a->fetch = http_send(a->http, &call, on_directory, a);
}

/* What is fresh is not asked again. */
static void start(struct acme_authority *a)
{
	a->walk = (struct walk){0};
	if (is_fresh(a)) {
		a->state = AUTHORITY_ACCOUNT;
		account_start(a);
		return;
	}
	a->state = AUTHORITY_DIRECTORY;
	fetch_directory(a);
}

void authority_doubt(struct acme_authority *a, int status)
{
	if (status == 404 || status == 405 || status == 410 || (status >= 300 && status < 400))
		a->directory_mono_ms = 0;
}

/* --- life --- */

static void on_closed_timer(uv_handle_t *handle)
{
	authority_unref(container_of(handle, struct acme_authority, timer));
}

static void on_closed_soon(uv_handle_t *handle)
{
	authority_unref(container_of(handle, struct acme_authority, soon));
}

void authority_unref(struct acme_authority *a)
{
	if (--a->refs)
		return;
	account_release(a);
	ca_directory_release(&a->directory);
	for (size_t i = 0; i < a->n_contacts; i++)
		free(a->contacts[i]);
	free(a->contacts);
	free(a->name);
	free(a->directory_url);
	free(a->profile);
	free(a->eab_kid);
	mem_wipe_free(a->eab_hmac, a->eab_hmac_len);
	free(a);
}

static void copy_options(struct acme_authority *a, const struct acme_authority_options *o)
{
	a->name = mem_strdup(o->name);
	a->directory_url = mem_strdup(o->directory_url);
	a->profile = mem_strdup_opt(o->profile);
	a->eab_kid = mem_strdup_opt(o->eab_kid);
	if (o->eab_kid)
		a->eab_hmac = mem_dup(o->eab_hmac, o->eab_hmac_len);
	a->eab_hmac_len = o->eab_kid ? o->eab_hmac_len : 0;
	a->n_contacts = o->n_contacts;
	a->contacts = o->n_contacts ? mem_array(o->n_contacts, sizeof(char *)) : NULL;
	for (size_t i = 0; i < o->n_contacts; i++)
		a->contacts[i] = mem_strdup(o->contacts[i]);
	a->tos_agreed = o->tos_agreed;
	a->allow_http = o->allow_http;
	a->account_key_type = o->account_key_type ? o->account_key_type : KEY_P256;
	a->max_requests = o->max_requests ? o->max_requests : HTTP_MAX_REQUESTS;
	a->timeout_ms = o->request_timeout_ms > 0 ? o->request_timeout_ms : REQUEST_TIMEOUT_MS;
}

struct acme_authority *acme_authority_new(uv_loop_t *loop,
	const struct acme_authority_options *options, const struct acme_store *store,
	void *store_arg)
{
	struct acme_authority *a = mem_zalloc(sizeof(*a));
	struct http_options h = {.ca_file = options->ca_file, .allow_http = options->allow_http};

	copy_options(a, options);
	/* Besides signed requests there are nonces, the directory and renewal information. */
	h.max_requests = a->max_requests + HEADS_MAX + 16;
	a->loop = loop;
	a->store = *store;
	a->store_arg = store_arg;
	a->http = http_client_new(loop, &h);
	a->seed = (uint32_t)uv_hrtime() | 1;
	a->refs = 3; /* the owner's and two handles' */
	uv_timer_init(loop, &a->timer);
	uv_idle_init(loop, &a->soon);
	return a;
}

void acme_authority_free(struct acme_authority *a)
{
	struct acme_failure f = {0};

	if (!a || a->freed)
		return;
	a->freed = true;
	a->state = AUTHORITY_IDLE;
	http_cancel(a->fetch);
	failure_set(&f, ACME_CANCELED, ACME_AUTHORITY, "canceled", "certfleet is stopping");
	calls_cancel_all(a);
	while (a->waiters)
		tell_waiters(a, &f);
	post_cancel_all(a);
	http_client_free(a->http);
	uv_close((uv_handle_t *)&a->timer, on_closed_timer);
	uv_close((uv_handle_t *)&a->soon, on_closed_soon);
	authority_unref(a);
}

/* --- what others ask --- */

struct ready_call {
	struct authority_waiter waiter;
	acme_ready_fn *fn;
	void *arg;
};

static void on_ready(void *arg, const struct acme_failure *failure)
{
	struct ready_call *r = arg;

	r->fn(r->arg, failure);
	free(r);
}

void acme_authority_ready(struct acme_authority *a, acme_ready_fn *fn, void *arg)
{
	struct ready_call *r = mem_zalloc(sizeof(*r));

	r->fn = fn;
	r->arg = arg;
	authority_wait(a, &r->waiter, on_ready, r);
}

void acme_authority_info(const struct acme_authority *a, struct acme_authority_info *out)
{
	*out = (struct acme_authority_info){
		.name = a->name,
		.account_url = a->account_url,
		.terms_url = a->directory.terms,
		.caa_identities = (const char *const *)a->directory.caa,
		.n_caa_identities = a->directory.n_caa,
		.profiles = (const char *const *)a->directory.profiles,
		.n_profiles = a->directory.n_profiles,
		.renewal_info = a->directory.renewal_info != NULL,
		.live = a->live.n,
		.waiting = a->waiting.n,
		.clock_apart_ms = ca_clock_apart(&a->clock, clock_wall_ms(), ca_clock_boot_ms()),
	};
}

const struct ca_directory *authority_directory(const struct acme_authority *a)
{
	return &a->directory;
}

const char *authority_thumbprint(const struct acme_authority *a)
{
	return jws_key_thumbprint(a->key);
}

const char *authority_name(const struct acme_authority *a)
{
	return a->name;
}

const char *authority_profile(const struct acme_authority *a)
{
	return a->profile;
}

struct http_client *authority_http(const struct acme_authority *a)
{
	return a->http;
}

uv_loop_t *authority_loop(const struct acme_authority *a)
{
	return a->loop;
}

int64_t authority_timeout_ms(const struct acme_authority *a)
{
	return a->timeout_ms;
}

struct acme_call **authority_calls(struct acme_authority *a)
{
	return &a->calls;
}

/* post.c - signed requests: a nonce and a slot for each, signed at the last moment. */
#include "worker/acme/authority_internal.h"

#include "common/clock.h"
#include "common/mem.h"

#include <string.h>

struct authority_post {
	struct acme_authority *authority;
	struct authority_post *next, *prev;
	bool live, by_key, pem;
	char *url, *payload;
	struct http_request *request;
	http_fn *fn;
	void *arg;
};

static void list_add(struct post_list *l, struct authority_post *p)
{
	p->next = NULL;
	p->prev = l->last;
	if (l->last)
		l->last->next = p;
	else
		l->first = p;
	l->last = p;
	l->n++;
}

static void list_remove(struct post_list *l, struct authority_post *p)
{
	if (p->prev)
		p->prev->next = p->next;
	else
		l->first = p->next;
	if (p->next)
		p->next->prev = p->prev;
	else
		l->last = p->prev;
	l->n--;
}

static void post_free(struct authority_post *p)
{
	free(p->url);
	free(p->payload);
	free(p);
}

static void complete(struct authority_post *p, const struct http_answer *answer)
{
	list_remove(p->live ? &p->authority->live : &p->authority->waiting, p);
	p->fn(p->arg, answer);
	post_free(p);
}

static void on_answer(void *arg, const struct http_answer *answer)
{
	struct authority_post *p = arg;
	struct acme_authority *a = p->authority;

	a->refs++;
	nonces_put(&a->nonces, answer->replay_nonce, clock_mono_ms());
	authority_note_clock(a, answer);
	complete(p, answer);
	post_pump(a);
	authority_unref(a);
}

static void send_signed(struct authority_post *p, char *nonce)
{
	struct acme_authority *a = p->authority;
	_buf_release_ struct buf body = BUF_INIT((size_t)2 * JWS_BYTES_MAX);
	const char *const headers[] = {"Content-Type: application/jose+json",
		p->pem ? "Accept: application/pem-certificate-chain" : "Accept: application/json"};
	struct jws_header h = {
		.kid = p->by_key ? NULL : a->account_url, .nonce = nonce, .url = p->url};
	struct http_call call = {.method = "POST",
		.url = p->url,
		.headers = headers,
		.n_headers = 2,
		.timeout_ms = a->timeout_ms,
		.max_bytes = p->pem ? CHAIN_MAX_BYTES : OBJECT_BYTES_MAX};
	int err = jws_sign(a->key, &h, p->payload, strlen(p->payload), &body);

	free(nonce);
	list_remove(&a->waiting, p);
	list_add(&a->live, p);
	p->live = true;
	if (err < 0) { /* libcurl refuses an empty URL: the caller is told in its own time */
		call.url = "";
		buf_clear(&body);
	}
	call.body = buf_cstr(&body);
	call.body_len = body.len;
	p->request = http_send(a->http, &call, on_answer, p);
}

/* By key go first: without them nobody has an account. */
static struct authority_post *next_sendable(struct acme_authority *a)
{
	struct authority_post *p = a->waiting.first;

	return p && a->key && (p->by_key || a->account_url) ? p : NULL;
}

/* Without nonces nothing is sent: one that waits is told each time that none could be had. */
static void on_head(void *arg, const struct http_answer *answer)
{
	struct head *h = arg;
	struct acme_authority *a = h->authority;
	bool good = !answer->err && answer->status >= 200 && answer->status < 300 &&
		    answer->replay_nonce;
	struct authority_post *p;

	a->refs++;
	h->request = NULL;
	nonces_put(&a->nonces, answer->replay_nonce, clock_mono_ms());
	p = good ? NULL : next_sendable(a);
	if (p) {
		struct http_answer told = *answer;

		told.sent = false;
		if (!told.err && told.status < 300) {
			told.err = CF_EPROTO;
			why_set(&told.why, CF_EPROTO, "the CA's newNonce gave no Replay-Nonce");
		}
		authority_doubt(a, told.status);
		complete(p, &told);
	}
	post_pump(a);
	authority_unref(a);
}

/* Every answer brings a nonce, so that these only start the circulation, up to what may be live. */
static void pump_heads(struct acme_authority *a)
{
	struct http_call call = {
		.method = "HEAD", .url = a->directory.new_nonce, .timeout_ms = a->timeout_ms};
	unsigned want = a->max_requests - a->live.n, flying = 0;

	if (want > a->waiting.n)
		want = a->waiting.n;
	for (size_t i = 0; i < HEADS_MAX; i++)
		flying += a->heads[i].request != NULL;
	for (size_t i = 0; i < HEADS_MAX && flying < want; i++) {
		struct head *h = &a->heads[i];

		if (h->request)
			continue;
		h->authority = a;
		h->request = http_send(a->http, &call, on_head, h);
		flying++;
	}
}

void post_pump(struct acme_authority *a)
{
	while (!a->freed && a->have_directory && a->live.n < a->max_requests && next_sendable(a)) {
		char *nonce = nonces_take(&a->nonces, clock_mono_ms());

		if (!nonce) {
			pump_heads(a);
			return;
		}
		send_signed(next_sendable(a), nonce);
	}
}

static struct authority_post *post_new(
	struct acme_authority *a, const struct authority_call *call, http_fn *fn, void *arg)
{
	struct authority_post *p = mem_zalloc(sizeof(*p));

	p->authority = a;
	p->url = mem_strdup(call->url);
	p->payload = mem_strdup(call->payload ? call->payload : "");
	p->pem = call->pem;
	p->fn = fn;
	p->arg = arg;
	return p;
}

struct authority_post *authority_post(
	struct acme_authority *a, const struct authority_call *call, http_fn *fn, void *arg)
{
	struct authority_post *p = post_new(a, call, fn, arg);

	list_add(&a->waiting, p);
	authority_nudge(a);
	post_pump(a);
	return p;
}

struct authority_post *post_by_key(
	struct acme_authority *a, const struct authority_call *call, http_fn *fn, void *arg)
{
	struct authority_post *p = post_new(a, call, fn, arg);

	p->by_key = true;
	p->next = a->waiting.first;
	if (p->next)
		p->next->prev = p;
	else
		a->waiting.last = p;
	a->waiting.first = p;
	a->waiting.n++;
	post_pump(a);
	return p;
}

void authority_post_cancel(struct authority_post *p)
{
	struct acme_authority *a;

	if (!p)
		return;
	a = p->authority;
	list_remove(p->live ? &a->live : &a->waiting, p);
	http_cancel(p->request);
	post_free(p);
	post_pump(a);
}

void post_fail_waiting(struct acme_authority *a, const struct acme_failure *f)
{
	struct http_answer told = {.err = CF_EAUTH, .body = ""};

	why_set(&told.why, CF_EAUTH, "%s: %s", f->code, f->detail);
	for (unsigned n = a->waiting.n; n && a->waiting.first && !a->account_url; n--)
		complete(a->waiting.first, &told);
}

void post_cancel_all(struct acme_authority *a)
{
	const struct http_answer canceled = {.err = CF_ECANCELED, .body = ""};

	for (size_t i = 0; i < HEADS_MAX; i++) {
		http_cancel(a->heads[i].request);
		a->heads[i].request = NULL;
	}
	while (a->waiting.first)
		complete(a->waiting.first, &canceled);
	while (a->live.first) {
		struct authority_post *p = a->live.first;

		http_cancel(p->request);
		p->request = NULL;
		complete(p, &canceled);
	}
	nonces_release(&a->nonces);
}

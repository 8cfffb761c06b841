/* The requests of a target: one event each, and for Alertmanager what is open, again and again. */
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/notify/alertmanager.h"
#include "worker/notify/target.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BODY_MAX      (4u << 20)
#define ANSWER_MAX    4096
#define VALID_LEAST   (5 * CLOCK_MINUTE_MS)
#define VALID_RESENDS 4
#define PAGE          TARGET_PAGE

struct headers {
	char lines[4][1200];
	const char *list[4];
	size_t n;
};

static void header(struct headers *h, const char *name, const char *value)
{
	snprintf(h->lines[h->n], sizeof h->lines[0], "%s: %s", name, value);
	h->list[h->n] = h->lines[h->n];
	h->n++;
}

static struct http_request *post(struct target *t, const char *url, struct headers *h,
	const void *body, size_t len, http_fn *fn, void *arg)
{
	const struct http_call call = {.method = "POST",
		.url = url,
		.headers = h->list,
		.n_headers = h->n,
		.body = body,
		.body_len = len,
		.timeout_ms = t->timeout_ms,
		.max_bytes = ANSWER_MAX};

	return http_send(t->http, &call, fn, arg);
}

static void on_answer(void *arg, const struct http_answer *answer)
{
	struct target_item *item = arg;
	struct target *t = item->target;

	item->request = NULL;
	if (t->closed)
		return;
	t->plan.in_flight--;
	target_answer(t, item, answer);
	target_pump(t);
}

/* What cannot be made is not there to be delivered. */
static void unsendable(struct target *t, struct target_item *item)
{
	LOG(WARN, "alert_unsendable", LF("target", t->name), LF("event", item->notice.id));
	metric_inc(&target_deliveries, LABELS(t->name, "unreadable"));
	item->state = PLAN_DONE;
	t->plan.in_flight--;
}

/* --- webhooks */

static void send_webhook(struct target *t, struct target_item *item)
{
	_buf_release_ struct buf body = BUF_INIT(BODY_MAX), signature = BUF_INIT(1024);
	int64_t now_s = clock_wall_ms() / 1000;
	char id[WEBHOOK_ID_SIZE], timestamp[24];
	struct headers h = {.n = 0};

	if (webhook_body(&item->notice, &body)) {
		unsendable(t, item);
		return;
	}
	webhook_id(&item->notice, id);
	snprintf(timestamp, sizeof timestamp, "%" PRId64, now_s);
	header(&h, "Content-Type", "application/cloudevents+json; charset=utf-8");
	header(&h, "webhook-id", id);
	header(&h, "webhook-timestamp", timestamp);
	if (t->secrets.n) {
		webhook_signature(&t->secrets, id, now_s, body.data, body.len, &signature);
		header(&h, "webhook-signature", buf_cstr(&signature));
	}
	item->request = post(t, t->url, &h, body.data, body.len, on_answer, item);
}

/* --- Alertmanager */

static int64_t valid_ms(const struct target *t)
{
	int64_t ms = t->resend_ms * VALID_RESENDS;

	return ms > VALID_LEAST ? ms : VALID_LEAST;
}

static struct http_request *post_list(struct target *t, const json_t *list, http_fn *fn, void *arg)
{
	char *body = json_dumps(list, JSON_COMPACT);
	struct http_request *request;
	struct headers h = {.n = 0};

	header(&h, "Content-Type", "application/json");
	if (t->token) {
		_mem_free_ char *bearer = mem_printf("Bearer %s", t->token);

		header(&h, "Authorization", bearer);
	}
	request = post(t, t->url, &h, body, strlen(body), fn, arg);
	free(body);
	mem_wipe(&h, sizeof h);
	return request;
}

static void send_alertmanager(struct target *t, struct target_item *item)
{
	json_t *list = json_array();

	if (alertmanager_add(list, t->fleet, item->notice.data, item->notice.len, clock_wall_ms(),
		    valid_ms(t)))
		unsendable(t, item);
	else
		item->request = post_list(t, list, on_answer, item);
	json_decref(list);
}

void target_send(struct target *t, struct target_item *item)
{
	if (t->kind == TARGET_WEBHOOK)
		send_webhook(t, item);
	else
		send_alertmanager(t, item);
}

/* --- what is open, again */

static void next_page(struct target *t);

void target_resend_stop(struct target *t)
{
	struct target_resend *r = &t->resend;

	http_cancel(r->request);
	json_decref(r->list);
	*r = (struct target_resend){.due_ms = clock_mono_ms() + t->resend_ms, .left = r->left};
}

static void page_over(struct target *t)
{
	t->resend.offset += PAGE;
	if (!t->resend.last_page) {
		next_page(t);
		return;
	}
	target_resend_stop(t);
	target_pump(t);
}

static void on_resent(void *arg, const struct http_answer *answer)
{
	struct target *t = arg;

	t->resend.request = NULL;
	if (t->closed)
		return;
	if (target_answer(t, NULL, answer) == PLAN_DELIVERED)
		page_over(t);
	else
		target_resend_stop(t);
}

static void page_read(struct target *t)
{
	json_t *list = t->resend.list;

	t->resend.list = NULL;
	if (json_array_size(list))
		t->resend.request = post_list(t, list, on_resent, t);
	json_decref(list);
	if (!t->resend.request)
		page_over(t);
}

/* s, d and q of an alert: only what is open, and not silenced. */
static void got_record(void *arg, int err, const struct reply *reply)
{
	struct target *t = arg;
	const char *state, *data;
	size_t len = 0;

	t->resend.left--;
	if (t->closed || !t->resend.active)
		return;
	state = err ? NULL : reply_str(reply_at(reply, 0), NULL);
	data = err ? NULL : reply_str(reply_at(reply, 1), &len);
	if (state && data && !strcmp(state, "open") && reply_type(reply_at(reply, 2)) == REPLY_NIL)
		alertmanager_add(t->resend.list, t->fleet, data, len, clock_wall_ms(), valid_ms(t));
	if (!t->resend.left)
		page_read(t);
}

static void got_keys(void *arg, int err, const struct reply *reply)
{
	struct target *t = arg;
	size_t n = err ? 0 : reply_len(reply);

	t->resend.left--;
	if (t->closed || !t->resend.active)
		return;
	if (err) {
		target_resend_stop(t);
		return;
	}
	t->resend.last_page = n < PAGE;
	t->resend.list = json_array();
	t->resend.left = n;
	for (size_t i = 0; i < n; i++) {
		_mem_free_ char *key = mem_printf(
			"%salert:%s", redis_prefix(t->redis), reply_str(reply_at(reply, i), NULL));

		redis_commandv(t->redis, got_record, t, "HMGET", key, "s", "d", "q", NULL);
	}
	if (!n)
		page_read(t);
}

static void next_page(struct target *t)
{
	_mem_free_ char *key = mem_printf("%salerts:open", redis_prefix(t->redis));
	char first[24], last[24];

	snprintf(first, sizeof first, "%" PRId64, t->resend.offset);
	snprintf(last, sizeof last, "%" PRId64, t->resend.offset + PAGE - 1);
	t->resend.left = 1;
	redis_commandv(t->redis, got_keys, t, "ZRANGE", key, first, last, NULL);
}

/* Alone: an event that ends an alert must not be overtaken by a pass that saw it open. */
void target_resend_start(struct target *t)
{
	if (t->kind != TARGET_ALERTMANAGER || t->resend.active || t->resend.left || t->gone ||
		t->draining || t->plan.in_flight || t->plan.failures || t->phase != TARGET_READ ||
		clock_mono_ms() < t->resend.due_ms || !redis_is_up(t->redis))
		return;
	t->resend.active = true;
	t->resend.offset = 0;
	next_page(t);
}

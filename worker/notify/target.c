#include "worker/notify/target.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/mp.h"
#include "worker/net/retry_after.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PAGE_TEXT "64"

struct metric target_deliveries = {.type = METRIC_COUNTER,
	.name = "certfleet_worker_notify_deliveries_total",
	.help = "Alerts by target and what became of them: delivered, refused and failed (tried "
		"again), gave_up, gone, silenced.",
	.labels = {"target", "result"}};
struct metric target_pending = {.type = METRIC_GAUGE,
	.name = "certfleet_worker_notify_pending",
	.help = "Events in hand that the target has not taken yet.",
	.labels = {"target"}};
struct metric target_oldest = {.type = METRIC_GAUGE,
	.name = "certfleet_worker_notify_oldest_undelivered_seconds",
	.help = "Age of the oldest event that the target has not taken yet, 0 if there is none.",
	.labels = {"target"}};

static void count(const struct target *t, const char *result)
{
	metric_inc(&target_deliveries, LABELS(t->name, result));
}

/* --- what waits */

static void item_free(struct target_item *item)
{
	http_cancel(item->request);
	notice_release(&item->notice);
	free(item);
}

static void drop_all(struct target *t)
{
	target_resend_stop(t);
	for (size_t i = 0; i < t->n; i++)
		item_free(t->items[i]);
	t->n = 0;
	t->plan.in_flight = 0;
	t->phase = TARGET_JOIN;
}

static bool has(const struct target *t, const char *entry)
{
	for (size_t i = 0; i < t->n; i++)
		if (!strcmp(t->items[i]->notice.entry, entry))
			return true;
	return false;
}

/* Why an event is not sent at all; NULL: it is. */
static const char *passed_over(const struct target *t, const struct notice *n, int err)
{
	if (err)
		return "unreadable";
	if (!(t->events & 1u << n->kind))
		return "not_wanted";
	if (t->gone)
		return "gone";
	return n->silenced ? "silenced" : NULL;
}

static void add(struct target *t, const struct reply *entry)
{
	struct target_item *item = mem_zalloc(sizeof *item);
	int err = notice_read(entry, &item->notice);
	const char *why = passed_over(t, &item->notice, err);

	item->target = t;
	if (!item->notice.entry[0] || has(t, item->notice.entry)) {
		item_free(item);
		return;
	}
	if (why) {
		item->state = PLAN_DONE;
		if (strcmp(why, "not_wanted") != 0)
			count(t, why);
	}
	t->items[t->n++] = item;
}

/* --- acknowledging */

static void remove_acked(struct target *t)
{
	size_t kept = 0;

	for (size_t i = 0; i < t->n; i++)
		if (t->items[i]->acking)
			item_free(t->items[i]);
		else
			t->items[kept++] = t->items[i];
	t->n = kept;
}

static void acked(void *arg, int err, const struct reply *reply)
{
	struct target *t = arg;

	(void)reply;
	t->acking = false;
	if (t->closed)
		return;
	if (err) { /* again at the next turn; the target has them already */
		for (size_t i = 0; i < t->n; i++)
			t->items[i]->acking = false;
		return;
	}
	remove_acked(t);
	target_pump(t);
}

static void acknowledge(struct target *t)
{
	const char *argv[3 + TARGET_PAGE] = {"XACK", t->stream, t->group};
	size_t argc = 3;

	if (t->acking || !redis_is_up(t->redis))
		return;
	for (size_t i = 0; i < t->n && argc < ARRAY_LEN(argv); i++)
		if (t->items[i]->state == PLAN_DONE) {
			t->items[i]->acking = true;
			argv[argc++] = t->items[i]->notice.entry;
		}
	if (argc == 3)
		return;
	t->acking = true;
	redis_command(t->redis, argc, argv, NULL, acked, t);
}

/* --- what a target answered */

void target_tell(struct target *t, const char *condition, bool open, const char *text)
{
	_buf_release_ struct buf data = BUF_INIT(4096);
	_mem_free_ char *key = mem_printf("%sedges", redis_prefix(t->redis));
	_mem_free_ char *full = mem_printf("%s:%s", condition, t->name);
	_mem_free_ char *id =
		mem_printf("fleet/%s/%s/%" PRId64, full, open ? "open" : "end", clock_wall_ms());
	size_t map = mp_map_open(&data);

	mp_key_int(&data, "V", 1);
	mp_key_str(&data, "condition", full);
	mp_key_bool(&data, "open", open);
	mp_key_str(&data, "endpoint", "");
	mp_key_str(&data, "severity", "warning");
	mp_key_str(&data, "actor", "operator");
	mp_key_str(&data, "text", text);
	mp_map_close(&data, map);
	const char *argv[] = {
		"XADD", key, "*", "id", id, "type", full, "subject", "", "data", data.data};
	size_t lens[ARRAY_LEN(argv)];

	for (size_t i = 0; i < ARRAY_LEN(argv); i++)
		lens[i] = strlen(argv[i]);
	lens[ARRAY_LEN(argv) - 1] = data.len;
	redis_command(t->redis, ARRAY_LEN(argv), argv, lens, NULL, NULL);
}

#define ALARM_MS (2 * CLOCK_MINUTE_MS) /* a target may be restarted without an alert */

static void works(struct target *t)
{
	if (t->plan.failures)
		LOG(INFO, "target_works", LF("target", t->name));
	if (t->told != TOLD_WELL) /* another sender may have said that it fails */
		target_tell(t, "webhook_failing", false, "");
	t->told = TOLD_WELL;
	t->plan.failures = 0;
	t->failing_since_ms = 0;
}

static void fails(struct target *t, const char *why, int64_t retry_after_ms, double roll)
{
	int64_t now = clock_wall_ms();
	_mem_free_ char *text = NULL;
	char human[CLOCK_HUMAN_LEN];

	if (!t->plan.failures)
		LOG(WARN, "target_fails", LF("target", t->name), LF("why", why));
	if (t->plan.failures && clock_mono_ms() < t->plan.not_before_ms)
		return; /* one of several that were on their way: one failure */
	t->plan.failures++;
	t->plan.not_before_ms =
		clock_mono_ms() + plan_backoff(t->plan.failures, t->policy.first_ms,
					  t->policy.longest_ms, retry_after_ms, roll);
	if (!t->failing_since_ms)
		t->failing_since_ms = now;
	if (t->told == TOLD_FAILING || now - t->failing_since_ms < ALARM_MS)
		return;
	text = mem_printf("%s takes no alert for %s: %s", t->name,
		clock_human(now - t->failing_since_ms, human), why);
	target_tell(t, "webhook_failing", true, text);
	t->told = TOLD_FAILING;
}

static void is_gone(struct target *t)
{
	_mem_free_ char *key = mem_printf("%snotify:gone", redis_prefix(t->redis));
	_mem_free_ char *text = mem_printf("%s answered 410 Gone and gets no more alerts", t->name);
	char now[24];

	LOG(WARN, "target_gone", LF("target", t->name));
	t->gone = true;
	t->gone_ms = clock_mono_ms();
	snprintf(now, sizeof now, "%" PRId64, clock_wall_ms());
	redis_commandv(t->redis, NULL, NULL, "HSET", key, t->name, now, NULL);
	target_tell(t, "webhook_gone", true, text);
	for (size_t i = 0; i < t->n; i++)
		if (t->items[i]->state == PLAN_WAITING) {
			t->items[i]->state = PLAN_DONE;
			count(t, "gone");
		}
}

static double random_roll(void)
{
	uint32_t r = 0;

	if (uv_random(NULL, NULL, &r, sizeof r, 0, NULL))
		r = (uint32_t)clock_mono_ms();
	return (double)r / 4294967296.0;
}

static void refused(struct target *t, struct target_item *item, const struct http_answer *a)
{
	item->tries++;
	item->not_before_ms =
		clock_mono_ms() +
		plan_backoff(item->tries, t->policy.first_ms, t->policy.longest_ms,
			retry_after_parse(a->retry_after, clock_wall_ms()), random_roll());
	LOG(WARN, "alert_refused", LF("target", t->name), LF("event", item->notice.id),
		LF_INT("status", a->status));
}

enum plan_result target_answer(
	struct target *t, struct target_item *item, const struct http_answer *a)
{
	enum plan_result r = plan_judge(a->err, a->status);
	char status[32];

	snprintf(status, sizeof status, "HTTP status %d", a->status);
	if (r == PLAN_FAILED)
		fails(t, a->err ? a->why.text : status,
			retry_after_parse(a->retry_after, clock_wall_ms()), random_roll());
	else if (r == PLAN_GONE)
		is_gone(t);
	else
		works(t);
	if (!item)
		return r;
	item->state = r == PLAN_DELIVERED || r == PLAN_GONE ? PLAN_DONE : PLAN_WAITING;
	if (r == PLAN_REFUSED)
		refused(t, item, a);
	count(t, r == PLAN_DELIVERED ? "delivered"
		 : r == PLAN_GONE    ? "gone"
		 : r == PLAN_REFUSED ? "refused"
				     : "failed");
	return r;
}

/* --- reading */

static void begin_again(struct target *t)
{
	t->phase = TARGET_JOIN;
	snprintf(t->cursor, sizeof t->cursor, "0-0");
}

static void add_all(struct target *t, const struct reply *entries)
{
	for (size_t i = 0; i < reply_len(entries) && t->n < TARGET_QUEUE_MAX; i++)
		add(t, reply_at(entries, i));
}

static bool came(struct target *t, int err)
{
	t->reading = false;
	if (t->closed || !t->ours)
		return false;
	if (err)
		begin_again(t);
	return !err;
}

static void got_new(void *arg, int err, const struct reply *reply)
{
	struct target *t = arg;

	if (!came(t, err))
		return;
	add_all(t, reply_at(reply_at(reply, 0), 1));
	target_pump(t);
}

/* Senders that are gone leave their names; without pending entries they are nothing. */
static void got_consumers(void *arg, int err, const struct reply *reply)
{
	struct target *t = arg;

	for (size_t i = 0; !err && !t->closed && t->ours && i < reply_len(reply); i++) {
		const struct reply *row = reply_at(reply, i);
		const char *name = reply_str(reply_at(row, 1), NULL);

		if (name && strcmp(name, t->consumer) != 0 && !reply_int(reply_at(row, 3)))
			redis_commandv(t->redis, NULL, NULL, "XGROUP", "DELCONSUMER", t->stream,
				t->group, name, NULL);
	}
}

static void got_claimed(void *arg, int err, const struct reply *reply)
{
	struct target *t = arg;
	const char *next;

	if (!came(t, err))
		return;
	next = reply_str(reply_at(reply, 0), NULL);
	snprintf(t->cursor, sizeof t->cursor, "%s", next ? next : "0-0");
	add_all(t, reply_at(reply, 1));
	if (!strcmp(t->cursor, "0-0")) {
		t->phase = TARGET_READ;
		redis_commandv(t->redis, got_consumers, t, "XINFO", "CONSUMERS", t->stream,
			t->group, NULL);
	}
	target_pump(t);
}

static void got_group(void *arg, int err, const struct reply *reply)
{
	struct target *t = arg;
	const char *text = reply ? reply_str(reply, NULL) : NULL;
	bool there = err && text && !strncmp(text, "BUSYGROUP", 9);

	if (!came(t, there ? 0 : err))
		return;
	if (!there)
		LOG(INFO, "target_joined", LF("target", t->name), LF("group", t->group));
	t->phase = TARGET_CLAIM;
	snprintf(t->cursor, sizeof t->cursor, "0-0");
	target_pump(t);
}

/* The lease is ours, so whoever else has pending entries is gone: no idle time is asked for. */
static void read_more(struct target *t)
{
	if (t->reading || t->draining || t->n + TARGET_PAGE > TARGET_QUEUE_MAX ||
		!redis_is_up(t->redis))
		return;
	t->reading = true;
	switch (t->phase) {
	case TARGET_JOIN:
		redis_commandv(t->redis, got_group, t, "XGROUP", "CREATE", t->stream, t->group, "$",
			"MKSTREAM", NULL);
		break;
	case TARGET_CLAIM:
		redis_commandv(t->redis, got_claimed, t, "XAUTOCLAIM", t->stream, t->group,
			t->consumer, "0", t->cursor, "COUNT", PAGE_TEXT, NULL);
		break;
	case TARGET_READ:
		redis_commandv(t->redis, got_new, t, "XREADGROUP", "GROUP", t->group, t->consumer,
			"COUNT", PAGE_TEXT, "STREAMS", t->stream, ">", NULL);
		break;
	}
}

/* --- the turn */

static void give_up_old(struct target *t)
{
	int64_t oldest = clock_wall_ms() - t->policy.give_up_ms;

	for (size_t i = 0; i < t->n; i++) {
		struct target_item *item = t->items[i];

		if (item->state != PLAN_WAITING || item->notice.at_ms >= oldest ||
			!(t->plan.failures || item->tries))
			continue;
		LOG(WARN, "alert_given_up", LF("target", t->name), LF("event", item->notice.id));
		item->state = PLAN_DONE;
		count(t, "gave_up");
	}
}

static void send_due(struct target *t)
{
	struct plan_item items[TARGET_QUEUE_MAX];
	int64_t now = clock_mono_ms();
	size_t at;

	if (t->resend.active || t->draining)
		return;
	for (size_t i = 0; i < t->n; i++)
		items[i] = (struct plan_item){.state = t->items[i]->state,
			.key = t->items[i]->notice.key,
			.not_before_ms = t->items[i]->not_before_ms};
	while ((at = plan_next(items, t->n, &t->plan, now)) != PLAN_NONE) {
		items[at].state = t->items[at]->state = PLAN_SENT;
		t->plan.in_flight++;
		target_send(t, t->items[at]);
	}
}

void target_pump(struct target *t)
{
	if (!t->ours || t->closed)
		return;
	read_more(t);
	give_up_old(t);
	target_resend_start(t);
	send_due(t);
	acknowledge(t);
}

void target_lease(struct target *t, bool ours, bool gone, int64_t asked_ms)
{
	if (t->gone && t->gone_ms >= asked_ms)
		gone = true; /* the book did not know yet */
	if (ours && t->gone && !gone) {
		LOG(INFO, "target_enabled", LF("target", t->name));
		target_tell(t, "webhook_gone", false, "");
	}
	t->gone = gone;
	if (ours == t->ours)
		return;
	t->ours = ours;
	LOG(INFO, ours ? "target_taken" : "target_left", LF("target", t->name));
	begin_again(t);
	t->plan.failures = 0;
	t->failing_since_ms = 0;
	t->told = TOLD_NOTHING;
	if (!ours)
		drop_all(t);
}

bool target_idle(const struct target *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->items[i]->state == PLAN_DONE)
			return false;
	return !t->plan.in_flight && !t->resend.active && !t->acking && !t->reading;
}

void target_show(const struct target *t)
{
	int64_t oldest = 0;
	size_t pending = 0;

	for (size_t i = 0; i < t->n; i++) {
		if (t->items[i]->state == PLAN_DONE)
			continue;
		if (!pending++)
			oldest = clock_wall_ms() - t->items[i]->notice.at_ms;
	}
	metric_set(&target_pending, (double)pending, LABELS(t->name));
	metric_set(&target_oldest, oldest > 0 ? (double)oldest / 1000.0 : 0, LABELS(t->name));
}

void target_close(struct target *t)
{
	t->closed = true;
	drop_all(t);
	http_client_free(t->http);
	t->http = NULL;
}

void target_free(struct target *t)
{
	free(t->url);
	free(t->group);
	free(t->stream);
	if (t->token)
		mem_wipe_free(t->token, strlen(t->token));
	webhook_secrets_wipe(&t->secrets);
	free(t);
}

/* target.h - one place that alerts are brought to: what waits for it, and how it does. */
#pragma once

#include "common/metrics.h"
#include "common/redis.h"
#include "worker/net/http.h"
#include "worker/notify/notice.h"
#include "worker/notify/plan.h"
#include "worker/notify/webhook.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define TARGET_QUEUE_MAX 256
#define TARGET_PAGE      64
#define TARGET_NAME_SIZE 96

enum target_kind { TARGET_WEBHOOK, TARGET_ALERTMANAGER };
enum target_phase { TARGET_JOIN, TARGET_CLAIM, TARGET_READ };

struct target;

/** One event on its way. */
struct target_item {
	struct target *target;
	struct notice notice;
	enum plan_state state;
	bool acking;
	uint32_t tries;
	int64_t not_before_ms;
	struct http_request *request;
};

/** A pass over what is open, for Alertmanager, which forgets what is not said again. */
struct target_resend {
	bool active;
	int64_t due_ms, offset;
	size_t left; /* records still to come */
	bool last_page;
	json_t *list;
	struct http_request *request;
};

struct target_policy {
	int64_t first_ms, longest_ms, give_up_ms;
};

struct target {
	/* What it is. */
	enum target_kind kind;
	char name[TARGET_NAME_SIZE];
	char *url, *group, *token;
	struct webhook_secrets secrets;
	uint32_t events; /* bits 1 << enum notice_kind */
	int64_t timeout_ms, resend_ms;
	struct target_policy policy;
	const char *fleet, *consumer; /* borrowed */
	struct redis *redis;
	struct http_client *http;
	char *stream; /* key of the stream `alerts` */
	/* How it does. */
	bool ours, closed, draining;
	bool gone; /* it answered 410 */
	int64_t gone_ms;
	enum target_phase phase;
	char cursor[NOTICE_ENTRY_LEN];
	bool reading, acking;
	struct target_item *items[TARGET_QUEUE_MAX];
	size_t n;
	struct plan_target plan;
	int64_t failing_since_ms; /* wall clock; 0: it does not */
	enum { TOLD_NOTHING, TOLD_FAILING, TOLD_WELL } told;
	struct target_resend resend;
};

extern struct metric target_deliveries; /* target, result */
extern struct metric target_pending;    /* target */
extern struct metric target_oldest;     /* target */

/** The lease: won or kept; or lost, and then everything is dropped. gone: by the fleet's book, as
 * it was asked for at asked_ms. */
void target_lease(struct target *t, bool ours, bool gone, int64_t asked_ms);
/** Goes on with whatever is due. */
void target_pump(struct target *t);
/** Nothing is on its way to the target or to Redis. */
bool target_idle(const struct target *t);
void target_show(const struct target *t);
/** Ends requests and drops what waits. */
void target_close(struct target *t);
void target_free(struct target *t);

/* Between target.c and its parts. */

/** Sends an item; its answer comes to target_answer(). */
void target_send(struct target *t, struct target_item *item);
/** The target answered, or did not: for one event, or for a pass over what is open (item NULL). */
enum plan_result target_answer(
	struct target *t, struct target_item *item, const struct http_answer *answer);
/** Begins a pass when it is time. */
void target_resend_start(struct target *t);
void target_resend_stop(struct target *t);
/** Says to the fleet how the target does: an edge. */
void target_tell(struct target *t, const char *condition, bool open, const char *text);

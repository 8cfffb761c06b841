/* What the fleet has: open alerts, workers, and what is left of the authorities' limits. */
#include "common/clock.h"
#include "common/mem.h"
#include "common/runbook.h"
#include "common/str.h"
#include "scheduler/api/v1_internal.h"
#include "scheduler/cli/facts.h"
#include "scheduler/cli/quotas.h"
#include "scheduler/cli/stream.h"
#include "scheduler/cli/words.h"

#include <stdio.h>
#include <string.h>

#define SILENT_MS 60000 /* a worker that gave no sign for so long */

/* --- lists of keys: the newest of them, and a command for each */

struct list {
	const char *keys;    /* a ZSET */
	const char *member;  /* before the key of each */
	const char *argv[3]; /* how it is read: HGETALL; HMGET and its fields */
	v1_read_fn *read;
};

struct reading {
	struct v1_call *call;
	const struct list *list;
};

static void ask_one(struct v1_call *c, const struct list *list, const char *key)
{
	_mem_free_ char *name =
		mem_printf("%s%s%s", redis_prefix(c->v1->o.redis), list->member, key);

	redis_commandv(c->v1->o.redis, v1_member_read, v1_member(c, key, list->read), list->argv[0],
		name, list->argv[1], list->argv[2], NULL);
}

static void got_keys(void *arg, int err, const struct reply *keys)
{
	struct reading r = *(struct reading *)arg;
	struct v1_call *c = r.call;

	free(arg);
	c->left = 0;
	c->err = err;
	c->answer = json_array();
	for (size_t i = 0; !err && i < reply_len(keys); i++)
		if (reply_str(reply_at(keys, i), NULL))
			ask_one(c, r.list, reply_str(reply_at(keys, i), NULL));
	if (!c->left)
		v1_end_list(c);
}

static void read_newest(struct v1_call *c, const struct list *list, size_t limit)
{
	_mem_free_ char *name = mem_printf("%s%s", redis_prefix(c->v1->o.redis), list->keys);
	struct reading *r = mem_alloc(sizeof *r);
	char last[24];

	*r = (struct reading){c, list};
	snprintf(last, sizeof last, "%zu", limit - 1);
	c->left = 1;
	redis_commandv(c->v1->o.redis, got_keys, r, "ZREVRANGE", name, "0", last, NULL);
}

/* With a key that one alone, also when it is over, for as long as it is remembered. */
static void read_list(struct v1_call *c, const struct list *list, const char *key)
{
	size_t limit;

	if (!v1_number(c, "limit", 1, V1_LIST_MAX, V1_LIST, &limit))
		return;
	if (!key) {
		read_newest(c, list, limit);
		return;
	}
	if (strlen(key) > V1_KEY_MAX) {
		v1_problemf(c, 400, "invalid", "key: expected at most %d bytes", V1_KEY_MAX);
		return;
	}
	c->answer = json_array();
	ask_one(c, list, key);
}

/* --- alerts */

/* What a condition means, in a clause; "" of one that is not known. */
static const char *means(const char *condition)
{
	const struct runbook *r = condition ? runbook_of(condition) : NULL;

	if (!condition || (!r && !words_known(condition)))
		return "";
	return r ? r->means : words_means(condition);
}

/* Whether it is quiet at this moment; its data are of when it was last said. */
static void put_silence(json_t *j, const char *id)
{
	const json_t *said = json_object_get(json_object_get(j, "silence"), "id");

	json_object_set_new(j, "silenced", json_boolean(id != NULL));
	if (!id)
		json_object_del(j, "silence");
	else if (!json_is_string(said) || strcmp(json_string_value(said), id) != 0)
		json_object_set_new(j, "silence", json_pack("{s:o}", "id", json_text(id)));
}

/* The data of an alert, and the silence that keeps it quiet. */
static json_t *read_alert(struct v1_call *c, const char *key, const struct reply *reply)
{
	size_t n = 0;
	const char *data = reply_str(reply_at(reply, 0), &n);
	json_t *j = data ? stream_data_json(data, n) : NULL;
	const char *tenant = json_string_value(json_object_get(j, "tenant"));
	const char *endpoint = json_string_value(json_object_get(j, "endpoint"));

	if (!json_is_object(j) || !v1_may(c, tenant ? tenant : "", endpoint ? endpoint : "")) {
		json_decref(j);
		return NULL;
	}
	if (!json_object_get(j, "key"))
		json_object_set_new(j, "key", json_text(key));
	put_silence(j, reply_str(reply_at(reply, 1), NULL));
	json_object_set_new(
		j, "means", json_text(means(json_string_value(json_object_get(j, "condition")))));
	return j;
}

void v1_alerts(struct v1_call *c)
{
	static const struct list alerts = {
		"alerts:open", "alert:", {"HMGET", "d", "q"}, read_alert};

	read_list(c, &alerts, httpd_query(c->http, "key"));
}

/* --- workers */

static bool is_number(const char *name)
{
	static const char *const numbers[] = {"pid", "verify_running", "verify_slots",
		"issue_running", "issue_slots", "looked", "turned", "ca_apart"};

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		if (strcmp(numbers[i], name) == 0)
			return true;
	return false;
}

static int64_t number_of(const struct reply *r)
{
	const char *text = reply_str(r, NULL);
	bool below = text && *text == '-';
	uint64_t n = 0;

	if (!text || str_parse_u64(text + below, INT64_MAX, &n))
		return 0;
	return below ? -(int64_t)n : (int64_t)n;
}

static void put_worker_field(json_t *j, const char *name, const struct reply *value)
{
	const char *text = reply_str(value, NULL);

	if (strcmp(name, "beat") == 0 || strcmp(name, "started") == 0)
		json_object_set_new(j, name, json_time(number_of(value)));
	else if (is_number(name))
		json_object_set_new(j, name, json_integer((json_int_t)number_of(value)));
	else
		json_object_set_new(j, name, json_text(text ? text : ""));
}

static json_t *read_worker(struct v1_call *c, const char *key, const struct reply *reply)
{
	json_t *j = json_pack("{s:o}", "name", json_text(key));
	int64_t beat = 0;

	(void)c;
	for (size_t i = 0; i + 1 < reply_len(reply); i += 2) {
		const char *name = reply_str(reply_at(reply, i), NULL);

		if (name && strcmp(name, "beat") == 0)
			beat = number_of(reply_at(reply, i + 1));
		if (name && strlen(name) < 64)
			put_worker_field(j, name, reply_at(reply, i + 1));
	}
	json_object_set_new(j, "alive", json_boolean(clock_wall_ms() - beat < SILENT_MS));
	return j;
}

void v1_workers(struct v1_call *c)
{
	static const struct list workers = {"workers", "w:", {"HGETALL"}, read_worker};

	read_list(c, &workers, NULL);
}

/* --- quotas: of each authority, how many new orders its account may place now (GCRA: the key says
 * when the limit is wholly free again) */

static json_t *read_quota(struct v1_call *c, const char *key, const struct reply *reply)
{
	const struct config_authority *a = config_authority(c->v1->o.config, key);
	const struct config_rate *rate = &a->limits.new_orders;
	int64_t free_ms = number_of(reply), now = clock_wall_ms();

	return json_pack("{s:s s:s s:I s:I s:I s:o}", "authority", a->name, "limit", "new_orders",
		"burst", (json_int_t)rate->count, "window_seconds",
		(json_int_t)(rate->window_ms / 1000), "left",
		(json_int_t)quotas_left(rate, free_ms, now), "free_at",
		json_time(free_ms > now ? free_ms : 0));
}

void v1_quotas(struct v1_call *c)
{
	const struct config_authorities *all = &c->v1->o.config->authorities;

	c->answer = json_array();
	for (size_t i = 0; i < all->n; i++) {
		_mem_free_ char *name = mem_printf(
			"%squota:%s:new_orders", redis_prefix(c->v1->o.redis), all->items[i].name);

		if (all->items[i].limits.new_orders.count)
			redis_commandv(c->v1->o.redis, v1_member_read,
				v1_member(c, all->items[i].name, read_quota), "GET", name, NULL);
	}
	if (!c->left)
		v1_end_list(c);
}

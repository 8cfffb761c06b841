/* What the fleet has: open alerts, workers, jobs that run or are parked, and what is left of the
 * authorities' limits. A list of keys is read first, then each of them, side by side. */
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

#define LIST_MAX  1000
#define SILENT_MS 60000 /* a worker that gave no sign for so long */

/* --- members of a list, each read by a command of its own */

typedef json_t *read_fn(struct v1_call *c, const char *key, const struct reply *reply);

struct member {
	struct v1_call *call;
	size_t at;
	read_fn *read;
	char key[320];
};

/* Ends the call with {what: [those that are not null], …}. */
static void end_list(struct v1_call *c)
{
	json_t *list = json_array(), *item;
	size_t i;

	if (c->err) {
		json_decref(list);
		v1_redis_problem(c, c->err);
		return;
	}
	json_array_foreach(c->answer, i, item)
	{
		if (!json_is_null(item))
			json_array_append(list, item);
	}
	v1_json(c, 200, json_pack("{s:o}", strrchr(c->route->pattern, '/') + 1, list));
}

static void member_read(void *arg, int err, const struct reply *reply)
{
	struct member *m = arg;
	struct v1_call *c = m->call;
	json_t *j = err ? NULL : m->read(c, m->key, reply);

	if (err && err != CF_EREDIS && !c->err)
		c->err = err;
	if (j)
		json_array_set_new(c->answer, m->at, j);
	free(m);
	if (--c->left == 0)
		end_list(c);
}

/* A place in the answer for what redis_commandv() is to bring. */
static struct member *member_new(struct v1_call *c, const char *key, read_fn *read)
{
	struct member *m = mem_zalloc(sizeof *m);

	m->call = c;
	m->at = json_array_size(c->answer);
	m->read = read;
	snprintf(m->key, sizeof m->key, "%s", key);
	json_array_append_new(c->answer, json_null());
	c->left++;
	return m;
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

static void ask_alert(struct v1_call *c, const char *key)
{
	_mem_free_ char *name = mem_printf("%salert:%s", redis_prefix(c->v1->o.redis), key);

	redis_commandv(c->v1->o.redis, member_read, member_new(c, key, read_alert), "HMGET", name,
		"d", "q", NULL);
}

static void got_alerts(void *arg, int err, const struct reply *keys)
{
	struct v1_call *c = arg;

	c->left = 0;
	c->err = err;
	c->answer = json_array();
	for (size_t i = 0; !err && i < reply_len(keys); i++)
		if (reply_str(reply_at(keys, i), NULL))
			ask_alert(c, reply_str(reply_at(keys, i), NULL));
	if (!c->left)
		end_list(c);
}

/* The list has it alone, also when it is over, for as long as it is remembered. */
static void one_alert(struct v1_call *c, const char *key)
{
	if (strlen(key) >= sizeof((struct member *)NULL)->key) {
		v1_problem(c, 400, "invalid", "key: too long");
		return;
	}
	c->answer = json_array();
	ask_alert(c, key);
}

/* Sends "COMMAND PREFIXkey 0 limit-1". */
static void read_keys(struct v1_call *c, const char *command, const char *key, redis_reply_fn *done)
{
	_mem_free_ char *name = mem_printf("%s%s", redis_prefix(c->v1->o.redis), key);
	char last[24];
	size_t limit;

	if (!v1_number(c, "limit", 1, LIST_MAX, 200, &limit))
		return;
	snprintf(last, sizeof last, "%zu", limit - 1);
	c->left = 1;
	redis_commandv(c->v1->o.redis, done, c, command, name, "0", last, NULL);
}

void v1_alerts(struct v1_call *c)
{
	const char *key = httpd_query(c->http, "key");

	if (key) {
		one_alert(c, key);
		return;
	}
	read_keys(c, "ZREVRANGE", "alerts:open", got_alerts);
}

/* --- workers */

static bool is_number(const char *name)
{
	static const char *const numbers[] = {
		"pid", "verify_running", "verify_slots", "issue_running", "issue_slots"};

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		if (strcmp(numbers[i], name) == 0)
			return true;
	return false;
}

static int64_t number_of(const struct reply *r)
{
	const char *text = reply_str(r, NULL);
	uint64_t n = 0;

	return text && !str_parse_u64(text, INT64_MAX, &n) ? (int64_t)n : 0;
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

static void got_workers(void *arg, int err, const struct reply *keys)
{
	struct v1_call *c = arg;
	const char *prefix = redis_prefix(c->v1->o.redis);

	c->left = 0;
	c->err = err;
	c->answer = json_array();
	for (size_t i = 0; !err && i < reply_len(keys); i++) {
		const char *key = reply_str(reply_at(keys, i), NULL);
		_mem_free_ char *name = mem_printf("%sw:%s", prefix, key ? key : "");

		if (key)
			redis_commandv(c->v1->o.redis, member_read, member_new(c, key, read_worker),
				"HGETALL", name, NULL);
	}
	if (!c->left)
		end_list(c);
}

void v1_workers(struct v1_call *c)
{
	read_keys(c, "ZREVRANGE", "workers", got_workers);
}

/* --- jobs: what runs and what is parked, of both queues */

static json_t *job_json(struct v1_call *c, const struct reply *reply, enum queue_id q)
{
	struct facts f = {0};
	json_t *j = NULL;

	if (v1_facts(c->v1, reply, false, &f))
		return NULL;
	if (v1_may(c, f.endpoint.config.tenant, f.endpoint.config.id) &&
		f.endpoint.jobs[q].where != JOB_NONE && f.endpoint.jobs[q].where != JOB_DUE)
		j = facts_job_json(&f, q);
	facts_release(&f);
	return j;
}

static json_t *read_verify_job(struct v1_call *c, const char *key, const struct reply *reply)
{
	(void)key;
	return job_json(c, reply, QUEUE_VERIFY);
}

static json_t *read_issue_job(struct v1_call *c, const char *key, const struct reply *reply)
{
	(void)key;
	return job_json(c, reply, QUEUE_ISSUE);
}

struct jobs_list {
	struct v1_call *call;
	read_fn *read;
};

static void got_jobs(void *arg, int err, const struct reply *ids)
{
	struct jobs_list *l = arg;
	struct v1_call *c = l->call;

	if (err && err != CF_EREDIS && !c->err)
		c->err = err;
	for (size_t i = 0; !err && i < reply_len(ids); i++) {
		const char *id = reply_str(reply_at(ids, i), NULL);

		if (id)
			v1_read(c, id, member_read, member_new(c, id, l->read));
	}
	free(l);
	if (--c->left == 0)
		end_list(c);
}

void v1_jobs(struct v1_call *c)
{
	static const struct {
		const char *key;
		read_fn *read;
	} lists[] = {{"parked:issue", read_issue_job}, {"parked:verify", read_verify_job},
		{"run:issue", read_issue_job}, {"run:verify", read_verify_job}};
	char last[24];
	size_t limit;

	if (!v1_number(c, "limit", 1, LIST_MAX, 200, &limit))
		return;
	snprintf(last, sizeof last, "%zu", limit - 1);
	c->answer = json_array();
	c->left = ARRAY_LEN(lists);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		_mem_free_ char *name =
			mem_printf("%s%s", redis_prefix(c->v1->o.redis), lists[i].key);
		struct jobs_list *l = mem_alloc(sizeof *l);

		*l = (struct jobs_list){c, lists[i].read};
		redis_commandv(c->v1->o.redis, got_jobs, l, "ZRANGE", name, "0", last, NULL);
	}
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
			redis_commandv(c->v1->o.redis, member_read,
				member_new(c, all->items[i].name, read_quota), "GET", name, NULL);
	}
	if (!c->left)
		end_list(c);
}

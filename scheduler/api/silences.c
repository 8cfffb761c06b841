/* Silences (scheduler/silence.h): what an operator does not want to hear of for a while. No leader
 * is needed: the script keeps them, and whoever leads says again what they kept quiet.
 *
 *	POST ──► add ──► mark (64 open alerts each time, until none is left) ──► read ──► 201
 */
#include "common/clock.h"
#include "common/mem.h"
#include "scheduler/api/v1_internal.h"
#include "scheduler/silence.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SECONDS_MAX (366 * 86400)

static void run(
	struct v1_call *c, size_t argc, const char *const *argv, redis_reply_fn *done, void *arg)
{
	c->left = 1;
	redis_script(c->v1->o.redis, "alert_silence", argc, argv, NULL, done, arg);
}

/* True when the call is over: Redis did not do it, or we are closing. */
static bool over(struct v1_call *c, int err)
{
	c->left = 0;
	if (!err && !c->v1->closed)
		return false;
	v1_redis_problem(c, err);
	return true;
}

static void none(struct v1_call *c)
{
	v1_problemf(c, 404, "not_found", "there is no silence \"%s\"", c->id);
}

/* --- one */

struct making {
	struct v1_call *call;
	struct silence silence;
	int64_t first, marked;
};

static json_t *read_one(const struct reply *reply)
{
	size_t n = 0;
	const char *bytes = reply_str(reply, &n);
	struct silence s;

	return bytes && silence_decode(bytes, n, &s) == 0 ? silence_json(&s, clock_wall_ms())
							  : NULL;
}

static void ask_one(struct v1_call *c, const char *id, redis_reply_fn *done, void *arg)
{
	_mem_free_ char *key = mem_printf("%ssilences", redis_prefix(c->v1->o.redis));

	c->left = 1;
	redis_commandv(c->v1->o.redis, done, arg, "HGET", key, id, NULL);
}

static void shown(void *arg, int err, const struct reply *reply)
{
	struct v1_call *c = arg;
	json_t *j;

	if (over(c, err))
		return;
	j = read_one(reply);
	if (j)
		v1_json(c, 200, j);
	else
		none(c);
}

void v1_silence(struct v1_call *c)
{
	ask_one(c, c->id, shown, c);
}

/* --- all, the one that ends first first */

static int by_end(const void *a, const void *b)
{
	const struct silence *x = a, *y = b;

	if (x->till_ms != y->till_ms)
		return x->till_ms < y->till_ms ? -1 : 1;
	return strcmp(x->id, y->id);
}

static void listed(void *arg, int err, const struct reply *reply)
{
	struct v1_call *c = arg;
	_mem_free_ struct silence *all = NULL;
	json_t *list = NULL;
	size_t n = 0, len;

	if (over(c, err))
		return;
	all = mem_array(reply_len(reply) + 1, sizeof *all);
	for (size_t i = 0; i < reply_len(reply); i++) {
		const char *bytes = reply_str(reply_at(reply, i), &len);

		n += bytes && silence_decode(bytes, len, &all[n]) == 0;
	}
	qsort(all, n, sizeof *all, by_end);
	list = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, silence_json(&all[i], clock_wall_ms()));
	v1_json(c, 200, json_pack("{s:o}", "silences", list));
}

void v1_silences(struct v1_call *c)
{
	_mem_free_ char *key = mem_printf("%ssilences", redis_prefix(c->v1->o.redis));

	c->left = 1;
	redis_commandv(c->v1->o.redis, listed, c, "HVALS", key, NULL);
}

/* --- a new one */

static void made(void *arg, int err, const struct reply *reply)
{
	struct making *m = arg;
	struct v1_call *c = m->call;
	_mem_free_ char *location = mem_printf("/v1/silences/%s", m->silence.id);
	const char *const headers[] = {"Location", location, NULL};
	json_t *j;

	if (!over(c, err)) {
		j = read_one(reply);
		if (!j) /* it was ended and forgotten meanwhile */
			j = silence_json(&m->silence, clock_wall_ms());
		json_object_set_new(j, "open", json_integer((json_int_t)m->marked));
		v1_json_headers(c, 201, j, headers);
	}
	free(m);
}

static void mark(struct making *m);

static void marked(void *arg, int err, const struct reply *reply)
{
	struct making *m = arg;
	int64_t looked = reply_int(reply_at(reply, 0));

	if (over(m->call, err)) {
		free(m);
		return;
	}
	m->marked += reply_int(reply_at(reply, 1));
	m->first += SILENCE_MARK;
	if (looked == SILENCE_MARK)
		mark(m);
	else
		ask_one(m->call, m->silence.id, made, m);
}

static void mark(struct making *m)
{
	char first[24];
	const char *argv[] = {"mark", m->silence.id, first};

	snprintf(first, sizeof first, "%" PRId64, m->first);
	run(m->call, 3, argv, marked, m);
}

static void added(void *arg, int err, const struct reply *reply)
{
	struct making *m = arg;
	bool full = !err && reply_int(reply) == CF_ETOOBIG;

	if (over(m->call, err)) {
		free(m);
	} else if (full) {
		v1_problemf(m->call, 409, "too_many",
			"there are %d silences already: end some of them", SILENCES_MAX);
		free(m);
	} else {
		mark(m);
	}
}

static void add(struct making *m)
{
	_buf_release_ struct buf item = BUF_INIT(2048);
	const char *argv[] = {"add", NULL};
	size_t lens[] = {3, 0};

	silence_encode(&m->silence, &item);
	argv[1] = item.data;
	lens[1] = item.len;
	m->call->left = 1;
	redis_script(m->call->v1->o.redis, "alert_silence", 2, argv, lens, added, m);
}

void v1_silence_add(struct v1_call *c)
{
	const char *field, *pattern, *reason;
	struct why why = {""};
	struct making *m;
	int64_t seconds;

	if (!v1_text(c, "field", &field) || !v1_text(c, "pattern", &pattern) ||
		!v1_text(c, "reason", &reason) ||
		!v1_seconds(c, "expires_in", 1, SECONDS_MAX, -1, &seconds))
		return;
	field = field ? field : "";
	if (silence_check(field, pattern ? pattern : "", reason ? reason : "", &why)) {
		v1_problem(c, 422, "invalid", why.text);
		return;
	}
	m = mem_zalloc(sizeof *m);
	m->call = c;
	silence_new_id(m->silence.id);
	snprintf(m->silence.field, sizeof m->silence.field, "%s", field);
	snprintf(m->silence.pattern, sizeof m->silence.pattern, "%s", pattern);
	snprintf(m->silence.reason, sizeof m->silence.reason, "%s", reason);
	snprintf(m->silence.by, sizeof m->silence.by, "%s", c->who.name);
	m->silence.from_ms = clock_wall_ms();
	m->silence.till_ms = m->silence.from_ms + seconds * 1000;
	add(m);
}

/* --- its end */

static void ended(void *arg, int err, const struct reply *reply)
{
	struct v1_call *c = arg;

	if (over(c, err))
		return;
	if (reply_int(reply) != 0)
		none(c);
	else
		v1_json(c, 200, json_pack("{s:s s:s}", "status", "done", "silence", c->id));
}

void v1_silence_end(struct v1_call *c)
{
	const char *argv[] = {"end", c->id};

	if (silence_id_ok(c->id))
		run(c, 2, argv, ended, c);
	else
		none(c);
}

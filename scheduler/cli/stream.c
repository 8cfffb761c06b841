/* stream.c - see stream.h. */
#include "scheduler/cli/stream.h"

#include "common/mem.h"
#include "common/mp_json.h"
#include "common/str.h"
#include "scheduler/cli/facts.h"
#include "scheduler/cli/fetch.h"

#include <string.h>

#define BATCH       "500"
#define LOOKS_SHOWN 4 /* names of a dns.changed */

static void put(const struct reply *value, char *out, size_t size)
{
	size_t n;
	const char *text = reply_str(value, &n);

	if (text != NULL)
		str_clean(text, n, out, size);
}

void stream_entry_of(const struct reply *pair, struct stream_entry *e)
{
	const struct reply *fields = reply_at(pair, 1);

	*e = (struct stream_entry){.data = "", .len = 0};
	put(reply_at(pair, 0), e->stream_id, sizeof e->stream_id);
	for (size_t i = 0; i + 1 < reply_len(fields); i += 2) {
		size_t n;
		const char *name = reply_str(reply_at(fields, i), &n);
		const struct reply *value = reply_at(fields, i + 1);
		if (name == NULL)
			continue;
		if (strcmp(name, "id") == 0)
			put(value, e->id, sizeof e->id);
		else if (strcmp(name, "type") == 0)
			put(value, e->type, sizeof e->type);
		else if (strcmp(name, "source") == 0)
			put(value, e->source, sizeof e->source);
		else if (strcmp(name, "subject") == 0)
			put(value, e->subject, sizeof e->subject);
		else if (strcmp(name, "time") == 0)
			put(value, e->time, sizeof e->time);
		else if (strcmp(name, "data") == 0 && reply_str(value, &n) != NULL)
			e->data = reply_str(value, &e->len);
	}
}

int stream_end(struct cli *cli, const char *stream, char position[64], struct why *why)
{
	_buf_release_ struct buf key = BUF_INIT(512);
	const struct reply *reply;

	fetch_key(cli, &key, stream, "");
	int err = redis_sync_commandv(
		cli->redis, &reply, why, "XREVRANGE", buf_cstr(&key), "+", "-", "COUNT", "1", NULL);
	if (err != 0)
		return err;
	snprintf(position, 64, "0-0");
	put(reply_at(reply_at(reply, 0), 0), position, 64);
	return 0;
}

/** Waits for an entry after position. */
static int wait_entry(struct cli *cli, const char *key, const char *position, int64_t block_ms,
	bool *there, struct why *why)
{
	const struct reply *reply;
	char block[24];

	/* It must answer well before the command's own deadline. */
	if (cli->redis_options.timeout_ms > 0 && block_ms > cli->redis_options.timeout_ms / 2)
		block_ms = cli->redis_options.timeout_ms / 2;
	snprintf(block, sizeof block, "%lld", (long long)(block_ms > 0 ? block_ms : 1));
	int err = redis_sync_commandv(cli->redis, &reply, why, "XREAD", "COUNT", "1", "BLOCK",
		block, "STREAMS", key, position, NULL);
	*there = err == 0 && reply_type(reply) != REPLY_NIL;
	return err;
}

/** [the oldest entry, the entries after position], at one instant: what is trimmed between two
 * looks would be missed. */
static int read_at_once(struct cli *cli, const char *key, const char *position,
	const struct reply **reply, struct why *why)
{
	const char *multi[] = {"MULTI"}, *exec[] = {"EXEC"};
	const char *oldest[] = {"XRANGE", key, "-", "+", "COUNT", "1"};
	const char *after[] = {"XREAD", "COUNT", BATCH, "STREAMS", key, position};
	int err = 0;

	redis_sync_send(cli->redis, ARRAY_LEN(multi), multi, NULL);
	redis_sync_send(cli->redis, ARRAY_LEN(oldest), oldest, NULL);
	redis_sync_send(cli->redis, ARRAY_LEN(after), after, NULL);
	redis_sync_send(cli->redis, ARRAY_LEN(exec), exec, NULL);
	for (int i = 0; i < 4; i++) {
		struct why one = {0};
		int e = redis_sync_receive(cli->redis, reply, &one);

		if (e != 0 && err == 0) {
			err = e;
			*why = one;
		}
		if (cli_lost(e))
			break;
	}
	return err;
}

int stream_read(struct cli *cli, const char *stream, char position[64], int64_t block_ms,
	stream_fn *fn, stream_gap_fn *on_gap, void *arg, struct why *why)
{
	_buf_release_ struct buf key = BUF_INIT(512);
	const struct reply *both;
	char first[64] = "";
	bool there;
	int stop = 0;

	fetch_key(cli, &key, stream, "");
	int err = wait_entry(cli, buf_cstr(&key), position, block_ms, &there, why);
	if (err == 0 && there)
		err = read_at_once(cli, buf_cstr(&key), position, &both, why);
	if (err != 0 || !there)
		return err;
	put(reply_at(reply_at(reply_at(both, 0), 0), 0), first, sizeof first);
	if (on_gap != NULL && strcmp(position, "0-0") != 0 && stream_id_before(position, first))
		stop = on_gap(arg, &(struct stream_gap){.after = position, .first = first});
	const struct reply *entries = reply_at(reply_at(reply_at(both, 1), 0), 1);
	for (size_t i = 0; i < reply_len(entries) && stop == 0; i++) {
		struct stream_entry e;
		stream_entry_of(reply_at(entries, i), &e);
		snprintf(position, 64, "%s", e.stream_id);
		stop = fn(arg, &e);
	}
	return stop;
}

bool stream_id_before(const char *a, const char *b)
{
	unsigned long long a_ms = 0, a_seq = 0, b_ms = 0, b_seq = 0;

	sscanf(a, "%llu-%llu", &a_ms, &a_seq);
	sscanf(b, "%llu-%llu", &b_ms, &b_seq);
	return a_ms < b_ms || (a_ms == b_ms && a_seq < b_seq);
}

int stream_resume(
	struct cli *cli, const char *stream, char position[64], bool *rewound, struct why *why)
{
	char end[64];
	int err = stream_end(cli, stream, end, why);

	*rewound = err == 0 && stream_id_before(end, position);
	if (*rewound)
		snprintf(position, 64, "0-0");
	return err;
}

/** A page of XRANGE or XREVRANGE. */
static int page(struct cli *cli, const char *command, const char *stream, const char *from,
	const char *to, const struct reply **reply, struct why *why)
{
	_buf_release_ struct buf key = BUF_INIT(512);

	fetch_key(cli, &key, stream, "");
	return redis_sync_commandv(
		cli->redis, reply, why, command, buf_cstr(&key), from, to, "COUNT", BATCH, NULL);
}

/** Finds where the last n wanted entries begin; start is "" if there are none. */
static int look_back(struct cli *cli, const char *stream, size_t n, stream_want_fn *want, void *arg,
	char start[64], struct why *why)
{
	const struct reply *reply;
	char from[64] = "+";
	size_t found = 0;
	size_t seen = 0;

	start[0] = '\0';
	do {
		int err = page(cli, "XREVRANGE", stream, from, "-", &reply, why);
		if (err != 0)
			return err;
		for (size_t i = 0; i < reply_len(reply) && found < n; i++) {
			struct stream_entry e;
			stream_entry_of(reply_at(reply, i), &e);
			snprintf(from, sizeof from, "(%s", e.stream_id);
			if (!want(arg, &e))
				continue;
			found++;
			snprintf(start, 64, "%s", e.stream_id);
		}
		seen += reply_len(reply);
	} while (reply_len(reply) > 0 && found < n && seen < STREAM_BACK_MAX);
	return 0;
}

int stream_last(struct cli *cli, const char *stream, size_t n, stream_want_fn *want, stream_fn *fn,
	void *arg, struct why *why)
{
	const struct reply *reply;
	char from[64];
	int err = look_back(cli, stream, n, want, arg, from, why);

	if (err != 0 || from[0] == '\0')
		return err;
	do {
		err = page(cli, "XRANGE", stream, from, "+", &reply, why);
		if (err != 0)
			return err;
		for (size_t i = 0; i < reply_len(reply) && err == 0; i++) {
			struct stream_entry e;
			stream_entry_of(reply_at(reply, i), &e);
			snprintf(from, sizeof from, "(%s", e.stream_id);
			if (want(arg, &e))
				err = fn(arg, &e);
		}
	} while (err == 0 && reply_len(reply) > 0);
	return err;
}

/* Data as JSON */

json_t *stream_data_json(const void *data, size_t len)
{
	return mp_json_of(data, len);
}

json_t *stream_entry_json(const struct stream_entry *e)
{
	json_t *data = stream_data_json(e->data, e->len);

	return json_pack("{s:s s:o s:s s:o s:o s:o s:o s:s}", "specversion", "1.0", "id",
		json_text(e->id), "stream_id", e->stream_id, "type", json_text(e->type), "source",
		json_text(e->source), "subject", json_text(e->subject), "data",
		data ? data : json_null(), "time", e->time);
}

/* One line */

static enum tint type_tint(const char *type)
{
	static const struct {
		const char *part;
		enum tint tint;
	} tints[] = {
		{".issued", TINT_GOOD},
		{".renewed", TINT_GOOD},
		{".resolved", TINT_GOOD},
		{".failed", TINT_BAD},
		{".opened", TINT_BAD},
		{".escalated", TINT_BAD},
		{".refused", TINT_WARN},
		{".revoked", TINT_WARN},
		{".heartbeat", TINT_DIM},
		{".snapshot", TINT_DIM},
	};

	for (size_t i = 0; i < ARRAY_LEN(tints); i++)
		if (str_ends_with(type, tints[i].part))
			return tints[i].tint;
	return TINT_NONE;
}

/** What the line says elsewhere, or what only programs want. */
static bool hidden(const char *key, const json_t *v)
{
	static const char *const keys[] = {
		"V", "endpoint", "key", "id", "source", "tenant", "chain", "term", "text"};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (strcmp(key, keys[i]) == 0)
			return true;
	return json_is_null(v) || json_is_object(v) || json_is_object(json_array_get(v, 0)) ||
	       (json_is_string(v) && json_string_length(v) == 0) ||
	       (json_is_integer(v) && json_integer_value(v) == 0);
}

#define LEAST_TIME INT64_C(1000000000000) /* 2001, in ms: what is above is a time */

static void put_value(const json_t *v, struct buf *out)
{
	_mem_free_ char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);

	if (json_is_integer(v) && json_integer_value(v) > LEAST_TIME)
		term_time(out, json_integer_value(v));
	else
		buf_adds(out, json_is_string(v) ? json_string_value(v) : text ? text : "");
}

/** "shop.example.com traffic right, challenge missing": what a dns.changed says of each name. */
static void put_looks(const json_t *names, struct buf *out)
{
	size_t i;
	json_t *name;

	json_array_foreach((json_t *)(uintptr_t)names, i, name)
	{
		const char *traffic = json_string_value(
			json_object_get(json_object_get(name, "traffic"), "status"));
		const char *challenge = json_string_value(
			json_object_get(json_object_get(name, "challenge"), "status"));
		const char *text = json_string_value(json_object_get(name, "name"));
		if (text == NULL || i == LOOKS_SHOWN)
			return;
		buf_addf(out, "  %s", text);
		if (traffic != NULL)
			buf_addf(out, " traffic %s%s", traffic, challenge ? "," : "");
		if (challenge != NULL)
			buf_addf(out, " challenge %s", challenge);
	}
}

/** The text, then "key=value" of simple members: people read these, programs take --json. */
static void put_members(const json_t *data, struct buf *out)
{
	const char *text = json_string_value(json_object_get(data, "text"));
	const char *key;
	json_t *v;

	if (text != NULL && *text != '\0')
		buf_addf(out, "  %s", text);
	put_looks(json_object_get(data, "records"), out);
	json_object_foreach((json_t *)(uintptr_t)data, key, v)
	{
		if (hidden(key, v))
			continue;
		buf_addf(out, "  %s=", key);
		put_value(v, out);
	}
}

void stream_entry_line(const struct stream_entry *e, const struct view *view, struct buf *out)
{
	_buf_release_ struct buf rest = BUF_INIT(4000);
	_buf_release_ struct buf cut = BUF_INIT(8000);
	const char *type =
		str_starts_with(e->type, "certfleet.") ? e->type + strlen("certfleet.") : e->type;
	json_t *data = stream_data_json(e->data, e->len);
	const char *key = json_string_value(json_object_get(data, "key"));
	const char *subject = key != NULL ? key : e->subject;
	char head[400];
	int n = snprintf(head, sizeof head, "%.19s  %-20s  %s", e->time, type, subject);

	buf_addf(out, "%.19s  ", e->time);
	term_tint(out, view, type_tint(type), "%-20s", type);
	term_tint(out, view, TINT_NONE, "  %s", subject);
	put_members(data, &rest);
	json_decref(data);
	if (view->width == 0)
		buf_adds(&cut, buf_cstr(&rest));
	else if ((size_t)n < view->width)
		term_cut(&cut, buf_cstr(&rest), view->width - (size_t)n);
	term_tint(out, view, TINT_DIM, "%s", buf_cstr(&cut));
	buf_addc(out, '\n');
}

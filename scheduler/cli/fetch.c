/* fetch.c - see fetch.h. */
#include "scheduler/cli/fetch.h"

#include "common/mem.h"
#include "common/str.h"
#include "common/vault.h"

#include <string.h>

#define PAGE        200
#define SIMILAR_MAX 5

bool fetch_id_ok(const char *id)
{
	static const char chars[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t n = strlen(id);

	return n > 0 && n <= ENDPOINT_ID_MAX && strspn(id, chars) == n &&
	       strchr("._-", id[0]) == NULL;
}

void fetch_key(const struct cli *cli, struct buf *out, const char *kind, const char *suffix)
{
	buf_adds(out, redis_sync_prefix(cli->redis));
	buf_adds(out, kind);
	buf_adds(out, suffix);
}

/* Records */

static void label_load(struct cli *cli)
{
	const char *path = cli->config->challenges.label_key_file;
	struct why why = {0};

	if (cli->label.tried)
		return;
	cli->label.tried = true;
	if (path == NULL || cli->config->challenges.zones.n == 0)
		snprintf(cli->label.missing, sizeof cli->label.missing,
			"The records cannot be told here: %s has no challenges.zones or "
			"challenges.label_key_file.",
			cli->config_path);
	else if (vault_read_key_file(path, cli->label.key, &why) != 0)
		snprintf(cli->label.missing, sizeof cli->label.missing,
			"The records cannot be told here, since labels need their key: %s",
			why.text);
}

void fetch_records(struct cli *cli, struct facts *f)
{
	label_load(cli);
	if (cli->label.missing[0] != '\0') {
		f->no_records = cli->label.missing;
		return;
	}
	f->records_n = endpoint_records(
		&f->endpoint, cli->label.key, cli->config->challenges.zones.items[0], &f->records);
}

/* Endpoints */

static void send_fetch(struct cli *cli, const char *id)
{
	_buf_release_ struct buf key = BUF_INIT(512);

	fetch_key(cli, &key, "e:", id);
	const char *argv[] = {"HMGET", buf_cstr(&key), ENDPOINT_FIELDS, "t"};
	redis_sync_send(cli->redis, ARRAY_LEN(argv), argv, NULL);
}

static int decode(struct cli *cli, const struct reply *reply, unsigned more, struct facts *out,
	struct why *why)
{
	struct endpoint_field fields[ENDPOINT_FIELDS_N];
	struct facts f = {0};
	size_t n;

	for (size_t i = 0; i < ENDPOINT_FIELDS_N; i++)
		fields[i].bytes = reply_str(reply_at(reply, i), &fields[i].len);
	int err = endpoint_decode(fields, &f.endpoint, why);
	if (err != 0)
		return err;
	facts_judge(&f, cli->view.now_ms);
	const char *t = reply_str(reply_at(reply, ENDPOINT_FIELDS_N), &n);
	if (more & FETCH_TIMELINE && t != NULL)
		facts_timeline(&f, t, n);
	if (more & FETCH_ISSUER)
		facts_issuer(&f);
	*out = f;
	if (more & FETCH_RECORDS)
		fetch_records(cli, out);
	return 0;
}

int fetch_endpoint(
	struct cli *cli, const char *id, unsigned more, struct facts *out, struct why *why)
{
	const struct reply *reply;

	if (!fetch_id_ok(id))
		return why_set(why, CF_ENOTFOUND, "\"%s\" cannot be an endpoint's id", id);
	send_fetch(cli, id);
	int err = redis_sync_receive(cli->redis, &reply, why);
	return err != 0 ? err : decode(cli, reply, more, out, why);
}

/** At most a page: what is asked for at once lies in Redis' memory until it is read. */
static int fetch_some(struct cli *cli, const char *const *ids, size_t n, unsigned more,
	fetch_fn *fn, void *arg, struct why *why)
{
	int stop = 0;

	for (size_t i = 0; i < n; i++)
		send_fetch(cli, ids[i]);
	/* All replies are taken even when fn ended it: the connection must stay usable. */
	for (size_t i = 0; i < n; i++) {
		const struct reply *reply;
		struct facts f = {0};
		struct why bad = {0};
		int err = redis_sync_receive(cli->redis, &reply, &bad);
		if (cli_lost(err))
			return why_set(why, err, "%s", bad.text);
		if (stop != 0)
			continue;
		if (err == 0)
			err = decode(cli, reply, more, &f, &bad);
		if (err == 0)
			stop = fn(arg, &f);
		else if (err != CF_ENOTFOUND)
			cli_note(cli, "certfleet: endpoint %s cannot be read: %s", ids[i],
				bad.text[0] ? bad.text : cf_strerror(err));
		facts_release(&f);
	}
	return stop;
}

int fetch_ids(struct cli *cli, const char *const *ids, size_t n, unsigned more, fetch_fn *fn,
	void *arg, struct why *why)
{
	int err = 0;

	for (size_t i = 0; i < n && err == 0; i += PAGE)
		err = fetch_some(cli, ids + i, n - i < PAGE ? n - i : PAGE, more, fn, arg, why);
	return err;
}

static int page_ids(struct cli *cli, const char *from, const char *to,
	char (*ids)[ENDPOINT_ID_MAX + 1], size_t *n, struct why *why)
{
	_buf_release_ struct buf key = BUF_INIT(512);
	const struct reply *reply;
	char count[16];

	fetch_key(cli, &key, "endpoints", "");
	snprintf(count, sizeof count, "%d", PAGE);
	int err = redis_sync_commandv(cli->redis, &reply, why, "ZRANGEBYLEX", buf_cstr(&key), from,
		to, "LIMIT", "0", count, NULL);
	if (err != 0)
		return err;
	*n = 0;
	for (size_t i = 0; i < reply_len(reply) && *n < PAGE; i++) {
		size_t len;
		const char *id = reply_str(reply_at(reply, i), &len);
		if (id != NULL && len <= ENDPOINT_ID_MAX)
			memcpy(ids[(*n)++], id, len + 1);
	}
	return 0;
}

int fetch_each(struct cli *cli, const char *prefix, unsigned more, fetch_fn *fn, void *arg,
	struct why *why)
{
	char ids[PAGE][ENDPOINT_ID_MAX + 1];
	const char *pointers[PAGE];
	char from[ENDPOINT_ID_MAX + 8];
	char to[ENDPOINT_ID_MAX + 8];
	size_t n;

	snprintf(from, sizeof from, *prefix ? "[%.64s" : "-", prefix);
	snprintf(to, sizeof to, *prefix ? "[%.64s\xff" : "+", prefix);
	do {
		int err = page_ids(cli, from, to, ids, &n, why);
		for (size_t i = 0; i < n; i++)
			pointers[i] = ids[i];
		if (err == 0)
			err = fetch_ids(cli, pointers, n, more, fn, arg, why);
		if (err != 0)
			return err;
		if (n > 0)
			snprintf(from, sizeof from, "(%.64s", ids[n - 1]);
	} while (n == PAGE);
	return 0;
}

/* Failures */

int fetch_fail_unknown(struct cli *cli, const char *id)
{
	char ids[PAGE][ENDPOINT_ID_MAX + 1];
	_buf_release_ struct buf similar = BUF_INIT(1024);
	char from[16];
	char to[16];
	size_t n = 0;

	/* Those that begin alike: the first three characters. */
	snprintf(from, sizeof from, "[%.3s", id);
	snprintf(to, sizeof to, "[%.3s\xff", id);
	if (fetch_id_ok(id) && page_ids(cli, from, to, ids, &n, NULL) != 0)
		n = 0;
	cli_fail(cli, "there is no endpoint \"%s\" in fleet %s", id, cli->config->fleet);
	for (size_t i = 0; i < n && i < SIMILAR_MAX; i++)
		buf_addf(&similar, "%s%s", i ? ", " : "", ids[i]);
	if (n > 0)
		cli_hint(
			cli, "Similar ones: %s%s", buf_cstr(&similar), n > SIMILAR_MAX ? " …" : "");
	else
		cli_hint(cli, "\"certfleet endpoint list\" shows those that there are.");
	return CLI_FAILED;
}

int fetch_or_fail(struct cli *cli, const char *id, unsigned more, struct facts *out)
{
	struct why why = {0};

	cli_now(cli);
	int err = fetch_endpoint(cli, id, more, out, &why);
	if (err == 0)
		return CLI_DONE;
	if (err == CF_ENOTFOUND)
		return fetch_fail_unknown(cli, id);
	if (err == CF_EPROTO || err == CF_EVERSION)
		return cli_fail(cli, "endpoint %s cannot be read: %s", id,
			why.text[0] ? why.text : cf_strerror(err));
	return cli_fail_redis(cli, err, &why);
}

/* events.c - certfleet alerts and certfleet results: what happened, and what a person should know.
 */
#include "scheduler/cli/cli.h"

#include "common/clock.h"
#include "common/event.h"
#include "common/mem.h"
#include "common/mp.h"
#include "common/str.h"
#include "scheduler/cli/fetch.h"
#include "scheduler/cli/stream.h"

#include <string.h>

#define BLOCK_MS 1000
#define RETRY_MS 2000

struct feed {
	struct cli *cli;
	const char *stream;
	const char *endpoint, *type; /* only these; NULL: all */
	bool noise;                  /* heartbeats and snapshots too */
	bool follow;
	size_t shown;
};

static bool feed_wants(void *arg, const struct stream_entry *e)
{
	const struct feed *f = arg;

	if (f->endpoint != NULL && strcmp(f->endpoint, e->subject) != 0)
		return false;
	if (f->type != NULL && strstr(e->type, f->type) == NULL)
		return false;
	return f->noise || f->type != NULL ||
	       (strcmp(e->type, EVENT_HEARTBEAT) != 0 &&
		       strcmp(e->type, EVENT_ALERT_SNAPSHOT) != 0);
}

static int feed_show(void *arg, const struct stream_entry *e)
{
	struct feed *f = arg;
	_buf_release_ struct buf line = BUF_INIT(65536);

	if (!feed_wants(f, e))
		return 0;
	f->shown++;
	if (f->cli->json && f->follow) {
		cli_emit_json_line(f->cli, stream_entry_json(e));
	} else if (f->cli->json) {
		cli_list_item(f->cli, stream_entry_json(e));
	} else {
		stream_entry_line(e, &f->cli->view, &line);
		cli_emit(f->cli, &line);
	}
	return 0;
}

/** What one was too slow for is told where it would have stood. */
static int feed_gap(void *arg, const struct stream_gap *gap)
{
	struct feed *f = arg;
	_buf_release_ struct buf line = BUF_INIT(512);

	if (f->cli->json) {
		cli_emit_json_line(
			f->cli, json_pack("{s:s s:s s:s s:s}", "type", "certfleet.gap", "stream",
					f->stream, "after", gap->after, "before", gap->first));
		return 0;
	}
	term_tint(&line, &f->cli->view, TINT_WARN,
		"gap: what came on %s after %s and before %s is no longer there", f->stream,
		gap->after, gap->first);
	buf_addc(&line, '\n');
	cli_emit(f->cli, &line);
	return 0;
}

/** Waits a little, then connects again and finds out where the stream is. */
static int feed_reconnect(struct feed *f, char position[64], struct why *why)
{
	bool rewound = false;

	cli_note(f->cli, "certfleet: %s; trying again", why->text);
	cli_sleep_ms(RETRY_MS);
	int err = cli_connect(f->cli, why);
	if (err == 0)
		err = stream_resume(f->cli, f->stream, position, &rewound, why);
	if (rewound)
		cli_note(f->cli, "certfleet: the stream was begun anew; what it holds follows");
	return err;
}

static int feed_follow(struct feed *f, char position[64])
{
	struct why why = {0};
	int err = 0;

	cli_catch_signals();
	while (!cli_stopping()) {
		if (cli_lost(err))
			err = feed_reconnect(f, position, &why);
		else if (err != 0)
			return cli_fail_redis(f->cli, err, &why);
		if (err == 0)
			err = stream_read(f->cli, f->stream, position, BLOCK_MS, feed_show,
				feed_gap, f, &why);
	}
	return CLI_DONE;
}

/** Shows the last entries, then follows if asked to. */
static int feed_run(struct feed *f, size_t last)
{
	struct why why = {0};
	char position[64];
	int err = stream_end(f->cli, f->stream, position, &why);

	if (f->cli->json && !f->follow)
		cli_list_open(f->cli, f->stream);
	if (err == 0 && last > 0)
		err = stream_last(f->cli, f->stream, last, feed_wants, feed_show, f, &why);
	if (f->cli->json && !f->follow)
		cli_list_close(f->cli);
	if (err != 0)
		return cli_fail_redis(f->cli, err, &why);
	return f->follow ? feed_follow(f, position) : CLI_DONE;
}

int cmd_results(struct cli *cli, const struct cli_args *args)
{
	struct feed f = {.cli = cli,
		.stream = "results",
		.endpoint = args->words_n ? args->words[0] : NULL,
		.type = cli_arg(args, "type"),
		.noise = cli_flag(args, "all"),
		.follow = cli_flag(args, "follow")};
	int status = feed_run(&f, cli_arg_number(args, "last"));

	if (status == CLI_DONE && f.shown == 0 && !cli->json && !f.follow)
		cli_note(cli, "Nothing has happened yet%s%s.", f.endpoint ? " to " : "",
			f.endpoint ? f.endpoint : "");
	return status;
}

/* alerts: those that are open, from their own records; with --all the stream, with --follow what
 * comes */

struct alert {
	char key[200];
	char severity[16], actor[16];
	char *text, *fix, *next, *runbook;
	char silence[65]; /* "": it is not silenced */
	int64_t since_ms, deadline_ms, endpoints;
};

static void alert_release(struct alert *a)
{
	free(a->text);
	free(a->fix);
	free(a->next);
	free(a->runbook);
}

static void alert_read(const void *data, size_t n, struct alert *a)
{
	struct mp_doc doc;
	struct mp root;
	struct mp since;

	if (data == NULL || mp_open(&doc, data, n, &root, NULL) != 0)
		return;
	mp_opt_text(&root, "severity", a->severity, sizeof a->severity);
	mp_opt_text(&root, "actor", a->actor, sizeof a->actor);
	mp_opt_str(&root, "text", &a->text);
	mp_opt_str(&root, "fix", &a->fix);
	mp_opt_str(&root, "next", &a->next);
	mp_opt_str(&root, "runbook", &a->runbook);
	mp_opt_int(&root, "endpoints", &a->endpoints);
	mp_opt_int(&root, "deadline", &a->deadline_ms);
	if (mp_get(&root, "since", &since) && mp_type(&since) == MP_INT)
		mp_as_int(&since, &a->since_ms);
	if (a->since_ms == 0)
		mp_opt_int(&root, "opened", &a->since_ms);
}

static enum tint severity_tint(const char *severity)
{
	return strcmp(severity, "critical") == 0  ? TINT_BAD
	       : strcmp(severity, "warning") == 0 ? TINT_WARN
						  : TINT_NONE;
}

static void alert_show(struct cli *cli, const struct alert *a, struct buf *out)
{
	_buf_release_ struct buf when = BUF_INIT(200);

	term_tint(out, &cli->view, severity_tint(a->severity), "%s",
		a->severity[0] ? a->severity : "alert");
	buf_adds(out, "  ");
	term_tint(out, &cli->view, TINT_BOLD, "%s", a->key);
	buf_addc(out, '\n');
	if (a->text != NULL && *a->text != '\0') {
		term_wrap(out, a->text, 2, cli->view.width);
	}
	if (a->fix != NULL && *a->fix != '\0') {
		_mem_free_ char *fix = mem_printf("To do: %s", a->fix);
		term_wrap(out, fix, 2, cli->view.width);
	}
	if (a->runbook != NULL && (a->fix == NULL || strstr(a->runbook, a->fix) == NULL)) {
		_mem_free_ char *runbook = mem_printf("Runbook: %s", a->runbook);
		term_wrap(out, runbook, 2, cli->view.width);
	}
	if (a->next != NULL && *a->next != '\0') {
		_mem_free_ char *next = mem_printf("By itself: %s", a->next);
		term_wrap(out, next, 2, cli->view.width);
	}
	term_when(&when, &cli->view, a->since_ms);
	buf_addf(out, "  since %s", buf_cstr(&when));
	if (a->actor[0] != '\0')
		buf_addf(out, ", to act: %s", a->actor);
	if (a->deadline_ms != 0) {
		buf_clear(&when);
		term_when(&when, &cli->view, a->deadline_ms);
		buf_addf(out, ", until %s", buf_cstr(&when));
	}
	buf_addc(out, '\n');
	if (a->endpoints > 0)
		buf_addf(out, "  all of them: certfleet alerts members %s\n", a->key);
	if (a->silence[0] != '\0')
		buf_addf(out, "  silenced by %s: certfleet alerts silences\n", a->silence);
	buf_addc(out, '\n');
}

static json_t *alert_json(const char *key, const void *data, size_t n, const char *silence)
{
	json_t *j = data != NULL ? stream_data_json(data, n) : NULL;

	if (j == NULL || !json_is_object(j)) {
		json_decref(j);
		j = json_object();
	}
	if (json_object_get(j, "key") == NULL)
		json_object_set_new(j, "key", json_text(key));
	if (silence != NULL) {
		json_object_set_new(j, "silenced", json_true());
		json_object_set_new(j, "silenced_by", json_text(silence));
	}
	return j;
}

static int alert_one(struct cli *cli, const char *key, struct why *why)
{
	_buf_release_ struct buf name = BUF_INIT(1024);
	_buf_release_ struct buf text = BUF_INIT(65536);
	const struct reply *reply;
	size_t n = 0;

	fetch_key(cli, &name, "alert:", key);
	int err = redis_sync_commandv(
		cli->redis, &reply, why, "HMGET", buf_cstr(&name), "d", "q", NULL);
	if (err != 0)
		return err;
	const char *data = reply_str(reply_at(reply, 0), &n);
	const char *silence = reply_str(reply_at(reply, 1), NULL);
	if (cli->json) {
		cli_list_item(cli, alert_json(key, data, n, silence));
		return 0;
	}
	struct alert a = {0};
	str_clean(key, strlen(key), a.key, sizeof a.key);
	alert_read(data, n, &a);
	snprintf(a.silence, sizeof a.silence, "%s", silence ? silence : "");
	alert_show(cli, &a, &text);
	cli_emit(cli, &text);
	alert_release(&a);
	return 0;
}

static int alerts_open(struct cli *cli, size_t limit)
{
	_buf_release_ struct buf key = BUF_INIT(512);
	const struct reply *reply;
	struct why why = {0};
	char last[24];

	fetch_key(cli, &key, "alerts:open", "");
	snprintf(last, sizeof last, "%zu", limit - 1);
	int err = redis_sync_commandv(
		cli->redis, &reply, &why, "ZREVRANGE", buf_cstr(&key), "0", last, NULL);
	if (err != 0)
		return cli_fail_redis(cli, err, &why);
	size_t n = reply_len(reply);
	char **keys = mem_array(n + 1, sizeof *keys);
	for (size_t i = 0; i < n; i++)
		keys[i] = mem_strdup(reply_str(reply_at(reply, i), NULL));
	if (cli->json)
		cli_list_open(cli, "alerts");
	for (size_t i = 0; i < n; i++) {
		if (err == 0)
			err = alert_one(cli, keys[i], &why);
		free(keys[i]);
	}
	free(keys);
	if (cli->json)
		cli_list_close(cli);
	else if (n == 0)
		cli_note(cli, "No alert is open.");
	else if (n == limit)
		cli_note(cli, "There may be more; --last %zu shows further back.", limit * 10);
	return err == 0 ? CLI_DONE : cli_fail_redis(cli, err, &why);
}

int cmd_alerts(struct cli *cli, const struct cli_args *args)
{
	size_t last = (size_t)cli_arg_number(args, "last");
	struct feed f = {.cli = cli,
		.stream = "alerts",
		.follow = cli_flag(args, "follow"),
		.noise = cli->json && cli_flag(args, "all")};

	if (!cli_flag(args, "all") && !f.follow)
		return alerts_open(cli, last > 0 ? last : 1);
	int status = feed_run(&f, last);
	if (status == CLI_DONE && f.shown == 0 && !cli->json && !f.follow)
		cli_note(cli, "There never was an alert.");
	return status;
}

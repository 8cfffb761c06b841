/* silence.c - certfleet alerts silence, silences, unsilence, members and enable. */
#include "scheduler/cli/cli.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"
#include "scheduler/cli/fetch.h"
#include "scheduler/silence.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE SILENCE_MARK

/* --- silence */

/* "tenant=acme" is about the tenant alone. */
static const char *split_field(const char *pattern, char *field, size_t size)
{
	size_t n = strcspn(pattern, "=");

	snprintf(field, size, "%.*s", (int)n, pattern);
	if (pattern[n] && n && n < size && silence_field_known(field))
		return pattern + n + 1;
	field[0] = '\0';
	return pattern;
}

static void who(char *out, size_t size)
{
	const char *user = getenv("SUDO_USER");
	char host[64] = "host", text[160];

	if (!user)
		user = getenv("USER");
	gethostname(host, sizeof host - 1);
	snprintf(text, sizeof text, "%s@%s", user && *user ? user : "somebody", host);
	str_clean(text, strlen(text), out, size);
}

static int run(struct cli *cli, size_t argc, const char *const *argv, const size_t *lens,
	const struct reply **reply, struct why *why)
{
	return redis_sync_script(cli->redis, reply, why, "alert_silence", argc, argv, lens);
}

/* What is open already, page by page; gives how many alerts it keeps quiet. */
static int mark_open(struct cli *cli, const char *id, int64_t *marked, struct why *why)
{
	const struct reply *reply;
	char first[24];
	int64_t at = 0, looked;

	do {
		const char *argv[] = {"mark", id, first};

		snprintf(first, sizeof first, "%" PRId64, at);
		int err = run(cli, 3, argv, NULL, &reply, why);
		if (err != 0)
			return err;
		looked = reply_int(reply_at(reply, 0));
		*marked += reply_int(reply_at(reply, 1));
		at += PAGE;
	} while (looked == PAGE);
	return 0;
}

static void tell(struct cli *cli, const struct silence *s, const char *pattern, int64_t marked)
{
	char until[CLOCK_RFC3339_LEN];

	clock_rfc3339(s->till_ms, until);
	if (cli->json)
		cli_emit_json(cli, json_pack("{s:s s:s s:s s:I}", "id", s->id, "pattern", pattern,
					   "until", until, "open", (json_int_t)marked));
	else
		fprintf(cli->out, "%s: silenced until %s, %" PRId64 " open alert%s\n", s->id, until,
			marked, marked == 1 ? "" : "s");
}

int cmd_alerts_silence(struct cli *cli, const struct cli_args *args)
{
	const char *reason = cli_arg(args, "reason"), *pattern;
	_buf_release_ struct buf item = BUF_INIT(2048);
	struct silence s = {.till_ms = clock_wall_ms() + cli_arg_ms(args, "for")};
	const struct reply *reply;
	struct why why = {0};
	int64_t marked = 0;

	pattern = split_field(args->words[0], s.field, sizeof s.field);
	if (silence_check(s.field, pattern, reason, &why) != 0)
		return cli_fail(cli, "%s", why.text);
	snprintf(s.pattern, sizeof s.pattern, "%s", pattern);
	snprintf(s.reason, sizeof s.reason, "%s", reason);
	who(s.by, sizeof s.by);
	silence_new_id(s.id);
	silence_encode(&s, &item);
	const char *argv[] = {"add", item.data};
	const size_t lens[] = {3, item.len};
	int err = run(cli, 2, argv, lens, &reply, &why);
	if (err == 0 && reply_int(reply) == CF_ETOOBIG)
		return cli_fail(
			cli, "there are %d silences already: end some of them", SILENCES_MAX);
	if (err == 0)
		err = mark_open(cli, s.id, &marked, &why);
	if (err != 0)
		return cli_fail_redis(cli, err, &why);
	tell(cli, &s, args->words[0], marked);
	return CLI_DONE;
}

/* --- silences */

static void show_silence(struct cli *cli, const struct silence *s, struct table *t)
{
	_buf_release_ struct buf when = BUF_INIT(100);
	int64_t now = clock_wall_ms();

	if (cli->json) {
		cli_list_item(cli, silence_json(s, now));
		return;
	}
	term_when(&when, &cli->view, s->till_ms);
	table_cell(t, TINT_BOLD, "%s", s->id);
	table_cell(t, TINT_NONE, "%s%s%s", s->field, s->field[0] ? "=" : "", s->pattern);
	table_cell(t, TINT_NONE, "%s", s->till_ms > now ? buf_cstr(&when) : "over");
	table_cell(t, TINT_NONE, "%s", s->by);
	table_cell(t, TINT_NONE, "%s", s->reason);
}

int cmd_alerts_silences(struct cli *cli, const struct cli_args *args)
{
	static const struct table_column columns[] = {{"ID", false, false}, {"WHAT", false, false},
		{"ENDS", false, false}, {"BY", false, false}, {"REASON", false, true}};
	struct table t = TABLE_INIT(columns, ARRAY_LEN(columns), 0);
	_buf_release_ struct buf key = BUF_INIT(512), text = BUF_INIT(1u << 20);
	const struct reply *reply;
	struct why why = {0};
	struct silence s;
	size_t n;

	(void)args;
	fetch_key(cli, &key, "silences", "");
	int err = redis_sync_commandv(cli->redis, &reply, &why, "HVALS", buf_cstr(&key), NULL);
	if (err != 0)
		return cli_fail_redis(cli, err, &why);
	n = reply_len(reply);
	cli_now(cli);
	if (cli->json)
		cli_list_open(cli, "silences");
	for (size_t i = 0; i < n; i++) {
		size_t len = 0;
		const char *bytes = reply_str(reply_at(reply, i), &len);

		if (bytes && silence_decode(bytes, len, &s) == 0)
			show_silence(cli, &s, &t);
	}
	if (cli->json)
		cli_list_close(cli);
	else if (n == 0)
		cli_note(cli, "Nothing is silenced.");
	else
		table_flush(&t, &cli->view, &text);
	cli_emit(cli, &text);
	table_release(&t);
	return CLI_DONE;
}

/* --- unsilence */

int cmd_alerts_unsilence(struct cli *cli, const struct cli_args *args)
{
	int status = CLI_DONE;

	for (size_t i = 0; i < args->words_n; i++) {
		const char *argv[] = {"end", args->words[i]};
		const struct reply *reply;
		struct why why = {0};
		int err = run(cli, 2, argv, NULL, &reply, &why);

		if (err != 0)
			return cli_fail_redis(cli, err, &why);
		if (reply_int(reply) != 0)
			status = cli_fail(cli, "there is no silence \"%s\"", args->words[i]);
		else if (!cli->json)
			fprintf(cli->out, "%s: ended\n", args->words[i]);
	}
	if (cli->json)
		cli_emit_json(cli, json_pack("{s:b}", "ended", status == CLI_DONE));
	return status;
}

/* --- members of an incident */

static int show_page(struct cli *cli, const char *set, int64_t first, int64_t limit, size_t *shown,
	struct why *why)
{
	const struct reply *reply;
	char from[24], to[24], time[CLOCK_RFC3339_LEN];

	snprintf(from, sizeof from, "%" PRId64, first);
	snprintf(to, sizeof to, "%" PRId64, first + limit - 1);
	int err = redis_sync_commandv(
		cli->redis, &reply, why, "ZRANGE", set, from, to, "WITHSCORES", NULL);
	if (err != 0)
		return err;
	*shown = reply_len(reply) / 2;
	for (size_t i = 0; i < *shown; i++) {
		const char *key = reply_str(reply_at(reply, 2 * i), NULL);
		const char *score = reply_str(reply_at(reply, 2 * i + 1), NULL);

		clock_rfc3339(strtoll(score, NULL, 10), time);
		if (cli->json)
			cli_list_item(cli, json_pack("{s:s s:s}", "key", key, "joined", time));
		else
			fprintf(cli->out, "%.19s  %s\n", time, key);
	}
	return 0;
}

int cmd_alerts_members(struct cli *cli, const struct cli_args *args)
{
	_buf_release_ struct buf set = BUF_INIT(512);
	uint64_t limit = cli_arg_number(args, "limit");
	const char *key = args->words[0];
	struct why why = {0};
	uint64_t all = 0;
	size_t shown = PAGE;
	int err = 0;

	if (!str_starts_with(key, "incident:"))
		return cli_fail(
			cli, "\"%s\" is no incident: its key begins with \"incident:\"", key);
	fetch_key(cli, &set, key, "");
	if (cli->json)
		cli_list_open(cli, "members");
	while (err == 0 && shown == PAGE && (limit == 0 || all < limit)) {
		uint64_t page = limit && limit - all < PAGE ? limit - all : PAGE;

		err = show_page(cli, buf_cstr(&set), (int64_t)all, (int64_t)page, &shown, &why);
		all += shown;
	}
	if (cli->json)
		cli_list_close(cli);
	if (err != 0)
		return cli_fail_redis(cli, err, &why);
	if (all == 0 && !cli->json)
		cli_note(cli, "It is not open.");
	return all > 0 ? CLI_DONE : CLI_NOT_YET;
}

/* --- targets that were gone */

int cmd_alerts_enable(struct cli *cli, const struct cli_args *args)
{
	_buf_release_ struct buf key = BUF_INIT(512);
	int status = CLI_DONE;

	fetch_key(cli, &key, "notify:gone", "");
	for (size_t i = 0; i < args->words_n; i++) {
		const struct reply *reply;
		struct why why = {0};
		int err = redis_sync_commandv(
			cli->redis, &reply, &why, "HDEL", buf_cstr(&key), args->words[i], NULL);

		if (err != 0)
			return cli_fail_redis(cli, err, &why);
		if (reply_int(reply) == 0)
			status = cli_fail(
				cli, "no target \"%s\" said that it is gone", args->words[i]);
		else if (!cli->json)
			fprintf(cli->out, "%s: used again\n", args->words[i]);
	}
	if (cli->json)
		cli_emit_json(cli, json_pack("{s:b}", "enabled", status == CLI_DONE));
	return status;
}

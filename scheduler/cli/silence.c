/* silence.c - certfleet alerts silence, silences, unsilence, members and enable. */
#include "scheduler/cli/cli.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/mp.h"
#include "common/str.h"
#include "scheduler/cli/fetch.h"

#include <inttypes.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE        64
#define ID_SIZE     17
#define PATTERN_MAX 200

/* --- silence */

/* "tenant=acme" is about the tenant alone. */
static const char *split_field(const char *pattern, char field[16])
{
	static const char *const fields[] = {"key", "endpoint", "condition", "tenant", "cause"};

	field[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		size_t n = strlen(fields[i]);

		if (strncmp(pattern, fields[i], n) != 0 || pattern[n] != '=')
			continue;
		snprintf(field, 16, "%s", fields[i]);
		return pattern + n + 1;
	}
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

static void encode(
	const char *id, const char *pattern, const char *reason, int64_t till_ms, struct buf *out)
{
	char field[16], by[200];
	size_t map = mp_map_open(out);

	who(by, sizeof by);
	pattern = split_field(pattern, field);
	mp_key_str(out, "id", id);
	mp_key_str(out, "field", field);
	mp_key_str(out, "pattern", pattern);
	mp_key_str(out, "reason", reason);
	mp_key_str(out, "by", by);
	mp_key_int(out, "till", till_ms);
	mp_map_close(out, map);
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

static int check_words(struct cli *cli, const char *pattern, const char *reason)
{
	if (strlen(pattern) > PATTERN_MAX || strpbrk(pattern, "\n\t"))
		return cli_fail(cli, "the pattern must be a word of at most %d bytes", PATTERN_MAX);
	if (!*reason || strlen(reason) > 250 || strpbrk(reason, "\n\t"))
		return cli_fail(cli, "--reason must be one line of 1 to 250 bytes");
	return CLI_DONE;
}

int cmd_alerts_silence(struct cli *cli, const struct cli_args *args)
{
	const char *pattern = args->words[0], *reason = cli_arg(args, "reason");
	int64_t till_ms = clock_wall_ms() + cli_arg_ms(args, "for"), marked = 0;
	_buf_release_ struct buf item = BUF_INIT(2048);
	const struct reply *reply;
	struct why why = {0};
	unsigned char random[4];
	char id[ID_SIZE], until[CLOCK_RFC3339_LEN];

	if (check_words(cli, pattern, reason) != CLI_DONE)
		return CLI_FAILED;
	RAND_bytes(random, sizeof random);
	str_hex(random, sizeof random, id);
	encode(id, pattern, reason, till_ms, &item);
	const char *argv[] = {"add", item.data};
	const size_t lens[] = {3, item.len};
	int err = run(cli, 2, argv, lens, &reply, &why);
	if (err == 0 && reply_int(reply) == CF_ETOOBIG)
		return cli_fail(cli, "there are too many silences: end some of them");
	if (err == 0)
		err = mark_open(cli, id, &marked, &why);
	if (err != 0)
		return cli_fail_redis(cli, err, &why);
	clock_rfc3339(till_ms, until);
	if (cli->json)
		cli_emit_json(cli, json_pack("{s:s s:s s:s s:I}", "id", id, "pattern", pattern,
					   "until", until, "open", (json_int_t)marked));
	else
		fprintf(cli->out, "%s: silenced until %s, %" PRId64 " open alert%s\n", id, until,
			marked, marked == 1 ? "" : "s");
	return CLI_DONE;
}

/* --- silences */

struct silence {
	char id[65], field[16], pattern[PATTERN_MAX + 1], reason[300], by[200];
	int64_t from_ms, till_ms;
};

static bool read_silence(const struct reply *packed, struct silence *s)
{
	size_t n = 0;
	const char *bytes = reply_str(packed, &n);
	struct mp_doc doc;
	struct mp root;

	*s = (struct silence){.from_ms = 0};
	if (!bytes || mp_open(&doc, bytes, n, &root, NULL))
		return false;
	mp_get_text(&root, "id", s->id, sizeof s->id);
	mp_get_text(&root, "field", s->field, sizeof s->field);
	mp_get_text(&root, "pattern", s->pattern, sizeof s->pattern);
	mp_get_text(&root, "reason", s->reason, sizeof s->reason);
	mp_get_text(&root, "by", s->by, sizeof s->by);
	mp_get_int(&root, "from", &s->from_ms);
	mp_get_int(&root, "till", &s->till_ms);
	return !mp_err(&doc);
}

static void show_silence(struct cli *cli, const struct silence *s, struct table *t)
{
	_buf_release_ struct buf when = BUF_INIT(100);
	char from[CLOCK_RFC3339_LEN], till[CLOCK_RFC3339_LEN];

	if (cli->json) {
		cli_list_item(cli, json_pack("{s:s s:s s:s s:s s:s s:s s:s}", "id", s->id, "field",
					   s->field, "pattern", s->pattern, "reason", s->reason,
					   "by", s->by, "from", clock_rfc3339(s->from_ms, from),
					   "until", clock_rfc3339(s->till_ms, till)));
		return;
	}
	term_when(&when, &cli->view, s->till_ms);
	table_cell(t, TINT_BOLD, "%s", s->id);
	table_cell(t, TINT_NONE, "%s%s%s", s->field, s->field[0] ? "=" : "", s->pattern);
	table_cell(t, TINT_NONE, "%s", s->till_ms > clock_wall_ms() ? buf_cstr(&when) : "over");
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
	for (size_t i = 0; i < n; i++)
		if (read_silence(reply_at(reply, i), &s))
			show_silence(cli, &s, &t);
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

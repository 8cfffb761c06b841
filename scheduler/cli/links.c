/* links.c - certfleet link new|list|revoke: an expiring, read-only link to one endpoint's page, for
 * whoever runs its DNS. The keys are those of scheduler/api/links.c. */
#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"
#include "scheduler/api/access.h"
#include "scheduler/cli/cli.h"
#include "scheduler/cli/fetch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LINKS_MAX  "50" /* alive at once, of an endpoint */
#define MONTH_S    "2592000"
#define EXPIRES_MS (30 * CLOCK_DAY_MS)
#define SHOWN      12 /* hex digits that tell links of an endpoint apart */

static int run(struct cli *cli, const struct reply **reply, size_t n, const char *const *argv)
{
	struct why why = {0};
	int err = redis_sync_command(cli->redis, reply, &why, n, argv, NULL);

	return err ? cli_fail_redis(cli, err, &why) : CLI_DONE;
}

/* --- new */

static char *address_of(const struct cli *cli, const struct cli_args *args, const char *secret)
{
	const struct config_strings *hosts = &cli->config->scheduler.hosts;
	const struct config_address *listen = &cli->config->scheduler.listen;
	const char *base = cli_arg(args, "base");

	if (base)
		return mem_printf("%s/link#%s", base, secret);
	if (hosts->n)
		return mem_printf("https://%s/link#%s", hosts->items[0], secret);
	return mem_printf("http://%s/link#%s", listen->text ? listen->text : "SCHEDULER", secret);
}

static int store(struct cli *cli, const char *id, const char *tenant, const char *hash,
	int64_t life_ms, int64_t until_ms)
{
	_buf_release_ struct buf key = BUF_INIT(512), list = BUF_INIT(512);
	char seconds[24], until[24], oldest[] = "-" LINKS_MAX;
	const struct reply *reply;
	int status;

	fetch_key(cli, &key, "link:", hash);
	fetch_key(cli, &list, "links:", id);
	snprintf(seconds, sizeof seconds, "%" PRId64, life_ms / 1000);
	snprintf(until, sizeof until, "%" PRId64, until_ms);
	const char *const k = buf_cstr(&key), *const l = buf_cstr(&list);
	const char *const set[] = {"HSET", k, "endpoint", id, "tenant", tenant, "by", "cli"};
	const char *const expire[] = {"EXPIRE", k, seconds};
	const char *const trim[] = {"ZREMRANGEBYRANK", l, "0", oldest};
	const char *const add[] = {"ZADD", l, until, hash};
	const char *const keep[] = {"EXPIRE", l, MONTH_S};

	if ((status = run(cli, &reply, ARRAY_LEN(set), set)) ||
		(status = run(cli, &reply, ARRAY_LEN(expire), expire)) ||
		(status = run(cli, &reply, ARRAY_LEN(trim), trim)) ||
		(status = run(cli, &reply, ARRAY_LEN(add), add)))
		return status;
	return run(cli, &reply, ARRAY_LEN(keep), keep);
}

int cmd_link_new(struct cli *cli, const struct cli_args *args)
{
	int64_t life_ms = cli_arg_ms(args, "expires"), until_ms = cli_now(cli) + life_ms;
	char secret[ACCESS_SECRET_SIZE], hash[2 * ACCESS_HASH_BYTES + 1];
	_buf_release_ struct buf when = BUF_INIT(64);
	struct facts f = {0};
	int status;

	if (life_ms < CLOCK_MINUTE_MS || life_ms > EXPIRES_MS) {
		cli_fail(cli, "--expires: expected one minute to 30 days");
		return CLI_USAGE;
	}
	status = fetch_or_fail(cli, args->words[0], FETCH_PLAIN, &f);
	if (status != CLI_DONE)
		return status;
	access_new_secret(secret);
	access_hash(secret, hash);
	status =
		store(cli, f.endpoint.config.id, f.endpoint.config.tenant, hash, life_ms, until_ms);
	facts_release(&f);
	if (status != CLI_DONE)
		return status;
	_mem_free_ char *address = address_of(cli, args, secret);
	if (cli->json) {
		cli_emit_json(cli, json_pack("{s:s s:s s:o}", "endpoint", args->words[0], "link",
					   address, "expires", json_time(until_ms)));
		return CLI_DONE;
	}
	fprintf(cli->out, "%s\n", address);
	term_when(&when, &cli->view, until_ms);
	cli_note(cli, "Shows this endpoint alone, to read, and ends %s. It is shown only now.",
		buf_cstr(&when));
	return CLI_DONE;
}

/* --- list, revoke */

struct link {
	char hash[2 * ACCESS_HASH_BYTES + 1];
	int64_t until_ms;
};

/* *out is owned. Those that have ended are not among them. */
static int links_of(struct cli *cli, const char *id, struct link **out, size_t *n)
{
	_buf_release_ struct buf list = BUF_INIT(512);
	const struct reply *reply;
	char now[24];

	if (!fetch_id_ok(id))
		return fetch_fail_unknown(cli, id);
	fetch_key(cli, &list, "links:", id);
	snprintf(now, sizeof now, "(%" PRId64, cli_now(cli));
	const char *const read[] = {"ZRANGEBYSCORE", buf_cstr(&list), now, "+inf", "WITHSCORES"};
	int status = run(cli, &reply, ARRAY_LEN(read), read);
	if (status != CLI_DONE)
		return status;
	*out = mem_zalloc((reply_len(reply) / 2 + 1) * sizeof **out);
	*n = 0;
	for (size_t i = 0; i + 1 < reply_len(reply); i += 2) {
		const char *hash = reply_str(reply_at(reply, i), NULL);
		const char *until = reply_str(reply_at(reply, i + 1), NULL);
		struct link *l = &(*out)[(*n)++];

		snprintf(l->hash, sizeof l->hash, "%s", hash ? hash : "");
		l->until_ms = until ? (int64_t)strtod(until, NULL) : 0;
	}
	return CLI_DONE;
}

int cmd_link_list(struct cli *cli, const struct cli_args *args)
{
	static const struct table_column columns[] = {
		{"LINK", false, false}, {"ENDS", false, false}, {"AT", false, true}};
	struct table t = TABLE_INIT(columns, ARRAY_LEN(columns), 0);
	_buf_release_ struct buf text = BUF_INIT(CLI_TEXT_LIMIT);
	_mem_free_ struct link *links = NULL;
	size_t n = 0;
	int status = links_of(cli, args->words[0], &links, &n);

	if (status != CLI_DONE)
		return status;
	if (cli->json)
		cli_list_open(cli, "links");
	for (size_t i = 0; i < n; i++) {
		_buf_release_ struct buf when = BUF_INIT(64), at = BUF_INIT(64);

		links[i].hash[SHOWN] = '\0';
		term_when(&when, &cli->view, links[i].until_ms);
		term_time(&at, links[i].until_ms);
		if (cli->json) {
			cli_list_item(cli, json_pack("{s:s s:o}", "link", links[i].hash, "expires",
						   json_time(links[i].until_ms)));
			continue;
		}
		table_cell(&t, TINT_NONE, "%s", links[i].hash);
		table_cell(&t, TINT_NONE, "%s", buf_cstr(&when));
		table_cell(&t, TINT_DIM, "%s", buf_cstr(&at));
	}
	if (cli->json)
		cli_list_close(cli);
	table_flush(&t, &cli->view, &text);
	cli_emit(cli, &text);
	table_release(&t);
	if (!n && !cli->json)
		cli_note(cli, "No link to %s is alive.", args->words[0]);
	return CLI_DONE;
}

static int end_link(struct cli *cli, const char *id, const struct link *l)
{
	_buf_release_ struct buf key = BUF_INIT(512), list = BUF_INIT(512);
	const struct reply *reply;

	fetch_key(cli, &key, "link:", l->hash);
	fetch_key(cli, &list, "links:", id);
	const char *const del[] = {"DEL", buf_cstr(&key)};
	const char *const rem[] = {"ZREM", buf_cstr(&list), l->hash};
	int status = run(cli, &reply, ARRAY_LEN(del), del);

	return status != CLI_DONE ? status : run(cli, &reply, ARRAY_LEN(rem), rem);
}

int cmd_link_revoke(struct cli *cli, const struct cli_args *args)
{
	const char *id = args->words[0], *which = args->words_n > 1 ? args->words[1] : "";
	_mem_free_ struct link *links = NULL;
	size_t n = 0, ended = 0;
	int status = links_of(cli, id, &links, &n);

	for (size_t i = 0; i < n && status == CLI_DONE; i++) {
		if (!str_starts_with(links[i].hash, which))
			continue;
		status = end_link(cli, id, &links[i]);
		ended += status == CLI_DONE;
	}
	if (status != CLI_DONE)
		return status;
	if (*which && !ended)
		return cli_fail(cli, "no link of %s begins with \"%s\"", id, which);
	if (cli->json)
		cli_emit_json(
			cli, json_pack("{s:s s:I}", "endpoint", id, "revoked", (json_int_t)ended));
	else
		fprintf(cli->out, "%s: %zu link%s ended\n", id, ended, ended == 1 ? "" : "s");
	return CLI_DONE;
}

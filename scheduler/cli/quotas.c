/* quotas.c - certfleet quotas: how many new orders each authority still takes. */
#include "scheduler/cli/quotas.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"
#include "scheduler/cli/cli.h"
#include "scheduler/cli/facts.h"
#include "scheduler/cli/fetch.h"

int64_t quotas_left(const struct config_rate *rate, int64_t free_ms, int64_t now_ms)
{
	int64_t owed = free_ms > now_ms ? free_ms - now_ms : 0;
	int64_t used = (owed * rate->count + rate->window_ms - 1) / rate->window_ms;

	return used > rate->count ? 0 : rate->count - used;
}

static int read_one(
	struct cli *cli, const struct config_authority *a, int64_t *free_ms, struct why *why)
{
	_buf_release_ struct buf key = BUF_INIT(512);
	const struct reply *reply;
	uint64_t n = 0;

	fetch_key(cli, &key, "quota:", a->name);
	buf_adds(&key, ":new_orders");
	int err = redis_sync_commandv(cli->redis, &reply, why, "GET", buf_cstr(&key), NULL);
	if (err == 0 && reply_str(reply, NULL))
		(void)str_parse_u64(reply_str(reply, NULL), INT64_MAX, &n);
	*free_ms = (int64_t)n;
	return err;
}

static void row(struct cli *cli, struct table *t, const struct config_authority *a, int64_t free_ms)
{
	const struct config_rate *rate = &a->limits.new_orders;
	int64_t left = quotas_left(rate, free_ms, cli->view.now_ms);
	_buf_release_ struct buf when = BUF_INIT(64);
	char window[CLOCK_HUMAN_LEN];

	if (cli->json) {
		cli_list_item(cli,
			json_pack("{s:s s:s s:I s:I s:I s:o}", "authority", a->name, "limit",
				"new_orders", "burst", (json_int_t)rate->count, "window_seconds",
				(json_int_t)(rate->window_ms / 1000), "left", (json_int_t)left,
				"free_at", json_time(free_ms > cli->view.now_ms ? free_ms : 0)));
		return;
	}
	table_cell(t, TINT_NONE, "%s", a->name);
	table_cell(t, left ? TINT_GOOD : TINT_BAD, "%lld", (long long)left);
	table_cell(t, TINT_NONE, "%lld in %s", (long long)rate->count,
		clock_human(rate->window_ms, window));
	if (free_ms > cli->view.now_ms)
		term_when(&when, &cli->view, free_ms);
	table_cell(t, TINT_NONE, "%s", when.len ? buf_cstr(&when) : "now");
}

int cmd_quotas(struct cli *cli, const struct cli_args *args)
{
	static const struct table_column columns[] = {{"AUTHORITY", false, true},
		{"LEFT", true, false}, {"NEW ORDERS", false, false}, {"WHOLLY FREE", false, false}};
	struct table t = TABLE_INIT(columns, ARRAY_LEN(columns), 0);
	const struct config_authorities *all = &cli->config->authorities;
	_buf_release_ struct buf text = BUF_INIT(CLI_TEXT_LIMIT);
	struct why why = {0};
	int err = 0;

	(void)args;
	cli_now(cli);
	if (cli->json)
		cli_list_open(cli, "quotas");
	for (size_t i = 0; i < all->n && err == 0; i++) {
		int64_t free_ms;

		if (!all->items[i].limits.new_orders.count)
			continue;
		err = read_one(cli, &all->items[i], &free_ms, &why);
		if (err == 0)
			row(cli, &t, &all->items[i], free_ms);
	}
	if (cli->json)
		cli_list_close(cli);
	table_flush(&t, &cli->view, &text);
	table_release(&t);
	cli_emit(cli, &text);
	return err ? cli_fail_redis(cli, err, &why) : CLI_DONE;
}

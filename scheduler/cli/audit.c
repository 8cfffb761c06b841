/* audit.c - certfleet audit: one pass of scheduler/audit.h, told to a person. */
#include "scheduler/audit.h"

#include "common/clock.h"
#include "common/mem.h"
#include "scheduler/cli/cli.h"
#include "scheduler/cli/facts.h"

#include <string.h>

#define SHOWN_MAX 50

struct run {
	struct cli *cli;
	uv_loop_t loop;
	struct redis *redis;
	struct audit *audit;
	struct table table;
	struct audit_counts counts;
	uv_timer_t limit; /* for Redis to come up */
	struct why why;
	size_t shown;
	bool repair, began, ended;
	int err;
};

static const struct table_column COLUMNS[] = {
	{"ENDPOINT", false, true},
	{"QUEUE", false, false},
	{"FOUND", false, false},
	{"NEEDED", false, true},
};

static void on_finding(
	void *arg, const char *id, enum queue_id q, enum audit_finding f, const struct need *plan)
{
	struct run *r = arg;

	if (r->cli->json) {
		cli_list_item(r->cli,
			json_pack("{s:o s:s s:s s:o s:o}", "endpoint", json_text(id), "queue",
				queue_name(q), "found", audit_finding_name(f), "needed",
				plan->any ? json_string(job_intent_name(plan->intent))
					  : json_null(),
				"index", f == AUDIT_STRAY ? json_text(plan->why) : json_null()));
		return;
	}
	if (r->shown++ >= SHOWN_MAX)
		return;
	table_cell(&r->table, TINT_NONE, "%s", id);
	table_cell(&r->table, TINT_NONE, "%s", queue_name(q));
	table_cell(&r->table, TINT_BAD, "%s", audit_finding_name(f));
	if (plan->any)
		table_cell(
			&r->table, TINT_NONE, "%s (%s)", job_intent_name(plan->intent), plan->why);
	else
		table_cell(&r->table, TINT_NONE, "%s", f == AUDIT_STRAY ? plan->why : "nothing");
}

static void on_progress(void *arg, const struct audit_counts *c)
{
	struct run *r = arg;

	cli_progress(
		r->cli, "looked at %zu endpoints, found %zu faults", c->endpoints, audit_found(c));
}

static void end(struct run *r)
{
	r->ended = true;
	audit_free(mem_steal(r->audit));
	redis_free(mem_steal(r->redis));
	if (!uv_is_closing((uv_handle_t *)&r->limit))
		uv_close((uv_handle_t *)&r->limit, NULL);
}

static void on_done(void *arg, int err, const struct audit_counts *counts)
{
	struct run *r = arg;

	r->err = err;
	if (counts != NULL)
		r->counts = *counts;
	end(r);
}

static void on_state(void *arg, bool up, const struct why *why)
{
	struct run *r = arg;
	const struct config *c = r->cli->config;

	if (r->ended)
		return;
	if (!up) {
		if (why != NULL)
			r->why = *why;
		return;
	}
	if (r->began)
		return;
	r->began = true;
	uv_timer_stop(&r->limit);
	struct audit_options options = {
		.policy = {.verify_every_ms = c->scheduler.verify_every_ms,
			.verify_fast_ms = c->scheduler.verify_fast_ms},
		.repair = r->repair,
		.progress = on_progress,
		.finding = on_finding,
		.done = on_done,
		.arg = r,
	};
	r->audit = audit_run(&r->loop, r->redis, &options);
}

static void on_limit(uv_timer_t *timer)
{
	struct run *r = timer->data;

	r->err = CF_ECONN;
	end(r);
}

/** The loop lives for this one pass. */
static void run_loop(struct run *r)
{
	uv_loop_init(&r->loop);
	uv_timer_init(&r->loop, &r->limit);
	r->limit.data = r;
	uv_timer_start(&r->limit, on_limit, 10000, 0);
	r->redis = redis_new(&r->loop, &r->cli->redis_options, on_state, r);
	uv_run(&r->loop, UV_RUN_DEFAULT);
	uv_loop_close(&r->loop);
}

static void report(struct run *r)
{
	_buf_release_ struct buf text = BUF_INIT(CLI_TEXT_LIMIT);
	const struct audit_counts *c = &r->counts;
	char human[CLOCK_HUMAN_LEN];

	table_flush(&r->table, &r->cli->view, &text);
	if (r->shown > SHOWN_MAX)
		buf_addf(&text, "… and %zu more\n", r->shown - SHOWN_MAX);
	term_count(&text, c->endpoints);
	buf_addf(&text, " endpoint%s looked at in %s: ", c->endpoints == 1 ? "" : "s",
		clock_human(c->took_ms, human));
	if (audit_found(c) == 0)
		buf_adds(&text, "all that is needed is planned\n");
	else
		buf_addf(&text, "%zu fault%s found, %zu repaired\n", audit_found(c),
			audit_found(c) == 1 ? "" : "s", audit_repaired(c));
	cli_emit(r->cli, &text);
	if (audit_found(c) > 0 && !r->repair)
		cli_hint(r->cli, "\"certfleet audit --repair\" puts them right; so does the "
				 "leading scheduler.");
}

static void report_json(struct run *r)
{
	const struct audit_counts *c = &r->counts;

	fprintf(r->cli->out,
		"],\"endpoints\":%zu,\"found\":%zu,\"repaired\":%zu,\"failed\":%zu,\"took_ms\":%"
		"lld}\n",
		c->endpoints, audit_found(c), audit_repaired(c), c->failed, (long long)c->took_ms);
}

int cmd_audit(struct cli *cli, const struct cli_args *args)
{
	struct run r = {.cli = cli, .repair = cli_flag(args, "repair")};

	r.table = TABLE_INIT(COLUMNS, ARRAY_LEN(COLUMNS), 0);
	if (cli->json)
		cli_list_open(cli, "findings");
	run_loop(&r);
	cli_progress_end(cli);
	if (r.err == 0 && cli->json)
		report_json(&r);
	else if (r.err == 0)
		report(&r);
	table_release(&r.table);
	if (r.err != 0)
		return cli_fail_redis(cli, r.err, &r.why);
	return audit_found(&r.counts) > audit_repaired(&r.counts) ? CLI_NOT_YET : CLI_DONE;
}

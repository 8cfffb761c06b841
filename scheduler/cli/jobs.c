/* jobs.c - certfleet jobs list|show|retry|cancel. */
#include "scheduler/cli/cli.h"

#include "common/mem.h"
#include "scheduler/cli/fetch.h"

#include <string.h>

struct jobs {
	struct cli *cli;
	struct table table;
	const char *queue, *where;
	bool all; /* due ones too */
	size_t shown, due, limit;
	bool cut;
};

static bool jobs_want(struct jobs *j, enum queue_id q, const struct job_record *r)
{
	if (r->where == JOB_NONE || (j->queue != NULL && strcmp(j->queue, queue_name(q)) != 0))
		return false;
	if (r->where == JOB_DUE)
		j->due++;
	if (j->where != NULL)
		return strcmp(j->where, job_where_name(r->where)) == 0;
	return j->all || r->where != JOB_DUE;
}

static int jobs_one(void *arg, struct facts *f)
{
	struct jobs *j = arg;

	for (enum queue_id q = QUEUE_VERIFY; q <= QUEUE_ISSUE; q++) {
		if (!jobs_want(j, q, &f->endpoint.jobs[q]))
			continue;
		if (j->limit != 0 && j->shown == j->limit) {
			j->cut = true;
			return 1;
		}
		j->shown++;
		if (j->cli->json)
			cli_list_item(j->cli, facts_job_json(f, q));
		else
			facts_job_row(f, q, &j->cli->view, &j->table);
	}
	return 0;
}

/** Endpoints with a running or parked job, from the queues' own indexes: no look at the whole
 * fleet. */
static int jobs_indexed(struct jobs *j, const char *index, struct why *why)
{
	_buf_release_ struct buf key = BUF_INIT(512);
	const struct reply *reply;

	fetch_key(j->cli, &key, index, "");
	int err = redis_sync_commandv(
		j->cli->redis, &reply, why, "ZRANGE", buf_cstr(&key), "0", "999", NULL);
	if (err != 0)
		return err;
	size_t n = reply_len(reply);
	char **ids = mem_array(n + 1, sizeof *ids);
	for (size_t i = 0; i < n; i++)
		ids[i] = mem_strdup(reply_str(reply_at(reply, i), NULL));
	err = fetch_ids(j->cli, (const char *const *)ids, n, FETCH_PLAIN, jobs_one, j, why);
	for (size_t i = 0; i < n; i++)
		free(ids[i]);
	free(ids);
	return err;
}

static int jobs_fetch(struct jobs *j, struct why *why)
{
	static const char *const indexes[] = {
		"run:verify", "run:issue", "parked:verify", "parked:issue"};
	int err = 0;

	if (j->all || (j->where != NULL && strcmp(j->where, "due") == 0))
		return fetch_each(j->cli, "", FETCH_PLAIN, jobs_one, j, why);
	const char *queue = j->queue;
	const char *where = j->where;
	for (size_t i = 0; i < ARRAY_LEN(indexes) && err == 0; i++) {
		const char *q = strchr(indexes[i], ':') + 1;
		const char *w = indexes[i][0] == 'r' ? "running" : "parked";
		if ((queue != NULL && strcmp(queue, q) != 0) ||
			(where != NULL && strcmp(where, w) != 0))
			continue;
		/* An endpoint may stand in several indexes: each shows what belongs to it. */
		j->queue = q;
		j->where = w;
		err = jobs_indexed(j, indexes[i], why);
	}
	j->queue = queue;
	j->where = where;
	return err;
}

int cmd_jobs_list(struct cli *cli, const struct cli_args *args)
{
	_buf_release_ struct buf text = BUF_INIT(CLI_TEXT_LIMIT);
	struct why why = {0};
	struct jobs j = {.cli = cli,
		.queue = cli_arg(args, "queue"),
		.where = cli_arg(args, "where"),
		.all = cli_flag(args, "all"),
		.limit = cli_arg_number(args, "limit")};

	j.table = TABLE_INIT(facts_job_columns, facts_job_columns_n, 0);
	cli_now(cli);
	if (cli->json)
		cli_list_open(cli, "jobs");
	int err = jobs_fetch(&j, &why);
	table_flush(&j.table, &cli->view, &text);
	table_release(&j.table);
	if (cli->json)
		cli_list_close(cli);
	else
		cli_emit(cli, &text);
	if (err < 0)
		return cli_fail_redis(cli, err, &why);
	if (j.shown == 0 && !cli->json)
		cli_note(cli, j.all || j.where ? "No such job."
					       : "No job runs and none is parked. --all shows "
						 "those that are due later.");
	if (j.cut)
		cli_note(cli, "There are more; --limit 0 shows all.");
	return CLI_DONE;
}

static void job_page(struct cli *cli, const struct facts *f, enum queue_id q, struct buf *out)
{
	const struct job_record *j = &f->endpoint.jobs[q];
	_buf_release_ struct buf when = BUF_INIT(256);
	const char *when_name = j->where == JOB_RUNNING ? "lease until"
				: j->where == JOB_DUE   ? "due"
							: NULL;

	term_tint(out, &cli->view, TINT_BOLD, "%s: %s", queue_name(q), job_where_name(j->where));
	buf_addc(out, '\n');
	if (j->where == JOB_NONE)
		return;
	buf_addf(out, "  %-12s%s\n", "work", job_intent_name(j->intent));
	buf_addf(out, "  %-12s%s\n", "lane", job_lane_name(j->lane));
	if (when_name != NULL) {
		term_time(&when, j->due_ms);
		buf_adds(&when, " (");
		term_when(&when, &cli->view, j->due_ms);
		buf_addf(out, "  %-12s%s)\n", when_name, buf_cstr(&when));
	}
	buf_clear(&when);
	term_when(&when, &cli->view, j->since_ms);
	buf_addf(out, "  %-12s%s\n", "since", buf_cstr(&when));
	buf_addf(out, "  %-12s%s\n", "why", j->why[0] ? j->why : "-");
	buf_addf(out, "  %-12s%u since it last ended\n", "starts", j->attempt);
	if (j->lapses > 0)
		buf_addf(out, "  %-12s%u lost leases in a row; three park it\n", "lapses",
			j->lapses);
	if (j->worker[0] != '\0')
		buf_addf(out, "  %-12s%s\n", "worker", j->worker);
}

int cmd_jobs_show(struct cli *cli, const struct cli_args *args)
{
	_buf_release_ struct buf text = BUF_INIT(65536);
	struct facts f = {0};
	int status = fetch_or_fail(cli, args->words[0], FETCH_PLAIN, &f);

	if (status != CLI_DONE)
		return status;
	if (cli->json) {
		cli_emit_json(cli, json_pack("{s:[o,o]}", "jobs", facts_job_json(&f, QUEUE_VERIFY),
					   facts_job_json(&f, QUEUE_ISSUE)));
	} else {
		job_page(cli, &f, QUEUE_VERIFY, &text);
		job_page(cli, &f, QUEUE_ISSUE, &text);
		cli_emit(cli, &text);
	}
	facts_release(&f);
	return CLI_DONE;
}

/* retry, cancel: the scripts of the queue; what they change is the job alone */

static bool this_queue(const struct cli_args *args, enum queue_id q)
{
	const char *queue = cli_arg(args, "queue");

	return queue == NULL || strcmp(queue, queue_name(q)) == 0;
}

/** Runs a script whose first reply (or its first member) is a status; CF_E* of it or of Redis. */
static int run_script(
	struct cli *cli, const char *name, size_t argc, const char *const *argv, struct why *why)
{
	const struct reply *reply;
	int err = redis_sync_script(cli->redis, &reply, why, name, argc, argv, NULL);

	if (err != 0)
		return err;
	if (reply_type(reply) == REPLY_ARRAY)
		reply = reply_at(reply, 0);
	return (int)reply_int(reply);
}

static int retry_one(struct cli *cli, const struct facts *f, enum queue_id q, struct why *why)
{
	char intent[16];

	snprintf(intent, sizeof intent, "%d", (int)f->endpoint.jobs[q].intent);
	const char *argv[] = {queue_name(q), f->endpoint.config.id, intent, "0", "0", "asked", "1"};
	return run_script(cli, "ask", ARRAY_LEN(argv), argv, why);
}

static int retry_all(struct cli *cli, const struct cli_args *args, const struct facts *f)
{
	const char *id = f->endpoint.config.id;
	struct why why = {0};
	size_t n = 0;

	for (enum queue_id q = QUEUE_VERIFY; q <= QUEUE_ISSUE; q++) {
		enum job_where where = f->endpoint.jobs[q].where;
		if (!this_queue(args, q) || where == JOB_NONE || where == JOB_RUNNING)
			continue;
		int err = retry_one(cli, f, q, &why);
		if (err != 0)
			return cli_fail_redis(cli, err, &why);
		n++;
		if (!cli->json)
			fprintf(cli->out, "%s: its %s job is due now\n", id, queue_name(q));
	}
	if (cli->json)
		cli_emit_json(
			cli, json_pack("{s:s s:I}", "endpoint", id, "retried", (json_int_t)n));
	if (n > 0)
		return CLI_DONE;
	cli_fail(cli, "%s has no job that waits or is parked%s", id,
		cli_arg(args, "queue") ? " in that queue" : "");
	cli_hint(cli,
		"\"certfleet endpoint verify %s\" and \"certfleet endpoint renew %s\" make new "
		"ones.",
		id, id);
	return CLI_FAILED;
}

int cmd_jobs_retry(struct cli *cli, const struct cli_args *args)
{
	int status = CLI_DONE;

	for (size_t i = 0; i < args->words_n; i++) {
		struct facts f = {0};
		int one = fetch_or_fail(cli, args->words[i], FETCH_PLAIN, &f);
		if (one == CLI_DONE)
			one = retry_all(cli, args, &f);
		if (one != CLI_DONE)
			status = one;
		facts_release(&f);
	}
	return status;
}

static int cancel_all(struct cli *cli, const struct cli_args *args, const struct facts *f)
{
	const char *id = f->endpoint.config.id;
	struct why why = {0};
	size_t n = 0;

	for (enum queue_id q = QUEUE_VERIFY; q <= QUEUE_ISSUE; q++) {
		const char *argv[] = {queue_name(q), id};
		if (!this_queue(args, q))
			continue;
		int marked = run_script(cli, "cancel", ARRAY_LEN(argv), argv, &why);
		if (marked < 0)
			return cli_fail_redis(cli, marked, &why);
		n += (size_t)marked;
		if (marked > 0 && !cli->json)
			fprintf(cli->out, "%s: %s is told to stop its %s job\n", id,
				f->endpoint.jobs[q].worker, queue_name(q));
	}
	if (cli->json)
		cli_emit_json(
			cli, json_pack("{s:s s:I}", "endpoint", id, "cancelled", (json_int_t)n));
	if (n > 0)
		return CLI_DONE;
	cli_fail(
		cli, "no job of %s runs now%s", id, cli_arg(args, "queue") ? " in that queue" : "");
	return CLI_FAILED;
}

int cmd_jobs_cancel(struct cli *cli, const struct cli_args *args)
{
	int status = CLI_DONE;

	for (size_t i = 0; i < args->words_n; i++) {
		struct facts f = {0};
		int one = fetch_or_fail(cli, args->words[i], FETCH_PLAIN, &f);
		if (one == CLI_DONE)
			one = cancel_all(cli, args, &f);
		if (one != CLI_DONE)
			status = one;
		facts_release(&f);
	}
	return status;
}

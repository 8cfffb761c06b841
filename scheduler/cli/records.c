/* records.c - certfleet records: what the domain's owner must create. */
#include "scheduler/cli/cli.h"
#include "scheduler/cli/fetch.h"

#include "common/mem.h"

#include <string.h>

static void zone_out(struct cli *cli, const struct facts *f)
{
	_buf_release_ struct buf text = BUF_INIT(CLI_TEXT_LIMIT);

	facts_zone(f, &text);
	cli_emit(cli, &text);
}

static void table_out(struct cli *cli, const struct facts *f, bool head)
{
	_buf_release_ struct buf text = BUF_INIT(CLI_TEXT_LIMIT);

	if (head) {
		term_tint(&text, &cli->view, TINT_BOLD, "%s", f->endpoint.config.id);
		buf_addc(&text, '\n');
	}
	facts_records(f, &cli->view, head ? 2 : 0, &text);
	if (f->endpoint.has_verdict && f->endpoint.verdict.diagnoses_n) {
		buf_addc(&text, '\n');
		facts_findings(f, &cli->view, head ? 2 : 0, &text);
	}
	cli_emit(cli, &text);
}

static json_t *json_of(const struct facts *f)
{
	return json_pack("{s:o s:o s:b s:o s:o}", "endpoint", json_text(f->endpoint.config.id),
		"looked", json_time(f->endpoint.has_verdict ? f->endpoint.verdict.looked_ms : 0),
		"right", facts_records_right(f), "records", facts_records_json(f), "findings",
		facts_findings_json(f));
}

static int records_of(
	struct cli *cli, const struct cli_args *args, const char *id, json_t *all, bool *right)
{
	struct facts f = {0};
	int status = fetch_or_fail(cli, id, FETCH_RECORDS, &f);

	if (status != CLI_DONE)
		return status;
	if (f.no_records != NULL)
		status = cli_fail(cli, "%s", f.no_records);
	else if (cli->json)
		json_array_append_new(all, json_of(&f));
	else if (cli_flag(args, "zone"))
		zone_out(cli, &f);
	else
		table_out(cli, &f, args->words_n > 1);
	*right = *right && facts_records_right(&f);
	facts_release(&f);
	return status;
}

int cmd_records(struct cli *cli, const struct cli_args *args)
{
	json_t *all = json_array();
	int status = CLI_DONE;
	bool right = true;

	for (size_t i = 0; i < args->words_n; i++) {
		int one = records_of(cli, args, args->words[i], all, &right);
		if (one != CLI_DONE)
			status = one;
	}
	if (cli->json && args->words_n == 1 && json_array_size(all) == 1)
		cli_emit_json(cli, json_incref(json_array_get(all, 0)));
	else if (cli->json)
		cli_emit_json(cli, json_pack("{s:O}", "endpoints", all));
	json_decref(all);
	if (status == CLI_DONE && cli_flag(args, "check") && !right) {
		cli_note(cli, "Not all records are right yet.");
		return CLI_NOT_YET;
	}
	return status;
}

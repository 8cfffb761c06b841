/* explain.c - certfleet explain: what a code means, why it matters, who does what. */
#include "scheduler/cli/cli.h"
#include "scheduler/cli/facts.h"
#include "scheduler/cli/words.h"

#include "common/diagnosis.h"
#include "common/mem.h"
#include "common/runbook.h"

#include <stdlib.h>
#include <string.h>

static const struct table_column columns[] = {
	{"CODE", false, false},
	{"SEVERITY", false, false},
	{"WHO ACTS", false, false},
	{"MEANS", false, true},
};

static json_t *json_of(const struct diagnosis_kind *k)
{
	return json_pack("{s:s s:s s:s s:s s:s s:s}", "code", k->code, "severity",
		diagnosis_severity_word(k->severity), "actor", diagnosis_actor_word(k->actor),
		"means", k->means, "advice", k->advice, "why", k->why);
}

static json_t *json_of_runbook(const struct runbook *r)
{
	return json_pack("{s:s s:s s:s s:s s:s}", "code", r->condition, "actor", r->actor, "means",
		r->means, "advice", r->now, "ends", r->ends);
}

/* Conditions of the fleet: their severity is the moment's. */
static void list_runbooks(struct cli *cli, struct table *t)
{
	size_t n;
	const struct runbook *r = runbook_all(&n);

	for (size_t i = 0; i < n; i++) {
		if (cli->json) {
			cli_list_item(cli, json_of_runbook(&r[i]));
			continue;
		}
		table_cell(t, TINT_NONE, "%s", r[i].condition);
		table_cell(t, TINT_NONE, "-");
		table_cell(t, TINT_NONE, "%s", r[i].actor);
		table_cell(t, TINT_NONE, "%s", r[i].means);
	}
}

static void list_all(struct cli *cli)
{
	struct table t = TABLE_INIT(columns, ARRAY_LEN(columns), 0);
	_buf_release_ struct buf text = BUF_INIT(CLI_TEXT_LIMIT);
	size_t n;
	const struct diagnosis_kind *k = diagnosis_kinds(&n);

	if (cli->json)
		cli_list_open(cli, "codes");
	for (size_t i = 0; i < n; i++) {
		if (cli->json) {
			cli_list_item(cli, json_of(&k[i]));
			continue;
		}
		table_cell(&t, TINT_NONE, "%s", k[i].code);
		table_cell(&t, TINT_NONE, "%s", diagnosis_severity_word(k[i].severity));
		table_cell(&t, TINT_NONE, "%s", diagnosis_actor_word(k[i].actor));
		table_cell(&t, TINT_NONE, "%s", k[i].means);
	}
	list_runbooks(cli, &t);
	if (cli->json)
		cli_list_close(cli);
	table_flush(&t, &cli->view, &text);
	cli_emit(cli, &text);
	table_release(&t);
}

static void part(struct cli *cli, struct buf *out, const char *word, const char *text)
{
	_buf_release_ struct buf line = BUF_INIT(4096);

	if (!text[0])
		return;
	buf_addf(&line, "%s: %s", word, text);
	term_wrap(out, buf_cstr(&line), 2, cli->view.width);
}

static int explain_kind(struct cli *cli, const struct diagnosis_kind *k)
{
	_buf_release_ struct buf out = BUF_INIT(CLI_TEXT_LIMIT);

	if (cli->json) {
		cli_emit_json(cli, json_of(k));
		return CLI_DONE;
	}
	term_tint(&out, &cli->view, TINT_BOLD, "%s", k->code);
	buf_addf(&out, ": %s\n", k->means);
	part(cli, &out, "severity", diagnosis_severity_word(k->severity));
	part(cli, &out, "who acts", diagnosis_actor_word(k->actor));
	part(cli, &out, "to do", k->advice);
	part(cli, &out, "why", k->why);
	part(cli, &out, "seen",
		k->probed ? "by connecting to the name" : "in DNS or by certfleet itself");
	cli_emit(cli, &out);
	return CLI_DONE;
}

static int explain_word(struct cli *cli, const char *code)
{
	_buf_release_ struct buf out = BUF_INIT(CLI_TEXT_LIMIT);

	if (cli->json) {
		cli_emit_json(cli, json_pack("{s:s s:s s:s}", "code", code, "means",
					   words_means(code), "advice", words_next(code)));
		return CLI_DONE;
	}
	term_tint(&out, &cli->view, TINT_BOLD, "%s", code);
	buf_addf(&out, ": %s\n", words_means(code));
	part(cli, &out, "to do", words_next(code));
	cli_emit(cli, &out);
	return CLI_DONE;
}

static int explain_runbook(struct cli *cli, const struct runbook *r)
{
	_buf_release_ struct buf out = BUF_INIT(CLI_TEXT_LIMIT);

	if (cli->json) {
		cli_emit_json(cli, json_of_runbook(r));
		return CLI_DONE;
	}
	term_tint(&out, &cli->view, TINT_BOLD, "%s", r->condition);
	buf_addf(&out, ": %s\n", r->means);
	part(cli, &out, "who acts", r->actor);
	part(cli, &out, "to do", r->now);
	part(cli, &out, "ends", r->ends);
	cli_emit(cli, &out);
	return CLI_DONE;
}

static int unknown(struct cli *cli, const char *code)
{
	size_t n;
	const struct diagnosis_kind *k = diagnosis_kinds(&n);
	_mem_free_ const char **codes = mem_array(n, sizeof *codes);
	const char *near;

	for (size_t i = 0; i < n; i++)
		codes[i] = k[i].code;
	near = cli_suggest(code, codes, n);
	cli_fail(cli, "there is no code \"%s\"%s%s%s", code, near ? ": did you mean \"" : "",
		near ? near : "", near ? "\"?" : "");
	cli_hint(cli, "\"certfleet explain\" lists them.");
	return CLI_FAILED;
}

int cmd_explain(struct cli *cli, const struct cli_args *args)
{
	int status = CLI_DONE;

	if (!args->words_n)
		list_all(cli);
	for (size_t i = 0; i < args->words_n; i++) {
		const char *code = args->words[i];
		const struct diagnosis_kind *k = diagnosis_kind(code);
		const struct runbook *r = runbook_of(code);
		int one = k != NULL           ? explain_kind(cli, k)
			  : r != NULL         ? explain_runbook(cli, r)
			  : words_known(code) ? explain_word(cli, code)
					      : unknown(cli, code);

		if (one != CLI_DONE)
			status = one;
	}
	return status;
}

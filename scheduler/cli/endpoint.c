/* endpoint.c - certfleet endpoint add|list|show|wait|verify|renew|revoke|remove (import: import.c).
 */
#include "scheduler/cli/cli.h"

#include "common/clock.h"
#include "common/event.h"
#include "common/mem.h"
#include "common/mp.h"
#include "common/str.h"
#include "scheduler/cli/endpoint_spec.h"
#include "scheduler/cli/fetch.h"
#include "scheduler/cli/request.h"
#include "scheduler/cli/wait.h"

#include <string.h>

/* add */

static int wait_active(struct cli *cli, const char *id, int64_t timeout_ms)
{
	struct waiter w = {.id = id, .goal = WAIT_STATE, .state = STATE_ACTIVE};

	return wait_run(cli, &w, 1, timeout_ms);
}

static void show_added(struct cli *cli, const struct facts *f)
{
	_buf_release_ struct buf text = BUF_INIT(CLI_TEXT_LIMIT);
	const char *id = f->endpoint.config.id;

	term_tint(&text, &cli->view, TINT_GOOD, "added");
	buf_addf(&text, " %s, %zu name%s, generation %llu\n", id, f->endpoint.config.names_n,
		f->endpoint.config.names_n == 1 ? "" : "s",
		(unsigned long long)f->endpoint.generation);
	if (!cli->quiet) {
		buf_adds(&text, "\nThe owner of the domain creates, once and for ever:\n");
		facts_records(f, &cli->view, 2, &text);
		buf_addf(&text,
			"\ncertfleet looks for them by itself. To look now:  certfleet endpoint "
			"verify %s\n",
			id);
		buf_addf(&text,
			"To wait until its certificate is there:          certfleet endpoint wait "
			"%s\n",
			id);
	}
	cli_emit(cli, &text);
}

/** After the scheduler said yes. */
static int added(struct cli *cli, const struct cli_args *args, const struct request *r)
{
	const char *id = r->answer.endpoint;
	struct facts f = {0};
	int status = fetch_or_fail(cli, id, FETCH_RECORDS, &f);

	if (status != CLI_DONE)
		return status;
	if (!cli->json)
		show_added(cli, &f);
	facts_release(&f);
	if (cli_flag(args, "wait"))
		status = wait_active(cli, id, cli_arg_ms(args, "wait"));
	if (!cli->json)
		return status;
	struct facts now = {0};
	int again = fetch_or_fail(cli, id, FETCH_RECORDS | FETCH_ISSUER, &now);
	if (again == CLI_DONE)
		cli_emit_json(cli, facts_json(&now, true));
	facts_release(&now);
	return status != CLI_DONE ? status : again;
}

int cmd_endpoint_add(struct cli *cli, const struct cli_args *args)
{
	_buf_release_ struct buf data = BUF_INIT(ENDPOINT_SPEC_MAX);
	struct endpoint_spec spec = {
		.id = cli_arg(args, "id"),
		.tenant = cli_arg(args, "tenant"),
		.type = cli_arg(args, "type"),
		.target = cli_arg(args, "target"),
		.authority = cli_arg(args, "authority"),
		.profile = cli_arg(args, "profile"),
		.zone = cli_arg(args, "zone"),
		.key_type = cli_arg(args, "key-type"),
		.names = args->words,
		.names_n = args->words_n,
	};
	struct why why = {0};

	if (endpoint_spec_encode(&spec, cli->config, &data, &why) != 0) {
		cli_fail(cli, "%s", why.text);
		cli_hint(cli, "Nothing was added.");
		return CLI_FAILED;
	}
	struct request r = {.type = REQUEST_ADD,
		.subject = spec.id ? spec.id : args->words[0],
		.data = data.data,
		.len = data.len};
	int status = request_one(cli, &r, cli_arg_ms(args, "timeout"));
	return status == CLI_DONE ? added(cli, args, &r) : status;
}

/* list */

struct list {
	struct cli *cli;
	struct table table;
	const char *tenant, *type, *state, *reason, *authority, *contains;
	uint64_t limit;
	uint64_t shown, seen;
	bool cut;
};

static bool list_wants(const struct list *l, const struct facts *f)
{
	const struct endpoint_config *c = &f->endpoint.config;
	bool found = l->contains == NULL || strstr(c->id, l->contains) != NULL;

	for (size_t i = 0; i < c->names_n && !found; i++)
		found = strstr(c->names[i], l->contains) != NULL;
	if (l->tenant != NULL && strcmp(l->tenant, c->tenant) != 0)
		return false;
	if (l->reason != NULL && strcmp(l->reason, f->reason) != 0)
		return false;
	if (l->authority != NULL &&
		strcmp(l->authority,
			f->endpoint.has_cert ? f->endpoint.cert.authority : c->authority) != 0)
		return false;
	if (l->type != NULL &&
		strcmp(l->type, c->type == ENDPOINT_EXTERNAL ? "external" : "internal") != 0)
		return false;
	return found && (l->state == NULL || strcmp(l->state, endpoint_state_name(f->state)) == 0);
}

static void list_flush(struct list *l)
{
	_buf_release_ struct buf text = BUF_INIT(CLI_TEXT_LIMIT);

	table_flush(&l->table, &l->cli->view, &text);
	cli_emit(l->cli, &text);
}

static int list_one(void *arg, struct facts *f)
{
	struct list *l = arg;

	l->seen++;
	if (!list_wants(l, f))
		return 0;
	if (l->limit != 0 && l->shown == l->limit) {
		l->cut = true;
		return 1;
	}
	l->shown++;
	if (l->cli->json) {
		cli_list_item(l->cli, facts_json(f, false));
		return 0;
	}
	facts_list_row(f, &l->cli->view, &l->table);
	if (table_rows(&l->table) >= 2000)
		list_flush(l);
	return 0;
}

static void list_end(struct list *l)
{
	if (l->cli->json) {
		cli_list_close(l->cli);
		return;
	}
	list_flush(l);
	if (l->shown == 0 && l->seen == 0)
		cli_note(l->cli,
			"The fleet has no endpoints yet. Add one:\n"
			"  certfleet endpoint add shop.example.com --type external --target "
			"ingress.platform.example");
	else if (l->shown == 0)
		cli_note(l->cli, "None of the %llu endpoints fits.", (unsigned long long)l->seen);
	if (l->cut)
		cli_note(l->cli, "There are more; --limit 0 shows all.");
}

int cmd_endpoint_list(struct cli *cli, const struct cli_args *args)
{
	struct why why = {0};
	struct list l = {.cli = cli,
		.tenant = cli_arg(args, "tenant"),
		.type = cli_arg(args, "type"),
		.state = cli_arg(args, "state"),
		.reason = cli_arg(args, "reason"),
		.authority = cli_arg(args, "authority"),
		.limit = cli_arg_number(args, "limit"),
		.contains = args->words_n ? args->words[0] : NULL};

	l.table = TABLE_INIT(facts_list_columns, facts_list_columns_n, 0);
	if (cli->json)
		cli_list_open(cli, "endpoints");
	int err = fetch_each(cli, "", FETCH_PLAIN, list_one, &l, &why);
	if (err >= 0)
		list_end(&l);
	table_release(&l.table);
	return err < 0 ? cli_fail_redis(cli, err, &why) : CLI_DONE;
}

/* show */

int cmd_endpoint_show(struct cli *cli, const struct cli_args *args)
{
	_buf_release_ struct buf text = BUF_INIT(CLI_TEXT_LIMIT);
	int status = CLI_DONE;

	for (size_t i = 0; i < args->words_n; i++) {
		struct facts f = {0};
		int one = fetch_or_fail(
			cli, args->words[i], FETCH_RECORDS | FETCH_TIMELINE | FETCH_ISSUER, &f);
		if (one != CLI_DONE) {
			status = one;
			continue;
		}
		if (cli->json) {
			cli_emit_json(cli, facts_json(&f, true));
		} else {
			if (i > 0)
				buf_addc(&text, '\n');
			facts_page(&f, &cli->view, &text);
			cli_emit(cli, &text);
		}
		facts_release(&f);
	}
	return status;
}

/* wait */

struct ids {
	char **items;
	size_t n;
};

static int collect(void *arg, struct facts *f)
{
	struct ids *ids = arg;

	if ((ids->n & (ids->n - 1)) == 0)
		ids->items = mem_grow(ids->items, ids->n ? ids->n * 2 : 1, sizeof *ids->items);
	ids->items[ids->n++] = mem_strdup(f->endpoint.config.id);
	return 0;
}

static int wait_for_ids(
	struct cli *cli, const struct cli_args *args, const char *const *ids, size_t n)
{
	const char *state = cli_arg(args, "state");
	struct waiter *w = mem_zalloc((n + 1) * sizeof *w);
	struct waiter model = {.goal = WAIT_STATE};

	if (strcmp(state, "gone") == 0)
		model.goal = WAIT_GONE;
	else
		(void)endpoint_state_parse(state, &model.state);
	for (size_t i = 0; i < n; i++) {
		w[i] = model;
		w[i].id = ids[i];
	}
	cli_catch_signals();
	int status = wait_run(cli, w, n, cli_arg_ms(args, "timeout"));
	if (cli->json)
		cli_emit_json(
			cli, json_pack("{s:b s:s}", "reached", status == CLI_DONE, "state", state));
	else if (status == CLI_DONE && n == 1)
		cli_note(cli, "%s is %s.", ids[0], state);
	else if (status == CLI_DONE)
		cli_note(cli, "All %zu are %s.", n, state);
	free(w);
	return status;
}

int cmd_endpoint_wait(struct cli *cli, const struct cli_args *args)
{
	struct ids ids = {0};
	struct why why = {0};
	int status = CLI_DONE;

	if (args->words_n == 0 && !cli_flag(args, "all")) {
		cli_fail(cli, "which endpoint? Name one or more, or give --all");
		return CLI_USAGE;
	}
	if (!cli_flag(args, "all"))
		return wait_for_ids(cli, args, args->words, args->words_n);
	int err = fetch_each(cli, "", FETCH_PLAIN, collect, &ids, &why);
	if (err != 0)
		status = cli_fail_redis(cli, err, &why);
	else if (ids.n == 0)
		cli_note(cli, "The fleet has no endpoints.");
	else
		status = wait_for_ids(cli, args, (const char *const *)ids.items, ids.n);
	for (size_t i = 0; i < ids.n; i++)
		free(ids.items[i]);
	free(ids.items);
	return status;
}

/* verify, renew, revoke, remove: one request an endpoint */

struct ask {
	const char *type;
	const char *reason; /* of a revocation, or NULL */
	const char *said;   /* "ID: SAID" */
};

static void report_ask(struct cli *cli, const struct ask *ask, const struct request *r, int *status)
{
	if (r->answer.done) {
		if (!cli->json)
			fprintf(cli->out, "%s: %s\n", r->subject, ask->said);
		return;
	}
	*status = CLI_FAILED;
	if (strcmp(r->answer.code, "not_found") == 0)
		fetch_fail_unknown(cli, r->subject);
	else
		cli_fail(cli, "%s of %s is refused: %s", r->type, r->subject, r->answer.text);
}

static int report_asks(struct cli *cli, const struct ask *ask, const struct request *r, size_t n,
	int64_t timeout_ms)
{
	int status = CLI_DONE;
	size_t unanswered = 0;
	json_t *all = json_array();

	for (size_t i = 0; i < n; i++) {
		if (cli->json)
			json_array_append_new(all, request_json(&r[i]));
		if (r[i].answered)
			report_ask(cli, ask, &r[i], &status);
		else
			unanswered++;
	}
	if (cli->json)
		cli_emit_json(cli, json_pack("{s:O}", "requests", all));
	json_decref(all);
	if (unanswered > 0)
		status = request_fail_unanswered(cli, unanswered, timeout_ms);
	return status;
}

static void encode_ask(const struct ask *ask, const char *id, struct buf *out)
{
	size_t map = mp_map_open(out);

	mp_key_str(out, "id", id);
	mp_key_str(out, "reason", ask->reason);
	mp_map_close(out, map);
}

static int run_asks(struct cli *cli, const struct cli_args *args, const struct ask *ask)
{
	struct request *r = mem_zalloc((args->words_n + 1) * sizeof *r);
	struct buf *data = mem_zalloc((args->words_n + 1) * sizeof *data);
	int64_t timeout_ms = cli_arg_ms(args, "timeout");
	struct why why = {0};
	int status;

	for (size_t i = 0; i < args->words_n; i++) {
		data[i] = BUF_INIT(4096);
		encode_ask(ask, args->words[i], &data[i]);
		r[i] = (struct request){.type = ask->type,
			.subject = args->words[i],
			.data = data[i].data,
			.len = data[i].len};
	}
	int err = request_run(cli, r, args->words_n, timeout_ms, NULL, NULL, &why);
	if (err != 0 && err != CF_ETIMEDOUT)
		status = cli_fail_redis(cli, err, &why);
	else
		status = report_asks(cli, ask, r, args->words_n, timeout_ms);
	for (size_t i = 0; i < args->words_n; i++)
		buf_release(&data[i]);
	free(data);
	free(r);
	return status;
}

int cmd_endpoint_verify(struct cli *cli, const struct cli_args *args)
{
	static const struct ask ask = {REQUEST_VERIFY, NULL, "its DNS is looked at now"};

	return run_asks(cli, args, &ask);
}

/** Asks, then waits until the goal is reached, if that was wanted; done ends the sentence "ID …".
 */
static int ask_and_wait(struct cli *cli, const struct cli_args *args, const struct ask *ask,
	struct waiter *w, const char *done)
{
	int status = run_asks(cli, args, ask);

	if (status != CLI_DONE || !cli_flag(args, "wait"))
		return status;
	cli_catch_signals();
	status = wait_run(cli, w, args->words_n, cli_arg_ms(args, "wait"));
	for (size_t i = 0; i < args->words_n && status == CLI_DONE; i++)
		cli_note(cli, "%s %s", args->words[i], done);
	return status;
}

static int note_serials(struct cli *cli, const struct cli_args *args, struct waiter *w)
{
	for (size_t i = 0; i < args->words_n; i++) {
		struct facts f = {0};
		int status = fetch_or_fail(cli, args->words[i], FETCH_PLAIN, &f);
		if (status != CLI_DONE)
			return status;
		w[i] = (struct waiter){.id = args->words[i], .goal = WAIT_SERIAL};
		memcpy(w[i].serial, f.endpoint.cert.serial, sizeof w[i].serial);
		facts_release(&f);
	}
	return CLI_DONE;
}

int cmd_endpoint_renew(struct cli *cli, const struct cli_args *args)
{
	static const struct ask ask = {REQUEST_RENEW, NULL, "its certificate is renewed now"};
	struct waiter *w = mem_zalloc((args->words_n + 1) * sizeof *w);
	int status = CLI_DONE;

	if (cli_flag(args, "wait"))
		status = note_serials(cli, args, w);
	if (status == CLI_DONE)
		status = ask_and_wait(cli, args, &ask, w, "has a new certificate.");
	free(w);
	return status;
}

int cmd_endpoint_revoke(struct cli *cli, const struct cli_args *args)
{
	struct ask ask = {REQUEST_REVOKE, cli_arg(args, "reason"),
		"its certificate is revoked, and replaced by one with a new key"};

	return run_asks(cli, args, &ask);
}

int cmd_endpoint_remove(struct cli *cli, const struct cli_args *args)
{
	static const struct ask ask = {REQUEST_REMOVE, NULL,
		"it leaves the fleet; its certificate is not renewed any more"};
	struct waiter *w = mem_zalloc((args->words_n + 1) * sizeof *w);

	for (size_t i = 0; i < args->words_n; i++)
		w[i] = (struct waiter){.id = args->words[i], .goal = WAIT_GONE};
	int status = ask_and_wait(cli, args, &ask, w, "is gone.");
	free(w);
	return status;
}

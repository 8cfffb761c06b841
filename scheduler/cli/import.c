/* import.c - certfleet endpoint import: thousands of endpoints from a file, at once. */
#include "scheduler/cli/cli.h"

#include "common/clock.h"
#include "common/event.h"
#include "common/mem.h"
#include "scheduler/cli/import_file.h"
#include "scheduler/cli/request.h"

#include <errno.h>
#include <string.h>

#define ERRORS_SHOWN 20

struct run {
	struct cli *cli;
	const char *name;
	struct import im;
	struct request *requests;
	struct buf *data;
	size_t *item_of; /* by request */
	size_t n;
	size_t bad, added, exist, refused, unanswered;
	size_t told;
	int64_t began_ms;
};

static void tell(struct run *r, const char *text)
{
	if (r->told++ < ERRORS_SHOWN)
		cli_fail(r->cli, "%s", text);
}

static int read_items(struct run *r, const char *path)
{
	bool input = strcmp(path, "-") == 0;
	FILE *f = input ? stdin : fopen(path, "re");
	struct why why = {0};

	r->name = input ? "(standard input)" : path;
	if (f == NULL)
		return cli_fail(r->cli, "cannot read %s: %s", path, strerror(errno));
	int err = import_read(r->name, f, &r->im, &why);
	if (!input)
		fclose(f);
	if (err == 0)
		return CLI_DONE;
	cli_fail(r->cli, "%s", why.text);
	cli_hint(r->cli, "Nothing was imported. \"certfleet help endpoint import\" shows the form "
			 "of the file.");
	return CLI_FAILED;
}

/** Packs each item that is right, tells of the others. */
static void pack_items(struct run *r)
{
	r->requests = mem_zalloc((r->im.n + 1) * sizeof *r->requests);
	r->data = mem_zalloc((r->im.n + 1) * sizeof *r->data);
	r->item_of = mem_array(r->im.n + 1, sizeof *r->item_of);
	for (size_t i = 0; i < r->im.n; i++) {
		const struct import_item *it = &r->im.items[i];
		struct endpoint_spec spec = import_spec(it);
		struct buf *data = &r->data[r->n];
		struct why why = {0};
		*data = BUF_INIT(ENDPOINT_SPEC_MAX);
		if (it->error != NULL) {
			r->bad++;
			tell(r, it->error);
		} else if (endpoint_spec_encode(&spec, r->cli->config, data, &why) != 0) {
			r->bad++;
			why_prefix(&why, 0, "%s:%u:%u: ", r->name, it->line, it->column);
			tell(r, why.text);
			buf_release(data);
		} else {
			r->requests[r->n] = (struct request){.type = REQUEST_ADD,
				.subject = it->id ? it->id : it->names[0],
				.data = data->data,
				.len = data->len};
			r->item_of[r->n++] = i;
		}
	}
}

static void progress(void *arg, size_t answered, size_t n)
{
	struct run *r = arg;
	int64_t ms = clock_mono_ms() - r->began_ms;

	char bar[CLI_BAR_SIZE];

	if (ms < 300)
		return;
	cli_progress(r->cli, "%simported %zu of %zu, %lld a second", cli_bar(answered, n, bar),
		answered, n, (long long)(ms > 0 ? (int64_t)answered * 1000 / ms : 0));
}

/** How long the authority's limit makes a fleet of that many new names wait. */
static void estimate(struct run *r)
{
	const struct config *c = r->cli->config;
	char human[CLOCK_HUMAN_LEN];
	char window[CLOCK_HUMAN_LEN];

	if (c->authorities.n == 0 || r->added == 0)
		return;
	const struct config_rate *rate = &c->authorities.items[0].limits.new_orders;
	if (rate->count == 0 || r->added <= rate->count)
		return;
	int64_t ms =
		(int64_t)((double)(r->added - rate->count) * (double)rate->window_ms / rate->count);
	cli_note(r->cli, "%s allows %u orders in %s: the last of these is ordered in about %s.",
		c->authorities.items[0].name, rate->count, clock_human(rate->window_ms, window),
		clock_human(ms, human));
}

static void judge(struct run *r, bool skip_existing)
{
	char place[1400];

	for (size_t i = 0; i < r->n; i++) {
		const struct request *q = &r->requests[i];
		const struct import_item *it = &r->im.items[r->item_of[i]];
		if (!q->answered) {
			r->unanswered++;
		} else if (q->answer.done) {
			r->added++;
		} else if (skip_existing && strcmp(q->answer.code, "exists") == 0) {
			r->exist++;
		} else {
			r->refused++;
			snprintf(place, sizeof place, "%s:%u:%u: %s is refused: %s", r->name,
				it->line, it->column, q->subject, q->answer.text);
			tell(r, place);
		}
	}
}

static json_t *summary_json(const struct run *r)
{
	json_t *ids = json_array();

	for (size_t i = 0; i < r->n; i++)
		if (r->requests[i].answered && r->requests[i].answer.done)
			json_array_append_new(ids, json_string(r->requests[i].answer.endpoint));
	return json_pack("{s:I s:I s:I s:I s:I s:o}", "added", (json_int_t)r->added, "existed",
		(json_int_t)r->exist, "refused", (json_int_t)r->refused, "invalid",
		(json_int_t)r->bad, "unanswered", (json_int_t)r->unanswered, "endpoints", ids);
}

static void part(struct buf *out, size_t n, const char *what)
{
	if (n == 0)
		return;
	buf_adds(out, ", ");
	term_count(out, n);
	buf_addf(out, " %s", what);
}

static void summary(struct run *r)
{
	_buf_release_ struct buf text = BUF_INIT(1024);
	char human[CLOCK_HUMAN_LEN];

	if (r->told > ERRORS_SHOWN)
		cli_note(r->cli, "… and %zu more of the kind", r->told - ERRORS_SHOWN);
	if (r->cli->json) {
		cli_emit_json(r->cli, summary_json(r));
		return;
	}
	term_count(&text, r->added);
	buf_adds(&text, " added");
	part(&text, r->exist, "there already");
	part(&text, r->refused, "refused");
	part(&text, r->bad, "wrong in the file");
	part(&text, r->unanswered, "not answered");
	buf_addf(&text, ", in %s\n", clock_human(clock_mono_ms() - r->began_ms, human));
	cli_emit(r->cli, &text);
	estimate(r);
}

static int send_items(struct run *r, const struct cli_args *args)
{
	int64_t timeout_ms = cli_arg_ms(args, "timeout");
	struct why why = {0};
	int status = CLI_DONE;

	cli_catch_signals();
	int err = request_run(r->cli, r->requests, r->n, timeout_ms, progress, r, &why);
	cli_progress_end(r->cli);
	judge(r, cli_flag(args, "skip-existing"));
	summary(r);
	if (err == CF_ETIMEDOUT && !cli_stopping())
		status = request_fail_unanswered(r->cli, r->unanswered, timeout_ms);
	else if (err == CF_ETIMEDOUT)
		status = cli_fail(
			r->cli, "interrupted; what was sent already is applied all the same");
	else if (err != 0)
		status = cli_fail_redis(r->cli, err, &why);
	return r->bad + r->refused > 0 ? CLI_FAILED : status;
}

int cmd_endpoint_import(struct cli *cli, const struct cli_args *args)
{
	struct run r = {.cli = cli, .began_ms = clock_mono_ms()};
	int status = read_items(&r, args->words[0]);

	if (status != CLI_DONE)
		return status;
	pack_items(&r);
	if (cli_flag(args, "dry-run")) {
		cli_note(cli, "%zu of %zu endpoints are right; nothing was sent", r.n, r.im.n);
		status = r.bad > 0 ? CLI_FAILED : CLI_DONE;
	} else if (r.im.n == 0) {
		cli_note(cli, "%s has no endpoints.", r.name);
	} else {
		status = send_items(&r, args);
	}
	for (size_t i = 0; i < r.n; i++)
		buf_release(&r.data[i]);
	free(r.data);
	free(r.requests);
	free(r.item_of);
	import_release(&r.im);
	return status;
}

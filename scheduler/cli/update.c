/* update.c - certfleet endpoint update: what an endpoint is asked to be from now on. */
#include "common/event.h"
#include "common/mem.h"
#include "common/mp.h"
#include "scheduler/cli/cli.h"
#include "scheduler/cli/endpoint_spec.h"
#include "scheduler/cli/fetch.h"
#include "scheduler/cli/request.h"

static const struct {
	const char *option, *key;
} texts[] = {{"type", "type"}, {"target", "target"}, {"authority", "authority"},
	{"profile", "profile"}, {"zone", "zone"}, {"key-type", "key_type"}};

/* How many things are to change. */
static size_t encode(const struct cli_args *args, struct buf *out)
{
	size_t map = mp_map_open(out), n = 0;

	mp_key_str(out, "id", args->words[0]);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		const char *value = cli_arg(args, texts[i].option);

		mp_key_str(out, texts[i].key, value);
		n += value != NULL;
	}
	if (args->words_n > 1) {
		mp_key_strs(out, "names", args->words + 1, args->words_n - 1);
		n++;
	}
	mp_map_close(out, map);
	return n;
}

int cmd_endpoint_update(struct cli *cli, const struct cli_args *args)
{
	_buf_release_ struct buf data = BUF_INIT(ENDPOINT_SPEC_MAX);
	struct request r = {.type = REQUEST_UPDATE, .subject = args->words[0]};
	struct facts f = {0};
	int status;

	if (!encode(args, &data)) {
		cli_fail(cli, "what is to change? Give names, or an option");
		return CLI_USAGE;
	}
	if (buf_err(&data))
		return cli_fail(cli, "that is more than a request holds");
	status = fetch_or_fail(cli, args->words[0], FETCH_PLAIN, &f); /* suggests what was meant */
	facts_release(&f);
	if (status != CLI_DONE)
		return status;
	r.data = data.data;
	r.len = data.len;
	status = request_one(cli, &r, cli_arg_ms(args, "timeout"));
	if (status != CLI_DONE)
		return status;
	if (cli->json)
		cli_emit_json(cli, request_json(&r));
	else
		fprintf(cli->out, "%s: updated, generation %llu\n", args->words[0],
			(unsigned long long)r.answer.generation);
	return CLI_DONE;
}

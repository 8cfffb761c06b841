/* config_check.c - certfleet config check|show. */
#include "scheduler/cli/cli.h"

#include <string.h>

int cmd_config_check(struct cli *cli, const struct cli_args *args)
{
	struct config_errors errors = {0};
	_buf_release_ struct buf text = BUF_INIT(1u << 20);

	(void)args;
	int err = config_load(cli->config_path, &cli->config, &errors);
	if (err == 0)
		err = config_check_files(cli->config, &errors);
	config_errors_text(&errors, &text);
	if (cli->json) {
		json_t *lines = json_array();
		for (size_t i = 0; i < errors.n; i++)
			json_array_append_new(lines, json_string(errors.lines[i]));
		cli_emit_json(cli, json_pack("{s:s s:b s:o}", "file", cli->config_path, "right",
					   err == 0, "errors", lines));
	} else if (err == 0) {
		fprintf(cli->out, "%s is right\n", cli->config_path);
	} else {
		cli_fail(cli, "%s cannot be used as it is:\n%s", cli->config_path, buf_cstr(&text));
	}
	config_errors_release(&errors);
	return err == 0 ? CLI_DONE : CLI_FAILED;
}

int cmd_config_show(struct cli *cli, const struct cli_args *args)
{
	_buf_release_ struct buf text = BUF_INIT(1u << 20);

	(void)args;
	config_print_effective(cli->config, &text);
	cli_emit(cli, &text);
	return CLI_DONE;
}

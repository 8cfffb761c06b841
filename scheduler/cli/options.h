/* options.h - the tables that commands.c is made of: each command's options and examples. */
#pragma once

#include "scheduler/cli/cli.h"

extern const struct cli_option options_add[];
extern const struct cli_option options_import[];
extern const struct cli_option options_list[];
extern const struct cli_option options_wait[];
extern const struct cli_option options_ask[];
extern const struct cli_option options_renew[];
extern const struct cli_option options_revoke[];
extern const struct cli_option options_remove[];
extern const struct cli_option options_records[];
extern const struct cli_option options_cert_show[];
extern const struct cli_option options_cert_export[];
extern const struct cli_option options_sync[];
extern const struct cli_option options_alerts[];
extern const struct cli_option options_silence[];
extern const struct cli_option options_members[];
extern const struct cli_option options_results[];
extern const struct cli_option options_jobs_list[];
extern const struct cli_option options_jobs_one[];
extern const struct cli_option options_status[];
extern const struct cli_option options_audit[];
extern const struct cli_option options_manual[];
extern const struct cli_option options_update[];
extern const struct cli_option options_link[];
extern const struct cli_option options_token[];
extern const struct cli_option options_token_new[];

extern const struct cli_example examples_add[];
extern const struct cli_example examples_import[];
extern const struct cli_example examples_list[];
extern const struct cli_example examples_show[];
extern const struct cli_example examples_wait[];
extern const struct cli_example examples_revoke[];
extern const struct cli_example examples_records[];
extern const struct cli_example examples_cert_show[];
extern const struct cli_example examples_cert_export[];
extern const struct cli_example examples_sync[];
extern const struct cli_example examples_alerts[];
extern const struct cli_example examples_silence[];
extern const struct cli_example examples_members[];
extern const struct cli_example examples_results[];
extern const struct cli_example examples_jobs[];
extern const struct cli_example examples_audit[];
extern const struct cli_example examples_explain[];
extern const struct cli_example examples_completion[];
extern const struct cli_example examples_manual[];
extern const struct cli_example examples_update[];
extern const struct cli_example examples_link[];
extern const struct cli_example examples_token[];

/* cli.h - the operator's command line: what a command is, and what it may use.
 *
 * Each command is one row: its usage, what it does, its options, examples and exit status. The row
 * drives parsing,
 * `--help`, error messages and suggestions, so that they cannot disagree. A command reads and
 * writes the fleet through one blocking Redis connection; it never changes an endpoint itself, but
 * asks the scheduler to (request.h).
 *
 * Standard output carries the answer (a table, or one JSON document with --json), standard error
 * the rest: errors, hints and progress.
 */
#pragma once

#include "common/buf.h"
#include "common/config.h"
#include "common/redis_sync.h"
#include "scheduler/cli/term.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum cli_exit {
	CLI_DONE = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
	CLI_NOT_YET = 3, /* understood and looked at, but it is not (yet) so */
};

enum cli_option_kind {
	CLI_SWITCH,
	CLI_TEXT,
	CLI_CHOICE,       /* one of .choices, a list parted by "|" */
	CLI_DURATION,     /* "60s", "1h30m" */
	CLI_DURATION_OPT, /* --wait or --wait=10m */
	CLI_NUMBER,
};

struct cli_option {
	const char *name; /* without "--" */
	const char *arg;  /* what the value is called in the help; NULL for a switch */
	const char *choices;
	const char *fallback; /* value in force when it is not given; NULL: none */
	const char *help;     /* a sentence or two */
	enum cli_option_kind kind;
	char letter; /* 'c' for -c; 0: none */
	bool required;
};

struct cli_example {
	const char *line; /* without "certfleet " */
	const char *what;
};

struct cli;
struct cli_args;

/** What a command needs before it runs. */
enum cli_needs { CLI_NEEDS_NOTHING, CLI_NEEDS_CONFIG, CLI_NEEDS_REDIS };

#define CLI_ANY      SIZE_MAX
#define CLI_BAR_SIZE 64

struct cli_command {
	const char *name;   /* "endpoint add" */
	const char *args;   /* "NAME..."; "" for none */
	const char *brief;  /* one line, for lists of commands */
	const char *about;  /* what it does: paragraphs, wrapped when shown */
	const char *status; /* what exit status 1 and 3 mean here; NULL: nothing to add */
	const struct cli_option *options;   /* ends with a row without a name; NULL: none */
	const struct cli_example *examples; /* ends with a row without a line */
	int (*run)(struct cli *cli, const struct cli_args *args);
	size_t args_min, args_max;
	enum cli_needs needs;
	bool watch; /* --watch may be given */
};

/** Runs the command again and again, and shows what changes, until a signal comes (watch.c). */
int cli_watch(struct cli *cli, const struct cli_args *args, int64_t every_ms);

/** Every command, in the order of `certfleet help`; ends with a row without a name. */
extern const struct cli_command cli_commands[];
/** Options that each command takes. */
extern const struct cli_option cli_globals[];

/** One run of the program. */
struct cli {
	FILE *out, *err;
	struct view view;     /* of standard output; cli_now() keeps its clock */
	struct view err_view; /* of standard error */
	const char *config_path;
	bool json, quiet;
	bool progress; /* standard error is a terminal, and nobody asked for quiet */
	bool progress_shown;
	size_t list_items; /* written by cli_list_item() so far */
	struct config *config;
	struct redis_options redis_options;
	struct redis_sync *redis; /* NULL until cli_connect() */
	char source[128];  /* names this run in its requests; "" until the first (request.c) */
	uint64_t requests; /* made so far */
	struct cli_label { /* fetch.c */
		bool tried;
		char missing[640]; /* why there is no key; "" if there is */
		uint8_t key[32];
	} label;
};

/** The whole program but for the process: returns the exit status. */
int cli_main(int argc, char **argv, FILE *out, FILE *err);

/* What is parsed (args.c). */

#define CLI_OPTIONS_MAX 24

struct cli_args {
	const struct cli_command *command;
	const char *values[CLI_OPTIONS_MAX]; /* by row of command->options; NULL: not given; "" for
						a switch */
	const char *globals[CLI_OPTIONS_MAX];
	const char **words; /* positional; owned array of borrowed texts */
	size_t words_n;
};

void cli_args_release(struct cli_args *args);
/** Reads argv (without the program's name). CF_EINVAL: why says what, to what, and what would be
 * right; command is set if it was recognized. `help` is turned into the command that it asks about
 * with *help set. */
int cli_args_parse(
	size_t argc, const char *const *argv, struct cli_args *out, bool *help, struct why *why);
/** Value of an option of this command, its fallback, or NULL. The name must be in the table (else
 * it aborts). */
const char *cli_arg(const struct cli_args *args, const char *name);
bool cli_flag(const struct cli_args *args, const char *name);
int64_t cli_arg_ms(const struct cli_args *args, const char *name);
uint64_t cli_arg_number(const struct cli_args *args, const char *name);
const char *cli_global(const struct cli_args *args, const char *name);
int64_t cli_global_ms(const struct cli_args *args, const char *name);
/** The command of that name ("endpoint add"), NULL if none. */
const struct cli_command *cli_command_find(const char *name);
/** The nearest of the candidates, if near enough to be what was meant; else NULL. */
const char *cli_suggest(const char *typed, const char *const *candidates, size_t n);

/* Help (help.c): pure text. */
void cli_help_overview(const struct view *view, struct buf *out);
void cli_help_group(const struct view *view, const char *group, struct buf *out);
void cli_help_command(const struct view *view, const struct cli_command *command, struct buf *out);
void cli_usage_line(const struct cli_command *command, struct buf *out);
/** What it says of an option: its help, choices and default. */
void cli_option_text(const struct cli_option *o, struct buf *out);

/* Speaking (cli.c). */

/** "certfleet: …" on standard error; returns CLI_FAILED, so that `return cli_fail(…)` reads well.
 */
int cli_fail(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** What to do next, on standard error, indented; silent with --quiet. */
void cli_hint(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** A line on standard error, unless --quiet. */
void cli_note(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** Writes the answer to standard output and empties the buffer. */
void cli_emit(struct cli *cli, struct buf *text);
/** Writes one JSON document; takes the reference. */
void cli_emit_json(struct cli *cli, json_t *document);
/** One JSON value on one line, flushed: for --follow. Takes the reference. */
void cli_emit_json_line(struct cli *cli, json_t *value);
/** The line that is written over and over while something takes long; only on a terminal. */
void cli_progress(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** "[#####·····] ", how much of the whole is done: for the head of such a line. */
const char *cli_bar(size_t done, size_t whole, char out[CLI_BAR_SIZE]);
void cli_progress_end(struct cli *cli);
/** Sets the views' clock to now and returns it. */
int64_t cli_now(struct cli *cli);
/** From here on SIGINT and SIGTERM only set a mark: for commands that end in an orderly way. */
void cli_catch_signals(void);
/** A signal came, for loops that wait. */
bool cli_stopping(void);
/** Waits, unless a signal says to stop. */
void cli_sleep_ms(int64_t ms);
/** Opens cli->redis, closing what is there. CF_ECONN, CF_EAUTH. */
int cli_connect(struct cli *cli, struct why *why);
/** The connection is of no use any more: broken, or an answer did not come and would be taken for
 * another's. */
static inline bool cli_lost(int err)
{
	return err == CF_ECONN || err == CF_ETIMEDOUT || err == CF_EAGAIN;
}
/** Says why Redis failed, and what to look at; CLI_FAILED. */
int cli_fail_redis(struct cli *cli, int err, const struct why *why);

/** A list as one JSON document, written item by item: {"NAME":[ … ]}. */
void cli_list_open(struct cli *cli, const char *name);
void cli_list_item(struct cli *cli, json_t *item);
void cli_list_close(struct cli *cli);

#define CLI_TEXT_LIMIT (16u << 20)

/* The commands (one file a group). */
int cmd_endpoint_add(struct cli *cli, const struct cli_args *args);
int cmd_endpoint_import(struct cli *cli, const struct cli_args *args);
int cmd_endpoint_list(struct cli *cli, const struct cli_args *args);
int cmd_endpoint_show(struct cli *cli, const struct cli_args *args);
int cmd_endpoint_wait(struct cli *cli, const struct cli_args *args);
int cmd_endpoint_update(struct cli *cli, const struct cli_args *args);
int cmd_endpoint_verify(struct cli *cli, const struct cli_args *args);
int cmd_endpoint_renew(struct cli *cli, const struct cli_args *args);
int cmd_endpoint_revoke(struct cli *cli, const struct cli_args *args);
int cmd_endpoint_remove(struct cli *cli, const struct cli_args *args);
int cmd_records(struct cli *cli, const struct cli_args *args);
int cmd_certificate_show(struct cli *cli, const struct cli_args *args);
int cmd_certificate_export(struct cli *cli, const struct cli_args *args);
int cmd_sync(struct cli *cli, const struct cli_args *args);
int cmd_alerts(struct cli *cli, const struct cli_args *args);
int cmd_alerts_silence(struct cli *cli, const struct cli_args *args);
int cmd_alerts_silences(struct cli *cli, const struct cli_args *args);
int cmd_alerts_unsilence(struct cli *cli, const struct cli_args *args);
int cmd_alerts_members(struct cli *cli, const struct cli_args *args);
int cmd_alerts_enable(struct cli *cli, const struct cli_args *args);
int cmd_results(struct cli *cli, const struct cli_args *args);
int cmd_jobs_list(struct cli *cli, const struct cli_args *args);
int cmd_jobs_show(struct cli *cli, const struct cli_args *args);
int cmd_jobs_retry(struct cli *cli, const struct cli_args *args);
int cmd_jobs_cancel(struct cli *cli, const struct cli_args *args);
int cmd_link_new(struct cli *cli, const struct cli_args *args);
int cmd_link_list(struct cli *cli, const struct cli_args *args);
int cmd_link_revoke(struct cli *cli, const struct cli_args *args);
int cmd_token_new(struct cli *cli, const struct cli_args *args);
int cmd_token_list(struct cli *cli, const struct cli_args *args);
int cmd_token_revoke(struct cli *cli, const struct cli_args *args);
int cmd_quotas(struct cli *cli, const struct cli_args *args);
int cmd_workers(struct cli *cli, const struct cli_args *args);
int cmd_status(struct cli *cli, const struct cli_args *args);
int cmd_audit(struct cli *cli, const struct cli_args *args);
int cmd_explain(struct cli *cli, const struct cli_args *args);
int cmd_config_check(struct cli *cli, const struct cli_args *args);
int cmd_config_show(struct cli *cli, const struct cli_args *args);
int cmd_completion(struct cli *cli, const struct cli_args *args);
int cmd_manual(struct cli *cli, const struct cli_args *args);
int cmd_version(struct cli *cli, const struct cli_args *args);

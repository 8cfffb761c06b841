/* cli.c - one run of the program: reads the command line, prepares what the command needs, runs it
 * (see cli.h). */
#include "scheduler/cli/cli.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#ifndef CERTFLEET_VERSION /* the build names it */
#define CERTFLEET_VERSION "unknown"
#endif

#define DEFAULT_CONFIG "/etc/certfleet/certfleet.yaml"

static volatile sig_atomic_t stopping;

static void on_signal(int signo)
{
	(void)signo;
	stopping = 1;
}

void cli_catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal};

	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

bool cli_stopping(void)
{
	return stopping != 0;
}

void cli_sleep_ms(int64_t ms)
{
	int64_t end = clock_mono_ms() + ms;

	for (int64_t left = ms; left > 0 && !stopping; left = end - clock_mono_ms()) {
		struct timespec t = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
		nanosleep(&t, NULL);
	}
}

int64_t cli_now(struct cli *cli)
{
	int64_t now = clock_wall_ms();

	cli->view.now_ms = now;
	cli->err_view.now_ms = now;
	return now;
}

/* Speaking */

static void say(struct cli *cli, enum tint tint, const char *head, const char *indent,
	const char *format, va_list ap) __attribute__((format(printf, 5, 0)));

static void say(struct cli *cli, enum tint tint, const char *head, const char *indent,
	const char *format, va_list ap)
{
	_buf_release_ struct buf text = BUF_INIT(1u << 17);
	_mem_free_ char *raw = mem_vprintf(format, ap);

	cli_progress_end(cli);
	fflush(cli->out);
	if (*head != '\0')
		term_tint(&text, &cli->err_view, tint, "%s", head);
	buf_adds(&text, indent);
	for (const char *line = raw; *line != '\0';) {
		size_t n = strcspn(line, "\n");
		term_tint(&text, &cli->err_view, TINT_NONE, "%.*s", (int)n, line);
		buf_addc(&text, '\n');
		line += n + (line[n] == '\n');
		if (*line != '\0')
			buf_adds(&text, indent);
	}
	fputs(buf_cstr(&text), cli->err);
	fflush(cli->err);
}

int cli_fail(struct cli *cli, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	say(cli, TINT_BAD, "certfleet: ", "", format, ap);
	va_end(ap);
	return CLI_FAILED;
}

void cli_hint(struct cli *cli, const char *format, ...)
{
	va_list ap;

	if (cli->quiet)
		return;
	va_start(ap, format);
	say(cli, TINT_NONE, "", "  ", format, ap);
	va_end(ap);
}

void cli_note(struct cli *cli, const char *format, ...)
{
	va_list ap;

	if (cli->quiet)
		return;
	va_start(ap, format);
	say(cli, TINT_NONE, "", "", format, ap);
	va_end(ap);
}

void cli_progress(struct cli *cli, const char *format, ...)
{
	char raw[1024];
	char clean[1024];
	va_list ap;

	if (!cli->progress)
		return;
	va_start(ap, format);
	vsnprintf(raw, sizeof raw, format, ap);
	va_end(ap);
	str_clean(raw, strlen(raw), clean, sizeof clean);
	_buf_release_ struct buf line = BUF_INIT(4096);
	term_cut(&line, clean, cli->err_view.width > 1 ? cli->err_view.width - 1 : 79);
	fprintf(cli->err, "\r\033[K%s", buf_cstr(&line));
	fflush(cli->err);
	cli->progress_shown = true;
}

#define BAR_STEPS 20

const char *cli_bar(size_t done, size_t whole, char out[CLI_BAR_SIZE])
{
	size_t full = whole ? done * BAR_STEPS / whole : BAR_STEPS;
	char *at = out;

	*at++ = '[';
	for (size_t i = 0; i < BAR_STEPS; i++)
		at += sprintf(at, "%s", i < full ? "#" : "·");
	sprintf(at, "] ");
	return out;
}

void cli_progress_end(struct cli *cli)
{
	if (!cli->progress_shown)
		return;
	fputs("\r\033[K", cli->err);
	fflush(cli->err);
	cli->progress_shown = false;
}

void cli_emit(struct cli *cli, struct buf *text)
{
	cli_progress_end(cli);
	fwrite(buf_cstr(text), 1, text->len, cli->out);
	if (text->over)
		fputs("…\n", cli->out);
	fflush(cli->out);
	buf_clear(text);
}

void cli_emit_json(struct cli *cli, json_t *document)
{
	cli_progress_end(cli);
	json_dumpf(document, cli->out, JSON_INDENT(2));
	fputc('\n', cli->out);
	fflush(cli->out);
	json_decref(document);
}

void cli_emit_json_line(struct cli *cli, json_t *value)
{
	cli_progress_end(cli);
	json_dumpf(value, cli->out, JSON_COMPACT);
	fputc('\n', cli->out);
	fflush(cli->out);
	json_decref(value);
}

void cli_list_open(struct cli *cli, const char *name)
{
	fprintf(cli->out, "{\"%s\":[", name);
	cli->list_items = 0;
}

void cli_list_item(struct cli *cli, json_t *item)
{
	fputs(cli->list_items++ == 0 ? "\n" : ",\n", cli->out);
	json_dumpf(item, cli->out, JSON_COMPACT);
	json_decref(item);
}

void cli_list_close(struct cli *cli)
{
	fputs(cli->list_items == 0 ? "]}\n" : "\n]}\n", cli->out);
	fflush(cli->out);
}

/* What a command needs */

static int load_config(struct cli *cli)
{
	struct config_errors errors = {0};
	int err = config_load(cli->config_path, &cli->config, &errors);

	if (err == 0)
		return CLI_DONE;
	_buf_release_ struct buf text = BUF_INIT(65536);
	config_errors_text(&errors, &text);
	config_errors_release(&errors);
	cli_fail(cli, "the configuration cannot be used:\n%s", buf_cstr(&text));
	cli_hint(cli, "Which file is read: -c FILE, else $CERTFLEET_CONFIG, else %s.",
		DEFAULT_CONFIG);
	return CLI_FAILED;
}

int cli_connect(struct cli *cli, struct why *why)
{
	redis_sync_close(cli->redis);
	cli->redis = NULL;
	int err = config_redis_options(cli->config, "certfleet-cli", &cli->redis_options, why);
	if (err == 0)
		err = redis_sync_open(&cli->redis_options, &cli->redis, why);
	return err;
}

int cli_fail_redis(struct cli *cli, int err, const struct why *why)
{
	char where[512];

	cli_fail(cli, "%s", why->text[0] != '\0' ? why->text : cf_strerror(err));
	if (err == CF_ECONN)
		cli_hint(cli, "Is Redis running and reachable from here? %s says redis: %s",
			cli->config_path, config_redis_where(cli->config, where, sizeof where));
	else if (err == CF_EAUTH)
		cli_hint(cli, "The configuration read is %s.", cli->config_path);
	return CLI_FAILED;
}

static int prepare(struct cli *cli, enum cli_needs needs)
{
	struct why why = {0};

	if (needs == CLI_NEEDS_NOTHING)
		return CLI_DONE;
	int status = load_config(cli);
	if (status != CLI_DONE || needs == CLI_NEEDS_CONFIG)
		return status;
	int err = cli_connect(cli, &why);
	return err == 0 ? CLI_DONE : cli_fail_redis(cli, err, &why);
}

/* Running */

static size_t screen_width(FILE *f)
{
	struct winsize size;
	uint64_t columns;
	const char *env = getenv("COLUMNS");

	if (!isatty(fileno(f)))
		return 0;
	if (ioctl(fileno(f), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	if (env != NULL && str_parse_u64(env, 1000, &columns) == 0 && columns > 0)
		return (size_t)columns;
	return 80;
}

static void look_around(struct cli *cli, const struct cli_args *args)
{
	const char *no_color = getenv("NO_COLOR");
	const char *term = getenv("TERM");
	const char *env = getenv("CERTFLEET_CONFIG");
	bool plain = cli_global(args, "no-color") != NULL ||
		     (no_color != NULL && *no_color != '\0') ||
		     (term != NULL && strcmp(term, "dumb") == 0);

	cli->json = cli_global(args, "json") != NULL;
	cli->quiet = cli_global(args, "quiet") != NULL;
	cli->view.width = screen_width(cli->out);
	cli->err_view.width = screen_width(cli->err);
	cli->view.color = cli->view.width != 0 && !plain && !cli->json;
	cli->err_view.color = cli->err_view.width != 0 && !plain;
	cli->progress =
		cli->err_view.width != 0 && !cli->quiet && (term == NULL || strcmp(term, "dumb"));
	cli->config_path = cli_global(args, "config");
	if (cli->config_path == NULL)
		cli->config_path = env != NULL && *env != '\0' ? env : DEFAULT_CONFIG;
	cli_now(cli);
}

static int show_help(struct cli *cli, const struct cli_args *args)
{
	_buf_release_ struct buf text = BUF_INIT(CLI_TEXT_LIMIT);

	if (args->command != NULL)
		cli_help_command(&cli->view, args->command, &text);
	else if (args->words_n > 0)
		cli_help_group(&cli->view, args->words[0], &text);
	else
		cli_help_overview(&cli->view, &text);
	cli_emit(cli, &text);
	return CLI_DONE;
}

static int wrong_usage(struct cli *cli, const struct cli_args *args, const struct why *why)
{
	_buf_release_ struct buf usage = BUF_INIT(4096);

	cli_fail(cli, "%s", why->text);
	if (args->command != NULL) {
		cli_usage_line(args->command, &usage);
		cli_hint(cli, "Usage: %s", buf_cstr(&usage));
		cli_hint(cli, "\"certfleet help %s\" explains it.", args->command->name);
	} else if (args->words_n > 0) {
		_buf_release_ struct buf list = BUF_INIT(65536);
		cli_help_group(&cli->err_view, args->words[0], &list);
		if (!cli->quiet)
			fputs(buf_cstr(&list), cli->err);
	} else {
		cli_hint(cli, "\"certfleet help\" lists the commands.");
	}
	return CLI_USAGE;
}

static int run(struct cli *cli, const struct cli_args *args)
{
	if (args->command == NULL) {
		_buf_release_ struct buf text = BUF_INIT(CLI_TEXT_LIMIT);
		cli_help_overview(&cli->err_view, &text);
		fputs(buf_cstr(&text), cli->err);
		return CLI_USAGE;
	}
	bool watch = cli_global(args, "watch") != NULL;
	if (watch && !args->command->watch) {
		cli_fail(cli, "--watch: \"%s\" shows nothing that changes", args->command->name);
		return CLI_USAGE;
	}
	int status = prepare(cli, args->command->needs);
	if (status == CLI_DONE)
		status = watch ? cli_watch(cli, args, cli_global_ms(args, "watch"))
			       : args->command->run(cli, args);
	cli_progress_end(cli);
	redis_sync_close(cli->redis);
	config_free(cli->config);
	return status;
}

int cli_main(int argc, char **argv, FILE *out, FILE *err)
{
	struct cli cli = {.out = out, .err = err};
	struct cli_args args = {0};
	struct why why = {0};
	bool help = false;
	int status;

	stopping = 0;
	int bad = cli_args_parse(
		argc > 0 ? (size_t)argc - 1 : 0, (const char *const *)argv + 1, &args, &help, &why);
	look_around(&cli, &args);
	if (bad != 0)
		status = wrong_usage(&cli, &args, &why);
	else if (help)
		status = show_help(&cli, &args);
	else if (args.command == NULL && cli_global(&args, "version") != NULL)
		status = cmd_version(&cli, &args);
	else
		status = run(&cli, &args);
	if ((fflush(out) != 0 || ferror(out)) && status == CLI_DONE)
		status = cli_fail(&cli, "cannot write to standard output: %s", strerror(errno));
	cli_args_release(&args);
	return status;
}

int cmd_version(struct cli *cli, const struct cli_args *args)
{
	(void)args;
	if (cli->json)
		cli_emit_json(cli, json_pack("{s:s}", "version", CERTFLEET_VERSION));
	else
		fprintf(cli->out, "certfleet %s\n", CERTFLEET_VERSION);
	return CLI_DONE;
}

/* help.c - `certfleet help`, written from the tables of commands.c (see cli.h). */
#include "scheduler/cli/cli.h"

#include "common/mem.h"
#include "common/str.h"

#include <string.h>

#define HELP_COLUMNS 96

static size_t columns_of(const struct view *view)
{
	return view->width != 0 && view->width < HELP_COLUMNS ? view->width : HELP_COLUMNS;
}

static void head(const struct view *view, const char *text, struct buf *out)
{
	if (out->len != 0)
		buf_addc(out, '\n');
	term_tint(out, view, TINT_BOLD, "%s", text);
	buf_addc(out, '\n');
}

void cli_usage_line(const struct cli_command *command, struct buf *out)
{
	buf_addf(out, "certfleet %s", command->name);
	if (command->args[0] != '\0')
		buf_addf(out, " %s", command->args);
	for (const struct cli_option *o = command->options; o != NULL && o->name != NULL; o++) {
		if (o->required)
			buf_addf(out, " --%s %s", o->name, o->arg);
	}
	if (command->options != NULL && command->options[0].name != NULL)
		buf_adds(out, " [OPTION...]");
}

static void option_head(const struct cli_option *o, struct buf *out)
{
	if (o->letter != 0)
		buf_addf(out, "-%c, ", o->letter);
	buf_addf(out, "--%s", o->name);
	if (o->kind == CLI_DURATION_OPT)
		buf_addf(out, "[=%s]", o->arg);
	else if (o->arg != NULL)
		buf_addf(out, " %s", o->arg);
}

void cli_option_text(const struct cli_option *o, struct buf *out)
{
	buf_adds(out, o->help);
	if (o->choices != NULL) {
		buf_adds(out, " One of ");
		for (const char *p = o->choices; *p != '\0'; p++)
			buf_adds(out, *p == '|' ? ", " : (char[]){*p, '\0'});
		buf_addc(out, '.');
	}
	if (o->fallback != NULL)
		buf_addf(out, " Default: %s.", o->fallback);
}

/* Of all options but the one of that name (NULL: none). */
static void options(
	const struct view *view, const struct cli_option *table, const char *but, struct buf *out)
{
	for (const struct cli_option *o = table; o != NULL && o->name != NULL; o++) {
		if (but != NULL && strcmp(o->name, but) == 0)
			continue;
		_buf_release_ struct buf text = BUF_INIT(4096);
		_buf_release_ struct buf title = BUF_INIT(256);
		option_head(o, &title);
		cli_option_text(o, &text);
		buf_adds(out, "  ");
		term_tint(out, view, TINT_BOLD, "%s", buf_cstr(&title));
		buf_addc(out, '\n');
		term_wrap(out, buf_cstr(&text), 8, columns_of(view));
	}
}

static void exit_status(const struct view *view, const struct cli_command *command, struct buf *out)
{
	head(view, "Exit status", out);
	if (command->status != NULL) {
		term_wrap(out, command->status, 2, columns_of(view));
		return;
	}
	buf_adds(out, "  0 done, 1 failed, 2 wrong usage\n");
}

void cli_help_command(const struct view *view, const struct cli_command *command, struct buf *out)
{
	_buf_release_ struct buf usage = BUF_INIT(1024);
	size_t columns = columns_of(view);

	term_tint(out, view, TINT_BOLD, "certfleet %s", command->name);
	buf_addf(out, ": %s\n", command->brief);
	head(view, "Usage", out);
	cli_usage_line(command, &usage);
	term_wrap(out, buf_cstr(&usage), 2, columns);
	head(view, "What it does", out);
	term_wrap(out, command->about, 2, columns);
	if (command->options != NULL && command->options[0].name != NULL) {
		head(view, "Options", out);
		options(view, command->options, NULL, out);
	}
	head(view, "Options of every command", out);
	options(view, cli_globals, command->watch ? NULL : "watch", out);
	if (command->examples != NULL && command->examples[0].line != NULL)
		head(view, "Examples", out);
	for (const struct cli_example *e = command->examples; e != NULL && e->line != NULL; e++) {
		buf_adds(out, "  ");
		term_tint(out, view, TINT_BOLD, "certfleet %s", e->line);
		buf_addc(out, '\n');
		term_wrap(out, e->what, 8, columns);
	}
	exit_status(view, command, out);
}

/* Without its arguments, so that there is room for what it does at 80 columns. */
static void command_row(struct table *t, const struct cli_command *c)
{
	table_cell(t, TINT_BOLD, "%s", c->name);
	table_cell(t, TINT_NONE, "%s", c->brief);
}

static const struct table_column LIST[] = {{"", false, false}, {"", false, true}};

static void list(const struct view *view, const char *group, struct buf *out)
{
	struct table t = TABLE_INIT(LIST, ARRAY_LEN(LIST), 2);
	size_t n = group != NULL ? strlen(group) : 0;

	t.headed = true;
	for (const struct cli_command *c = cli_commands; c->name != NULL; c++)
		if (group == NULL || (strncmp(c->name, group, n) == 0 && c->name[n] == ' '))
			command_row(&t, c);
	table_flush(&t, view, out);
	table_release(&t);
}

void cli_help_group(const struct view *view, const char *group, struct buf *out)
{
	head(view, "Commands", out);
	list(view, group, out);
	buf_addf(out, "\n\"certfleet help %s COMMAND\" explains one of them.\n", group);
}

void cli_help_overview(const struct view *view, struct buf *out)
{
	term_tint(out, view, TINT_BOLD, "certfleet");
	buf_adds(out, ": managed HTTPS for platforms, from the command line\n");
	head(view, "Usage", out);
	buf_adds(out, "  certfleet [-c FILE] COMMAND [OPTION...]\n");
	head(view, "Commands", out);
	list(view, NULL, out);
	head(view, "Options of every command", out);
	options(view, cli_globals, NULL, out);
	head(view, "Exit status", out);
	buf_adds(out, "  0 done, 1 failed, 2 wrong usage, 3 not (yet) so\n");
	buf_adds(out, "\n\"certfleet help COMMAND\" explains a command with examples.\n");
}

/* complete.c - certfleet completion: what could be typed next, from the tables that also parse it.
 *
 * The script of each shell is a few lines that ask `certfleet completion words`: so the candidates
 * are always this program's own, and ids come from the fleet itself.
 */
#include "scheduler/cli/complete.h"

#include "common/diagnosis.h"
#include "common/mem.h"
#include "common/runbook.h"
#include "common/str.h"
#include "scheduler/cli/fetch.h"

#include <string.h>

#define IDS_MAX 50

/* --- the scripts */

static const char bash_script[] =
	"# bash completion for certfleet\n"
	"_certfleet()\n"
	"{\n"
	"\tlocal line=\"${COMP_LINE:0:COMP_POINT}\" words cur candidate\n"
	"\tread -ra words <<< \"$line\"\n"
	"\t[[ $line == *[[:space:]] ]] && words+=(\"\")\n"
	"\tcur=\"${words[-1]}\"\n"
	"\tCOMPREPLY=()\n"
	"\twhile IFS=$'\\t' read -r candidate _; do\n"
	"\t\tcase $candidate in\n"
	"\t\t:files) mapfile -t COMPREPLY < <(compgen -f -- \"${cur#*=}\"); compopt -o filenames "
	";;\n"
	"\t\t:dirs) mapfile -t COMPREPLY < <(compgen -d -- \"${cur#*=}\"); compopt -o filenames "
	";;\n"
	"\t\t*=) compopt -o nospace; COMPREPLY+=(\"$candidate\") ;;\n"
	"\t\t*) COMPREPLY+=(\"$candidate\") ;;\n"
	"\t\tesac\n"
	"\tdone < <(\"${words[0]}\" completion words -- \"${words[@]:1}\" 2>/dev/null)\n"
	"\t# Readline takes \"=\" for the end of a word.\n"
	"\tif [[ $cur == --*=* && $COMP_WORDBREAKS == *=* ]]; then\n"
	"\t\tCOMPREPLY=(\"${COMPREPLY[@]#\"${cur%%=*}=\"}\")\n"
	"\tfi\n"
	"}\n"
	"complete -F _certfleet certfleet\n";

static const char zsh_script[] =
	"#compdef certfleet\n"
	"# zsh completion for certfleet\n"
	"_certfleet()\n"
	"{\n"
	"\tlocal line candidate told\n"
	"\tlocal -a found open\n"
	"\tfor line in \"${(@f)$(\"${words[1]}\" completion words -- \"${(@)words[2,CURRENT]}\" "
	"2>/dev/null)}\"; do\n"
	"\t\tcandidate=${line%%$'\\t'*} told=${line#*$'\\t'}\n"
	"\t\tcase $candidate in\n"
	"\t\t:files) _files; return ;;\n"
	"\t\t:dirs) _files -/; return ;;\n"
	"\t\t*=) open+=(\"${candidate//:/\\\\:}:$told\") ;;\n"
	"\t\t?*) found+=(\"${candidate//:/\\\\:}:$told\") ;;\n"
	"\t\tesac\n"
	"\tdone\n"
	"\t_describe certfleet found\n"
	"\t_describe certfleet open -S ''\n"
	"}\n"
	"if [[ $funcstack[1] == _certfleet ]]; then\n"
	"\t_certfleet \"$@\"\n"
	"else\n"
	"\tcompdef _certfleet certfleet\n"
	"fi\n";

static const char fish_script[] =
	"# fish completion for certfleet\n"
	"function __certfleet_words\n"
	"\tset -l words (commandline -opc) (commandline -ct)\n"
	"\tfor line in (command $words[1] completion words -- $words[2..-1] 2>/dev/null)\n"
	"\t\tswitch $line\n"
	"\t\t\tcase ':files*'\n"
	"\t\t\t\t__fish_complete_path (commandline -ct)\n"
	"\t\t\tcase ':dirs*'\n"
	"\t\t\t\t__fish_complete_directories (commandline -ct)\n"
	"\t\t\tcase '*'\n"
	"\t\t\t\techo $line\n"
	"\t\tend\n"
	"\tend\n"
	"end\n"
	"complete -c certfleet -f -a '(__certfleet_words)'\n";

static const struct {
	const char *name, *script;
} shells[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};

/* --- where on the line one is */

struct place {
	const struct cli_command *command; /* NULL: not yet */
	char group[40];                    /* first word of a command of two */
	size_t words;                      /* of the command's own */
	const struct cli_option *open;     /* its value is typed now */
};

static bool begins_group(const char *word)
{
	size_t n = strlen(word);

	for (const struct cli_command *c = cli_commands; c->name; c++)
		if (!strncmp(c->name, word, n) && c->name[n] == ' ')
			return true;
	return false;
}

static const struct cli_option *find_option(const struct cli_option *table, const char *word)
{
	size_t n = strcspn(word, "=");

	for (const struct cli_option *o = table; o && o->name; o++)
		if ((word[1] == '-' && strlen(o->name) == n - 2 &&
			    !strncmp(o->name, word + 2, n - 2)) ||
			(n == 2 && o->letter && o->letter == word[1]))
			return o;
	return NULL;
}

static bool wants_value(const struct cli_option *o)
{
	return o && o->kind != CLI_SWITCH && o->kind != CLI_DURATION_OPT;
}

static const struct cli_option *option_of(const struct place *p, const char *word)
{
	const struct cli_option *o = find_option(p->command ? p->command->options : NULL, word);

	return o ? o : find_option(cli_globals, word);
}

static void pass_word(struct place *p, const char *word)
{
	char name[80];

	snprintf(name, sizeof name, "%s%s%s", p->group, p->group[0] ? " " : "", word);
	if (p->command && (p->words || p->command->args_max || !cli_command_find(name))) {
		p->words++;
		return;
	}
	if (cli_command_find(name))
		p->command = cli_command_find(name);
	if (!p->group[0] && begins_group(word))
		snprintf(p->group, sizeof p->group, "%s", word);
}

static void pass(struct place *p, const char *word)
{
	const struct cli_option *o;

	if (p->open) {
		p->open = NULL;
	} else if (word[0] == '-' && word[1]) {
		o = option_of(p, word);
		p->open = wants_value(o) && !strchr(word, '=') ? o : NULL;
	} else if (p->command || strcmp(word, "help") != 0) {
		pass_word(p, word);
	}
}

/* --- candidates */

static void offer(struct buf *out, const char *typed, const char *word, const char *told)
{
	if (str_starts_with(word, typed))
		buf_addf(out, "%s\t%s\n", word, told);
}

static void offer_choices(
	struct buf *out, const char *typed, const char *before, const char *choices)
{
	for (const char *at = choices; at && *at;) {
		size_t n = strcspn(at, "|");
		_mem_free_ char *word = mem_printf("%s%.*s", before, (int)n, at);

		offer(out, typed, word, "");
		at += n + (at[n] == '|');
	}
}

/* before: "--state=" when the value stands in the same word. */
static void offer_value(
	struct buf *out, const struct cli_option *o, const char *typed, const char *before)
{
	if (o->choices)
		offer_choices(out, typed, before, o->choices);
	else if (o->arg && !strcmp(o->arg, "FILE"))
		buf_adds(out, ":files\t\n");
	else if (o->arg && !strcmp(o->arg, "DIR"))
		buf_adds(out, ":dirs\t\n");
}

static void offer_options(struct buf *out, const struct cli_option *table, const char *typed)
{
	for (const struct cli_option *o = table; o && o->name; o++) {
		_mem_free_ char *word = mem_printf("--%s%s", o->name, wants_value(o) ? "=" : "");
		_mem_free_ char *first = mem_strndup(o->help, strcspn(o->help, "."));

		offer(out, typed, word, first);
	}
}

/* Words of commands that go on from what was typed. */
static void offer_commands(struct buf *out, const struct place *p, const char *typed)
{
	size_t n = strlen(p->group);
	char last[40] = "";

	for (const struct cli_command *c = cli_commands; c->name; c++) {
		const char *rest = n ? c->name + n + 1 : c->name;
		char word[40];

		if (n && (strncmp(c->name, p->group, n) != 0 || c->name[n] != ' '))
			continue;
		snprintf(word, sizeof word, "%.*s", (int)strcspn(rest, " "), rest);
		if (strcmp(word, last) != 0)
			offer(out, typed, word, strchr(rest, ' ') ? "" : c->brief);
		snprintf(last, sizeof last, "%s", word);
	}
}

static void offer_codes(struct buf *out, const char *typed)
{
	size_t n;
	const struct diagnosis_kind *kinds = diagnosis_kinds(&n);

	for (size_t i = 0; i < n; i++)
		offer(out, typed, kinds[i].code, kinds[i].means);
	const struct runbook *all = runbook_all(&n);
	for (size_t i = 0; i < n; i++)
		offer(out, typed, all[i].condition, all[i].means);
}

enum complete_words complete(size_t n, const char *const *words, struct buf *out)
{
	struct place p = {NULL, "", 0, NULL};
	const char *typed = n ? words[n - 1] : "", *args;
	const struct cli_option *o;

	for (size_t i = 0; i + 1 < n; i++)
		pass(&p, words[i]);
	if (p.open) {
		offer_value(out, p.open, typed, "");
		return COMPLETE_OFFERED;
	}
	if (typed[0] == '-') {
		o = strchr(typed, '=') ? option_of(&p, typed) : NULL;
		if (o) {
			_mem_free_ char *before = mem_printf("--%s=", o->name);

			offer_value(out, o, typed, before);
		} else {
			offer_options(out, p.command ? p.command->options : NULL, typed);
			offer_options(out, cli_globals, typed);
		}
		return COMPLETE_OFFERED;
	}
	if (!p.command || !strcmp(p.command->name, p.group))
		offer_commands(out, &p, typed);
	args = p.command && p.words < p.command->args_max ? p.command->args : "";
	if (strstr(args, "CODE"))
		offer_codes(out, typed);
	else if (strstr(args, "SHELL"))
		offer_choices(out, typed, "", "bash|zsh|fish");
	else if (strstr(args, "FILE"))
		buf_adds(out, ":files\t\n");
	else if (!strncmp(args + (args[0] == '['), "ID", 2))
		return COMPLETE_IDS;
	return COMPLETE_OFFERED;
}

/* --- the command */

struct ids {
	struct buf *out;
	const char *prefix;
	size_t n;
};

static int offer_id(void *arg, struct facts *f)
{
	struct ids *ids = arg;

	offer(ids->out, ids->prefix, f->endpoint.config.id, endpoint_state_name(f->state));
	return ++ids->n == IDS_MAX;
}

/* Of the fleet, if it can be reached: nobody who presses a key wants to read why not. */
static void offer_ids(struct cli *cli, const char *prefix, struct buf *out)
{
	struct ids ids = {out, prefix, 0};
	struct config_errors errors = {0};
	struct why why = {""};
	int err = config_load(cli->config_path, &cli->config, &errors);

	config_errors_release(&errors);
	if (!err && !cli_connect(cli, &why))
		(void)fetch_each(cli, prefix, FETCH_PLAIN, offer_id, &ids, &why);
}

static const char *config_given(const struct cli_args *args)
{
	for (size_t i = 1; i + 2 < args->words_n; i++)
		if (!strcmp(args->words[i], "-c") || !strcmp(args->words[i], "--config"))
			return args->words[i + 1];
	return NULL;
}

int cmd_completion(struct cli *cli, const struct cli_args *args)
{
	_buf_release_ struct buf out = BUF_INIT(CLI_TEXT_LIMIT);
	const char *what = args->words[0];

	if (!strcmp(what, "words")) {
		const char *path = config_given(args);

		cli->config_path = path ? path : cli->config_path;
		if (complete(args->words_n - 1, args->words + 1, &out) == COMPLETE_IDS)
			offer_ids(cli, args->words[args->words_n - 1], &out);
		cli_emit(cli, &out);
		return CLI_DONE;
	}
	for (size_t i = 0; i < ARRAY_LEN(shells); i++)
		if (!strcmp(shells[i].name, what) && args->words_n == 1) {
			fputs(shells[i].script, cli->out);
			return CLI_DONE;
		}
	cli_fail(cli, "completion: expected bash, zsh or fish, got \"%s\"", what);
	return CLI_USAGE;
}

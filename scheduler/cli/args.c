/* args.c - the command line, read by the tables of commands.c (see cli.h). */
#include "scheduler/cli/cli.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"

#include <string.h>

#define NEAR_ENOUGH 3 /* edits between what was typed and what is suggested */

void cli_args_release(struct cli_args *args)
{
	free(args->words);
	args->words = NULL;
	args->words_n = 0;
}

const struct cli_command *cli_command_find(const char *name)
{
	for (const struct cli_command *c = cli_commands; c->name != NULL; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

static bool is_group(const char *word)
{
	size_t n = strlen(word);

	for (const struct cli_command *c = cli_commands; c->name != NULL; c++)
		if (strncmp(c->name, word, n) == 0 && c->name[n] == ' ')
			return true;
	return false;
}

/** Levenshtein's distance, for short words. */
static size_t distance(const char *a, const char *b)
{
	size_t row[64];
	size_t n = strlen(b);

	if (n >= ARRAY_LEN(row))
		return SIZE_MAX;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1] != '\0'; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			diagonal = row[j];
			row[j] = best;
		}
	}
	return row[n];
}

const char *cli_suggest(const char *typed, const char *const *candidates, size_t n)
{
	const char *best = NULL;
	size_t least = NEAR_ENOUGH;

	for (size_t i = 0; i < n; i++) {
		size_t d = distance(typed, candidates[i]);
		if (strlen(typed) >= 3 && str_starts_with(candidates[i], typed))
			d = 1;
		if (d < least && d < strlen(typed)) {
			least = d;
			best = candidates[i];
		}
	}
	return best;
}

static const struct cli_option *option_by_name(
	const struct cli_option *table, const char *name, size_t n)
{
	for (const struct cli_option *o = table; o != NULL && o->name != NULL; o++)
		if (strlen(o->name) == n && memcmp(o->name, name, n) == 0)
			return o;
	return NULL;
}

static const struct cli_option *option_by_letter(const struct cli_option *table, char letter)
{
	for (const struct cli_option *o = table; o != NULL && o->name != NULL; o++)
		if (o->letter == letter)
			return o;
	return NULL;
}

/* A duration, or, as one types it, a bare number of seconds. */
static int parse_wait(const char *text, int64_t *ms)
{
	uint64_t seconds;

	if (str_parse_u64(text, UINT32_MAX, &seconds) != 0)
		return clock_parse_duration(text, ms);
	*ms = (int64_t)seconds * CLOCK_SECOND_MS;
	return 0;
}

static int check_choice(const struct cli_option *o, const char *value, struct why *why)
{
	size_t n = strlen(value);

	for (const char *p = o->choices; n != 0; p = strchr(p, '|') + 1) {
		size_t len = strcspn(p, "|");
		if (len == n && memcmp(p, value, n) == 0)
			return 0;
		if (p[len] == '\0')
			break;
	}
	_buf_release_ struct buf list = BUF_INIT(512);
	for (const char *p = o->choices; *p != '\0'; p++)
		buf_adds(&list, *p == '|' ? ", " : (char[]){*p, '\0'});
	return why_set(why, CF_EINVAL, "--%s: expected one of %s, got \"%s\"", o->name,
		buf_cstr(&list), value);
}

static int check_value(const struct cli_option *o, const char *value, struct why *why)
{
	int64_t ms;
	uint64_t number;

	switch (o->kind) {
	case CLI_CHOICE:
		return check_choice(o, value, why);
	case CLI_DURATION:
	case CLI_DURATION_OPT:
		if (parse_wait(value, &ms) != 0)
			return why_set(why, CF_EINVAL,
				"--%s: expected a duration such as 45s or 1h30m, or a number of "
				"seconds, got \"%s\"",
				o->name, value);
		return 0;
	case CLI_NUMBER:
		if (str_parse_u64(value, UINT32_MAX, &number) != 0)
			return why_set(why, CF_EINVAL, "--%s: expected a whole number, got \"%s\"",
				o->name, value);
		return 0;
	case CLI_SWITCH:
	case CLI_TEXT:
		break;
	}
	return 0;
}

static int unknown_option(const struct cli_command *command, const char *name, struct why *why)
{
	const char *names[2 * CLI_OPTIONS_MAX];
	size_t n = 0;

	for (const struct cli_option *o = command ? command->options : NULL; o && o->name; o++)
		names[n++] = o->name;
	for (const struct cli_option *o = cli_globals; o->name != NULL; o++)
		names[n++] = o->name;
	const char *near = cli_suggest(name, names, n);
	if (near != NULL)
		return why_set(
			why, CF_EINVAL, "unknown option --%s. Did you mean --%s?", name, near);
	if (command == NULL)
		return why_set(why, CF_EINVAL,
			"unknown option --%s. Options of a command come after its name", name);
	return why_set(why, CF_EINVAL, "unknown option --%s for \"%s\"", name, command->name);
}

struct parser {
	const char *const *argv;
	size_t argc, at;
	struct cli_args *args;
	const char *group; /* first word of a two-word command */
	bool *help;
	bool words_only; /* after "--" */
	struct why *why;
};

/** Stores the option's value: inline after "=", or the next word. */
static int take_option(
	struct parser *p, const struct cli_option *o, const char **slot, const char *inline_value)
{
	if (*slot != NULL && o->kind != CLI_SWITCH)
		return why_set(p->why, CF_EINVAL, "--%s is given twice", o->name);
	if (o->kind == CLI_SWITCH) {
		if (inline_value != NULL)
			return why_set(p->why, CF_EINVAL, "--%s takes no value", o->name);
		*slot = "";
		return 0;
	}
	if (inline_value == NULL && o->kind == CLI_DURATION_OPT) {
		*slot = "";
		return 0;
	}
	if (inline_value == NULL && p->at == p->argc)
		return why_set(
			p->why, CF_EINVAL, "--%s needs a value: --%s %s", o->name, o->name, o->arg);
	const char *value = inline_value ? inline_value : p->argv[p->at++];
	int err = check_value(o, value, p->why);
	if (err == 0)
		*slot = value;
	return err;
}

static int known_option(struct parser *p, const struct cli_option *mine,
	const struct cli_option *global, const char *value)
{
	struct cli_args *a = p->args;

	if (mine != NULL)
		return take_option(p, mine, &a->values[mine - a->command->options], value);
	if (strcmp(global->name, "help") == 0)
		*p->help = true;
	return take_option(p, global, &a->globals[global - cli_globals], value);
}

static int parse_option(struct parser *p, const char *word)
{
	const struct cli_command *command = p->args->command;
	const struct cli_option *table = command ? command->options : NULL;

	if (word[1] != '-') {
		const struct cli_option *mine = option_by_letter(table, word[1]);
		const struct cli_option *global = option_by_letter(cli_globals, word[1]);
		if (mine == NULL && global == NULL)
			return why_set(p->why, CF_EINVAL, "unknown option %s", word);
		return known_option(p, mine, global, word[2] != '\0' ? word + 2 : NULL);
	}
	const char *name = word + 2;
	size_t n = strcspn(name, "=");
	const struct cli_option *mine = option_by_name(table, name, n);
	const struct cli_option *global = option_by_name(cli_globals, name, n);
	if (mine == NULL && global == NULL) {
		_mem_free_ char *bare = mem_strndup(name, n);
		return unknown_option(command, bare, p->why);
	}
	return known_option(p, mine, global, name[n] == '=' ? name + n + 1 : NULL);
}

static int unknown_command(const char *group, const char *word, struct why *why)
{
	const char *names[64] = {NULL};
	char firsts[64][32];
	size_t n = 0;
	size_t prefix = group != NULL ? strlen(group) + 1 : 0;

	for (const struct cli_command *c = cli_commands; c->name != NULL && n < 64; c++) {
		if (group != NULL &&
			!(str_starts_with(c->name, group) && c->name[prefix - 1] == ' '))
			continue;
		size_t len = strcspn(c->name + prefix, " ");
		snprintf(firsts[n], sizeof firsts[n], "%.*s", (int)len, c->name + prefix);
		names[n] = firsts[n];
		n++;
	}
	const char *near = cli_suggest(word, names, n);
	const char *gap = group != NULL ? " " : "";
	group = group != NULL ? group : "";
	if (near != NULL)
		return why_set(why, CF_EINVAL,
			"unknown command \"%s%s%s\". Did you mean \"%s%s%s\"?", group, gap, word,
			group, gap, near);
	return why_set(why, CF_EINVAL, "unknown command \"%s%s%s\"", group, gap, word);
}

/** "alerts" is a command, and "alerts silence" another: its word follows at once. */
static bool into_group(struct parser *p, const char *word)
{
	struct cli_args *a = p->args;
	const struct cli_command *longer;
	char name[80];

	for (size_t i = 0; i < CLI_OPTIONS_MAX; i++)
		if (a->values[i] != NULL)
			return false;
	if (a->words_n > 0 || a->command->args_max > 0)
		return false;
	snprintf(name, sizeof name, "%s %s", a->command->name, word);
	longer = cli_command_find(name);
	if (longer != NULL)
		a->command = longer;
	return longer != NULL;
}

static int parse_word(struct parser *p, const char *word)
{
	struct cli_args *a = p->args;

	if (a->command != NULL) {
		if (!into_group(p, word))
			a->words[a->words_n++] = word;
		return 0;
	}
	if (p->group == NULL && strcmp(word, "help") == 0 && !*p->help) {
		*p->help = true;
		return 0;
	}
	char name[80];
	snprintf(name, sizeof name, "%s%s%s", p->group ? p->group : "", p->group ? " " : "", word);
	a->command = cli_command_find(name);
	if (a->command != NULL)
		return 0;
	if (p->group == NULL && is_group(word)) {
		p->group = word;
		return 0;
	}
	return unknown_command(p->group, word, p->why);
}

static int missing(const struct cli_option *o, struct why *why)
{
	_buf_release_ struct buf text = BUF_INIT(512);

	for (const char *p = o->choices; p != NULL && *p != '\0'; p++)
		buf_adds(&text, *p == '|' ? " or " : (char[]){*p, '\0'});
	if (o->choices == NULL)
		buf_adds(&text, o->help);
	return why_set(why, CF_EINVAL, "--%s %s is missing: %s", o->name, o->arg, buf_cstr(&text));
}

static int check_counts(const struct cli_args *a, struct why *why)
{
	const struct cli_command *c = a->command;

	for (const struct cli_option *o = c->options; o != NULL && o->name != NULL; o++)
		if (o->required && a->values[o - c->options] == NULL)
			return missing(o, why);
	if (a->words_n < c->args_min)
		return why_set(why, CF_EINVAL, "%s is missing", c->args);
	if (a->words_n > c->args_max)
		return why_set(why, CF_EINVAL,
			c->args_max == 0 ? "\"%s\" is too much: the command takes no words"
					 : "\"%s\" is too much",
			a->words[c->args_max]);
	return 0;
}

static int parse_all(struct parser *p)
{
	while (p->at < p->argc) {
		const char *word = p->argv[p->at++];
		int err;
		if (!p->words_only && strcmp(word, "--") == 0) {
			p->words_only = true;
			continue;
		}
		if (!p->words_only && word[0] == '-' && word[1] != '\0')
			err = parse_option(p, word);
		else
			err = parse_word(p, word);
		if (err != 0)
			return err;
	}
	return 0;
}

int cli_args_parse(
	size_t argc, const char *const *argv, struct cli_args *out, bool *help, struct why *why)
{
	*out = (struct cli_args){.words = mem_array(argc + 1, sizeof *out->words)};
	*help = false;
	struct parser p = {.argv = argv, .argc = argc, .args = out, .help = help, .why = why};
	int err = parse_all(&p);
	if (err != 0)
		return err;
	if (out->command == NULL && p.group != NULL) {
		out->words[out->words_n++] = p.group;
		if (!*help)
			return why_set(why, CF_EINVAL, "\"%s\" needs a second word", p.group);
	}
	if (*help || out->command == NULL)
		return 0;
	return check_counts(out, why);
}

static size_t row_of(const struct cli_option *table, const char *name)
{
	const struct cli_option *o = option_by_name(table, name, strlen(name));

	if (o == NULL)
		abort();
	return (size_t)(o - table);
}

const char *cli_arg(const struct cli_args *args, const char *name)
{
	size_t row = row_of(args->command->options, name);
	const char *given = args->values[row];

	if (given == NULL ||
		(*given == '\0' && args->command->options[row].kind == CLI_DURATION_OPT))
		return args->command->options[row].fallback;
	return given;
}

bool cli_flag(const struct cli_args *args, const char *name)
{
	return args->values[row_of(args->command->options, name)] != NULL;
}

int64_t cli_arg_ms(const struct cli_args *args, const char *name)
{
	const char *text = cli_arg(args, name);
	int64_t ms = 0;

	if (text != NULL)
		(void)parse_wait(text, &ms);
	return ms;
}

uint64_t cli_arg_number(const struct cli_args *args, const char *name)
{
	const char *text = cli_arg(args, name);
	uint64_t number = 0;

	if (text != NULL)
		(void)str_parse_u64(text, UINT32_MAX, &number);
	return number;
}

const char *cli_global(const struct cli_args *args, const char *name)
{
	return args->globals[row_of(cli_globals, name)];
}

int64_t cli_global_ms(const struct cli_args *args, const char *name)
{
	size_t row = row_of(cli_globals, name);
	const char *given = args->globals[row];
	int64_t ms = 0;

	(void)parse_wait(given && *given ? given : cli_globals[row].fallback, &ms);
	return ms;
}

/* watch.c - --watch: a command's answer as it changes. On a terminal it is drawn over itself, in
 * place; elsewhere, and with --json, it is given once and then each change on a line. */
#include "common/clock.h"
#include "common/mem.h"
#include "scheduler/cli/cli.h"
#include "scheduler/cli/facts.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define ROWS_USUAL 24
#define PATH_LIMIT 1024

/* What differs each time and says nothing. */
static const char *const passing[] = {"lease_until", "beat", "looked", "next_look", "next_check",
	"results", "edges", "due_now", "due_later", "oldest_due", "timeline", "deep"};

/* The answer as the command writes it; *out is owned. */
static int answer(struct cli *cli, const struct cli_args *args, bool json, char **out)
{
	FILE *was = cli->out;
	bool was_json = cli->json;
	size_t n = 0;

	cli->out = open_memstream(out, &n);
	cli->json = json;
	cli_now(cli);
	int status = args->command->run(cli, args);
	fclose(cli->out);
	cli->out = was;
	cli->json = was_json;
	return status;
}

/* --- on a terminal */

static size_t screen_rows(const struct cli *cli)
{
	struct winsize size;

	return ioctl(fileno(cli->out), TIOCGWINSZ, &size) == 0 && size.ws_row > 2 ? size.ws_row
										  : ROWS_USUAL;
}

/* Each line over the one before it: nothing is wiped that stays, so that nothing flickers. */
static void draw(struct cli *cli, const struct cli_args *args, const char *text, int64_t every_ms)
{
	_buf_release_ struct buf out = BUF_INIT(CLI_TEXT_LIMIT), when = BUF_INIT(64);
	size_t left = screen_rows(cli) - 1;
	char human[CLOCK_HUMAN_LEN];

	term_time(&when, cli->view.now_ms);
	buf_adds(&out, "\033[H");
	term_tint(&out, &cli->view, TINT_DIM, "certfleet %s, every %s; %s. Ctrl-C ends it.",
		args->command->name, clock_human(every_ms, human), buf_cstr(&when));
	buf_adds(&out, "\033[K\n");
	while (*text && --left) {
		size_t n = strcspn(text, "\n");

		if (left == 1 && text[n] && text[n + 1])
			buf_adds(&out, "…");
		else
			buf_add(&out, text, n);
		buf_adds(&out, "\033[K\n");
		text += n + (text[n] == '\n');
	}
	buf_adds(&out, "\033[J");
	cli_emit(cli, &out);
}

/* --- elsewhere: what changed */

static bool passes(const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(passing); i++)
		if (!strcmp(passing[i], key))
			return true;
	return false;
}

static const char *name_of(const json_t *item)
{
	static const char *const keys[] = {"id", "name", "key", "authority", "record", "owner"};
	const char *name = NULL;

	for (size_t i = 0; i < ARRAY_LEN(keys) && !name; i++)
		name = json_string_value(json_object_get(item, keys[i]));
	return name;
}

/* Every plain value, by its path. */
static void flatten(json_t *flat, const char *path, json_t *value)
{
	char deeper[PATH_LIMIT];
	const char *key;
	json_t *member;
	size_t i;

	if (json_is_object(value)) {
		json_object_foreach(value, key, member)
		{
			snprintf(deeper, sizeof deeper, "%s%s%s", path, *path ? "." : "", key);
			if (!passes(key))
				flatten(flat, deeper, member);
		}
	} else if (json_is_array(value)) {
		json_array_foreach(value, i, member)
		{
			const char *name = name_of(member);

			if (name)
				snprintf(deeper, sizeof deeper, "%s[%s]", path, name);
			else
				snprintf(deeper, sizeof deeper, "%s[%zu]", path, i);
			flatten(flat, deeper, member);
		}
	} else {
		json_object_set(flat, path, value);
	}
}

/* All documents that the answer holds: `endpoint show` gives one for each. */
static json_t *flat_of(const char *text)
{
	json_t *flat = json_object(), *doc;
	json_error_t error;

	while ((doc = json_loads(text, JSON_DISABLE_EOF_CHECK, &error))) {
		const char *id = json_string_value(json_object_get(doc, "id"));

		flatten(flat, id ? id : "", doc);
		json_decref(doc);
		text += error.position;
	}
	return flat;
}

static void put_value(struct buf *out, const json_t *value)
{
	_mem_free_ char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;

	buf_adds(out, json_is_string(value) ? json_string_value(value) : text ? text : "-");
}

static void tell(struct cli *cli, const char *path, const json_t *was, const json_t *is)
{
	_buf_release_ struct buf line = BUF_INIT(8192);

	if (cli->json) {
		cli_emit_json_line(
			cli, json_pack("{s:o s:s s:O? s:O?}", "time", json_time(cli->view.now_ms),
				     "what", path, "from", was, "to", is));
		return;
	}
	term_time(&line, cli->view.now_ms);
	buf_addf(&line, "  %s: ", path);
	put_value(&line, was);
	buf_adds(&line, " -> ");
	put_value(&line, is);
	buf_addc(&line, '\n');
	cli_emit(cli, &line);
}

static void tell_changes(struct cli *cli, json_t *was, json_t *is)
{
	const char *path;
	json_t *value;

	json_object_foreach(is, path, value)
	{
		json_t *old = json_object_get(was, path);

		if (!old || !json_equal(old, value))
			tell(cli, path, old, value);
	}
	json_object_foreach(was, path, value)
	{
		if (!json_object_get(is, path))
			tell(cli, path, value, NULL);
	}
}

/* --- the loop */

static int first_answer(struct cli *cli, const struct cli_args *args)
{
	_mem_free_ char *text = NULL;
	int status = answer(cli, args, cli->json, &text);

	fputs(text, cli->out);
	fflush(cli->out);
	return status;
}

/* One look; flat: what was seen before, or NULL. */
static int look(struct cli *cli, const struct cli_args *args, int64_t every_ms, json_t **flat)
{
	bool drawn = cli->view.width && !cli->json;
	_mem_free_ char *text = NULL;
	json_t *now;
	int status = answer(cli, args, !drawn, &text);

	if (status == CLI_FAILED)
		return status;
	if (drawn) {
		draw(cli, args, text, every_ms);
		return status;
	}
	now = flat_of(text);
	if (*flat)
		tell_changes(cli, *flat, now);
	json_decref(*flat);
	*flat = now;
	return status;
}

int cli_watch(struct cli *cli, const struct cli_args *args, int64_t every_ms)
{
	bool drawn = cli->view.width && !cli->json;
	int status = CLI_DONE;
	json_t *flat = NULL;
	struct why why;

	cli->quiet = true; /* hints would stand between the lines, and progress in the picture */
	cli->progress = false;
	cli_catch_signals();
	if (drawn)
		fputs("\033[2J", cli->out);
	else
		status = first_answer(cli, args);
	while (status != CLI_FAILED && !cli_stopping()) {
		status = look(cli, args, every_ms, &flat);
		cli_sleep_ms(every_ms);
		/* Redis went away: it is tried again. */
		while (status == CLI_FAILED && flat && !cli_stopping()) {
			status = cli_connect(cli, &why) ? CLI_FAILED : CLI_DONE;
			cli_sleep_ms(every_ms);
		}
	}
	json_decref(flat);
	return status == CLI_FAILED ? status : CLI_DONE;
}

/* manual.c - certfleet manual: the man pages, from the tables that the programs themselves go by
 * (man(7) macros). The build writes them by this command. */
#include "common/clock.h"
#include "common/config.h"
#include "common/mem.h"
#include "common/str.h"
#include "scheduler/cli/cli.h"

#include <errno.h>
#include <string.h>

#define EXAMPLE_MAX (1u << 20)

/* --- roff */

/* Text as it is: no line of it is a request, no character an escape. */
static void put_text(struct buf *out, const char *s, size_t n)
{
	bool first = true;

	for (size_t i = 0; i < n; i++) {
		if (first && (s[i] == '.' || s[i] == '\''))
			buf_adds(out, "\\&");
		if (s[i] == '\\')
			buf_adds(out, "\\e");
		else if (s[i] == '-')
			buf_adds(out, "\\-");
		else
			buf_addc(out, s[i]);
		first = s[i] == '\n';
	}
}

static void put(struct buf *out, const char *s)
{
	put_text(out, s, strlen(s));
}

static void head(struct buf *out, const char *title)
{
	buf_addf(out, ".SH %s\n", title);
}

static void term(struct buf *out, const char *bold, const char *rest)
{
	buf_adds(out, ".TP\n\\fB");
	put(out, bold);
	buf_adds(out, "\\fR");
	put(out, rest);
	buf_addc(out, '\n');
}

/* Lines that begin with blanks stand as they are; an empty line parts paragraphs. */
static void prose(struct buf *out, const char *text)
{
	bool verbatim = false;

	while (*text) {
		size_t n = strcspn(text, "\n");
		bool blank = text[0] == ' ';

		if (blank != verbatim) {
			buf_adds(out, blank ? ".PP\n.nf\n" : ".fi\n");
			verbatim = blank;
		}
		if (n) {
			put_text(out, text, n);
			buf_addc(out, '\n');
		} else if (text[1] && text[1] != ' ') {
			buf_adds(out, ".PP\n");
		}
		text += n + (text[n] == '\n');
	}
	if (verbatim)
		buf_adds(out, ".fi\n");
}

static char date[32]; /* of the page; one is written a run */

static void page_head(struct buf *out, const char *name, const char *section, const char *brief)
{
	_mem_free_ char *upper = mem_strdup(name);

	for (char *p = upper; *p; p++)
		*p = *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p;
	buf_adds(out, ".TH ");
	put(out, upper);
	buf_addf(out, " %s \"%s\" certfleet certfleet\n", section, date);
	head(out, "NAME");
	put(out, name);
	buf_adds(out, " \\- ");
	put(out, brief);
	buf_addc(out, '\n');
}

static void see_also(struct buf *out, const char *const *pages)
{
	head(out, "SEE ALSO");
	for (; *pages; pages += 2) {
		buf_adds(out, ".BR ");
		put(out, pages[0]);
		buf_addf(out, " (%s)%s\n", pages[1], pages[2] ? "," : "");
	}
}

/* --- certfleet.1 */

static void put_option(struct buf *out, const struct cli_option *o)
{
	_buf_release_ struct buf name = BUF_INIT(128), text = BUF_INIT(4096);
	_mem_free_ char *rest = NULL;

	if (o->letter)
		buf_addf(&name, "-%c, ", o->letter);
	buf_addf(&name, "--%s", o->name);
	if (o->arg)
		rest = mem_printf(o->kind == CLI_DURATION_OPT ? "[=%s]" : " %s", o->arg);
	term(out, buf_cstr(&name), rest ? rest : "");
	cli_option_text(o, &text);
	put(out, buf_cstr(&text));
	buf_addc(out, '\n');
}

static void put_options(struct buf *out, const struct cli_option *table)
{
	for (const struct cli_option *o = table; o && o->name; o++)
		put_option(out, o);
}

static void put_examples(struct buf *out, const struct cli_example *e)
{
	for (; e && e->line; e++) {
		_mem_free_ char *line = mem_printf("certfleet %s", e->line);

		term(out, line, "");
		put(out, e->what);
		buf_addc(out, '\n');
	}
}

static void put_command(struct buf *out, const struct cli_command *c)
{
	_buf_release_ struct buf usage = BUF_INIT(1024);

	cli_usage_line(c, &usage);
	buf_adds(out, ".SS ");
	put(out, buf_cstr(&usage));
	buf_addc(out, '\n');
	prose(out, c->about);
	put_options(out, c->options);
	put_examples(out, c->examples);
	if (!c->status)
		return;
	buf_adds(out, ".PP\nExit status:\n.RS\n.nf\n");
	put(out, c->status);
	buf_adds(out, "\n.fi\n.RE\n");
}

static const char *const environment[][2] = {
	{"CERTFLEET_CONFIG", "The configuration, where \\-c is not given."},
	{"NO_COLOR", "If it is set and not empty: no colours."},
	{"COLUMNS", "How wide the screen is, where the terminal does not say."},
};

static void page_certfleet(struct buf *out)
{
	static const char *const pages[] = {
		"certfleet-scheduler", "8", "certfleet-worker", "8", "certfleet.yaml", "5", NULL};

	page_head(out, "certfleet", "1", "managed HTTPS for platforms, from the command line");
	head(out, "SYNOPSIS");
	buf_adds(out, ".B certfleet\n[\\-c FILE] COMMAND [OPTION...]\n");
	head(out, "DESCRIPTION");
	prose(out,
		"Reads the fleet from Redis, and asks the scheduler that leads for what is to be "
		"changed. The answer goes to standard output, everything else to standard "
		"error. Colours, and the picture of progress, are for terminals alone.");
	head(out, "OPTIONS OF EVERY COMMAND");
	put_options(out, cli_globals);
	head(out, "COMMANDS");
	for (const struct cli_command *c = cli_commands; c->name; c++)
		put_command(out, c);
	head(out, "EXIT STATUS");
	prose(out, "0 done, 1 failed, 2 wrong usage, 3 not (yet) so.");
	head(out, "ENVIRONMENT");
	for (size_t i = 0; i < ARRAY_LEN(environment); i++) {
		term(out, environment[i][0], "");
		buf_addf(out, "%s\n", environment[i][1]);
	}
	head(out, "FILES");
	term(out, "/etc/certfleet/certfleet.yaml", "");
	buf_adds(out, "The configuration, unless another is named.\n");
	see_also(out, pages);
}

/* --- the daemons */

struct daemon {
	const char *name, *brief, *about;
	const char *http[5][2]; /* what scheduler.listen or worker.listen answers */
};

static const struct daemon daemons[] = {
	{"certfleet-scheduler", "the control plane of a certfleet fleet",
		"Any number may run; one leads, by a lease in Redis, and is replaced within "
		"seconds "
		"when it dies. The leader takes requests, gives the jobs of dead workers to "
		"others, audits that all that is needed is planned, and tells alerts. Each "
		"serves the HTTP API, the dashboard and metrics at scheduler.listen.\n\n"
		"Nothing that matters is on its disk.",
		{{"/healthz", "200 as long as the loop turns."},
			{"/readyz", "200, or 503 and why."},
			{"/metrics", "Metrics for Prometheus."},
			{"/v1", "The API; /v1/openapi.json describes it where it is built in."},
			{"/", "The dashboard."}}},
	{"certfleet-worker", "does the work of a certfleet fleet",
		"Any number may run, each with the roles that worker.roles names: jobs (looks at "
		"DNS and what is served, orders certificates), http-01, dns-01 and tls-alpn-01 "
		"(answer the challenges of authorities), notify (delivers alerts).\n\n"
		"A worker keeps nothing: its jobs are leased, and another goes on with them when "
		"it dies.",
		{{"/healthz", "200 as long as the loop turns."},
			{"/readyz", "200, or 503 and why."},
			{"/metrics", "Metrics for Prometheus."}}},
};

static void page_daemon(struct buf *out, const struct daemon *d)
{
	static const char *const pages[] = {"certfleet", "1", "certfleet.yaml", "5", NULL};

	page_head(out, d->name, "8", d->brief);
	head(out, "SYNOPSIS");
	buf_adds(out, ".B ");
	put(out, d->name);
	buf_adds(out, "\n[\\-c FILE]\n");
	head(out, "DESCRIPTION");
	prose(out, d->about);
	head(out, "OPTIONS");
	term(out, "-c", " FILE");
	buf_adds(out, "The configuration. Default: /etc/certfleet/certfleet.yaml.\n");
	head(out, "HTTP");
	for (size_t i = 0; i < ARRAY_LEN(d->http) && d->http[i][0]; i++) {
		term(out, d->http[i][0], "");
		put(out, d->http[i][1]);
		buf_addc(out, '\n');
	}
	head(out, "SIGNALS");
	term(out, "SIGTERM, SIGINT", "");
	buf_adds(out, "Drain: nothing new is begun, what was begun ends or is given back, then the "
		      "program ends.\nA second one ends it at once, and loses nothing.\n");
	head(out, "EXIT STATUS");
	prose(out, "0 drained, 1 something is wrong (standard error says what), 2 wrong usage.");
	see_also(out, pages);
}

/* --- certfleet.yaml.5 */

static void put_key(void *arg, const struct config_key *k)
{
	struct buf *out = arg;

	if (!k->expected)
		return; /* a section: its keys name it */
	term(out, k->path, k->required ? " (required)" : "");
	if (k->list)
		buf_addf(out, "A list of at most %u; each: ", (unsigned)k->list);
	put(out, k->expected);
	buf_adds(out, ".\n");
	if (k->fallback) {
		buf_adds(out, "Default: ");
		put(out, k->fallback[0] ? k->fallback : "none");
		buf_adds(out, ".\n");
	}
	if (k->secret)
		buf_adds(out, "A secret: the file must not be readable by everybody.\n");
}

static int put_example(struct cli *cli, const char *path, struct buf *out)
{
	_buf_release_ struct buf text = BUF_INIT(EXAMPLE_MAX);
	FILE *f = fopen(path, "re");
	char part[4096];
	size_t n;

	if (!f)
		return cli_fail(cli, "cannot read %s: %s", path, strerror(errno));
	while ((n = fread(part, 1, sizeof part, f)) > 0)
		buf_add(&text, part, n);
	fclose(f);
	head(out, "EXAMPLE");
	buf_adds(out, ".nf\n");
	put(out, buf_cstr(&text));
	buf_adds(out, ".fi\n");
	return CLI_DONE;
}

static int page_config(struct cli *cli, const char *example, struct buf *out)
{
	static const char *const pages[] = {
		"certfleet", "1", "certfleet-scheduler", "8", "certfleet-worker", "8", NULL};
	int status = CLI_DONE;

	page_head(out, "certfleet.yaml", "5", "the configuration of certfleet");
	head(out, "DESCRIPTION");
	prose(out, "One file in YAML for all programs; each takes what concerns it. A key that is "
		   "not known, a value of another type or one that cannot be is refused, with "
		   "file, line, column and what is expected. \"certfleet config check\" says the "
		   "same without starting anything; \"certfleet config show\" prints every value "
		   "in force.\n\n"
		   "Durations, sizes and rates have units: 30s, 1h30m, 300/3h. Secrets are never "
		   "in this file, but in files that it names.");
	head(out, "KEYS");
	config_each_key(put_key, out);
	if (example)
		status = put_example(cli, example, out);
	see_also(out, pages);
	return status;
}

/* --- the command */

static int page(struct cli *cli, const char *name, const char *example, struct buf *out)
{
	if (!strcmp(name, "certfleet.1")) {
		page_certfleet(out);
		return CLI_DONE;
	}
	if (!strcmp(name, "certfleet.yaml.5"))
		return page_config(cli, example, out);
	for (size_t i = 0; i < ARRAY_LEN(daemons); i++) {
		size_t n = strlen(daemons[i].name);

		if (!strncmp(daemons[i].name, name, n) && !strcmp(name + n, ".8")) {
			page_daemon(out, &daemons[i]);
			return CLI_DONE;
		}
	}
	cli_fail(cli,
		"there is no page \"%s\": certfleet.1, certfleet-scheduler.8, certfleet-worker.8, "
		"certfleet.yaml.5",
		name);
	return CLI_USAGE;
}

int cmd_manual(struct cli *cli, const struct cli_args *args)
{
	_buf_release_ struct buf out = BUF_INIT(CLI_TEXT_LIMIT);
	const char *given = cli_arg(args, "date");
	char now[CLOCK_RFC3339_LEN];

	snprintf(date, sizeof date, "%.10s",
		given && *given ? given : clock_rfc3339(cli_now(cli), now));
	int status = page(cli, args->words_n ? args->words[0] : "certfleet.1",
		cli_arg(args, "example"), &out);

	if (status == CLI_DONE)
		cli_emit(cli, &out);
	return status;
}

/* tokens.c - certfleet token new|list|revoke: the tokens file of the HTTP API
 * (scheduler/api/access.h has its form). A token is shown once; the file holds its hash. */
#include "common/mem.h"
#include "common/str.h"
#include "scheduler/api/access.h"
#include "scheduler/cli/cli.h"
#include "scheduler/cli/facts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LATER "Schedulers read it anew within seconds; on other machines it must be changed as well."

struct file {
	const char *path;
	struct buf text;
	struct access_tokens *tokens;
};

static void file_release(struct file *f)
{
	buf_release(&f->text);
	access_tokens_free(f->tokens);
}

#define _file_release_ __attribute__((cleanup(file_release)))

static int read_text(struct cli *cli, struct file *f)
{
	FILE *in = fopen(f->path, "re");
	char part[4096];
	size_t n;

	if (!in && errno == ENOENT)
		return CLI_DONE;
	if (!in)
		return cli_fail(cli, "cannot read %s: %s", f->path, strerror(errno));
	while ((n = fread(part, 1, sizeof part, in)) > 0)
		buf_add(&f->text, part, n);
	fclose(in);
	return CLI_DONE;
}

static int parse(struct cli *cli, struct file *f)
{
	struct why why = {0};

	access_tokens_free(mem_steal(f->tokens));
	if (buf_err(&f->text) ||
		access_tokens_parse(buf_cstr(&f->text), f->text.len, &f->tokens, &why))
		return cli_fail(cli, "%s: %s", f->path, why.text[0] ? why.text : "too large");
	return CLI_DONE;
}

static int load(struct cli *cli, const struct cli_args *args, struct file *f)
{
	const char *given = cli_arg(args, "file");
	int status;

	*f = (struct file){.text = BUF_INIT(ACCESS_FILE_MAX)};
	f->path = given ? given : cli->config->scheduler.tokens_file;
	if (!f->path) {
		cli_fail(cli, "which file? The configuration has no scheduler.tokens_file");
		cli_hint(cli,
			"Without one everybody on loopback may do everything, and nobody else "
			"anything. Set it, or give --file FILE.");
		return CLI_FAILED;
	}
	status = read_text(cli, f);
	return status == CLI_DONE ? parse(cli, f) : status;
}

/* Written beside it and renamed: a scheduler reads the old file or the new one. */
static int save(struct cli *cli, struct file *f)
{
	_mem_free_ char *beside = mem_printf("%s.new", f->path);
	struct stat old;
	bool there = stat(f->path, &old) == 0;
	int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool good = fd >= 0;

	if (good && there)
		good = fchmod(fd, old.st_mode & 07777) == 0 &&
		       (fchown(fd, old.st_uid, old.st_gid) == 0 || geteuid() != 0);
	good = good && write(fd, f->text.data, f->text.len) == (ssize_t)f->text.len &&
	       fsync(fd) == 0;
	if (fd >= 0 && close(fd) != 0)
		good = false;
	if (good && rename(beside, f->path) == 0)
		return CLI_DONE;
	cli_fail(cli, "cannot write %s: %s", f->path, strerror(errno));
	if (fd >= 0)
		unlink(beside);
	return CLI_FAILED;
}

int cmd_token_new(struct cli *cli, const struct cli_args *args)
{
	char secret[ACCESS_SECRET_SIZE], hash[2 * ACCESS_HASH_BYTES + 1];
	const char *tenant = cli_arg(args, "tenant"), *name = args->words[0];
	_file_release_ struct file f = {0};
	int status = load(cli, args, &f);

	if (status != CLI_DONE)
		return status;
	access_new_secret(secret);
	access_hash(secret, hash);
	if (f.text.len && f.text.data[f.text.len - 1] != '\n')
		buf_addc(&f.text, '\n');
	buf_addf(&f.text, "%s %s %s %s\n", name, cli_arg(args, "scope"), tenant ? tenant : "-",
		hash);
	status = parse(cli, &f); /* a wrong name, or one that is there already */
	if (status == CLI_DONE)
		status = save(cli, &f);
	if (status != CLI_DONE)
		return status;
	if (cli->json) {
		cli_emit_json(cli, json_pack("{s:s s:s s:s s:o}", "name", name, "token", secret,
					   "scope", cli_arg(args, "scope"), "tenant",
					   tenant ? json_text(tenant) : json_null()));
		return CLI_DONE;
	}
	fprintf(cli->out, "%s\n", secret);
	cli_note(cli, "This is shown only now; %s holds its hash. " LATER, f.path);
	return CLI_DONE;
}

int cmd_token_list(struct cli *cli, const struct cli_args *args)
{
	static const struct table_column columns[] = {
		{"NAME", false, true}, {"SCOPE", false, false}, {"TENANT", false, true}};
	struct table t = TABLE_INIT(columns, ARRAY_LEN(columns), 0);
	_buf_release_ struct buf text = BUF_INIT(CLI_TEXT_LIMIT);
	_file_release_ struct file f = {0};
	int status = load(cli, args, &f);

	if (status != CLI_DONE)
		return status;
	if (cli->json)
		cli_list_open(cli, "tokens");
	for (size_t i = 0; i < access_tokens_n(f.tokens); i++) {
		const struct access_identity *who = access_tokens_at(f.tokens, i);
		const char *scope = who->scope == ACCESS_WRITE ? "write" : "read";

		if (cli->json) {
			cli_list_item(cli,
				json_pack("{s:s s:s s:o}", "name", who->name, "scope", scope,
					"tenant",
					who->tenant[0] ? json_text(who->tenant) : json_null()));
			continue;
		}
		table_cell(&t, TINT_NONE, "%s", who->name);
		table_cell(&t, TINT_NONE, "%s", scope);
		table_cell(&t, TINT_NONE, "%s", who->tenant[0] ? who->tenant : "all");
	}
	if (cli->json)
		cli_list_close(cli);
	table_flush(&t, &cli->view, &text);
	cli_emit(cli, &text);
	table_release(&t);
	if (!access_tokens_n(f.tokens) && !cli->json)
		cli_note(cli, "%s has no tokens.", f.path);
	return CLI_DONE;
}

/* The file without the line that begins with the name. */
static void take_out(struct file *f, const char *name)
{
	struct buf rest = BUF_INIT(ACCESS_FILE_MAX);
	const char *at = buf_cstr(&f->text);

	while (*at) {
		size_t n = strcspn(at, "\n");
		const char *word = at + strspn(at, " \t");
		size_t len = strcspn(word, " \t\n");

		n += at[n] == '\n';
		if (len != strlen(name) || strncmp(word, name, len) != 0)
			buf_add(&rest, at, n);
		at += n;
	}
	buf_release(&f->text);
	f->text = rest;
}

int cmd_token_revoke(struct cli *cli, const struct cli_args *args)
{
	const char *name = args->words[0];
	_file_release_ struct file f = {0};
	int status = load(cli, args, &f);

	if (status != CLI_DONE)
		return status;
	if (!access_tokens_named(f.tokens, name))
		return cli_fail(cli, "%s has no token \"%s\"", f.path, name);
	take_out(&f, name);
	if (!f.text.len)
		buf_adds(&f.text, "# no tokens\n"); /* a file without any lets nobody in */
	status = save(cli, &f);
	if (status != CLI_DONE)
		return status;
	if (cli->json)
		cli_emit_json(cli, json_pack("{s:s}", "revoked", name));
	else
		fprintf(cli->out, "%s is revoked\n", name);
	cli_note(cli, "%s", LATER);
	return CLI_DONE;
}

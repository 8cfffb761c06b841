/* certificate.c - certfleet certificate show|export. */
#include "scheduler/cli/cli.h"

#include "common/mem.h"
#include "scheduler/cli/fetch.h"
#include "scheduler/cli/pem.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static int none_yet(struct cli *cli, const char *id)
{
	cli_fail(cli, "%s has no certificate yet", id);
	cli_hint(cli, "\"certfleet endpoint show %s\" says what it waits for.", id);
	return CLI_NOT_YET;
}

static void show_pem(struct cli *cli, const struct pem *p)
{
	fwrite(p->cert.data, 1, p->cert.len, cli->out);
	fwrite(p->chain.data, 1, p->chain.len, cli->out);
	fflush(cli->out);
}

static int fetch_pem(struct cli *cli, struct vault *vault, const char *id, struct pem *p)
{
	struct why why = {0};
	int err = pem_fetch(cli, vault, id, p, &why);

	if (err == 0)
		return CLI_DONE;
	if (err == CF_EGONE)
		return fetch_fail_unknown(cli, id);
	if (err == CF_ENOTFOUND)
		return none_yet(cli, id);
	if (cli_lost(err) || err == CF_EREDIS)
		return cli_fail_redis(cli, err, &why);
	return cli_fail(cli, "%s: %s", id, why.text[0] ? why.text : cf_strerror(err));
}

int cmd_certificate_show(struct cli *cli, const struct cli_args *args)
{
	_buf_release_ struct buf text = BUF_INIT(CLI_TEXT_LIMIT);
	const char *id = args->words[0];
	struct facts f = {0};
	struct pem p = {0};
	int status = fetch_or_fail(cli, id, FETCH_ISSUER, &f);

	if (status != CLI_DONE)
		return status;
	if (!f.endpoint.has_cert) {
		status = none_yet(cli, id);
	} else if (cli->json) {
		cli_emit_json(cli, facts_certificate_json(&f));
	} else if (cli_flag(args, "pem")) {
		status = fetch_pem(cli, NULL, id, &p);
		if (status == CLI_DONE)
			show_pem(cli, &p);
	} else {
		term_tint(&text, &cli->view, TINT_BOLD, "%s", id);
		buf_addc(&text, '\n');
		facts_certificate(&f, &cli->view, 2, &text);
		cli_emit(cli, &text);
	}
	pem_release(&p);
	facts_release(&f);
	return status;
}

/* export */

struct export_file {
	const char *name;
	unsigned mode;
	const char *what;
	size_t parts[3]; /* 1 leaf, 2 chain, 3 key; 0 ends */
};

static const struct export_file FILES[] = {
	{"privkey.pem", 0600, "the private key", {3}},
	{"cert.pem", 0644, "the certificate alone", {1}},
	{"chain.pem", 0644, "the intermediates", {2}},
	{"fullchain.pem", 0644, "certificate and intermediates", {1, 2}},
	{"combined.pem", 0600, "certificate, intermediates and key (HAProxy)", {1, 2, 3}},
};

static int write_files(struct cli *cli, const char *dir, const struct pem *p)
{
	const struct buf *const sources[] = {NULL, &p->cert, &p->chain, &p->key};
	struct why why = {0};

	for (size_t i = 0; i < ARRAY_LEN(FILES); i++) {
		const struct buf *parts[3];
		size_t n = 0;
		for (; n < 3 && FILES[i].parts[n] != 0; n++)
			parts[n] = sources[FILES[i].parts[n]];
		if (pem_write(dir, FILES[i].name, parts, n, FILES[i].mode, &why) != 0)
			return cli_fail(cli, "%s", why.text);
		if (!cli->json && !cli->quiet)
			fprintf(cli->out, "%s/%-14s %s\n", dir, FILES[i].name, FILES[i].what);
	}
	if (cli->json)
		cli_emit_json(cli, json_pack("{s:s s:s s:o}", "dir", dir, "serial", p->serial,
					   "not_after", json_time(p->not_after_ms)));
	return CLI_DONE;
}

int cmd_certificate_export(struct cli *cli, const struct cli_args *args)
{
	const char *dir = cli_arg(args, "dir");
	struct vault *vault = NULL;
	struct why why = {0};
	struct pem p = {0};

	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		return cli_fail(cli, "cannot make the folder %s: %s", dir, strerror(errno));
	if (pem_vault(cli, &vault, &why) != 0)
		return cli_fail(cli, "%s", why.text);
	int status = fetch_pem(cli, vault, args->words[0], &p);
	if (status == CLI_DONE)
		status = write_files(cli, dir, &p);
	pem_release(&p);
	vault_close(vault);
	return status;
}

#include "scheduler/options.h"

#include <getopt.h>
#include <stdio.h>

#ifndef CERTFLEET_VERSION /* the build names it */
#define CERTFLEET_VERSION "unknown"
#endif

#define CONFIG_DEFAULT "/etc/certfleet/certfleet.yaml"

static const char usage[] =
	"usage: certfleet-scheduler [-c FILE]\n"
	"\n"
	"The control plane of a certfleet fleet: any number may run, one leads. It takes requests, "
	"reaps\n"
	"lapsed leases, audits, tells alerts, and serves /healthz, /readyz and /metrics.\n"
	"\n"
	"  -c, --config FILE   the configuration (default " CONFIG_DEFAULT ")\n"
	"      --help          this text\n"
	"      --version       the version\n"
	"\n"
	"SIGTERM or SIGINT drains: requests in work end, the lease is given back. A second one "
	"ends at once.\n"
	"Exit status: 0 drained, 1 something is wrong (standard error says what), 2 wrong usage.\n";

static int load(const char *path, struct config **config)
{
	struct config_errors errors;
	struct buf text = BUF_INIT(1 << 20);

	if (!config_load(path, config, &errors))
		return 0;
	config_errors_text(&errors, &text);
	fputs(buf_cstr(&text), stderr);
	buf_release(&text);
	config_errors_release(&errors);
	return 1;
}

int options_read(int argc, char **argv, struct config **config)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{NULL, 0, NULL, 0},
	};
	const char *path = CONFIG_DEFAULT;
	int letter;

	*config = NULL;
	while ((letter = getopt_long(argc, argv, "c:hV", options, NULL)) != -1) {
		if (letter == 'c') {
			path = optarg;
		} else if (letter == 'h') {
			fputs(usage, stdout);
			return 0;
		} else if (letter == 'V') {
			puts("certfleet-scheduler " CERTFLEET_VERSION);
			return 0;
		} else {
			fputs("Try certfleet-scheduler --help.\n", stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "certfleet-scheduler: unexpected argument \"%s\"\n", argv[optind]);
		return 2;
	}
	return load(path, config);
}

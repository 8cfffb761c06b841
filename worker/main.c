/* certfleet-worker: takes jobs, talks ACME and DNS, answers challenges. */
#include "common/config.h"
#include "common/log.h"
#include "common/secret.h"
#include "worker/worker.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] = "usage: certfleet-worker [-c FILE]\n"
			    "\n"
			    "Takes jobs from Redis, talks to certificate authorities and DNS, and "
			    "answers challenges. Roles, slots and\n"
			    "addresses are in the config (default: $CERTFLEET_CONFIG, else "
			    "/etc/certfleet/certfleet.yaml). SIGTERM drains:\n"
			    "no new job, what can finish finishes, the rest is released for other "
			    "workers. A second SIGTERM ends at once.\n"
			    "Exit status: 0 drained, 1 failed (the config too), 2 usage.\n";

static const char *config_path(int argc, char **argv)
{
	const char *path = getenv("CERTFLEET_CONFIG");

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "-c") && i + 1 < argc)
			path = argv[++i];
		else
			return NULL;
	}
	return path ? path : "/etc/certfleet/certfleet.yaml";
}

static int run(struct config *config)
{
	static struct worker worker;
	struct why why = {""};
	int status = 1;

	log_setup((enum log_level)config->log.level, (enum log_format)config->log.format, "worker");
	if (!worker_start(&worker, config, &why))
		status = worker_run(&worker);
	else
		LOG(ERROR, "worker_not_started", LF("why", why.text));
	worker_stop(&worker);
	return status;
}

int main(int argc, char **argv)
{
	struct config_errors errors = {.n = 0};
	struct buf text = BUF_INIT(65536);
	struct config *config;
	const char *path = config_path(argc, argv);
	int status;

	if (!path) {
		fputs(usage, argc == 2 && !strcmp(argv[1], "--help") ? stdout : stderr);
		return argc == 2 && !strcmp(argv[1], "--help") ? 0 : 2;
	}
	process_harden();
	signal(SIGPIPE, SIG_IGN);
	if (config_load(path, &config, &errors)) {
		config_errors_text(&errors, &text);
		fputs(buf_cstr(&text), stderr);
		buf_release(&text);
		config_errors_release(&errors);
		return 1;
	}
	status = run(config);
	config_free(config);
	return status;
}

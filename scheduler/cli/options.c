/* options.c - the options and examples of each command (see options.h). */
#include "scheduler/cli/options.h"

#define END_OPTION           \
	{                    \
		.name = NULL \
	}

const struct cli_option cli_globals[] = {
	{.name = "config",
		.letter = 'c',
		.arg = "FILE",
		.kind = CLI_TEXT,
		.help = "The configuration. Else $CERTFLEET_CONFIG, else "
			"/etc/certfleet/certfleet.yaml."},
	{.name = "json",
		.kind = CLI_SWITCH,
		.help = "Write one JSON document instead of text (one a line where it follows "
			"something)."},
	{.name = "no-color",
		.kind = CLI_SWITCH,
		.help = "No colours, as with NO_COLOR in the environment or when the output is no "
			"terminal."},
	{.name = "quiet",
		.letter = 'q',
		.kind = CLI_SWITCH,
		.help = "No hints and no progress, only answers and errors."},
	{.name = "watch",
		.arg = "DURATION",
		.kind = CLI_DURATION_OPT,
		.fallback = "2s",
		.help = "Look again and again, until Ctrl-C: lists, pages and numbers. On a "
			"terminal "
			"the answer is drawn in place; else it is given once, and then each change "
			"on a line (with --json a document)."},
	{.name = "help", .letter = 'h', .kind = CLI_SWITCH, .help = "Explain the command."},
	{.name = "version", .kind = CLI_SWITCH, .help = "Say the version."},
	END_OPTION,
};

#define OPTION_TIMEOUT                                                                         \
	{                                                                                      \
		.name = "timeout", .arg = "DURATION", .kind = CLI_DURATION, .fallback = "15s", \
		.help = "How long to wait for the scheduler's answer. A request that was not " \
			"answered "                                                            \
			"stays queued and is applied later."                                   \
	}
#define OPTION_QUEUE                                                                            \
	{                                                                                       \
		.name = "queue", .arg = "QUEUE", .kind = CLI_CHOICE, .choices = "verify|issue", \
		.help = "Only this queue."                                                      \
	}

#define STATES "active|waiting_dns|provisioning|partial|failing|expired|departed|parked|removing"

const struct cli_option options_add[] = {
	{.name = "type",
		.arg = "TYPE",
		.kind = CLI_CHOICE,
		.choices = "external|internal",
		.required = true,
		.help = "external: reachable from the internet; two records a name (traffic, and "
			"the challenge). internal: not, or filtered by address; one record a name "
			"(the challenge)."},
	{.name = "target",
		.arg = "HOST",
		.kind = CLI_TEXT,
		.help = "The platform's host name that traffic should reach. External endpoints "
			"need one."},
	{.name = "tenant",
		.arg = "TENANT",
		.kind = CLI_TEXT,
		.help = "Whose it is. Names are claimed by tenants: one of them holds a name."},
	{.name = "id",
		.arg = "ID",
		.kind = CLI_TEXT,
		.help = "The endpoint's id: a-z 0-9 . _ -, at most 64. Default: made from the "
			"first name."},
	{.name = "authority",
		.arg = "AUTHORITY",
		.kind = CLI_TEXT,
		.help = "One of the configuration's authorities. Default: the first."},
	{.name = "profile",
		.arg = "PROFILE",
		.kind = CLI_TEXT,
		.help = "A certificate profile of the authority, such as classic or shortlived."},
	{.name = "zone",
		.arg = "ZONE",
		.kind = CLI_TEXT,
		.help = "Of an internal endpoint: its network. Workers there (worker.zone) see "
			"what it serves."},
	{.name = "key-type",
		.arg = "KEY",
		.kind = CLI_CHOICE,
		.choices = "ecdsa-p256|ecdsa-p384|rsa-2048|rsa-3072|rsa-4096",
		.help = "Of the certificate's key. Default: ecdsa-p256."},
	{.name = "wait",
		.arg = "DURATION",
		.kind = CLI_DURATION_OPT,
		.fallback = "10m",
		.help = "Wait until it is active, and show how it gets there."},
	OPTION_TIMEOUT,
	END_OPTION,
};

const struct cli_example examples_add[] = {
	{"endpoint add shop.example.com www.shop.example.com --type external --target "
	 "ingress.platform.example",
		"Adds a shop under two names and prints the four records that its owner creates."},
	{"endpoint add 'apps.example.com' '*.apps.example.com' --type internal --tenant acme --id "
	 "apps",
		"Base and wildcard share one record. Quote wildcards against the shell."},
	{NULL, NULL},
};

const struct cli_option options_import[] = {
	{.name = "dry-run", .kind = CLI_SWITCH, .help = "Check the file and send nothing."},
	{.name = "skip-existing",
		.kind = CLI_SWITCH,
		.help = "An endpoint that is there already is no failure, so that an import can be "
			"repeated."},
	{.name = "timeout",
		.arg = "DURATION",
		.kind = CLI_DURATION,
		.fallback = "30s",
		.help = "How long to wait without any answer before giving up. What was sent stays "
			"queued."},
	END_OPTION,
};

const struct cli_example examples_import[] = {
	{"endpoint import fleet.yaml", "Adds all endpoints of the file."},
	{"endpoint import --dry-run fleet.yaml",
		"Says what is wrong with the file, with line and column."},
	{"endpoint import - < fleet.yaml", "Reads standard input."},
	{NULL, NULL},
};

const struct cli_option options_list[] = {
	{.name = "state",
		.arg = "STATE",
		.kind = CLI_CHOICE,
		.choices = STATES,
		.help = "Only those in this state."},
	{.name = "reason",
		.arg = "CODE",
		.kind = CLI_TEXT,
		.help = "Only those whose state has this reason (certfleet explain CODE)."},
	{.name = "tenant", .arg = "TENANT", .kind = CLI_TEXT, .help = "Only this tenant's."},
	{.name = "authority",
		.arg = "NAME",
		.kind = CLI_TEXT,
		.help = "Only those with a certificate of this authority."},
	{.name = "type",
		.arg = "TYPE",
		.kind = CLI_CHOICE,
		.choices = "external|internal",
		.help = "Only this type."},
	{.name = "limit",
		.arg = "N",
		.kind = CLI_NUMBER,
		.fallback = "0",
		.help = "At most so many; 0: all."},
	END_OPTION,
};

const struct cli_example examples_list[] = {
	{"endpoint list --state failing", "What fails now."},
	{"endpoint list --reason record_missing", "Whose owner has to create a record."},
	{"endpoint list example.com", "Those whose id or names contain the text."},
	{"--json endpoint list | jq -r '.endpoints[] | select(.state != \"active\") | .id'",
		"For programs."},
	{NULL, NULL},
};

const struct cli_example examples_show[] = {
	{"endpoint show shop.example.com", "All that is known of it."},
	{NULL, NULL},
};

const struct cli_option options_wait[] = {
	{.name = "state",
		.arg = "STATE",
		.kind = CLI_CHOICE,
		.choices = STATES "|gone",
		.fallback = "active",
		.help = "The state to wait for; gone: until it does not exist any more."},
	{.name = "timeout",
		.arg = "DURATION",
		.kind = CLI_DURATION,
		.fallback = "60s",
		.help = "How long at most."},
	{.name = "all", .kind = CLI_SWITCH, .help = "All endpoints that there are now."},
	END_OPTION,
};

const struct cli_example examples_wait[] = {
	{"endpoint wait shop.example.com --timeout 10m", "Until its certificate is there."},
	{"endpoint wait --all --timeout 1h", "After an import."},
	{NULL, NULL},
};

const struct cli_option options_ask[] = {OPTION_TIMEOUT, END_OPTION};

const struct cli_option options_renew[] = {
	{.name = "wait",
		.arg = "DURATION",
		.kind = CLI_DURATION_OPT,
		.fallback = "5m",
		.help = "Wait until there is a certificate with another serial."},
	OPTION_TIMEOUT,
	END_OPTION,
};

const struct cli_option options_revoke[] = {
	{.name = "reason",
		.arg = "REASON",
		.kind = CLI_CHOICE,
		.choices = "unspecified|keyCompromise|affiliationChanged|superseded|"
			   "cessationOfOperation",
		.help = "What the authority publishes (RFC 5280). With keyCompromise the "
			"certificate is revoked even if no replacement could be had within an "
			"hour."},
	OPTION_TIMEOUT,
	END_OPTION,
};

const struct cli_example examples_revoke[] = {
	{"endpoint revoke shop.example.com --reason keyCompromise",
		"Its key was seen where it should not be."},
	{NULL, NULL},
};

const struct cli_option options_remove[] = {
	{.name = "wait",
		.arg = "DURATION",
		.kind = CLI_DURATION_OPT,
		.fallback = "2m",
		.help = "Wait until it is gone."},
	OPTION_TIMEOUT,
	END_OPTION,
};

const struct cli_option options_records[] = {
	{.name = "zone", .kind = CLI_SWITCH, .help = "As lines of a zone file."},
	{.name = "check",
		.kind = CLI_SWITCH,
		.help = "Exit status 3 unless every record was seen right."},
	END_OPTION,
};

const struct cli_example examples_records[] = {
	{"records shop.example.com", "What its owner creates, and what was seen of it."},
	{"records shop.example.com --zone >> example.com.zone", "For those who keep zone files."},
	{"records shop.example.com --check --quiet", "For scripts: is DNS right?"},
	{NULL, NULL},
};

const struct cli_option options_cert_show[] = {
	{.name = "pem", .kind = CLI_SWITCH, .help = "Print certificate and intermediates as PEM."},
	END_OPTION,
};

const struct cli_example examples_cert_show[] = {
	{"certificate show shop.example.com --pem | openssl x509 -noout -text",
		"All of it, in OpenSSL's words."},
	{NULL, NULL},
};

const struct cli_option options_cert_export[] = {
	{.name = "dir",
		.arg = "DIR",
		.kind = CLI_TEXT,
		.required = true,
		.help = "Where to; made if it is not there (mode 0700)."},
	END_OPTION,
};

const struct cli_example examples_cert_export[] = {
	{"certificate export shop.example.com --dir /etc/nginx/tls/shop",
		"For a server that is set up by hand. Edges keep themselves current with "
		"\"certfleet sync\"."},
	{NULL, NULL},
};

const struct cli_option options_sync[] = {
	{.name = "dir",
		.arg = "DIR",
		.kind = CLI_TEXT,
		.required = true,
		.help = "The edge's folder of ID.pem files; made if it is not there (mode 0700)."},
	{.name = "reload",
		.arg = "CMD",
		.kind = CLI_TEXT,
		.help = "Run by /bin/sh once after each batch of changes, with the changed ids in "
			"$CERTFLEET_CHANGED and the folder in $CERTFLEET_DIR. When it fails it is "
			"run again 10 s later."},
	{.name = "once",
		.kind = CLI_SWITCH,
		.help = "One full look, then end. Exit status 1 if anything failed."},
	{.name = "tenant",
		.arg = "TENANT",
		.kind = CLI_TEXT,
		.help = "Only this tenant's certificates."},
	{.name = "settle",
		.arg = "DURATION",
		.kind = CLI_DURATION,
		.fallback = "500ms",
		.help = "How long changes are gathered before one reload."},
	{.name = "resync",
		.arg = "DURATION",
		.kind = CLI_DURATION,
		.fallback = "1h",
		.help = "How often everything is looked at, whatever the stream said."},
	END_OPTION,
};

const struct cli_example examples_sync[] = {
	{"sync --dir /etc/haproxy/certs --reload 'systemctl reload haproxy'",
		"The edge agent of an HAProxy with \"bind :443 ssl crt /etc/haproxy/certs\"."},
	{"sync --dir ./certs --once", "Takes what is there now."},
	{NULL, NULL},
};

const struct cli_option options_alerts[] = {
	{.name = "follow", .letter = 'f', .kind = CLI_SWITCH, .help = "Go on with what comes."},
	{.name = "all",
		.letter = 'a',
		.kind = CLI_SWITCH,
		.help = "What was opened, escalated and resolved, with heartbeats, not only what "
			"is open."},
	{.name = "last",
		.letter = 'n',
		.arg = "N",
		.kind = CLI_NUMBER,
		.fallback = "100",
		.help = "At most so many."},
	END_OPTION,
};

const struct cli_example examples_alerts[] = {
	{"alerts", "What a person should know now."},
	{"--json alerts --follow", "One JSON document a line, as it comes."},
	{NULL, NULL},
};

const struct cli_option options_silence[] = {
	{.name = "reason",
		.arg = "TEXT",
		.kind = CLI_TEXT,
		.required = true,
		.help = "Why; shown with the alerts that it keeps quiet."},
	{.name = "for",
		.arg = "DURATION",
		.kind = CLI_DURATION,
		.required = true,
		.help = "How long from now, such as 2h."},
	END_OPTION,
};

const struct cli_example examples_silence[] = {
	{"alerts silence shop.example.com --reason 'moves to another DNS provider' --for 2h",
		"One endpoint."},
	{"alerts silence 'tenant=acme' --reason 'contract ends' --for 7d", "A tenant, and nothing "
									   "else of that name."},
	{"alerts silence 'incident:ns:*' --reason 'known outage' --for 4h",
		"Incidents of DNS providers."},
	{NULL, NULL},
};

const struct cli_option options_members[] = {
	{.name = "limit",
		.letter = 'n',
		.arg = "N",
		.kind = CLI_NUMBER,
		.fallback = "100",
		.help = "At most so many; 0: all."},
	END_OPTION,
};

const struct cli_example examples_members[] = {
	{"alerts members incident:ns:provider.example", "Whom an outage hits."},
	{NULL, NULL},
};

const struct cli_option options_results[] = {
	{.name = "follow", .letter = 'f', .kind = CLI_SWITCH, .help = "Go on with what comes."},
	{.name = "last",
		.letter = 'n',
		.arg = "N",
		.kind = CLI_NUMBER,
		.fallback = "20",
		.help = "The last so many."},
	{.name = "type",
		.arg = "TEXT",
		.kind = CLI_TEXT,
		.help = "Only events whose type contains the text, such as renewed."},
	{.name = "all", .letter = 'a', .kind = CLI_SWITCH, .help = "Heartbeats too."},
	END_OPTION,
};

const struct cli_example examples_results[] = {
	{"results --follow", "Watch the fleet work."},
	{"results shop.example.com -n 100", "What happened to one endpoint."},
	{NULL, NULL},
};

const struct cli_option options_jobs_list[] = {
	OPTION_QUEUE,
	{.name = "where",
		.arg = "WHERE",
		.kind = CLI_CHOICE,
		.choices = "due|running|parked",
		.help = "Only these."},
	{.name = "all",
		.letter = 'a',
		.kind = CLI_SWITCH,
		.help = "Those that are due too: one a queue and endpoint."},
	{.name = "limit",
		.arg = "N",
		.kind = CLI_NUMBER,
		.fallback = "200",
		.help = "At most so many; 0: all."},
	END_OPTION,
};

const struct cli_option options_jobs_one[] = {OPTION_QUEUE, END_OPTION};

const struct cli_example examples_jobs[] = {
	{"jobs list --where parked", "What waits for an operator."},
	{"jobs retry shop.example.com", "Tries a parked job again, now."},
	{NULL, NULL},
};

const struct cli_option options_status[] = {
	{.name = "all",
		.letter = 'a',
		.kind = CLI_SWITCH,
		.help = "Count by state even above 20,000 endpoints."},
	{.name = "check",
		.kind = CLI_SWITCH,
		.help = "Exit status 3 unless a scheduler leads and a worker is alive."},
	END_OPTION,
};

const struct cli_option options_audit[] = {
	{.name = "repair", .kind = CLI_SWITCH, .help = "Put right what is found."},
	END_OPTION,
};

const struct cli_example examples_audit[] = {
	{"audit", "Looks, and changes nothing."},
	{"audit --repair", "After Redis was restored from a backup."},
	{NULL, NULL},
};

const struct cli_example examples_explain[] = {
	{"explain wildcard_would_hide", "What is meant by a code that an alert has."},
	{"explain", "Every code."},
	{NULL, NULL},
};

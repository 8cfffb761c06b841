/* options_more.c - options.c goes on here: links, tokens, updates, and what the build asks for. */
#include "scheduler/cli/options.h"

#define END_OPTION           \
	{                    \
		.name = NULL \
	}

const struct cli_option options_update[] = {
	{.name = "type",
		.arg = "TYPE",
		.kind = CLI_CHOICE,
		.choices = "external|internal",
		.help = "Reachable from the internet or not; changes which records are wanted."},
	{.name = "target",
		.arg = "HOST",
		.kind = CLI_TEXT,
		.help = "The platform's host name that traffic should reach."},
	{.name = "authority",
		.arg = "AUTHORITY",
		.kind = CLI_TEXT,
		.help = "One of the configuration's authorities; \"\": the first."},
	{.name = "profile",
		.arg = "PROFILE",
		.kind = CLI_TEXT,
		.help = "A certificate profile of the authority; \"\": the authority's own."},
	{.name = "zone",
		.arg = "ZONE",
		.kind = CLI_TEXT,
		.help = "Of an internal endpoint: its network. Workers there see what it serves."},
	{.name = "key-type",
		.arg = "KEY",
		.kind = CLI_CHOICE,
		.choices = "ecdsa-p256|ecdsa-p384|rsa-2048|rsa-3072|rsa-4096",
		.help = "Of the next certificate's key."},
	{.name = "timeout",
		.arg = "DURATION",
		.kind = CLI_DURATION,
		.fallback = "15s",
		.help = "How long to wait for the scheduler's answer. A request that was not "
			"answered stays queued and is applied later."},
	END_OPTION,
};

const struct cli_example examples_update[] = {
	{"endpoint update shop --target ingress2.platform.example",
		"Its traffic is to reach another ingress. The certificate stays."},
	{"endpoint update shop shop.example.com www.shop.example.com shop.example.org",
		"It serves these three names from now on."},
	{NULL, NULL},
};

const struct cli_option options_link[] = {
	{.name = "expires",
		.arg = "DURATION",
		.kind = CLI_DURATION,
		.fallback = "7d",
		.help = "How long it lives: one minute to 30 days."},
	{.name = "base",
		.arg = "URL",
		.kind = CLI_TEXT,
		.help = "Where customers reach the dashboard, such as "
			"https://dash.platform.example. "
			"Default: the first of scheduler.hosts, else scheduler.listen."},
	END_OPTION,
};

const struct cli_example examples_link[] = {
	{"link new shop.example.com --expires 2d", "Send what it prints to whoever runs the DNS."},
	{"link revoke shop.example.com", "All links to it end now."},
	{NULL, NULL},
};

#define OPTION_FILE                                                           \
	{                                                                     \
		.name = "file", .arg = "FILE", .kind = CLI_TEXT,              \
		.help = "The tokens file, in place of scheduler.tokens_file." \
	}

const struct cli_option options_token[] = {OPTION_FILE, END_OPTION};

const struct cli_option options_token_new[] = {
	{.name = "scope",
		.arg = "SCOPE",
		.kind = CLI_CHOICE,
		.choices = "read|write",
		.required = true,
		.help = "read: looks alone. write: everything."},
	{.name = "tenant",
		.arg = "TENANT",
		.kind = CLI_TEXT,
		.help = "Only this tenant's endpoints; nothing of others is there for it."},
	OPTION_FILE,
	END_OPTION,
};

const struct cli_example examples_token[] = {
	{"token new dashboard --scope write", "For an operator's browser."},
	{"token new acme-ro --scope read --tenant acme", "For a customer's program."},
	{NULL, NULL},
};

const struct cli_example examples_completion[] = {
	{"completion bash > ~/.local/share/bash-completion/completions/certfleet",
		"For oneself, without an installation."},
	{NULL, NULL},
};

const struct cli_option options_manual[] = {
	{.name = "example",
		.arg = "FILE",
		.kind = CLI_TEXT,
		.help = "The annotated configuration that certfleet.yaml.5 ends with."},
	{.name = "date", .arg = "DATE", .kind = CLI_TEXT, .help = "Of the page. Default: today."},
	END_OPTION,
};

const struct cli_example examples_manual[] = {
	{"manual certfleet.yaml.5 | man -l -", "Every key of the configuration."},
	{NULL, NULL},
};

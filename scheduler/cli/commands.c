/* commands.c - every command as one row (see cli.h). Parsing, help, errors and suggestions come
 * from here. */
#include "scheduler/cli/options.h"

#define STATUS_ASK                                                                     \
	"0 the scheduler did as asked\n1 it refused, or Redis failed\n2 wrong usage\n" \
	"3 no scheduler answered in time: the request stays queued"

const struct cli_command cli_commands[] = {
	{.name = "endpoint add",
		.args = "NAME...",
		.args_min = 1,
		.args_max = 100,
		.needs = CLI_NEEDS_REDIS,
		.run = cmd_endpoint_add,
		.options = options_add,
		.examples = examples_add,
		.status = STATUS_ASK,
		.brief = "add an endpoint and print the DNS records to create",
		.about = "Asks the fleet to serve the names under one certificate, and prints the "
			 "DNS records "
			 "that the domain's owner creates, once and for ever. From then on "
			 "certfleet looks at "
			 "them by itself, orders the certificate when they are right, and renews "
			 "it.\n\n"
			 "Names may be written in Unicode. A wildcard covers one label and needs "
			 "dns-01, which "
			 "every endpoint has. At most 100 names."},
	{.name = "endpoint import",
		.args = "FILE",
		.args_min = 1,
		.args_max = 1,
		.needs = CLI_NEEDS_REDIS,
		.run = cmd_endpoint_import,
		.options = options_import,
		.examples = examples_import,
		.status = "0 all were added\n1 some were wrong or refused; the others were "
			  "added\n2 wrong usage\n"
			  "3 the scheduler did not answer in time: the requests stay queued",
		.brief = "add thousands of endpoints from a YAML file",
		.about = "Reads a list of endpoints, checks each, and sends those that are right, "
			 "many at a time. "
			 "One that is wrong or refused is told with its line and column and does "
			 "not stop the "
			 "others. A file that is not YAML is refused as a whole. \"-\" reads "
			 "standard input.\n\n"
			 "  endpoints:\n"
			 "    - names: [shop.example.com, www.shop.example.com]\n"
			 "      type: external\n"
			 "      target: ingress.platform.example\n"
			 "      id: shop               # optional, as are the following\n"
			 "      tenant: acme\n"
			 "      authority: letsencrypt\n"
			 "      profile: classic\n"
			 "      key_type: ecdsa-p256"},
	{.name = "endpoint list",
		.watch = true,
		.args = "[TEXT]",
		.args_max = 1,
		.needs = CLI_NEEDS_REDIS,
		.run = cmd_endpoint_list,
		.options = options_list,
		.examples = examples_list,
		.brief = "list endpoints with their state",
		.about = "One line an endpoint, in the order of ids. With TEXT only those whose id "
			 "or names contain "
			 "it."},
	{.name = "endpoint show",
		.watch = true,
		.args = "ID...",
		.args_min = 1,
		.args_max = CLI_ANY,
		.needs = CLI_NEEDS_REDIS,
		.run = cmd_endpoint_show,
		.options = NULL,
		.examples = examples_show,
		.brief = "show all that is known of an endpoint",
		.about = "Its state and why, the records to create with what was seen of each, "
			 "what can be proven to "
			 "the authority, the certificate and when and why it will be renewed, how "
			 "issuing goes "
			 "with the authority's own words, its jobs, and what happened so far."},
	{.name = "endpoint wait",
		.args = "[ID...]",
		.args_max = CLI_ANY,
		.needs = CLI_NEEDS_REDIS,
		.run = cmd_endpoint_wait,
		.options = options_wait,
		.examples = examples_wait,
		.status = "0 all are as wanted\n1 an endpoint does not exist, or Redis failed\n2 "
			  "wrong usage\n"
			  "3 not yet: the time ran out, or an operator must act first",
		.brief = "wait until endpoints are active, and say what happens",
		.about = "Looks again and again until each endpoint has the state, and says every "
			 "change. Ends early "
			 "when waiting cannot help: an endpoint that is parked needs an operator."},
	{.name = "endpoint update",
		.args = "ID [NAME...]",
		.args_min = 1,
		.args_max = 101,
		.needs = CLI_NEEDS_REDIS,
		.run = cmd_endpoint_update,
		.options = options_update,
		.examples = examples_update,
		.status = STATUS_ASK,
		.brief = "change its names, target, authority or key",
		.about = "Only what is given changes; id and tenant stay. NAMEs are all names that "
			 "it has "
			 "from now on, not only the new ones. Where the certificate depends on the "
			 "change a new one is ordered, and the old one stays served until it is "
			 "there."},
	{.name = "endpoint verify",
		.args = "ID...",
		.args_min = 1,
		.args_max = CLI_ANY,
		.needs = CLI_NEEDS_REDIS,
		.run = cmd_endpoint_verify,
		.options = options_ask,
		.status = STATUS_ASK,
		.brief = "look at its DNS now",
		.about = "Asks for a look at the endpoint's records now instead of at the next "
			 "planned time; what is "
			 "found is acted on at once."},
	{.name = "endpoint renew",
		.args = "ID...",
		.args_min = 1,
		.args_max = CLI_ANY,
		.needs = CLI_NEEDS_REDIS,
		.run = cmd_endpoint_renew,
		.options = options_renew,
		.status = STATUS_ASK,
		.brief = "renew its certificate now",
		.about = "Asks for a new certificate with a new key now, whatever the plan says. "
			 "The old one stays "
			 "valid and served until the new one is there. Certificates are renewed by "
			 "themselves; this is for exceptions."},
	{.name = "endpoint revoke",
		.args = "ID...",
		.args_min = 1,
		.args_max = CLI_ANY,
		.needs = CLI_NEEDS_REDIS,
		.run = cmd_endpoint_revoke,
		.options = options_revoke,
		.examples = examples_revoke,
		.status = STATUS_ASK,
		.brief = "revoke its certificate, and replace it, with a new key",
		.about = "Orders a replacement with a new key first, so that the endpoint stays "
			 "served, then revokes "
			 "the old certificate at its authority."},
	{.name = "endpoint remove",
		.args = "ID...",
		.args_min = 1,
		.args_max = CLI_ANY,
		.needs = CLI_NEEDS_REDIS,
		.run = cmd_endpoint_remove,
		.options = options_remove,
		.status = STATUS_ASK,
		.brief = "take it out of the fleet",
		.about = "The endpoint's names are given back: their authorizations are "
			 "deactivated at the "
			 "authority, and other tenants may claim them. Its certificate is not "
			 "revoked and not "
			 "renewed. Edges keep their file until somebody deletes it."},
	{.name = "records",
		.watch = true,
		.args = "ID...",
		.args_min = 1,
		.args_max = CLI_ANY,
		.needs = CLI_NEEDS_REDIS,
		.run = cmd_records,
		.options = options_records,
		.examples = examples_records,
		.status = "0 shown (with --check: every record was seen right)\n1 failed\n2 wrong "
			  "usage\n"
			  "3 with --check: not all records are right yet",
		.brief = "the DNS records to create, with the live status of each",
		.about = "External endpoints have two CNAMEs a name: the traffic's, and the one at "
			 "_acme-challenge "
			 "that lets certfleet prove control for ever. Internal ones have the "
			 "second only; base and "
			 "wildcard share it. The status is that of the last look; \"endpoint "
			 "verify\" asks for a "
			 "new one."},
	{.name = "certificate show",
		.args = "ID",
		.args_min = 1,
		.args_max = 1,
		.needs = CLI_NEEDS_REDIS,
		.run = cmd_certificate_show,
		.options = options_cert_show,
		.examples = examples_cert_show,
		.status = "0 shown\n1 failed\n2 wrong usage\n3 it has no certificate yet",
		.brief = "show its certificate, and when and why it will be renewed",
		.about = "Serial, issuer, dates, how much of its life is left, and the planned "
			 "renewal with its reason."},
	{.name = "certificate export",
		.args = "ID",
		.args_min = 1,
		.args_max = 1,
		.needs = CLI_NEEDS_REDIS,
		.run = cmd_certificate_export,
		.options = options_cert_export,
		.examples = examples_cert_export,
		.status = "0 written\n1 failed\n2 wrong usage\n3 it has no certificate yet",
		.brief = "write key, certificate and chain as PEM files",
		.about = "Writes privkey.pem (mode 0600), cert.pem, chain.pem, fullchain.pem, and "
			 "combined.pem "
			 "(certificate, chain and key, mode 0600) as HAProxy wants it. Each file "
			 "is replaced at "
			 "once or not at all. Needs vault.certificates_key_file to open the key, "
			 "and checks that it is the certificate's."},
	{.name = "sync",
		.args = "",
		.needs = CLI_NEEDS_CONFIG,
		.run = cmd_sync,
		.options = options_sync,
		.examples = examples_sync,
		.status = "0 ended by a signal, or --once and all is current\n1 failed\n2 wrong "
			  "usage",
		.brief = "the edge agent: keeps a folder of PEM files current",
		.about = "Writes each endpoint's certificate, chain and key to DIR/ID.pem (mode "
			 "0600), first all of "
			 "them, then each as it is renewed, and runs the reload command once a "
			 "batch. It says each "
			 "thing it does on one line.\n\n"
			 "An edge never takes a step back: a certificate older than the file's is "
			 "not installed, nor "
			 "a revoked one, and nothing is deleted because it is absent in Redis. "
			 "While Redis is away "
			 "the files stay as they are; it is tried again every few seconds. Only "
			 "one agent keeps a folder."},
	{.name = "alerts",
		.watch = true,
		.args = "",
		.needs = CLI_NEEDS_REDIS,
		.run = cmd_alerts,
		.options = options_alerts,
		.examples = examples_alerts,
		.brief = "what a person should know",
		.about = "What is open: what is wrong, with what, who must do what and until when. "
			 "An alert is "
			 "opened once, escalated as its deadline nears, and resolved when its "
			 "cause ends."},
	{.name = "alerts silence",
		.args = "PATTERN",
		.args_min = 1,
		.args_max = 1,
		.needs = CLI_NEEDS_REDIS,
		.run = cmd_alerts_silence,
		.options = options_silence,
		.examples = examples_silence,
		.brief = "keep alerts quiet for a while",
		.about = "Alerts whose key, endpoint, condition or tenant is the pattern (\"*\" "
			 "stands "
			 "for any text, \"?\" for one character) are still opened, but marked, "
			 "and not brought to webhooks and Alertmanager. FIELD=PATTERN looks at one "
			 "of key, endpoint, condition, tenant and cause alone. What is still open "
			 "when the silence ends is told then."},
	{.name = "alerts silences",
		.args = "",
		.needs = CLI_NEEDS_REDIS,
		.run = cmd_alerts_silences,
		.brief = "what is silenced, by whom, why and until when",
		.about = "Silences that are in force."},
	{.name = "alerts unsilence",
		.args = "ID...",
		.args_min = 1,
		.args_max = CLI_ANY,
		.needs = CLI_NEEDS_REDIS,
		.run = cmd_alerts_unsilence,
		.brief = "end a silence now",
		.about = "What it kept quiet and is still open is told within seconds by the "
			 "scheduler that leads."},
	{.name = "alerts members",
		.args = "KEY",
		.args_min = 1,
		.args_max = 1,
		.needs = CLI_NEEDS_REDIS,
		.run = cmd_alerts_members,
		.options = options_members,
		.examples = examples_members,
		.status = "0 shown\n1 failed\n2 wrong usage\n3 the incident is not open",
		.brief = "what an incident holds",
		.about = "The keys of the alerts that are said as one, in the order that they "
			 "joined."},
	{.name = "alerts enable",
		.args = "TARGET...",
		.args_min = 1,
		.args_max = CLI_ANY,
		.needs = CLI_NEEDS_REDIS,
		.run = cmd_alerts_enable,
		.brief = "use a target of alerts again that said it is gone",
		.about = "A webhook that answers 410 Gone gets nothing more until then. What was "
			 "said meanwhile is not sent."},
	{.name = "results",
		.args = "[ID]",
		.args_max = 1,
		.needs = CLI_NEEDS_REDIS,
		.run = cmd_results,
		.options = options_results,
		.examples = examples_results,
		.brief = "what happened",
		.about = "The events of the results stream: certificates issued, renewed and "
			 "revoked, failures, "
			 "changes of state and of DNS, and answers to requests."},
	{.name = "link new",
		.args = "ID",
		.args_min = 1,
		.args_max = 1,
		.needs = CLI_NEEDS_REDIS,
		.run = cmd_link_new,
		.options = options_link,
		.examples = examples_link,
		.brief = "a link that shows a customer one endpoint",
		.about = "For whoever runs the domain's DNS: the page with the records to create, "
			 "to "
			 "read alone, until the link ends or is revoked. Its secret is shown once, "
			 "stands behind \"#\", and can be exchanged once."},
	{.name = "link list",
		.args = "ID",
		.args_min = 1,
		.args_max = 1,
		.needs = CLI_NEEDS_REDIS,
		.run = cmd_link_list,
		.brief = "the links to an endpoint that are alive",
		.about = "Each by the first digits of its hash, with the time when it ends."},
	{.name = "link revoke",
		.args = "ID [LINK]",
		.args_min = 1,
		.args_max = 2,
		.needs = CLI_NEEDS_REDIS,
		.run = cmd_link_revoke,
		.brief = "end the links to an endpoint now",
		.about = "All of them, or the one that begins with LINK. Pages that were opened by "
			 "them end too."},
	{.name = "token new",
		.args = "NAME",
		.args_min = 1,
		.args_max = 1,
		.needs = CLI_NEEDS_CONFIG,
		.run = cmd_token_new,
		.options = options_token_new,
		.examples = examples_token,
		.brief = "make a token for the HTTP API",
		.about =
			"Adds a line to the tokens file and prints the token, once: the file holds "
			"only its hash."},
	{.name = "token list",
		.args = "",
		.needs = CLI_NEEDS_CONFIG,
		.run = cmd_token_list,
		.options = options_token,
		.brief = "the tokens of the HTTP API, and what each may do",
		.about = "From the tokens file of the configuration."},
	{.name = "token revoke",
		.args = "NAME",
		.args_min = 1,
		.args_max = 1,
		.needs = CLI_NEEDS_CONFIG,
		.run = cmd_token_revoke,
		.options = options_token,
		.brief = "take a token out of the tokens file",
		.about = "Its line is removed. Schedulers that run know it until they are "
			 "restarted; sessions that it opened end then too."},
	{.name = "jobs list",
		.watch = true,
		.args = "",
		.needs = CLI_NEEDS_REDIS,
		.run = cmd_jobs_list,
		.options = options_jobs_list,
		.examples = examples_jobs,
		.brief = "the work that runs and the work that is parked",
		.about = "Each endpoint has at most one job in each of two queues: verify (look) "
			 "and issue (act). A "
			 "parked job has lost its worker three times in a row and waits for an "
			 "operator."},
	{.name = "jobs show",
		.args = "ID",
		.args_min = 1,
		.args_max = 1,
		.needs = CLI_NEEDS_REDIS,
		.run = cmd_jobs_show,
		.options = NULL,
		.brief = "show an endpoint's jobs",
		.about = "Where each of its two jobs is, since when, why, and who works on it."},
	{.name = "jobs retry",
		.args = "ID...",
		.args_min = 1,
		.args_max = CLI_ANY,
		.needs = CLI_NEEDS_REDIS,
		.run = cmd_jobs_retry,
		.options = options_jobs_one,
		.examples = examples_jobs,
		.brief = "run a parked or waiting job now",
		.about = "Makes it due at once, before all others, and revives it if it was "
			 "parked."},
	{.name = "jobs cancel",
		.args = "ID...",
		.args_min = 1,
		.args_max = CLI_ANY,
		.needs = CLI_NEEDS_REDIS,
		.run = cmd_jobs_cancel,
		.options = options_jobs_one,
		.brief = "stop a running job",
		.about = "Tells the worker, which stops the work at its next beat and gives the "
			 "job back. What the "
			 "endpoint needs does not go away: the job will run again."},
	{.name = "workers",
		.watch = true,
		.args = "",
		.needs = CLI_NEEDS_REDIS,
		.run = cmd_workers,
		.brief = "the workers, what they do and how busy they are",
		.about = "Each worker with its last beat, its slots in use, its roles and "
			 "responders. One that is "
			 "silent has ended or lost Redis; its jobs go to others."},
	{.name = "quotas",
		.watch = true,
		.args = "",
		.needs = CLI_NEEDS_REDIS,
		.run = cmd_quotas,
		.brief = "how many new orders each authority still takes",
		.about = "Of the limit new_orders in the configuration, as the fleet's own ledger "
			 "has "
			 "it. Orders above it wait for their turn, and each endpoint says until "
			 "when."},
	{.name = "status",
		.watch = true,
		.args = "",
		.needs = CLI_NEEDS_REDIS,
		.run = cmd_status,
		.options = options_status,
		.status = "0 shown (with --check: a scheduler leads and a worker is alive)\n1 "
			  "failed\n2 wrong usage\n"
			  "3 with --check: nobody leads or nobody works",
		.brief = "the fleet at a glance",
		.about = "Who leads, who works, endpoints by state, how far each queue is behind, "
			 "and open alerts."},
	{.name = "audit",
		.args = "",
		.needs = CLI_NEEDS_REDIS,
		.run = cmd_audit,
		.options = options_audit,
		.examples = examples_audit,
		.status = "0 all is right, or was put right\n1 failed\n2 wrong usage\n3 faults "
			  "were found, and stay",
		.brief = "prove that everything that is needed is planned",
		.about = "Goes through the whole fleet and compares what each endpoint needs with "
			 "what is recorded, "
			 "and each index with the record. The leading scheduler does so for ever; "
			 "this is for "
			 "those who want to see it. It changes nothing without --repair."},
	{.name = "explain",
		.args = "[CODE...]",
		.args_max = CLI_ANY,
		.needs = CLI_NEEDS_NOTHING,
		.run = cmd_explain,
		.examples = examples_explain,
		.brief = "say what a code means and what to do",
		.about = "For the codes of findings, alerts and reasons: what it means, who must "
			 "act, what to do, and why it matters. Without CODE all findings are "
			 "listed."},
	{.name = "config check",
		.args = "",
		.needs = CLI_NEEDS_NOTHING,
		.run = cmd_config_check,
		.brief = "check the configuration without starting anything",
		.about = "Reads the configuration and looks at every file that it names. Each "
			 "fault is told with "
			 "file, line, column, the key and what is expected."},
	{.name = "config show",
		.args = "",
		.needs = CLI_NEEDS_CONFIG,
		.run = cmd_config_show,
		.brief = "print every setting with the value in force",
		.about = "As YAML that reads back to the same configuration. Secrets are in files "
			 "and are not shown."},
	{.name = "completion",
		.args = "SHELL",
		.args_min = 1,
		.args_max = CLI_ANY,
		.needs = CLI_NEEDS_NOTHING,
		.run = cmd_completion,
		.examples = examples_completion,
		.brief = "print the script by which a shell completes commands",
		.about = "For bash, zsh or fish; \"make install\" puts them where the shells "
			 "look. Commands, options, choices, codes and the first 50 ids that begin "
			 "as typed are completed. The scripts ask \"certfleet completion words "
			 "-- WORD...\", which prints what could follow."},
	{.name = "manual",
		.args = "[PAGE]",
		.args_max = 1,
		.needs = CLI_NEEDS_NOTHING,
		.run = cmd_manual,
		.options = options_manual,
		.examples = examples_manual,
		.brief = "print a manual page",
		.about = "As man(1) reads it: certfleet.1, certfleet-scheduler.8, "
			 "certfleet-worker.8 or certfleet.yaml.5. \"make install\" installs "
			 "them."},
	{.name = "version",
		.args = "",
		.needs = CLI_NEEDS_NOTHING,
		.run = cmd_version,
		.brief = "say the version",
		.about = "The version that this program was built from."},
	{.name = NULL},
};

#include "common/runbook.h"

#include "common/mem.h"

#include <string.h>

static const struct runbook table[] = {
	/* one endpoint */
	{"expiry", "operator", "a certificate nears its end and is not renewed",
		"Look at what stops it: certfleet endpoint show ID. Whoever that names must act.",
		"when the certificate is renewed, revoked or no longer wanted"},
	{"parked", "operator", "a job ended its worker three times in a row and was given up",
		"Look at the workers' logs for the endpoint, then: certfleet jobs retry ID",
		"when the job runs again"},
	{"issuance_failing", "operator", "orders fail for a reason that has no name",
		"Read the authority's words: certfleet endpoint show ID", "with a certificate"},
	/* many endpoints with one cause */
	{"authority_trouble", "authority", "a certificate authority is away or answers wrongly",
		"Look at the authority's status page and at the workers' way to it. Renewals go on "
		"at the next authority of the config, if there is one.",
		"when orders there succeed again"},
	{"account_trouble", "operator", "our account at an authority is limited or refused",
		"Read what the authority says: certfleet alerts members KEY, then certfleet "
		"endpoint show ID. Limits end by themselves; terms, contacts and accounts do not.",
		"when orders there succeed again"},
	{"dns_provider", "nobody", "the name servers of one DNS provider fail",
		"Nothing can be done here but to ask the provider. certfleet looks again by itself "
		"and orders nothing in vain.",
		"when its name servers answer again"},
	{"zone_trouble", "operator", "a zone above many names fails",
		"Look at the zone's delegation and name servers; of the challenge zone they are "
		"yours.",
		"when the zone answers again"},
	{"edge_trouble", "operator", "an edge fails for all that it serves",
		"Look at the edge at the address that is named.", "when it serves right again"},
	{"our_responders", "operator", "our own challenge responders do not answer as they should",
		"Look at the workers that answer challenges: certfleet workers. No endpoint is "
		"blamed meanwhile.",
		"when challenges are seen again at every responder"},
	{"our_resolver", "operator", "our own resolver does not answer",
		"Look at the servers in resolver.servers. No endpoint is blamed meanwhile.",
		"when the resolver answers again"},
	{"common_cause", "operator", "one cause hits many endpoints",
		"Look at the cause, not at the endpoints: certfleet alerts members KEY",
		"when nearly all that it hit are well"},
	/* the fleet */
	{"no_leader", "operator", "for a while no scheduler led: nothing was planned or alerted",
		"See why the schedulers stopped or could not reach Redis.",
		"by itself, an hour after a scheduler leads again"},
	{"self_doubt", "operator", "so many names turned bad at once that we suspect ourselves",
		"Look at resolver.servers and the workers' way to DNS. Verdicts are frozen "
		"meanwhile, and due renewals are tried.",
		"when fewer names are seen to turn bad"},
	{"resolver_broken", "operator", "the resolver of a worker does not answer as it should",
		"Look at the resolvers in resolver.servers.", "when they answer right again"},
	{"no_worker", "operator", "no worker has given a sign of life for a minute",
		"Start certfleet-worker, or see why it cannot reach Redis.",
		"with a worker's beat"},
	{"queue_late", "operator", "due jobs wait too long for a worker",
		"Start more workers, or raise worker.slots.", "when the oldest due job is young"},
	{"queue_stuck", "operator", "jobs are due, and none has ended for minutes",
		"Look at the workers' logs and at certfleet workers: they live, but finish "
		"nothing.",
		"when jobs end again"},
	{"requests_backlog", "operator", "requests wait too long for an answer",
		"Look at the leading scheduler's log for request_later.", "when they are answered"},
	{"clocks_apart", "operator", "the clocks of this host and of Redis are over 30 s apart",
		"Run a time service on both hosts.", "when they agree again"},
	{"ca_clocks_apart", "operator",
		"the clocks of a worker and of an authority are over 30 s apart",
		"Run a time service on the worker's host. When all workers are as far from one "
		"authority, it is the authority.",
		"when they agree again"},
	{"breaker_open", "operator", "orders fail for everybody, a name of our own included",
		"Look at what the alert says the canary fails by: the edge's way to the workers "
		"(http-01), the challenge zone (dns-01), or the authority (orders). Orders that "
		"need it pause, and go on by themselves.",
		"when the canary passes"},
	{"canary_failing", "operator", "the canary fails although orders succeed",
		"Look at its DNS records as at a customer's (certfleet endpoint list). After two "
		"days "
		"without success it guards nobody any more.",
		"when the canary passes"},
	{"quota_low", "operator", "what an authority allows is nearly used up",
		"Spread what can wait, or ask the authority for more. Renewals have a share of "
		"their own.",
		"when enough of it is free again"},
	{"stream_cap", "operator", "entries of a stream were dropped before each group had them",
		"Let the slow consumer group catch up, or remove it: XINFO GROUPS names it. It "
		"must read what it missed from the fleet itself.",
		"when nothing more is dropped"},
	{"redis_memory", "operator", "Redis is nearly at its maxmemory",
		"Raise maxmemory. Past it new work is refused; what runs still ends.",
		"when a tenth of it is free again"},
	{"redis_persistence", "operator", "Redis cannot write its data to disk",
		"Look at Redis' log and its disk. Until then a restart of Redis loses what came "
		"since.",
		"when a write to disk succeeds"},
	{"redis_replicas", "operator", "Redis has fewer replicas than the config asks for",
		"Start the missing replicas. Until then whatever needs them waits.",
		"when enough replicas are connected"},
	{"barriers_late", "operator", "replicas do not acknowledge in time what is written",
		"Look at the replicas' load, disks and links: INFO replication shows how far each "
		"is behind. Jobs wait meanwhile, and are not punished.",
		"with the next write that enough replicas acknowledge"},
	/* how alerts are delivered */
	{"webhook_failing", "operator", "alerts do not reach a target",
		"Look at the target; it is tried again until its alerts are too old.",
		"with the first alert that it takes"},
	{"webhook_gone", "operator", "a target said that it is gone (410) and gets nothing more",
		"Take it out of alerts.webhooks, or tell certfleet to use it again: certfleet "
		"alerts enable NAME",
		"when it is enabled again"},
};

const struct runbook *runbook_of(const char *condition)
{
	size_t n = strcspn(condition, ":");

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (strlen(table[i].condition) == n && !memcmp(table[i].condition, condition, n))
			return &table[i];
	return NULL;
}

const struct runbook *runbook_all(size_t *n)
{
	*n = ARRAY_LEN(table);
	return table;
}

/* What stands for the word, or NULL: the word itself. */
static const char *value_of(const struct runbook_subject *s, const char *word, size_t n)
{
	const struct {
		const char *word, *value;
	} values[] = {{"ID", s->id}, {"KEY", s->key}, {"NAME", s->name}};

	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		if (strlen(values[i].word) == n && !memcmp(values[i].word, word, n))
			return values[i].value;
	return NULL;
}

void runbook_now(const struct runbook *r, const struct runbook_subject *subject, struct buf *out)
{
	static const struct runbook_subject none = {0};
	const char *s = r->now, *value;
	size_t n;

	while (*s) {
		n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
		value = value_of(subject ? subject : &none, s, n);
		if (value)
			buf_adds(out, value);
		else
			buf_add(out, s, n);
		s += n;
		n = strcspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
		buf_add(out, s, n);
		s += n;
	}
}

void runbook_brief(const struct runbook *r, const struct runbook_subject *subject, struct buf *out)
{
	runbook_now(r, subject, out);
	buf_addf(out, " It ends %s.", r->ends);
}

/* words.c - see words.h. */
#include "scheduler/cli/words.h"

#include "common/mem.h"

#include <string.h>

#define CREATE  "Create the records as shown."
#define CORRECT "Correct the record as shown."
#define SERVERS "Ask the zone's DNS provider to repair its servers."
#define CAA     "Change the domain's CAA records so that they allow this authority."
#define EDGE    "Look at the edge that serves the name."

static const struct words TABLE[] = {
	/* states' own reasons */
	{"not_looked_at", "its DNS was not looked at yet",
		"A worker looks within seconds, if one runs."},
	{"ready", "DNS is right, and an order is due", ""},
	{"waiting_quota", "what the authority allows is used up, and its turn will come",
		"certfleet orders by itself at the time shown below."},
	{"ordering", "an order runs at the authority", ""},
	{"unproven", "nothing in DNS shows yet that the name's owner means this tenant",
		"Create the _acme-challenge record as shown."},
	{"lapsed_thrice", "its job was lost three times in a row, and certfleet gave up",
		"Look at the workers' logs for this endpoint, then: certfleet jobs retry ID"},
	/* records */
	{"record_missing", "the record does not exist", CREATE},
	{"cname_elsewhere", "the CNAME points elsewhere", CORRECT},
	{"cname_typo", "the CNAME's target has a typing error", CORRECT},
	{"label_not_yours", "the CNAME has the label of another endpoint or tenant", CORRECT},
	{"label_old", "the CNAME has an old label", CORRECT},
	{"target_doubled", "the DNS provider appended its zone to the target",
		"Enter the target with a dot at its end."},
	{"name_doubled", "the DNS provider appended its zone to the name twice",
		"Enter the record's name without the zone."},
	{"name_typo", "the record was created at a name with a typing error", CORRECT},
	{"wrong_type", "a record of another type is there", CORRECT},
	{"cname_beside_others", "a CNAME stands beside other records",
		"Remove the other records of the name."},
	{"txt_shadows", "a TXT record hides the CNAME", "Remove the TXT record."},
	{"challenge_delegated", "_acme-challenge is a delegated zone",
		"Remove its NS records, then create the CNAME."},
	{"cname_loop", "CNAMEs point at each other", CORRECT},
	{"chain_long", "too many CNAMEs follow one another", CORRECT},
	{"wildcard_answers", "a wildcard record answers in its place", CREATE},
	{"wildcard_would_hide",
		"the name lives off a wildcard record that _acme-challenge would hide",
		"Create the traffic record first, then the _acme-challenge record."},
	{"apex_cname", "a CNAME cannot stand at a zone's apex",
		"Use an ALIAS, or A and AAAA records, that reach the target."},
	{"addresses_elsewhere", "the addresses are not the target's", CORRECT},
	{"addresses_mixed", "some addresses are not the target's", CORRECT},
	{"aaaa_elsewhere", "the IPv6 address is not the target's, and authorities prefer IPv6",
		"Correct or remove the AAAA record."},
	{"aaaa_unreachable", "the IPv6 address cannot be reached",
		"Correct or remove the AAAA record."},
	{"cdn_in_front", "a CDN stands in front of the target", ""},
	{"servers_disagree", "the zone's name servers disagree", SERVERS},
	{"lame_server", "a name server does not serve the zone", SERVERS},
	{"lame_delegation", "no name server serves the zone", SERVERS},
	{"ns_dangling", "a name server's own name does not resolve", SERVERS},
	{"servers_silent", "the zone's name servers do not answer", SERVERS},
	{"tcp_refused", "a name server refuses TCP", SERVERS},
	{"nxdomain", "the name does not exist", "Is the domain registered, and spelt right?"},
	{"servfail", "the resolver cannot resolve the name",
		"Look at the domain's DNSSEC and name servers."},
	{"dns_timeout", "the resolver did not answer in time", ""},
	{"dns_error", "the resolver answered with an error", ""},
	{"dnssec_bogus", "DNSSEC signatures are wrong or have run out",
		"Ask the DNS provider to sign the zone anew."},
	{"dnssec_ds", "the DS record at the parent does not fit the zone's keys",
		"Correct or remove the DS record at the registrar."},
	{"zone_ds", "our challenge zone has a DS record, but is not signed",
		"Remove the DS record of the challenge zone."},
	{"zone_not_delegated", "our challenge zone is not delegated to our name servers",
		"Create NS records (and glue) for the challenge zone."},
	{"caa_forbids", "CAA forbids this authority", CAA},
	{"caa_wildcard", "CAA forbids wildcards from this authority", CAA},
	{"caa_account", "CAA names another account", CAA},
	{"caa_critical", "CAA has a critical property that is not understood", CAA},
	{"caa_unreadable", "CAA cannot be read, which counts as forbidden", SERVERS},
	{"split_view", "the public sees other records than we do", ""},
	/* probes */
	{"probe_foreign", "somebody else answers at the name", ""},
	{"probe_redirect", "the challenge path is redirected away",
		"Route /.well-known/acme-challenge/ before redirects."},
	{"redirect_slash", "a redirect loses the slash after the host name",
		"Correct the redirect's target."},
	{"probe_refused", "port 80 refuses connections", "Open port 80 to the world."},
	{"probe_timeout", "port 80 does not answer", "Open port 80 to the world."},
	/* claims and authorities */
	{"held_elsewhere", "another tenant holds the name",
		"Only the tenant whose label the owner puts in DNS can hold it."},
	{"ca_disagrees", "the authority sees it otherwise than we do", ""},
	{"our_outage", "certfleet itself has an outage", ""},
	{"badNonce", "the authority wanted a fresh nonce", ""},
	{"rateLimited", "the authority's rate limit is reached",
		"certfleet tries again when it allows."},
	{"dns", "the authority could not resolve a challenge record", ""},
	{"caa", "the authority may not issue by CAA", CAA},
	{"connection", "the authority could not reach the name", ""},
	{"unauthorized", "the authority found a wrong answer to the challenge", ""},
	{"rejectedIdentifier", "the authority refuses to issue for a name",
		"Remove the name, or use another authority."},
	{"externalAccountRequired", "the authority wants an external account binding",
		"Set authorities.eab in the configuration."},
	{"userActionRequired", "the authority wants its terms agreed to",
		"Read the authority's words."},
	{"unknown_authority", "the configuration has no such authority",
		"Add it to authorities in the configuration."},
	{"authority_unreachable", "the authority cannot be reached", ""},
	{"serverInternal", "the authority has trouble of its own",
		"certfleet tries again by itself."},
	{"authority_failed", "the authority cannot be used now",
		"certfleet tries again by itself."},
	{"not_acme", "the authority's answer is no ACME",
		"Is the directory's URL right, and its certificate trusted?"},
	{"malformed", "the authority does not understand the request", ""},
	{"tls", "the authority's TLS connection to the name failed", ""},
	{"unknownHost", "the authority could not resolve the name", CREATE},
	{"incorrectResponse", "the authority found a wrong answer to the challenge", ""},
	{"invalidContact", "the authority refuses the account's contact",
		"Correct authorities.contact in the configuration."},
	{"unsupportedContact", "the authority refuses the account's contact",
		"Correct authorities.contact in the configuration."},
	{"invalidProfile", "the authority has no such profile",
		"Change the profile of the endpoint or the authority."},
	{"unsupportedIdentifier", "the authority does not issue for such a name",
		"Use another authority."},
	{"badCSR", "the authority refuses the certificate request", "Try another key type."},
	{"badPublicKey", "the authority refuses the key", "Try another key type."},
	{"account_store", "the authority's account cannot be kept in Redis",
		"Look at Redis and at the vault's keys."},
	{"account_deactivated", "the account at the authority is deactivated",
		"Register another one."},
	{"no_challenge", "the authority offers no challenge that can be answered", ""},
	{"not_visible", "the challenge is not seen at every responder",
		"Look at the workers that answer challenges."},
	{"publish_failed", "the challenge could not be published", "Look at Redis."},
	{"no_responder", "no worker answers this kind of challenge",
		"Start a worker with the role http-01 or dns-01."},
	{"order_gone", "the order is gone at the authority",
		"certfleet makes a new one by itself."},
	{"chain_wrong", "the certificate that came does not fit the order",
		"Use another authority."},
	{"other", "the authority refuses for a reason of its own", ""},
	/* served */
	{"served_other", "the edge serves another certificate", EDGE},
	{"served_old", "the edge serves an older certificate", EDGE},
	{"served_expired", "the edge serves an expired certificate", EDGE},
	{"served_chain", "the edge serves an incomplete chain", EDGE},
	{"served_name", "the edge serves a certificate for other names", EDGE},
	{"served_handshake", "the edge's TLS handshake fails", EDGE},
};

const struct words *words_of(const char *code)
{
	for (size_t i = 0; i < ARRAY_LEN(TABLE); i++)
		if (strcmp(TABLE[i].code, code) == 0)
			return &TABLE[i];
	return NULL;
}

const char *words_means(const char *code)
{
	const struct words *w = words_of(code);

	return w != NULL ? w->means : code;
}

enum tint words_state_tint(enum endpoint_state state)
{
	static const enum tint tints[] = {
		[STATE_REMOVING] = TINT_DIM,
		[STATE_PARKED] = TINT_BAD,
		[STATE_DEPARTED] = TINT_DIM,
		[STATE_EXPIRED] = TINT_BAD,
		[STATE_FAILING] = TINT_BAD,
		[STATE_PARTIAL] = TINT_WARN,
		[STATE_PROVISIONING] = TINT_BUSY,
		[STATE_WAITING_DNS] = TINT_WARN,
		[STATE_ACTIVE] = TINT_GOOD,
	};

	return (size_t)state < ARRAY_LEN(tints) ? tints[state] : TINT_NONE;
}

const char *words_record_status(enum record_status status)
{
	static const char *const names[] = {
		[RECORD_UNKNOWN] = "unknown",
		[RECORD_MISSING] = "missing",
		[RECORD_WRONG] = "wrong",
		[RECORD_RIGHT] = "right",
		[RECORD_ERROR] = "error",
	};

	return (size_t)status < ARRAY_LEN(names) ? names[status] : "unknown";
}

enum tint words_record_tint(enum record_status status)
{
	static const enum tint tints[] = {
		[RECORD_UNKNOWN] = TINT_DIM,
		[RECORD_MISSING] = TINT_WARN,
		[RECORD_WRONG] = TINT_BAD,
		[RECORD_RIGHT] = TINT_GOOD,
		[RECORD_ERROR] = TINT_BAD,
	};

	return (size_t)status < ARRAY_LEN(tints) ? tints[status] : TINT_NONE;
}

const char *words_verdict(enum verdict v)
{
	return v == VERDICT_CAN ? "can" : v == VERDICT_CANNOT ? "cannot" : "unsure";
}

enum tint words_verdict_tint(enum verdict v)
{
	return v == VERDICT_CAN ? TINT_GOOD : v == VERDICT_CANNOT ? TINT_BAD : TINT_DIM;
}

const char *words_claim(enum claim c)
{
	return c == CLAIM_HELD ? "held" : c == CLAIM_ELSEWHERE ? "held_elsewhere" : "unproven";
}

enum tint words_claim_tint(enum claim c)
{
	return c == CLAIM_HELD ? TINT_GOOD : c == CLAIM_ELSEWHERE ? TINT_BAD : TINT_WARN;
}

const char *words_type(enum endpoint_type t)
{
	return t == ENDPOINT_EXTERNAL ? "external" : "internal";
}

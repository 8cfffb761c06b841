/* words.c - see words.h. */
#include "scheduler/cli/words.h"

#include "common/diagnosis.h"
#include "common/mem.h"

#include <string.h>

#define CREATE "Create the records as shown."
#define CAA    "Change the domain's CAA records so that they allow this authority."

/* Codes of diagnoses stand in common/diagnosis_table.c. */
struct words {
	const char *code;
	const char *means; /* a clause, lower case, without a full stop */
	const char *next;  /* what to do, as a sentence; "" if nothing */
};

static const struct words TABLE[] = {
	/* states' own reasons */
	{"not_looked_at", "its DNS was not looked at yet",
		"A worker looks within seconds, if one runs."},
	{"ready", "DNS is right, and an order is due", ""},
	{"waiting_quota", "what the authority allows is used up, and its turn will come",
		"certfleet orders by itself at the time shown below."},
	{"waiting_breaker", "orders fail for everybody at the moment, which is not its fault",
		"certfleet orders by itself once a canary has passed: certfleet status"},
	{"ordering", "an order runs at the authority", ""},
	{"unproven", "nothing in DNS shows yet that the name's owner means this tenant",
		"Create the _acme-challenge record as shown."},
	{"lapsed_thrice", "its job was lost three times in a row, and certfleet gave up",
		"Look at the workers' logs for this endpoint, then: certfleet jobs retry ID"},
	/* what is served is unknown */
	{"no_worker", "no worker of the endpoint's zone is there to look from inside",
		"Start a worker there, with worker.zone in its configuration."},
	{"no_answer", "no worker of the endpoint's zone has answered in time",
		"Look at the log of the workers there."},
	{"no_address", "no address was found to look at",
		"Does the resolver of the worker that looked know the name?"},
	{"forbidden", "workers may not connect to its addresses",
		"Allow their range in network.allow where it can be reached."},
	{"unreachable", "no connection", "Is it up, and is edge.port right?"},
	/* the resolver */
	{"dns_timeout", "the resolver did not answer in time", ""},
	{"dns_error", "the resolver answered with an error", ""},
	/* authorities */
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
	{"accountDoesNotExist", "the authority does not know our account any more",
		"certfleet registers it anew by itself."},
	{"alreadyReplaced", "the certificate was replaced by another order already",
		"certfleet orders once more by itself, without saying what it replaces."},
	{"conflict", "the authority takes the order for one that replaces a certificate again",
		"certfleet orders once more by itself, without saying what it replaces."},
	{"alreadyRevoked", "the certificate was revoked before", ""},
	{"badRevocationReason", "the authority refuses the reason of the revocation",
		"Give another: certfleet endpoint revoke ID --reason superseded"},
	{"badSignatureAlgorithm", "the authority refuses the account key's algorithm",
		"Use another authority."},
	{"orderNotReady", "the authority has not made up its mind about the order",
		"certfleet tries again by itself."},
	{"compound", "the authority names several faults at once", "Read the authority's words."},
	{"not_trusted", "the authority's own HTTPS certificate is not trusted",
		"Correct authorities.ca_file in the configuration, or the system's store."},
	{"other", "the authority refuses for a reason of its own", ""},
};

static const struct words *words_of(const char *code)
{
	for (size_t i = 0; i < ARRAY_LEN(TABLE); i++)
		if (strcmp(TABLE[i].code, code) == 0)
			return &TABLE[i];
	return NULL;
}

bool words_known(const char *code)
{
	return words_of(code) != NULL || diagnosis_kind(code) != NULL;
}

const char *words_means(const char *code)
{
	const struct words *w = words_of(code);
	const struct diagnosis_kind *k = diagnosis_kind(code);

	return k != NULL ? k->means : w != NULL ? w->means : code;
}

const char *words_next(const char *code)
{
	const struct words *w = words_of(code);
	const struct diagnosis_kind *k = diagnosis_kind(code);

	return k != NULL ? k->advice : w != NULL ? w->next : "";
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

/* What each code of a diagnosis means by itself: who must act, what to do, why it matters. */
#include "common/diagnosis.h"

#include "common/mem.h"

#include <string.h>

#define INFO      DIAGNOSIS_INFO
#define WARNING   DIAGNOSIS_WARNING
#define CRITICAL  DIAGNOSIS_CRITICAL
#define OWNER     ACTOR_OWNER
#define OPERATOR  ACTOR_OPERATOR
#define AUTHORITY ACTOR_AUTHORITY
#define NOBODY    ACTOR_NOBODY

#define CREATE    "Create the record as shown."
#define CORRECT   "Correct the record as shown."
#define SERVERS   "Ask the zone's DNS provider to repair its name servers."
#define CAA       "Change the domain's CAA records so that they allow this authority."
#define EDGE      "Look at the edge that serves the name: does it load what certfleet issued?"
#define PORT_80   "Open port 80 to the world."

#define PROVES    "Without it nothing proves to the authority that the certificate may be issued."
#define REACH     "Who opens the name reaches somebody else, and the challenge is answered there."
#define RESOLVE   "An authority asks the public name servers itself, and must get one right answer."
#define SIGNED    "Authorities validate DNSSEC: they must refuse what does not validate."
#define OBEYS     "Authorities must obey CAA (RFC 8659), and look it up at each issuance."
#define PATH      "Authorities ask for http-01 challenges there, by IPv6 first, and must get our answer."
#define SERVED    "A certificate helps only once the edge serves it."

/* clang-format off */
static const struct diagnosis_kind kinds[] = {
	/* the owner's records */
	{"record_missing", WARNING, OWNER, "the record does not exist", CREATE, PROVES, false},
	{"cname_elsewhere", WARNING, OWNER, "the CNAME points elsewhere", CORRECT, PROVES, false},
	{"cname_typo", WARNING, OWNER, "the CNAME's target has a typing error", CORRECT, PROVES, false},
	{"label_not_yours", WARNING, OWNER, "the CNAME has the label of another name or tenant",
	 CORRECT, "Each name of each tenant has a label of its own, which nobody else can use.", false},
	{"label_old", INFO, OWNER, "the CNAME points to a challenge zone that is being left", CORRECT,
	 "It works as long as the old zone is served.", false},
	{"target_doubled", WARNING, OWNER, "the DNS provider appended its zone to the target",
	 "Enter the target with a dot at its end.",
	 "Many forms take a name without a final dot as relative to the zone.", false},
	{"name_doubled", WARNING, OWNER, "the DNS provider appended its zone to the record's name",
	 "Enter the record's name without the zone.",
	 "Many forms append the zone to whatever is typed as the record's name.", false},
	{"name_typo", WARNING, OWNER, "the record was created at a name with a typing error",
	 "Create the record at the right name, then remove the other.", PROVES, false},
	{"wrong_type", WARNING, OWNER, "a record of another type is where the CNAME belongs",
	 "Replace it by the CNAME as shown.", PROVES, false},
	{"cname_beside_others", WARNING, OWNER, "a CNAME stands beside other records",
	 "Remove the other records of the name.",
	 "A CNAME must be alone (RFC 1034): resolvers choose as they like.", false},
	{"txt_shadows", WARNING, OWNER, "TXT records stand where the CNAME belongs",
	 "Remove the TXT records of the name, then create the CNAME.",
	 "A name has either a CNAME or other records; old challenge values are of no use.", false},
	{"challenge_delegated", WARNING, OWNER, "_acme-challenge is delegated as a zone of its own",
	 "Remove its NS records, then create the CNAME.",
	 "An authority follows the delegation and never sees the CNAME.", false},
	{"cname_loop", WARNING, OWNER, "CNAMEs point at each other", CORRECT, RESOLVE, false},
	{"chain_long", WARNING, OWNER, "too many CNAMEs follow one another",
	 "Point the record at the target directly.",
	 "Resolvers give up after 8 to 16 CNAMEs, each at its own number.", false},
	{"wildcard_answers", WARNING, OWNER, "a wildcard record answers in its place", CREATE, PROVES, false},
	{"wildcard_would_hide", WARNING, OWNER,
	 "the name lives off a wildcard record, which _acme-challenge would hide from it",
	 "Create the traffic record first, then the _acme-challenge record.",
	 "A record below a name makes the name exist, and wildcards answer only for names that do not.", false},
	{"apex_cname", WARNING, OWNER, "a CNAME cannot stand at a zone's apex",
	 "Use an ALIAS (or ANAME, or flattening), or A and AAAA records that reach the target.",
	 "It hides the zone's own NS and SOA records: some resolvers then lose the whole zone.", false},
	{"addresses_elsewhere", WARNING, OWNER, "the addresses are not the target's", CORRECT, REACH, false},
	{"addresses_mixed", WARNING, OWNER, "some of the addresses are not the target's",
	 "Remove the foreign addresses.",
	 "The authority connects to one of them, and visitors to any.", false},
	{"aaaa_elsewhere", WARNING, OWNER, "the IPv6 addresses are not the target's",
	 "Correct or remove the AAAA records.",
	 "Authorities and browsers prefer IPv6.", false},
	{"aaaa_unreachable", WARNING, OWNER, "the IPv6 address cannot be reached",
	 "Let port 80 answer there, or remove the AAAA record.",
	 "Authorities and browsers prefer IPv6, and not all fall back to IPv4.", true},
	{"cdn_in_front", INFO, NOBODY, "a CDN stands in front of the target",
	 "Nothing, as long as the _acme-challenge record is right.",
	 "What the CDN fetches from cannot be seen in DNS; http-01 works if it passes the challenge on.", false},
	/* name servers */
	{"servers_disagree", WARNING, OWNER, "the zone's name servers do not say the same",
	 "Wait until the change has reached each; else: " SERVERS, RESOLVE, false},
	{"lame_server", WARNING, OWNER, "a name server does not serve the zone",
	 "Remove it from the delegation, or let it serve the zone.", RESOLVE, false},
	{"lame_delegation", CRITICAL, OWNER, "no name server serves the zone",
	 "Correct the delegation at the registrar, or let its name servers serve the zone.", RESOLVE, false},
	{"ns_dangling", WARNING, OWNER, "a name server's own name does not resolve",
	 "Correct or remove it at the registrar and in the zone.",
	 "Whoever registers that name would answer for the zone.", false},
	{"servers_silent", WARNING, OWNER, "the zone's name servers do not answer", SERVERS, RESOLVE, false},
	{"tcp_refused", WARNING, OWNER, "a name server refuses TCP",
	 "Open TCP port 53 at the name server.",
	 "Long answers come over TCP (RFC 7766), and authorities ask by it.", false},
	{"nxdomain", CRITICAL, OWNER, "the domain does not exist",
	 "Is it registered, paid for, and spelt right?", RESOLVE, false},
	{"servfail", WARNING, OWNER, "the resolver cannot resolve the name",
	 "Look at the domain's DNSSEC and name servers.", RESOLVE, false},
	{"dnssec_bogus", CRITICAL, OWNER, "DNSSEC signatures are wrong or have run out",
	 "Ask the DNS provider to sign the zone anew.", SIGNED, false},
	{"dnssec_ds", CRITICAL, OWNER, "the DS record at the parent does not fit the zone's keys",
	 "Correct or remove the DS record at the registrar.", SIGNED, false},
	{"split_view", WARNING, OPERATOR, "the public sees other records than our resolver",
	 "Let the resolver in resolver.servers see public DNS.",
	 "An authority sees public DNS only; by it the verdict is made.", false},
	/* our own zone */
	{"zone_ds", CRITICAL, OPERATOR, "our challenge zone has a DS record, but is not signed",
	 "Remove the DS record of the challenge zone at its parent.", SIGNED, false},
	{"zone_not_delegated", CRITICAL, OPERATOR,
	 "our challenge zone is not delegated to our name servers",
	 "Create NS records (and glue) for the challenge zone in its parent.",
	 "No authority finds the answers to dns-01 challenges.", false},
	{"our_outage", WARNING, OPERATOR, "certfleet itself has an outage",
	 "Look at the workers' logs, Redis and resolver.servers.",
	 "What is seen while we are blind counts for nothing: no verdict turns bad by it.", false},
	/* CAA */
	{"caa_forbids", CRITICAL, OWNER, "CAA forbids this authority", CAA, OBEYS, false},
	{"caa_wildcard", CRITICAL, OWNER, "CAA forbids wildcards from this authority", CAA, OBEYS, false},
	{"caa_account", CRITICAL, OWNER, "CAA names another account or challenge type", CAA,
	 "RFC 8657: accounturi and validationmethods bind issuance to an account and a method.", false},
	{"caa_critical", CRITICAL, OWNER, "CAA has a critical property that authorities do not know",
	 "Remove the property, or its critical flag.", OBEYS, false},
	{"caa_unreadable", WARNING, OWNER, "CAA cannot be read, which counts as forbidden",
	 SERVERS, OBEYS, false},
	/* the probe */
	{"probe_foreign", WARNING, OWNER, "somebody else answers the challenge path of the name",
	 "Point the name at the target, or pass /.well-known/acme-challenge/ on to it.", PATH, true},
	{"probe_redirect", WARNING, OWNER, "the challenge path is redirected away",
	 "Answer /.well-known/acme-challenge/ before any redirect, or keep the path in it.", PATH, true},
	{"redirect_slash", WARNING, OWNER, "a redirect loses the slash after the host name",
	 "End the redirect's target with a slash.",
	 "https://HOST.well-known/ is another host: a common error of redirect rules.", true},
	{"probe_refused", WARNING, OWNER, "port 80 refuses connections", PORT_80,
	 "http-01 is always asked for at port 80.", true},
	{"probe_timeout", WARNING, OWNER, "port 80 does not answer in time", PORT_80,
	 "http-01 is always asked for at port 80.", true},
	/* claims and authorities */
	{"held_elsewhere", CRITICAL, OWNER, "another tenant holds the name",
	 "Point the _acme-challenge record at this tenant's label: only it can prove the claim.",
	 "One tenant at a time may have certificates for a name.", false},
	{"ca_disagrees", WARNING, AUTHORITY, "the authority sees it otherwise than we do",
	 "Read the authority's words; certfleet tries again by itself.",
	 "Nothing that we see explains the authority's refusal.", false},
	/* what the edge serves */
	{"served_other", WARNING, OPERATOR, "the edge serves another certificate", EDGE, SERVED, true},
	{"served_old", WARNING, OPERATOR, "the edge serves an older certificate", EDGE, SERVED, true},
	{"served_expired", CRITICAL, OPERATOR, "the edge serves an expired certificate", EDGE, SERVED, true},
	{"served_chain", WARNING, OPERATOR, "the edge serves an incomplete chain", EDGE,
	 "Some clients cannot find the missing certificates by themselves.", true},
	{"served_name", CRITICAL, OPERATOR, "the edge serves a certificate for other names", EDGE, SERVED, true},
	{"served_handshake", CRITICAL, OPERATOR, "the edge's TLS handshake fails", EDGE, SERVED, true},
};
/* clang-format on */

const struct diagnosis_kind *diagnosis_kinds(size_t *n)
{
	*n = ARRAY_LEN(kinds);
	return kinds;
}

const struct diagnosis_kind *diagnosis_kind(const char *code)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (!strcmp(kinds[i].code, code))
			return &kinds[i];
	return NULL;
}

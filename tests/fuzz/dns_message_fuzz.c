/* dns_message_fuzz.c - any bytes as an answer to our question; whatever is read must hang together.
 */
#include "worker/diagnose/facts.h"
#include "worker/dns/delegation.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t sink;

static void touch(const struct dns_record *rr)
{
	sink += strlen(rr->owner);
	switch (rr->type) {
	case DNS_NS:
	case DNS_CNAME:
	case DNS_DNAME:
		sink += strlen(rr->name);
		break;
	case DNS_SOA:
		sink += strlen(rr->soa.primary);
		break;
	case DNS_CAA:
		sink += strlen(rr->caa.tag) + rr->caa.value.bytes[rr->caa.value.len];
		break;
	case DNS_TXT:
		sink += rr->txt.bytes[rr->txt.len];
		break;
	case DNS_A:
	case DNS_AAAA:
		sink += addr_unsafe(&rr->address) != NULL;
		break;
	default:
		sink += rr->raw.bytes[rr->raw.len];
	}
}

/* Whatever it says, it leads strictly down from the zone and towards the name, and within bounds.
 */
static void walk(const struct dns_result *r, const char *zone)
{
	struct delegation d;
	enum delegation_kind kind = delegation_read(r, zone, &d);

	if (kind != DELEGATION_BELOW && kind != DELEGATION_HIDDEN)
		return;
	if (strcmp(d.apex, zone) == 0 || !delegation_under(d.apex, zone) ||
		!delegation_under(r->name, d.apex) ||
		delegation_labels(d.apex) <= delegation_labels(zone))
		abort();
	if (d.n_ns > DELEGATION_NS_MAX || (kind == DELEGATION_BELOW && !d.n_ns))
		abort();
	for (size_t i = 0; i < d.n_ns; i++)
		if (d.ns[i].n > DELEGATION_ADDRESSES_MAX ||
			(d.ns[i].n && !delegation_under(d.ns[i].name, zone)))
			abort();
}

static void judge(const struct dns_result *r, const char *zone)
{
	struct facts *f = facts_new();
	struct fact *fact = facts_add(f, &(struct ask){ASK_SERVERS, r->type, r->name}, 1);
	struct fact_answer *a = &fact->answers[0];

	facts_answer(f, a, "ns.example", r, zone);
	if (a->n_hops > FACT_HOPS_MAX || a->n_records > FACT_RECORDS_MAX ||
		(a->end == FACT_REFERRAL && !zone))
		abort();
	for (size_t i = 0; i < a->n_hops; i++)
		sink += strlen(a->hops[i]);
	for (size_t i = 0; i < a->n_records; i++)
		for (const char *c = a->records[i]; *c; c++)
			if ((unsigned char)*c < ' ' || *c == 0x7f)
				abort();
	facts_free(f);
}

static void run(uint16_t type, const uint8_t *data, size_t size)
{
	static const uint8_t name[] = "\001a\007example";
	uint8_t query[DNS_QUERY_BYTES];
	uint16_t id = (uint16_t)(size >= 2 ? data[0] << 8 | data[1] : 0);
	size_t n = dns_query_write(id, name, sizeof(name), type, DNS_RECURSE, query);

	if (!dns_reply_matches(query, n, data, size))
		return;
	struct dns_result *r = dns_result_read(name, sizeof(name), type, data, size);
	if (r->n_records + r->n_others > DNS_MAX_RECORDS || r->n_chain > DNS_MAX_CHAIN)
		abort();
	if ((r->status == DNS_ANSWERED) !=
		(r->n_records > 0 && r->rcode == 0 && r->status != DNS_MALFORMED))
		abort();
	for (size_t i = 0; i < r->n_records; i++) {
		if (r->records[i].type != type || strcmp(r->records[i].owner, r->end) != 0)
			abort();
		touch(&r->records[i]);
	}
	for (size_t i = 0; i < r->n_others; i++)
		touch(&r->others[i]);
	for (size_t i = 0; i < r->n_chain; i++)
		sink += strlen(r->chain[i].owner) + strlen(r->chain[i].target);
	static const char *const zones[] = {".", "example", "a.example"};
	for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++) {
		walk(r, zones[i]);
		judge(r, zones[i]);
	}
	judge(r, NULL);
	dns_result_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t types[] = {
		DNS_A, DNS_NS, DNS_CNAME, DNS_SOA, DNS_TXT, DNS_AAAA, DNS_CAA, DNS_DS, DNS_DNSKEY};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		run(types[i], data, size);
	return 0;
}

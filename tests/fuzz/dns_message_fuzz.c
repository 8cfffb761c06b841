/* dns_message_fuzz.c - any bytes as an answer to our question; whatever is read must hang together.
 */
#include "worker/dns/message.h"

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
	dns_result_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t types[] = {
		DNS_A, DNS_NS, DNS_CNAME, DNS_SOA, DNS_TXT, DNS_AAAA, DNS_CAA, DNS_DS};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		run(types[i], data, size);
	return 0;
}

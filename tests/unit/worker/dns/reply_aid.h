/* reply_aid.h - answers made by hand, to be read as if they had come from a server. */
#pragma once

#include "worker/dns/message.h"

enum { REPLY_AA = 0x0400, REPLY_TC = 0x0200, REPLY_AD = 0x0020 }; /* beside an rcode */
enum { REPLY_ANSWER = 7, REPLY_AUTHORITY = 9, REPLY_ADDITIONAL = 11 };

struct reply_aid {
	const char *name; /* borrowed */
	uint16_t type;
	uint8_t bytes[8192];
	size_t n;
};

/** The answer to (name, type), still without records. */
struct reply_aid reply_aid(const char *name, uint16_t type, unsigned flags);
void reply_aid_rr(struct reply_aid *m, int section, const char *owner, uint16_t type,
	uint32_t ttl_s, const void *rdata, size_t n);
void reply_aid_name(struct reply_aid *m, int section, const char *owner, uint16_t type,
	uint32_t ttl_s, const char *target);
/** address may be IPv6. */
void reply_aid_a(
	struct reply_aid *m, int section, const char *owner, uint32_t ttl_s, const char *address);
/** In the authority section, as for a denial. */
void reply_aid_soa(struct reply_aid *m, const char *owner, uint32_t ttl_s, uint32_t minimum_s);
struct dns_result *reply_aid_read(const struct reply_aid *m);

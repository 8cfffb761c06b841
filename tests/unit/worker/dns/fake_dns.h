/* fake_dns.h - small name servers on loopback addresses in the test's own loop, all on one port:
 * enough of an authority (referrals with glue, denials with SOA) to be walked, and what goes wrong.
 */
#pragma once

#include "common/addr.h"
#include "worker/dns/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

/** Data is an address, a name or a TXT's text; type 0 ends a list. */
struct fake_record {
	const char *owner;
	uint16_t type;
	const char *data;
};

enum fake_mood {
	FAKE_FINE,
	FAKE_SILENT,
	FAKE_REFUSES,
	FAKE_SERVFAIL,
	FAKE_TRUNCATES,
	FAKE_RECURSES
};

struct fake_server {
	const char *host;         /* "127.0.1.1" */
	const char *const *zones; /* apexes that it serves; NULL ends them */
	const struct fake_record *records;
	enum fake_mood mood;
	size_t asked;

	/* Private. */
	struct addr address;
	uv_poll_t poll;
	int fd;
};

/** Opens them all on one free port, which is returned. */
uint16_t fake_dns_start(uv_loop_t *loop, struct fake_server *servers, size_t n);
void fake_dns_stop(struct fake_server *servers, size_t n);

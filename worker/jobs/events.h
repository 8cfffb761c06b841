/* events.h - the data of the events that jobs publish (fields: common/README.md). */
#pragma once

#include "common/buf.h"
#include "common/endpoint.h"
#include "worker/acme/acme.h"

#define EVENT_DATA_MAX 32768

/** issued and renewed. replaced is the serial of the certificate before, "" if none. */
void event_certificate(
	struct buf *out, const struct endpoint *e, const char *issuer, const char *replaced);
/** served: at all addresses. */
void event_served(struct buf *out, const struct endpoint *e);
void event_revoked(struct buf *out, const struct endpoint *e, const char *serial,
	const char *authority, int reason);
void event_failed(struct buf *out, const struct endpoint *e, const char *authority,
	const struct acme_failure *f, int64_t next_ms);
/** removed: what it had. */
void event_removed(struct buf *out, const struct endpoint *e);
/** dns.changed: the records as they are now. */
void event_dns(struct buf *out, const struct endpoint *e);

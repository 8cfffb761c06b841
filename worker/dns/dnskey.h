/* dnskey.h - which key of a zone a DS record at its parent names (RFC 4034 section 5, appendix B).
 *
 * Pure functions of rdata, safe on hostile bytes. Nothing here validates signatures: the resolver
 * does that.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The key tag of a DNSKEY's rdata. */
unsigned dnskey_tag(const uint8_t *rdata, size_t n);
/** The DS is the digest (SHA-1, SHA-256 or SHA-384) of this key of the zone; name is its apex as
 * text. Other digests count when tag and algorithm agree. */
bool dnskey_is_named(
	const char *name, const uint8_t *key, size_t key_n, const uint8_t *ds, size_t ds_n);

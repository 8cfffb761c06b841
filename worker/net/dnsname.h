/* dnsname.h - domain names between text and the wire (RFC 1035 section 3.1).
 *
 * In text, bytes other than letters, digits, "-", "_" and "*" are escaped as "\.", "\\" or "\DDD";
 * there is no root dot; the root itself is ".". Both directions keep case. Pure functions, safe on
 * hostile bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNSNAME_MAX_BYTES 255 /* on the wire, with the root's zero */
#define DNSNAME_TEXT_SIZE 1024

/** Writes wire[DNSNAME_MAX_BYTES] and *n. A root dot is allowed. CF_EINVAL: empty or over-long
 * labels or name. */
int dnsname_from_text(const char *text, uint8_t *wire, size_t *n);
/** A whole, uncompressed name. Returns out[DNSNAME_TEXT_SIZE]. */
char *dnsname_to_text(const uint8_t *wire, char *out);
/** Reads the name at *pos of msg[len], following compression pointers backwards only; *pos moves
 * behind it. CF_EPROTO; then *pos and wire are undefined. */
int dnsname_read(
	const uint8_t *msg, size_t len, size_t *pos, uint8_t wire[DNSNAME_MAX_BYTES], size_t *n);
/** Moves *pos behind the name without following pointers. CF_EPROTO. */
int dnsname_skip(const uint8_t *msg, size_t len, size_t *pos);
/** ASCII lower case, in place. */
void dnsname_lower(uint8_t *wire, size_t n);
/** Case-insensitive. */
bool dnsname_equal(const uint8_t *a, size_t an, const uint8_t *b, size_t bn);
/** How many labels, without the root. */
size_t dnsname_labels(const uint8_t *wire);

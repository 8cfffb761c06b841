/* str.h - text from outside made safe, and the encodings the protocols use. */
#pragma once

#include "common/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Copies into out[size], always terminated: valid UTF-8 only (else U+FFFD), control characters,
 * bidi controls and DEL become '?' , cut on a character's edge. Returns out. */
char *str_clean(const char *in, size_t n, char *out, size_t size);

/** ASCII lower case in place; returns s. */
char *str_lower(char *s);
bool str_ends_with(const char *s, const char *suffix);
bool str_starts_with(const char *s, const char *prefix);
/** NULL equals NULL only. */
bool str_eq(const char *a, const char *b);
/** An unsigned decimal of digits only within [0, max]. CF_EINVAL. */
int str_parse_u64(const char *s, uint64_t max, uint64_t *out);

void str_hex(const void *bytes, size_t n, char *out /* [2n+1] */);
/** CF_EINVAL unless exactly 2n hex digits. */
int str_unhex(const char *hex, void *bytes, size_t n);

/** RFC 4648 section 5 without padding. */
void str_base64url(struct buf *out, const void *bytes, size_t n);
/** CF_EINVAL on any character outside the alphabet, padding or non-zero trailing bits. */
int str_unbase64url(struct buf *out, const char *s, size_t n);
/** RFC 4648 section 6 without padding, lower case: usable as a DNS label. */
void str_base32(struct buf *out, const void *bytes, size_t n);
/** Appends a JSON string with its quotes; input is cleaned as by str_clean() but for its length. */
void str_json(struct buf *out, const char *s);

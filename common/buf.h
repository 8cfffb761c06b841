/* buf.h - bytes that grow up to a limit named at birth.
 *
 * Appends never fail one by one: past the limit the buffer turns `over`, keeps what it had, ignores
 * what follows, and buf_err() says CF_ETOOBIG. One look at the end is enough. data is always
 * terminated by a NUL that len does not count (once anything was appended or buf_cstr() was
 * called).
 */
#pragma once

#include "common/err.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	char *data; /* owned; NULL until the first append */
	size_t len;
	size_t cap;
	size_t limit; /* bytes that len may never pass */
	bool over;
};

#define BUF_INIT(limit_bytes) ((struct buf){.limit = (limit_bytes)})

/** Frees and leaves an empty buffer with the same limit. */
void buf_release(struct buf *b);
/** Wipes the bytes first; for keys. */
void buf_release_secret(struct buf *b);
/** Empties, keeps the storage. */
void buf_clear(struct buf *b);

void buf_add(struct buf *b, const void *bytes, size_t n);
void buf_addc(struct buf *b, char c);
void buf_adds(struct buf *b, const char *s);
void buf_addf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vaddf(struct buf *b, const char *format, va_list ap) __attribute__((format(printf, 2, 0)));
/** Room for n more bytes to be written by the caller, who then calls buf_took(); NULL if over the
 * limit. */
char *buf_room(struct buf *b, size_t n);
void buf_took(struct buf *b, size_t n);

static inline int buf_err(const struct buf *b)
{
	return b->over ? CF_ETOOBIG : 0;
}

/** The text so far; "" when empty. Borrowed until the next append. */
const char *buf_cstr(struct buf *b);
/** You now own the storage (free()); the buffer is empty. */
char *buf_detach(struct buf *b, size_t *len);

#define _buf_release_        __attribute__((cleanup(buf_release)))
#define _buf_release_secret_ __attribute__((cleanup(buf_release_secret)))

#include "common/buf.h"

#include "common/mem.h"

#include <stdio.h>
#include <string.h>

void buf_release(struct buf *b)
{
	free(b->data);
	*b = BUF_INIT(b->limit);
}

void buf_release_secret(struct buf *b)
{
	mem_wipe(b->data, b->cap);
	buf_release(b);
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->over = false;
	if (b->data)
		b->data[0] = '\0';
}

/* Grown by copy and wipe, not by realloc, so that no stale copy of a secret is left behind. */
static void grow(struct buf *b, size_t need)
{
	size_t cap = b->cap ? b->cap : 64;
	char *data;

	while (cap < need)
		cap *= 2;
	data = mem_alloc(cap);
	if (b->data) {
		memcpy(data, b->data, b->len + 1);
		mem_wipe(b->data, b->cap);
		free(b->data);
	}
	b->data = data;
	b->cap = cap;
}

char *buf_room(struct buf *b, size_t n)
{
	if (b->over || n > b->limit || b->len > b->limit - n) {
		b->over = true;
		return NULL;
	}
	if (b->len + n + 1 > b->cap)
		grow(b, b->len + n + 1);
	return b->data + b->len;
}

void buf_took(struct buf *b, size_t n)
{
	b->len += n;
	b->data[b->len] = '\0';
}

void buf_add(struct buf *b, const void *bytes, size_t n)
{
	char *room = buf_room(b, n);

	if (!room)
		return;
	if (n)
		memcpy(room, bytes, n);
	buf_took(b, n);
}

void buf_addc(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void buf_adds(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_vaddf(struct buf *b, const char *format, va_list ap)
{
	_mem_free_ char *s = mem_vprintf(format, ap);

	buf_adds(b, s);
}

void buf_addf(struct buf *b, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	buf_vaddf(b, format, ap);
	va_end(ap);
}

const char *buf_cstr(struct buf *b)
{
	return b->data ? b->data : "";
}

char *buf_detach(struct buf *b, size_t *len)
{
	char *data = b->data ? b->data : mem_strdup("");

	if (len)
		*len = b->len;
	*b = BUF_INIT(b->limit);
	return data;
}

/* mem.h - small allocations that cannot fail.
 *
 * They abort when memory is out: all work is leased in Redis and checkpointed, so a dead process
 * loses nothing. Whatever is sized by input meets a limit before it comes here.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

void *mem_alloc(size_t bytes) __attribute__((malloc, returns_nonnull));
void *mem_zalloc(size_t bytes) __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *p, size_t bytes) __attribute__((returns_nonnull));
/** n × size, overflow checked. */
void *mem_array(size_t n, size_t size) __attribute__((malloc, returns_nonnull));
void *mem_grow(void *p, size_t n, size_t size) __attribute__((returns_nonnull));
void *mem_dup(const void *p, size_t bytes) __attribute__((returns_nonnull));
char *mem_strdup(const char *s) __attribute__((malloc, returns_nonnull));
/** NULL stays NULL. */
char *mem_strdup_opt(const char *s);
char *mem_strndup(const char *s, size_t n) __attribute__((malloc, returns_nonnull));
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2), returns_nonnull));
char *mem_vprintf(const char *format, va_list ap)
	__attribute__((format(printf, 1, 0), returns_nonnull));

/** Overwrites before it frees; for keys. NULL is a no-op. */
void mem_wipe_free(void *p, size_t bytes);
void mem_wipe(void *p, size_t bytes);

static inline void mem_free_ptr(void *pp)
{
	free(*(void **)pp);
}

/** `_mem_free_ char *s = …;` frees when the scope ends. */
#define _mem_free_ __attribute__((cleanup(mem_free_ptr)))

/** Takes the pointer out of a cleanup local. */
#define mem_steal(p)                             \
	__extension__({                          \
		__typeof__(p) mem_stolen_ = (p); \
		(p) = NULL;                      \
		mem_stolen_;                     \
	})

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/** The struct that holds `member` at `ptr`. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#include "worker/acme/nonces.h"

#include "common/mem.h"

#include <string.h>

static void drop_oldest(struct nonces *p)
{
	free(p->ring[p->first].text);
	p->ring[p->first].text = NULL;
	p->first = (p->first + 1) % NONCES_MAX;
	p->n--;
}

static int is_nonce(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=");

	return n && !s[n] && n <= NONCE_LEN_MAX;
}

void nonces_put(struct nonces *p, const char *text, int64_t mono_ms)
{
	if (!text || !is_nonce(text))
		return;
	if (p->n == NONCES_MAX)
		drop_oldest(p);
	p->ring[(p->first + p->n++) % NONCES_MAX] =
		(struct nonce){.text = mem_strdup(text), .since_ms = mono_ms};
}

char *nonces_take(struct nonces *p, int64_t mono_ms)
{
	while (p->n && mono_ms - p->ring[p->first].since_ms > NONCE_AGE_MS)
		drop_oldest(p);
	if (!p->n)
		return NULL;
	p->n--;
	return mem_steal(p->ring[(p->first + p->n) % NONCES_MAX].text);
}

void nonces_release(struct nonces *p)
{
	while (p->n)
		drop_oldest(p);
}

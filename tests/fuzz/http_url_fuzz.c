/* A Location, with and without the URL that gave it: what is taken apart is whole, and reads the
 * same again. */
#include "worker/net/http_url.h"

#include "common/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static bool is_clean(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || (unsigned char)*s >= 0x7f)
			return false;
	return true;
}

static void check(const char *base, const char *location)
{
	struct http_url u = {.port = 7}, again;
	struct why why = {""};

	if (http_url_join(base, location, &u, &why)) {
		require(why.text[0] && u.port == 7 && !u.text[0]);
		return;
	}
	require(is_clean(u.text) && is_clean(u.host) && is_clean(u.path));
	require(u.host[0] && u.path[0] == '/' && !strncmp(u.text, u.https ? "https:" : "http:", 5));
	require(strlen(u.text) <= HTTP_URL_MAX && strlen(u.path) <= HTTP_URL_MAX);
	require(!http_url_join(NULL, u.text, &again, NULL));
	require(!strcmp(again.host, u.host) && again.port == u.port && again.https == u.https);
	require(again.literal == u.literal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_mem_free_ char *text = mem_strndup((const char *)data, size);

	check(NULL, text);
	check("http://shop.example.com/.well-known/acme-challenge/token", text);
	return 0;
}

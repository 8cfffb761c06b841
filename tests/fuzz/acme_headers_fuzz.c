/* Retry-After and Link, as a CA may send them. */
#include "worker/acme/objects.h"

#include "common/mem.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_link(void *arg, const char *target, const char *rel)
{
	*(size_t *)arg += (size_t)(*target != *rel);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = mem_strndup((const char *)data, size);
	size_t seen = 0;
	int64_t ms = retry_after_parse(text, INT64_C(1700000000000));

	if (ms < 0 || ms > RETRY_AFTER_MAX_MS)
		abort();
	link_each(text, on_link, &seen);
	free(text);
	return 0;
}

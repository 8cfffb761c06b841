/* The tokens file, and the headers that name who asks. */
#include "scheduler/api/access.h"

#include "common/mem.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const hosts[] = {"localhost"};
	struct access_tokens *t = NULL;
	_mem_free_ char *text = mem_strndup((const char *)data, size);
	struct access_request r = {
		.changes = true, .host = text, .origin = text, .content_type = text};
	char value[64];
	struct why why;

	if (!access_tokens_parse((const char *)data, size, &t, &why))
		access_tokens_find(t, text);
	access_tokens_free(t);
	access_judge(&r, hosts, 1, true);
	if (access_cookie(text, "sid", value, sizeof value) && strlen(value) >= sizeof value)
		abort();
	access_bearer(text);
	return 0;
}

/* What comes from an operator's secret file, and an event's data on its way to JSON. */
#include "common/mem.h"
#include "worker/notify/alertmanager.h"
#include "worker/notify/webhook.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *text(const char *s)
{
	return (char *)(uintptr_t)s;
}

static void bring(const uint8_t *data, size_t size)
{
	struct notice n = {.id = text("a#1:opened"),
		.type = text("t"),
		.source = text("f"),
		.subject = text(""),
		.time = text(""),
		.len = size};
	_buf_release_ struct buf body = BUF_INIT(1u << 20);
	json_t *list = json_array();

	n.data = mem_dup(data, size);
	if (!webhook_body(&n, &body)) {
		json_t *j = json_loads(buf_cstr(&body), 0, NULL);

		if (!j)
			abort();
		json_decref(j);
	}
	alertmanager_add(list, "f", n.data, n.len, INT64_C(1800000000000), 1000);
	json_decref(list);
	free(n.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct webhook_secrets s;

	if (!webhook_secrets_parse((const char *)data, size, &s, NULL) &&
		(!s.n || s.n > WEBHOOK_SECRETS_MAX || s.lens[0] < 24))
		abort();
	bring(data, size);
	return 0;
}

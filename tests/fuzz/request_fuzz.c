/* Requests from the stream: an input is the type's number, then the data; whatever is read is also
 * decided and answered. */
#include "common/mem.h"
#include "scheduler/request.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const types[] = {"endpoint.add", "endpoint.update", "endpoint.remove",
	"endpoint.verify", "endpoint.renew", "endpoint.revoke", "?"};
static const char *const authorities[] = {"letsencrypt"};
static const char *const zones[] = {"acme.platform.example"};
static const struct request_policy policy = {.authorities = authorities,
	.authorities_n = 1,
	.zones = zones,
	.zones_n = 1,
	.needs = {.verify_every_ms = 3600000, .verify_fast_ms = 5000}};

static void decide(const struct request *r, const struct endpoint *e)
{
	struct buf answer = BUF_INIT(8192), event = BUF_INIT(65536);
	struct request_refusal no;
	struct request_effect f;
	char id[ENDPOINT_ID_MAX + 1];

	request_endpoint_id(r, 2, id);
	if (request_decide(r, id, e, &policy, 1800000000000, &f, &no) == REQUEST_APPLY) {
		request_answer(r, id, f.generation, NULL, &answer);
		request_event_data(&f, &event);
		if (!e) { /* what was added is asked for the same again */
			struct endpoint then = {.config = f.config, .generation = f.generation};

			decide(r, &then);
		}
		request_effect_release(&f);
	} else {
		request_answer(r, id, 0, &no, &answer);
	}
	buf_release(&answer);
	buf_release(&event);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct request r;
	struct request_refusal no;
	const char *type;

	if (!size)
		return 0;
	type = types[data[0] % ARRAY_LEN(types)];
	const struct request_field fields[] = {
		{"id", "1", 1},
		{"source", "fuzz", 4},
		{"type", type, strlen(type)},
		{"data", (const char *)data + 1, size - 1},
	};
	if (!request_parse("1-1", fields, ARRAY_LEN(fields), &r, &no))
		decide(&r, NULL);
	request_release(&r);
	return 0;
}

/* GET /v1/openapi.json: what this API is, for programs. For everybody: it has no secrets. */
#include "common/mem.h"
#include "scheduler/api/v1_internal.h"

void v1_document(struct v1_call *c)
{
	v1_text_answer(c, "application/json", mem_strdup(v1_openapi), NULL);
}

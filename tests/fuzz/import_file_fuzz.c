/* Files of endpoints (scheduler/cli/import_file.h): whatever comes in, items and errors are well
 * formed. */
#include "scheduler/cli/import_file.h"

#include "common/buf.h"
#include "scheduler/cli/endpoint_spec.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct import *im, const struct config *config)
{
	for (size_t i = 0; i < im->n; i++) {
		struct endpoint_spec spec = import_spec(&im->items[i]);
		_buf_release_ struct buf out = BUF_INIT(ENDPOINT_SPEC_MAX);
		struct why why = {0};

		if (im->items[i].error == NULL &&
			endpoint_spec_encode(&spec, config, &out, &why) != 0 && why.text[0] == '\0')
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config config = {0};
	struct import im = {0};
	struct why why = {0};

	if (size == 0)
		return 0;
	FILE *f = fmemopen((void *)(uintptr_t)data, size, "r");
	if (f == NULL)
		return 0;
	if (import_read("f", f, &im, &why) != 0 && (why.text[0] == '\0' || im.items != NULL))
		abort();
	fclose(f);
	use(&im, &config);
	import_release(&im);
	return 0;
}

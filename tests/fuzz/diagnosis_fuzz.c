/* Diagnoses as they lie in Redis, and what is rendered from them. */
#include "common/diagnosis.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct diagnosis *d = NULL;
	size_t n = 0;
	struct why why;

	if (diagnoses_decode(data, size, &d, &n, &why))
		return 0;
	diagnoses_sort(d, n);
	for (size_t i = 0; i < n; i++) {
		_buf_release_ struct buf text = BUF_INIT(65536);
		_buf_release_ struct buf again = BUF_INIT(65536);

		diagnosis_sentence(&d[i], &text);
		if (text.len > 1024)
			abort();
		diagnosis_text(&d[i], 1800000000000, &text);
		if (diagnoses_encode(&d[i], 1, &again))
			abort();
	}
	free(d);
	return 0;
}

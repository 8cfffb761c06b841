/* What workers ask and answer each other through Redis: both readers on the same bytes. */
#include "worker/jobs/proof_pack.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_buf_release_ struct buf again = BUF_INIT(2 * PROOF_ASK_MAX);
	struct served_seen *seen = NULL;
	struct proof_asked asked;
	struct why why;
	size_t n = 0;

	if (!proof_ask_decode(data, size, &asked, &why)) {
		if (proof_ask_encode(asked.id, &asked.ask, &again))
			abort();
		proof_asked_release(&asked);
	}
	if (!proof_seen_decode(data, size, &seen, &n, &why) && n > PROOF_LOOKS_MAX)
		abort();
	free(seen);
	return 0;
}

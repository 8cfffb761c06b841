/* Any bytes as a configuration: refused with errors, or printed and read again to the same. */
#include "common/config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct config *parse(const char *text, size_t size)
{
	struct config *c = NULL;
	struct config_errors errors;
	int err = config_parse("fuzz", text, size, &c, &errors);

	if ((err == 0) != (errors.n == 0) || (err == 0) != (c != NULL))
		abort();
	config_errors_release(&errors);
	return c;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf once = BUF_INIT(8 << 20), twice = BUF_INIT(8 << 20);
	struct config *c = parse((const char *)data, size);
	struct config *again;

	if (!c)
		return 0;
	config_print_effective(c, &once);
	again = parse(buf_cstr(&once), once.len);
	if (!again)
		abort();
	config_print_effective(again, &twice);
	if (once.len != twice.len || memcmp(once.data, twice.data, once.len))
		abort();
	config_free(c);
	config_free(again);
	buf_release(&once);
	buf_release(&twice);
	return 0;
}

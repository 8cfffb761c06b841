/* Any bytes as a sealed blob: opens only what was sealed, in either wrap, and only at its place. */
#include "common/mem.h"
#include "common/vault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char place[] = "cf:{t}:e:1 ep1";

/* The key is 00 01 … 1f, so that the corpus can hold blobs that open. */
static struct vault *open_vault(void)
{
	unsigned char key[32];
	char path[64];
	struct vault *v;
	int fd = memfd_create("key", MFD_CLOEXEC);

	for (unsigned char i = 0; i < sizeof key; i++)
		key[i] = i;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (fd < 0 || write(fd, key, sizeof key) != sizeof key || fchmod(fd, 0600) ||
		vault_open(path, path, &v, NULL))
		abort();
	close(fd);
	return v;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum vault_wrap wraps[] = {VAULT_ACCOUNTS, VAULT_CERTIFICATES};
	static struct vault *v;

	if (!v)
		v = open_vault();
	for (size_t i = 0; i < ARRAY_LEN(wraps); i++) {
		_buf_release_secret_ struct buf plain = BUF_INIT(VAULT_PLAIN_MAX);
		struct why why;
		int err = vault_unseal(v, wraps[i], place, data, size, &plain);

		if (err != 0 && (plain.len || (err != CF_EAUTH && err != CF_EPROTO)))
			abort();
		if (!err && (plain.len != size - VAULT_OVERHEAD ||
				    vault_unseal(v, wraps[i], "elsewhere", data, size, &plain) !=
					    CF_EAUTH))
			abort();
		vault_is_current(v, wraps[i], data, size);
		vault_canary_check(v, wraps[i], data, size, &why);
	}
	return 0;
}

/* secret.h - files that hold secrets, and a process that does not spill them.
 *
 * Files come from an operator, systemd credentials or a Kubernetes mount. One that others can read
 * is used, but warned about in the log, by its path alone.
 */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <stddef.h>

#define SECRET_LINE_MAX_BYTES 4096

/** No core dumps, no ptrace by the same user (RLIMIT_CORE 0, PR_SET_DUMPABLE 0). Called first in
 * main(). CF_EIO if the system refuses. */
int process_harden(void);

/** Appends the whole file, which has 1 to max_bytes bytes, to out (buf_release_secret() it).
 * CF_ENOTFOUND, CF_EIO, CF_ETOOBIG, CF_EINVAL (empty), with a why that names the path. */
int secret_read_file(const char *path, size_t max_bytes, struct buf *out, struct why *why);
/** A password or token: one line; the line end and nothing else is cut off. CF_EINVAL if it is
 * empty, has a second line or a NUL. */
int secret_read_line(const char *path, struct buf *out, struct why *why);

#include "common/secret.h"

#include "common/log.h"
#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

int process_harden(void)
{
	const struct rlimit none = {0, 0};

	if (setrlimit(RLIMIT_CORE, &none) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return CF_EIO;
	return 0;
}

static void close_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static void warn_if_open_to_others(const char *path, int fd)
{
	struct stat st;
	char mode[8];

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || !(st.st_mode & 077))
		return;
	snprintf(mode, sizeof mode, "%04o", (unsigned)st.st_mode & 07777u);
	LOG(WARN, "secret_file_open_to_others", LF("path", path), LF("mode", mode),
		LF("expected", "0600"));
}

/* Reads to the end, at most limit bytes; more is CF_ETOOBIG. */
static int read_all(int fd, size_t limit, struct buf *out)
{
	for (;;) {
		char piece[1024];
		ssize_t n = read(fd, piece, sizeof piece);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return CF_EIO;
		if (n == 0)
			return 0;
		if ((size_t)n > limit - out->len) {
			mem_wipe(piece, sizeof piece);
			return CF_ETOOBIG;
		}
		buf_add(out, piece, (size_t)n);
		mem_wipe(piece, sizeof piece);
	}
}

int secret_read_file(const char *path, size_t max_bytes, struct buf *out, struct why *why)
{
	__attribute__((cleanup(close_fd))) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	_buf_release_secret_ struct buf whole = BUF_INIT(max_bytes);
	int err;

	if (fd < 0)
		return why_set(why, errno == ENOENT ? CF_ENOTFOUND : CF_EIO, "%s: %s", path,
			strerror(errno));
	warn_if_open_to_others(path, fd);
	err = read_all(fd, max_bytes, &whole);
	if (err == CF_ETOOBIG)
		return why_set(
			why, err, "%s: more than the %zu bytes that are expected", path, max_bytes);
	if (err)
		return why_set(why, err, "%s: %s", path, strerror(errno));
	if (!whole.len)
		return why_set(why, CF_EINVAL, "%s: is empty", path);
	buf_add(out, whole.data, whole.len);
	return buf_err(out);
}

int secret_read_line(const char *path, struct buf *out, struct why *why)
{
	_buf_release_secret_ struct buf line = BUF_INIT(SECRET_LINE_MAX_BYTES);
	int err = secret_read_file(path, SECRET_LINE_MAX_BYTES, &line, why);
	size_t n = line.len;

	if (err)
		return err;
	if (n && line.data[n - 1] == '\n')
		n--;
	if (n && line.data[n - 1] == '\r')
		n--;
	if (!n)
		return why_set(why, CF_EINVAL, "%s: its first line is empty", path);
	if (memchr(line.data, '\n', n) || memchr(line.data, '\0', n))
		return why_set(why, CF_EINVAL, "%s: one line of text is expected", path);
	buf_add(out, line.data, n);
	return buf_err(out);
}

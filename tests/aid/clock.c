/* clock.c - preloaded into redis-server, sets its wall clock off by as many seconds as a file says.
 *
 * CLOCK_FILE holds one signed 64-bit number, which is mapped, so that a test steps the clock of a
 * server that runs. The monotonic clock stays as it is. (Debian's libfaketime does not go with
 * jemalloc, and ends in an endless recursion there.)
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *off;

__attribute__((constructor)) static void map_file(void)
{
	const char *path = getenv("CLOCK_FILE");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *off, PROT_READ, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		abort();
	off = at;
	close(fd);
}

int clock_gettime(clockid_t id, struct timespec *out)
{
	int err = (int)syscall(SYS_clock_gettime, id, out);

	if (!err && off && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		out->tv_sec += (time_t)*off;
	return err;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
	struct timespec now;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &now);
	*out = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
	return 0;
}

time_t time(time_t *out)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (out)
		*out = now.tv_sec;
	return now.tv_sec;
}

/* crash_at.c - preloaded into a worker, ends or stops it right after it logged a chosen line.
 *
 * CRASH_AT names a folder. Its file `points` has a line for each point: NAME kill|stop TEXT. A
 * process that writes a line with TEXT in it gets SIGKILL or SIGSTOP, once for each point in the
 * whole fleet: whoever makes the folder's file NAME first. So a test chooses the instant, and what
 * runs is what is shipped.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POINTS_MAX 64

struct point {
	char name[64], action[8], text[160];
};

static struct point points[POINTS_MAX];
static size_t points_n;
static const char *folder;

__attribute__((constructor)) static void read_points(void)
{
	char path[4096];
	FILE *f;

	folder = getenv("CRASH_AT");
	if (!folder)
		return;
	snprintf(path, sizeof path, "%s/points", folder);
	f = fopen(path, "re");
	if (!f)
		abort();
	for (struct point *p = points; points_n < POINTS_MAX; p++, points_n++)
		if (fscanf(f, "%63s %7s %159[^\n]", p->name, p->action, p->text) != 3)
			break;
	fclose(f);
}

/* True for the first process that comes here. */
static bool claim(const struct point *p)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof path, "%s/%s", folder, p->name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return false;
	dprintf(fd, "%d", (int)getpid());
	close(fd);
	return true;
}

static void look(const char *line, size_t len)
{
	for (size_t i = 0; i < points_n; i++) {
		const struct point *p = &points[i];

		if (memmem(line, len, p->text, strlen(p->text)) && claim(p))
			kill(getpid(), !strcmp(p->action, "kill") ? SIGKILL : SIGSTOP);
	}
}

ssize_t write(int fd, const void *bytes, size_t len)
{
	static ssize_t (*next)(int, const void *, size_t);
	ssize_t n;

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "write");
	n = next(fd, bytes, len);
	if (fd == STDERR_FILENO)
		look(bytes, len);
	return n;
}

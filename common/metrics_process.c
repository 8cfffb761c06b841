#include "common/clock.h"
#include "common/mem.h"
#include "common/metrics.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#ifndef CERTFLEET_VERSION /* the build names it */
#define CERTFLEET_VERSION "unknown"
#endif

static struct metric build_info = {.type = METRIC_GAUGE,
	.name = "certfleet_build_info",
	.help = "1, with the version and the component as labels.",
	.labels = {"version", "component"}};
static struct metric start_time = {.type = METRIC_GAUGE,
	.name = "process_start_time_seconds",
	.help = "When the process started, in Unix time."};
static struct metric cpu_seconds = {.type = METRIC_COUNTER,
	.name = "process_cpu_seconds_total",
	.help = "User and system CPU time."};
static struct metric resident_bytes = {
	.type = METRIC_GAUGE, .name = "process_resident_memory_bytes", .help = "Resident memory."};
static struct metric open_fds = {
	.type = METRIC_GAUGE, .name = "process_open_fds", .help = "Open file descriptors."};
static struct metric max_fds = {.type = METRIC_GAUGE,
	.name = "process_max_fds",
	.help = "Allowed number of open file descriptors."};
static struct metric *const table[] = {
	&build_info, &start_time, &cpu_seconds, &resident_bytes, &open_fds, &max_fds};

static double read_resident_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	char line[128] = "", *resident = line;

	if (!f)
		return 0;
	if (fgets(line, sizeof line, f))
		strtoul(line, &resident, 10); /* the total comes first */
	fclose(f);
	return (double)strtoul(resident, NULL, 10) * (double)sysconf(_SC_PAGESIZE);
}

static double count_open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	double n = 0;

	if (!dir)
		return 0;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 3; /* ".", ".." and the folder itself */
}

static double time_of(struct timeval tv)
{
	return (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
}

static void collect(void *arg)
{
	struct rusage usage;
	struct rlimit limit;

	(void)arg;
	if (!getrusage(RUSAGE_SELF, &usage))
		metric_set(
			&cpu_seconds, time_of(usage.ru_utime) + time_of(usage.ru_stime), NO_LABELS);
	metric_set(&resident_bytes, read_resident_bytes(), NO_LABELS);
	metric_set(&open_fds, count_open_fds(), NO_LABELS);
	if (!getrlimit(RLIMIT_NOFILE, &limit))
		metric_set(&max_fds, (double)limit.rlim_cur, NO_LABELS);
}

void metrics_register_process(struct metrics *r, const char *component)
{
	if (metrics_register(r, table, ARRAY_LEN(table), NULL))
		return;
	metric_set(&build_info, 1, LABELS(CERTFLEET_VERSION, component));
	metric_set(&start_time, (double)clock_wall_ms() / 1000, NO_LABELS);
	metrics_add_collector(r, collect, NULL);
}

/* index_bench.c - lists, search and counts over many endpoints in the scheduler's index.
 *
 * usage: index_bench [ENDPOINTS]
 *
 * Fills an index with made-up endpoints, nine tenths of them in the order of ids as a scheduler
 * does and the others as they come, and asks what a dashboard asks. Prints the
 * time of each question, of its longest step (in which the loop would stand), and the memory.
 */
#include "common/clock.h"
#include "common/mem.h"
#include "scheduler/index/index.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define STEP  20000 /* rows, as the scheduler walks */
#define TIMES 50

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void fill(struct index *x, size_t n)
{
	static const char *const reasons[] = {"", "record_missing", "cname_elsewhere", "ready"};
	int64_t now = clock_wall_ms();
	double start = now_ms();

	for (size_t i = 0; i < n; i++) {
		size_t late = n / 10, k = i < n - late ? i * 10 / 9 : (i - (n - late)) * 10 + 9;
		char id[64], names[200], tenant[32];
		struct index_row row = {
			.id = id, .names = names, .tenant = tenant, .authority = ""};

		snprintf(id, sizeof id, "shop-%07zu.customer-%zu.example", k, k % 977);
		snprintf(names, sizeof names, "%s www.%s", id, id);
		snprintf(tenant, sizeof tenant, "tenant-%zu", k % 5000);
		row.state = k % 20 ? STATE_ACTIVE : (enum endpoint_state)(k / 20 % INDEX_STATES);
		row.reason = row.state == STATE_ACTIVE ? "" : reasons[k % 4];
		row.type = k % 3 ? ENDPOINT_EXTERNAL : ENDPOINT_INTERNAL;
		row.not_before_ms = now - (int64_t)(k % 60) * CLOCK_DAY_MS;
		row.not_after_ms = row.not_before_ms + 90 * CLOCK_DAY_MS;
		index_put(x, &row);
	}
	printf("index: %zu endpoints filled in %.1f s, %.0f bytes each\n", n,
		(now_ms() - start) / 1e3, (double)index_bytes(x) / (double)n);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void ask(struct index *x, const char *what, const struct index_filter *f,
	enum index_sort sort, bool count)
{
	double all[TIMES], longest = 0;
	size_t total = 0;

	for (int i = 0; i < TIMES; i++) {
		double start = now_ms(), step;
		struct index_query *q = NULL;
		bool done;

		if (count)
			q = index_count_new(x, NULL, clock_wall_ms());
		else if (index_query_new(x, f, sort, "", 50, clock_wall_ms(), &q))
			exit(1);
		do {
			step = now_ms();
			done = index_query_step(q, STEP);
			step = now_ms() - step;
			longest = step > longest ? step : longest;
		} while (!done);
		total = index_query_total(q);
		index_query_free(q);
		all[i] = now_ms() - start;
	}
	qsort(all, TIMES, sizeof *all, by_size);
	printf("  %-34s %8zu fit   median %6.1f ms   p99 %6.1f ms   longest step %.2f ms\n", what,
		total, all[TIMES / 2], all[TIMES - 1], longest);
}

int main(int argc, char **argv)
{
	struct index *x = index_new();

	fill(x, argc > 1 ? (size_t)strtoul(argv[1], NULL, 10) : 1000000);
	ask(x, "first page", &(struct index_filter){0}, INDEX_BY_ID, false);
	ask(x, "trouble first", &(struct index_filter){0}, INDEX_BY_TROUBLE, false);
	ask(x, "what ends first", &(struct index_filter){0}, INDEX_BY_EXPIRY, false);
	ask(x, "one state", &(struct index_filter){.states = 1u << STATE_FAILING}, INDEX_BY_ID,
		false);
	ask(x, "one tenant", &(struct index_filter){.tenant = "tenant-17"}, INDEX_BY_ID, false);
	ask(x, "search, frequent", &(struct index_filter){.text = "shop-00"}, INDEX_BY_ID, false);
	ask(x, "search, rare", &(struct index_filter){.text = "0123456"}, INDEX_BY_ID, false);
	ask(x, "search, nothing", &(struct index_filter){.text = "zzz"}, INDEX_BY_ID, false);
	ask(x, "counts", NULL, INDEX_BY_ID, true);
	index_free(x);
	return 0;
}

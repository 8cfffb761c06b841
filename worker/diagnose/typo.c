#include "worker/diagnose/typo.h"

#include <string.h>

static size_t least(size_t a, size_t b, size_t c)
{
	size_t ab = a < b ? a : b;

	return ab < c ? ab : c;
}

size_t typo_distance(const char *a, const char *b, size_t limit)
{
	size_t an = strlen(a), bn = strlen(b);
	size_t rows[3][TYPO_TEXT_MAX + 1];
	size_t *before = rows[0], *last = rows[1], *now = rows[2], *spare;

	if (an > TYPO_TEXT_MAX || bn > TYPO_TEXT_MAX || an + limit < bn || bn + limit < an)
		return limit + 1;
	for (size_t k = 0; k <= bn; k++)
		last[k] = k;
	for (size_t i = 1; i <= an; i++) {
		now[0] = i;
		for (size_t k = 1; k <= bn; k++) {
			now[k] = least(
				last[k] + 1, now[k - 1] + 1, last[k - 1] + (a[i - 1] != b[k - 1]));
			if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1] &&
				before[k - 2] + 1 < now[k])
				now[k] = before[k - 2] + 1;
		}
		spare = before;
		before = last;
		last = now;
		now = spare;
	}
	return last[bn] > limit ? limit + 1 : last[bn];
}

bool typo_near(const char *seen, const char *meant)
{
	size_t limit = strlen(meant) > 12 ? 2 : 1;

	return strcmp(seen, meant) != 0 && typo_distance(seen, meant, limit) <= limit;
}

bool typo_doubled(const char *seen, const char *meant)
{
	size_t n = strlen(meant);

	return !strncmp(seen, meant, n) && seen[n] == '.';
}

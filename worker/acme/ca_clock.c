#include "worker/acme/ca_clock.h"

#include "worker/net/retry_after.h"

#include <string.h>
#include <time.h>

#define DATE_MAX 64

void ca_clock_note(struct ca_clock *c, const char *date, int64_t took_ms, int64_t boot_ms)
{
	int64_t at;

	if (!date || strlen(date) > DATE_MAX || !http_date_parse(date, &at))
		return;
	/* It was written between the question and now, and its second had begun. */
	*c = (struct ca_clock){
		.known = true, .low_ms = at - boot_ms, .high_ms = at + 1000 - (boot_ms - took_ms)};
}

int64_t ca_clock_apart(const struct ca_clock *c, int64_t wall_ms, int64_t boot_ms)
{
	int64_t ours = wall_ms - boot_ms;

	if (!c->known)
		return 0;
	if (ours < c->low_ms)
		return ours - c->low_ms;
	return ours > c->high_ms ? ours - c->high_ms : 0;
}

int64_t ca_clock_boot_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

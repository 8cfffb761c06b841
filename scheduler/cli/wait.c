/* wait.c - see wait.h. */
#include "scheduler/cli/wait.h"

#include "common/clock.h"
#include "common/mem.h"
#include "scheduler/cli/fetch.h"
#include "scheduler/cli/words.h"

#include <string.h>

#define POLL_LEAST_MS  100
#define POLL_MOST_MS   1000
#define TELL_EACH_MAX  20 /* above this many only the count is shown */
#define TELL_WORST_MAX 10 /* named at the end */

bool wait_reached(const struct waiter *w, const struct facts *f)
{
	if (f == NULL)
		return w->goal == WAIT_GONE;
	switch (w->goal) {
	case WAIT_STATE:
		return f->state == w->state;
	case WAIT_SERIAL:
		return f->endpoint.has_cert && f->endpoint.cert.revoked_ms == 0 &&
		       strcmp(f->endpoint.cert.serial, w->serial) != 0;
	case WAIT_GONE:
		break;
	}
	return false;
}

struct watch {
	struct cli *cli;
	struct waiter *waiters;
	size_t n, reached, hopeless;
	size_t cursor; /* answers come in the order of questions */
	int64_t began_ms;
};

static void tell_change(struct watch *k, const struct waiter *w)
{
	double seconds = (double)(clock_mono_ms() - k->began_ms) / 1000;
	const char *because = w->reason[0] != '\0' ? words_means(w->reason) : "";

	if (k->n <= TELL_EACH_MAX)
		cli_note(k->cli, "%6.1f s  %s: %s%s%s", seconds, w->id, endpoint_state_name(w->now),
			*because ? ", " : "", because);
}

static int see(void *arg, struct facts *f)
{
	struct watch *k = arg;
	size_t i = k->cursor;

	while (i < k->n && strcmp(k->waiters[i].id, f->endpoint.config.id) != 0)
		i++;
	if (i == k->n)
		return 0;
	k->cursor = i + 1;
	struct waiter *w = &k->waiters[i];
	bool changed = !w->told || w->now != f->state || strcmp(w->reason, f->reason) != 0;
	w->seen = true;
	w->now = f->state;
	memcpy(w->reason, f->reason, sizeof w->reason);
	w->reached = wait_reached(w, f);
	w->hopeless = !w->reached && (f->state == STATE_PARKED ||
					     (f->state == STATE_REMOVING && w->goal != WAIT_GONE));
	if (changed)
		tell_change(k, w);
	w->told = true;
	return 0;
}

static int look(struct watch *k, struct why *why)
{
	const char **ids = mem_array(k->n, sizeof *ids);
	size_t n = 0;

	for (size_t i = 0; i < k->n; i++) {
		k->waiters[i].seen = false;
		if (!k->waiters[i].reached)
			ids[n++] = k->waiters[i].id;
	}
	cli_now(k->cli);
	k->cursor = 0;
	int err = fetch_ids(k->cli, ids, n, FETCH_PLAIN, see, k, why);
	free(ids);
	if (err != 0)
		return err;
	k->reached = k->hopeless = 0;
	for (size_t i = 0; i < k->n; i++) {
		struct waiter *w = &k->waiters[i];
		if (!w->seen && !w->reached && wait_reached(w, NULL))
			w->reached = true;
		else if (!w->seen && !w->reached)
			return why_set(why, CF_ENOTFOUND, "%s", w->id);
		k->reached += w->reached;
		k->hopeless += w->hopeless && !w->reached;
	}
	return 0;
}

static void tell_left(struct watch *k)
{
	size_t told = 0;

	for (size_t i = 0; i < k->n; i++) {
		const struct waiter *w = &k->waiters[i];
		const char *next = words_next(w->reason);

		if (w->reached || ++told > TELL_WORST_MAX)
			continue;
		cli_hint(k->cli, "%s is %s%s%s%s%s", w->id, endpoint_state_name(w->now),
			w->reason[0] ? ": " : "", w->reason[0] ? words_means(w->reason) : "",
			next[0] ? ". " : "", next);
	}
	if (told > TELL_WORST_MAX)
		cli_hint(k->cli, "… and %zu more", told - TELL_WORST_MAX);
	if (told == 1)
		cli_hint(k->cli, "\"certfleet endpoint show ID\" says all of it.");
}

static int over(struct watch *k, int64_t timeout_ms)
{
	char human[CLOCK_HUMAN_LEN];

	if (k->hopeless > 0 && k->hopeless == k->n - k->reached)
		cli_fail(k->cli,
			"waiting does not help: %zu of %zu will not get there by themselves",
			k->hopeless, k->n);
	else
		cli_fail(k->cli, "not yet after %s: %zu of %zu are as wanted",
			clock_human(timeout_ms, human), k->reached, k->n);
	tell_left(k);
	return CLI_NOT_YET;
}

static int look_or_fail(struct watch *k, int64_t deadline, int *status)
{
	struct why why = {0};
	int err = look(k, &why);

	while (cli_lost(err) && clock_mono_ms() < deadline && !cli_stopping()) {
		cli_progress(k->cli, "Redis is away: %s", why.text);
		cli_sleep_ms(POLL_MOST_MS);
		err = cli_connect(k->cli, &why);
		if (err == 0)
			err = look(k, &why);
	}
	if (err == CF_ENOTFOUND)
		*status = fetch_fail_unknown(k->cli, why.text);
	else if (err != 0)
		*status = cli_fail_redis(k->cli, err, &why);
	return err;
}

int wait_run(struct cli *cli, struct waiter *waiters, size_t n, int64_t timeout_ms)
{
	struct watch k = {.cli = cli, .waiters = waiters, .n = n, .began_ms = clock_mono_ms()};
	int64_t deadline = k.began_ms + timeout_ms;
	int64_t pause = POLL_LEAST_MS;
	int status = CLI_FAILED;
	char bar[CLI_BAR_SIZE];

	for (;;) {
		if (look_or_fail(&k, deadline, &status) != 0)
			return status;
		if (k.reached == n)
			return CLI_DONE;
		int64_t now = clock_mono_ms();
		if (now >= deadline || cli_stopping() || k.hopeless == n - k.reached)
			return over(&k, now - k.began_ms);
		cli_progress(cli, "%swaiting for %lld s: %zu of %zu are there",
			cli_bar(k.reached, n, bar), (long long)(now - k.began_ms) / 1000, k.reached,
			n);
		cli_sleep_ms(pause);
		pause = pause * 5 / 4 < POLL_MOST_MS ? pause * 5 / 4 : POLL_MOST_MS;
	}
}

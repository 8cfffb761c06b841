/* sync.c - certfleet sync: the edge agent, which keeps PEM files current.
 *
 *	connect ──► remember the stream's end ──► look at every endpoint ──► reload ──► follow
 *results ──┐ ▲                                            ▲                                  │    │
 *│ │ Redis is away: backoff                     └─── every --resync ───────────────┘    └─ reload,
 *once a batch
 *	   └─────────────────────────────────────────────────────────────────────────────────────────────┘
 *
 * The full look after each connect makes the stream a mere hint: nothing is missed by a failover
 *that lost entries, or a stream that was trimmed.
 */
#include "scheduler/cli/cli.h"

#include "common/certificate.h"
#include "common/clock.h"
#include "common/event.h"
#include "common/mem.h"
#include "scheduler/cli/fetch.h"
#include "scheduler/cli/pem.h"
#include "scheduler/cli/stream.h"
#include "scheduler/cli/sync_plan.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACKOFF_LEAST_MS 500
#define BACKOFF_MOST_MS  10000
#define BLOCK_MS         1000
#define FOLLOW_MAX       100 /* endpoints asked for at once */

struct sync {
	struct cli *cli;
	struct vault *vault;
	const char *dir, *reload, *tenant;
	int64_t settle_ms, resync_ms;
	int lock;
	char position[64]; /* in the results stream */
	bool gap;          /* the stream was trimmed past it: only a full look helps */
	size_t kept, refused, failed;
	struct buf changed; /* ids since the last reload, separated by blanks */
	size_t changed_n;
	int64_t first_change_ms; /* monotonic; 0: none waits for a reload */
	bool reload_failed;
};

static void say(struct sync *s, const char *what, const char *id, const char *more)
{
	_buf_release_ struct buf line = BUF_INIT(2048);
	char time[CLOCK_RFC3339_LEN];

	if (s->cli->quiet)
		return;
	cli_progress_end(s->cli);
	if (s->cli->json) {
		cli_emit_json_line(s->cli,
			json_pack("{s:s s:s s:o s:o}", "time", clock_rfc3339(clock_wall_ms(), time),
				"what", what, "endpoint", *id ? json_text(id) : json_null(), "text",
				json_text(more)));
		return;
	}
	term_tint(&line, &s->cli->view, TINT_NONE, "%s %-9s %s%s%s",
		clock_rfc3339(clock_wall_ms(), time), what, id, *id && *more ? ": " : "", more);
	buf_addc(&line, '\n');
	cli_emit(s->cli, &line);
}

/* One endpoint */

static int read_file(struct sync *s, const char *id, struct sync_cert *file, struct why *why)
{
	_mem_free_ char *path = mem_printf("%s/%s.pem", s->dir, id);
	struct cert_info info;
	int err = pem_read_leaf(path, &info, why);

	*file = (struct sync_cert){0};
	if (err == CF_EIO)
		return err;
	if (err == 0) {
		file->there = true;
		memcpy(file->serial, info.serial, sizeof file->serial);
		file->not_before_ms = info.not_before_ms;
		file->not_after_ms = info.not_after_ms;
	} else if (err != CF_ENOTFOUND) {
		say(s, "broken", id, why->text);
	}
	return 0;
}

static void note_change(struct sync *s, const char *id, const char *what, const struct pem *p)
{
	_buf_release_ struct buf text = BUF_INIT(256);

	buf_addf(&text, "serial %s, until ", p->serial);
	term_time(&text, p->not_after_ms);
	say(s, what, id, buf_cstr(&text));
	buf_addf(&s->changed, "%s%s", s->changed_n ? " " : "", id);
	s->changed_n++;
	if (s->first_change_ms == 0)
		s->first_change_ms = clock_mono_ms();
}

static int install(struct sync *s, const char *id, const char *what, struct why *why)
{
	_mem_free_ char *name = mem_printf("%s.pem", id);
	struct pem p = {0};
	int err = pem_fetch(s->cli, s->vault, id, &p, why);

	if (err == 0) {
		const struct buf *parts[] = {&p.cert, &p.chain, &p.key};
		err = pem_write(s->dir, name, parts, ARRAY_LEN(parts), 0600, why);
	}
	if (err == 0)
		note_change(s, id, what, &p);
	pem_release(&p);
	return err;
}

static void refuse(
	struct sync *s, const char *id, enum sync_step step, const struct sync_cert *file)
{
	_buf_release_ struct buf text = BUF_INIT(256);

	s->refused++;
	if (step == SYNC_OLDER) {
		buf_adds(&text, "Redis has an older certificate than the file, which is from ");
		term_time(&text, file->not_before_ms);
		buf_adds(&text, ": the file stays");
	} else {
		buf_adds(&text, "the certificate in Redis is revoked: the file stays until there "
				"is a new one");
	}
	say(s, "refused", id, buf_cstr(&text));
}

static void fail_one(struct sync *s, const char *id, int err, const struct why *why)
{
	s->failed++;
	say(s, "failed", id, why->text[0] ? why->text : cf_strerror(err));
}

/* Work is found first and done after: while a page of endpoints is read, the connection is busy. */

struct work {
	struct sync *s;
	struct todo {
		char id[ENDPOINT_ID_MAX + 1];
		enum sync_step step;
	} * items;
	size_t n, cap;
};

static void work_add(struct work *w, const char *id, enum sync_step step)
{
	for (size_t i = w->n; i > 0 && i + 64 > w->n; i--)
		if (strcmp(w->items[i - 1].id, id) == 0)
			return; /* named twice by the stream */
	if (w->n == w->cap) {
		w->cap = w->cap ? w->cap * 2 : 64;
		w->items = mem_grow(w->items, w->cap, sizeof *w->items);
	}
	memcpy(w->items[w->n].id, id, strlen(id) + 1);
	w->items[w->n++].step = step;
}

/** Compares one endpoint of the fleet with its file. */
static int consider(void *arg, struct facts *f)
{
	struct work *w = arg;
	struct sync *s = w->s;
	const struct endpoint_cert *x = &f->endpoint.cert;
	const char *id = f->endpoint.config.id;
	struct sync_cert file;
	struct sync_cert fleet = {.there = true,
		.not_before_ms = x->not_before_ms,
		.not_after_ms = x->not_after_ms,
		.revoked = x->revoked_ms != 0};
	struct why why = {0};

	if (!f->endpoint.has_cert ||
		(s->tenant && strcmp(s->tenant, f->endpoint.config.tenant) != 0))
		return 0;
	memcpy(fleet.serial, x->serial, sizeof fleet.serial);
	int err = read_file(s, id, &file, &why);
	if (err != 0) {
		fail_one(s, id, err, &why);
		return 0;
	}
	enum sync_step step = sync_decide(&file, &fleet);
	if (step == SYNC_INSTALL || step == SYNC_REPLACE)
		work_add(w, id, step);
	else if (step == SYNC_KEEP)
		s->kept++;
	else
		refuse(s, id, step, &file);
	return 0;
}

/** 0, or what went wrong with the connection; what concerns one endpoint alone is told and counted.
 */
static int work_do(struct work *w, struct why *why)
{
	struct sync *s = w->s;

	for (size_t i = 0; i < w->n && !cli_stopping(); i++) {
		const char *id = w->items[i].id;
		int err = install(
			s, id, w->items[i].step == SYNC_INSTALL ? "installed" : "replaced", why);
		if (cli_lost(err))
			return err;
		if (err != 0 && err != CF_EGONE)
			fail_one(s, id, err, why);
		cli_progress(s->cli, "wrote %zu of %zu certificates", i + 1, w->n);
		why->text[0] = '\0';
	}
	cli_progress_end(s->cli);
	return 0;
}

static int full_pass(struct sync *s, struct why *why)
{
	struct work w = {.s = s};
	char text[160];
	size_t before = s->changed_n;

	s->kept = s->refused = s->failed = 0;
	cli_now(s->cli);
	int err = fetch_each(s->cli, "", FETCH_PLAIN, consider, &w, why);
	if (err == 0)
		err = work_do(&w, why);
	free(w.items);
	if (err != 0)
		return err;
	snprintf(text, sizeof text, "%zu current, %zu written, %zu refused, %zu failed", s->kept,
		s->changed_n - before, s->refused, s->failed);
	say(s, "looked", "", text);
	return 0;
}

/* The reload command */

static int run_command(struct sync *s)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		setenv("CERTFLEET_CHANGED", buf_cstr(&s->changed), 1);
		setenv("CERTFLEET_DIR", s->dir, 1);
		execl("/bin/sh", "sh", "-c", s->reload, (char *)NULL);
		_exit(127);
	}
	if (pid < 0)
		return -1;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void reload(struct sync *s)
{
	char text[160];

	if (s->changed_n == 0)
		return;
	s->first_change_ms = 0;
	if (s->reload != NULL) {
		int status = run_command(s);
		s->reload_failed = status != 0;
		if (status != 0) {
			snprintf(text, sizeof text, "status %d; tried again in %d s", status,
				BACKOFF_MOST_MS / 1000);
			say(s, "reload failed", "", text);
			s->first_change_ms = clock_mono_ms() + BACKOFF_MOST_MS;
			return;
		}
		snprintf(text, sizeof text, "%zu changed file%s", s->changed_n,
			s->changed_n == 1 ? "" : "s");
		say(s, "reloaded", "", text);
	}
	s->changed_n = 0;
	buf_clear(&s->changed);
}

/* Following */

static int on_event(void *arg, const struct stream_entry *e)
{
	struct work *named = arg;
	struct sync *s = named->s;

	if (!fetch_id_ok(e->subject))
		return 0;
	if (strcmp(e->type, EVENT_ISSUED) == 0 || strcmp(e->type, EVENT_RENEWED) == 0) {
		work_add(named, e->subject, SYNC_KEEP);
	} else if (strcmp(e->type, EVENT_REMOVED) == 0) {
		_mem_free_ char *path = mem_printf("%s/%s.pem", s->dir, e->subject);
		if (access(path, F_OK) == 0)
			say(s, "removed", e->subject,
				"it left the fleet; the file stays: delete it when nothing serves "
				"it any more");
	}
	return 0;
}

static int on_gap(void *arg, const struct stream_gap *gap)
{
	struct work *named = arg;
	char text[160];

	snprintf(text, sizeof text, "results after %s and before %s are no longer there",
		gap->after, gap->first);
	say(named->s, "gap", "", text);
	named->s->gap = true;
	return 0;
}

/** Looks at the endpoints that the stream named. */
static int follow_once(struct sync *s, int64_t block_ms, struct why *why)
{
	struct work named = {.s = s};
	struct work found = {.s = s};
	const char *ids[FOLLOW_MAX];
	int err = stream_read(
		s->cli, "results", s->position, block_ms, on_event, on_gap, &named, why);

	for (size_t i = 0; err == 0 && i < named.n; i += FOLLOW_MAX) {
		size_t n = 0;
		for (; n < FOLLOW_MAX && i + n < named.n; n++)
			ids[n] = named.items[i + n].id;
		err = fetch_ids(s->cli, ids, n, FETCH_PLAIN, consider, &found, why);
	}
	if (err == 0)
		err = work_do(&found, why);
	free(named.items);
	free(found.items);
	return err;
}

/** How long a read may wait: not past the end of the batch that waits for its reload. */
static int64_t block_for(const struct sync *s, int64_t now)
{
	int64_t left = s->first_change_ms + s->settle_ms - now;

	if (s->changed_n == 0 || left > BLOCK_MS)
		return BLOCK_MS;
	return left > 1 ? left : 1;
}

static int follow(struct sync *s, struct why *why)
{
	int64_t next_pass = clock_mono_ms() + s->resync_ms;
	int err = 0;

	while (err == 0 && !cli_stopping()) {
		int64_t now = clock_mono_ms();
		if (now >= next_pass || s->gap) {
			s->gap = false;
			err = full_pass(s, why);
			next_pass = now + s->resync_ms;
		}
		if (err == 0)
			err = follow_once(s, block_for(s, now), why);
		if (s->changed_n > 0 && clock_mono_ms() >= s->first_change_ms + s->settle_ms)
			reload(s);
	}
	return err;
}

static int session(struct sync *s, bool once, struct why *why)
{
	int err = cli_connect(s->cli, why);

	if (err == 0)
		err = stream_end(s->cli, "results", s->position, why);
	if (err == 0)
		err = full_pass(s, why);
	reload(s); /* what was written is served even if Redis went away in the middle */
	return err != 0 || once ? err : follow(s, why);
}

static int run(struct sync *s, bool once)
{
	int64_t pause = BACKOFF_LEAST_MS;

	while (!cli_stopping()) {
		struct why why = {0};
		int64_t began = clock_mono_ms();
		int err = session(s, once, &why);
		if (once && err != 0)
			return cli_fail_redis(s->cli, err, &why);
		if (once)
			return s->failed > 0 || s->reload_failed ? CLI_FAILED : CLI_DONE;
		if (err == 0)
			continue;
		if (err == CF_EAUTH)
			return cli_fail_redis(s->cli, err, &why);
		if (clock_mono_ms() - began > BACKOFF_MOST_MS)
			pause = BACKOFF_LEAST_MS;
		say(s, "waiting", "", why.text[0] ? why.text : cf_strerror(err));
		cli_sleep_ms(pause);
		pause = pause * 2 < BACKOFF_MOST_MS ? pause * 2 : BACKOFF_MOST_MS;
	}
	reload(s);
	say(s, "ended", "", "by a signal");
	return CLI_DONE;
}

/** One agent a folder. */
static int lock_dir(struct sync *s)
{
	_mem_free_ char *path = mem_printf("%s/.certfleet-sync.lock", s->dir);

	if (mkdir(s->dir, 0700) != 0 && errno != EEXIST)
		return cli_fail(s->cli, "cannot make the folder %s: %s", s->dir, strerror(errno));
	s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock < 0)
		return cli_fail(
			s->cli, "cannot write in the folder %s: %s", s->dir, strerror(errno));
	if (flock(s->lock, LOCK_EX | LOCK_NB) != 0) {
		close(s->lock);
		return cli_fail(
			s->cli, "another certfleet sync keeps the folder %s already", s->dir);
	}
	return CLI_DONE;
}

int cmd_sync(struct cli *cli, const struct cli_args *args)
{
	struct sync s = {.cli = cli,
		.dir = cli_arg(args, "dir"),
		.reload = cli_arg(args, "reload"),
		.tenant = cli_arg(args, "tenant"),
		.settle_ms = cli_arg_ms(args, "settle"),
		.resync_ms = cli_arg_ms(args, "resync"),
		.changed = BUF_INIT(CLI_TEXT_LIMIT)};
	struct why why = {0};

	if (pem_vault(cli, &s.vault, &why) != 0)
		return cli_fail(cli, "%s", why.text);
	int status = lock_dir(&s);
	if (status == CLI_DONE) {
		cli_catch_signals();
		status = run(&s, cli_flag(args, "once"));
		close(s.lock);
	}
	buf_release(&s.changed);
	vault_close(s.vault);
	return status;
}

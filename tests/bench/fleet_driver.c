/* fleet_driver.c - fills a Redis with a made-up fleet, and keeps it moving; run by fleet_bench.py.
 *
 * usage: fleet_driver fill SOCKET FLEET KEYFILE ENDPOINTS
 *        fleet_driver churn SOCKET FLEET KEYFILE ENDPOINTS LOOKS-A-SECOND SECONDS
 *
 * fill does with each endpoint of fleet_world.c what a fleet does: the request is applied, a verify
 * job is taken, claims its names and is finished, an issue job is taken and finished, all by the
 * scripts. What would be gone after a day (answers to the requests, results) is taken away.
 *
 * churn takes verify jobs that are due and finishes them, so many a second: one in five found
 * something new, says so on the results stream, and breaks or mends the endpoint. Prints how many.
 */
#include "common/clock.h"
#include "common/event.h"
#include "common/mem.h"
#include "common/mp.h"
#include "common/needs.h"
#include "common/str.h"
#include "tests/bench/fleet_world.h"

#include <stdio.h>
#include <string.h>

#define WORKERS  3
#define LEASE_MS 600000
#define OPEN_MAX 1000 /* requests that are not answered */
#define BYTES    65536
#define TICK_MS  50
#define SLOTS    100000

static const struct needs_policy policy = {.verify_every_ms = CLOCK_HOUR_MS,
	.verify_fast_ms = CLOCK_MINUTE_MS,
	.proof_every_ms = CLOCK_DAY_MS};

struct driver;

struct worker {
	struct driver *driver;
	struct redis *redis;
	struct queue *queues[2];
	size_t open; /* jobs that are not finished */
	bool dry;    /* nothing was due */
};

struct driver {
	uv_loop_t loop;
	struct redis_options options;
	struct world *world;
	struct worker workers[WORKERS];
	enum queue_id queue;
	size_t up_n, endpoints, sent, applied, finished, changed, asked;
	size_t rate, allowed, wanted; /* churn */
	int64_t next_ms;
	const char *failed;
};

static void die(const char *what, int err)
{
	fprintf(stderr, "fleet_driver: %s: %s\n", what, cf_strerror(err));
	exit(1);
}

static void must(int err, const char *what)
{
	if (err)
		die(what, err);
}

/* --- add */

static void on_applied(void *arg, int err, bool dup, const char *conflict)
{
	struct driver *d = arg;

	(void)dup;
	if (err && conflict && *conflict)
		fprintf(stderr, "fleet_driver: %s\n", conflict);
	must(err, "apply");
	d->applied++;
}

static void entry(struct buf *out, int64_t at_ms, const char *what, const char *text)
{
	size_t map = mp_map_open(out);

	mp_key_int(out, "t", at_ms);
	mp_key_str(out, "what", what);
	mp_key_str(out, "text", text);
	mp_map_close(out, map);
}

static void add(struct driver *d, uint64_t i)
{
	_buf_release_ struct buf config = BUF_INIT(BYTES), added = BUF_INIT(BYTES);
	struct queue_plan now = {.intent = INTENT_LOOK, .lane = LANE_NORMAL, .why = "new"};
	const char *names[2];
	struct endpoint e;

	world_make(d->world, i, &e);
	must(endpoint_config_encode(&e.config, &config), "encode");
	entry(&added, e.config.created_ms, "added", "import");
	for (size_t k = 0; k < e.config.names_n; k++)
		names[k] = e.config.names[k];
	queue_apply(d->workers[0].redis,
		&(struct queue_apply){.source = "bench",
			.request_id = e.config.id,
			.op = "add",
			.endpoint = e.config.id,
			.tenant = e.config.tenant,
			.config = config.data,
			.config_len = config.len,
			.names_added = names,
			.names_added_n = e.config.names_n,
			.new_generation = true,
			.verify = &now,
			.answer = "\x80",
			.answer_len = 1,
			.timeline = added.data,
			.timeline_len = added.len},
		on_applied, d);
	endpoint_release(&e);
}

static void add_all(struct driver *d)
{
	for (uint64_t i = 0; i < d->endpoints; i++) {
		add(d, i);
		while (d->applied + OPEN_MAX < i)
			uv_run(&d->loop, UV_RUN_ONCE);
	}
	while (d->applied < d->endpoints)
		uv_run(&d->loop, UV_RUN_ONCE);
}

/* --- take and finish */

static void take(struct worker *w);

static void on_finished(void *arg, int err)
{
	struct worker *w = arg;

	must(err, "finish");
	if (++w->driver->finished > 2 * w->driver->endpoints && !w->driver->rate)
		die("jobs come back at once", CF_ELOST);
	if (--w->open == 0 && !w->driver->rate)
		take(w);
}

static const struct queue_plan *plan_of(const struct need *need, struct queue_plan *out)
{
	if (!need->any)
		return NULL;
	*out = (struct queue_plan){need->intent, need->lane, need->due_ms, need->why};
	return out;
}

static void send_finish(
	struct worker *w, struct queue_finish *f, const struct endpoint *e, int64_t now)
{
	char code[ENDPOINT_CODE_MAX + 1];

	f->generation = 1;
	f->state = endpoint_state_name(endpoint_state_of(e, now, code));
	f->reason = code;
	queue_finish(w->queues[w->driver->queue], f, on_finished, w);
}

/* A job whose look found what the made-up endpoint is to have. */
struct look {
	struct worker *worker;
	char id[ENDPOINT_ID_MAX + 1], token[QUEUE_TOKEN_LEN + 1];
	uint64_t want;
};

static void finish_look(void *arg, int err, const struct queue_claim_result *results, size_t n)
{
	_buf_release_ struct buf v = BUF_INIT(BYTES), seen = BUF_INIT(BYTES);
	_mem_free_ struct look *l = arg;
	struct driver *d = l->worker->driver;
	int64_t now = clock_wall_ms();
	double jitter = needs_jitter(l->id);
	struct queue_plan next, other;
	struct need look,
		issue = {.intent = INTENT_PROVISION, .lane = LANE_NORMAL, .why = "dns_right"};
	struct endpoint e;

	(void)results;
	(void)n;
	must(err, "claim");
	world_make(d->world, world_number(l->id), &e);
	must(endpoint_verdict_encode(&e.verdict, &v), "encode");
	entry(&seen, e.verdict.changed_ms, "dns", "traffic right, challenge right");
	look = needs_verify(&e, &policy, now, jitter);
	issue.any = e.has_cert || e.issuance.failures || e.issuance.wait_ms;
	send_finish(l->worker,
		&(struct queue_finish){.id = l->id,
			.token = l->token,
			.want = l->want,
			.sets = &(struct queue_set){"v", v.data, v.len},
			.sets_n = 1,
			.next = plan_of(&look, &next),
			.other = plan_of(&issue, &other),
			.timeline = (const void *[]){seen.data},
			.timeline_lens = &seen.len,
			.timeline_n = 1},
		&e, now);
	endpoint_release(&e);
}

static void claim(struct worker *w, const struct queue_job *job)
{
	struct look *l = mem_zalloc(sizeof *l);
	struct queue_claim_name names[2];
	struct endpoint e;

	l->worker = w;
	l->want = job->want;
	snprintf(l->id, sizeof l->id, "%s", job->id);
	snprintf(l->token, sizeof l->token, "%s", job->token);
	world_make(w->driver->world, world_number(l->id), &e);
	for (size_t i = 0; i < e.config.names_n; i++)
		names[i] = (struct queue_claim_name){
			.name = e.config.names[i], .proven = true, .exclusive = true};
	queue_claim(
		w->queues[QUEUE_VERIFY], l->id, l->token, names, e.config.names_n, finish_look, l);
	endpoint_release(&e);
}

static void finish_issue(struct worker *w, const struct queue_job *job)
{
	_buf_release_ struct buf x = BUF_INIT(BYTES), k = BUF_INIT(BYTES), i = BUF_INIT(BYTES),
				 done = BUF_INIT(BYTES);
	struct driver *d = w->driver;
	const struct buf *chain = world_chain(d->world);
	int64_t now = clock_wall_ms();
	struct queue_set sets[3];
	const void *entries[1];
	struct queue_plan next;
	struct endpoint e;
	struct need need;
	size_t n = 0;
	struct queue_finish f = {.id = job->id,
		.token = job->token,
		.want = job->want,
		.sets = sets,
		.timeline = entries,
		.timeline_lens = &done.len};

	world_make(d->world, world_number(job->id), &e);
	must(endpoint_issuance_encode(&e.issuance, &i), "encode");
	sets[n++] = (struct queue_set){"i", i.data, i.len};
	if (e.has_cert) {
		must(endpoint_cert_encode(&e.cert, &x), "encode");
		world_key(d->world, job->id, &k);
		sets[n++] = (struct queue_set){"x", x.data, x.len};
		sets[n++] = (struct queue_set){"k", k.data, k.len};
		entry(&done, e.cert.issued_ms, "issued", e.cert.serial);
		f.expiry_ms = e.cert.not_after_ms;
		f.chain_sha = e.cert.chain_sha;
		f.chain = chain->data;
		f.chain_len = chain->len;
		entries[0] = done.data;
		f.timeline_n = 1;
	}
	f.sets_n = n;
	need = needs_issue(&e, &policy, now, needs_jitter(job->id));
	f.next = plan_of(&need, &next);
	f.park = world_is_parked(world_number(job->id)) ? "lapses" : NULL;
	send_finish(w, &f, &e, now);
	endpoint_release(&e);
}

static void on_taken(
	void *arg, int err, const struct queue_job *jobs, size_t n, int64_t next_due_ms)
{
	struct worker *w = arg;

	(void)next_due_ms;
	must(err, "take");
	w->open = n;
	w->dry = !n;
	for (size_t i = 0; i < n; i++)
		if (w->driver->queue == QUEUE_VERIFY)
			claim(w, &jobs[i]);
		else
			finish_issue(w, &jobs[i]);
}

static void take(struct worker *w)
{
	queue_take(w->queues[w->driver->queue], QUEUE_BATCH, SLOTS, 0, QUEUE_SUSPECTS, on_taken, w);
}

/* Until nothing is due. */
static void work_off(struct driver *d, enum queue_id q)
{
	size_t before = d->finished;
	bool busy = true;

	d->queue = q;
	for (size_t i = 0; i < WORKERS; i++) {
		d->workers[i].dry = false;
		take(&d->workers[i]);
	}
	while (busy) {
		uv_run(&d->loop, UV_RUN_ONCE);
		busy = false;
		for (size_t i = 0; i < WORKERS; i++)
			busy = busy || !d->workers[i].dry;
	}
	printf("%s=%zu\n", queue_name(q), d->finished - before);
}

/* --- what a day takes away */

static void on_gone(void *arg, int err, const struct reply *reply)
{
	struct driver *d = arg;

	(void)reply;
	must(err, "clean");
	d->applied++;
}

static void forget(struct driver *d)
{
	struct redis *r = d->workers[0].redis;
	const char *prefix = redis_prefix(r);
	_mem_free_ char *results = mem_printf("%sresults", prefix);

	d->applied = 0;
	for (uint64_t i = 0; i < d->endpoints; i++) {
		_mem_free_ char *key = NULL;
		struct endpoint e;

		world_make(d->world, i, &e);
		key = mem_printf("%sreq:bench:%s", prefix, e.config.id);
		endpoint_release(&e);
		redis_commandv(r, on_gone, d, "UNLINK", key, NULL);
		while (d->applied + OPEN_MAX < i)
			uv_run(&d->loop, UV_RUN_ONCE);
	}
	redis_commandv(r, on_gone, d, "XTRIM", results, "MAXLEN", "1000", NULL);
	while (d->applied <= d->endpoints)
		uv_run(&d->loop, UV_RUN_ONCE);
}

static double step(double *since, const char *what)
{
	double now = (double)clock_mono_ms() / 1000;

	printf("%s_seconds=%.1f\n", what, now - *since);
	fflush(stdout);
	*since = now;
	return now;
}

/* Also by itself, where a fill was broken off in the middle of it. */
static void issue(struct driver *d, double *at)
{
	world_now(d->world, clock_wall_ms());
	work_off(d, QUEUE_ISSUE);
	step(at, "issue");
	forget(d);
	step(at, "forget");
}

static void fill(struct driver *d)
{
	double at = (double)clock_mono_ms() / 1000;

	add_all(d);
	step(&at, "add");
	world_now(d->world, clock_wall_ms());
	work_off(d, QUEUE_VERIFY);
	step(&at, "verify");
	issue(d, &at);
}

/* --- churn */

static bool is_broken(const struct endpoint *e)
{
	return e->verdict.names_n && e->verdict.names[0].challenge.status != RECORD_RIGHT;
}

static void change(struct endpoint *e, int64_t now)
{
	if (is_broken(e))
		world_mend(e, now);
	else
		world_break(e, now);
	e->verdict.unchanged_looks = 0;
}

static void look_again(struct worker *w, const struct queue_job *job)
{
	_buf_release_ struct buf v = BUF_INIT(BYTES), told = BUF_INIT(BYTES);
	_mem_free_ char *id = mem_printf("dns/%s/%s", job->id, job->token);
	struct driver *d = w->driver;
	int64_t now = clock_wall_ms();
	struct endpoint e = {0};
	struct queue_plan next, other;
	struct need need, issue;
	bool differs = d->sent++ % 5 == 0;
	size_t map;

	must(endpoint_decode(job->fields, &e, NULL), "decode");
	e.verdict.looked_ms = now;
	e.verdict.unchanged_looks++;
	if (differs && e.verdict.names_n)
		change(&e, now);
	d->changed += differs;
	must(endpoint_verdict_encode(&e.verdict, &v), "encode");
	need = needs_verify(&e, &policy, now, needs_jitter(job->id));
	issue = needs_issue(&e, &policy, now, needs_jitter(job->id));
	issue.any = issue.any && differs; /* as a worker does */
	map = mp_map_open(&told);
	mp_key_int(&told, "V", 1);
	mp_key_str(&told, "endpoint", job->id);
	mp_key_str(&told, "tenant", e.config.tenant);
	mp_map_close(&told, map);
	send_finish(w,
		&(struct queue_finish){.id = job->id,
			.token = job->token,
			.want = job->want,
			.sets = &(struct queue_set){"v", v.data, v.len},
			.sets_n = 1,
			.next = plan_of(&need, &next),
			.other = plan_of(&issue, &other),
			.events = &(struct queue_event){.type = EVENT_DNS_CHANGED,
				.id = id,
				.data = told.data,
				.len = told.len},
			.events_n = differs},
		&e, now);
	endpoint_release(&e);
}

static void on_asked(void *arg, int err)
{
	(void)arg;
	must(err, "ask");
}

/* As a person does by the API, when fewer are due than are wanted. */
static void ask_for(struct driver *d, size_t n)
{
	struct queue_plan now = {.intent = INTENT_LOOK, .lane = LANE_PERSON, .why = "asked"};

	for (size_t i = 0; i < n; i++) {
		struct endpoint e;

		world_make(d->world, d->asked++ * 7919 % d->endpoints, &e);
		queue_ask(d->workers[0].redis, QUEUE_VERIFY, e.config.id, &now, false, on_asked, d);
		endpoint_release(&e);
	}
}

static void on_due(void *arg, int err, const struct queue_job *jobs, size_t n, int64_t next_due_ms)
{
	struct worker *w = arg;

	(void)next_due_ms;
	must(err, "take");
	w->open = n;
	for (size_t i = 0; i < n; i++)
		look_again(w, &jobs[i]);
	w->driver->wanted -= n < w->driver->wanted ? n : w->driver->wanted;
	ask_for(w->driver, w->driver->wanted);
	w->dry = true;
}

static void on_tick(uv_timer_t *timer)
{
	struct driver *d = timer->data;
	struct worker *w = &d->workers[0];
	int64_t now = clock_mono_ms();

	d->wanted += (size_t)(now - d->next_ms) * d->rate / 1000;
	d->next_ms += (int64_t)((size_t)(now - d->next_ms) * d->rate / 1000 * 1000 / d->rate);
	if (w->open || !w->dry || !d->wanted)
		return;
	w->dry = false;
	queue_take(w->queues[QUEUE_VERIFY], d->wanted < QUEUE_BATCH ? d->wanted : QUEUE_BATCH,
		SLOTS, 0, QUEUE_SUSPECTS, on_due, w);
}

static void churn(struct driver *d, size_t rate, int64_t seconds)
{
	int64_t start = clock_mono_ms();
	uv_timer_t timer;

	d->rate = rate;
	d->queue = QUEUE_VERIFY;
	d->next_ms = start;
	d->workers[0].dry = true;
	uv_timer_init(&d->loop, &timer);
	timer.data = d;
	uv_timer_start(&timer, on_tick, 0, TICK_MS);
	while (clock_mono_ms() - start < seconds * 1000 || d->workers[0].open)
		uv_run(&d->loop, UV_RUN_ONCE);
	printf("looks=%zu\nchanged=%zu\nseconds=%.1f\n", d->finished, d->changed,
		(double)(clock_mono_ms() - start) / 1000);
}

/* --- life */

static void on_state(void *arg, bool up, const struct why *why)
{
	struct worker *w = arg;

	(void)why;
	w->driver->up_n += up;
}

static void connect_workers(struct driver *d)
{
	for (size_t i = 0; i < WORKERS; i++) {
		struct worker *w = &d->workers[i];
		char name[16];

		snprintf(name, sizeof name, "bench%zu", i);
		w->driver = d;
		w->redis = redis_new(&d->loop, &d->options, on_state, w);
		for (int q = 0; q < 2; q++)
			w->queues[q] = queue_new(w->redis, (enum queue_id)q, name, LEASE_MS);
	}
	while (d->up_n < WORKERS)
		uv_run(&d->loop, UV_RUN_ONCE);
}

int main(int argc, char **argv)
{
	struct driver d = {.endpoints = argc > 5 ? strtoul(argv[5], NULL, 10) : 0};
	double at = (double)clock_mono_ms() / 1000;
	bool is_churn = argc > 1 && !strcmp(argv[1], "churn");

	if (argc != (is_churn ? 8 : 6) || !d.endpoints) {
		fprintf(stderr, "usage: fleet_driver fill SOCKET FLEET KEYFILE ENDPOINTS\n"
				"       fleet_driver churn … LOOKS-A-SECOND SECONDS\n");
		return 2;
	}
	d.options = (struct redis_options){
		.unix_path = argv[2], .fleet = argv[3], .timeout_ms = CLOCK_MINUTE_MS};
	d.world = world_new(argv[4], clock_wall_ms());
	uv_loop_init(&d.loop);
	connect_workers(&d);
	if (is_churn)
		churn(&d, strtoul(argv[6], NULL, 10), strtol(argv[7], NULL, 10));
	else if (!strcmp(argv[1], "issue"))
		issue(&d, &at);
	else
		fill(&d);
	world_free(d.world);
	return 0;
}

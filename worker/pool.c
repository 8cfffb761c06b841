#include "worker/pool.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/stats.h"

#include <stdio.h>
#include <string.h>

#define POLL_MS          1000
#define RETRY_MS         500
#define TICK_MS          250
#define CHECKPOINT_LIMIT (256u << 10)

struct pool {
	struct pool_options o;
	struct queue *queue;
	struct job *jobs; /* running or being written */
	uint32_t running;
	uint32_t suspects, alone; /* of those that run; alone: lapsed as a suspect already */
	bool taking, again, draining;
	uv_timer_t poll;
	uv_timer_t tick; /* beats, and leases that this side gives up */
	int64_t beat_at_ms;
	int64_t grace_end_ms;
	void (*drained)(void *arg);
	void *drained_arg;
	int open_handles;
};

static void take(struct pool *p);

static struct job *find(struct pool *p, const char *id)
{
	for (struct job *j = p->jobs; j; j = j->next)
		if (!strcmp(j->id, id))
			return j;
	return NULL;
}

static void check_drained(struct pool *p)
{
	void (*done)(void *) = p->drained;

	if (!p->draining || p->running || p->taking || !done)
		return;
	p->drained = NULL;
	done(p->drained_arg);
}

static void free_job(struct job *job)
{
	endpoint_release(&job->endpoint);
	buf_release(&job->key);
	buf_release(&job->checkpoint);
	buf_release(&job->conditions);
	buf_release(&job->dropped);
	outcome_free(job->outcome);
	free(job);
}

/* What is still in flight for it is answered later, and then frees it. */
static void detach(struct job *job)
{
	struct pool *p = job->pool;

	job->detached = true;
	for (struct job **at = &p->jobs; *at; at = &(*at)->next) {
		if (*at != job)
			continue;
		*at = job->next;
		p->running--;
		p->suspects -= job->lane == LANE_SUSPECT;
		p->alone -= job->alone;
		break;
	}
}

static void forget(struct job *job)
{
	struct pool *p = job->pool;

	if (!job->detached)
		detach(job);
	free_job(job);
	check_drained(p);
	if (!p->draining)
		take(p);
}

static void stop(struct job *job, enum job_stop why)
{
	if (!job->outcome && !job->releasing)
		job->pool->o.kind->stop(job, why);
}

static void count_end(const struct job *job, const char *how)
{
	const char *queue = queue_name(job->pool->o.kind->queue);

	metric_inc(&stats_jobs_ended, LABELS(queue, how));
	metric_observe(&stats_job_seconds,
		(double)(clock_mono_ms() - job->started_mono_ms) / 1000.0, LABELS(queue));
}

static void say_lost(const struct job *job, const char *why)
{
	LOG(WARN, "job_lost", LF("endpoint", job->id),
		LF("queue", queue_name(job->pool->o.kind->queue)), LF("why", why));
}

static void lost(struct job *job, const char *why)
{
	count_end(job, "lost");
	say_lost(job, why);
	stop(job, JOB_STOP_LOST);
	forget(job);
}

/* --- the end of a job: written again each tick or so until Redis answers. While it is being
 * written nothing but the answer ends it. */

static void written(void *arg, int err)
{
	struct job *job = arg;
	bool final = !err || err == CF_ELOST || err == CF_EGONE || err == CF_EINVAL ||
		     err == CF_ECANCELED;

	job->in_flight = false;
	if (!final && !job->detached) {
		job->retry_mono_ms = clock_mono_ms() + RETRY_MS;
		return;
	}
	count_end(job, job->given_up  ? "lost"
		       : err          ? "refused"
		       : job->outcome ? "finished"
				      : "released");
	if (err && err != CF_ECANCELED && !job->given_up)
		LOG(WARN, "job_outcome_refused", LF("endpoint", job->id),
			LF("queue", queue_name(job->pool->o.kind->queue)),
			LF("why", cf_strerror(err)));
	forget(job);
}

static void write_outcome(struct job *job)
{
	struct queue *q = job->pool->queue;

	job->in_flight = true;
	if (!job->outcome)
		queue_release(q, job->id, job->token, job->release_due_ms, job->release_why,
			written, job);
	else
		queue_finish(q,
			outcome_as_finish(job->outcome, job->id, job->token,
				job->endpoint.generation, job->want),
			written, job);
}

void job_finish(struct job *job, struct outcome *outcome)
{
	job->work = NULL;
	job->outcome = outcome;
	write_outcome(job);
}

void job_release(struct job *job, int64_t due_ms, const char *why)
{
	LOG(INFO, "job_released", LF("endpoint", job->id),
		LF("queue", queue_name(job->pool->o.kind->queue)), LF("why", why));
	job->work = NULL;
	job->releasing = true;
	job->release_due_ms = due_ms;
	job->release_why = why;
	write_outcome(job);
}

/* Nothing more is done for it here. But whoever can say so is alive: if nobody else has the job
 * yet, it lapsed because Redis could not be reached, and that is not held against it. */
static void give_up(struct job *job)
{
	say_lost(job, "the lease could not be extended in time");
	stop(job, JOB_STOP_LOST);
	job->work = NULL;
	job->releasing = job->given_up = true;
	job->release_due_ms = 0;
	job->release_why = "lease ended";
	write_outcome(job);
}

/* --- the beginning of a job */

static void copy_field(struct buf *to, const struct endpoint_field *from)
{
	*to = BUF_INIT(CHECKPOINT_LIMIT);
	if (from->bytes)
		buf_add(to, from->bytes, from->len);
}

static struct job *new_job(struct pool *p, const struct queue_job *q, int64_t sent_mono_ms)
{
	struct job *job = mem_zalloc(sizeof *job);

	job->pool = p;
	job->worker = p->o.worker;
	snprintf(job->id, sizeof job->id, "%s", q->id);
	snprintf(job->token, sizeof job->token, "%s", q->token);
	job->intent = q->intent;
	job->lane = q->lane;
	job->attempt = q->attempt;
	job->want = q->want;
	job->started_mono_ms = clock_mono_ms();
	metric_inc(&stats_jobs_started,
		LABELS(queue_name(p->o.kind->queue), job_intent_name(q->intent)));
	job->lease_end_mono_ms = sent_mono_ms + q->lease_ms;
	copy_field(&job->key, &q->key);
	copy_field(&job->checkpoint, &q->fields[7]);
	copy_field(&job->dropped, &q->fields[8]);
	copy_field(&job->conditions, &q->conditions);
	job->next = p->jobs;
	p->jobs = job;
	p->running++;
	p->suspects += job->lane == LANE_SUSPECT;
	job->alone = job->lane == LANE_SUSPECT && q->lapses > 0;
	p->alone += job->alone;
	return job;
}

static void park_unreadable(struct job *job, const struct why *why)
{
	LOG(ERROR, "endpoint_unreadable", LF("endpoint", job->id), LF("why", why->text));
	job_release(job, clock_wall_ms() + CLOCK_HOUR_MS, "unreadable record");
}

/* A job of this process lapsed and was given to it anew: what it still has of it is void. */
static void make_way(struct job *job)
{
	if (!job->outcome && !job->releasing)
		lost(job, "its lease lapsed, and it was given anew");
	else if (job->in_flight)
		detach(job);
	else
		forget(job);
}

static void start_job(struct pool *p, const struct queue_job *q, int64_t sent_mono_ms)
{
	struct why why = {""};
	struct job *job = find(p, q->id);

	if (job && !strcmp(job->token, q->token))
		return; /* given again by the same nonce: it runs already */
	if (job)
		make_way(job);
	job = new_job(p, q, sent_mono_ms);
	if (endpoint_decode(q->fields, &job->endpoint, &why)) {
		park_unreadable(job, &why);
		return;
	}
	LOG(DEBUG, "job_started", LF("endpoint", job->id),
		LF("queue", queue_name(p->o.kind->queue)),
		LF("intent", job_intent_name(job->intent)), LF_INT("attempt", job->attempt),
		LF("token", job->token));
	p->o.kind->start(job);
}

struct taking {
	struct pool *pool;
	int64_t sent_mono_ms;
	size_t asked;
};

static void taken(void *arg, int err, const struct queue_job *jobs, size_t n, int64_t next_due_ms)
{
	struct taking *t = arg;
	struct pool *p = t->pool;
	bool full = !err && n == t->asked;
	int64_t pause = err || next_due_ms <= 0 || next_due_ms > POLL_MS ? POLL_MS : next_due_ms;

	for (size_t i = 0; i < n; i++) /* none is taken beside them, before all have their slots */
		start_job(p, &jobs[i], t->sent_mono_ms);
	p->taking = false;
	free(t);
	check_drained(p);
	if (p->draining)
		return;
	uv_timer_start(&p->poll, p->poll.timer_cb, (uint64_t)pause, POLL_MS);
	if (full || p->again)
		take(p);
}

static unsigned more_suspects(const struct pool *p)
{
	return p->alone || p->suspects >= QUEUE_SUSPECTS ? 0 : QUEUE_SUSPECTS - p->suspects;
}

static void take(struct pool *p)
{
	uint32_t free_slots = p->o.slots > p->running ? p->o.slots - p->running : 0;
	struct taking *t;

	if (p->taking) {
		p->again = true;
		return;
	}
	p->again = false;
	if (p->draining || !free_slots || !redis_is_up(p->o.redis))
		return;
	t = mem_zalloc(sizeof *t);
	t->pool = p;
	t->sent_mono_ms = clock_mono_ms();
	t->asked = free_slots < QUEUE_BATCH ? free_slots : QUEUE_BATCH;
	p->taking = true;
	queue_take(p->queue, t->asked, p->o.slots, p->running, more_suspects(p), taken, t);
}

static void on_poll(uv_timer_t *t)
{
	take(t->data);
}

void pool_wake(struct pool *p)
{
	take(p);
}

/* --- leases */

struct beating {
	struct pool *pool;
	int64_t sent_mono_ms;
	size_t left;
};

static void beaten(void *arg, int err, const char *id, bool was_lost, bool cancelled)
{
	struct beating *b = arg;
	struct job *job = err == CF_ECANCELED ? NULL : find(b->pool, id);

	if (job && job->started_mono_ms >= b->sent_mono_ms)
		job = NULL; /* was asked for the one before */
	if (job && !err && !job->outcome && !job->releasing) {
		if (was_lost)
			lost(job, "another worker has it");
		else if (cancelled)
			stop(job, JOB_STOP_DRAIN), job_release(job, 0, "cancelled");
		else
			job->lease_end_mono_ms = b->sent_mono_ms + b->pool->o.lease_ms;
	}
	if (--b->left == 0)
		free(b);
}

static void beat(struct pool *p)
{
	_mem_free_ const char **ids = mem_array(p->running, sizeof *ids);
	_mem_free_ const char **tokens = mem_array(p->running, sizeof *tokens);
	struct beating *b;
	size_t n = 0;

	for (struct job *j = p->jobs; j; j = j->next) {
		ids[n] = j->id;
		tokens[n++] = j->token;
	}
	if (!n)
		return;
	b = mem_zalloc(sizeof *b);
	*b = (struct beating){.pool = p, .sent_mono_ms = clock_mono_ms(), .left = n};
	queue_beat(p->queue, ids, tokens, n, beaten, b);
}

/* A job whose lease may have lapsed is given up here before another worker can have it; an outcome
 * that could not be written is tried again, since Redis judges it by its token. */
static void look_after_jobs(struct pool *p, int64_t now)
{
	struct job *next;

	for (struct job *j = p->jobs; j; j = next) {
		next = j->next;
		if (j->outcome || j->releasing) {
			if (!j->in_flight && now >= j->retry_mono_ms)
				write_outcome(j);
		} else if (now >= j->lease_end_mono_ms - TICK_MS) {
			give_up(j);
		}
	}
}

static void release_all(struct pool *p)
{
	struct job *next;

	for (struct job *j = p->jobs; j; j = next) {
		next = j->next;
		if (j->outcome || j->releasing)
			continue;
		stop(j, JOB_STOP_DRAIN);
		job_release(j, 0, "drain");
	}
}

static void beat_now(struct pool *p, int64_t now)
{
	p->beat_at_ms = now + p->o.lease_ms / 3;
	beat(p);
}

static void on_tick(uv_timer_t *t)
{
	struct pool *p = t->data;
	int64_t now = clock_mono_ms();

	look_after_jobs(p, now);
	if (p->draining && now >= p->grace_end_ms)
		release_all(p);
	if (now >= p->beat_at_ms)
		beat_now(p, now);
}

void pool_redis_up(struct pool *p)
{
	beat_now(p, clock_mono_ms());
	for (struct job *j = p->jobs; j; j = j->next)
		if ((j->outcome || j->releasing) && !j->in_flight)
			write_outcome(j);
	queue_flush(p->queue);
}

/* --- life */

struct pool *pool_new(const struct pool_options *options)
{
	struct pool *p = mem_zalloc(sizeof *p);

	p->o = *options;
	p->queue =
		queue_new(options->redis, options->kind->queue, options->name, options->lease_ms);
	if (options->barrier)
		queue_set_barrier(p->queue, options->barrier);
	uv_timer_init(options->loop, &p->poll);
	uv_timer_init(options->loop, &p->tick);
	p->poll.data = p;
	p->tick.data = p;
	p->open_handles = 2;
	uv_timer_start(&p->poll, on_poll, 0, POLL_MS);
	uv_timer_start(&p->tick, on_tick, TICK_MS, TICK_MS);
	return p;
}

static void handle_closed(uv_handle_t *h)
{
	struct pool *p = h->data;

	if (--p->open_handles == 0)
		free(p);
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	p->draining = true;
	p->drained = NULL;
	for (struct job *j = p->jobs; j; j = j->next) /* or the end of a call would begin another */
		stop(j, JOB_STOP_LOST);
	queue_free(p->queue);
	while (p->jobs) {
		struct job *j = p->jobs;

		p->jobs = j->next;
		free_job(j);
	}
	uv_close((uv_handle_t *)&p->poll, handle_closed);
	uv_close((uv_handle_t *)&p->tick, handle_closed);
}

void pool_drain(struct pool *p, int64_t grace_ms, void (*done)(void *arg), void *arg)
{
	p->draining = true;
	p->drained = done;
	p->drained_arg = arg;
	p->grace_end_ms = clock_mono_ms() + grace_ms;
	uv_timer_stop(&p->poll);
	check_drained(p);
}

uint32_t pool_running(const struct pool *p)
{
	return p->running;
}

uint32_t pool_slots(const struct pool *p)
{
	return p->o.slots;
}

struct queue *pool_queue(struct pool *p)
{
	return p->queue;
}

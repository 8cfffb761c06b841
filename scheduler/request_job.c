#include "scheduler/request_job.h"

#include "common/clock.h"
#include "common/event.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/mp.h"

#include <stdio.h>
#include <string.h>

#define ROUNDS_MAX       64 /* reads of the endpoint before the request is left for later */
#define CONFIG_BYTES_MAX 65536
#define ANSWER_BYTES_MAX 4096
#define HIDDEN           "~" /* before the source: an answer that nobody may see before the barrier */

struct request_job {
	const struct request_context *context;
	struct request request;
	struct request_refusal refusal;
	bool refused;
	char id[ENDPOINT_ID_MAX + 1]; /* the endpoint's */
	unsigned try, rounds;
	request_job_fn *done;
	void *arg;
};

static void read_endpoint(struct request_job *job);

static void end(struct request_job *job, enum request_end how)
{
	job->done(job->arg, job, how);
}

static void later(struct request_job *job, const char *what, int err)
{
	LOG(WARN, "request_later", LF("request", job->request.id), LF("type", job->request.type),
		LF("endpoint", job->id), LF("at", what), LF("why", cf_strerror(err)));
	end(job, REQUEST_END_LATER);
}

static void log_end(const struct request_job *job, bool dup)
{
	const struct request *r = &job->request;

	if (dup)
		LOG(INFO, "request_repeated", LF("type", r->type), LF("endpoint", job->id),
			LF("source", r->source), LF("request", r->id));
	else if (job->refused)
		LOG(INFO, "request_refused", LF("type", r->type), LF("endpoint", job->id),
			LF("source", r->source), LF("request", r->id),
			LF("code", job->refusal.code), LF("why", job->refusal.why.text));
	else
		LOG(INFO, "request_applied", LF("type", r->type), LF("endpoint", job->id),
			LF("source", r->source), LF("request", r->id));
}

static void finish(struct request_job *job, bool dup)
{
	log_end(job, dup);
	end(job, dup            ? REQUEST_END_REPEATED
		 : job->refused ? REQUEST_END_REFUSED
				: REQUEST_END_DONE);
}

/* --- behind a barrier */

static void answered(void *arg, int err, const struct reply *reply)
{
	struct request_job *job = arg;

	if (err)
		later(job, "answer", err);
	else
		finish(job, reply_int(reply) == 0);
}

static void publish(struct request_job *job)
{
	const struct request *r = &job->request;
	const char *argv[] = {r->source, r->id, r->stream_id};

	redis_script(job->context->redis, "answer", ARRAY_LEN(argv), argv, NULL, answered, job);
}

static void replicated(void *arg, int err)
{
	struct request_job *job = arg;

	if (err)
		later(job, "barrier", err);
	else
		publish(job);
}

/* --- apply */

static bool hidden(const struct request_job *job)
{
	return job->context->barrier && !job->refused;
}

static void refuse_conflict(struct request_job *job, const char *conflict);
static void refuse_script(struct request_job *job, int err, const char *text);

static void applied(void *arg, int err, bool dup, const char *conflict)
{
	struct request_job *job = arg;

	switch (err) {
	case 0:
		if (hidden(job))
			barrier_wait(job->context->barrier, job->context->redis, replicated, job);
		else
			finish(job, dup);
		return;
	case CF_EEXIST:
		if (conflict && conflict[0])
			refuse_conflict(job, conflict);
		else
			read_endpoint(job);
		return;
	case CF_ENOTFOUND:
	case CF_EGONE:
	case CF_ESTALE:
		read_endpoint(job);
		return;
	case CF_EINVAL:
	case CF_ETOOBIG:
		if (!job->refused) {
			refuse_script(job, err, conflict);
			return;
		}
		break;
	default:
		break;
	}
	later(job, "apply", err);
}

/* Deterministic: a request that is applied again says the same. */
static void event_id(const struct request_job *job, const char *what, char *out, size_t size)
{
	snprintf(out, size, "%s/%s/%s", what, job->request.source, job->request.id);
}

static void refuse(struct request_job *job)
{
	_buf_release_ struct buf answer = BUF_INIT(ANSWER_BYTES_MAX);
	char id[REQUEST_SOURCE_MAX + REQUEST_ID_MAX + 32];
	const struct request *r = &job->request;
	struct queue_apply a = {
		.stream_id = r->stream_id,
		.source = r->source,
		.request_id = r->id,
		.op = "refuse",
		.endpoint = job->id,
		.tenant = r->tenant,
	};

	job->refused = true;
	request_answer(r, job->id, 0, &job->refusal, &answer);
	event_id(job, "req", id, sizeof id);
	a.answer = answer.data;
	a.answer_len = answer.len;
	a.events[a.events_n++] = (struct queue_event){
		.type = EVENT_REQUEST_REFUSED, .id = id, .data = answer.data, .len = answer.len};
	queue_apply(job->context->redis, &a, applied, job);
}

static void refuse_conflict(struct request_job *job, const char *conflict)
{
	snprintf(job->refusal.code, sizeof job->refusal.code, "exists");
	why_set(&job->refusal.why, 0, "%s", conflict);
	refuse(job);
}

/* The script found what the checks here did not: as final as theirs. */
static void refuse_script(struct request_job *job, int err, const char *text)
{
	snprintf(job->refusal.code, sizeof job->refusal.code, "invalid");
	why_set(&job->refusal.why, 0, "%s", text && text[0] ? text : cf_strerror(err));
	refuse(job);
}

static const struct queue_plan *plan_of(const struct need *need, struct queue_plan *out)
{
	if (!need->any)
		return NULL;
	*out = (struct queue_plan){.intent = need->intent,
		.lane = need->lane,
		.due_ms = need->due_ms,
		.why = need->why};
	return out;
}

static void timeline_entry(
	const char *what, int64_t now_ms, const struct request *r, struct buf *out)
{
	size_t map = mp_map_open(out);

	mp_key_int(out, "t", now_ms);
	mp_key_str(out, "what", what);
	mp_key_str(out, "text", r->source);
	mp_map_close(out, map);
}

/* The buffers that an application borrows while it is sent. */
struct parcel {
	struct buf config, answer, event, timeline, hidden;
	char done_id[REQUEST_SOURCE_MAX + REQUEST_ID_MAX + 32],
		event_id[REQUEST_SOURCE_MAX + REQUEST_ID_MAX + 32];
	char source[REQUEST_SOURCE_MAX + 2];
	struct queue_plan verify, issue;
	struct queue_event events[2];
	size_t events_n;
};

static void parcel_release(struct parcel *p)
{
	buf_release(&p->config);
	buf_release(&p->answer);
	buf_release(&p->event);
	buf_release(&p->timeline);
	buf_release(&p->hidden);
}

static void add_event(struct parcel *p, const char *type, const char *id, const struct buf *data)
{
	p->events[p->events_n++] =
		(struct queue_event){.type = type, .id = id, .data = data->data, .len = data->len};
}

/* What the answer's script shows after the barrier: [answer, [[type, id, data]…]]. */
static int pack_hidden(struct parcel *p)
{
	size_t both = mp_array_open(&p->hidden), events;

	mp_strn(&p->hidden, p->answer.data, p->answer.len);
	events = mp_array_open(&p->hidden);
	for (size_t i = 0; i < p->events_n; i++) {
		size_t event = mp_array_open(&p->hidden);

		mp_str(&p->hidden, p->events[i].type);
		mp_str(&p->hidden, p->events[i].id);
		mp_strn(&p->hidden, p->events[i].data, p->events[i].len);
		mp_array_close(&p->hidden, event);
	}
	mp_array_close(&p->hidden, events);
	mp_array_close(&p->hidden, both);
	return buf_err(&p->hidden);
}

static int pack(const struct request_job *job, const struct request_effect *f, int64_t now_ms,
	struct parcel *p)
{
	int err;

	p->config = BUF_INIT(CONFIG_BYTES_MAX);
	p->answer = BUF_INIT(ANSWER_BYTES_MAX);
	p->event = BUF_INIT(CONFIG_BYTES_MAX);
	p->timeline = BUF_INIT(1024);
	p->hidden = BUF_INIT((size_t)2 * CONFIG_BYTES_MAX);
	p->events_n = 0;
	event_id(job, "req", p->done_id, sizeof p->done_id);
	event_id(job, "endpoint", p->event_id, sizeof p->event_id);
	snprintf(p->source, sizeof p->source, "%s%s", hidden(job) ? HIDDEN : "",
		job->request.source);
	if (f->timeline)
		timeline_entry(f->timeline, now_ms, &job->request, &p->timeline);
	if ((err = endpoint_config_encode(&f->config, &p->config)) ||
		(err = request_answer(&job->request, job->id, f->generation, NULL, &p->answer)) ||
		(err = request_event_data(f, &p->event)))
		return err;
	add_event(p, EVENT_REQUEST_DONE, p->done_id, &p->answer);
	if (f->event)
		add_event(p, f->event, p->event_id, &p->event);
	return pack_hidden(p);
}

static void send_effect(
	struct request_job *job, const struct request_effect *f, uint64_t seen, struct parcel *p)
{
	const struct request *r = &job->request;
	struct queue_apply a = {
		.stream_id = hidden(job) ? NULL : r->stream_id,
		.source = p->source,
		.request_id = r->id,
		.op = f->op,
		.endpoint = job->id,
		.expect_generation = seen,
		.config = p->config.data,
		.config_len = p->config.len,
		.tenant = f->config.tenant,
		.new_generation = f->new_generation,
		.names_added = f->added,
		.names_added_n = f->added_n,
		.names_dropped = f->dropped,
		.names_dropped_n = f->dropped_n,
		.verify = plan_of(&f->verify, &p->verify),
		.issue = plan_of(&f->issue, &p->issue),
		.answer = p->answer.data,
		.answer_len = p->answer.len,
		.timeline = p->timeline.data,
		.timeline_len = p->timeline.len,
	};

	if (hidden(job)) { /* nobody is told before the barrier */
		a.answer = p->hidden.data;
		a.answer_len = p->hidden.len;
	} else {
		memcpy(a.events, p->events, sizeof a.events);
		a.events_n = p->events_n;
	}
	queue_apply(job->context->redis, &a, applied, job);
}

static void apply(
	struct request_job *job, const struct request_effect *f, uint64_t seen, int64_t now_ms)
{
	struct parcel p;
	int err = pack(job, f, now_ms, &p);

	if (err) {
		snprintf(job->refusal.code, sizeof job->refusal.code, "invalid");
		why_set(&job->refusal.why, err, "the endpoint's record would be %s",
			cf_strerror(err));
		refuse(job);
	} else {
		send_effect(job, f, seen, &p);
	}
	parcel_release(&p);
}

/* --- decide */

static void next_id(struct request_job *job)
{
	if (job->try < REQUEST_ID_TRIES) {
		job->try++;
		read_endpoint(job);
		return;
	}
	snprintf(job->refusal.code, sizeof job->refusal.code, "exists");
	why_set(&job->refusal.why, 0, "the ids %s to %s are taken: give one", job->request.endpoint,
		job->id);
	refuse(job);
}

static void decide(struct request_job *job, const struct endpoint *e)
{
	struct request_effect effect;
	int64_t now_ms = clock_wall_ms();

	switch (request_decide(
		&job->request, job->id, e, &job->context->policy, now_ms, &effect, &job->refusal)) {
	case REQUEST_APPLY:
		apply(job, &effect, e ? e->generation : 0, now_ms);
		request_effect_release(&effect);
		return;
	case REQUEST_TAKEN:
		next_id(job);
		return;
	case REQUEST_REFUSED:
		refuse(job);
	}
}

static void got_endpoint(void *arg, int err, const struct reply *reply)
{
	struct endpoint_field fields[ENDPOINT_FIELDS_N];
	struct request_job *job = arg;
	struct endpoint e = {.generation = 0};
	struct why why = {""};

	if (err) {
		later(job, "read", err);
		return;
	}
	for (size_t i = 0; i < ENDPOINT_FIELDS_N; i++)
		fields[i].bytes = reply_str(reply_at(reply, i), &fields[i].len);
	err = endpoint_decode(fields, &e, &why);
	if (err && err != CF_ENOTFOUND) {
		snprintf(job->refusal.code, sizeof job->refusal.code, "unreadable");
		why_set(&job->refusal.why, err,
			"the record of the endpoint \"%s\" cannot be read: %s", job->id, why.text);
		refuse(job);
		return;
	}
	decide(job, err ? NULL : &e);
	if (!err)
		endpoint_release(&e);
}

static void read_endpoint(struct request_job *job)
{
	static const char *const names[] = {ENDPOINT_FIELDS};
	const char *argv[2 + ENDPOINT_FIELDS_N] = {"HMGET"};
	_mem_free_ char *key = NULL;

	if (job->rounds++ == ROUNDS_MAX) {
		later(job, "read", CF_ESTALE);
		return;
	}
	request_endpoint_id(&job->request, job->try, job->id);
	key = mem_printf("%se:%s", redis_prefix(job->context->redis), job->id);
	argv[1] = key;
	memcpy(argv + 2, names, sizeof names);
	redis_command(job->context->redis, ARRAY_LEN(argv), argv, NULL, got_endpoint, job);
}

/* --- the beginning */

static void seen_answers(void *arg, int err, const struct reply *reply)
{
	struct request_job *job = arg;

	if (err)
		later(job, "read", err);
	else if (reply_str(reply_at(reply, 0), NULL))
		publish(job); /* answered before: only the entry is left to be taken away */
	else if (reply_str(reply_at(reply, 1), NULL))
		barrier_wait(job->context->barrier, job->context->redis, replicated, job);
	else
		read_endpoint(job);
}

/* Behind a barrier a request may have been applied and not answered, or answered under its visible
 * name while the script that applies looks at the hidden one: whoever decided it again would set it
 * against what it did itself. */
static void look_for_answers(struct request_job *job)
{
	char name[REQUEST_ANSWER_NAME_SIZE];
	const char *prefix = redis_prefix(job->context->redis);
	_mem_free_ char *seen = NULL, *hidden_one = NULL;

	request_answer_name(&job->request, name);
	seen = mem_printf("%s%s", prefix, name);
	hidden_one = mem_printf("%sreq:" HIDDEN "%s", prefix, name + strlen("req:"));
	redis_commandv(job->context->redis, seen_answers, job, "MGET", seen, hidden_one, NULL);
}

struct request_job *request_job_new(const struct request_context *context, const char *stream_id,
	const struct request_field *fields, size_t n, request_job_fn *done, void *arg)
{
	struct request_job *job = mem_zalloc(sizeof *job);

	job->context = context;
	job->done = done;
	job->arg = arg;
	job->try = 1;
	if (request_parse(stream_id, fields, n, &job->request, &job->refusal))
		job->refused = true;
	snprintf(job->id, sizeof job->id, "%s", job->request.endpoint);
	return job;
}

const char *request_job_key(const struct request_job *job)
{
	return job->refused ? "" : job->request.endpoint;
}

const struct request *request_job_request(const struct request_job *job)
{
	return &job->request;
}

void request_job_start(struct request_job *job)
{
	if (job->refused)
		refuse(job);
	else if (job->context->barrier)
		look_for_answers(job);
	else
		read_endpoint(job);
}

void request_job_free(struct request_job *job)
{
	if (!job)
		return;
	request_release(&job->request);
	free(job);
}

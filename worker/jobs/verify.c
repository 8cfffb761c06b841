#include "worker/jobs/verify.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/diagnose/diagnose.h"
#include "worker/jobs/verify_internal.h"
#include "worker/pool.h"
#include "worker/worker.h"

#include <string.h>

static void verify_free(struct verify *v)
{
	verify_forget_probe(v);
	verify_forget_proof(v);
	free(v->seen);
	endpoint_verdict_release(&v->verdict);
	free(v);
}

static void verify_stop(struct job *job, enum job_stop why)
{
	struct verify *v = job->work;

	(void)why;
	job->work = NULL;
	if (!v)
		return;
	verify_forget(v);
	verify_forget_probe(v);
	verify_forget_proof(v);
	v->job = NULL;
	if (!v->claiming)
		verify_free(v);
}

void verify_end(struct verify *v)
{
	verify_finish(v);
	verify_free(v);
}

/* --- claims */

static void say_held(struct verify *v, size_t index)
{
	_mem_free_ struct diagnosis *d = mem_zalloc(sizeof *d);
	const struct diagnose_case c = {.config = &v->job->endpoint.config,
		.name = v->verdict.names[index].name,
		.policy = &v->w->diagnose_policy,
		.now_ms = clock_wall_ms()};

	diagnose_held(&c, d);
	verify_add_diagnosis(&v->verdict, d);
}

static void on_claims(void *arg, int err, const struct queue_claim_result *results, size_t n)
{
	struct verify *v = arg;

	v->claiming = false;
	if (!v->job) {
		verify_free(v);
		return;
	}
	if (err) {
		struct job *job = v->job;

		LOG(WARN, "claims_unknown", LF("endpoint", job->id), LF("why", cf_strerror(err)));
		verify_forget(v);
		verify_free(v);
		job_release(job, clock_wall_ms() + CLOCK_SECOND_MS, "claims could not be read");
		return;
	}
	for (size_t i = 0; i < n && i < v->verdict.names_n; i++) {
		v->verdict.names[i].claim = results[i].claim;
		if (results[i].claim == CLAIM_ELSEWHERE)
			say_held(v, i);
	}
	verify_probe(v);
}

static void ask_claims(struct verify *v)
{
	size_t n = v->verdict.names_n;
	_mem_free_ struct queue_claim_name *names = mem_array(n, sizeof *names);

	for (size_t i = 0; i < n; i++)
		names[i] = (struct queue_claim_name){.name = v->verdict.names[i].name,
			.proven = v->verdict.names[i].proven,
			.exclusive = v->verdict.names[i].proof_exclusive};
	v->claiming = true;
	queue_claim(pool_queue(v->job->pool), v->job->id, v->job->token, names, n, on_claims, v);
}

/* What was held and is still proven needs no question: only another's exclusive proof could take
 * it, and then ours would be gone. */
static bool claims_settled(const struct verify *v)
{
	const struct endpoint *e = &v->job->endpoint;

	for (size_t i = 0; i < v->verdict.names_n; i++) {
		const struct name_verdict *now = &v->verdict.names[i];
		const struct name_verdict *before =
			e->has_verdict ? endpoint_verdict_of(&e->verdict, now->name) : NULL;

		if (!before || before->claim != CLAIM_HELD || !now->proof_exclusive)
			return false;
	}
	return true;
}

void verify_judged(struct verify *v)
{
	if (!claims_settled(v)) {
		ask_claims(v);
		return;
	}
	for (size_t i = 0; i < v->verdict.names_n; i++)
		v->verdict.names[i].claim = CLAIM_HELD;
	verify_probe(v);
}

static void verify_start(struct job *job)
{
	struct verify *v = mem_zalloc(sizeof *v);

	v->job = job;
	v->w = job->worker;
	job->work = v;
	if (job->endpoint.config.removing) {
		verify_free(v);
		job_finish(job, outcome_new());
		return;
	}
	verify_look(v);
}

const struct job_kind verify_kind = {
	.queue = QUEUE_VERIFY,
	.start = verify_start,
	.stop = verify_stop,
};

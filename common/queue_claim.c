#include "common/mem.h"
#include "common/queue_internal.h"

struct claiming {
	queue_claim_fn *done;
	void *arg;
	char **names; /* owned; what the results' authorizations are of */
	size_t n;
};

static void claiming_free(struct claiming *w)
{
	for (size_t i = 0; i < w->n; i++)
		free(w->names[i]);
	free(w->names);
	free(w);
}

/* [[authority, url, expires]…] into out. */
static size_t read_stale(const struct reply *list, const char *name, struct queue_authz *out)
{
	size_t n = reply_len(list);

	for (size_t i = 0; i < n; i++) {
		const struct reply *a = reply_at(list, i);

		out[i] = (struct queue_authz){
			.name = name,
			.authority = reply_str(reply_at(a, 0), NULL),
			.url = reply_str(reply_at(a, 1), NULL),
			.expires_ms = reply_int(reply_at(a, 2)),
		};
	}
	return n;
}

static size_t count_stale(const struct claiming *w, const struct reply *reply)
{
	size_t total = 0;

	for (size_t i = 0; i < w->n; i++)
		total += reply_len(reply_at(reply_at(reply, 1 + i), 1));
	return total;
}

static void tell_claims(struct claiming *w, const struct reply *reply)
{
	_mem_free_ struct queue_claim_result *results = mem_array(w->n, sizeof *results);
	_mem_free_ struct queue_authz *stale =
		mem_array(count_stale(w, reply) + 1, sizeof(struct queue_authz));
	size_t used = 0;

	for (size_t i = 0; i < w->n; i++) {
		const struct reply *row = reply_at(reply, 1 + i);

		results[i].claim = (enum claim)reply_int(reply_at(row, 0));
		results[i].stale = stale + used;
		results[i].stale_n = read_stale(reply_at(row, 1), w->names[i], stale + used);
		used += results[i].stale_n;
	}
	w->done(w->arg, 0, results, w->n);
}

static void on_claimed(void *arg, int err, const struct reply *reply)
{
	struct claiming *w = arg;

	err = queue_reply_err(err, reply, REPLY_ARRAY);
	if (!err)
		err = (int)reply_int(reply_at(reply, 0));
	if (!err && reply_len(reply) != 1 + w->n)
		err = CF_EPROTO;
	if (err)
		w->done(w->arg, err, NULL, 0);
	else
		tell_claims(w, reply);
	claiming_free(w);
}

static void on_nothing(void *arg, int err, const struct reply *reply)
{
	struct claiming *w = arg;

	(void)reply;
	w->done(w->arg, err, NULL, 0);
	claiming_free(w);
}

void queue_claim(struct queue *q, const char *id, const char *token,
	const struct queue_claim_name *names, size_t n, queue_claim_fn *done, void *arg)
{
	struct claiming *w = mem_zalloc(sizeof *w);
	struct queue_args args = {0};

	*w = (struct claiming){.done = done, .arg = arg, .n = n};
	if (!n) {
		redis_commandv(queue_redis(q), on_nothing, w, "PING", NULL);
		return;
	}
	w->names = mem_array(n, sizeof *w->names);
	queue_args_adds(&args, queue_name(queue_of(q)));
	queue_args_adds(&args, id);
	queue_args_adds(&args, token);
	for (size_t i = 0; i < n; i++) {
		w->names[i] = mem_strdup(names[i].name);
		queue_args_adds(&args, names[i].name);
		queue_args_addi(&args, names[i].proven);
		queue_args_addi(&args, names[i].leaving ? 2 : names[i].exclusive);
	}
	queue_args_call(queue_redis(q), "claim", &args, on_claimed, w);
}

void queue_authz_forget(struct queue *q, const char *id, const char *token, const char *name,
	const char *url, queue_done_fn *done, void *arg)
{
	struct queue_args args = {0};

	queue_args_adds(&args, queue_name(queue_of(q)));
	queue_args_adds(&args, id);
	queue_args_adds(&args, token);
	queue_args_adds(&args, name);
	queue_args_adds(&args, url);
	queue_args_call(
		queue_redis(q), "authz_forget", &args, queue_done_reply, queue_done_new(done, arg));
}

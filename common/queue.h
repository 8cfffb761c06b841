/* queue.h - leased jobs in Redis: the worker's and the scheduler's side of common/lua/.
 *
 * Two queues, verify and issue; at most one job of each an endpoint. Delivery is at least once: a
 * job is hidden from other workers only until its lease lapses, so work must be idempotent, and
 * every write carries the token of its lease: a stale one is refused (CF_ELOST). All lease time is
 * Redis TIME. Calls here are batched: those made in one turn of the loop go out as one script call
 * of at most 64.
 *
 * A queue belongs to one loop and is not thread-safe. Nothing here logs. Outputs are untouched on
 * failure.
 */
#pragma once

#include "common/endpoint.h"
#include "common/redis.h"

struct queue;

#define QUEUE_BATCH     64
#define QUEUE_SUSPECTS  16 /* at once in one worker */
#define QUEUE_TOKEN_LEN 32

/** One delivery. Borrowed: every pointer dies when the callback returns. */
struct queue_job {
	const char *id;
	const char *token; /* names the lease; every later call must carry it */
	uint32_t attempt;  /* 1 on the first start */
	uint32_t lapses;
	enum job_intent intent;
	enum job_lane lane;
	uint64_t want;    /* what this run answers for: passed back at finish */
	int64_t lease_ms; /* length of the lease, counted from before the call was sent */
	struct endpoint_field
		fields[ENDPOINT_FIELDS_N]; /* as ENDPOINT_FIELDS, bytes included for o and d */
	struct endpoint_field key;         /* k: the sealed key of the current certificate */
	struct endpoint_field conditions;  /* av or ai: this queue's open conditions */
};

/** Called once per queue_take(); err != 0 implies n == 0. next_due_ms: how long until something may
 * be due (a hint for the poll; at most 1000). */
typedef void queue_take_fn(
	void *arg, int err, const struct queue_job *jobs, size_t n, int64_t next_due_ms);
typedef void queue_done_fn(void *arg, int err); /* 0, CF_ELOST, CF_EGONE, CF_ECONN, CF_EREDIS … */
typedef void queue_beat_fn(void *arg, int err, const char *id, bool lost, bool cancelled);

/** Never NULL. Borrows redis, which must outlive the queue. worker is this process' name, unique in
 * the fleet. */
struct queue *queue_new(struct redis *redis, enum queue_id q, const char *worker, int64_t lease_ms);
/** Completes pending calls with CF_ECANCELED, then frees. NULL is a no-op. */
void queue_free(struct queue *q);

/** Takes up to n ≤ QUEUE_BATCH jobs. slots is this worker's total, running what runs here now (for
 * the reserve of newcomers); suspects how many more may be given: QUEUE_SUSPECTS less those that
 * run here, 0 while one runs that must be alone (it lapsed as a suspect). A call whose reply was
 * lost (err is CF_ECONN or CF_ETIMEDOUT) is repeated by the next call, which uses the same nonce
 * and gets the same jobs. One at a time. */
void queue_take(struct queue *q, size_t n, size_t slots, size_t running, unsigned suspects,
	queue_take_fn *done, void *arg);

/** Extends the leases of all jobs named, in batches; fn is called for each. */
void queue_beat(struct queue *q, const char *const *ids, const char *const *tokens, size_t n,
	queue_beat_fn *fn, void *arg);

/** Sends what the calls of this turn have gathered: it goes before what comes next. */
void queue_flush(struct queue *q);

/** Stores the checkpoint (field o). A NULL or empty one removes it. With barrier the reply comes
 * only after the configured replicas acknowledged (queue_set_barrier). */
void queue_checkpoint(struct queue *q, const char *id, const char *token, const void *bytes,
	size_t n, bool barrier, queue_done_fn *done, void *arg);

/** A job to be planned. due_ms in Unix ms by the worker's estimate of Redis time; 0 = now. */
struct queue_plan {
	enum job_intent intent;
	enum job_lane lane;
	int64_t due_ms;
	const char *why;
};

/** A field to write: bytes NULL = HDEL. */
struct queue_set {
	const char *field; /* v, x, k, o, i, av, ai */
	const void *bytes;
	size_t len;
};

/** One event for the results stream (or, with edge, for the edges stream that the leader turns into
 * alerts). */
struct queue_event {
	const char *type; /* "certfleet.certificate.issued"; for an edge: the condition's code */
	const char *id;   /* deterministic */
	const void *data; /* msgpack map */
	size_t len;
	bool edge;
};

struct queue_authz {
	const char *name, *authority, *url;
	int64_t expires_ms;
};

struct queue_finish {
	const char *id, *token;
	uint64_t generation; /* the config's, that the work was based on */
	uint64_t want;       /* as taken */
	const struct queue_set *sets;
	size_t sets_n;
	const struct queue_plan *next;  /* this queue's next; NULL: nothing due */
	const struct queue_plan *other; /* ask the other queue; NULL: leave it */
	const char *park;               /* reason: the job is parked instead */
	const struct queue_event *events;
	size_t events_n;
	const void *const *timeline; /* packed entries to append to t (kept: the last 40) */
	const size_t *timeline_lens;
	size_t timeline_n;
	int64_t expiry_ms;     /* > 0: score in the expiry set; -1: take out; 0: leave */
	const char *chain_sha; /* with chain bytes: SET NX chain:SHA */
	const void *chain;
	size_t chain_len;
	const struct queue_authz
		*authzs; /* valid authorizations left at the CA, recorded with the names */
	size_t authzs_n;
	const char *const
		*dropped; /* names whose release is done: their claims go, and they leave field d */
	size_t dropped_n;
	const char *state; /* state name; an endpoint.state event is added when it differs from
			      field s */
	const char *reason;
	bool remove; /* the endpoint itself goes, with its claims and indexes */
};
/** All checks first, then all writes. 0 also for a repeat after a lost reply. CF_EGONE if the
 * endpoint went; if the generation changed or somebody asked meanwhile the data is stored and the
 * job is due again at once. */
void queue_finish(struct queue *q, const struct queue_finish *f, queue_done_fn *done, void *arg);

/** Gives the job back without charge; it is due again at due_ms (0 = now). */
void queue_release(struct queue *q, const char *id, const char *token, int64_t due_ms,
	const char *why, queue_done_fn *done, void *arg);

/** For each name: who holds it. proven/exclusive: what DNS showed in this run (queue_claim decides
 * and records). The reply also lists authorizations left at CAs by an earlier holder, to be
 * deactivated. */
struct queue_claim_name {
	const char *name;
	bool proven, exclusive;
	bool leaving; /* this endpoint gives it up: stale then lists its own authorizations too */
};
struct queue_claim_result {
	enum claim claim;
	const struct queue_authz *stale; /* borrowed */
	size_t stale_n;
};
typedef void queue_claim_fn(void *arg, int err, const struct queue_claim_result *results, size_t n);
void queue_claim(struct queue *q, const char *id, const char *token,
	const struct queue_claim_name *names, size_t n, queue_claim_fn *done, void *arg);
/** Forgets a deactivated (or expired) authorization of a name. */
void queue_authz_forget(struct queue *q, const char *id, const char *token, const char *name,
	const char *url, queue_done_fn *done, void *arg);

/** Barriers: with replicas > 0, WAIT on a connection of its own after a fenced write; too few
 * acknowledgements within timeout_ms (at most 4/5 of the options' own) give CF_EAGAIN. Without
 * replicas it is done at once, before barrier_wait() returns. Borrows options. */
struct barrier;
struct barrier *barrier_new(uv_loop_t *loop, const struct redis_options *options, uint32_t replicas,
	int64_t timeout_ms);
void barrier_free(struct barrier *b);
/** Calls done when everything written on redis before this call is on the replicas. */
void barrier_wait(struct barrier *b, struct redis *redis, queue_done_fn *done, void *arg);
/** The last one, within a minute, lacked acknowledgements. NULL: there are no barriers. */
bool barrier_is_late(const struct barrier *b);
void queue_set_barrier(struct queue *q, struct barrier *b);

/* The scheduler's side. */

/** ask: raises want; the job becomes due at plan->due_ms unless it runs (then it is planned again)
 * or is due earlier. Parked jobs are revived only by force. CF_EGONE. */
void queue_ask(struct redis *r, enum queue_id q, const char *id, const struct queue_plan *plan,
	bool force, queue_done_fn *done, void *arg);

struct queue_reaped {
	size_t looked, lapsed, parked;
};
/** Turns at most QUEUE_BATCH lapsed leases of queue q into suspects; parks at the third lapse. Does
 * nothing while Redis' clock is not within within_ms of expect_ms (0: whatever it says). */
typedef void queue_reap_fn(void *arg, int err, const struct queue_reaped *r);
void queue_reap(struct redis *r, enum queue_id q, int64_t expect_ms, int64_t within_ms,
	queue_reap_fn *done, void *arg);
/** Redis' clock less this machine's, as a take, a lease or an audit last showed it; 0 below a
 * second. What is due by this machine's clock goes to Redis by its own. */
int64_t queue_clock_ahead(void);

/** One slice of the audit: up to 64 endpoints after `after` in id order, each with its fields, its
 * job records and whether each index agrees with them. The caller computes needs and sends repairs.
 */
struct queue_audit_row {
	const char *id;
	struct endpoint_field fields[ENDPOINT_FIELDS_N];
	bool index_ok[2];  /* by queue: the record's place in due/run/parked is what it says */
	bool claimed;      /* each name of the config is claimed */
	int64_t expiry_ms; /* its score in `expiry`; -1: not there */
};
typedef void queue_audit_fn(void *arg, int err, const struct queue_audit_row *rows, size_t n,
	const char *next_after /* NULL: at the end */);
void queue_audit(struct redis *r, const char *after, queue_audit_fn *done, void *arg);
/** Compares jv/ji bytes with what was seen (expect) and, only if unchanged, rewrites the record as
 * plan says (NULL: none) and all its indexes. With keep a record that can be read stays, and the
 * indexes follow it: what runs goes on running. */
void queue_repair(struct redis *r, enum queue_id q, const char *id, const void *expect,
	size_t expect_len, const struct queue_plan *plan, bool keep, queue_done_fn *done,
	void *arg);
/** Puts right the score in `expiry` (-1: none) if field x still is x, and the claims of the
 * config's names. */
void queue_reindex(struct redis *r, const char *id, const struct endpoint_field *x,
	int64_t expiry_ms, queue_done_fn *done, void *arg);

/** What no slice can see: members of an index that lead nowhere, and endpoints that the list of
 * endpoints lacks (index "endpoints"). Borrowed. */
struct queue_stray {
	const char *index, *member;
};
typedef void queue_strays_fn(void *arg, int err, const struct queue_stray *strays, size_t n,
	const char *next_cursor /* NULL: at the end */);
/** About 64 members from cursor on ("": the start); with repair they are put right. */
void queue_strays(
	struct redis *r, const char *cursor, bool repair, queue_strays_fn *done, void *arg);
/** Tenants whose number of running jobs is wrong, in one step; none while very many run. */
void queue_recount(struct redis *r, enum queue_id q, bool repair, queue_strays_fn *done, void *arg);

/** A request applied: dedup by (source, id), checks, endpoint written, jobs asked, answered,
 * acknowledged and deleted from the stream: one script. */
struct queue_apply {
	const char *stream_id; /* of the requests entry; NULL when it did not come by the stream */
	const char *source, *request_id;
	const char *op;             /* add, update, remove, touch (verify/renew/revoke), refuse */
	const char *endpoint;       /* may be "" for refuse */
	uint64_t expect_generation; /* update/remove/touch: as read; 0: any */
	const void *config;         /* c; NULL: leave */
	size_t config_len;
	const char *tenant;
	bool new_generation; /* bump g: names, type, target, key type, authority changed */
	const char *const *names_added;
	size_t names_added_n;
	const char *const *names_dropped; /* go to field d, released by the issue job */
	size_t names_dropped_n;
	const struct queue_plan *verify, *issue; /* asked with force; NULL: not */
	const void *answer; /* msgpack map: data of request.done / request.refused, stored as
			       req:SRC:ID for 24 h */
	size_t answer_len;
	const void *timeline; /* one entry or NULL */
	size_t timeline_len;
	struct queue_event events[2];
	size_t events_n;
};
/** err 0: applied now or before (dup says which). CF_EEXIST: the id exists, or conflict names a
 * name that the same tenant has in another endpoint; CF_ENOTFOUND; CF_ESTALE: generation differs:
 * read again and retry. */
typedef void queue_apply_fn(void *arg, int err, bool dup, const char *conflict);
void queue_apply(struct redis *r, const struct queue_apply *a, queue_apply_fn *done, void *arg);

/** The leader's lease. nonce is this process'; *term is ours (0: not leading). */
typedef void leader_fn(
	void *arg, int err, bool leading, uint64_t term, int64_t redis_time_ms, const char *holder);
/** Acquires or renews for lease_ms. */
void leader_hold(struct redis *r, const char *nonce, uint64_t term, int64_t lease_ms,
	leader_fn *done, void *arg);
void leader_resign(
	struct redis *r, const char *nonce, uint64_t term, queue_done_fn *done, void *arg);

/** Takes about `step` old entries off a stream (results, alerts, edges): those over keep_ms old
 * that every consumer group has read and acknowledged; over `cap` younger ones too; and then,
 * counted as lost, any. Call it again while it takes something. */
struct queue_trimmed {
	size_t length; /* what is left */
	size_t taken, lost;
	const char *first;   /* oldest id left, borrowed; "" if none */
	int64_t lost_in_all; /* since the fleet began */
	int64_t lost_ago_ms; /* when last; -1: never */
	const char *group;   /* that was the furthest behind then; borrowed */
};
typedef void queue_trim_fn(void *arg, int err, const struct queue_trimmed *t);
void queue_trim(struct redis *r, const char *stream, size_t cap, int64_t keep_ms, size_t step,
	queue_trim_fn *done, void *arg);

/* verify_internal.h - the state of one verify job, shared by verify*.c only. */
#pragma once

#include "common/addr.h"
#include "common/diagnosis.h"
#include "worker/jobs/conditions.h"
#include "worker/jobs/job.h"

struct proof;
struct proof_name;
struct verify_name;
struct verify_probe;
struct verify_proof;
struct worker;

#define VERIFY_ADDRESSES_MAX 8 /* of one name */

/** What a look saw of one name beside its verdict. */
struct verify_seen {
	bool deep; /* each authoritative server was asked */
	struct addr at[VERIFY_ADDRESSES_MAX];
	size_t n; /* A and AAAA that these gave; 0: none, or a CNAME leads out of their zone */
};

struct verify {
	struct job *job; /* NULL once stopped */
	struct worker *w;
	struct verify_name *names;       /* one a name of the config, while they are looked at */
	struct verify_seen *seen;        /* likewise */
	struct verify_probe *probe;      /* http-01 through the front doors; NULL: not under way */
	struct verify_proof *proof;      /* what the edge serves; NULL: not looked at */
	size_t left;                     /* names whose look is not over */
	bool claiming;                   /* its callback will still come */
	struct endpoint_verdict verdict; /* being made; its diagnoses have room for DIAGNOSES_MAX */
	bool deep;                       /* each authoritative server was asked */
	bool shallow;                    /* not for each name */
	bool blind;                      /* it was us who could not see, for some name */
	bool unanswered;                 /* our resolver gave no answer, for some name */
	bool gone;                       /* for each name there is no record of the owner's */
	uint32_t turned;                 /* names that would turn from some CAN to none */
};

/* verify_look.c */

/** Looks at each name; verify_judged() follows when the last look is over. */
void verify_look(struct verify *v);
/** Cancels what is under way and frees what was seen. */
void verify_forget(struct verify *v);
/** Takes a diagnosis in, unless it is there already; the gravest are kept. Also for what is seen
 * otherwise than in DNS. */
void verify_add_diagnosis(struct endpoint_verdict *v, const struct diagnosis *d);
/** When a finding was first seen is kept. */
void verify_date(const struct endpoint *e, struct diagnosis *d);

/* verify_probe.c */

/** Asks for a challenge through the front door of each name for which it is time to; verify_prove()
 * follows in any case. */
void verify_probe(struct verify *v);
/** Cancels what is under way. */
void verify_forget_probe(struct verify *v);

/* verify_probe_state.c: what a probe leaves with a name, until the next */

/** Gives a name what its last probe left, if that still holds. */
void verify_recall_probe(struct verify *v, size_t index);
/** Before an order that hangs on http-01; in deep looks, once in scheduler.probe_every or as long
 * as DNS alone leaves it unsure; while it goes wrong, at each look; when a person asks. */
bool verify_probe_is_due(const struct verify *v, size_t index, int64_t now_ms);
/** The verdict as the probe makes it: never CANNOT, since it was seen from here alone. */
void verify_settle_probe(struct verify *v, size_t index);
/** A finding made by connecting still stands, as it was not looked at anew. */
bool verify_keeps_probed(const struct verify *v, const struct diagnosis *d);

/* verify_prove.c */

/** Looks at what the edge serves if it is time to; verify_finish() follows in any case. */
void verify_prove(struct verify *v);
/** The endpoint's verdict takes what was seen, or keeps what it was before: was. */
void verify_take_proof(struct verify *v, const struct served *was, int64_t now_ms);
/** Cancels what is under way. */
void verify_forget_proof(struct verify *v);
/** The names of the certificate by which edges are asked, of a verdict: out[its names_n]; how many.
 */
size_t verify_proof_names(
	const struct endpoint *e, const struct endpoint_verdict *v, struct proof_name *out);
/** What was seen goes into the endpoint's verdict; findings keep the time of their first sight. */
void verify_put_proof(
	struct endpoint *e, struct proof *p, const struct served *was, int64_t now_ms);
/** What the timeline says when that differs from before: "" if it does not. */
void verify_served_words(const struct served *was, const struct served *now, struct buf *out);

/* verify.c */
/** The last step: finishes and frees. */
void verify_end(struct verify *v);
void verify_judged(struct verify *v);

/* verify_finish.c */
void verify_finish(struct verify *v);
/** Whether the same is told of the endpoint: statuses, verdicts, claims, findings. */
bool verify_same(const struct endpoint_verdict *a, const struct endpoint_verdict *b);
/** Whether issuing is to be asked for. job is its record as it stood when the look began: a job
 * that was due may have begun since, upon the verdict of before, and would plan by it; so whoever
 * changed the verdict always asks, and Redis keeps the earlier of the plans. */
bool verify_asks_issue(const struct job_record *job, const struct need *need, bool changed);
/** The authority by which an order can be placed; "" when nothing is barred. */
void verify_choose(struct worker *w, struct endpoint *e);

/* verify_alert.c: a function of values */

/** What a diagnosis has in common with those of others at the same name servers or the same edge
 * (common/README.md, Causes): "ns:DOMAIN", "edge:ADDRESS:PORT", "zone:NAME" or "". */
void verify_cause(const struct diagnosis *d, char out[CONDITION_CAUSE_SIZE]);
/** What a person must know of an endpoint whose certificate is to be renewed: out[CONDITIONS_MAX].
 * What only a resolver says, and no server shows, is told after confirm_ms. */
size_t verify_conditions(const struct endpoint *e, int64_t now_ms, int64_t next_ms,
	int64_t confirm_ms, struct condition *out);

/* verify_internal.h - the state of one verify job, shared by verify*.c only. */
#pragma once

#include "common/needs.h"
#include "worker/jobs/job.h"
#include "worker/jobs/look.h"

struct verify_ask;

struct verify {
	struct job *job; /* NULL once stopped */
	struct worker *w;
	struct look_name *seen;  /* one a name of the config */
	struct verify_ask *asks; /* questions under way */
	unsigned asking;
	bool claiming;                   /* its callback will still come */
	struct endpoint_verdict verdict; /* being made */
};

/* verify_dns.c */

/** Asks everything; verify_judge() follows when the last answer has come. */
void verify_ask_all(struct verify *v);
/** Cancels what is under way and frees what was seen. */
void verify_forget(struct verify *v);

/* verify.c */
void verify_judge(struct verify *v);

/* verify_finish.c: pure but for the job's end */

/** Whether issuing is to be asked for. job is its record as it stood when the look began: a job
 * that was due may have begun since, upon the verdict of before, and would plan by it; so whoever
 * changed the verdict always asks, and Redis keeps the earlier of the plans. */
bool verify_asks_issue(const struct job_record *job, const struct need *need, bool changed);
void verify_finish(struct verify *v);

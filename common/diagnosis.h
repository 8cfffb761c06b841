/* diagnosis.h - what is wrong, as data (design section 7), and the one sentence that says it.
 *
 * A diagnosis is made by a worker (worker/diagnose/, worker/probe/), kept with the endpoint's
 * verdict, carried by events and alerts, and rendered the same way by CLI, API and alerts, from
 * here alone. Everything is a value: no network, no clock. Texts that come from outside are
 * cleaned (valid UTF-8, no control characters, bounded) before they get in.
 */
#pragma once

#include "common/buf.h"
#include "common/endpoint.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIAGNOSES_MAX          16 /* of one endpoint; the gravest are kept */
#define DIAGNOSIS_OBSERVED_MAX 8  /* servers shown; the rest is counted */

enum diagnosis_severity { DIAGNOSIS_INFO, DIAGNOSIS_WARNING, DIAGNOSIS_CRITICAL };
enum diagnosis_actor { ACTOR_OWNER, ACTOR_OPERATOR, ACTOR_AUTHORITY, ACTOR_NOBODY };

/** What one server said. */
struct diagnosis_observed {
	char server[96]; /* "ns1.dns.example 192.0.2.1", "resolver", "198.51.100.7:443" */
	char what[192];  /* "CNAME other.example", "NXDOMAIN", "no answer", "serial 04ab…" */
	uint32_t ttl_s;  /* 0: none */
};

struct diagnosis {
	char code[ENDPOINT_CODE_MAX + 1];
	enum diagnosis_severity severity;
	enum diagnosis_actor actor;
	char name[NAME_SIZE];        /* the endpoint's name that it is about; "" for all of it */
	char record[NAME_SIZE + 48]; /* "_acme-challenge.shop.example.com CNAME" */
	char expected[NAME_SIZE + 48];
	struct diagnosis_observed observed[DIAGNOSIS_OBSERVED_MAX];
	size_t observed_n, observed_more;
	char fix[513];     /* the exact edit(s), in the order that breaks nothing, one a line */
	char effect[257];  /* what stops working, and when; "" while nothing does */
	int64_t effect_ms; /* that time; 0: none */
	int64_t since_ms;  /* first seen */
	int64_t next_check_ms;
	char authority[ENDPOINT_AUTHORITY_MAX + 1]; /* "" : whoever */
	char provider[32];                          /* whose words fix speaks; "": nobody's */
};

/** A row of the table of codes: what it is by itself. */
struct diagnosis_kind {
	const char *code;
	enum diagnosis_severity severity;
	enum diagnosis_actor actor;
	const char *means;  /* one clause: "the CNAME points elsewhere" */
	const char *advice; /* in general: what to do; for `explain` */
	const char *why;    /* in general: why it matters; for `explain` */
	bool probed;        /* seen by connecting to addresses, not in DNS */
};
const struct diagnosis_kind *diagnosis_kind(const char *code); /* NULL: unknown */
const struct diagnosis_kind *diagnosis_kinds(size_t *n);
const char *diagnosis_severity_word(enum diagnosis_severity s);
const char *diagnosis_actor_word(enum diagnosis_actor a);

/** A diagnosis of that code with the kind's severity and actor; of an unknown code: a warning for
 * the operator. */
void diagnosis_init(struct diagnosis *d, const char *code, const char *name);
/** Adds what a server said, cleaned; past DIAGNOSIS_OBSERVED_MAX it is only counted. */
void diagnosis_observe(struct diagnosis *d, const char *server, const char *what, uint32_t ttl_s);
/** The same finding: code, name, record and authority. */
bool diagnosis_same(const struct diagnosis *a, const struct diagnosis *b);
/** The gravest first; of equal ones the order stays. */
void diagnoses_sort(struct diagnosis *d, size_t n);

/** One sentence: what is where, what was expected, what was seen. At most 1 kB. */
void diagnosis_sentence(const struct diagnosis *d, struct buf *out);
/** Several lines for a person: the sentence, the observations, the fix, the effect, the next look.
 */
void diagnosis_text(const struct diagnosis *d, int64_t now_ms, struct buf *out);

/** A msgpack array: the version, then a map each. At most DIAGNOSES_MAX are written. */
int diagnoses_encode(const struct diagnosis *d, size_t n, struct buf *out);
/** *out is owned (free()), NULL when there is none. CF_EPROTO, CF_EVERSION, CF_ETOOBIG with a why.
 */
int diagnoses_decode(
	const void *bytes, size_t n, struct diagnosis **out, size_t *out_n, struct why *why);
struct mp; /* common/mp.h */
/** The same of a value inside a larger record: failures are recorded in its document. */
int diagnoses_read(const struct mp *array, struct diagnosis **out, size_t *out_n);

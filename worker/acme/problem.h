/* problem.h - what a CA's error means: problem documents (RFC 7807, RFC 8555 section 6.7) and the
 * table that turns their types into "who can do something about it".
 *
 * Pure. Everything in a problem is an attacker's text: it is cleaned and cut when it is read.
 */
#pragma once

#include "worker/acme/acme.h"

#include <jansson.h>

#define PROBLEM_BYTES_MAX 65536
#define PROBLEM_SUBS_MAX  100

struct problem {
	char type[48];      /* without the urn; "" when absent, "other" when of an unknown form */
	char detail[512];   /* "" when absent */
	char instance[256]; /* an https URL, or "" */
	int status;         /* 0 when absent */
	struct problem_sub {
		char type[48];
		char detail[256];
		char name[256]; /* identifier value, lower case; "" when absent */
	} * subs;               /* owned */
	size_t n_subs;
};

void problem_release(struct problem *p);
/** Reads the object; missing or mistyped members are left empty. Never fails on an object.
 * CF_EPROTO. */
int problem_from_json(const json_t *json, struct problem *out);
/** From a body. One that is not a JSON object gives CF_EPROTO. */
int problem_parse(const char *body, size_t n, struct problem *out);

/** What a type means by itself. */
struct problem_rule {
	const char *type;
	enum acme_class class;
	enum acme_scope scope;
};

/** The row for a type; an unknown type gets a row by HTTP status. Never NULL. */
const struct problem_rule *problem_rule(const char *type, int status);

/** An answer that is an error, as a failure. p may be NULL (no or unreadable problem document).
 * retry_after_ms 0: the CA did not say. Fills everything but step, failed_type and resumable. */
void problem_to_failure(
	const struct problem *p, int status, int64_t retry_after_ms, struct acme_failure *out);

/** Sets code and detail of a failure of our own. */
void failure_set(struct acme_failure *f, enum acme_class class, enum acme_scope scope,
	const char *code, const char *format, ...) __attribute__((format(printf, 5, 6)));
/** Deep copy and release: `rejected` is the only owned part. */
void failure_copy(struct acme_failure *out, const struct acme_failure *f);
void failure_release(struct acme_failure *f);

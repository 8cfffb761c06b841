/* steps_ca.h - a CA of values: it answers the effects of an order directly, with one twist at a
 * time. */
#pragma once

#include "worker/acme/steps.h"

#include "common/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define URN "urn:ietf:params:acme:error:"
enum { AUTHZ_MAX = 4, EFFECTS_MAX = 400 };

/** The challenges of an authorization: printf by its number twice and a status, for each type. */
#define CA_TWO_TYPES                                        \
	"{\"type\":\"http-01\",\"url\":\"https://ca/c/%zu/" \
	"h\",\"token\":\"tokH%zu\",\"status\":\"%s\"},"     \
	"{\"type\":\"dns-01\",\"url\":\"https://ca/c/%zu/"  \
	"d\",\"token\":\"tokD%zu\",\"status\":\"%s\"}"

struct ca;
/** Answers in place of the CA; false: the CA answers as ever. */
typedef bool twist_fn(struct ca *ca, const struct effect *e, struct outcome *out);

struct ca {
	struct order o;
	const char *order_status, *order_error, *after_finalize;
	bool no_certificate;
	struct {
		const char *name, *status, *error, *challenges;
		bool wildcard;
	} authz[AUTHZ_MAX];
	size_t n;
	twist_fn *twist;
	int twisted; /* how often the twist answered */
	int new_orders, finalizes, answers, deactivated, published, unpublished, visibles, keys,
		barriers, downloads, waits, accounts;
	int64_t longest_wait_ms;
	bool both_published; /* at the first answer */
	char last_payload[2048];
	struct buf body;
};

void ca_setup(struct ca *ca, size_t n, const char *const *names, enum acme_challenge_type first);
void ca_setup_one(struct ca *ca);
void ca_setup_pair(struct ca *ca);
void ca_teardown(struct ca *ca);
void ca_say_problem(struct ca *ca, int status, const char *type, struct outcome *out);
/** Until the order is over; well: it is done; badly: it failed so. */
void ca_run(struct ca *ca);
void ca_run_well(struct ca *ca);
void ca_run_badly(struct ca *ca, const char *code, enum acme_class class);
/** The effect is a POST to url. */
bool ca_posts_to(const struct effect *e, const char *url);
/** One effect of a unit; false: it has none. */
bool ca_turn(struct ca *ca, int unit);
/** As ever: for a twist that changes only part of it. */
void ca_answer_post(struct ca *ca, const struct effect *e, struct outcome *out);

/* request.h - one entry of the `requests` stream read, judged, and turned into what is to be
 * written.
 *
 * Who writes that stream is an operator, but a program too: everything is checked, and what is
 * wrong is refused with a code and one sentence, never with silence. Two steps, both functions of
 * values: request_parse() reads the entry; request_decide() sets it against the endpoint as it is
 * now. An entry whose endpoint changed in between is decided again.
 */
#pragma once

#include "common/buf.h"
#include "common/endpoint.h"
#include "common/needs.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REQUEST_DATA_MAX      65536 /* bytes of msgpack */
#define REQUEST_SOURCE_MAX    128
#define REQUEST_ID_MAX        128
#define REQUEST_STREAM_ID_MAX 41
#define REQUEST_ID_TRIES      50 /* "shop.example.com-50" is the last that is tried */

enum request_op {
	REQUEST_OP_NONE, /* the entry is refused, whatever it wanted */
	REQUEST_OP_ADD,
	REQUEST_OP_UPDATE,
	REQUEST_OP_REMOVE,
	REQUEST_OP_VERIFY,
	REQUEST_OP_RENEW,
	REQUEST_OP_REVOKE,
};

/** One field of a stream entry; borrowed. */
struct request_field {
	const char *name, *value; /* name terminated; value need not be */
	size_t value_len;
};

/** Why not: a word for programs, a sentence for people. */
struct request_refusal {
	char code[ENDPOINT_CODE_MAX + 1];
	struct why why;
};

/** What was asked. Texts hold nothing but what their rules allow; has_* tell what was given. */
struct request {
	char stream_id[REQUEST_STREAM_ID_MAX + 1];
	char source[REQUEST_SOURCE_MAX + 1];
	char id[REQUEST_ID_MAX +
		1]; /* of the request; the stream id if it had none that is legible */
	char type[64];
	enum request_op op;
	char endpoint[ENDPOINT_ID_MAX + 1]; /* given, or made from the first name */
	bool has_endpoint;
	char tenant[ENDPOINT_TENANT_MAX + 1];
	enum endpoint_type endpoint_type;
	char target[NAME_SIZE];
	char authority[ENDPOINT_AUTHORITY_MAX + 1];
	char profile[ENDPOINT_PROFILE_MAX + 1];
	char zone[ENDPOINT_ZONE_MAX + 1];
	enum key_type key_type;
	int32_t reason;
	uint64_t generation;      /* what it must be, or the request is stale; 0: whatever it is */
	char (*names)[NAME_SIZE]; /* owned */
	size_t names_n;
	bool has_tenant, has_type, has_target, has_authority, has_profile, has_zone, has_key_type,
		has_names;
};

/** 0, or CF_EINVAL with *no filled; then source, id, stream_id and type are still set as far as
 * they could be read, so that the refusal can be addressed. out need not be initialized; release it
 * in both cases. */
int request_parse(const char *stream_id, const struct request_field *fields, size_t n,
	struct request *out, struct request_refusal *no);
void request_release(struct request *r);

/** The key of the answer without the fleet's prefix: "req:SOURCE:ID", with % and : in the source as
 * %25 and %3A. */
#define REQUEST_ANSWER_NAME_SIZE (8 + 3 * REQUEST_SOURCE_MAX + REQUEST_ID_MAX)
char *request_answer_name(const struct request *r, char out[REQUEST_ANSWER_NAME_SIZE]);

/** Number try (1 …) of the ids for an endpoint that was added without one: the base, base-2, base-3
 * … The base is cut where the suffix would not fit. */
void request_endpoint_id(const struct request *r, unsigned try, char out[ENDPOINT_ID_MAX + 1]);

/** What the fleet allows. */
struct request_policy {
	const char *const *authorities; /* names; borrowed */
	size_t authorities_n;
	const char *const *zones; /* our challenge zones: no endpoint lives in them */
	size_t zones_n;
	struct needs_policy needs;
};

enum request_verdict {
	REQUEST_APPLY,
	REQUEST_REFUSED,
	REQUEST_TAKEN, /* the made-up id belongs to another tenant: try the next */
};

/** What is to be written; see struct queue_apply. */
struct request_effect {
	const char *op;                /* "add", "update", "remove", "touch" */
	struct endpoint_config config; /* owned */
	uint64_t generation;           /* after it is applied */
	bool new_generation;
	const char **added,
		**dropped; /* owned arrays; texts borrowed from config and from the endpoint */
	size_t added_n, dropped_n;
	struct need verify, issue; /* any == false: not asked */
	const char *event;         /* a second event beside request.done; NULL: none */
	const char *timeline;      /* one word */
};

void request_effect_release(struct request_effect *f);

/** Sets r against the endpoint (NULL: there is none by the id). id is what request_endpoint_id()
 * gave for an add, else r->endpoint. *out is filled for REQUEST_APPLY only, *no for REQUEST_REFUSED
 * only. The effect borrows from e. */
enum request_verdict request_decide(const struct request *r, const char *id,
	const struct endpoint *e, const struct request_policy *policy, int64_t now_ms,
	struct request_effect *out, struct request_refusal *no);

/** The answer (common/event.h): no == NULL means done. */
int request_answer(const struct request *r, const char *endpoint, uint64_t generation,
	const struct request_refusal *no, struct buf *out);
/** The data of endpoint.added and endpoint.updated:
 * { V: 1, endpoint, tenant, generation, names, type, target, authority, profile, key_type }. */
int request_event_data(const struct request_effect *f, struct buf *out);

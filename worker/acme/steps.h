/* steps.h - an order (RFC 8555 section 7.4) as a value that walks a table.
 *
 * Pure: no curl, libuv, Redis, clock or randomness of its own. The driver (order_run.c) asks a unit
 * for its next effect, performs it, and feeds the outcome back. Unit ORDER_UNIT is the order
 * itself, units 0 … n-1 are its authorizations, which run side by side while the order stands in
 * ORDER_AUTHORIZE. At most one effect of a unit is under way at a time; which ones are is the
 * driver's to know.
 *
 *   make_key ─► save_key ─► new_order ─► save_order ─┐
 *      ▲ badCSR                ▲ gone, expired       ▼           pending, ready
 *      │ badPublicKey          └───────────── (by its status) ──────────────► authorize ◄─► the
 * authorizations │                        resume ─► read_order ─┘ │ │                       │ all
 * valid │                                                │ │ valid                 ▼
 *      └───────────────────────────────────────┐        │ │                    barrier   (durable
 * from here) │        │ └──────────────┐        ▼ │        │ processing     │     make_csr │ ▼
 * ready   │        ▼ done ◄─ check_chain ◄─ download ◄───────── poll_order ◄─────────────┼────
 * finalize ▲                ▲ └─ processing: wait     │   lost answer, orderNotReady: ask
 *                             └────────────────┼────────────────────────┘
 *   failed ◄── from anywhere, with a failure that says who can act
 *
 * An authorization:
 *
 *   read ─► publish ─► hold ─► await_visible ─► answer ─► poll ─► unpublish ─► over
 *     │ valid    │      until all values at its name        │ pending: wait     ▲
 *     └─► over   └─ fails: the next challenge type ◄────────┘ invalid ──────────┘
 *                       a sibling failed: deactivate (if pending) ─► unpublish ─► over
 */
#pragma once

#include "worker/acme/objects.h"

#define ORDER_STEPS(X)                                                                          \
	X(MAKE_KEY, "make_key", "The certificate's key is made.")                               \
	X(SAVE_KEY, "save_key", "The key is checkpointed, before anything is asked of the CA.") \
	X(NEW_ORDER, "new_order", "The CA is asked for an order.")                              \
	X(SAVE_ORDER, "save_order",                                                             \
		"The order's URL is checkpointed, so that it is never placed twice.")           \
	X(READ_ORDER, "read_order", "The CA is asked where the order stands.")                  \
	X(AUTHORIZE, "authorize", "The names are authorized, side by side.")                    \
	X(BARRIER, "barrier",                                                                   \
		"Enough replicas have the key and the order: finalizing loses nothing now.")    \
	X(MAKE_CSR, "make_csr", "The signing request is made.")                                 \
	X(FINALIZE, "finalize", "The CA is asked to issue.")                                    \
	X(POLL_ORDER, "poll_order", "The CA is issuing.")                                       \
	X(DOWNLOAD, "download", "The certificate is fetched.")                                  \
	X(CHECK_CHAIN, "check_chain", "What came is compared with what was asked for.")         \
	X(DONE, "done", "The certificate is there.")                                            \
	X(FAILED, "failed", "The order failed.")

enum order_step {
#define ORDER_STEP_ENUM(id, name, sentence) ORDER_##id,
	ORDER_STEPS(ORDER_STEP_ENUM)
#undef ORDER_STEP_ENUM
		ORDER_STEPS_N
};

#define AUTHZ_STEPS(X)                                                                         \
	X(READ, "read", "The CA is asked what it wants to see.")                               \
	X(PUBLISH, "publish", "The challenge's answer is made visible.")                       \
	X(HOLD, "hold", "Other values at the same name are still being published.")            \
	X(AWAIT_VISIBLE, "await_visible", "Each responder is asked whether it answers right.") \
	X(ANSWER, "answer", "The CA is told to look.")                                         \
	X(POLL, "poll", "The CA is looking.")                                                  \
	X(DEACTIVATE, "deactivate",                                                            \
		"The authorization is given up, since another of the order failed.")           \
	X(UNPUBLISH, "unpublish", "The challenge's answer is withdrawn.")                      \
	X(OVER, "over", "Nothing is left to do.")

enum authz_step {
#define AUTHZ_STEP_ENUM(id, name, sentence) AUTHZ_##id,
	AUTHZ_STEPS(AUTHZ_STEP_ENUM)
#undef AUTHZ_STEP_ENUM
		AUTHZ_STEPS_N
};

#define ORDER_UNIT (-1)

enum effect_kind {
	EFFECT_NONE,    /* nothing now: under way, or waiting for other units */
	EFFECT_POST,    /* signed: url, payload ("" is POST-as-GET), pem */
	EFFECT_ACCOUNT, /* the CA does not know our account: register again */
	EFFECT_MAKE_KEY,
	EFFECT_MAKE_CSR,   /* outcome.body: the DER in base64url */
	EFFECT_CHECKPOINT, /* barrier */
	EFFECT_PUBLISH,    /* challenge, as are the next two */
	EFFECT_VISIBLE,
	EFFECT_UNPUBLISH,
	EFFECT_WAIT,  /* wait_ms */
	EFFECT_CHECK, /* the PEM in order.pem against key and names */
	EFFECT_DONE,
	EFFECT_FAIL, /* order.failure */
};

/** What the driver is to do. Pointers are the order's: they live until its next order_consume(). */
struct effect {
	enum effect_kind kind;
	const char *url;
	const char *payload; /* allocated: free() it; NULL: "" */
	bool pem;
	bool barrier;
	int64_t wait_ms;
	struct acme_challenge challenge; /* key_authorization and txt are the driver's to fill */
};

/** What came of it. Only what the effect gives is read. */
struct outcome {
	int err;       /* 0, or CF_E* of a hook, a key, or an HTTP request that got no answer */
	bool canceled; /* the driver took the effect back, as order_unwanted() asked */
	bool sent;     /* HTTP without an answer: the CA may have seen the request */
	int status;
	const char *body; /* terminated */
	size_t len;
	const char *location;
	int64_t retry_after_ms;
	const char *why; /* a sentence for err; may be NULL */
};

/** What a request whose outcome is unknown calls for. */
enum unknown_rule {
	UNKNOWN_REPLAY, /* sent again: it changes nothing, or is harmless twice */
	UNKNOWN_ASK,    /* the object is read before anything is sent again */
};

/** What order and authorization share: counts of this step, and a pause before its effect. */
struct walk {
	uint8_t tries;   /* failed ones, against the row's budget */
	uint8_t at_once; /* bad nonces and their like */
	uint16_t polls;
	bool account; /* register again first */
	int64_t pause_ms;
};

enum authz_end { AUTHZ_RUNS, AUTHZ_VALID, AUTHZ_FAILED, AUTHZ_DEAD, AUTHZ_LEFT };

struct authz {
	enum authz_step step;
	enum authz_end end; /* decided before the last steps are walked */
	struct walk walk;
	char *url;
	char *name; /* NULL until read; without "*." */
	bool wildcard;
	int64_t expires_wall_ms;
	uint8_t choice; /* index into the identifier's choices */
	enum acme_challenge_type type;
	char *challenge_url, *token; /* NULL until chosen */
	bool published, answered;
	bool refused;   /* the CA refused the answer; what it says of the authorization decides */
	bool abandoned; /* a sibling failed */
	bool fresh;     /* entered its step since the driver last looked */
};

/** Copied by order_init(); identifiers' names as well. */
struct order_input {
	const struct acme_identifier *names;
	size_t n_names;
	const char *profile;  /* NULL: none */
	const char *replaces; /* NULL: none */
	uint32_t seed;        /* for jitter */
};

struct order {
	enum order_step step;
	struct walk walk;
	uint32_t seed;
	/* the CA's, set by the driver before the first order_next(); borrowed */
	const char *new_order_url;
	bool renewal_info; /* `replaces` may be sent */
	/* what is asked for */
	struct acme_identifier *names; /* owned, as are the names in it */
	size_t n_names;
	char *profile, *replaces;
	/* what is there */
	bool have_key;
	char *url;
	enum ca_status status;
	char *finalize_url, *certificate_url;
	struct authz *authz;
	size_t n_authz;
	bool durable;        /* a barrier was acknowledged since the last change of key or order */
	bool finalize_asked; /* the CA may be issuing already */
	bool replaced;       /* placed with `replaces` */
	bool rekeyed;
	uint8_t restarts, finalizes;
	unsigned placed;
	char *csr;
	char *pem;
	size_t pem_len;
	struct problem *error;        /* the order's own, as last read; NULL: none */
	struct acme_failure *failure; /* the first one; NULL: none */
	/* Called by order_enter(), which alone changes the step; may be NULL. */
	void (*entered)(void *arg, const struct order *o, enum order_step from);
	void *entered_arg;
};

void order_init(struct order *o, const struct order_input *in);
void order_release(struct order *o);
/** Before the first order_next(): goes on from a checkpoint. order_url NULL: only the key was made.
 */
void order_resume(struct order *o, const char *order_url);

const char *order_step_name(enum order_step step);
const char *order_step_sentence(enum order_step step);
const char *authz_step_name(enum authz_step step);

/** The unit's next effect. Asked only while none of the unit is under way. */
void order_next(const struct order *o, int unit, struct effect *out);
/** Feeds the outcome of the unit's effect. May add authorizations and change other units. */
void order_consume(struct order *o, int unit, const struct outcome *outcome);
/** The unit's effect under way is not wanted any more: if it can be taken back (a request, a wait),
 * it is to be, and consumed as canceled. */
bool order_unwanted(const struct order *o, int unit);
/** Fails the order from outside (deadline). What is under way is to be taken back or awaited. */
void order_give_up(struct order *o, const struct acme_failure *failure);
static inline bool order_is_over(const struct order *o)
{
	return o->step == ORDER_DONE || o->step == ORDER_FAILED;
}

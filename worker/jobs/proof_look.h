/* proof_look.h - looks at what edges serve: a handshake for each name at each of its addresses, and
 * at the edges of this process' configuration. Bounded in names, addresses and handshakes. */
#pragma once

#include "worker/probe/served.h"

struct worker;
struct proof_look;

#define PROOF_LOOKS_MAX 64 /* handshakes of one look */

struct proof_name {
	char name[NAME_SIZE]; /* no wildcard */
	bool resolved;        /* at its addresses in DNS too */
};

struct proof_ask {
	const void *der; /* the leaf that should be served */
	size_t der_len;
	char before[41]; /* serial of what was last seen to be served right */
	const struct proof_name *names;
	size_t names_n;
};

/** seen is borrowed until the callback returns. */
typedef void proof_look_fn(void *arg, const struct served_seen *seen, size_t n);

/** fn is called exactly once, never from inside this call, unless it is cancelled. What is in ask
 * is copied. Never NULL. */
struct proof_look *proof_look_start(
	struct worker *w, const struct proof_ask *ask, proof_look_fn *fn, void *arg);
/** fn will not be called. NULL is a no-op. */
void proof_look_cancel(struct proof_look *l);

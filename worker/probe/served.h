/* served.h - what a handshake showed, judged against the certificate that was issued. Pure. */
#pragma once

#include "common/endpoint.h"
#include "worker/probe/handshake.h"

#define SERVED_WHAT_SIZE   192
#define SERVED_UNREACHED   "unreachable" /* no connection */
#define SERVED_NOT_ALLOWED "forbidden"   /* no address that we may connect to */

struct served_case {
	const void *der; /* the leaf that should be served */
	size_t der_len;
	const char *before; /* serial of what was last seen to be served right; "": none */
	const char *name;   /* that was asked for */
	int64_t now_ms;
};

/** What one address showed for one name. */
struct served_seen {
	char name[NAME_SIZE];
	char at[ADDR_TEXT_SIZE];
	char code[ENDPOINT_CODE_MAX +
		  1];                /* "": all is right; a served_* code; or one of the above */
	char what[SERVED_WHAT_SIZE]; /* what was seen, for a person */
	char serial[41];             /* of what was presented; "" if nothing was */
	int64_t from_ms, ends_ms;    /* of that; 0 if nothing was */
};

/** The certificate is for that name. */
bool served_covers(const void *der, size_t n, const char *name);
/** Fills all of out but `at`. Of several codes the one that hurts most: served_handshake,
 * served_name, served_expired, served_old, served_other, served_chain. */
void served_judge(
	const struct served_case *c, const struct handshake_result *r, struct served_seen *out);
/** The code is one of the above, and so says something of an edge's certificate. */
bool served_is_wrong(const char *code);

/* served.h - what a handshake showed, judged against the certificate that was issued. Pure. */
#pragma once

#include "common/endpoint.h"
#include "worker/probe/handshake.h"

#define SERVED_WHAT_SIZE 192

struct served_case {
	const struct endpoint_cert *cert;
	const char *before; /* serial of what was last seen to be served right; "": none */
	const char *name;   /* that was asked for */
	int64_t now_ms;
};

/** The certificate is for that name. */
bool served_covers(const void *der, size_t n, const char *name);
/** The code of what is wrong, "" when all is right, NULL when it says nothing of the edge (no
 * connection). Of several the one that hurts most: served_handshake, served_name, served_expired,
 * served_old, served_other, served_chain. what[SERVED_WHAT_SIZE]: what was seen, for a person;
 * *ends_ms: when the presented certificate ends, 0 if none was. */
const char *served_judge(const struct served_case *c, const struct handshake_result *r,
	char what[SERVED_WHAT_SIZE], int64_t *ends_ms);

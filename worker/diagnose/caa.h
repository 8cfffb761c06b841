/* caa.h - whether an authority may issue, by CAA records (RFC 8659, RFC 8657). Values only. */
#pragma once

#include "worker/diagnose/diagnose.h"

enum caa_said { CAA_ALLOWS, CAA_FORBIDS, CAA_UNREADABLE };

struct caa_judgement {
	enum caa_said said;
	const char *code;     /* NULL when it allows */
	const char *owner;    /* where the records that decide stand; NULL: nowhere */
	const char *property; /* "issue" or "issuewild": which one counts */
};

/** By the first name from base upwards that has CAA records at the resolver. wildcard: the name
 * ordered is "*.base". An authority without identities is not judged: it may. */
void caa_judge(const struct facts *f, const char *base, bool wildcard,
	const struct diagnose_authority *a, enum challenge_type type, struct caa_judgement *out);

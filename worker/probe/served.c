#include "worker/probe/served.h"

#include "common/clock.h"
#include "common/names.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

struct search {
	const char *name;
	bool found;
};

static void compare(void *arg, const char *san)
{
	struct search *s = arg;

	s->found = s->found || !strcmp(san, s->name) || name_covers(san, s->name);
}

bool served_covers(const void *der, size_t n, const char *name)
{
	struct search s = {.name = name};

	return !cert_each_name(der, n, compare, &s) && s.found;
}

/* Who issued a name's certificates before may have issued this one to us. */
static bool same_issuer(const struct endpoint_cert *ours, const struct cert_info *theirs)
{
	struct cert_info mine;

	return !cert_info_read(ours->der, ours->der_len, &mine, NULL) && mine.issuer[0] &&
	       !strcmp(mine.issuer, theirs->issuer);
}

static bool is_older(const struct served_case *c, const struct cert_info *theirs)
{
	if (c->before[0] && !strcmp(c->before, theirs->serial))
		return true;
	return theirs->not_before_ms <= c->cert->not_before_ms && same_issuer(c->cert, theirs);
}

/* Each is issued by the next. A root may be left out, but not what stands between. */
static bool is_whole(const struct chain *chain)
{
	X509 *below = NULL;
	bool whole = true;

	for (size_t i = 0; i < chain->n && whole; i++) {
		const unsigned char *p = chain->certs[i].der;
		X509 *x = d2i_X509(NULL, &p, (long)chain->certs[i].len);

		whole = x && (!below || !X509_NAME_cmp(X509_get_issuer_name(below),
						X509_get_subject_name(x)));
		if (x && chain->n == 1)
			whole = !X509_NAME_cmp(X509_get_issuer_name(x), X509_get_subject_name(x));
		X509_free(below);
		below = x;
	}
	X509_free(below);
	ERR_clear_error();
	return whole;
}

const char *served_judge(const struct served_case *c, const struct handshake_result *r,
	char what[SERVED_WHAT_SIZE], int64_t *ends_ms)
{
	const struct chain_cert *leaf = r->chain.certs;
	struct cert_info info;
	char end[CLOCK_RFC3339_LEN];
	bool ours;

	*ends_ms = 0;
	snprintf(what, SERVED_WHAT_SIZE, "%s", r->why);
	if (r->end != HANDSHAKE_PRESENTED)
		return r->end == HANDSHAKE_FAILED ? "served_handshake" : NULL;
	if (!r->chain.n || cert_info_read(leaf->der, leaf->len, &info, NULL)) {
		snprintf(what, SERVED_WHAT_SIZE, "an unreadable certificate");
		return "served_handshake";
	}
	*ends_ms = info.not_after_ms;
	snprintf(what, SERVED_WHAT_SIZE, "serial %s by %.80s until %s", info.serial,
		info.issuer[0] ? info.issuer : "nobody", clock_rfc3339(info.not_after_ms, end));
	ours = leaf->len == c->cert->der_len && !memcmp(leaf->der, c->cert->der, leaf->len);
	if (!ours && !served_covers(leaf->der, leaf->len, c->name))
		return "served_name";
	if (info.not_after_ms <= c->now_ms)
		return "served_expired";
	if (!ours)
		return is_older(c, &info) ? "served_old" : "served_other";
	return is_whole(&r->chain) ? "" : "served_chain";
}

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
static bool is_older(const struct served_case *c, const struct cert_info *theirs)
{
	struct cert_info mine;

	if (c->before[0] && !strcmp(c->before, theirs->serial))
		return true;
	return !cert_info_read(c->der, c->der_len, &mine, NULL) && mine.issuer[0] &&
	       !strcmp(mine.issuer, theirs->issuer) && theirs->not_before_ms <= mine.not_before_ms;
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

bool served_is_wrong(const char *code)
{
	return !strncmp(code, "served_", 7);
}

static void say(struct served_seen *out, const char *code, const char *what)
{
	snprintf(out->code, sizeof out->code, "%s", code);
	if (what)
		snprintf(out->what, sizeof out->what, "%s", what);
}

static void say_unpresented(struct served_seen *out, const struct handshake_result *r)
{
	static const char *const codes[] = {[HANDSHAKE_FORBIDDEN] = SERVED_NOT_ALLOWED,
		[HANDSHAKE_UNREACHABLE] = SERVED_UNREACHED,
		[HANDSHAKE_FAILED] = "served_handshake"};

	say(out, codes[r->end], r->why);
}

static const char *code_of(
	const struct served_case *c, const struct chain *chain, const struct cert_info *info)
{
	const struct chain_cert *leaf = chain->certs;
	bool ours = leaf->len == c->der_len && !memcmp(leaf->der, c->der, leaf->len);

	if (!ours && !served_covers(leaf->der, leaf->len, c->name))
		return "served_name";
	if (info->not_after_ms <= c->now_ms)
		return "served_expired";
	if (!ours)
		return is_older(c, info) ? "served_old" : "served_other";
	return is_whole(chain) ? "" : "served_chain";
}

void served_judge(
	const struct served_case *c, const struct handshake_result *r, struct served_seen *out)
{
	struct cert_info info;
	char end[CLOCK_RFC3339_LEN];

	snprintf(out->name, sizeof out->name, "%s", c->name);
	out->serial[0] = '\0';
	out->from_ms = out->ends_ms = 0;
	if (r->end != HANDSHAKE_PRESENTED) {
		say_unpresented(out, r);
		return;
	}
	if (!r->chain.n ||
		cert_info_read(r->chain.certs[0].der, r->chain.certs[0].len, &info, NULL)) {
		say(out, "served_handshake", "an unreadable certificate");
		return;
	}
	memcpy(out->serial, info.serial, sizeof out->serial);
	out->from_ms = info.not_before_ms;
	out->ends_ms = info.not_after_ms;
	snprintf(out->what, sizeof out->what, "serial %s by %.80s until %s", info.serial,
		info.issuer[0] ? info.issuer : "nobody", clock_rfc3339(info.not_after_ms, end));
	say(out, code_of(c, &r->chain, &info), NULL);
}

#include "worker/probe/proof.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"

#include <stdio.h>
#include <string.h>

#define EDGES_SAID 3

/* What is to be done: before the addresses, after them, and what is said of the certificate. */
enum fact { FACT_FROM, FACT_END, FACT_SERIAL, FACT_NAME, FACT_NONE };
static const struct {
	const char *code, *act, *because;
	enum fact fact;
} fixes[] = {
	{"served_old", "Reload the edge at", "it still presents the certificate of", FACT_FROM},
	{"served_expired", "Reload the edge at", "it presents a certificate that ended at",
		FACT_END},
	{"served_other", "Let the edge load what certfleet issued, at",
		"it presents what somebody else issued,", FACT_SERIAL},
	{"served_name", "Let the edge load the certificate and choose it by SNI, at",
		"what it presents is not for", FACT_NAME},
	{"served_chain", "Let the edge load the whole chain (fullchain.pem), at",
		"it presents the certificate without its intermediates", FACT_NONE},
	{"served_handshake", "See that the edge speaks TLS and chooses by SNI, at",
		"it presents nothing for", FACT_NAME},
};

static void put_fact(struct buf *out, enum fact fact, const struct served_seen *seen)
{
	char time[CLOCK_RFC3339_LEN];

	switch (fact) {
	case FACT_FROM:
		buf_addf(
			out, " %.10s, serial %s", clock_rfc3339(seen->from_ms, time), seen->serial);
		break;
	case FACT_END:
		buf_addf(out, " %.19sZ, serial %s", clock_rfc3339(seen->ends_ms, time),
			seen->serial);
		break;
	case FACT_SERIAL:
		buf_addf(out, " serial %s", seen->serial);
		break;
	case FACT_NAME:
		buf_addf(out, " %s", seen->name);
		break;
	case FACT_NONE:
		break;
	}
}

static bool same_place(const struct served_seen *a, const struct served_seen *b)
{
	return !strcmp(a->at, b->at) && !strcmp(a->code, b->code);
}

/* Each address once, the first few by name. */
static void put_edges(struct buf *out, const char *code, const struct served_seen *seen, size_t n)
{
	size_t said = 0, more = 0;

	for (size_t i = 0; i < n; i++) {
		bool again = strcmp(seen[i].code, code) != 0;

		for (size_t k = 0; k < i && !again; k++)
			again = same_place(&seen[k], &seen[i]);
		if (again)
			continue;
		if (said == EDGES_SAID) {
			more++;
			continue;
		}
		buf_addf(out, "%s%s", said++ ? ", " : " ", seen[i].at);
	}
	if (more)
		buf_addf(out, " and %zu more", more);
}

static void put_fix(const struct proof_case *c, const struct served_seen *first,
	const struct served_seen *seen, size_t n, struct diagnosis *d)
{
	_buf_release_ struct buf fix = BUF_INIT(2048);
	char time[CLOCK_RFC3339_LEN];

	for (size_t i = 0; i < ARRAY_LEN(fixes); i++) {
		if (strcmp(fixes[i].code, first->code) != 0)
			continue;
		buf_adds(&fix, fixes[i].act);
		put_edges(&fix, first->code, seen, n);
		buf_addf(&fix, ": %s", fixes[i].because);
		put_fact(&fix, fixes[i].fact, first);
	}
	buf_addf(&fix,
		".\nSerial %s is published under %s since %.19sZ: certfleet sync writes it there "
		"and "
		"runs its --reload.\nBy hand: certfleet certificate export %s --dir DIR",
		c->cert->serial, c->endpoint, clock_rfc3339(c->cert->issued_ms, time), c->endpoint);
	snprintf(d->fix, sizeof d->fix, "%s", buf_cstr(&fix));
}

/* --- diagnoses */

static bool is_observed(const struct diagnosis *d, const struct served_seen *seen)
{
	for (size_t i = 0; i < d->observed_n; i++)
		if (!strcmp(d->observed[i].server, seen->at) &&
			!strcmp(d->observed[i].what, seen->what))
			return true;
	return false;
}

static struct diagnosis *begin(
	const struct proof_case *c, struct proof *p, const struct served_seen *first)
{
	struct diagnosis *d = &p->found[p->found_n++];
	char end[CLOCK_RFC3339_LEN];

	diagnosis_init(d, first->code, first->name);
	d->since_ms = c->now_ms;
	snprintf(d->expected, sizeof d->expected, "serial %s until %s", c->cert->serial,
		clock_rfc3339(c->cert->not_after_ms, end));
	return d;
}

static void take(const struct proof_case *c, struct diagnosis *d, const struct served_seen *seen)
{
	char end[CLOCK_RFC3339_LEN];

	if (strcmp(d->name, seen->name) != 0) /* several: it is about the endpoint */
		d->name[0] = '\0';
	if (!is_observed(d, seen))
		diagnosis_observe(d, seen->at, seen->what, 0);
	if (seen->ends_ms <= c->now_ms || (d->effect_ms && d->effect_ms <= seen->ends_ms))
		return;
	d->effect_ms = seen->ends_ms;
	snprintf(d->effect, sizeof d->effect, "What is served ends at %s.",
		clock_rfc3339(seen->ends_ms, end));
}

static void diagnose(
	const struct proof_case *c, const struct served_seen *seen, size_t n, struct proof *p)
{
	for (size_t i = 0; i < n; i++) {
		struct diagnosis *d = NULL;

		if (!served_is_wrong(seen[i].code))
			continue;
		for (size_t k = 0; k < p->found_n; k++)
			if (!strcmp(p->found[k].code, seen[i].code))
				d = &p->found[k];
		if (!d && p->found_n == PROOF_FOUND_MAX)
			continue;
		if (!d) {
			d = begin(c, p, &seen[i]);
			put_fix(c, &seen[i], seen, n, d);
		}
		take(c, d, &seen[i]);
	}
}

/* --- n of m */

/* The first look at an address, and what is wrong there for some name. */
static bool is_first(const struct served_seen *seen, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (!strcmp(seen[k].at, seen[i].at))
			return false;
	return true;
}

static const struct served_seen *wrong_at(const struct served_seen *seen, size_t n, const char *at)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(seen[i].at, at) && seen[i].code[0])
			return &seen[i];
	return NULL;
}

static void lag(struct served *s, const struct served_seen *seen)
{
	struct served_behind *b = &s->behind[s->behind_n];

	if (s->behind_n == SERVED_BEHIND_MAX)
		return;
	s->behind_n++;
	snprintf(b->at, sizeof b->at, "%s", seen->at);
	snprintf(b->code, sizeof b->code, "%s", seen->code);
	snprintf(b->what, sizeof b->what, "%.96s", seen->what);
}

static void count(const struct served_seen *seen, size_t n, struct served *s)
{
	for (size_t i = 0; i < n; i++) {
		const struct served_seen *wrong;

		if (!is_first(seen, i) || !strcmp(seen[i].code, SERVED_NOT_ALLOWED))
			continue;
		wrong = wrong_at(seen, n, seen[i].at);
		s->addresses++;
		if (wrong)
			lag(s, wrong);
		else
			s->right++;
	}
}

void proof_sum(
	const struct proof_case *c, const struct served_seen *seen, size_t n, struct proof *out)
{
	struct served *s = &out->served;

	*out = (struct proof){.found_n = 0};
	diagnose(c, seen, n, out);
	count(seen, n, s);
	if (out->found_n)
		s->status = SERVED_STALE;
	else if (s->addresses)
		s->status = s->right == s->addresses ? SERVED_OK : SERVED_UNREACHABLE;
	else
		snprintf(s->why, sizeof s->why, "%s", n ? SERVED_NOT_ALLOWED : "no_address");
}

void proof_words(const struct served *s, struct buf *out)
{
	buf_addf(out, "%u of %u addresses", (unsigned)s->right, (unsigned)s->addresses);
	for (size_t i = 0; i < s->behind_n; i++)
		buf_addf(out, "%s%s (%s)", i ? ", " : "; behind: ", s->behind[i].at,
			s->behind[i].code);
	if (s->addresses - s->right > s->behind_n)
		buf_addf(out, " and %u more",
			(unsigned)(s->addresses - s->right - (uint32_t)s->behind_n));
}

#include "worker/probe/door_judge.h"

#include "common/clock.h"
#include "common/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SLASHLESS ".well-known"

/* What a code's diagnosis says; at: its first address. */
struct finding {
	const struct door_case *c;
	const struct door_seen *at;
	struct diagnosis *d;
};

static void fix_line(struct diagnosis *d, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void fix_line(struct diagnosis *d, const char *format, ...)
{
	size_t n = strlen(d->fix);
	va_list ap;

	if (n && n + 1 < sizeof d->fix)
		d->fix[n++] = '\n';
	va_start(ap, format);
	vsnprintf(d->fix + n, sizeof d->fix - n, format, ap);
	va_end(ap);
}

static const char *host_of(const struct finding *f, char out[ADDR_TEXT_SIZE])
{
	return addr_format_host(&f->at->at, out);
}

static void fix_foreign(const struct finding *f)
{
	char at[ADDR_TEXT_SIZE];

	if (f->c->ours) {
		fix_line(f->d,
			"At %s: route " DOOR_PATH " to the workers with the role http-01, before "
			"anything else",
			host_of(f, at));
		return;
	}
	fix_line(f->d, "Point %.100s at %.100s, and remove its other A and AAAA records",
		f->c->name, f->c->target);
	fix_line(f->d,
		"Or at %s pass the path on; in nginx: location " DOOR_PATH
		" { proxy_pass http://%.100s; }",
		host_of(f, at), f->c->target);
}

static void fix_redirect(const struct finding *f)
{
	char at[ADDR_TEXT_SIZE];

	fix_line(
		f->d, "At %s: answer " DOOR_PATH " before any redirect; in nginx:", host_of(f, at));
	fix_line(f->d, "location " DOOR_PATH " { proxy_pass http://%.100s; }", f->c->target);
	fix_line(f->d, "Or keep the path in the redirect; in nginx: return 301 "
		       "https://$host$request_uri;");
}

static void fix_slash(const struct finding *f)
{
	const char *host = f->at->result.host;
	int n = (int)(strlen(host) - strlen(SLASHLESS));
	char at[ADDR_TEXT_SIZE];

	fix_line(f->d,
		"At %s: end the redirect's target with a slash, https://%.*s/ instead of "
		"https://%.*s",
		host_of(f, at), n, host, n, host);
	fix_line(f->d, "In Apache: Redirect permanent / https://%.*s/", n, host);
}

static void fix_refused(const struct finding *f)
{
	char at[ADDR_TEXT_SIZE];

	fix_line(f->d,
		"At %s: let the web server listen at TCP port 80, and open the port to the whole "
		"world",
		host_of(f, at));
}

static void fix_timeout(const struct finding *f)
{
	char at[ADDR_TEXT_SIZE];

	fix_line(f->d,
		"At %s: open TCP port 80 in the firewall to the whole world, since authorities ask "
		"from many places, and see that the web server answers",
		host_of(f, at));
}

static void fix_aaaa(const struct finding *f)
{
	char at[ADDR_TEXT_SIZE];

	fix_line(f->d, "Remove: %.200s AAAA %s", f->c->ours ? f->c->target : f->c->name,
		host_of(f, at));
	fix_line(f->d, "Or let TCP port 80 answer there as it does by IPv4");
}

/* In the order in which they are told. */
static const struct code {
	const char *code;
	void (*fix)(const struct finding *f);
} codes[] = {
	{"redirect_slash", fix_slash},
	{"probe_redirect", fix_redirect},
	{"probe_foreign", fix_foreign},
	{"probe_refused", fix_refused},
	{"probe_timeout", fix_timeout},
	{"aaaa_unreachable", fix_aaaa},
};
_Static_assert(ARRAY_LEN(codes) == DOOR_FINDINGS_MAX, "one finding a code");

bool door_is_code(const char *code)
{
	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (!strcmp(codes[i].code, code))
			return true;
	return false;
}

/* --- what one address gave */

static bool lost_slash(const struct door_result *r)
{
	size_t n = strlen(r->host), tail = strlen(SLASHLESS);

	return n > tail && !strcmp(r->host + n - tail, SLASHLESS);
}

static bool says_nothing(const struct door_result *r)
{
	return r->end == DOOR_FORBIDDEN || r->end == DOOR_NO_WAY;
}

static bool takes_no_connection(const struct door_result *r)
{
	return (r->end == DOOR_REFUSED || r->end == DOOR_TIMEOUT) && !r->redirects;
}

/* "": right; NULL: says nothing. */
static const char *code_of(const struct door_seen *s, bool ipv4_answers)
{
	const struct door_result *r = &s->result;
	static const char *const first[] = {
		[DOOR_FOREIGN] = "probe_foreign",
		[DOOR_REFUSED] = "probe_refused",
		[DOOR_TIMEOUT] = "probe_timeout",
		[DOOR_BROKEN] = "probe_foreign",
		[DOOR_AWAY] = "probe_redirect",
	};

	if (says_nothing(r))
		return NULL;
	if (r->end == DOOR_RIGHT)
		return "";
	if (lost_slash(r))
		return "redirect_slash";
	if (takes_no_connection(r) && s->at.sa.sa_family == AF_INET6 && ipv4_answers)
		return "aaaa_unreachable";
	/* Where it leads to, the path may be routed wrongly; else the redirect is what is wrong. */
	if (r->redirects && !(r->end == DOOR_FOREIGN && r->path_kept))
		return "probe_redirect";
	return first[r->end];
}

static bool ipv4_answers(const struct door_seen *seen, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (seen[i].at.sa.sa_family == AF_INET && !says_nothing(&seen[i].result) &&
			!takes_no_connection(&seen[i].result))
			return true;
	return false;
}

/* --- the diagnosis */

static void put_effect(const struct door_case *c, struct diagnosis *d)
{
	char when[CLOCK_RFC3339_LEN];

	if (!c->alone) {
		snprintf(d->effect, sizeof d->effect,
			"http-01 cannot be relied upon; certificates are issued by dns-01.");
		return;
	}
	if (!c->cert) {
		snprintf(d->effect, sizeof d->effect,
			"http-01 is likely to fail, and no other challenge type is open.");
		return;
	}
	d->effect_ms =
		c->cert->renew_at_ms > c->now_ms ? c->cert->renew_at_ms : c->cert->not_after_ms;
	snprintf(d->effect, sizeof d->effect,
		c->cert->renew_at_ms > c->now_ms
			? "The renewal at %s is likely to fail: only http-01 is open."
			: "The certificate ends at %s, and its renewal is likely to fail: only "
			  "http-01 is open.",
		clock_rfc3339(d->effect_ms, when));
}

static void describe(const struct door_case *c, const struct code *code,
	const struct door_seen *seen, size_t n, const struct door_seen *first, struct diagnosis *d)
{
	bool aaaa = !strcmp(code->code, "aaaa_unreachable");
	char at[ADDR_TEXT_SIZE];

	diagnosis_init(d, code->code, c->name);
	if (c->ours)
		d->actor = ACTOR_OPERATOR;
	d->since_ms = c->now_ms;
	if (aaaa)
		snprintf(d->record, sizeof d->record, "%s AAAA", c->name);
	else
		snprintf(d->record, sizeof d->record, "http://%s%s", c->name, DOOR_PATH);
	snprintf(d->expected, sizeof d->expected, "%s",
		aaaa ? "IPv6 addresses where port 80 answers, or none"
		     : "the answer to the challenge at each address");
	/* Those that are wrong first: of many not all are shown. */
	for (int wrong = 1; wrong >= 0; wrong--)
		for (size_t i = 0; i < n; i++)
			if ((seen[i].result.end != DOOR_RIGHT) == wrong)
				diagnosis_observe(
					d, addr_format(&seen[i].at, at), seen[i].result.what, 0);
	code->fix(&(struct finding){.c = c, .at = first, .d = d});
	put_effect(c, d);
}

enum probe_status door_judge(const struct door_case *c, const struct door_seen *seen, size_t n,
	struct diagnosis *out, size_t *out_n)
{
	bool four = ipv4_answers(seen, n);
	enum probe_status status = PROBE_UNKNOWN;

	*out_n = 0;
	for (size_t k = 0; k < ARRAY_LEN(codes); k++)
		for (size_t i = 0; i < n; i++) {
			const char *code = code_of(&seen[i], four);

			if (code && strcmp(code, codes[k].code) == 0) {
				describe(c, &codes[k], seen, n, &seen[i], &out[(*out_n)++]);
				break;
			}
		}
	for (size_t i = 0; i < n; i++)
		if (!says_nothing(&seen[i].result))
			status = PROBE_RIGHT;
	return *out_n ? PROBE_WRONG : status;
}

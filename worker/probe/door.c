#include "worker/probe/door.h"

#include "common/clock.h"
#include "common/mem.h"
#include "worker/dns/list.h"
#include "worker/dns/resolver.h"
#include "worker/net/http.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CANDIDATES_MAX 2 /* addresses tried of a host that a redirect leads to: IPv6, then IPv4 */

struct doors {
	uv_loop_t *loop;
	struct doors_options options;
	struct http_client *client;
	struct list waiting, live;
	unsigned live_n;
	bool heard_ipv6; /* a connection was made by it */
	uv_idle_t soon;  /* runs while something may begin */
};

struct door {
	struct list link; /* in the set's waiting or live */
	struct doors *set;
	bool live;
	struct addr at;
	char name[NAME_SIZE];
	char *path, *expected;
	int64_t end_ms;       /* by the monotonic clock */
	struct http_url *url; /* once live: asked for now */
	struct http_request *request;
	struct resolver_query *queries[2]; /* AAAA, A of a redirect's host */
	unsigned asking;
	struct addr found[2]; /* the first allowed one of each family; zeroed: none */
	bool forbidden;       /* one was not allowed */
	char reason[80];      /* which, and why */
	struct addr candidates[CANDIDATES_MAX];
	unsigned candidates_n, candidate;
	struct door_result result;
	door_fn *fn;
	void *arg;
};

static bool public_only(void *arg, const struct addr *a)
{
	(void)arg;
	return !addr_unsafe(a);
}

static void on_soon(uv_idle_t *idle);

static void begin_soon(struct doors *s)
{
	if (!list_empty(&s->waiting) && s->live_n < s->options.max)
		uv_idle_start(&s->soon, on_soon);
}

struct doors *doors_new(uv_loop_t *loop, const struct doors_options *options)
{
	struct doors *s = mem_zalloc(sizeof *s);
	struct http_options http = {.allow_http = true, .strangers = true};

	s->loop = loop;
	s->options = *options;
	if (!s->options.allowed)
		s->options.allowed = public_only;
	if (!s->options.max)
		s->options.max = DOORS_MAX;
	if (!s->options.timeout_ms)
		s->options.timeout_ms = DOOR_TIMEOUT_MS;
	if (!s->options.http_port)
		s->options.http_port = 80;
	if (!s->options.https_port)
		s->options.https_port = 443;
	http.max_requests = s->options.max;
	s->client = http_client_new(loop, &http);
	list_init(&s->waiting);
	list_init(&s->live);
	uv_idle_init(loop, &s->soon);
	return s;
}

static void on_closed(uv_handle_t *h)
{
	free(container_of(h, struct doors, soon));
}

void doors_free(struct doors *s)
{
	if (!s)
		return;
	while (!list_empty(&s->waiting))
		door_cancel(container_of(s->waiting.next, struct door, link));
	while (!list_empty(&s->live))
		door_cancel(container_of(s->live.next, struct door, link));
	http_client_free(s->client);
	uv_close((uv_handle_t *)&s->soon, on_closed);
}

/* --- the end */

void door_cancel(struct door *d)
{
	struct doors *s;

	if (!d)
		return;
	s = d->set;
	list_remove(&d->link);
	s->live_n -= d->live;
	http_cancel(d->request);
	resolver_cancel(d->queries[0]);
	resolver_cancel(d->queries[1]);
	free(d->url);
	free(d->path);
	free(d->expected);
	free(d);
	begin_soon(s);
}

static void end(struct door *d, enum door_end how, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void end(struct door *d, enum door_end how, const char *format, ...)
{
	struct door_result r = d->result;
	door_fn *fn = d->fn;
	void *arg = d->arg;
	va_list ap;

	va_start(ap, format);
	vsnprintf(r.what, sizeof r.what, format, ap);
	va_end(ap);
	r.end = how;
	snprintf(r.url, sizeof r.url, "%.255s", d->url->text);
	snprintf(r.host, sizeof r.host, "%s", d->url->host);
	r.path_kept = !strcmp(d->url->path, d->path);
	door_cancel(d);
	fn(arg, &r);
}

/* --- redirects */

/* The URL without the token in it, which is another each time. */
static const char *shown(const struct door *d, char out[128])
{
	const char *token = d->path + strlen(DOOR_PATH), *at = strstr(d->url->text, token);
	size_t n = at ? (size_t)(at - d->url->text) : strlen(d->url->text);

	snprintf(out, 128, "%.*s", (int)(n < 100 ? n : 100), d->url->text);
	return out;
}

static void send_on(struct door *d);

static const char *why_unsafe(const struct addr *a)
{
	const char *why = addr_unsafe(a);

	return why ? why : "not allowed";
}

static void choose(struct door *d)
{
	char url[128];

	d->candidates_n = d->candidate = 0;
	for (int i = 0; i < 2; i++)
		if (addr_len(&d->found[i]))
			d->candidates[d->candidates_n++] = d->found[i];
	if (d->candidates_n)
		send_on(d);
	else if (d->forbidden)
		end(d, DOOR_AWAY, "redirects to %.100s, where %s", shown(d, url), d->reason);
	else
		end(d, DOOR_AWAY, "redirects to %s, which has no address", shown(d, url));
}

/* Of each family the first that may be asked. */
static void take_addresses(struct door *d, int which, const struct dns_result *r)
{
	const struct doors_options *o = &d->set->options;
	char text[ADDR_TEXT_SIZE];

	d->queries[which] = NULL;
	for (size_t i = 0; r->status == DNS_ANSWERED && i < r->n_records; i++) {
		struct addr a = r->records[i].address;

		addr_set_port(&a, d->url->https ? o->https_port : o->http_port);
		if (!o->allowed(o->arg, &a)) {
			d->forbidden = true;
			snprintf(d->reason, sizeof d->reason, "%.48s is %.24s",
				addr_format_host(&a, text), why_unsafe(&a));
		} else if (!addr_len(&d->found[which])) {
			d->found[which] = a;
		}
	}
	if (!--d->asking)
		choose(d);
}

static void on_aaaa(void *arg, const struct dns_result *r)
{
	take_addresses(arg, 0, r);
}

static void on_a(void *arg, const struct dns_result *r)
{
	take_addresses(arg, 1, r);
}

static void resolve(struct door *d)
{
	struct resolver *r = d->set->options.resolver;
	bool six = d->set->options.ipv6;

	memset(d->found, 0, sizeof d->found);
	d->forbidden = false;
	d->asking = six ? 2 : 1;
	if (six)
		d->queries[0] = resolver_query(r, d->url->host, DNS_AAAA, 0, on_aaaa, d);
	d->queries[1] = resolver_query(r, d->url->host, DNS_A, 0, on_a, d);
}

/* What no authority follows, in its own words; NULL: it does. */
static const char *why_not_followed(const struct http_url *to)
{
	if (to->literal)
		return "an address instead of a name";
	if (to->port != 80 && to->port != 443)
		return "another port than 80 and 443";
	if (to->port == 80 && to->https)
		return "https at port 80";
	if (to->port == 443 && !to->https)
		return "http at port 443";
	return NULL;
}

static void follow(struct door *d, const struct http_answer *a)
{
	struct http_url to;
	struct why why = {""};
	char url[128];
	const char *no;

	if (!a->location) {
		end(d, DOOR_FOREIGN, "HTTP %d without a Location", a->status);
		return;
	}
	if (http_url_join(d->url->text, a->location, &to, &why)) {
		end(d, DOOR_AWAY, "HTTP %d to what is %s: %.100s", a->status, why.text,
			a->location);
		return;
	}
	*d->url = to;
	no = why_not_followed(&to);
	if (no)
		end(d, DOOR_AWAY, "HTTP %d to %s: %s", a->status, shown(d, url), no);
	else if (d->result.redirects == DOOR_REDIRECTS_MAX)
		end(d, DOOR_AWAY, "over %d redirects, at last to %s", DOOR_REDIRECTS_MAX,
			shown(d, url));
	else {
		d->result.redirects++;
		resolve(d);
	}
}

/* --- answers */

static bool is_expected(const struct door *d, const struct http_answer *a)
{
	size_t n = a->len;

	while (n && strchr(" \t\r\n", a->body[n - 1]))
		n--;
	return a->status == 200 && n == strlen(d->expected) && !memcmp(a->body, d->expected, n);
}

/* Where after redirects, for a person. */
static const char *after(const struct door *d, char *out, size_t size)
{
	char url[128];

	out[0] = '\0';
	if (d->result.redirects)
		snprintf(out, size, " at %s", shown(d, url));
	return out;
}

static void take_answer(struct door *d, const struct http_answer *a)
{
	char at[128];

	if (a->status == 301 || a->status == 302 || a->status == 307 || a->status == 308)
		follow(d, a);
	else if (a->status == 303)
		end(d, DOOR_AWAY, "HTTP 303, which authorities do not follow");
	else if (is_expected(d, a))
		end(d, DOOR_RIGHT, "the answer to the challenge%s", after(d, at, sizeof at));
	else
		end(d, DOOR_FOREIGN, "HTTP %d%s%.40s%s%s", a->status, a->content_type ? " (" : "",
			a->content_type ? a->content_type : "", a->content_type ? ")" : "",
			after(d, at, sizeof at));
}

/* What our own host says of itself. */
static bool is_ours(int os_error)
{
	return os_error == ENETUNREACH || os_error == EADDRNOTAVAIL || os_error == EAFNOSUPPORT ||
	       os_error == EACCES || os_error == EPERM || os_error == EMFILE ||
	       os_error == ENFILE || os_error == ENOBUFS;
}

static bool is_ipv6(const struct door *d)
{
	return d->candidates[d->candidate].sa.sa_family == AF_INET6;
}

/* A way that leads nowhere is found out by nothing ever coming back. */
static bool is_deaf(const struct door *d)
{
	const struct doors_options *o = &d->set->options;

	return is_ipv6(d) && !d->set->heard_ipv6 && o->hears_ipv6 && !o->hears_ipv6(o->arg);
}

static void take_failure(struct door *d, const struct http_answer *a)
{
	char at[128];
	int64_t s = d->set->options.timeout_ms / 1000;

	after(d, at, sizeof at);
	if (!a->connected && is_ours(a->os_error))
		end(d, DOOR_NO_WAY, "no way there from here");
	else if (!a->connected && a->os_error == ECONNREFUSED)
		end(d, DOOR_REFUSED, "connection refused%s", at);
	else if (!a->connected && is_deaf(d))
		end(d, DOOR_NO_WAY, "no connection, but nothing answers us by IPv6");
	else if (!a->connected && a->os_error && a->os_error != ETIMEDOUT &&
		 a->os_error != EINPROGRESS)
		end(d, DOOR_TIMEOUT, "%.60s%s", strerror(a->os_error), at);
	else if (!a->connected)
		end(d, DOOR_TIMEOUT, "no connection in %d s%s", (int)s, at);
	else if (a->err == CF_ETIMEDOUT)
		end(d, DOOR_TIMEOUT, "a connection, but no whole answer in %d s%s", (int)s, at);
	else if (d->url->https && !a->sent)
		end(d, DOOR_BROKEN, "the TLS handshake fails%s", at);
	else
		end(d, DOOR_BROKEN, "a connection, but no HTTP answer%s", at);
}

static void on_answer(void *arg, const struct http_answer *a)
{
	struct door *d = arg;
	bool spoke = a->status && (!a->err || a->err == CF_ETOOBIG);

	d->request = NULL;
	d->set->heard_ipv6 = d->set->heard_ipv6 || (a->connected && is_ipv6(d));
	if (spoke)
		take_answer(d, a);
	else if (!a->connected && d->candidate + 1 < d->candidates_n) {
		d->candidate++; /* as authorities do: IPv4 when IPv6 takes no connection */
		send_on(d);
	} else
		take_failure(d, a);
}

static void send_on(struct door *d)
{
	struct http_call call = {.url = d->url->text,
		.timeout_ms = d->end_ms - clock_mono_ms(),
		.max_bytes = DOOR_BODY_MAX,
		.pinned = &d->candidates[d->candidate]};

	char url[128];

	if (call.timeout_ms <= 0)
		end(d, DOOR_TIMEOUT, "%u redirects in %d s, at last to %s", d->result.redirects,
			(int)(d->set->options.timeout_ms / 1000), shown(d, url));
	else
		d->request = http_send(d->set->client, &call, on_answer, d);
}

/* --- the beginning */

static void begin(struct door *d)
{
	const struct doors_options *o = &d->set->options;
	_mem_free_ char *url = mem_printf("http://%s%s", d->name, d->path);

	list_remove(&d->link);
	list_add(&d->set->live, &d->link);
	d->live = true;
	d->set->live_n++;
	d->url = mem_zalloc(sizeof *d->url);
	d->end_ms = clock_mono_ms() + o->timeout_ms;
	if (http_url_join(NULL, url, d->url, NULL))
		end(d, DOOR_FORBIDDEN, "no name that HTTP could ask for");
	else if (!o->allowed(o->arg, &d->at))
		end(d, DOOR_FORBIDDEN, "not asked: %s", why_unsafe(&d->at));
	else if (d->at.sa.sa_family == AF_INET6 && !o->ipv6)
		end(d, DOOR_NO_WAY, "not asked: this host speaks no IPv6");
	else {
		d->candidates[0] = d->at;
		d->candidates_n = 1;
		send_on(d);
	}
}

static void on_soon(uv_idle_t *idle)
{
	struct doors *s = container_of(idle, struct doors, soon);

	uv_idle_stop(&s->soon);
	if (list_empty(&s->waiting) || s->live_n >= s->options.max)
		return;
	/* One a turn: its end may cancel others. */
	begin_soon(s);
	begin(container_of(s->waiting.next, struct door, link));
}

struct door *door_start(struct doors *s, const struct addr *at, const char *name, const char *token,
	const char *expected, door_fn *fn, void *arg)
{
	struct door *d = mem_zalloc(sizeof *d);

	d->set = s;
	d->at = *at;
	addr_set_port(&d->at, s->options.http_port);
	snprintf(d->name, sizeof d->name, "%s", name);
	d->path = mem_printf("%s%s", DOOR_PATH, token);
	d->expected = mem_strdup(expected);
	d->fn = fn;
	d->arg = arg;
	list_add(&s->waiting, &d->link);
	begin_soon(s);
	return d;
}

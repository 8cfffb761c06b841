#include "worker/responders/http01.h"

#include "common/httpd.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "worker/responders/lookup.h"

#include <stdio.h>
#include <string.h>

enum { DEFAULT_READS = 1024 };

struct http01 {
	struct httpd *httpd;
	struct lookup *lookup;
};

struct pending {
	struct lookup_waiter waiter;
	struct httpd_request *request;
};

static struct metric requests = {.type = METRIC_COUNTER,
	.name = "certfleet_http01_requests_total",
	.help = "Requests to the http-01 responder by the status of the answer.",
	.labels = {"status"}};
static struct metric shed = {.type = METRIC_COUNTER,
	.name = "certfleet_http01_reads_shed_total",
	.help = "Requests answered by 503 at once because too many waited for Redis."};
static struct metric *const metrics[] = {&requests, &shed};

static void on_answered(void *arg, const struct httpd_request *r, unsigned status)
{
	char text[12];
	(void)arg;
	(void)r;

	snprintf(text, sizeof(text), "%u", status);
	metric_inc(&requests, LABELS(text));
}

static void answer(
	struct httpd_request *r, unsigned status, const char *type, const void *body, size_t n)
{
	static const char *const headers[] = {"Cache-Control", "no-store", NULL};
	static const char *const later[] = {"Cache-Control", "no-store", "Retry-After", "1", NULL};

	httpd_answer(r, &(struct httpd_answer){.status = status,
				.content_type = type,
				.body = body,
				.len = n,
				.headers = status == 503 ? later : headers});
}

static void answer_word(struct httpd_request *r, unsigned status, const char *text)
{
	answer(r, status, "text/plain; charset=utf-8", text, strlen(text));
}

static void on_read(struct lookup_waiter *w, int err, const struct reply *reply)
{
	struct pending *p = container_of(w, struct pending, waiter);
	struct httpd_request *r = p->request;
	size_t n = 0;
	const char *value = err ? NULL : reply_str(reply, &n);

	free(p);
	if (err)
		answer_word(r, 503, "challenges cannot be read at the moment\n");
	else if (value)
		answer(r, 200, "application/octet-stream", value, n);
	else
		answer_word(r, 404, "no such challenge\n");
}

/* RFC 8555 section 8.3: the base64url alphabet. */
static bool is_token(const char *s)
{
	size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");

	return n > 0 && n <= LOOKUP_KEY_MAX && !s[n];
}

static void on_challenge(void *arg, struct httpd_request *r)
{
	struct http01 *h = arg;
	const char *token = httpd_path_rest(r);

	if (!is_token(token)) {
		answer_word(r, 404, "no such challenge\n");
		return;
	}
	struct pending *p = mem_zalloc(sizeof(*p));
	*p = (struct pending){.waiter.done = on_read, .request = r};
	if (lookup_start(h->lookup, token, &p->waiter))
		return;
	free(p);
	metric_inc(&shed, NO_LABELS);
	answer_word(r, 503, "challenges cannot be read at the moment\n");
}

static const struct httpd_route routes[] = {
	{HTTPD_GET, "/.well-known/acme-challenge/*", on_challenge},
};

static int register_metrics(struct why *why)
{
	int err = metrics_register(metrics_default(), metrics, ARRAY_LEN(metrics), why);

	return err == CF_EEXIST ? 0
				: err; /* a second responder in one process counts into the same */
}

int http01_new(uv_loop_t *loop, struct redis *redis, const struct http01_options *options,
	struct http01 **out, struct why *why)
{
	struct http01 *h = mem_zalloc(sizeof(*h));
	struct httpd_options o = {
		.listen = options->listen,
		.n_listen = options->n_listen,
		.reuseport = options->reuseport,
		.routes = routes,
		.n_routes = ARRAY_LEN(routes),
		.arg = h,
		.max_path_bytes = 512,
		.max_body_bytes = 1024,
		.max_connections = options->connections,
		.idle_timeout_s = 10,
		.answered = on_answered,
	};
	int err = register_metrics(why);

	err = err ? err : httpd_new(loop, &o, &h->httpd, why);
	if (err) {
		free(h);
		return err;
	}
	h->lookup = lookup_new(
		redis, "GET", "http:", options->max_reads ? options->max_reads : DEFAULT_READS);
	*out = h;
	return 0;
}

void http01_drain(struct http01 *h, int64_t timeout_ms, void (*done)(void *arg), void *arg)
{
	httpd_drain(h->httpd, timeout_ms, done, arg);
}

void http01_free(struct http01 *h)
{
	if (!h)
		return;
	httpd_free(h->httpd);
	lookup_free(h->lookup); /* answers what is left, into the void */
	free(h);
}

const struct addr *http01_address(const struct http01 *h, size_t i)
{
	return httpd_address(h->httpd, i);
}

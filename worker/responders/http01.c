#include "worker/responders/http01.h"

#include "common/httpd.h"
#include "common/mem.h"
#include "common/metrics.h"

#include <string.h>

#define PATH "/.well-known/acme-challenge/"
#define TOKEN_MAX 256
#define BUCKETS 256
#define READS_MAX 1024
#define BODY_MAX 1024
#define RETRY_AFTER_S "1"

/* One read from Redis, and who waits for it. */
struct read {
	struct http01 *h;
	struct read *next;
	struct httpd_request *waiting; /* linked by httpd_data() */
	char token[TOKEN_MAX + 1];
};

struct http01 {
	struct redis *redis;
	struct httpd *httpd;
	struct read *reads[BUCKETS];
	size_t in_flight, max_reads;
	bool freed;
};

static struct metric answers = { .type = METRIC_COUNTER,
				 .name = "certfleet_http01_answers_total",
				 .help = "Answers to http-01 questions, by status.",
				 .labels = { "status" } };
static struct metric coalesced = { .type = METRIC_COUNTER,
				   .name = "certfleet_http01_coalesced_total",
				   .help = "Questions that shared another's read from Redis." };
static struct metric *const table[] = { &answers, &coalesced };

static void answer(struct httpd_request *r, unsigned status, const char *body, size_t len)
{
	static const char *const headers[] = { "Cache-Control", "no-store", NULL };
	static const char *const again[] = { "Cache-Control", "no-store", "Retry-After", RETRY_AFTER_S, NULL };
	char code[8] = { (char)('0' + status / 100), (char)('0' + status / 10 % 10), (char)('0' + status % 10), 0 };
	const struct httpd_answer a = { .status = status,
					.content_type = "text/plain",
					.body = body,
					.len = len,
					.headers = status == 503 ? again : headers };

	metric_inc(&answers, LABELS(code));
	httpd_answer(r, &a);
}

static void answer_text(struct httpd_request *r, unsigned status, const char *text)
{
	answer(r, status, text, strlen(text));
}

static bool is_token(const char *s)
{
	size_t n = strlen(s);

	return n >= 1 && n <= TOKEN_MAX &&
	       strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == n;
}

static struct read **bucket_of(struct http01 *h, const char *token)
{
	uint32_t hash = 2166136261u;

	for (; *token; token++)
		hash = (hash ^ (unsigned char)*token) * 16777619u;
	return &h->reads[hash % BUCKETS];
}

static void unlink_read(struct read *read)
{
	struct read **at = bucket_of(read->h, read->token);

	while (*at != read)
		at = &(*at)->next;
	*at = read->next;
	read->h->in_flight--;
}

static void free_if_over(struct http01 *h)
{
	if (h->freed && !h->in_flight)
		free(h);
}

static void on_read(void *arg, int err, const struct reply *reply)
{
	struct read *read = arg;
	struct http01 *h = read->h;
	struct httpd_request *next;
	size_t len = 0;
	const char *value = err ? NULL : reply_str(reply, &len);

	unlink_read(read);
	for (struct httpd_request *r = read->waiting; r; r = next) {
		next = httpd_data(r);
		if (err)
			answer_text(r, 503, "the challenge store cannot be read right now\n");
		else if (!value)
			answer_text(r, 404, "no such challenge\n");
		else
			answer(r, 200, value, len);
	}
	free(read);
	free_if_over(h);
}

static void begin_read(struct http01 *h, const char *token, struct httpd_request *r)
{
	struct read **bucket = bucket_of(h, token);
	struct read *read = mem_zalloc(sizeof *read);
	_mem_free_ char *key = mem_printf("%shttp:%s", redis_prefix(h->redis), token);

	read->h = h;
	memcpy(read->token, token, strlen(token) + 1);
	read->waiting = r;
	httpd_set_data(r, NULL);
	read->next = *bucket;
	*bucket = read;
	h->in_flight++;
	redis_commandv(h->redis, on_read, read, "GET", key, NULL);
}

static void on_question(void *arg, struct httpd_request *r)
{
	struct http01 *h = arg;
	const char *token = httpd_path_rest(r);

	if (!is_token(token)) {
		answer_text(r, 404, "no such challenge\n");
		return;
	}
	for (struct read *read = *bucket_of(h, token); read; read = read->next) {
		if (strcmp(read->token, token) != 0)
			continue;
		httpd_set_data(r, read->waiting);
		read->waiting = r;
		metric_inc(&coalesced, NO_LABELS);
		return;
	}
	if (h->in_flight >= h->max_reads || !redis_is_up(h->redis))
		answer_text(r, 503, "the challenge store cannot be read right now\n");
	else
		begin_read(h, token, r);
}

static const struct httpd_route routes[] = { { HTTPD_GET, PATH "*", on_question } };

int http01_new(uv_loop_t *loop, struct redis *redis, const struct http01_options *options, struct http01 **out,
	       struct why *why)
{
	struct http01 *h = mem_zalloc(sizeof *h);
	const struct httpd_options server = { .listen = options->listen,
					      .n_listen = options->n_listen,
					      .reuseport = options->reuseport,
					      .routes = routes,
					      .n_routes = ARRAY_LEN(routes),
					      .arg = h,
					      .max_body_bytes = BODY_MAX,
					      .max_connections = options->connections };
	int err;

	h->redis = redis;
	h->max_reads = options->max_reads ? options->max_reads : READS_MAX;
	metrics_register(metrics_default(), table, ARRAY_LEN(table), NULL); /* once a process */
	err = httpd_new(loop, &server, &h->httpd, why);
	if (err) {
		free(h);
		return err;
	}
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
	h->httpd = NULL;
	h->freed = true;
	free_if_over(h);
}

const struct addr *http01_address(const struct http01 *h, size_t i)
{
	return httpd_address(h->httpd, i);
}

/* Answers of the API: JSON with an ETag, and problem details. */
#include "common/mem.h"
#include "common/str.h"
#include "scheduler/api/v1_internal.h"
#include "scheduler/cli/facts.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define HEADERS_MAX 16
#define ETAG_SIZE   64

void v1_done(struct v1_call *c)
{
	*c->at = c->next;
	if (c->next)
		c->next->at = c->at;
	index_query_free(c->query);
	json_decref(c->body);
	json_decref(c->answer);
	free(c->wait_key);
	free(c->session);
	free(c);
}

static void add_headers(const char **to, size_t *n, const char *const *headers)
{
	for (const char *const *p = headers; p && p[0] && *n + 3 < HEADERS_MAX; p += 2) {
		to[(*n)++] = p[0];
		to[(*n)++] = p[1];
	}
	to[*n] = NULL;
}

/* Sends text, which is freed. */
static void send_text(struct v1_call *c, unsigned status, const char *type, char *text,
	const char *const *headers)
{
	static const char *const always[] = {"Cache-Control", "no-store", "X-Content-Type-Options",
		"nosniff", "Referrer-Policy", "no-referrer", NULL};
	const char *all[HEADERS_MAX];
	size_t n = 0;

	add_headers(all, &n, always);
	add_headers(all, &n, headers);
	httpd_answer(c->http, &(struct httpd_answer){.status = status,
				      .content_type = type,
				      .body = text,
				      .len = strlen(text),
				      .headers = all});
	free(text);
	v1_done(c);
}

static char *dump(json_t *j)
{
	char *text = json_dumps(j, JSON_COMPACT | JSON_PRESERVE_ORDER);

	json_decref(j);
	return text ? text : mem_strdup("null");
}

/* An endpoint's begins with its generation, so that If-Match can ask for what was configured. */
static void etag_of(const struct v1_call *c, const char *text, char out[ETAG_SIZE])
{
	unsigned char hash[20];
	char hex[41], generation[24] = "";

	if (EVP_Digest(text, strlen(text), hash, NULL, EVP_sha1(), NULL) != 1)
		abort();
	str_hex(hash, sizeof hash, hex);
	if (c->generation)
		snprintf(generation, sizeof generation, "%" PRIu64 "-", c->generation);
	snprintf(out, ETAG_SIZE, "\"%s%.32s\"", generation, hex);
}

/* A list of ETags, weak or not, or "*". */
static bool is_known(const struct v1_call *c, const char *etag)
{
	const char *known = httpd_header(c->http, "If-None-Match");

	return known && (strcmp(known, "*") == 0 || strstr(known, etag));
}

/* Sends what is to be read; text is freed. */
void v1_text_answer(struct v1_call *c, const char *type, char *text, const char *const *headers)
{
	char etag[ETAG_SIZE];
	const char *all[HEADERS_MAX] = {"ETag", etag, NULL};
	size_t n = 2;

	etag_of(c, text, etag);
	add_headers(all, &n, headers);
	if (is_known(c, etag)) {
		free(text);
		send_text(c, 304, NULL, mem_strdup(""), all);
	} else {
		send_text(c, 200, type, text, all);
	}
}

void v1_json_headers(struct v1_call *c, unsigned status, json_t *j, const char *const *headers)
{
	char *text = dump(j);

	if (c->changes || status != 200)
		send_text(c, status, "application/json", text, headers);
	else
		v1_text_answer(c, "application/json", text, headers);
}

void v1_json(struct v1_call *c, unsigned status, json_t *j)
{
	v1_json_headers(c, status, j, NULL);
}

/* What is over soon is worth another try. */
static const char *const *usual_headers(unsigned status)
{
	static const char *const unauthorized[] = {"WWW-Authenticate", "Bearer", NULL};
	static const char *const unavailable[] = {"Retry-After", "2", NULL};

	return status == 401 ? unauthorized : status == 503 ? unavailable : NULL;
}

void v1_problem_headers(struct v1_call *c, unsigned status, const char *code, const char *text,
	const char *const *headers)
{
	char type[64];
	json_t *j;

	snprintf(type, sizeof type, "urn:certfleet:%s", code);
	j = json_pack("{s:s s:o s:i s:o s:o}", "type", type, "title", json_text(code), "status",
		(int)status, "detail", json_text(text), "instance", json_text(httpd_path(c->http)));
	send_text(c, status, "application/problem+json", dump(j), headers);
}

void v1_problem(struct v1_call *c, unsigned status, const char *code, const char *text)
{
	v1_problem_headers(c, status, code, text, usual_headers(status));
}

void v1_problemf(struct v1_call *c, unsigned status, const char *code, const char *format, ...)
{
	_mem_free_ char *text = NULL;
	va_list ap;

	va_start(ap, format);
	text = mem_vprintf(format, ap);
	va_end(ap);
	v1_problem(c, status, code, text);
}

void v1_redis_problem(struct v1_call *c, int err)
{
	if (c->v1->closed)
		v1_problem(c, 503, "draining", "this scheduler is stopping");
	else
		v1_problemf(
			c, 503, "redis_away", "Redis cannot be asked now: %s", cf_strerror(err));
}

bool v1_number(struct v1_call *c, const char *name, size_t least, size_t most, size_t fallback,
	size_t *out)
{
	const char *text = httpd_query(c->http, name);
	uint64_t n = fallback;

	if (text && (str_parse_u64(text, most, &n) || n < least)) {
		v1_problemf(c, 400, "invalid", "%s: expected %zu to %zu, got \"%s\"", name, least,
			most, text);
		return false;
	}
	*out = (size_t)n;
	return true;
}

bool v1_may(const struct v1_call *c, const char *tenant, const char *endpoint)
{
	return access_allows(&c->who, c->changes, tenant, endpoint);
}

#include "common/httpd_request.h"

#include "common/mem.h"
#include "common/str.h"

#include <string.h>

/* --- what was asked */

const char *httpd_path(const struct httpd_request *r)
{
	return r->path;
}

const char *httpd_path_rest(const struct httpd_request *r)
{
	return r->path + r->rest;
}

enum httpd_method httpd_method(const struct httpd_request *r)
{
	return r->method;
}

const char *httpd_query(const struct httpd_request *r, const char *name)
{
	const char *value = NULL;

	if (!r->conn)
		return NULL;
	if (MHD_lookup_connection_value_n(
		    r->conn, MHD_GET_ARGUMENT_KIND, name, strlen(name), &value, NULL) != MHD_YES)
		return NULL;
	return value ? value : "";
}

struct pairs {
	bool (*fn)(void *arg, const char *name, const char *value);
	void *arg;
};

static enum MHD_Result on_pair(
	void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
	const struct pairs *p = cls;

	(void)kind;
	return p->fn(p->arg, name, value ? value : "") ? MHD_YES : MHD_NO;
}

void httpd_each_query(const struct httpd_request *r,
	bool (*fn)(void *arg, const char *name, const char *value), void *arg)
{
	struct pairs p = {fn, arg};

	if (r->conn)
		MHD_get_connection_values(r->conn, MHD_GET_ARGUMENT_KIND, on_pair, &p);
}

const char *httpd_header(const struct httpd_request *r, const char *name)
{
	return r->conn ? MHD_lookup_connection_value(r->conn, MHD_HEADER_KIND, name) : NULL;
}

const char *httpd_body(const struct httpd_request *r, size_t *len)
{
	if (len)
		*len = r->body.len;
	return r->body.data ? r->body.data : "";
}

const struct addr *httpd_remote(const struct httpd_request *r)
{
	return &r->remote;
}

/* --- answers */

static struct MHD_Response *response_new(
	const void *body, size_t len, enum MHD_ResponseMemoryMode mode, const char *content_type)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(len, (void *)(uintptr_t)body, mode);

	if (!response)
		abort();
	if (content_type)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
	return response;
}

void httpd_answer(struct httpd_request *r, const struct httpd_answer *answer)
{
	struct MHD_Response *response = response_new(answer->len ? answer->body : "", answer->len,
		MHD_RESPMEM_MUST_COPY, answer->content_type);

	for (const char *const *p = answer->headers; p && p[0] && p[1]; p += 2)
		MHD_add_response_header(response, p[0], p[1]);
	httpd_settle(r, answer->status, response);
}

void httpd_answer_buf(
	struct httpd_request *r, unsigned status, const char *content_type, struct buf *body)
{
	size_t len;
	char *data = buf_detach(body, &len);

	httpd_settle(r, status, response_new(data, len, MHD_RESPMEM_MUST_FREE, content_type));
}

void httpd_answer_text(struct httpd_request *r, unsigned status, const char *text)
{
	struct buf b = BUF_INIT(SIZE_MAX / 2);

	buf_adds(&b, text);
	buf_addc(&b, '\n');
	httpd_answer_buf(r, status, "text/plain; charset=utf-8", &b);
}

void httpd_answer_error(
	struct httpd_request *r, unsigned status, const char *code, const char *message)
{
	const char *accept = httpd_header(r, MHD_HTTP_HEADER_ACCEPT);
	struct buf b = BUF_INIT(SIZE_MAX / 2);

	if (!accept || !strcasestr(accept, "json")) {
		httpd_answer_text(r, status, message);
		return;
	}
	buf_adds(&b, "{\"error\":");
	str_json(&b, code);
	buf_adds(&b, ",\"message\":");
	str_json(&b, message);
	buf_adds(&b, "}\n");
	httpd_answer_buf(r, status, "application/json", &b);
}

void httpd_answer_problem(
	struct httpd_request *r, unsigned status, const char *code, const char *detail)
{
	struct buf b = BUF_INIT(SIZE_MAX / 2);

	buf_adds(&b, "{\"type\":\"urn:certfleet:");
	buf_adds(&b, code);
	buf_adds(&b, "\",\"title\":");
	str_json(&b, code);
	buf_addf(&b, ",\"status\":%u,\"detail\":", status);
	str_json(&b, detail);
	buf_adds(&b, ",\"instance\":");
	str_json(&b, r->path);
	buf_addc(&b, '}');
	httpd_answer_buf(r, status, "application/problem+json", &b);
}

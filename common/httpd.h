/* httpd.h - an HTTP/1.1 server inside the libuv loop.
 *
 * libmicrohttpd parses and writes; its epoll descriptor is polled by the loop, so nothing blocks
 * and there is no thread. Handlers come from a table of routes. A handler is called once the whole
 * request (with its body) has arrived and answers at once or later, exactly once; until then the
 * request object stays valid, even if the client has gone or the server was freed, and answering is
 * what releases it.
 *
 * Unknown paths get 404, known ones with another method 405 with Allow, over-long paths 414, bodies
 * over the limit 413: short texts, or JSON when the client's Accept asks for it. HEAD is answered
 * wherever GET is. Nothing here logs. One server belongs to one loop; not thread-safe.
 */
#pragma once

#include "common/addr.h"
#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct httpd;
struct httpd_request;

enum httpd_method {
	HTTPD_GET = 1, /* HEAD too */
	HTTPD_POST = 2,
	HTTPD_PUT = 4,
	HTTPD_DELETE = 8,
	HTTPD_PATCH = 16,
	HTTPD_OTHER = 32, /* whatever else a client may say: for routes that answer it themselves */
};

/** Answers by httpd_answer*() now or later. arg is httpd_options.arg. */
typedef void httpd_handler_fn(void *arg, struct httpd_request *r);

/** The first row whose path fits is taken; several rows may share a path with different methods. */
struct httpd_route {
	unsigned methods; /* HTTPD_* or'ed */
	const char *path; /* the whole path; or, ending in "*", whatever begins with what stands
			     before it */
	httpd_handler_fn *handler;
};

/** Zero means the default in brackets. Strings and tables are borrowed until httpd_free(). */
struct httpd_options {
	const struct addr *listen; /* copied */
	size_t n_listen;
	bool reuseport; /* several processes share the addresses */
	const struct httpd_route *routes;
	size_t n_routes;
	void *arg;                /* for handlers and answered */
	size_t max_path_bytes;    /* [2048] after decoding */
	size_t max_head_bytes;    /* [16384] request line and headers; past it 431 or 414 */
	size_t max_body_bytes;    /* [65536] */
	unsigned max_connections; /* [1024] per address; more wait in the backlog */
	unsigned max_per_ip;      /* [no limit] */
	unsigned idle_timeout_s;  /* [30] */
	/** Whose path begins so is refused by problem documents (RFC 9457) of the type
	 * urn:certfleet:CODE. NULL: nobody's. */
	const char *problems;
	/** Called for each answer, also for those the server gives by itself; for metrics. May be
	 * NULL. */
	void (*answered)(void *arg, const struct httpd_request *r, unsigned status);
};

/** Listens at once, and serves when the loop runs. CF_EIO or CF_EINVAL with a why that names the
 * address. */
int httpd_new(
	uv_loop_t *loop, const struct httpd_options *options, struct httpd **out, struct why *why);
/** Closes every connection at once; unanswered requests must still be answered (into the void).
 * Memory is freed when the loop has turned. Not from within a handler. NULL is a no-op. */
void httpd_free(struct httpd *h);
/** Stops listening, closes connections after their current answer, and calls done (once, never
 * before httpd_drain() returned) when no request is left or timeout_ms has passed. Once only;
 * httpd_free() follows. */
void httpd_drain(struct httpd *h, int64_t timeout_ms, void (*done)(void *arg), void *arg);
/** Where listen[i] really listens (for port 0). */
const struct addr *httpd_address(const struct httpd *h, size_t i);
/** Requests that handlers have and did not answer yet. */
size_t httpd_pending(const struct httpd *h);

/** What was asked. Everything returned is borrowed and lives until the answer. */
const char *httpd_path(
	const struct httpd_request *r); /* percent-decoded, without the query; never holds NUL */
/** What came after the route's path before its "*"; "" if the route has none. */
const char *httpd_path_rest(const struct httpd_request *r);
enum httpd_method httpd_method(const struct httpd_request *r);
/** NULL if absent, "" if it has no value. Not after the answer, and NULL once the server is freed.
 */
const char *httpd_query(const struct httpd_request *r, const char *name);
/** Calls fn for each parameter of the query, as they came, until it gives false. */
void httpd_each_query(const struct httpd_request *r,
	bool (*fn)(void *arg, const char *name, const char *value), void *arg);
/** Case-insensitive; NULL if absent or the server is freed. */
const char *httpd_header(const struct httpd_request *r, const char *name);
/** Terminated; *len may be NULL. */
const char *httpd_body(const struct httpd_request *r, size_t *len);
/** The peer, from the socket: no header is believed. */
const struct addr *httpd_remote(const struct httpd_request *r);

struct httpd_answer {
	unsigned status;
	const char *content_type; /* NULL: none */
	const void *body;         /* copied */
	size_t len;
	const char *const *headers; /* name, value, name, value, …, NULL; NULL: none more */
};

/** Releases the request. */
void httpd_answer(struct httpd_request *r, const struct httpd_answer *answer);
/** text/plain with a line end added. */
void httpd_answer_text(struct httpd_request *r, unsigned status, const char *text);
/** Takes the buffer's storage (large pages are not copied). */
void httpd_answer_buf(
	struct httpd_request *r, unsigned status, const char *content_type, struct buf *body);
/** {"error": code, "message": message} when the client accepts JSON, else the message as text. */
void httpd_answer_error(
	struct httpd_request *r, unsigned status, const char *code, const char *message);

/** A problem document (RFC 9457) of the type urn:certfleet:CODE, whatever the client accepts. */
void httpd_answer_problem(
	struct httpd_request *r, unsigned status, const char *code, const char *detail);

/** An answer whose body comes bit by bit until either side ends it (server-sent events). */
struct httpd_stream;

/** Releases the request, as every answer does. closed is called once, from the loop, when the
 * client has gone (seen at the next write), or when the server drains or is freed; not after
 * httpd_stream_end(). At most max_bytes wait to be sent. NULL: the client has gone already. */
struct httpd_stream *httpd_answer_stream(struct httpd_request *r, const struct httpd_answer *answer,
	size_t max_bytes, void (*closed)(void *arg), void *arg);
/** CF_ETOOBIG: the client reads too slowly; nothing of it was taken. */
int httpd_stream_write(struct httpd_stream *s, const void *bytes, size_t n);
/** Sends what waits, then closes. s is gone for the caller, also after closed was called. NULL is a
 * no-op. */
void httpd_stream_end(struct httpd_stream *s);

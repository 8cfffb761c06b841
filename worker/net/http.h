/* http.h - HTTPS requests on the loop, by libcurl's multi interface.
 *
 * A client is a set of connections with one trust and one bound on what is live at once; more
 * requests wait in a FIFO. Over HTTP/2 thousands share one connection. Redirects are never followed
 * and proxies never used: what is asked is what answers. Every request has a total deadline; when
 * it passes on a connection that went silent, that connection is shut down, because libcurl goes on
 * using a dead HTTP/2 connection for ever. Belongs to one loop, not thread-safe, does not log.
 */
#pragma once

#include "common/addr.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct http_client;
struct http_request;

#define HTTP_MAX_REQUESTS     128
#define HTTP_LINKS_MAX        16
#define HTTP_HEADER_BYTES_MAX 4096  /* of one header that is kept; longer ones are dropped */
#define HTTP_HEAD_BYTES_MAX   65536 /* of all headers of an answer; more is CF_ETOOBIG */

/** Copied by http_client_new(). */
struct http_options {
	const char *ca_file; /* trust; NULL: the system's */
	bool allow_http;     /* besides https */
	/* For servers that customers choose: TLS from 1.2 on but unverified, HTTP/1.1, a connection
	 * a request, and nothing is remembered between two. */
	bool strangers;
	unsigned max_requests; /* live at once; 0: HTTP_MAX_REQUESTS */
};

/** Copied by http_send(). */
struct http_call {
	const char *method; /* GET, HEAD, POST; NULL: GET, or POST if there is a body */
	const char *url;
	const char *const *headers; /* "Name: value" */
	size_t n_headers;
	const void *body;
	size_t body_len;
	int64_t timeout_ms;  /* total, from the moment that it gets its slot; 0: 30 s */
	size_t max_bytes;    /* of the answer's body; 0: 64 KiB */
	const char *address; /* connect to this IP address whatever the URL's host resolves to;
				NULL: resolve */
	/* Connect to this address and port and to no other, whatever the URL says; the socket that
	 * is opened is looked at once more. NULL: as above. */
	const struct addr *pinned;
};

/** What came; every pointer dies when the callback returns. Absent headers are NULL. */
struct http_answer {
	int err; /* 0: status and body count; CF_ECONN, CF_ETIMEDOUT, CF_ETOOBIG, CF_EAUTH (TLS),
		    CF_EINVAL, CF_ECANCELED */
	struct why why; /* one sentence when err is not 0 */
	bool sent; /* false: the peer cannot have seen the request, so that it may be repeated */
	bool connected; /* over TCP, at least */
	int os_error;   /* errno of a connection that could not be made; 0: not known */
	int status;
	const char *body; /* terminated; never NULL; empty when it was too long */
	size_t len;
	const char *content_type, *location, *replay_nonce, *retry_after;
	const char *date;
	int64_t took_ms;                   /* since it got its slot */
	const char *links[HTTP_LINKS_MAX]; /* whole values of Link headers */
	size_t n_links;
};

typedef void http_fn(void *arg, const struct http_answer *answer);

/** Never NULL. */
struct http_client *http_client_new(uv_loop_t *loop, const struct http_options *options);
/** Completes what is pending with CF_ECANCELED, then frees (the loop must turn once more). NULL is
 * a no-op. */
void http_client_free(struct http_client *c);

/** fn is called exactly once, never from inside this call, unless http_cancel() came before. */
struct http_request *http_send(
	struct http_client *c, const struct http_call *call, http_fn *fn, void *arg);
/** fn will not be called. NULL is a no-op. */
void http_cancel(struct http_request *r);

/** Requests live and waiting now. */
void http_client_load(const struct http_client *c, unsigned *live, unsigned *waiting);

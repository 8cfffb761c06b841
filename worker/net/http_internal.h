/* http_internal.h - what http.c and http_loop.c share; for nobody else. */
#pragma once

#include "worker/net/http.h"

#include "common/buf.h"

#include <curl/curl.h>

/* A descriptor that libcurl wants watched. */
struct http_watch {
	uv_poll_t poll;
	struct http_client *client;
	struct http_watch *next;
	curl_socket_t fd;
	int64_t heard_ms; /* when it was last readable */
};

enum http_kept { KEEP_TYPE, KEEP_LOCATION, KEEP_NONCE, KEEP_RETRY, KEEP_DATE, KEEP_N };

struct http_request {
	struct http_client *client;
	struct http_request *next, *prev; /* in the client's live or waiting list */
	bool live;
	http_fn *fn;
	void *arg;
	char *method, *url;
	struct curl_slist *headers, *route;
	char *body;
	size_t body_len;
	int64_t timeout_ms, started_ms;
	CURL *easy; /* while live */
	struct buf answer;
	char *kept[KEEP_N];
	char *links[HTTP_LINKS_MAX];
	size_t n_links;
	size_t head_bytes;
	struct addr pinned; /* zeroed: none */
	bool headers_came;
	int broken; /* why a callback stopped the transfer: CF_E* */
	char error[CURL_ERROR_SIZE];
};

struct http_list {
	struct http_request *first, *last;
	unsigned n;
};

struct http_client {
	uv_loop_t *loop;
	uv_timer_t timer; /* libcurl's */
	uv_idle_t soon;   /* runs while there is something to start */
	CURLM *multi;
	char *ca_file;
	bool allow_http, strangers;
	unsigned max;
	struct http_list live, waiting;
	struct http_watch *watches;
	CURL **pool; /* idle handles, max at most */
	unsigned n_pool;
	bool freeing;
	unsigned closing; /* handles whose close callback is still to come */
};

/** Calls back for every transfer that ended. */
void http_finish_done(struct http_client *c);
/** One handle less to wait for; frees the client after the last. */
void http_client_closed(struct http_client *c);
void http_watch_stop(struct http_watch *w);
int http_set_timer(CURLM *multi, long timeout_ms, void *arg);
int http_set_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg);

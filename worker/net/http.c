#include "worker/net/http_internal.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#ifndef CERTFLEET_VERSION
#define CERTFLEET_VERSION "unknown"
#endif

enum {
	TIMEOUT_MS = 30000,
	CONNECT_TIMEOUT_MS = 10000,
	BODY_BYTES_MAX = 65536,
	CONNECTIONS_PER_HOST = 8, /* only HTTP/1.1 needs more than one */
	STREAMS_MAX = 250,
	IDLE_CONNECTIONS = 16,
	DNS_CACHE_S = 60,
	BUFFER_BYTES = 4096, /* of each handle */
	UPLOAD_BYTES = 16384,
};

static const char *const kept_names[KEEP_N] = {
	"content-type", "location", "replay-nonce", "retry-after", "date"};

/* --- lists --- */

static void list_add(struct http_list *l, struct http_request *r)
{
	r->next = NULL;
	r->prev = l->last;
	if (l->last)
		l->last->next = r;
	else
		l->first = r;
	l->last = r;
	l->n++;
}

static void list_remove(struct http_list *l, struct http_request *r)
{
	if (r->prev)
		r->prev->next = r->next;
	else
		l->first = r->next;
	if (r->next)
		r->next->prev = r->prev;
	else
		l->last = r->prev;
	l->n--;
}

/* --- one transfer --- */

static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
	struct http_request *r = arg;

	(void)size;
	buf_add(&r->answer, bytes, n);
	if (!buf_err(&r->answer))
		return n;
	r->broken = CF_ETOOBIG;
	return 0;
}

static void keep_header(
	struct http_request *r, const char *name, size_t name_len, const char *value, size_t n)
{
	if (n > HTTP_HEADER_BYTES_MAX)
		return;
	if (name_len == 4 && !strncasecmp(name, "link", 4)) {
		if (r->n_links < HTTP_LINKS_MAX)
			r->links[r->n_links++] = mem_strndup(value, n);
		return;
	}
	for (int i = 0; i < KEEP_N; i++) {
		if (strlen(kept_names[i]) != name_len || strncasecmp(name, kept_names[i], name_len))
			continue;
		free(r->kept[i]);
		r->kept[i] = mem_strndup(value, n);
	}
}

/* A status line begins a new set: what a 1xx carried does not count. */
static void drop_headers(struct http_request *r)
{
	for (int i = 0; i < KEEP_N; i++) {
		free(r->kept[i]);
		r->kept[i] = NULL;
	}
	while (r->n_links)
		free(r->links[--r->n_links]);
}

static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
	struct http_request *r = arg;
	const char *colon = memchr(line, ':', n);
	const char *value, *end = line + n;

	(void)size;
	r->headers_came = true;
	r->head_bytes += n;
	if (r->head_bytes > HTTP_HEAD_BYTES_MAX) {
		r->broken = CF_ETOOBIG;
		return 0;
	}
	if (n >= 5 && !memcmp(line, "HTTP/", 5)) {
		drop_headers(r);
		return n;
	}
	if (!colon)
		return n;
	for (value = colon + 1; value < end && (*value == ' ' || *value == '\t'); value++)
		;
	while (end > value && strchr(" \t\r\n", end[-1]))
		end--;
	if (!memchr(value, 0, (size_t)(end - value)))
		keep_header(r, line, (size_t)(colon - line), value, (size_t)(end - value));
	return n;
}

/* The address that was judged is the one that is used: libcurl would have to break its word. */
static curl_socket_t open_pinned(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
	const struct http_request *r = arg;
	struct addr a;

	(void)purpose;
	if (addr_from_sockaddr(&to->addr, &a) || !addr_equal(&a, &r->pinned))
		return CURL_SOCKET_BAD;
	return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

static void set_for_strangers(CURL *e)
{
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(e, CURLOPT_PIPEWAIT, 0L);
	curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 0L);
	curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 0L);
	curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(e, CURLOPT_SSL_SESSIONID_CACHE, 0L);
	curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
}

static void set_method(CURL *e, const struct http_request *r)
{
	if (!strcmp(r->method, "HEAD")) {
		curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
		return;
	}
	if (r->body || !strcmp(r->method, "POST")) {
		curl_easy_setopt(e, CURLOPT_POST, 1L);
		curl_easy_setopt(e, CURLOPT_POSTFIELDS, r->body ? r->body : "");
		curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_len);
	}
	if (strcmp(r->method, r->body ? "POST" : "GET"))
		curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, r->method);
}

static void set_options(CURL *e, struct http_request *r)
{
	const struct http_client *c = r->client;

	curl_easy_setopt(e, CURLOPT_PRIVATE, r);
	curl_easy_setopt(e, CURLOPT_URL, r->url);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, c->allow_http ? "https,http" : "https");
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(e, CURLOPT_PIPEWAIT, 1L);
	curl_easy_setopt(e, CURLOPT_USERAGENT, "certfleet/" CERTFLEET_VERSION);
	curl_easy_setopt(e, CURLOPT_PROXY, "");
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)r->timeout_ms);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
	curl_easy_setopt(e, CURLOPT_DNS_CACHE_TIMEOUT, (long)DNS_CACHE_S);
	curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, r->headers);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, r);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, r);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, r->error);
	curl_easy_setopt(e, CURLOPT_BUFFERSIZE, (long)BUFFER_BYTES);
	curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BYTES);
	if (c->ca_file) { /* instead of the system's, not besides it */
		curl_easy_setopt(e, CURLOPT_CAINFO, c->ca_file);
		curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
	}
	if (r->route)
		curl_easy_setopt(e, CURLOPT_CONNECT_TO, r->route);
	if (addr_len(&r->pinned)) {
		curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, open_pinned);
		curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, r);
	}
	if (c->strangers)
		set_for_strangers(e);
	set_method(e, r);
}

static void request_free(struct http_request *r)
{
	drop_headers(r);
	buf_release(&r->answer);
	curl_slist_free_all(r->headers);
	curl_slist_free_all(r->route);
	free(r->method);
	free(r->url);
	free(r->body);
	free(r);
}

/* Handles go back to the pool without their buffers: an idle one is small. */
static void give_back(struct http_client *c, CURL *easy)
{
	curl_multi_remove_handle(c->multi, easy);
	curl_easy_reset(easy);
	if (c->n_pool < c->max)
		c->pool[c->n_pool++] = easy;
	else
		curl_easy_cleanup(easy);
}

static void start(struct http_client *c, struct http_request *r)
{
	list_remove(&c->waiting, r);
	list_add(&c->live, r);
	r->live = true;
	r->easy = c->n_pool ? c->pool[--c->n_pool] : curl_easy_init();
	r->started_ms = clock_mono_ms();
	set_options(r->easy, r);
	curl_multi_add_handle(c->multi, r->easy); /* libcurl starts it from its timer */
}

static void on_soon(uv_idle_t *idle)
{
	struct http_client *c = container_of(idle, struct http_client, soon);

	while (c->waiting.first && c->live.n < c->max)
		start(c, c->waiting.first);
	uv_idle_stop(&c->soon);
}

static void start_soon(struct http_client *c)
{
	if (!c->freeing && c->waiting.first && c->live.n < c->max)
		uv_idle_start(&c->soon, on_soon);
}

/* --- the end of a transfer --- */

static int map_error(CURLcode code)
{
	switch ((int)code) {
	case CURLE_OK:
		return 0;
	case CURLE_OPERATION_TIMEDOUT:
		return CF_ETIMEDOUT;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_CONNECT_ERROR:
		return CF_EAUTH;
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_URL_MALFORMAT:
		return CF_EINVAL;
	default:
		return CF_ECONN;
	}
}

/* Unless a connection existed and took bytes, the peer cannot have seen the request. */
static bool was_sent(const struct http_request *r)
{
	curl_off_t connected = 0;
	long bytes = 0;

	if (r->headers_came)
		return true;
	curl_easy_getinfo(r->easy, CURLINFO_PRETRANSFER_TIME_T, &connected);
	curl_easy_getinfo(r->easy, CURLINFO_REQUEST_SIZE, &bytes);
	return connected > 0 || bytes > 0;
}

static void put_connection(const struct http_request *r, struct http_answer *a)
{
	curl_off_t connected = 0;
	long error = 0;

	curl_easy_getinfo(r->easy, CURLINFO_CONNECT_TIME_T, &connected);
	curl_easy_getinfo(r->easy, CURLINFO_OS_ERRNO, &error);
	a->connected = connected > 0 || r->headers_came;
	a->os_error = a->connected ? 0 : (int)error;
}

/* libcurl 7.88 goes on using an HTTP/2 connection that went silent; one that still speaks is only
 * slow. */
static void shut_silent(const struct http_request *r)
{
	curl_socket_t fd = CURL_SOCKET_BAD;
	const struct http_watch *w;

	if (curl_easy_getinfo(r->easy, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK ||
		fd == CURL_SOCKET_BAD)
		return;
	for (w = r->client->watches; w && w->fd != fd; w = w->next)
		;
	if (!w || clock_mono_ms() - w->heard_ms >= r->timeout_ms / 2)
		shutdown(fd, SHUT_RDWR);
}

/* Past this the list is gone, so that fn may cancel others, send more or free the client. */
static void complete(struct http_request *r, struct http_answer *a)
{
	char error[256];

	if (a->err) {
		const char *text = a->err == CF_ETOOBIG ? "the answer is too long"
				   : r->error[0]        ? r->error
							: cf_strerror(a->err);

		str_clean(text, strlen(text), error, sizeof(error));
		why_set(&a->why, a->err, "%.200s: %s", r->url, error);
	}
	a->body = buf_cstr(&r->answer);
	a->len = r->answer.len;
	a->content_type = r->kept[KEEP_TYPE];
	a->location = r->kept[KEEP_LOCATION];
	a->replay_nonce = r->kept[KEEP_NONCE];
	a->retry_after = r->kept[KEEP_RETRY];
	a->date = r->kept[KEEP_DATE];
	a->took_ms = clock_mono_ms() - r->started_ms;
	a->n_links = r->n_links;
	for (size_t i = 0; i < r->n_links; i++)
		a->links[i] = r->links[i];
	r->fn(r->arg, a);
	request_free(r);
}

static void finish(struct http_client *c, struct http_request *r, CURLcode code)
{
	struct http_answer a = {
		.err = r->broken ? r->broken : map_error(code), .sent = was_sent(r)};
	long status = 0;

	curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
	a.status = (int)status;
	put_connection(r, &a);
	if (code == CURLE_OPERATION_TIMEDOUT)
		shut_silent(r);
	give_back(c, r->easy);
	r->easy = NULL;
	list_remove(&c->live, r);
	start_soon(c);
	complete(r, &a);
}

/* One message at a time: a callback may change everything, even free the client. */
void http_finish_done(struct http_client *c)
{
	CURLMsg *m;
	int left;

	c->closing++;
	while (!c->freeing && (m = curl_multi_info_read(c->multi, &left))) {
		struct http_request *r;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&r);
		finish(c, r, m->data.result);
	}
	http_client_closed(c);
}

/* --- the interface --- */

struct http_client *http_client_new(uv_loop_t *loop, const struct http_options *options)
{
	struct http_client *c = mem_zalloc(sizeof(*c));
	static bool ready;

	if (!ready)
		curl_global_init(CURL_GLOBAL_DEFAULT);
	ready = true;
	c->loop = loop;
	c->ca_file = mem_strdup_opt(options->ca_file);
	c->allow_http = options->allow_http;
	c->strangers = options->strangers;
	c->max = options->max_requests ? options->max_requests : HTTP_MAX_REQUESTS;
	c->pool = mem_array(c->max, sizeof(*c->pool));
	uv_timer_init(loop, &c->timer);
	uv_idle_init(loop, &c->soon);
	c->multi = curl_multi_init();
	curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, http_set_socket);
	curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
	curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, http_set_timer);
	curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
	curl_multi_setopt(c->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
	curl_multi_setopt(c->multi, CURLMOPT_MAX_CONCURRENT_STREAMS, (long)STREAMS_MAX);
	if (!c->strangers) /* a request that waits for its turn there would time out by it */
		curl_multi_setopt(
			c->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)CONNECTIONS_PER_HOST);
	curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS);
	return c;
}

static void on_timer_closed(uv_handle_t *handle)
{
	http_client_closed(container_of(handle, struct http_client, timer));
}

static void on_soon_closed(uv_handle_t *handle)
{
	http_client_closed(container_of(handle, struct http_client, soon));
}

static void cancel_all(struct http_client *c, struct http_list *l)
{
	while (l->first) {
		struct http_request *r = l->first;
		struct http_answer a = {.err = CF_ECANCELED, .sent = r->live};

		list_remove(l, r);
		if (r->easy)
			give_back(c, r->easy);
		r->easy = NULL;
		complete(r, &a);
	}
}

void http_client_free(struct http_client *c)
{
	if (!c || c->freeing)
		return;
	c->freeing = true;
	c->closing += 2;
	cancel_all(c, &c->live);
	cancel_all(c, &c->waiting);
	while (c->n_pool)
		curl_easy_cleanup(c->pool[--c->n_pool]);
	curl_multi_cleanup(c->multi); /* takes its sockets away through http_set_socket() */
	while (c->watches)
		http_watch_stop(c->watches);
	free(c->pool);
	free(c->ca_file);
	uv_close((uv_handle_t *)&c->timer, on_timer_closed);
	uv_close((uv_handle_t *)&c->soon, on_soon_closed);
}

static void put_route(struct http_request *r, const struct http_call *call)
{
	char to[128], at[ADDR_TEXT_SIZE];

	if (call->pinned) {
		r->pinned = *call->pinned;
		snprintf(to, sizeof(to), "::%s", addr_format(call->pinned, at));
		r->route = curl_slist_append(NULL, to);
	} else if (call->address) {
		bool v6 = strchr(call->address, ':');

		snprintf(to, sizeof(to), v6 ? "::[%s]:" : "::%s:", call->address);
		r->route = curl_slist_append(NULL, to);
	}
}

struct http_request *http_send(
	struct http_client *c, const struct http_call *call, http_fn *fn, void *arg)
{
	struct http_request *r = mem_zalloc(sizeof(*r));

	r->client = c;
	r->fn = fn;
	r->arg = arg;
	r->method = mem_strdup(call->method ? call->method : call->body ? "POST" : "GET");
	r->url = mem_strdup(call->url);
	if (call->body)
		r->body = mem_dup(call->body, call->body_len);
	r->body_len = call->body ? call->body_len : 0;
	r->timeout_ms = call->timeout_ms > 0 ? call->timeout_ms : TIMEOUT_MS;
	r->answer = BUF_INIT(call->max_bytes ? call->max_bytes : BODY_BYTES_MAX);
	for (size_t i = 0; i < call->n_headers; i++)
		r->headers = curl_slist_append(r->headers, call->headers[i]);
	if (r->body_len > 1024) /* no round trip for "100 Continue" */
		r->headers = curl_slist_append(r->headers, "Expect:");
	put_route(r, call);
	list_add(&c->waiting, r);
	start_soon(c);
	return r;
}

void http_cancel(struct http_request *r)
{
	struct http_client *c;

	if (!r)
		return;
	c = r->client;
	list_remove(r->live ? &c->live : &c->waiting, r);
	if (r->easy)
		give_back(c, r->easy);
	request_free(r);
	start_soon(c);
}

void http_client_load(const struct http_client *c, unsigned *live, unsigned *waiting)
{
	*live = c->live.n;
	*waiting = c->waiting.n;
}

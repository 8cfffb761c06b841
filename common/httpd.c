/* One libmicrohttpd daemon an address, each with its own epoll descriptor in the loop.
 *
 *	headers ──► begin() ──► (body) ──► dispatch() ──► handler ─── answers at once ───► queue()
 *	              │ 413, closes             │ 404 405 414            │ later
 *	              ▼                         ▼                        ▼
 *	            queue()                  queue()        suspended ── httpd_answer() ── resume,
 *run ──► queue()
 *
 * A request whose server goes away is detached (conn NULL) and freed by its answer.
 */
#include "common/httpd_request.h"

#include "common/mem.h"
#include "common/str.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct listener {
	struct httpd *httpd;
	struct MHD_Daemon *mhd;
	struct addr address;
	uv_poll_t poll;
	uv_timer_t timer; /* libmicrohttpd's own deadline */
	uv_prepare_t
		soon; /* active when connections were resumed: run once before the loop sleeps */
	bool running; /* inside MHD_run() */
};

struct httpd {
	struct httpd_options o;
	struct listener **listeners;
	size_t n_listeners;
	size_t handles;                 /* still to be closed before memory is freed */
	struct httpd_request *requests; /* unanswered ones */
	struct httpd_stream *streams;
	size_t pending;
	size_t open; /* begun and not sent to the end */
	bool draining;
	uv_loop_t *loop;
	uv_timer_t drain_timer;
	uint64_t drain_until;
	void (*drained)(void *arg);
	void *drained_arg;
};

static const struct {
	const char *name;
	enum httpd_method method;
} methods[] = {
	{"GET", HTTPD_GET},
	{"HEAD", HTTPD_GET},
	{"POST", HTTPD_POST},
	{"PUT", HTTPD_PUT},
	{"DELETE", HTTPD_DELETE},
	{"PATCH", HTTPD_PATCH},
};

/* --- the request's life */

static void request_free(struct httpd_request *r)
{
	if (r->response)
		MHD_destroy_response(r->response);
	buf_release(&r->body);
	free(r->path);
	free(r);
}

static void request_link(struct httpd_request *r)
{
	struct httpd *h = r->listener->httpd;

	r->handed = true;
	r->next = h->requests;
	if (r->next)
		r->next->prev = r;
	h->requests = r;
	h->pending++;
}

static void request_unlink(struct httpd_request *r)
{
	struct httpd *h = r->listener->httpd;

	if (r->prev)
		r->prev->next = r->next;
	else
		h->requests = r->next;
	if (r->next)
		r->next->prev = r->prev;
	h->pending--;
	r->handed = false;
}

static enum MHD_Result queue(struct httpd_request *r)
{
	struct httpd *h = r->listener->httpd;
	struct MHD_Response *response = mem_steal(r->response);

	if (h->draining)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	if (h->o.answered)
		h->o.answered(h->o.arg, r, r->status);
	enum MHD_Result ok = MHD_queue_response(r->conn, r->status, response);
	MHD_destroy_response(response);
	return ok;
}

static void wake(struct listener *l);

/* Takes over response. */
void httpd_settle(struct httpd_request *r, unsigned status, struct MHD_Response *response)
{
	r->response = response;
	r->status = status;
	if (!r->handed) /* the server's own answer, queued by the caller */
		return;
	if (!r->conn) {
		request_free(r);
		return;
	}
	request_unlink(r);
	if (r->suspended) {
		r->suspended = false;
		httpd_resume(r->listener, r->conn);
	}
}

void httpd_resume(struct listener *l, struct MHD_Connection *conn)
{
	MHD_resume_connection(conn);
	wake(l);
}

struct httpd_stream **httpd_streams(struct listener *l)
{
	return &l->httpd->streams;
}

/* --- routing */

static bool route_fits(const struct httpd_route *route, const char *path, size_t *rest)
{
	size_t n = strlen(route->path);

	if (n && route->path[n - 1] == '*') {
		*rest = n - 1;
		return strncmp(path, route->path, n - 1) == 0;
	}
	*rest = strlen(path);
	return strcmp(path, route->path) == 0;
}

static const struct httpd_route *route_find(
	const struct httpd_options *o, struct httpd_request *r, unsigned *allowed)
{
	size_t rest;

	for (size_t i = 0; i < o->n_routes; i++) {
		if (!route_fits(&o->routes[i], r->path, &rest))
			continue;
		if (o->routes[i].methods & r->method) {
			r->rest = rest;
			return &o->routes[i];
		}
		*allowed |= o->routes[i].methods;
	}
	return NULL;
}

static void allow_header(unsigned allowed, char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		if (allowed & methods[i].method && n < size)
			n += (size_t)snprintf(
				out + n, size - n, "%s%s", n ? ", " : "", methods[i].name);
}

/* The server's own answers. */
static enum MHD_Result refuse(struct httpd_request *r, unsigned status, const char *code,
	const char *message, const char *allow)
{
	const char *problems = r->listener->httpd->o.problems;

	if (problems && str_starts_with(r->path, problems))
		httpd_answer_problem(r, status, code, message);
	else
		httpd_answer_error(r, status, code, message);
	if (allow)
		MHD_add_response_header(r->response, MHD_HTTP_HEADER_ALLOW, allow);
	return queue(r);
}

static enum MHD_Result hand_over(struct httpd_request *r, httpd_handler_fn *handler)
{
	request_link(r);
	handler(r->listener->httpd->o.arg, r);
	if (r->response)
		return queue(r);
	r->suspended = true;
	MHD_suspend_connection(r->conn);
	return MHD_YES;
}

/* The whole request is here. */
static enum MHD_Result dispatch(struct httpd_request *r)
{
	const struct httpd_options *o = &r->listener->httpd->o;
	unsigned allowed = 0;
	char allow[64], text[64];

	if (r->too_big) {
		snprintf(text, sizeof text, "the body has more than %zu bytes", o->max_body_bytes);
		return refuse(r, MHD_HTTP_CONTENT_TOO_LARGE, "body_too_large", text, NULL);
	}
	if (strlen(r->path) > o->max_path_bytes) {
		snprintf(text, sizeof text, "the path has more than %zu bytes", o->max_path_bytes);
		return refuse(r, MHD_HTTP_URI_TOO_LONG, "path_too_long", text, NULL);
	}
	const struct httpd_route *route = route_find(o, r, &allowed);
	if (route)
		return hand_over(r, route->handler);
	if (!allowed)
		return refuse(r, MHD_HTTP_NOT_FOUND, "not_found", "there is nothing here", NULL);
	allow_header(allowed, allow, sizeof(allow));
	return refuse(r, MHD_HTTP_METHOD_NOT_ALLOWED, "method_not_allowed",
		"this method does not work here", allow);
}

/* The headers are here. A body that says it is too large is not read at all. */
static enum MHD_Result begin(struct listener *l, struct MHD_Connection *conn, const char *url,
	const char *method, struct httpd_request **out)
{
	struct httpd_request *r = mem_zalloc(sizeof(*r));
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const char *length =
		MHD_lookup_connection_value(conn, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);

	r->listener = l;
	r->conn = conn;
	r->path = mem_strdup(url);
	r->method = HTTPD_OTHER;
	r->body = BUF_INIT(l->httpd->o.max_body_bytes);
	if (info && info->client_addr)
		(void)addr_from_sockaddr(info->client_addr, &r->remote);
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		if (strcmp(methods[i].name, method) != 0)
			continue;
		r->method = methods[i].method;
		r->head = strcmp(method, "HEAD") == 0;
	}
	l->httpd->open++;
	*out = r;
	if (length && strtoull(length, NULL, 10) > l->httpd->o.max_body_bytes) {
		r->too_big = true;
		return dispatch(r);
	}
	return MHD_YES;
}

/* Chunked bodies do not say their size before: some of what is too much is read, to be able to
 * answer. */
static enum MHD_Result take_body(struct httpd_request *r, const char *data, size_t n)
{
	size_t max = r->listener->httpd->o.max_body_bytes;

	r->received += n;
	buf_add(&r->body, data, n);
	r->too_big = r->body.over;
	return r->received > 16 * max ? MHD_NO : MHD_YES;
}

static enum MHD_Result on_access(void *cls, struct MHD_Connection *conn, const char *url,
	const char *method, const char *version, const char *data, size_t *n, void **con_cls)
{
	struct httpd_request *r = *con_cls;
	(void)version;

	if (!r)
		return begin(cls, conn, url, method, (struct httpd_request **)con_cls);
	if (*n) {
		enum MHD_Result more = take_body(r, data, *n);
		*n = 0;
		return more;
	}
	if (r->response)
		return queue(r);
	return r->handed ? MHD_YES : dispatch(r);
}

static void on_completed(void *cls, struct MHD_Connection *conn, void **con_cls,
	enum MHD_RequestTerminationCode code)
{
	struct httpd_request *r = mem_steal(*con_cls);
	(void)cls;
	(void)conn;
	(void)code;

	if (!r)
		return;
	r->conn = NULL;
	r->listener->httpd->open--;
	if (r->handed) {
		request_unlink(r);
		r->handed = true; /* its answer frees it */
		r->suspended = false;
	} else {
		request_free(r);
	}
}

/* %00 stays as it is, so that paths and values are whole C strings. */
static size_t unescape(void *cls, struct MHD_Connection *conn, char *s)
{
	char *out = s;
	unsigned char byte;
	(void)cls;
	(void)conn;

	for (const char *in = s; *in;) {
		if (in[0] == '%' && in[1] && in[2] &&
			str_unhex((char[]){in[1], in[2], 0}, &byte, 1) == 0 && byte) {
			*out++ = (char)byte;
			in += 3;
		} else {
			*out++ = *in++;
		}
	}
	*out = '\0';
	return (size_t)(out - s);
}

/* --- in the loop */

static void on_timer(uv_timer_t *timer);

static void run(struct listener *l)
{
	MHD_UNSIGNED_LONG_LONG ms;

	if (!l->mhd || l->running)
		return;
	l->running = true;
	MHD_run(l->mhd);
	l->running = false;
	if (MHD_get_timeout(l->mhd, &ms) == MHD_YES)
		uv_timer_start(&l->timer, on_timer, ms, 0);
	else
		uv_timer_stop(&l->timer);
}

static void on_timer(uv_timer_t *timer)
{
	run(timer->data);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	run(poll->data);
}

static void on_soon(uv_prepare_t *soon)
{
	uv_prepare_stop(soon);
	run(soon->data);
}

/* Many answers of one turn of the loop share one run. */
static void wake(struct listener *l)
{
	uv_prepare_start(&l->soon, on_soon);
}

static void on_closed(uv_handle_t *handle)
{
	struct listener *l = handle->data;
	struct httpd *h = l->httpd;

	if (--h->handles)
		return;
	for (size_t i = 0; i < h->n_listeners; i++)
		free(h->listeners[i]);
	free(h->listeners);
	free(h);
}

static int daemon_start(struct listener *l, int fd, struct why *why)
{
	const struct httpd_options *o = &l->httpd->o;
	const unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_TURBO;
	char text[ADDR_TEXT_SIZE];

	l->mhd = MHD_start_daemon(flags, 0, NULL, NULL, on_access, l,  //
		MHD_OPTION_LISTEN_SOCKET, fd,                          //
		MHD_OPTION_CONNECTION_LIMIT, o->max_connections,       //
		MHD_OPTION_PER_IP_CONNECTION_LIMIT, o->max_per_ip,     //
		MHD_OPTION_CONNECTION_TIMEOUT, o->idle_timeout_s,      //
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, o->max_head_bytes, //
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, l,          //
		MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL, MHD_OPTION_END);
	if (!l->mhd) {
		close(fd);
		return why_set(why, CF_EIO, "the HTTP server on %s did not start",
			addr_format(&l->address, text));
	}
	return 0;
}

static int listener_start(struct httpd *h, const struct addr *address, struct why *why)
{
	struct listener *l;
	int fd = addr_listen_tcp(address, h->o.reuseport, why);

	if (fd < 0)
		return fd;
	l = mem_zalloc(sizeof(*l));
	l->httpd = h;
	l->address = *address;
	(void)addr_of_socket(fd, &l->address);
	int err = daemon_start(l, fd, why);
	if (err) {
		free(l);
		return err;
	}
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(l->mhd, MHD_DAEMON_INFO_EPOLL_FD);
	uv_poll_init(h->loop, &l->poll, info->epoll_fd);
	uv_timer_init(h->loop, &l->timer);
	uv_prepare_init(h->loop, &l->soon);
	l->poll.data = l->timer.data = l->soon.data = l;
	uv_poll_start(&l->poll, UV_READABLE, on_poll);
	h->listeners[h->n_listeners++] = l;
	h->handles += 3;
	return 0;
}

#define DEFAULT_TO(field, value) ((field) = (field) ? (field) : (value))

int httpd_new(
	uv_loop_t *loop, const struct httpd_options *options, struct httpd **out, struct why *why)
{
	struct httpd *h = mem_zalloc(sizeof(*h));
	int err = options->n_listen ? 0 : why_set(why, CF_EINVAL, "no address to listen on");

	h->o = *options;
	h->o.listen = NULL;
	DEFAULT_TO(h->o.max_path_bytes, 2048);
	DEFAULT_TO(h->o.max_head_bytes, 16384);
	DEFAULT_TO(h->o.max_body_bytes, 65536);
	DEFAULT_TO(h->o.max_connections, 1024);
	DEFAULT_TO(h->o.idle_timeout_s, 30);
	h->loop = loop;
	h->listeners = mem_array(options->n_listen, sizeof(struct listener *));
	for (size_t i = 0; i < options->n_listen && !err; i++)
		err = listener_start(h, &options->listen[i], why);
	if (err && !h->n_listeners) {
		free(h->listeners);
		free(h);
	} else if (err) {
		httpd_free(h);
	} else {
		*out = h;
	}
	return err;
}

static void listener_stop(struct listener *l)
{
	uv_poll_stop(&l->poll);
	MHD_stop_daemon(l->mhd);
	l->mhd = NULL;
	uv_close((uv_handle_t *)&l->poll, on_closed);
	uv_close((uv_handle_t *)&l->timer, on_closed);
	uv_close((uv_handle_t *)&l->soon, on_closed);
}

static void drain_end(struct httpd *h);

void httpd_free(struct httpd *h)
{
	if (!h)
		return;
	drain_end(h);
	httpd_streams_close(h->streams);
	for (struct httpd_request *r = h->requests; r; r = r->next) {
		if (r->suspended)
			MHD_resume_connection(r->conn);
		r->suspended = false;
	}
	for (size_t i = 0; i < h->n_listeners; i++)
		listener_stop(h->listeners[i]);
}

/* --- draining */

/* The timer exists from httpd_drain() to its end. */
static void drain_end(struct httpd *h)
{
	void (*done)(void *arg) = mem_steal(h->drained);

	if (!done)
		return;
	h->drain_timer.data = h->listeners[0];
	h->handles++;
	uv_close((uv_handle_t *)&h->drain_timer, on_closed);
	done(h->drained_arg);
}

static void on_drain_timer(uv_timer_t *timer)
{
	struct httpd *h = timer->data;

	if (!h->open || uv_now(h->loop) >= h->drain_until)
		drain_end(h);
}

void httpd_drain(struct httpd *h, int64_t timeout_ms, void (*done)(void *arg), void *arg)
{
	if (h->draining)
		return;
	for (size_t i = 0; i < h->n_listeners; i++) {
		MHD_socket fd = MHD_quiesce_daemon(h->listeners[i]->mhd);
		if (fd != MHD_INVALID_SOCKET)
			close(fd);
	}
	h->draining = true;
	httpd_streams_close(h->streams);
	h->drained = done;
	h->drained_arg = arg;
	h->drain_until = uv_now(h->loop) + (timeout_ms > 0 ? (uint64_t)timeout_ms : 0);
	uv_timer_init(h->loop, &h->drain_timer);
	h->drain_timer.data = h;
	uv_timer_start(&h->drain_timer, on_drain_timer, 0, 10);
}

const struct addr *httpd_address(const struct httpd *h, size_t i)
{
	return &h->listeners[i]->address;
}

size_t httpd_pending(const struct httpd *h)
{
	return h->pending;
}

/* Answers without an end of their own.
 *
 *	        reader() finds nothing            httpd_stream_write()
 *	OPEN ──────────────────────► SUSPENDED ──────────────────────► OPEN
 *	  │ httpd_stream_end()                                          │
 *	  ▼ what waits is sent, then the end                            │ the client goes, the
 *server goes ENDED ──► freed                              CLOSED, told ◄─────┘ ──►
 *httpd_stream_end() ──► freed
 */
#include "common/httpd_request.h"

#include "common/mem.h"

#include <string.h>

struct httpd_stream {
	struct httpd_stream *next, **at; /* in the server's list while it is open */
	struct listener *listener;
	struct MHD_Connection *conn;
	struct buf out;
	size_t sent; /* of out */
	bool suspended;
	bool ended;  /* by the caller */
	bool closed; /* told, or about to be */
	bool gone;   /* libmicrohttpd has no use for it any more */
	void (*on_closed)(void *arg);
	void *arg;
};

static void unlink_stream(struct httpd_stream *s)
{
	if (!s->at)
		return;
	*s->at = s->next;
	if (s->next)
		s->next->at = s->at;
	s->at = NULL;
}

static void link_stream(struct httpd_stream *s)
{
	struct httpd_stream **first = httpd_streams(s->listener);

	s->next = *first;
	s->at = first;
	if (s->next)
		s->next->at = &s->next;
	*first = s;
}

static void free_if_done(struct httpd_stream *s)
{
	if (!s->ended || !s->gone)
		return;
	buf_release(&s->out);
	free(s);
}

static void resume(struct httpd_stream *s)
{
	if (!s->suspended)
		return;
	s->suspended = false;
	httpd_resume(s->listener, s->conn);
}

static void tell_closed(struct httpd_stream *s)
{
	if (s->closed || s->ended)
		return;
	s->closed = true;
	s->on_closed(s->arg); /* may end it */
}

static ssize_t reader(void *arg, uint64_t position, char *out, size_t max)
{
	struct httpd_stream *s = arg;
	size_t n = s->out.len - s->sent;

	(void)position;
	if (!n && (s->ended || s->closed))
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (!n) {
		s->suspended = true;
		MHD_suspend_connection(s->conn);
		return 0;
	}
	n = n < max ? n : max;
	memcpy(out, s->out.data + s->sent, n);
	s->sent += n;
	if (s->sent == s->out.len) {
		buf_clear(&s->out);
		s->sent = 0;
	}
	return (ssize_t)n;
}

static void on_gone(void *arg)
{
	struct httpd_stream *s = arg;

	unlink_stream(s);
	s->gone = true;
	s->suspended = false;
	if (s->ended)
		free_if_done(s);
	else
		tell_closed(s);
}

struct httpd_stream *httpd_answer_stream(struct httpd_request *r, const struct httpd_answer *answer,
	size_t max_bytes, void (*closed)(void *arg), void *arg)
{
	struct MHD_Response *response;
	struct httpd_stream *s;

	if (!r->conn) {
		httpd_answer_text(r, answer->status, "");
		return NULL;
	}
	s = mem_zalloc(sizeof *s);
	s->listener = r->listener;
	s->conn = r->conn;
	s->out = BUF_INIT(max_bytes);
	s->on_closed = closed;
	s->arg = arg;
	link_stream(s);
	response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, reader, s, on_gone);
	if (!response)
		abort();
	if (answer->content_type)
		MHD_add_response_header(
			response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->content_type);
	for (const char *const *p = answer->headers; p && p[0] && p[1]; p += 2)
		MHD_add_response_header(response, p[0], p[1]);
	httpd_settle(r, answer->status, response);
	return s;
}

int httpd_stream_write(struct httpd_stream *s, const void *bytes, size_t n)
{
	if (s->closed || s->gone)
		return CF_ECONN;
	if (s->sent) { /* what was sent makes room */
		memmove(s->out.data, s->out.data + s->sent, s->out.len - s->sent);
		s->out.len -= s->sent;
		s->sent = 0;
	}
	if (s->out.len + n > s->out.limit)
		return CF_ETOOBIG;
	buf_add(&s->out, bytes, n);
	resume(s);
	return 0;
}

void httpd_stream_end(struct httpd_stream *s)
{
	if (!s || s->ended)
		return;
	s->ended = true;
	unlink_stream(s);
	if (s->gone)
		free_if_done(s);
	else
		resume(s);
}

void httpd_streams_close(struct httpd_stream *first)
{
	while (first) {
		struct httpd_stream *s = first;

		first = s->next;
		unlink_stream(s);
		resume(s);
		tell_closed(s);
	}
}

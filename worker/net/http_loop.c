/* http_loop.c - libcurl's sockets and timer on the libuv loop (curl_multi_socket_action(3)). */
#include "worker/net/http_internal.h"

#include "common/clock.h"
#include "common/mem.h"

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct http_watch *w = container_of(poll, struct http_watch, poll);
	struct http_client *c = w->client;
	int flags = 0, running;

	if (events & UV_READABLE) {
		w->heard_ms = clock_mono_ms();
		flags |= CURL_CSELECT_IN;
	}
	if (events & UV_WRITABLE)
		flags |= CURL_CSELECT_OUT;
	if (status < 0)
		flags = CURL_CSELECT_ERR;
	curl_multi_socket_action(c->multi, w->fd, flags, &running);
	http_finish_done(c);
}

static void on_timer(uv_timer_t *timer)
{
	struct http_client *c = container_of(timer, struct http_client, timer);
	int running;

	curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	http_finish_done(c);
}

int http_set_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct http_client *c = arg;

	(void)multi;
	if (c->freeing)
		return 0;
	if (timeout_ms < 0)
		uv_timer_stop(&c->timer);
	else
		uv_timer_start(&c->timer, on_timer, (uint64_t)timeout_ms, 0);
	return 0;
}

void http_client_closed(struct http_client *c)
{
	if (--c->closing == 0 && c->freeing)
		free(c);
}

static void on_watch_closed(uv_handle_t *handle)
{
	struct http_watch *w = container_of(handle, struct http_watch, poll);
	struct http_client *c = w->client;

	free(w);
	http_client_closed(c);
}

void http_watch_stop(struct http_watch *w)
{
	struct http_watch **at = &w->client->watches;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	w->client->closing++;
	uv_close((uv_handle_t *)&w->poll, on_watch_closed);
}

static struct http_watch *watch_new(struct http_client *c, curl_socket_t fd)
{
	struct http_watch *w = mem_zalloc(sizeof(*w));

	if (uv_poll_init_socket(c->loop, &w->poll, fd) < 0) {
		free(w);
		return NULL;
	}
	w->client = c;
	w->fd = fd;
	w->heard_ms = clock_mono_ms();
	w->next = c->watches;
	c->watches = w;
	return w;
}

int http_set_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct http_client *c = arg;
	struct http_watch *w = socket_arg;
	int events;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (w) {
			curl_multi_assign(c->multi, fd, NULL);
			http_watch_stop(w);
		}
		return 0;
	}
	if (!w) {
		w = watch_new(c, fd);
		if (!w)
			return -1;
		curl_multi_assign(c->multi, fd, w);
	}
	events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
	uv_poll_start(&w->poll, events, on_ready);
	return 0;
}

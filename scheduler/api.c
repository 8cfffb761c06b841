#include "scheduler/api.h"

#include "common/httpd.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "scheduler/dashboard.h"

#include <string.h>

#ifndef CERTFLEET_VERSION /* the build names it */
#define CERTFLEET_VERSION "unknown"
#endif

#define METRICS_MAX (8u << 20)

struct api {
	struct httpd *httpd;
	struct api_view view;
};

/* A browser gets the dashboard, who asks otherwise a list of what there is. */
static void get_root(void *arg, struct httpd_request *r)
{
	const char *accept = httpd_header(r, "Accept");

	(void)arg;
	if (accept && strstr(accept, "text/html")) {
		dashboard_page(r);
		return;
	}
	httpd_answer_text(r, 200,
		"certfleet-scheduler " CERTFLEET_VERSION "\n\n"
		"/healthz  200 while this process is alive; says whether it leads\n"
		"/readyz   200 while it can work, else 503 and why\n"
		"/metrics  Prometheus metrics\n"
		"/v1/      the API\n"
		"/         in a browser: the dashboard");
}

static void get_page(void *arg, struct httpd_request *r)
{
	(void)arg;
	dashboard_page(r);
}

static void get_asset(void *arg, struct httpd_request *r)
{
	(void)arg;
	dashboard_asset(r, httpd_path_rest(r));
}

static void get_healthz(void *arg, struct httpd_request *r)
{
	struct api *a = arg;

	httpd_answer_text(r, 200, a->view.leads(a->view.arg) ? "ok leader" : "ok follower");
}

static void get_readyz(void *arg, struct httpd_request *r)
{
	struct api *a = arg;
	const char *why = a->view.unready(a->view.arg);

	httpd_answer_text(r, why ? 503 : 200, why ? why : "ready");
}

static void get_metrics(void *arg, struct httpd_request *r)
{
	struct buf page = BUF_INIT(METRICS_MAX);

	(void)arg;
	metrics_write(metrics_default(), &page);
	httpd_answer_buf(r, 200, METRICS_CONTENT_TYPE, &page);
	buf_release(&page);
}

static void any_v1(void *arg, struct httpd_request *r)
{
	struct api *a = arg;

	if (a->view.v1)
		v1_handle(a->view.v1, r);
	else
		httpd_answer_problem(r, 503, "starting", "the API is not there yet");
}

static const struct httpd_route routes[] = {
	{HTTPD_GET, "/", get_root},
	{HTTPD_GET, "/healthz", get_healthz},
	{HTTPD_GET, "/readyz", get_readyz},
	{HTTPD_GET, "/metrics", get_metrics},
	{HTTPD_GET, "/endpoints*", get_page},
	{HTTPD_GET, "/add", get_page},
	{HTTPD_GET, "/alerts", get_page},
	{HTTPD_GET, "/silences", get_page},
	{HTTPD_GET, "/workers", get_page},
	{HTTPD_GET, "/link", get_page},
	{HTTPD_GET, "/assets/*", get_asset},
	{HTTPD_GET | HTTPD_POST | HTTPD_PUT | HTTPD_PATCH | HTTPD_DELETE | HTTPD_OTHER, "/v1/*",
		any_v1},
};

int api_new(uv_loop_t *loop, const struct addr *listen, const struct api_view *view,
	struct api **out, struct why *why)
{
	struct api *a = mem_zalloc(sizeof *a);
	struct httpd_options options = {
		.listen = listen,
		.n_listen = 1,
		.routes = routes,
		.n_routes = ARRAY_LEN(routes),
		.arg = a,
		.problems = "/v1/",
	};
	int err = httpd_new(loop, &options, &a->httpd, why);

	if (err) {
		free(a);
		return err;
	}
	a->view = *view;
	*out = a;
	return 0;
}

const struct addr *api_address(const struct api *a)
{
	return httpd_address(a->httpd, 0);
}

void api_drain(struct api *a, int64_t timeout_ms, void (*done)(void *arg), void *arg)
{
	httpd_drain(a->httpd, timeout_ms, done, arg);
}

void api_free(struct api *a)
{
	if (!a)
		return;
	httpd_free(a->httpd);
	free(a);
}

#include "worker/health.h"

#include "common/httpd.h"
#include "common/metrics.h"
#include "worker/worker.h"

static void healthz(void *arg, struct httpd_request *r)
{
	(void)arg;
	httpd_answer_text(r, 200, "ok");
}

static void readyz(void *arg, struct httpd_request *r)
{
	const struct worker *w = arg;

	if (w->draining)
		httpd_answer_text(r, 503, "draining: no job is taken any more");
	else if (!redis_is_up(w->redis))
		httpd_answer_text(r, 503, "Redis is away");
	else if (w->vault && w->canaries < 2)
		httpd_answer_text(r, 503, "the vault keys are not checked yet");
	else
		httpd_answer_text(r, 200, "ready");
}

static void metrics(void *arg, struct httpd_request *r)
{
	struct buf out = BUF_INIT(4u << 20);

	(void)arg;
	metrics_write(metrics_default(), &out);
	httpd_answer_buf(r, 200, METRICS_CONTENT_TYPE, &out);
}

static const struct httpd_route routes[] = {
	{HTTPD_GET, "/healthz", healthz},
	{HTTPD_GET, "/readyz", readyz},
	{HTTPD_GET, "/metrics", metrics},
};

int health_start(struct worker *w, struct why *why)
{
	const struct httpd_options options = {.listen = &w->config->worker.listen.addr,
		.n_listen = 1,
		.routes = routes,
		.n_routes = sizeof routes / sizeof routes[0],
		.arg = w};

	if (!w->config->worker.listen.text)
		return 0;
	return httpd_new(&w->loop, &options, &w->httpd, why);
}

void health_stop(struct worker *w)
{
	httpd_free(w->httpd);
	w->httpd = NULL;
}

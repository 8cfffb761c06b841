#include "scheduler/dashboard.h"

#include <string.h>

#define POLICY                                                                                  \
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src " \
	"'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

static void answer(struct httpd_request *r, const struct dashboard_file *f)
{
	const char *known = httpd_header(r, "If-None-Match");
	const char *const headers[] = {"ETag", f->etag, "Cache-Control", "no-cache",
		"Content-Security-Policy", POLICY, "X-Content-Type-Options", "nosniff",
		"Referrer-Policy", "no-referrer", "Cross-Origin-Opener-Policy", "same-origin",
		NULL};

	if (known && strcmp(known, f->etag) == 0)
		httpd_answer(r, &(struct httpd_answer){.status = 304, .headers = headers});
	else
		httpd_answer(r, &(struct httpd_answer){.status = 200,
					.content_type = f->type,
					.body = f->bytes,
					.len = f->len,
					.headers = headers});
}

void dashboard_asset(struct httpd_request *r, const char *name)
{
	for (size_t i = 0; i < dashboard_files_n; i++)
		if (strcmp(dashboard_files[i].name, name) == 0) {
			answer(r, &dashboard_files[i]);
			return;
		}
	httpd_answer_error(r, 404, "not_found", "there is nothing here");
}

void dashboard_page(struct httpd_request *r)
{
	dashboard_asset(r, "index.html");
}

/* What there is below /v1, and whether a request fits it. */
#include "common/mem.h"
#include "scheduler/api/v1_internal.h"

#include <stdio.h>
#include <string.h>

#define FILTERS "state reason tenant authority type q sort limit after"
#define SPEC    "names type target authority profile zone key_type"

const struct v1_route v1_routes[] = {
	{HTTPD_GET, "/v1/openapi.json", v1_document, V1_OPEN, NULL, NULL},
	{HTTPD_GET, "/v1/status", v1_overview, V1_MANY, "tenant", NULL},
	{HTTPD_GET, "/v1/endpoints", v1_list, V1_MANY, FILTERS, NULL},
	{HTTPD_POST, "/v1/endpoints", v1_add, V1_BODY | V1_ONCE, NULL, "id tenant " SPEC},
	{HTTPD_GET, "/v1/endpoints/:id", v1_show, 0, NULL, NULL},
	{HTTPD_PATCH, "/v1/endpoints/:id", v1_update, V1_BODY | V1_ONCE | V1_IF, NULL, SPEC},
	{HTTPD_DELETE, "/v1/endpoints/:id", v1_remove, V1_ONCE | V1_IF, NULL, NULL},
	{HTTPD_GET, "/v1/endpoints/:id/records", v1_records, 0, NULL, NULL},
	{HTTPD_GET, "/v1/endpoints/:id/certificate", v1_certificate, 0, NULL, NULL},
	{HTTPD_GET, "/v1/endpoints/:id/certificate.pem", v1_chain, 0, NULL, NULL},
	{HTTPD_POST, "/v1/endpoints/:id/verify", v1_verify, V1_ONCE, NULL, NULL},
	{HTTPD_POST, "/v1/endpoints/:id/renew", v1_renew, V1_ONCE, NULL, NULL},
	{HTTPD_POST, "/v1/endpoints/:id/revoke", v1_revoke, V1_ONCE, NULL, "reason"},
	{HTTPD_POST, "/v1/endpoints/:id/retry", v1_retry, 0, NULL, "queue"},
	{HTTPD_POST, "/v1/endpoints/:id/cancel", v1_cancel, 0, NULL, "queue"},
	{HTTPD_POST, "/v1/endpoints/:id/links", v1_link, 0, NULL, "expires_in"},
	{HTTPD_DELETE, "/v1/endpoints/:id/links", v1_unlink, 0, NULL, NULL},
	{HTTPD_POST, "/v1/links/exchange", v1_exchange, V1_OPEN | V1_BODY, NULL, "secret"},
	{HTTPD_GET, "/v1/alerts", v1_alerts, V1_MANY, "limit key", NULL},
	{HTTPD_GET, "/v1/silences", v1_silences, V1_FLEET, NULL, NULL},
	{HTTPD_POST, "/v1/silences", v1_silence_add, V1_FLEET | V1_BODY, NULL,
		"field pattern reason expires_in"},
	{HTTPD_GET, "/v1/silences/:id", v1_silence, V1_FLEET, NULL, NULL},
	{HTTPD_DELETE, "/v1/silences/:id", v1_silence_end, V1_FLEET, NULL, NULL},
	{HTTPD_GET, "/v1/jobs", v1_jobs, V1_MANY, "limit", NULL},
	{HTTPD_GET, "/v1/queues", v1_queues, V1_FLEET, NULL, NULL},
	{HTTPD_GET, "/v1/workers", v1_workers, V1_FLEET, "limit", NULL},
	{HTTPD_GET, "/v1/quotas", v1_quotas, V1_FLEET, NULL, NULL},
	{HTTPD_GET, "/v1/events", v1_listen, 0, "after", NULL},
	{HTTPD_GET, "/v1/session", v1_who, 0, NULL, NULL},
	{HTTPD_POST, "/v1/session", v1_login, V1_OPEN | V1_BODY, NULL, "token"},
	{HTTPD_DELETE, "/v1/session", v1_logout, V1_OPEN, NULL, NULL},
};
const size_t v1_routes_n = ARRAY_LEN(v1_routes);

static const struct {
	enum httpd_method method;
	const char *name;
} methods[] = {{HTTPD_GET, "GET, HEAD"}, {HTTPD_POST, "POST"}, {HTTPD_PUT, "PUT"},
	{HTTPD_PATCH, "PATCH"}, {HTTPD_DELETE, "DELETE"}};

/* One segment of the pattern against one of the path. */
static bool segment_fits(const char *p, size_t pn, const char *s, size_t sn, char *id, size_t size)
{
	if (pn != 3 || strncmp(p, ":id", 3) != 0)
		return pn == sn && strncmp(p, s, pn) == 0;
	if (!sn || sn >= size)
		return false;
	memcpy(id, s, sn);
	id[sn] = 0;
	return true;
}

static bool path_fits(const char *pattern, const char *path, char *id, size_t size)
{
	while (*pattern == '/' && *path == '/') {
		size_t pn = strcspn(++pattern, "/"), sn = strcspn(++path, "/");

		if (!segment_fits(pattern, pn, path, sn, id, size))
			return false;
		pattern += pn;
		path += sn;
	}
	return !*pattern && !*path;
}

static void not_allowed(struct v1_call *c, const char *allow)
{
	_mem_free_ char *text = mem_printf("the method: expected one of %s", allow);
	const char *const headers[] = {"Allow", allow, NULL};

	v1_problem_headers(c, 405, "method_not_allowed", text, headers);
}

bool v1_find_route(struct v1_call *c)
{
	const char *path = httpd_path(c->http);
	char allow[64] = "";

	for (size_t i = 0; i < v1_routes_n; i++) {
		if (!path_fits(v1_routes[i].pattern, path, c->id, sizeof c->id))
			continue;
		if (v1_routes[i].method == httpd_method(c->http)) {
			c->route = &v1_routes[i];
			return true;
		}
		for (size_t k = 0; k < ARRAY_LEN(methods); k++)
			if (methods[k].method == v1_routes[i].method)
				snprintf(allow + strlen(allow), sizeof allow - strlen(allow),
					"%s%s", allow[0] ? ", " : "", methods[k].name);
	}
	if (allow[0])
		not_allowed(c, allow);
	else
		v1_problem(c, 404, "not_found", "the API has nothing at this path");
	return false;
}

/* --- what a route takes: a typing error must not be ignored */

static bool is_among(const char *words, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = words; p && *p; p += strspn(p, " ")) {
		size_t len = strcspn(p, " ");

		if (len == n && strncmp(p, word, n) == 0)
			return true;
		p += len;
	}
	return false;
}

struct seen {
	struct v1_call *call;
	const char *name;
	size_t n;
	bool unknown, twice;
};

static bool count_same(void *arg, const char *name, const char *value)
{
	struct seen *s = arg;

	(void)value;
	s->n += strcmp(name, s->name) == 0;
	return true;
}

/* Stops at the first one that is wrong. */
static bool look_at(void *arg, const char *name, const char *value)
{
	struct seen *s = arg;

	(void)value;
	s->name = name;
	s->n = 0;
	s->unknown = !is_among(s->call->route->query, name);
	if (!s->unknown)
		httpd_each_query(s->call->http, count_same, s);
	s->twice = s->n > 1;
	return !s->unknown && !s->twice;
}

static bool query_fits(struct v1_call *c)
{
	struct seen s = {.call = c};

	httpd_each_query(c->http, look_at, &s);
	if (s.unknown && c->route->query)
		v1_problemf(c, 400, "invalid", "the query: \"%.64s\" is none of %s", s.name,
			c->route->query);
	else if (s.unknown)
		v1_problemf(c, 400, "invalid", "the query: expected none, got \"%.64s\"", s.name);
	else if (s.twice)
		v1_problemf(c, 400, "invalid", "%s: expected once, got %zu times", s.name, s.n);
	return !s.unknown && !s.twice;
}

static bool body_fits(struct v1_call *c)
{
	const char *known = c->route->body, *key;
	json_t *value;

	if (!c->body && (c->route->flags & V1_BODY)) {
		v1_problemf(c, 400, "no_body", "the body: expected a JSON object with %s", known);
		return false;
	}
	json_object_foreach(c->body, key, value)
	{
		if (is_among(known, key))
			continue;
		if (known)
			v1_problemf(
				c, 422, "invalid", "the body: \"%.64s\" is none of %s", key, known);
		else
			v1_problemf(
				c, 422, "invalid", "the body: expected none, got \"%.64s\"", key);
		return false;
	}
	return true;
}

static bool once_fits(struct v1_call *c)
{
	if ((c->route->flags & V1_ONCE) || !c->changes || !httpd_header(c->http, "Idempotency-Key"))
		return true;
	v1_problem(c, 400, "invalid",
		"Idempotency-Key: not here, for what is sent again is done again");
	return false;
}

bool v1_fits(struct v1_call *c)
{
	return query_fits(c) && body_fits(c) && once_fits(c);
}

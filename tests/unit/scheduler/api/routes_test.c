/* The OpenAPI document and the router say the same: each way, and for each operation its
 * parameters, the members of its body, its limits, and who may call it. */
#include "common/mem.h"
#include "scheduler/api/v1_internal.h"
#include "scheduler/silence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static json_t *document;

static int read_document(void **state)
{
	json_error_t error;

	(void)state;
	document = json_loads(v1_openapi, JSON_REJECT_DUPLICATES, &error);
	if (!document)
		fail_msg("line %d: %s", error.line, error.text);
	return 0;
}

static int drop_document(void **state)
{
	(void)state;
	json_decref(document);
	return 0;
}

static const struct {
	enum httpd_method method;
	const char *name;
} methods[] = {{HTTPD_GET, "get"}, {HTTPD_POST, "post"}, {HTTPD_PATCH, "patch"},
	{HTTPD_DELETE, "delete"}, {HTTPD_PUT, "put"}};

static const char *method_name(unsigned method)
{
	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		if (methods[i].method == method)
			return methods[i].name;
	return "?";
}

/* Follows {"$ref": "#/a/b/c"}. */
static json_t *resolve(json_t *j)
{
	const char *ref = json_string_value(json_object_get(j, "$ref"));
	_mem_free_ char *copy = mem_strdup_opt(ref);
	char *rest = copy ? copy + 2 : NULL, *part;

	if (!ref)
		return j;
	j = document;
	while ((part = strsep(&rest, "/")))
		j = json_object_get(j, part);
	assert_non_null(j);
	return resolve(j);
}

/* "/v1/endpoints/:id" is "/v1/endpoints/{id}" there. */
static void template_of(const char *pattern, char *out, size_t size)
{
	const char *id = strstr(pattern, ":id");

	if (id)
		snprintf(out, size, "%.*s{id}%s", (int)(id - pattern), pattern, id + 3);
	else
		snprintf(out, size, "%s", pattern);
}

static json_t *operation_of(const struct v1_route *r, json_t **path)
{
	char template[128];

	template_of(r->pattern, template, sizeof template);
	*path = json_object_get(json_object_get(document, "paths"), template);
	return json_object_get(*path, method_name(r->method));
}

static const struct v1_route *route_of(const char *template, const char *method)
{
	char other[128];

	for (size_t i = 0; i < v1_routes_n; i++) {
		template_of(v1_routes[i].pattern, other, sizeof other);
		if (strcmp(other, template) == 0 &&
			strcmp(method_name(v1_routes[i].method), method) == 0)
			return &v1_routes[i];
	}
	return NULL;
}

static void each_route_is_documented(void **state)
{
	json_t *path;

	(void)state;
	for (size_t i = 0; i < v1_routes_n; i++)
		if (!operation_of(&v1_routes[i], &path))
			fail_msg("%s %s is not in openapi.yaml", method_name(v1_routes[i].method),
				v1_routes[i].pattern);
}

static void each_operation_is_routed(void **state)
{
	const char *template, *key;
	json_t *path, *operation;

	(void)state;
	json_object_foreach(json_object_get(document, "paths"), template, path)
		json_object_foreach(path, key,
			operation) if (strcmp(key, "parameters") != 0 && !route_of(template, key))
			fail_msg("%s %s is in openapi.yaml alone", key, template);
}

/* Is the word among those with blanks between? */
static bool among(const char *words, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = words; p && (p = strstr(p, word)); p += n)
		if ((p == words || p[-1] == ' ') && (p[n] == ' ' || !p[n]))
			return true;
	return false;
}

static size_t count_words(const char *words)
{
	size_t n = words && *words ? 1 : 0;

	for (const char *p = words; p && *p; p++)
		n += *p == ' ';
	return n;
}

static json_t *parameter(json_t *list, const char *in, const char *name)
{
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		json_t *p = resolve(item);

		if (strcmp(json_string_value(json_object_get(p, "in")), in) == 0 &&
			strcmp(json_string_value(json_object_get(p, "name")), name) == 0)
			return p;
	}
	return NULL;
}

static void parameters_are_alike(void **state)
{
	json_t *path, *item;
	size_t i, n;

	(void)state;
	for (const struct v1_route *r = v1_routes; r < v1_routes + v1_routes_n; r++) {
		json_t *list = json_object_get(operation_of(r, &path), "parameters");

		n = 0;
		json_array_foreach(list, i, item)
		{
			json_t *p = resolve(item);
			const char *name = json_string_value(json_object_get(p, "name"));

			if (strcmp(json_string_value(json_object_get(p, "in")), "query") != 0)
				continue;
			n++;
			if (!among(r->query, name))
				fail_msg("%s: %s is in openapi.yaml alone", r->pattern, name);
		}
		if (n != count_words(r->query))
			fail_msg("%s: %s, but openapi.yaml has %zu", r->pattern, r->query, n);
		assert_int_equal(!!(r->flags & V1_ONCE),
			parameter(list, "header", "Idempotency-Key") != NULL);
		assert_int_equal(
			!!(r->flags & V1_IF), parameter(list, "header", "If-Match") != NULL);
		assert_int_equal(strstr(r->pattern, ":id") != NULL,
			parameter(json_object_get(path, "parameters"), "path", "id") != NULL);
	}
}

static json_t *at(json_t *j, const char *const *keys)
{
	for (; *keys; keys++)
		j = resolve(json_object_get(j, *keys));
	return j;
}

static void bodies_are_alike(void **state)
{
	static const char *const keys[] = {
		"requestBody", "content", "application/json", "schema", "properties", NULL};
	const char *name;
	json_t *path, *value;

	(void)state;
	for (const struct v1_route *r = v1_routes; r < v1_routes + v1_routes_n; r++) {
		json_t *operation = operation_of(r, &path), *members = at(operation, keys);

		if (json_object_size(members) != count_words(r->body))
			fail_msg("%s %s: \"%s\", but openapi.yaml has %zu members",
				method_name(r->method), r->pattern, r->body,
				json_object_size(members));
		json_object_foreach(members, name, value) if (!among(r->body, name))
			fail_msg("%s: %s is in openapi.yaml alone", r->pattern, name);
		assert_int_equal(!!(r->flags & V1_BODY),
			json_is_true(json_object_get(
				json_object_get(operation, "requestBody"), "required")));
	}
}

/* Is there a way in by this scheme, and does it want this role? */
static bool lets_in(json_t *security, const char *scheme, const char *role)
{
	json_t *way, *roles, *word;
	size_t i, k;

	json_array_foreach(security, i, way)
	{
		roles = json_object_get(way, scheme);
		json_array_foreach(
			roles, k, word) if (strcmp(json_string_value(word), role) == 0) return true;
	}
	return false;
}

static void rights_are_alike(void **state)
{
	json_t *path;

	(void)state;
	for (const struct v1_route *r = v1_routes; r < v1_routes + v1_routes_n; r++) {
		json_t *security = json_object_get(operation_of(r, &path), "security");
		bool open = r->flags & V1_OPEN, changes = r->method != HTTPD_GET;
		bool one = !(r->flags & (V1_FLEET | V1_MANY));

		assert_true(json_is_array(security));
		assert_int_equal(open, json_array_size(security) == 0);
		assert_int_equal(!open && changes, lets_in(security, "token", "write"));
		assert_int_equal(!open && !changes, lets_in(security, "token", "read"));
		assert_int_equal(!open && changes, lets_in(security, "session", "write"));
		assert_int_equal(!!(r->flags & V1_FLEET), lets_in(security, "token", "fleet"));
		assert_int_equal(!!(r->flags & V1_FLEET), lets_in(security, "session", "fleet"));
		assert_int_equal(!open && !changes && one, lets_in(security, "link", "read"));
	}
}

static int64_t number_at(const char *a, const char *b, const char *c, const char *d)
{
	const char *const keys[] = {"components", "schemas", a, "properties", b, c, d, NULL};
	const char *const plain[] = {"components", a, b, c, d, NULL};
	json_t *j = at(document, strcmp(a, "parameters") == 0 ? plain : keys);

	if (!json_is_integer(j))
		fail_msg("no number at %s %s %s", a, b, c);
	return json_integer_value(j);
}

static void limits_are_alike(void **state)
{
	const struct v1_route *list = route_of("/v1/endpoints", "get");
	json_t *path, *limit = json_object_get(
			      parameter(json_object_get(operation_of(list, &path), "parameters"),
				      "query", "limit"),
			      "schema");

	(void)state;
	assert_int_equal(json_integer_value(json_object_get(limit, "maximum")), V1_PAGE_MAX);
	assert_int_equal(json_integer_value(json_object_get(limit, "default")), V1_PAGE);
	assert_int_equal(number_at("parameters", "Limit", "schema", "maximum"), V1_LIST_MAX);
	assert_int_equal(number_at("parameters", "Limit", "schema", "default"), V1_LIST);
	assert_int_equal(number_at("NewEndpoint", "names", "maxItems", NULL), ENDPOINT_NAMES_MAX);
	assert_int_equal(
		number_at("NewEndpoint", "tenant", "maxLength", NULL), ENDPOINT_TENANT_MAX);
	assert_int_equal(
		number_at("NewEndpoint", "profile", "maxLength", NULL), ENDPOINT_PROFILE_MAX);
	assert_int_equal(
		number_at("NewSilence", "pattern", "maxLength", NULL), SILENCE_PATTERN_MAX);
	assert_int_equal(number_at("NewSilence", "reason", "maxLength", NULL), SILENCE_REASON_MAX);
}

/* Each reference leads somewhere. */
static void check_references(json_t *j)
{
	const char *key;
	json_t *value;
	size_t i;

	if (json_is_object(j)) {
		resolve(j);
		json_object_foreach(j, key, value) check_references(value);
	}
	json_array_foreach(j, i, value) check_references(value);
}

static void references_lead_somewhere(void **state)
{
	(void)state;
	check_references(document);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_route_is_documented),
		cmocka_unit_test(each_operation_is_routed),
		cmocka_unit_test(parameters_are_alike),
		cmocka_unit_test(bodies_are_alike),
		cmocka_unit_test(rights_are_alike),
		cmocka_unit_test(limits_are_alike),
		cmocka_unit_test(references_lead_somewhere),
	};

	return cmocka_run_group_tests(tests, read_document, drop_document);
}

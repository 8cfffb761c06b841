#include "worker/acme/objects.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"

#include <string.h>

static const char *const status_names[] = {"unknown", "pending", "ready", "processing", "valid",
	"invalid", "deactivated", "expired", "revoked"};

const char *acme_challenge_name(enum acme_challenge_type type)
{
	static const char *const names[] = {"dns-01", "http-01", "tls-alpn-01"};

	return (size_t)type < ARRAY_LEN(names) ? names[type] : "unknown";
}

static json_t *load(const char *text, size_t n, const char *what, struct why *why)
{
	json_error_t e;
	json_t *json;

	if (n > OBJECT_BYTES_MAX) {
		why_set(why, CF_ETOOBIG, "the CA's %s is over %d bytes", what, OBJECT_BYTES_MAX);
		return NULL;
	}
	json = json_loadb(text, n, 0, &e);
	if (!json_is_object(json)) {
		why_set(why, CF_EPROTO, "the CA's %s is not a JSON object", what);
		json_decref(json);
		return NULL;
	}
	return json;
}

static int load_error(size_t n)
{
	return n > OBJECT_BYTES_MAX ? CF_ETOOBIG : CF_EPROTO;
}

static void json_release(json_t **json)
{
	json_decref(*json);
}
#define _json_release_ __attribute__((cleanup(json_release)))

/* What may stand in a request line, a header and a JSON string without escapes. */
static bool is_url(const char *s)
{
	if (!str_starts_with(s, "https://") && !str_starts_with(s, "http://"))
		return false;
	if (strlen(s) > OBJECT_URL_MAX)
		return false;
	for (; *s; s++)
		if (*s <= ' ' || *s >= 0x7f || strchr("\"\\<>{}|^`", *s))
			return false;
	return true;
}

static const char *get_url(const json_t *json, const char *member)
{
	const char *s = json_string_value(json_object_get(json, member));

	return s && is_url(s) ? s : NULL;
}

static const char *need_url(
	const json_t *json, const char *member, const char *what, struct why *why)
{
	const char *url = get_url(json, member);

	if (!url)
		why_set(why, CF_EPROTO, "the CA's %s has no URL in \"%s\"", what, member);
	return url;
}

static enum ca_status get_status(const json_t *json)
{
	const char *s = json_string_value(json_object_get(json, "status"));

	for (size_t i = 1; s && i < ARRAY_LEN(status_names); i++)
		if (!strcmp(s, status_names[i]))
			return (enum ca_status)i;
	return CA_UNKNOWN;
}

static int64_t get_time(const json_t *json, const char *member)
{
	const char *s = json_string_value(json_object_get(json, member));
	int64_t t;

	return s && clock_parse_rfc3339(s, &t) == 0 ? t : 0;
}

static struct problem *get_problem(const json_t *json, const char *member)
{
	struct problem p;

	if (problem_from_json(json_object_get(json, member), &p) < 0)
		return NULL;
	return mem_dup(&p, sizeof(p));
}

static void free_problem(struct problem *p)
{
	if (p)
		problem_release(p);
	free(p);
}

/* --- directory --- */

static void read_meta(const json_t *meta, struct ca_directory *d)
{
	const json_t *caa = json_object_get(meta, "caaIdentities");
	const char *key;
	json_t *value;
	size_t i;

	d->terms = mem_strdup_opt(get_url(meta, "termsOfService"));
	d->website = mem_strdup_opt(get_url(meta, "website"));
	d->eab_required = json_is_true(json_object_get(meta, "externalAccountRequired"));
	json_array_foreach(caa, i, value)
	{
		char name[256];

		if (!json_is_string(value) || d->n_caa == OBJECT_CAA_MAX)
			continue;
		str_clean(json_string_value(value), json_string_length(value), name, sizeof(name));
		d->caa[d->n_caa++] = mem_strdup(str_lower(name));
	}
	json_object_foreach(json_object_get(meta, "profiles"), key, value)
	{
		char name[64];

		if (d->n_profiles == OBJECT_PROFILES_MAX)
			break;
		d->profiles[d->n_profiles++] =
			mem_strdup(str_clean(key, strlen(key), name, sizeof(name)));
	}
}

int ca_directory_parse(
	const char *text, size_t n, bool allow_http, struct ca_directory *out, struct why *why)
{
	_json_release_ json_t *json = load(text, n, "directory", why);
	const char *nonce, *account, *order;

	if (!json)
		return load_error(n);
	if (!(nonce = need_url(json, "newNonce", "directory", why)) ||
		!(account = need_url(json, "newAccount", "directory", why)) ||
		!(order = need_url(json, "newOrder", "directory", why)))
		return CF_EPROTO;
	if (!allow_http && str_starts_with(order, "http:"))
		return why_set(
			why, CF_EPROTO, "the CA's directory leads to plain http: %.200s", order);
	*out = (struct ca_directory){
		.new_nonce = mem_strdup(nonce),
		.new_account = mem_strdup(account),
		.new_order = mem_strdup(order),
		.revoke_cert = mem_strdup_opt(get_url(json, "revokeCert")),
		.key_change = mem_strdup_opt(get_url(json, "keyChange")),
		.renewal_info = mem_strdup_opt(get_url(json, "renewalInfo")),
	};
	read_meta(json_object_get(json, "meta"), out);
	return 0;
}

void ca_directory_release(struct ca_directory *d)
{
	free(d->new_nonce);
	free(d->new_account);
	free(d->new_order);
	free(d->revoke_cert);
	free(d->key_change);
	free(d->renewal_info);
	free(d->terms);
	free(d->website);
	for (size_t i = 0; i < d->n_caa; i++)
		free(d->caa[i]);
	for (size_t i = 0; i < d->n_profiles; i++)
		free(d->profiles[i]);
	*d = (struct ca_directory){0};
}

/* --- account, order --- */

int ca_account_parse(const char *text, size_t n, struct ca_account *out, struct why *why)
{
	_json_release_ json_t *json = load(text, n, "account", why);

	if (!json)
		return load_error(n);
	out->status = get_status(json);
	return 0;
}

static int read_authz_urls(const json_t *json, struct ca_order *o, struct why *why)
{
	const json_t *list = json_object_get(json, "authorizations");
	size_t n = json_is_array(list) ? json_array_size(list) : 0;

	if (n > ACME_NAMES_MAX)
		return why_set(why, CF_ETOOBIG, "the CA's order has %zu authorizations", n);
	for (size_t i = 0; i < n; i++) {
		const char *url = json_string_value(json_array_get(list, i));

		if (!url || !is_url(url))
			return why_set(why, CF_EPROTO,
				"the CA's order has an authorization that is no URL");
	}
	o->authorizations = n ? mem_array(n, sizeof(char *)) : NULL;
	for (size_t i = 0; i < n; i++)
		o->authorizations[o->n_authorizations++] =
			mem_strdup(json_string_value(json_array_get(list, i)));
	return 0;
}

int ca_order_parse(const char *text, size_t n, struct ca_order *out, struct why *why)
{
	_json_release_ json_t *json = load(text, n, "order", why);
	struct ca_order o = {0};
	const char *finalize;
	int err;

	if (!json)
		return load_error(n);
	o.status = get_status(json);
	if (o.status == CA_UNKNOWN)
		return why_set(why, CF_EPROTO, "the CA's order has no known status");
	if (!(finalize = need_url(json, "finalize", "order", why)))
		return CF_EPROTO;
	if ((err = read_authz_urls(json, &o, why)) < 0)
		return err;
	o.expires_wall_ms = get_time(json, "expires");
	o.finalize = mem_strdup(finalize);
	o.certificate = mem_strdup_opt(get_url(json, "certificate"));
	o.replaces = json_is_string(json_object_get(json, "replaces"));
	o.error = get_problem(json, "error");
	*out = o;
	return 0;
}

void ca_order_release(struct ca_order *o)
{
	for (size_t i = 0; i < o->n_authorizations; i++)
		free(o->authorizations[i]);
	free(o->authorizations);
	free(o->finalize);
	free(o->certificate);
	free_problem(o->error);
	*o = (struct ca_order){0};
}

/* --- authorization, challenge --- */

static bool is_token(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n <= OBJECT_TOKEN_MAX &&
	       s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")] ==
		       '\0';
}

/* CF_ENOTFOUND: of a type or with a token that we cannot answer. */
static int read_challenge(const json_t *json, struct ca_challenge *out)
{
	const char *type = json_string_value(json_object_get(json, "type"));
	const char *token = json_string_value(json_object_get(json, "token"));
	const char *url = get_url(json, "url");
	int t = 0;

	while (type && t < ACME_CHALLENGE_TYPES &&
		strcmp(type, acme_challenge_name((enum acme_challenge_type)t)))
		t++;
	if (!type || t == ACME_CHALLENGE_TYPES || !token || !is_token(token) || !url)
		return CF_ENOTFOUND;
	*out = (struct ca_challenge){
		.type = (enum acme_challenge_type)t,
		.status = get_status(json),
		.url = mem_strdup(url),
		.token = mem_strdup(token),
		.error = get_problem(json, "error"),
	};
	return 0;
}

int ca_challenge_parse(const char *text, size_t n, struct ca_challenge *out, struct why *why)
{
	_json_release_ json_t *json = load(text, n, "challenge", why);

	if (!json)
		return load_error(n);
	if (read_challenge(json, out) < 0)
		return why_set(why, CF_EPROTO,
			"the CA's challenge has no type, URL or token that we know");
	return 0;
}

void ca_challenge_release(struct ca_challenge *c)
{
	free(c->url);
	free(c->token);
	free_problem(c->error);
	*c = (struct ca_challenge){0};
}

static int read_identifier(const json_t *json, struct ca_authz *a, struct why *why)
{
	const json_t *id = json_object_get(json, "identifier");
	const char *type = json_string_value(json_object_get(id, "type"));
	const char *value = json_string_value(json_object_get(id, "value"));

	if (!type || strcmp(type, "dns") || !value || !*value || strlen(value) >= sizeof(a->name))
		return why_set(
			why, CF_EPROTO, "the CA's authorization has no identifier of type dns");
	memcpy(a->name, value, strlen(value) + 1);
	str_lower(a->name);
	if (a->name[strspn(a->name, "abcdefghijklmnopqrstuvwxyz0123456789-._*")])
		return why_set(
			why, CF_EPROTO, "the CA's authorization is for something that is no name");
	a->wildcard = json_is_true(json_object_get(json, "wildcard"));
	if (str_starts_with(
		    a->name, "*.")) { /* seen in the wild, though section 7.1.4 forbids it */
		memmove(a->name, a->name + 2, strlen(a->name + 2) + 1);
		a->wildcard = true;
	}
	return 0;
}

static void read_challenges(const json_t *json, struct ca_authz *a)
{
	const json_t *c;
	size_t i;

	json_array_foreach(json_object_get(json, "challenges"), i, c)
	{
		if (a->n_challenges < OBJECT_CHALLENGES_MAX &&
			read_challenge(c, &a->challenges[a->n_challenges]) == 0)
			a->n_challenges++;
		if (!a->error)
			a->error = get_problem(c, "error");
		if (i > 100)
			break;
	}
}

int ca_authz_parse(const char *text, size_t n, struct ca_authz *out, struct why *why)
{
	_json_release_ json_t *json = load(text, n, "authorization", why);
	struct ca_authz a = {0};
	int err;

	if (!json)
		return load_error(n);
	a.status = get_status(json);
	if (a.status == CA_UNKNOWN)
		return why_set(why, CF_EPROTO, "the CA's authorization has no known status");
	if ((err = read_identifier(json, &a, why)) < 0)
		return err;
	a.expires_wall_ms = get_time(json, "expires");
	read_challenges(json, &a);
	*out = a;
	return 0;
}

void ca_authz_release(struct ca_authz *a)
{
	for (size_t i = 0; i < a->n_challenges; i++)
		ca_challenge_release(&a->challenges[i]);
	free_problem(a->error);
	*a = (struct ca_authz){0};
}

/* --- renewal information --- */

int ca_renewal_parse(const char *text, size_t n, struct acme_renewal *out, struct why *why)
{
	_json_release_ json_t *json = load(text, n, "renewal information", why);
	const json_t *window = json_object_get(json, "suggestedWindow");
	const char *page = get_url(json, "explanationURL");
	int64_t start = get_time(window, "start"), end = get_time(window, "end");

	if (!json)
		return load_error(n);
	if (!start || !end)
		return why_set(
			why, CF_EPROTO, "the CA's renewal information has no suggestedWindow");
	if (end <= start)
		return why_set(why, CF_EPROTO, "the CA's suggestedWindow ends before it starts");
	*out = (struct acme_renewal){
		.start_wall_ms = start,
		.end_wall_ms = end,
		.explanation_url = mem_strdup_opt(page),
	};
	return 0;
}

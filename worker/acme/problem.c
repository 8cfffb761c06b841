#include "worker/acme/problem.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define URN "urn:ietf:params:acme:error:"

/* RFC 8555 section 6.7, RFC 9773 section 7.4, and what CAs were seen to say besides. A row says
 * what the type means in an object (a challenge, an order) or as an answer; request_rule() has the
 * few that differ. */
static const struct problem_rule rules[] = {
	{"accountDoesNotExist", ACME_AT_ONCE, ACME_ACCOUNT},
	{"alreadyReplaced", ACME_AT_ONCE, ACME_ORDER},
	{"alreadyRevoked", ACME_AT_ONCE, ACME_ORDER},
	{"badCSR", ACME_OTHER_AUTHORITY, ACME_ORDER},
	{"badNonce", ACME_AT_ONCE, ACME_ORDER},
	{"badPublicKey", ACME_OTHER_AUTHORITY, ACME_ORDER},
	{"badRevocationReason", ACME_OPERATOR, ACME_ORDER},
	{"badSignatureAlgorithm", ACME_OPERATOR, ACME_ACCOUNT},
	{"caa", ACME_OWNER, ACME_IDENTIFIER},
	{"conflict", ACME_AT_ONCE, ACME_ORDER},
	{"connection", ACME_OWNER, ACME_IDENTIFIER},
	{"dns", ACME_OWNER, ACME_IDENTIFIER},
	{"externalAccountRequired", ACME_OPERATOR, ACME_ACCOUNT},
	{"incorrectResponse", ACME_OWNER, ACME_IDENTIFIER},
	{"invalidContact", ACME_OPERATOR, ACME_ACCOUNT},
	{"invalidProfile", ACME_OPERATOR, ACME_ORDER},
	{"malformed", ACME_OTHER_AUTHORITY, ACME_ORDER},
	{"orderNotReady", ACME_BACKOFF, ACME_ORDER},
	{"rateLimited", ACME_WAIT_UNTIL, ACME_ACCOUNT},
	{"rejectedIdentifier", ACME_OTHER_AUTHORITY, ACME_IDENTIFIER},
	{"serverInternal", ACME_BACKOFF, ACME_AUTHORITY},
	{"tls", ACME_OWNER, ACME_IDENTIFIER},
	{"unauthorized", ACME_OWNER, ACME_IDENTIFIER},
	{"unknownHost", ACME_OWNER, ACME_IDENTIFIER},
	{"unsupportedContact", ACME_OPERATOR, ACME_ACCOUNT},
	{"unsupportedIdentifier", ACME_OTHER_AUTHORITY, ACME_IDENTIFIER},
	{"userActionRequired", ACME_OPERATOR, ACME_ACCOUNT},
};

/* An unknown type in an object: the challenge failed for a reason that we cannot read. */
static const struct problem_rule unknown_in_object = {"other", ACME_OWNER, ACME_IDENTIFIER};
static const struct problem_rule unknown_busy = {"rateLimited", ACME_WAIT_UNTIL, ACME_ACCOUNT};
static const struct problem_rule unknown_server = {"serverInternal", ACME_BACKOFF, ACME_AUTHORITY};
static const struct problem_rule unknown_refusal = {"other", ACME_OTHER_AUTHORITY, ACME_ORDER};
/* As an answer, `unauthorized` is about the account (deactivated, or not the owner of the object).
 */
static const struct problem_rule unauthorized_request = {
	"unauthorized", ACME_OPERATOR, ACME_ACCOUNT};

const char *acme_class_name(enum acme_class class)
{
	static const char *const names[] = {"at_once", "backoff", "wait_until", "other_challenge",
		"other_authority", "owner", "operator", "canceled"};

	return (size_t) class < ARRAY_LEN(names) ? names[class] : "unknown";
}

void problem_release(struct problem *p)
{
	free(p->subs);
	*p = (struct problem){0};
}

static void read_text(const json_t *json, const char *member, char *out, size_t size)
{
	const json_t *s = json_object_get(json, member);

	out[0] = '\0';
	if (json_is_string(s))
		str_clean(json_string_value(s), json_string_length(s), out, size);
}

static bool is_word(const char *s)
{
	return *s &&
	       s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")] ==
		       '\0';
}

/* The urn's last part; boulder's old "urn:acme:error:" has the same shape. */
static void read_type(const json_t *json, char *out, size_t size)
{
	char text[160];
	const char *word;

	read_text(json, "type", text, sizeof(text));
	word = strrchr(text, ':');
	word = word ? word + 1 : text;
	if (!text[0] || !strcmp(text, "about:blank"))
		out[0] = '\0';
	else if (str_starts_with(text, "urn:") && is_word(word) && strlen(word) < size)
		memcpy(out, word, strlen(word) + 1);
	else
		snprintf(out, size, "other");
}

static void read_instance(const json_t *json, char out[256])
{
	read_text(json, "instance", out, 256);
	if (!str_starts_with(out, "https://"))
		out[0] = '\0';
}

static void read_subs(const json_t *json, struct problem *out)
{
	const json_t *subs = json_object_get(json, "subproblems");
	size_t n = json_is_array(subs) ? json_array_size(subs) : 0;

	if (n > PROBLEM_SUBS_MAX)
		n = PROBLEM_SUBS_MAX;
	if (!n)
		return;
	out->subs = mem_array(n, sizeof(*out->subs));
	for (size_t i = 0; i < n; i++) {
		const json_t *j = json_array_get(subs, i);
		struct problem_sub *s = &out->subs[out->n_subs];

		if (!json_is_object(j))
			continue;
		read_type(j, s->type, sizeof(s->type));
		read_text(j, "detail", s->detail, sizeof(s->detail));
		read_text(json_object_get(j, "identifier"), "value", s->name, sizeof(s->name));
		str_lower(s->name);
		out->n_subs++;
	}
}

int problem_from_json(const json_t *json, struct problem *out)
{
	const json_t *status;

	if (!json_is_object(json))
		return CF_EPROTO;
	*out = (struct problem){0};
	read_type(json, out->type, sizeof(out->type));
	read_text(json, "detail", out->detail, sizeof(out->detail));
	read_instance(json, out->instance);
	status = json_object_get(json, "status");
	if (json_is_integer(status) && json_integer_value(status) >= 100 &&
		json_integer_value(status) <= 599)
		out->status = (int)json_integer_value(status);
	read_subs(json, out);
	return 0;
}

int problem_parse(const char *body, size_t n, struct problem *out)
{
	json_t *json;
	int err;

	if (n > PROBLEM_BYTES_MAX)
		return CF_EPROTO;
	json = json_loadb(body, n, 0, NULL);
	err = problem_from_json(json, out);
	json_decref(json);
	return err;
}

static const struct problem_rule *find_rule(const char *type)
{
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (!strcmp(rules[i].type, type))
			return &rules[i];
	return NULL;
}

const struct problem_rule *problem_rule(const char *type, int status)
{
	const struct problem_rule *rule = find_rule(type);

	if (rule)
		return status && rule->class == ACME_OWNER && !strcmp(type, "unauthorized")
			       ? &unauthorized_request
			       : rule;
	if (status == 0)
		return &unknown_in_object;
	if (status == 429)
		return &unknown_busy;
	return status >= 500 || status < 400 ? &unknown_server : &unknown_refusal;
}

static void copy_text(char *out, size_t size, const char *text)
{
	str_clean(text, strlen(text), out, size);
}

/* The names that subproblems are about; one name alone is the one that failed. */
static void read_rejected(const struct problem *p, struct acme_failure *out)
{
	for (size_t i = 0; i < p->n_subs; i++) {
		if (!p->subs[i].name[0])
			continue;
		if (!out->rejected)
			out->rejected = mem_array(p->n_subs, sizeof(*out->rejected));
		memcpy(out->rejected[out->n_rejected++], p->subs[i].name, sizeof(p->subs[i].name));
	}
	if (out->n_rejected == 1)
		memcpy(out->failed_name, out->rejected[0], sizeof(out->failed_name));
}

/* Let's Encrypt's paused names: rate limited for ever until a person opens the page in the text. */
static bool is_paused(const struct problem *p)
{
	return p &&
	       (strstr(p->detail, "temporarily prevented") || strstr(p->detail, "/sfe/v1/unpause"));
}

static void take_url(const char *text, char out[256])
{
	const char *url = strstr(text, "https://");
	size_t n = url ? strcspn(url, " \"'<>)") : 0;

	if (n && n < 256 && !out[0]) {
		memcpy(out, url, n);
		out[n] = '\0';
	}
}

static void adjust_rate_limit(
	const struct problem *p, int64_t retry_after_ms, struct acme_failure *out)
{
	if (retry_after_ms)
		return;
	out->class = is_paused(p) ? ACME_OPERATOR : ACME_BACKOFF;
	if (out->class == ACME_OPERATOR)
		take_url(p->detail, out->instance);
}

void problem_to_failure(
	const struct problem *p, int status, int64_t retry_after_ms, struct acme_failure *out)
{
	const char *type = p ? p->type : "";
	const struct problem_rule *rule;

	*out = (struct acme_failure){.status = status};
	/* `compound` says nothing by itself: its first part does. */
	if (p && p->n_subs && (!strcmp(type, "compound") || !type[0]))
		type = p->subs[0].type;
	/* Whatever a broken server says about us, it is broken. */
	rule = status >= 500 && find_rule(type) && find_rule(type)->class != ACME_WAIT_UNTIL
		       ? &unknown_server
		       : problem_rule(type, status);
	out->class = rule->class;
	out->scope = rule->scope;
	copy_text(
		out->code, sizeof(out->code), type[0] && strcmp(type, "other") ? type : rule->type);
	out->retry_after_ms = retry_after_ms;
	if (p) {
		memcpy(out->detail, p->detail, sizeof(out->detail));
		if (!out->detail[0] && p->n_subs)
			copy_text(out->detail, sizeof(out->detail), p->subs[0].detail);
		memcpy(out->instance, p->instance, sizeof(out->instance));
		if (!status)
			out->status = p->status;
		read_rejected(p, out);
	}
	if (!out->detail[0])
		snprintf(out->detail, sizeof(out->detail),
			status ? "the CA answered %d and gave no reason" : "the CA gave no reason",
			status);
	if (!strcmp(out->code, "rateLimited"))
		adjust_rate_limit(p, retry_after_ms, out);
}

void failure_set(struct acme_failure *f, enum acme_class class, enum acme_scope scope,
	const char *code, const char *format, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	failure_release(f);
	*f = (struct acme_failure){.class = class, .scope = scope};
	copy_text(f->code, sizeof(f->code), code);
	copy_text(f->detail, sizeof(f->detail), text);
}

void failure_copy(struct acme_failure *out, const struct acme_failure *f)
{
	failure_release(out);
	*out = *f;
	out->rejected =
		f->n_rejected ? mem_dup(f->rejected, f->n_rejected * sizeof(*f->rejected)) : NULL;
}

void failure_release(struct acme_failure *f)
{
	free(f->rejected);
	*f = (struct acme_failure){0};
}

#include "worker/jobs/challenge.h"

#include "common/label.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/dns/exchange.h"
#include "worker/jobs/again.h"
#include "worker/net/http.h"
#include "worker/nodes.h"
#include "worker/worker.h"

#include <stdio.h>
#include <string.h>

#define CHALLENGE_TTL_S       "7200"
#define ASK_TIMEOUT_MS        2000
#define KEY_AUTHORIZATION_MAX 1024

/* --- written */

/* A challenge as it stands in Redis: a string, or a field of a hash. */
struct entry {
	struct worker *w;
	char *key, *value;
	const char *name; /* in key */
	bool txt, put;
	struct again *again;
};

static void entry_free(void *arg)
{
	struct entry *e = arg;

	free(e->key);
	free(e->value);
	free(e);
}

static struct entry *entry_new(
	struct worker *w, const char *tenant, const struct acme_challenge *c, bool put)
{
	struct entry *e = mem_zalloc(sizeof(*e));
	char label[LABEL_SIZE];

	e->w = w;
	e->put = put;
	e->txt = c->type == ACME_DNS_01;
	e->value = mem_strdup(e->txt ? c->txt : c->key_authorization);
	if (e->txt)
		label_make(w->label_key, tenant, c->name, label);
	e->key = mem_printf("%s%s:%s", redis_prefix(w->redis), e->txt ? "txt" : "http",
		e->txt ? label : c->token);
	e->name = e->key + strlen(redis_prefix(w->redis)) + strlen(e->txt ? "txt:" : "http:");
	return e;
}

static void on_written(void *arg, int err, const struct reply *reply)
{
	struct entry *e = arg;

	(void)reply;
	again_answer(e->again, err);
}

static void write_entry(struct again *again, void *arg)
{
	struct entry *e = arg;
	struct redis *r = e->w->redis;
	const char *put[] = {e->txt ? "txt" : "http", e->name, e->value, CHALLENGE_TTL_S};

	e->again = again;
	if (e->put)
		redis_script(r, "publish", ARRAY_LEN(put), put, NULL, on_written, e);
	else if (e->txt)
		redis_commandv(r, on_written, e, "HDEL", e->key, e->value, NULL);
	else
		redis_commandv(r, on_written, e, "DEL", e->key, NULL);
}

void challenge_publish(struct worker *w, const char *tenant, const struct acme_challenge *c,
	acme_done_fn *done, void *done_arg)
{
	again_start(w, write_entry, entry_free, entry_new(w, tenant, c, true), done, done_arg);
}

void challenge_unpublish(struct worker *w, const char *tenant, const struct acme_challenge *c,
	acme_done_fn *done, void *done_arg)
{
	again_start(w, write_entry, entry_free, entry_new(w, tenant, c, false), done, done_arg);
}

/* --- visible */

struct asking {
	acme_done_fn *done;
	void *done_arg;
	char *expected;
	unsigned left;
	bool wrong;
};

static void asked(struct asking *a, bool right)
{
	a->wrong = a->wrong || !right;
	if (--a->left)
		return;
	a->done(a->done_arg, a->wrong ? CF_EAGAIN : 0);
	free(a->expected);
	free(a);
}

static void on_txt(void *arg, const struct dns_result *r)
{
	struct asking *a = arg;
	size_t n = strlen(a->expected);
	bool right = false;

	for (size_t i = 0; r->status == DNS_ANSWERED && i < r->n_records; i++)
		right = right || (r->records[i].txt.len == n &&
					 !memcmp(r->records[i].txt.bytes, a->expected, n));
	asked(a, right);
}

static void on_http(void *arg, const struct http_answer *answer)
{
	struct asking *a = arg;

	asked(a, !answer->err && answer->status == 200 && !strcmp(answer->body, a->expected));
}

static void ask_http(
	struct worker *w, const struct acme_challenge *c, const struct addr *node, struct asking *a)
{
	char address[ADDR_TEXT_SIZE];
	_mem_free_ char *host = mem_printf("Host: %s", c->name);
	const char *headers[] = {host};
	_mem_free_ char *url = mem_printf(
		"http://%s/.well-known/acme-challenge/%s", addr_format(node, address), c->token);
	const struct http_call call = {.url = url,
		.headers = headers,
		.n_headers = 1,
		.timeout_ms = ASK_TIMEOUT_MS,
		.max_bytes = KEY_AUTHORIZATION_MAX};

	http_send(w->node_client, &call, on_http, a);
}

static void ask_dns(struct worker *w, const char *tenant, const struct acme_challenge *c,
	const struct addr *node, struct asking *a)
{
	char label[LABEL_SIZE], name[NAME_SIZE];

	label_make(w->label_key, tenant, c->name, label);
	snprintf(name, sizeof name, "%s.%s", label, w->diagnose_policy.zones[0]);
	dns_ask_txt(w->exchanger, node, name, ASK_TIMEOUT_MS, on_txt, a);
}

void challenge_visible(struct worker *w, const char *tenant, const struct acme_challenge *c,
	acme_done_fn *done, void *done_arg)
{
	size_t n;
	bool dns = c->type == ACME_DNS_01;
	const struct addr *nodes = nodes_of(w->nodes, dns ? NODE_DNS01 : NODE_HTTP01, &n);
	struct asking *a;

	if (!n) {
		LOG(WARN, "no_responder", LF("challenge", acme_challenge_name(c->type)),
			LF("name", c->name),
			LF("why",
				"no living worker has this role; the CA is told once one answers"));
		done(done_arg, CF_EAGAIN);
		return;
	}
	a = mem_zalloc(sizeof *a);
	*a = (struct asking){.done = done, .done_arg = done_arg, .left = (unsigned)n};
	a->expected = mem_strdup(dns ? c->txt : c->key_authorization);
	for (size_t i = 0; i < n; i++) {
		if (dns)
			ask_dns(w, tenant, c, &nodes[i], a);
		else
			ask_http(w, c, &nodes[i], a);
	}
}

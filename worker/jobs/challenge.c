#include "worker/jobs/challenge.h"

#include "common/label.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/dns/exchange.h"
#include "worker/net/http.h"
#include "worker/nodes.h"
#include "worker/worker.h"

#include <stdio.h>
#include <string.h>

#define CHALLENGE_TTL_S       "7200"
#define ASK_TIMEOUT_MS        2000
#define KEY_AUTHORIZATION_MAX 1024

/* --- keys */

static char *key_of(struct worker *w, const char *tenant, const struct acme_challenge *c)
{
	char label[LABEL_SIZE];

	if (c->type != ACME_DNS_01)
		return mem_printf("%shttp:%s", redis_prefix(w->redis), c->token);
	label_make(w->label_key, tenant, c->name, label);
	return mem_printf("%stxt:%s", redis_prefix(w->redis), label);
}

/* One or two commands, and their last answer. */
struct writing {
	acme_done_fn *done;
	void *done_arg;
	unsigned left;
	int err;
};

static struct writing *writing_new(acme_done_fn *done, void *done_arg, unsigned left)
{
	struct writing *w = mem_zalloc(sizeof *w);

	*w = (struct writing){.done = done, .done_arg = done_arg, .left = left};
	return w;
}

static void on_written(void *arg, int err, const struct reply *reply)
{
	struct writing *w = arg;

	(void)reply;
	if (err)
		w->err = err;
	if (--w->left)
		return;
	w->done(w->done_arg, w->err);
	free(w);
}

void challenge_publish(struct worker *w, const char *tenant, const struct acme_challenge *c,
	acme_done_fn *done, void *done_arg)
{
	_mem_free_ char *key = key_of(w, tenant, c);

	if (c->type == ACME_HTTP_01) {
		redis_commandv(w->redis, on_written, writing_new(done, done_arg, 1), "SET", key,
			c->key_authorization, "EX", CHALLENGE_TTL_S, NULL);
	} else {
		struct writing *both = writing_new(done, done_arg, 2);

		redis_commandv(w->redis, on_written, both, "HSET", key, c->txt, "1", NULL);
		redis_commandv(w->redis, on_written, both, "EXPIRE", key, CHALLENGE_TTL_S, NULL);
	}
}

void challenge_unpublish(struct worker *w, const char *tenant, const struct acme_challenge *c,
	acme_done_fn *done, void *done_arg)
{
	_mem_free_ char *key = key_of(w, tenant, c);
	struct writing *one = writing_new(done, done_arg, 1);

	if (c->type == ACME_HTTP_01)
		redis_commandv(w->redis, on_written, one, "DEL", key, NULL);
	else
		redis_commandv(w->redis, on_written, one, "HDEL", key, c->txt, NULL);
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
	snprintf(name, sizeof name, "%s.%s", label, w->look_policy.zones[0]);
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

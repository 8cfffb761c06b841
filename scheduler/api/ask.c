/* A change on its way: written to the requests stream, answered by whoever leads.
 *
 *	XADD requests ──► GET req:SOURCE:ID each 50 ms ──► done: 200, 201; refused: 404, 409, 422
 *	                                                   nothing within 10 s: 202, it is queued
 *
 * With an Idempotency-Key the request's source is the token's name and its id the key: whatever is
 * sent again with it, by whatever scheduler, is applied once and answered alike for 24 hours.
 */
#include "common/clock.h"
#include "common/event.h"
#include "common/mem.h"
#include "common/str.h"
#include "scheduler/api/v1_internal.h"
#include "scheduler/cli/facts.h"
#include "scheduler/request.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WAIT_MS 10000
#define LOOK_MS 50

struct answer {
	bool done;
	char endpoint[ENDPOINT_ID_MAX + 1], code[ENDPOINT_CODE_MAX + 1], text[513];
	int64_t generation;
};

static int read_answer(const void *bytes, size_t n, struct answer *out)
{
	struct mp_doc doc;
	struct mp root;
	char status[16] = "";
	_mem_free_ char *text = NULL;

	*out = (struct answer){0};
	if (mp_open(&doc, bytes, n, &root, NULL))
		return CF_EPROTO;
	mp_get_text(&root, "status", status, sizeof status);
	mp_opt_text(&root, "endpoint", out->endpoint, sizeof out->endpoint);
	mp_opt_text(&root, "code", out->code, sizeof out->code);
	mp_opt_str(&root, "text", &text);
	mp_opt_int(&root, "generation", &out->generation);
	if (mp_err(&doc))
		return CF_EPROTO;
	if (text)
		str_clean(text, strlen(text), out->text, sizeof out->text);
	out->done = strcmp(status, "done") == 0;
	return 0;
}

static unsigned refusal_status(const char *code)
{
	static const struct {
		const char *code;
		unsigned status;
	} rows[] = {{"not_found", 404}, {"exists", 409}, {"held", 409}, {"removing", 409},
		{"no_certificate", 409}, {"stale", 412}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].code, code) == 0)
			return rows[i].status;
	return 422;
}

static void tell(struct v1_call *c, const struct answer *a)
{
	_mem_free_ char *location = mem_printf("/v1/endpoints/%s", a->endpoint);
	const char *const headers[] = {"Location", location, NULL};
	bool added = c->route->fn == v1_add;
	json_t *j;

	if (!a->done) {
		v1_problem(c, refusal_status(a->code), a->code[0] ? a->code : "refused", a->text);
		return;
	}
	j = json_pack("{s:s s:o s:I}", "status", "done", "endpoint", json_text(a->endpoint),
		"generation", (json_int_t)a->generation);
	v1_json_headers(c, added ? 201 : 200, j, added ? headers : NULL);
}

static void looked(void *arg, int err, const struct reply *reply)
{
	struct v1_call *c = arg;
	struct answer a;
	const char *bytes;
	size_t n;

	c->left = 0;
	c->asking = false;
	if (err == CF_ECANCELED || c->v1->closed) {
		v1_redis_problem(c, err);
		return;
	}
	bytes = err ? NULL : reply_str(reply, &n);
	if (bytes && !read_answer(bytes, n, &a))
		tell(c, &a);
	else if (bytes)
		v1_problem(c, 500, "unreadable", "the leader's answer cannot be read");
	else if (clock_mono_ms() >= c->deadline_ms)
		v1_json(c, 202,
			json_pack("{s:s s:s}", "status", "queued", "detail",
				"no scheduler answered yet; it will be applied once one leads"));
}

void v1_ask_tick(struct v1 *v, int64_t now_ms)
{
	for (struct v1_call *c = v->calls; c; c = c->next) {
		if (!c->wait_key || c->asking || now_ms - c->asked_ms < LOOK_MS)
			continue;
		c->asking = true;
		c->left = 1;
		c->asked_ms = now_ms;
		redis_commandv(v->o.redis, looked, c, "GET", c->wait_key, NULL);
	}
}

static void sent(void *arg, int err, const struct reply *reply)
{
	struct v1_call *c = arg;

	(void)reply;
	c->left = 0;
	if (err || c->v1->closed) {
		v1_redis_problem(c, err);
		return;
	}
	c->asking = false;
}

/* Who asks and as what: repeatable if the caller says so. */
static void name_request(struct v1_call *c, struct request *r)
{
	const char *key = httpd_header(c->http, "Idempotency-Key");

	*r = (struct request){0};
	if (!key) {
		snprintf(r->source, sizeof r->source, "api/%.100s", c->v1->o.name);
		snprintf(r->id, sizeof r->id, "%" PRIu64, ++c->v1->asked);
		return;
	}
	snprintf(r->source, sizeof r->source, "api/token/%s", c->who.name);
	snprintf(r->id, sizeof r->id, "%s", key);
}

static char *answer_key(const struct v1_call *c, const struct request *r)
{
	char name[REQUEST_ANSWER_NAME_SIZE];

	return mem_printf("%s%s", redis_prefix(c->v1->o.redis), request_answer_name(r, name));
}

static void looked_again(void *arg, int err, const struct reply *reply)
{
	struct v1_call *c = arg;
	struct answer a;
	size_t n = 0;
	const char *bytes = err ? NULL : reply_str(reply, &n);

	c->left = 0;
	if (err || c->v1->closed)
		v1_redis_problem(c, err);
	else if (bytes && !read_answer(bytes, n, &a))
		tell(c, &a);
	else
		c->route->fn(c);
}

void v1_again(struct v1_call *c)
{
	_mem_free_ char *key = NULL;
	struct request r;

	name_request(c, &r);
	key = answer_key(c, &r);
	c->left = 1;
	redis_commandv(c->v1->o.redis, looked_again, c, "GET", key, NULL);
}

void v1_ask(struct v1_call *c, const char *type, const char *subject, const struct buf *data)
{
	_mem_free_ char *key = mem_printf("%srequests", redis_prefix(c->v1->o.redis));
	char time[CLOCK_RFC3339_LEN];
	const char *argv[] = {"XADD", key, "*", "id", NULL, "type", type, "source", NULL, "subject",
		subject, "time", clock_rfc3339(clock_wall_ms(), time), "specversion", "1.0",
		"datacontenttype", "application/msgpack", "data", data->data};
	size_t lens[ARRAY_LEN(argv)];
	struct request r;

	name_request(c, &r);
	argv[4] = r.id;
	argv[8] = r.source;
	for (size_t i = 0; i + 1 < ARRAY_LEN(argv); i++)
		lens[i] = strlen(argv[i]);
	lens[ARRAY_LEN(argv) - 1] = data->len;
	c->wait_key = answer_key(c, &r);
	c->deadline_ms = clock_mono_ms() + WAIT_MS;
	c->asking = true;
	c->left = 1;
	redis_command(c->v1->o.redis, ARRAY_LEN(argv), argv, lens, sent, c);
}

/* request.c - see request.h. */
#include "scheduler/cli/request.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/mp.h"
#include "common/str.h"
#include "scheduler/cli/facts.h"
#include "scheduler/cli/fetch.h"

#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define WINDOW        512 /* unanswered at once */
#define POLL_LEAST_MS 20
#define POLL_MOST_MS  200

static void name_source(struct cli *cli)
{
	char host[64] = "localhost";
	uint8_t random[6] = {0};
	char hex[2 * sizeof random + 1];

	if (cli->source[0] != '\0')
		return;
	(void)gethostname(host, sizeof host - 1);
	if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
		abort();
	str_hex(random, sizeof random, hex);
	snprintf(cli->source, sizeof cli->source, "cli/%s/%ld-%s", host, (long)getpid(), hex);
}

int request_answer_decode(const void *bytes, size_t n, struct answer *out, struct why *why)
{
	struct mp_doc doc;
	struct mp root;
	struct answer a = {0};
	char status[16] = "";
	int64_t generation = 0;
	_mem_free_ char *text = NULL;

	if (mp_open(&doc, bytes, n, &root, why) != 0)
		return mp_err(&doc);
	mp_get_text(&root, "status", status, sizeof status);
	mp_opt_text(&root, "endpoint", a.endpoint, sizeof a.endpoint);
	mp_opt_text(&root, "code", a.code, sizeof a.code);
	mp_opt_str(&root, "text", &text);
	mp_opt_int(&root, "generation", &generation);
	if (mp_err(&doc) != 0)
		return mp_err(&doc);
	if (text != NULL)
		str_clean(text, strlen(text), a.text, sizeof a.text);
	a.done = strcmp(status, "done") == 0;
	a.generation = (uint64_t)generation;
	*out = a;
	return 0;
}

/* One request on the wire */

static void send_add(struct cli *cli, struct request *r)
{
	_buf_release_ struct buf key = BUF_INIT(512);
	char time[CLOCK_RFC3339_LEN];

	if (r->id[0] == '\0')
		snprintf(r->id, sizeof r->id, "%llu", (unsigned long long)++cli->requests);
	fetch_key(cli, &key, "requests", "");
	clock_rfc3339(clock_wall_ms(), time);
	const char *argv[] = {"XADD", buf_cstr(&key), "*", "id", r->id, "type", r->type, "source",
		cli->source, "subject", r->subject, "time", time, "specversion", "1.0",
		"datacontenttype", "application/msgpack", "data", r->data};
	size_t lens[ARRAY_LEN(argv)];
	for (size_t i = 0; i + 1 < ARRAY_LEN(argv); i++)
		lens[i] = strlen(argv[i]);
	lens[ARRAY_LEN(argv) - 1] = r->len;
	redis_sync_send(cli->redis, ARRAY_LEN(argv), argv, lens);
	r->sent = true;
}

static void send_look(struct cli *cli, const struct request *r)
{
	_buf_release_ struct buf key = BUF_INIT(512);

	fetch_key(cli, &key, "req:", cli->source);
	buf_addf(&key, ":%s", r->id);
	const char *argv[] = {"GET", buf_cstr(&key)};
	redis_sync_send(cli->redis, ARRAY_LEN(argv), argv, NULL);
}

/* The window: requests[first .. next) are sent, and those of them that are not answered are asked
 * for. */

struct window {
	struct cli *cli;
	struct request *requests;
	size_t n, first, next, answered;
};

/** Sends as many as the window has room for. */
static int fill(struct window *w, struct why *why)
{
	size_t begin = w->next;
	int bad = 0;

	for (; w->next < w->n && w->next - w->first < WINDOW; w->next++)
		if (!w->requests[w->next].answered)
			send_add(w->cli, &w->requests[w->next]);
	for (size_t i = begin; i < w->next; i++) {
		const struct reply *reply;
		struct why one = {0};
		if (w->requests[i].answered)
			continue;
		int err = redis_sync_receive(w->cli->redis, &reply, &one);
		if (err != 0 && bad == 0) {
			bad = err;
			*why = one;
		}
		if (cli_lost(err))
			break;
	}
	return bad;
}

static int take_answer(struct window *w, struct request *r, struct why *why)
{
	const struct reply *reply;
	size_t len;
	int err = redis_sync_receive(w->cli->redis, &reply, why);

	if (err != 0 || reply_type(reply) == REPLY_NIL)
		return err;
	const char *bytes = reply_str(reply, &len);
	if (bytes == NULL)
		return why_set(why, CF_EPROTO, "the scheduler's answer is of an unknown kind");
	err = request_answer_decode(bytes, len, &r->answer, why);
	if (err == 0) {
		r->answered = true;
		w->answered++;
	}
	return err;
}

/** Asks once for each answer that is missing. */
static int look(struct window *w, struct why *why)
{
	int bad = 0;

	for (size_t i = w->first; i < w->next; i++)
		if (!w->requests[i].answered)
			send_look(w->cli, &w->requests[i]);
	for (size_t i = w->first; i < w->next; i++) {
		if (w->requests[i].answered)
			continue;
		int err = take_answer(w, &w->requests[i], why);
		if (err != 0 && bad == 0)
			bad = err;
		if (cli_lost(err))
			break;
	}
	while (w->first < w->next && w->requests[w->first].answered)
		w->first++;
	return bad;
}

/** After a broken connection nobody knows what arrived: what has no answer is sent again, and
 * applied once. */
static int reopen(struct window *w, int64_t deadline, struct why *why)
{
	int err;

	w->next = w->first;
	do {
		cli_sleep_ms(POLL_MOST_MS);
		err = cli_connect(w->cli, why);
	} while (cli_lost(err) && clock_mono_ms() < deadline && !cli_stopping());
	return cli_lost(err) ? CF_ECONN : err;
}

int request_run(struct cli *cli, struct request *requests, size_t n, int64_t timeout_ms,
	request_progress_fn *progress, void *arg, struct why *why)
{
	struct window w = {.cli = cli, .requests = requests, .n = n};
	int64_t deadline = clock_mono_ms() + timeout_ms;
	int64_t pause = POLL_LEAST_MS;

	name_source(cli);
	while (w.answered < n) {
		size_t before = w.answered;
		int err = fill(&w, why);
		if (err == 0)
			err = look(&w, why);
		if (cli_lost(err))
			err = reopen(&w, deadline, why);
		if (err != 0)
			return err;
		if (progress != NULL)
			progress(arg, w.answered, n);
		if (w.answered > before) {
			deadline = clock_mono_ms() + timeout_ms;
			pause = POLL_LEAST_MS;
		} else if (clock_mono_ms() >= deadline || cli_stopping()) {
			return CF_ETIMEDOUT;
		} else {
			cli_sleep_ms(pause);
			pause = pause * 3 / 2 < POLL_MOST_MS ? pause * 3 / 2 : POLL_MOST_MS;
		}
	}
	return 0;
}

/** A lease that has not run out, by Redis time. */
static bool anyone_leads(struct cli *cli)
{
	_buf_release_ struct buf key = BUF_INIT(512);
	const struct reply *reply;
	uint64_t now = 0;
	uint64_t until = 0;

	fetch_key(cli, &key, "leader", "");
	if (redis_sync_commandv(cli->redis, &reply, NULL, "TIME", NULL) != 0)
		return false;
	const char *seconds = reply_str(reply_at(reply, 0), NULL);
	if (seconds == NULL || str_parse_u64(seconds, INT64_MAX / 1000, &now) != 0 ||
		redis_sync_commandv(
			cli->redis, &reply, NULL, "HGET", buf_cstr(&key), "until", NULL) != 0)
		return false;
	const char *text = reply_str(reply, NULL);
	return text != NULL && str_parse_u64(text, INT64_MAX, &until) == 0 && until > now * 1000;
}

int request_fail_unanswered(struct cli *cli, size_t n, int64_t timeout_ms)
{
	char human[CLOCK_HUMAN_LEN];
	bool led = anyone_leads(cli);

	cli_fail(cli, "no scheduler answered within %s: %s", clock_human(timeout_ms, human),
		led ? "one leads, but does not get round to it" : "none leads the fleet");
	cli_hint(cli, "%s queued, and will be applied when a scheduler leads. Do not repeat %s.",
		n == 1 ? "The request stays" : "The requests stay", n == 1 ? "it" : "them");
	cli_hint(cli, led ? "\"certfleet status\" shows how far it is behind."
			  : "Start certfleet-scheduler; \"certfleet status\" shows who leads.");
	return CLI_NOT_YET;
}

int request_one(struct cli *cli, struct request *r, int64_t timeout_ms)
{
	struct why why = {0};
	int err = request_run(cli, r, 1, timeout_ms, NULL, NULL, &why);

	if (err == CF_ETIMEDOUT)
		return request_fail_unanswered(cli, 1, timeout_ms);
	if (err != 0)
		return cli_fail_redis(cli, err, &why);
	if (r->answer.done)
		return CLI_DONE;
	if (strcmp(r->answer.code, "not_found") == 0 && r->subject[0] != '\0')
		return fetch_fail_unknown(cli, r->subject);
	cli_fail(cli, "%s is refused: %s", r->type,
		r->answer.text[0] ? r->answer.text : r->answer.code);
	if (strcmp(r->answer.code, "exists") == 0)
		cli_hint(cli, "\"certfleet endpoint list NAME\" shows what has it.");
	return CLI_FAILED;
}

json_t *request_json(const struct request *r)
{
	const char *status = !r->answered ? "queued" : r->answer.done ? "done" : "refused";

	return json_pack("{s:s s:s s:s s:s s:o s:o s:o s:I}", "request", r->type, "status", status,
		"id", r->id, "subject", r->subject, "endpoint",
		r->answer.endpoint[0] ? json_text(r->answer.endpoint) : json_null(), "code",
		r->answer.code[0] ? json_text(r->answer.code) : json_null(), "text",
		json_text(r->answer.text), "generation", (json_int_t)r->answer.generation);
}

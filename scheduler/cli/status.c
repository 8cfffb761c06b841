/* status.c - certfleet status and certfleet workers: who does the work, and how far behind it is.
 */
#include "scheduler/cli/cli.h"

#include "common/breaker.h"
#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"
#include "scheduler/cli/facts.h"
#include "scheduler/cli/fetch.h"
#include "scheduler/cli/words.h"

#include <string.h>

#define COUNT_ALL_MAX 20000 /* endpoints that are counted without being asked to */
#define SILENT_MS     10000 /* a worker beats every few seconds */
#define WORKERS_MAX   "999"

/* Small reads */

static int number_of(
	struct cli *cli, const char *command, const char *name, int64_t *out, struct why *why)
{
	_buf_release_ struct buf key = BUF_INIT(512);
	const struct reply *reply;

	fetch_key(cli, &key, name, "");
	int err = redis_sync_commandv(cli->redis, &reply, why, command, buf_cstr(&key), NULL);
	if (err == 0)
		*out = reply_int(reply);
	return err;
}

static int64_t text_number(const struct reply *r)
{
	const char *text = reply_str(r, NULL);
	uint64_t n = 0;

	if (text != NULL)
		(void)str_parse_u64(text, INT64_MAX, &n);
	return (int64_t)n;
}

/* Workers */

struct worker {
	char name[80], version[48], host[64], roles[80], state[16], http01[200], dns01[200];
	int64_t beat_ms, started_ms;
	int64_t verify_running, verify_slots, issue_running, issue_slots;
};

static void worker_field(struct worker *w, const char *name, const struct reply *value)
{
	const struct {
		const char *name;
		char *text;
		size_t size;
		int64_t *number;
	} fields[] = {
		{"version", w->version, sizeof w->version, NULL},
		{"host", w->host, sizeof w->host, NULL},
		{"roles", w->roles, sizeof w->roles, NULL},
		{"state", w->state, sizeof w->state, NULL},
		{"http01", w->http01, sizeof w->http01, NULL},
		{"dns01", w->dns01, sizeof w->dns01, NULL},
		{"started", NULL, 0, &w->started_ms},
		{"verify_running", NULL, 0, &w->verify_running},
		{"verify_slots", NULL, 0, &w->verify_slots},
		{"issue_running", NULL, 0, &w->issue_running},
		{"issue_slots", NULL, 0, &w->issue_slots},
	};
	size_t n;
	const char *text = reply_str(value, &n);

	for (size_t i = 0; i < ARRAY_LEN(fields) && text != NULL; i++) {
		if (strcmp(fields[i].name, name) != 0)
			continue;
		if (fields[i].number != NULL)
			*fields[i].number = text_number(value);
		else
			str_clean(text, n, fields[i].text, fields[i].size);
	}
}

static int worker_read(struct cli *cli, struct worker *w, struct why *why)
{
	_buf_release_ struct buf key = BUF_INIT(512);
	const struct reply *reply;

	fetch_key(cli, &key, "w:", w->name);
	int err = redis_sync_commandv(cli->redis, &reply, why, "HGETALL", buf_cstr(&key), NULL);
	if (err != 0)
		return err;
	for (size_t i = 0; i + 1 < reply_len(reply); i += 2) {
		const char *name = reply_str(reply_at(reply, i), NULL);
		if (name != NULL)
			worker_field(w, name, reply_at(reply, i + 1));
	}
	return 0;
}

/** *out is owned (free()). */
static int workers_read(struct cli *cli, struct worker **out, size_t *n, struct why *why)
{
	_buf_release_ struct buf key = BUF_INIT(512);
	const struct reply *reply;

	fetch_key(cli, &key, "workers", "");
	int err = redis_sync_commandv(cli->redis, &reply, why, "ZREVRANGE", buf_cstr(&key), "0",
		WORKERS_MAX, "WITHSCORES", NULL);
	if (err != 0)
		return err;
	struct worker *w = mem_zalloc((reply_len(reply) / 2 + 1) * sizeof *w);
	*n = 0;
	for (size_t i = 0; i + 1 < reply_len(reply); i += 2) {
		size_t len;
		const char *name = reply_str(reply_at(reply, i), &len);
		if (name != NULL)
			str_clean(name, len, w[*n].name, sizeof w[*n].name);
		w[(*n)++].beat_ms = text_number(reply_at(reply, i + 1));
	}
	for (size_t i = 0; i < *n && err == 0; i++)
		err = worker_read(cli, &w[i], why);
	if (err != 0)
		free(w);
	else
		*out = w;
	return err;
}

static bool worker_alive(const struct cli *cli, const struct worker *w)
{
	return w->beat_ms > cli->view.now_ms - SILENT_MS;
}

static const char *worker_state(const struct cli *cli, const struct worker *w)
{
	if (!worker_alive(cli, w))
		return "silent";
	return strcmp(w->state, "draining") == 0 ? "draining" : "alive";
}

/** What it says of its roles, or what its slots and responders show. */
static void worker_roles(const struct worker *w, char *out, size_t size)
{
	if (w->roles[0] != '\0')
		snprintf(out, size, "%s", w->roles);
	else
		snprintf(out, size, "%s%s%s", w->issue_slots + w->verify_slots > 0 ? "jobs " : "",
			w->http01[0] != '\0' ? "http-01 " : "",
			w->dns01[0] != '\0' ? "dns-01" : "");
}

static const struct table_column WORKERS[] = {
	{"WORKER", false, true},
	{"STATE", false, false},
	{"BEAT", false, false},
	{"VERIFY", true, false},
	{"ISSUE", true, false},
	{"ROLES", false, true},
	{"RESPONDERS", false, true},
	{"UP", false, false},
	{"VERSION", false, true},
};

static void worker_row(struct cli *cli, const struct worker *w, struct table *t)
{
	_buf_release_ struct buf beat = BUF_INIT(64);
	char up[CLOCK_HUMAN_LEN] = "-";
	const char *state = worker_state(cli, w);
	char roles[96];

	worker_roles(w, roles, sizeof roles);
	term_when(&beat, &cli->view, w->beat_ms);
	if (w->started_ms > 0)
		clock_human((cli->view.now_ms - w->started_ms) / 1000 * 1000, up);
	table_cell(t, TINT_NONE, "%s", w->name);
	table_cell(t,
		state[0] == 'a'   ? TINT_GOOD
		: state[0] == 'd' ? TINT_WARN
				  : TINT_BAD,
		"%s", state);
	table_cell(t, TINT_NONE, "%s", buf_cstr(&beat));
	table_cell(t, TINT_NONE, "%lld/%lld", (long long)w->verify_running,
		(long long)w->verify_slots);
	table_cell(
		t, TINT_NONE, "%lld/%lld", (long long)w->issue_running, (long long)w->issue_slots);
	table_cell(t, TINT_NONE, "%s", roles);
	table_cell(t, TINT_NONE, "%s%s%s", w->http01, w->http01[0] && w->dns01[0] ? " " : "",
		w->dns01);
	table_cell(t, TINT_NONE, "%s", up);
	table_cell(t, TINT_DIM, "%s", w->version);
}

static json_t *worker_json(struct cli *cli, const struct worker *w)
{
	char roles[96];

	worker_roles(w, roles, sizeof roles);
	return json_pack("{s:o s:s s:b s:o s:o s:I s:I s:I s:I s:o s:o s:o s:o s:o}", "name",
		json_text(w->name), "state", worker_state(cli, w), "alive", worker_alive(cli, w),
		"beat", json_time(w->beat_ms), "started", json_time(w->started_ms),
		"verify_running", (json_int_t)w->verify_running, "verify_slots",
		(json_int_t)w->verify_slots, "issue_running", (json_int_t)w->issue_running,
		"issue_slots", (json_int_t)w->issue_slots, "roles", json_text(roles), "http01",
		json_text(w->http01), "dns01", json_text(w->dns01), "host", json_text(w->host),
		"version", json_text(w->version));
}

int cmd_workers(struct cli *cli, const struct cli_args *args)
{
	_buf_release_ struct buf text = BUF_INIT(CLI_TEXT_LIMIT);
	struct table t = TABLE_INIT(WORKERS, ARRAY_LEN(WORKERS), 0);
	struct worker *w = NULL;
	struct why why = {0};
	size_t n = 0;

	(void)args;
	int err = workers_read(cli, &w, &n, &why);
	if (err != 0)
		return cli_fail_redis(cli, err, &why);
	cli_now(cli);
	if (cli->json)
		cli_list_open(cli, "workers");
	for (size_t i = 0; i < n; i++) {
		if (cli->json)
			cli_list_item(cli, worker_json(cli, &w[i]));
		else
			worker_row(cli, &w[i], &t);
	}
	table_flush(&t, &cli->view, &text);
	table_release(&t);
	free(w);
	if (cli->json)
		cli_list_close(cli);
	else
		cli_emit(cli, &text);
	if (n == 0 && !cli->json)
		cli_note(cli,
			"No worker has ever run in this fleet. Start one: certfleet-worker -c %s",
			cli->config_path);
	return CLI_DONE;
}

/* Status */

struct status {
	char redis[64], memory[32];
	char leader[160];
	int64_t redis_ms, lease_until_ms, term;
	int64_t endpoints, alerts, requests, results, edges;
	int64_t running[2], parked[2];
	bool counted;
	size_t states[STATE_ACTIVE + 1];
	size_t due[2], late[2];
	int64_t oldest_ms[2];
	struct worker *workers;
	size_t workers_n, alive;
	struct breaker_row breakers[BREAKER_ROWS_MAX];
	size_t breakers_n;
};

static int count_one(void *arg, struct facts *f)
{
	struct status *s = arg;

	s->states[f->state]++;
	for (enum queue_id q = QUEUE_VERIFY; q <= QUEUE_ISSUE; q++) {
		const struct job_record *j = &f->endpoint.jobs[q];
		if (j->where != JOB_DUE)
			continue;
		s->due[q]++;
		if (j->due_ms > s->redis_ms)
			continue;
		s->late[q]++;
		if (s->oldest_ms[q] == 0 || j->due_ms < s->oldest_ms[q])
			s->oldest_ms[q] = j->due_ms;
	}
	return 0;
}

static int read_leader(struct cli *cli, struct status *s, struct why *why)
{
	_buf_release_ struct buf key = BUF_INIT(512);
	const struct reply *reply;
	size_t n;
	int err = redis_sync_commandv(cli->redis, &reply, why, "TIME", NULL);

	if (err != 0)
		return err;
	s->redis_ms =
		text_number(reply_at(reply, 0)) * 1000 + text_number(reply_at(reply, 1)) / 1000;
	fetch_key(cli, &key, "leader", "");
	err = redis_sync_commandv(
		cli->redis, &reply, why, "HMGET", buf_cstr(&key), "nonce", "until", "term", NULL);
	if (err != 0)
		return err;
	const char *nonce = reply_str(reply_at(reply, 0), &n);
	if (nonce != NULL)
		str_clean(nonce, n, s->leader, sizeof s->leader);
	s->lease_until_ms = text_number(reply_at(reply, 1));
	s->term = text_number(reply_at(reply, 2));
	if (s->lease_until_ms <= s->redis_ms)
		s->leader[0] = '\0';
	return 0;
}

static void info_value(const char *info, const char *name, char *out, size_t size)
{
	const char *at = strstr(info, name);

	if (at == NULL)
		return;
	at += strlen(name);
	str_clean(at, strcspn(at, "\r\n"), out, size);
}

static int read_info(struct cli *cli, struct status *s, struct why *why)
{
	const struct reply *reply;
	char version[32] = "";
	int err = redis_sync_commandv(cli->redis, &reply, why, "INFO", NULL);

	if (err == CF_EREDIS) { /* an ACL may forbid it: nothing depends on it */
		why->text[0] = '\0';
		return 0;
	}
	if (err != 0)
		return err;
	const char *info = reply_str(reply, NULL);
	if (info == NULL)
		return 0;
	bool valkey = strstr(info, "valkey_version:") != NULL;
	info_value(info, valkey ? "valkey_version:" : "redis_version:", version, sizeof version);
	info_value(info, "used_memory_human:", s->memory, sizeof s->memory);
	snprintf(s->redis, sizeof s->redis, "%s %s", valkey ? "Valkey" : "Redis", version);
	return 0;
}

static int read_numbers(struct cli *cli, struct status *s, struct why *why)
{
	const struct {
		const char *command, *key;
		int64_t *out;
	} rows[] = {
		{"ZCARD", "endpoints", &s->endpoints},
		{"ZCARD", "alerts:open", &s->alerts},
		{"XLEN", "requests", &s->requests},
		{"XLEN", "results", &s->results},
		{"XLEN", "edges", &s->edges},
		{"ZCARD", "run:verify", &s->running[QUEUE_VERIFY]},
		{"ZCARD", "run:issue", &s->running[QUEUE_ISSUE]},
		{"ZCARD", "parked:verify", &s->parked[QUEUE_VERIFY]},
		{"ZCARD", "parked:issue", &s->parked[QUEUE_ISSUE]},
	};
	int err = 0;

	for (size_t i = 0; i < ARRAY_LEN(rows) && err == 0; i++)
		err = number_of(cli, rows[i].command, rows[i].key, rows[i].out, why);
	return err;
}

/* Only while the config has a canary they stop anything. */
static int read_breakers(struct cli *cli, struct status *s, struct why *why)
{
	static const char *const argv[] = {"look"};
	const struct reply *reply;
	int err;

	if (!cli->config->breaker.canary)
		return 0;
	err = redis_sync_script(cli->redis, &reply, why, "breaker", 1, argv, NULL);
	if (!err)
		s->breakers_n = breaker_read(reply, s->breakers, BREAKER_ROWS_MAX, NULL);
	return err;
}

static int status_read(struct cli *cli, bool all, struct status *s, struct why *why)
{
	int err = read_info(cli, s, why);

	if (err == 0)
		err = read_leader(cli, s, why);
	if (err == 0)
		err = read_numbers(cli, s, why);
	if (err == 0)
		err = workers_read(cli, &s->workers, &s->workers_n, why);
	if (err == 0)
		err = read_breakers(cli, s, why);
	cli_now(cli);
	for (size_t i = 0; i < s->workers_n; i++)
		s->alive += worker_alive(cli, &s->workers[i]);
	if (err != 0 || (!all && s->endpoints > COUNT_ALL_MAX))
		return err;
	s->counted = true;
	cli_progress(cli, "counting %lld endpoints", (long long)s->endpoints);
	err = fetch_each(cli, "", FETCH_PLAIN, count_one, s, why);
	cli_progress_end(cli);
	return err;
}

static void put_states(struct cli *cli, const struct status *s, struct buf *out)
{
	bool first = true;

	term_count(out, (uint64_t)s->endpoints);
	if (!s->counted) {
		buf_adds(out, " (--all counts them by state)");
		return;
	}
	for (size_t i = STATE_ACTIVE + 1; i > 0; i--) {
		if (s->states[i - 1] == 0)
			continue;
		buf_adds(out, first ? ": " : ", ");
		term_count(out, s->states[i - 1]);
		buf_addc(out, ' ');
		term_tint(out, &cli->view, words_state_tint((enum endpoint_state)(i - 1)), "%s",
			endpoint_state_name((enum endpoint_state)(i - 1)));
		first = false;
	}
}

static void put_queues(struct cli *cli, const struct status *s, struct buf *out)
{
	static const struct table_column columns[] = {
		{"QUEUE", false, false},
		{"RUNNING", true, false},
		{"PARKED", true, false},
		{"DUE NOW", true, false},
		{"OLDEST", true, false},
		{"DUE LATER", true, false},
	};
	struct table t = TABLE_INIT(columns, ARRAY_LEN(columns), 2);

	for (enum queue_id q = QUEUE_VERIFY; q <= QUEUE_ISSUE; q++) {
		char human[CLOCK_HUMAN_LEN] = "-";
		if (s->oldest_ms[q] != 0)
			clock_human(s->redis_ms - s->oldest_ms[q], human);
		table_cell(&t, TINT_NONE, "%s", queue_name(q));
		table_cell(&t, TINT_NONE, "%lld", (long long)s->running[q]);
		table_cell(
			&t, s->parked[q] ? TINT_BAD : TINT_NONE, "%lld", (long long)s->parked[q]);
		table_cell(&t, TINT_NONE, s->counted ? "%zu" : "?", s->late[q]);
		table_cell(&t, TINT_NONE, "%s", human);
		table_cell(&t, TINT_NONE, s->counted ? "%zu" : "?", s->due[q] - s->late[q]);
	}
	table_flush(&t, &cli->view, out);
	table_release(&t);
}

/* Those that are not closed, or whose canary is not to be trusted. */
static void put_breakers(struct cli *cli, const struct status *s, struct buf *out)
{
	char when[CLOCK_RFC3339_LEN];

	for (size_t i = 0; i < s->breakers_n; i++) {
		const struct breaker_row *r = &s->breakers[i];
		bool shut = breaker_is_shut(r);

		if (!shut && r->armed)
			continue;
		buf_addf(out, "%-11s ", "breaker");
		term_tint(out, &cli->view, shut ? TINT_BAD : TINT_NONE, "%s at %s %s",
			breaker_way_name(r->way), r->authority,
			shut ? breaker_state_name(r->state) : "untested");
		if (shut)
			buf_addf(out, ": orders by it pause, the canary is tried at %s",
				clock_rfc3339(r->next_ms, when));
		else
			buf_adds(out, ": its canary has not passed of late, and guards nobody");
		buf_addf(out, "%s%s\n", r->why[0] ? "; it failed: " : "", r->why);
	}
}

static json_t *breakers_json(const struct status *s)
{
	json_t *all = json_array();

	for (size_t i = 0; i < s->breakers_n; i++)
		json_array_append_new(all, breaker_json(&s->breakers[i]));
	return all;
}

static void status_page(struct cli *cli, const struct status *s, struct buf *out)
{
	char human[CLOCK_HUMAN_LEN];
	const struct view *v = &cli->view;

	buf_addf(out, "%-11s %s\n", "fleet", cli->config->fleet);
	if (s->redis[0] != '\0')
		buf_addf(out, "%-11s %s, %s\n", "store", s->redis, s->memory);
	buf_addf(out, "%-11s ", "leader");
	if (s->leader[0] != '\0')
		buf_addf(out, "%s, its lease runs %s more\n", s->leader,
			clock_human(s->lease_until_ms - s->redis_ms, human));
	else
		buf_adds(out, "none: no certfleet-scheduler runs\n");
	buf_addf(out, "%-11s ", "workers");
	term_tint(out, v, s->alive ? TINT_NONE : TINT_BAD, "%zu alive", s->alive);
	if (s->workers_n > s->alive)
		buf_addf(out, ", %zu silent", s->workers_n - s->alive);
	buf_addf(out, "\n%-11s ", "endpoints");
	put_states(cli, s, out);
	buf_addf(out, "\n%-11s ", "alerts");
	term_tint(out, v, s->alerts ? TINT_BAD : TINT_GOOD, "%lld open", (long long)s->alerts);
	buf_addf(out, "\n%-11s requests %lld waiting, edges %lld waiting, results %lld kept\n",
		"streams", (long long)s->requests, (long long)s->edges, (long long)s->results);
	put_breakers(cli, s, out);
	buf_addc(out, '\n');
	put_queues(cli, s, out);
}

static json_t *status_json(struct cli *cli, const struct status *s)
{
	json_t *states = json_object();
	json_t *queues = json_object();

	for (size_t i = 0; i <= STATE_ACTIVE && s->counted; i++)
		json_object_set_new(states, endpoint_state_name((enum endpoint_state)i),
			json_integer((json_int_t)s->states[i]));
	for (enum queue_id q = QUEUE_VERIFY; q <= QUEUE_ISSUE; q++)
		json_object_set_new(queues, queue_name(q),
			json_pack("{s:I s:I s:o s:o s:o}", "running", (json_int_t)s->running[q],
				"parked", (json_int_t)s->parked[q], "due_now",
				s->counted ? json_integer((json_int_t)s->late[q]) : json_null(),
				"due_later",
				s->counted ? json_integer((json_int_t)(s->due[q] - s->late[q]))
					   : json_null(),
				"oldest_due", json_time(s->oldest_ms[q])));
	json_t *leader = json_null();
	if (s->leader[0] != '\0')
		leader = json_pack("{s:o s:I s:o}", "name", json_text(s->leader), "term",
			(json_int_t)s->term, "lease_until", json_time(s->lease_until_ms));
	return json_pack("{s:s s:o s:o s:I s:I s:I s:o s:I s:o s:{s:I s:I s:I} s:o}", "fleet",
		cli->config->fleet, "store", json_text(s->redis), "leader", leader, "workers_alive",
		(json_int_t)s->alive, "workers_silent", (json_int_t)(s->workers_n - s->alive),
		"endpoints", (json_int_t)s->endpoints, "states",
		s->counted ? states : (json_decref(states), json_null()), "alerts_open",
		(json_int_t)s->alerts, "queues", queues, "streams", "requests",
		(json_int_t)s->requests, "edges", (json_int_t)s->edges, "results",
		(json_int_t)s->results, "breakers", breakers_json(s));
}

int cmd_status(struct cli *cli, const struct cli_args *args)
{
	_buf_release_ struct buf text = BUF_INIT(65536);
	struct status s = {0};
	struct why why = {0};
	int err = status_read(cli, cli_flag(args, "all"), &s, &why);

	if (err == 0 && cli->json) {
		cli_emit_json(cli, status_json(cli, &s));
	} else if (err == 0) {
		status_page(cli, &s, &text);
		cli_emit(cli, &text);
	}
	bool works = s.leader[0] != '\0' && s.alive > 0;
	free(s.workers);
	if (err != 0)
		return cli_fail_redis(cli, err, &why);
	return works || !cli_flag(args, "check") ? CLI_DONE : CLI_NOT_YET;
}

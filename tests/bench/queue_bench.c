/* queue_bench.c - the full life of a no-op job: due, taken, finished, due again.
 *
 * usage: queue_bench [JOBS [ENDPOINTS [TENANTS [WORKERS [SOCKET [bulk|each]]]]]]
 *
 * Against the Redis at SOCKET, or a redis-server of its own with the append-only file, fsync every
 * second, over a unix socket. Each worker has a connection, takes 64 and finishes 64. Prints jobs a
 * second, the server's CPU time a job and this program's.
 *
 * With bulk or each a job is done once: each endpoint's is asked for by a connection of its own, 64
 * a call or one by one, taken, and finished with nothing due after it. ENDPOINTS is then JOBS.
 */
#include "common/clock.h"
#include "common/mem.h"
#include "common/queue.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define LEASE_MS    30000
#define WORKERS_MAX 16
#define ASKS_MAX    8 /* calls in flight that ask for 64 */
#define IDLE_MS     2 /* until a worker that got nothing looks again */

struct bench;

struct worker {
	struct bench *bench;
	struct redis *redis;
	struct queue *queue;
	size_t open; /* finishes that are not answered */
	uv_timer_t idle;
	bool up;
};

struct bench {
	uv_loop_t loop;
	struct redis_options options;
	char folder[64], socket[80];
	pid_t server;
	struct worker workers[WORKERS_MAX];
	size_t workers_n, up_n;
	size_t endpoints, tenants, applied, asked;
	uint64_t jobs, wanted;
	struct redis *asker;
	size_t ask_each; /* endpoints a call; 0: jobs come again by themselves */
	bool failed;
	double server_cpu;
	bool got_cpu;
};

static void die(const char *what)
{
	fprintf(stderr, "queue_bench: %s\n", what);
	exit(1);
}

static void start_server(struct bench *b)
{
	snprintf(b->folder, sizeof b->folder, "/tmp/cf-bench-XXXXXX");
	if (!mkdtemp(b->folder))
		die("no temporary folder");
	snprintf(b->socket, sizeof b->socket, "%s/redis.sock", b->folder);
	b->server = fork();
	if (b->server == 0) {
		if (!freopen("/dev/null", "w", stdout))
			_exit(127);
		execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", b->socket,
			"--dir", b->folder, "--save", "", "--appendonly", "yes", "--appendfsync",
			"everysec", (char *)NULL);
		_exit(127);
	}
	if (b->server < 0)
		die("cannot start redis-server");
}

static void stop_server(struct bench *b)
{
	char command[128];

	kill(b->server, SIGKILL);
	waitpid(b->server, NULL, 0);
	snprintf(command, sizeof command, "rm -rf '%s'", b->folder);
	if (system(command) != 0)
		fprintf(stderr, "queue_bench: %s stays\n", b->folder);
}

static void on_state(void *arg, bool up, const struct why *why)
{
	struct worker *w = arg;

	(void)why;
	if (up && !w->up)
		w->bench->up_n++;
	w->up = up;
}

static void on_applied(void *arg, int err, bool dup, const char *conflict)
{
	struct bench *b = arg;

	(void)dup;
	(void)conflict;
	b->failed |= err != 0;
	b->applied++;
}

static void add_endpoint(struct bench *b, size_t i)
{
	struct queue_plan now = {.intent = INTENT_LOOK, .lane = LANE_NORMAL, .why = "new"};
	char id[32], tenant[32], name[64];
	const char *names[] = {name};
	struct queue_apply a = {.source = "bench",
		.request_id = id,
		.op = "add",
		.endpoint = id,
		.tenant = tenant,
		.config = "\x80",
		.config_len = 1,
		.verify = b->ask_each ? NULL : &now,
		.answer = "\x80",
		.answer_len = 1,
		.names_added = names,
		.names_added_n = 1};

	snprintf(id, sizeof id, "e%06zu", i);
	snprintf(tenant, sizeof tenant, "t%zu", i % b->tenants);
	snprintf(name, sizeof name, "host-%zu.example", i);
	queue_apply(b->workers[0].redis, &a, on_applied, b);
}

static void take(struct worker *w);

static void on_finished(void *arg, int err)
{
	struct worker *w = arg;

	w->bench->failed |= err != 0;
	w->bench->jobs++;
	if (--w->open == 0)
		take(w);
}

static void on_idle(uv_timer_t *timer)
{
	take(timer->data);
}

static void on_taken(
	void *arg, int err, const struct queue_job *jobs, size_t n, int64_t next_due_ms)
{
	struct worker *w = arg;
	struct queue_plan again = {.intent = INTENT_LOOK, .lane = LANE_NORMAL, .why = "again"};

	(void)next_due_ms;
	w->bench->failed |= err != 0;
	w->open = n;
	for (size_t i = 0; i < n; i++) {
		struct queue_finish f = {.id = jobs[i].id,
			.token = jobs[i].token,
			.generation = 1,
			.want = jobs[i].want,
			.next = w->bench->ask_each ? NULL : &again};

		queue_finish(w->queue, &f, on_finished, w);
	}
	if (!n)
		uv_timer_start(&w->idle, on_idle, IDLE_MS, 0);
}

static void take(struct worker *w)
{
	if (w->bench->jobs < w->bench->wanted && !w->bench->failed)
		queue_take(w->queue, QUEUE_BATCH, 100000, 0, QUEUE_SUSPECTS, on_taken, w);
}

/* --- who asks, when jobs are done once */

static void ask(struct bench *b);

static void on_asked(void *arg, int err, const struct reply *reply)
{
	struct bench *b = arg;

	b->failed |= err != 0 || reply_int(reply_at(reply, 0)) != 0;
	ask(b);
}

/* "verify" and for each endpoint its id, intent, lane, time, why and no force, as queue_ask() sends
 * it. */
static void ask(struct bench *b)
{
	static const char *const plan[] = {"0", "2", "0", "ask", "0"};
	const char *argv[1 + 6 * QUEUE_BATCH] = {"verify"};
	size_t lens[1 + 6 * QUEUE_BATCH] = {6}, n = 1;
	char ids[QUEUE_BATCH][32];

	for (size_t i = 0; i < b->ask_each && b->asked < b->endpoints; i++, b->asked++) {
		lens[n] = (size_t)snprintf(ids[i], sizeof ids[i], "e%06zu", b->asked);
		argv[n++] = ids[i];
		for (size_t k = 0; k < ARRAY_LEN(plan); k++, n++) {
			argv[n] = plan[k];
			lens[n] = strlen(plan[k]);
		}
	}
	if (n > 1)
		redis_script(b->asker, "ask", n, argv, lens, on_asked, b);
}

static void begin_to_ask(struct bench *b)
{
	for (size_t i = 0; b->ask_each && i < ASKS_MAX * QUEUE_BATCH / b->ask_each; i++)
		ask(b);
}

static void turn_until(struct bench *b, size_t *counter, size_t n)
{
	while (*counter < n && !b->failed)
		uv_run(&b->loop, UV_RUN_ONCE);
}

static void on_info(void *arg, int err, const struct reply *reply)
{
	struct bench *b = arg;
	const char *text = err ? NULL : reply_str(reply, NULL);
	const char *sys = text ? strstr(text, "used_cpu_sys:") : NULL;
	const char *user = text ? strstr(text, "used_cpu_user:") : NULL;

	if (sys && user)
		b->server_cpu = atof(sys + 13) + atof(user + 14);
	b->got_cpu = true;
}

static double server_cpu(struct bench *b)
{
	b->got_cpu = false;
	redis_commandv(b->workers[0].redis, on_info, b, "INFO", "cpu", NULL);
	while (!b->got_cpu)
		uv_run(&b->loop, UV_RUN_ONCE);
	return b->server_cpu;
}

static double own_cpu(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void connect_workers(struct bench *b)
{
	b->options = (struct redis_options){.unix_path = b->socket, .fleet = "bench"};
	for (size_t i = 0; i < b->workers_n; i++) {
		struct worker *w = &b->workers[i];
		char name[16];

		snprintf(name, sizeof name, "w%zu", i);
		w->bench = b;
		w->redis = redis_new(&b->loop, &b->options, on_state, w);
		w->queue = queue_new(w->redis, QUEUE_VERIFY, name, LEASE_MS);
		w->idle.data = w;
		uv_timer_init(&b->loop, &w->idle);
	}
	b->asker = redis_new(&b->loop, &b->options, NULL, NULL);
	turn_until(b, &b->up_n, b->workers_n);
}

static void measure(struct bench *b)
{
	double server = server_cpu(b), own = own_cpu(), s;
	int64_t start = clock_mono_ms();

	begin_to_ask(b);
	for (size_t i = 0; i < b->workers_n; i++)
		take(&b->workers[i]);
	while (b->jobs < b->wanted && !b->failed)
		uv_run(&b->loop, UV_RUN_ONCE);
	s = (double)(clock_mono_ms() - start) / 1000;
	if (b->failed)
		die("a call failed");
	server = server_cpu(b) - server;
	own = own_cpu() - own;
	printf("queue: %.0f jobs/s (%zu endpoints, %zu tenants, %zu workers, AOF everysec), server "
	       "%.1f us/job, "
	       "client %.1f us/job\n",
		(double)b->jobs / s, b->endpoints, b->tenants, b->workers_n,
		server * 1e6 / (double)b->jobs, own * 1e6 / (double)b->jobs);
}

static size_t number(int argc, char **argv, int i, size_t otherwise)
{
	return argc > i ? (size_t)strtoul(argv[i], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
	struct bench b = {.wanted = number(argc, argv, 1, 60000),
		.endpoints = number(argc, argv, 2, 5000),
		.tenants = number(argc, argv, 3, 50),
		.workers_n = number(argc, argv, 4, 4)};

	if (!b.wanted || !b.tenants || !b.workers_n || b.workers_n > WORKERS_MAX)
		die("at least one job, one tenant and 1 to 16 workers");
	if (argc > 6) {
		b.ask_each = !strcmp(argv[6], "each") ? 1 : QUEUE_BATCH;
		b.endpoints = b.wanted;
	}
	uv_loop_init(&b.loop);
	if (argc > 5)
		snprintf(b.socket, sizeof b.socket, "%s", argv[5]);
	else
		start_server(&b);
	connect_workers(&b);
	for (size_t i = 0; i < b.endpoints; i++) {
		add_endpoint(&b, i);
		turn_until(&b, &b.applied, i > 500 ? i - 500 : 0);
	}
	turn_until(&b, &b.applied, b.endpoints);
	measure(&b);
	if (b.server)
		stop_server(&b);
	return 0;
}

/* dns_bench.c - the builtin name server's answers from Redis, and what an exchange costs the asker.
 *
 * usage: dns_bench [SECONDS [LABELS]]
 *
 * A redis-server of its own (unix socket, nothing persisted) and a responder in a child process.
 * First 128 questions are kept under way from one socket: answers a second, and the responder's CPU
 * time an answer. Then the same questions go through the exchanger, 256 at once: its CPU time an
 * exchange.
 */
#include "common/mem.h"
#include "worker/dns/exchange.h"
#include "worker/responders/dns01.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WINDOW = 128, AT_ONCE = 256, BATCH = 64 };

struct bench {
	char folder[64], socket[80];
	pid_t redis, responder;
	struct addr address;
	double seconds;
	unsigned labels, next;
	uint64_t done, lost, end_ns;
	struct dns_exchanger *x;
};

static void die(const char *what)
{
	fprintf(stderr, "dns_bench: %s\n", what);
	exit(1);
}

static double cpu_s(const struct rusage *u)
{
	return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) +
	       (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1e6;
}

static const char *name_of(const struct bench *b, unsigned i, char out[64])
{
	snprintf(out, 64, "abcdefghijklmnopqrst%06u.acme.example", i % b->labels);
	return out;
}

static void start_redis(struct bench *b)
{
	snprintf(b->folder, sizeof(b->folder), "/tmp/cf-bench-XXXXXX");
	if (!mkdtemp(b->folder))
		die("no temporary folder");
	snprintf(b->socket, sizeof(b->socket), "%s/redis.sock", b->folder);
	b->redis = fork();
	if (b->redis == 0) {
		if (!freopen("/dev/null", "w", stdout))
			_exit(1);
		execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", b->socket,
			"--save", "", "--dir", b->folder, (char *)NULL);
		_exit(1);
	}
}

/* --- the responder's process */

static unsigned stored;

static void on_stored(void *arg, int err, const struct reply *reply)
{
	(void)arg;
	(void)reply;
	if (err)
		die("cannot write to Redis");
	stored++;
}

static void store_values(const struct bench *b, uv_loop_t *loop, struct redis *redis)
{
	char name[64], key[128];

	while (!redis_is_up(redis))
		uv_run(loop, UV_RUN_ONCE);
	for (unsigned i = 0; i < b->labels; i++) {
		snprintf(key, sizeof(key), "%stxt:%.26s", redis_prefix(redis), name_of(b, i, name));
		redis_commandv(redis, on_stored, NULL, "HSET", key,
			"gfj9Xq-Rg85nM4_0000000000000000000000000000", "1", NULL);
	}
	while (stored < b->labels)
		uv_run(loop, UV_RUN_ONCE);
}

static void serve(const struct bench *b, int ready)
{
	uv_loop_t loop;
	struct redis_options ro = {.unix_path = b->socket, .fleet = "bench"};
	struct addr listen, ns;
	const char *zone = "acme.example";
	struct dns_nameserver servers[] = {
		{"ns1.acme.example", &ns, 1}, {"ns2.acme.example", &ns, 1}};
	struct dns01_options o = {
		.listen = &listen, .n_listen = 1, .zones = {&zone, 1, servers, 2, 1}};
	struct dns01 *d;
	struct why why = {""};

	uv_loop_init(&loop);
	struct redis *redis = redis_new(&loop, &ro, NULL, NULL);
	store_values(b, &loop, redis);
	if (addr_parse("127.0.0.1:0", 0, &listen, &why) || addr_parse("192.0.2.1", 53, &ns, &why) ||
		dns01_new(&loop, redis, &o, &d, &why))
		die(why.text);
	if (write(ready, dns01_address(d, 0), sizeof(struct addr)) != (ssize_t)sizeof(struct addr))
		die("the parent is gone");
	uv_run(&loop, UV_RUN_DEFAULT);
}

static void start_responder(struct bench *b)
{
	int ready[2];

	if (pipe(ready) != 0)
		die("no pipe");
	b->responder = fork();
	if (b->responder == 0) {
		close(ready[0]);
		serve(b, ready[1]);
		_exit(0);
	}
	close(ready[1]);
	if (read(ready[0], &b->address, sizeof(b->address)) != (ssize_t)sizeof(b->address))
		die("the responder did not start");
	close(ready[0]);
}

/* Returns its CPU time. */
static double stop_responder(struct bench *b)
{
	struct rusage u;

	kill(b->responder, SIGTERM);
	if (wait4(b->responder, NULL, 0, &u) < 0)
		die("the responder is lost");
	return cpu_s(&u);
}

/* --- 1: answers */

static void send_window(struct bench *b, int fd, unsigned *under_way)
{
	uint8_t wire[DNSNAME_MAX_BYTES], query[DNS_QUERY_BYTES];
	char name[64];
	size_t n;

	for (; *under_way < WINDOW; ++*under_way, b->next++) {
		(void)dnsname_from_text(name_of(b, b->next, name), wire, &n);
		size_t len = dns_query_write((uint16_t)b->next, wire, n, DNS_TXT, 0, query);
		if (send(fd, query, len, 0) < 0)
			return;
	}
}

static void measure_answers(struct bench *b)
{
	static uint8_t bytes[BATCH][DNS_WIRE_UDP_BYTES];
	struct mmsghdr msgs[BATCH] = {0};
	struct iovec iovs[BATCH];
	struct timeval patience = {0, 50000};
	unsigned under_way = 0;

	start_responder(b);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, &b->address.sa, addr_len(&b->address)) != 0)
		die("no socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	for (size_t i = 0; i < BATCH; i++) {
		iovs[i] = (struct iovec){bytes[i], sizeof(bytes[i])};
		msgs[i].msg_hdr = (struct msghdr){.msg_iov = &iovs[i], .msg_iovlen = 1};
	}
	uint64_t end = uv_hrtime() + (uint64_t)(b->seconds * 1e9);
	while (uv_hrtime() < end) {
		send_window(b, fd, &under_way);
		int n = recvmmsg(fd, msgs, BATCH, MSG_WAITFORONE, NULL);
		b->lost += n < 0 ? under_way : 0;
		under_way -= n < 0 ? under_way : (unsigned)n;
		b->done += n < 0 ? 0 : (unsigned)n;
	}
	close(fd);
	double cpu = stop_responder(b);
	printf("dns-01: %.0f answers/s from Redis, %.1f us of CPU an answer, %llu lost\n",
		(double)b->done / b->seconds, cpu / (double)b->done * 1e6,
		(unsigned long long)b->lost);
}

/* --- 2: exchanges */

static void ask_one(struct bench *b);

static void on_result(void *arg, const struct dns_result *result)
{
	struct bench *b = arg;

	b->done += result->status == DNS_ANSWERED;
	b->lost += result->status != DNS_ANSWERED;
	if (uv_hrtime() < b->end_ns)
		ask_one(b);
}

static void ask_one(struct bench *b)
{
	char name[64];

	dns_ask_txt(b->x, &b->address, name_of(b, b->next++, name), 1000, on_result, b);
}

static void measure_exchanges(struct bench *b)
{
	uv_loop_t loop;
	struct rusage before, after;

	b->done = b->lost = 0;
	start_responder(b);
	uv_loop_init(&loop);
	b->x = dns_exchanger_new(&loop, 0);
	getrusage(RUSAGE_SELF, &before);
	b->end_ns = uv_hrtime() + (uint64_t)(b->seconds * 1e9);
	for (int i = 0; i < AT_ONCE; i++)
		ask_one(b);
	while (uv_hrtime() < b->end_ns || dns_exchanger_in_flight(b->x))
		uv_run(&loop, UV_RUN_ONCE);
	getrusage(RUSAGE_SELF, &after);
	dns_exchanger_free(b->x);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	(void)stop_responder(b);
	printf("exchanges: %.0f/s, %.1f us of CPU each, %llu lost\n", (double)b->done / b->seconds,
		(cpu_s(&after) - cpu_s(&before)) / (double)b->done * 1e6,
		(unsigned long long)b->lost);
}

int main(int argc, char **argv)
{
	struct bench b = {.seconds = argc > 1 ? atof(argv[1]) : 5,
		.labels = argc > 2 ? (unsigned)atoi(argv[2]) : 1000};

	signal(SIGPIPE, SIG_IGN);
	start_redis(&b);
	measure_answers(&b);
	measure_exchanges(&b);
	kill(b.redis, SIGTERM);
	waitpid(b.redis, NULL, 0);
	unlink(b.socket);
	rmdir(b.folder);
	return 0;
}

#include "tests/unit/support/redis_server.h"

#include "common/clock.h"
#include "common/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka.h wants setjmp.h, stdarg.h and stddef.h. */
#include <cmocka.h>

#define ARGS_MAX         64
#define START_TIMEOUT_MS 20000

struct redis_server {
	pid_t pid;
	uint16_t port;
	uint16_t tls_port;
	uint16_t bus_port;
	char folder[64];
	char socket[80];
	char ca[80], cert[80], key[80];
	char *args[ARGS_MAX];
	size_t argc;
};

static uint16_t free_port(void)
{
	struct sockaddr_in addr = {.sin_family = AF_INET};
	socklen_t len = sizeof addr;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	close(fd);
	return ntohs(addr.sin_port);
}

static void add_arg(struct redis_server *s, const char *arg)
{
	assert_true(s->argc + 1 < ARGS_MAX);
	s->args[s->argc++] = mem_strdup(arg);
}

static void add_number(struct redis_server *s, const char *name, unsigned value)
{
	char text[16];

	snprintf(text, sizeof text, "%u", value);
	add_arg(s, name);
	add_arg(s, text);
}

static void run_child(struct redis_server *s)
{
	const char *program = getenv("CERTFLEET_REDIS_SERVER");

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (chdir(s->folder) || !freopen("redis.log", "a", stdout) || dup2(1, 2) < 0)
		_exit(126);
	execvp(program && *program ? program : "redis-server", s->args);
	_exit(127);
}

/* Whether the unix socket takes connections and answers anything at all. */
static bool answers(const struct redis_server *s)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char reply[64] = "";
	ssize_t n = 0;

	snprintf(addr.sun_path, sizeof addr.sun_path, "%s", s->socket);
	if (!connect(fd, (struct sockaddr *)&addr, sizeof addr) &&
		send(fd, "PING\r\n", 6, MSG_NOSIGNAL) == 6)
		n = recv(fd, reply, sizeof reply - 1, 0);
	close(fd);
	return n > 0 && strncmp(reply, "-LOADING", 8) != 0;
}

static void launch(struct redis_server *s)
{
	int64_t end = clock_mono_ms() + START_TIMEOUT_MS;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		run_child(s);
	s->pid = pid;
	while (!answers(s)) {
		if (waitpid(pid, NULL, WNOHANG) == pid || clock_mono_ms() > end)
			fail_msg("redis-server does not start: see %s/redis.log", s->folder);
		usleep(2000);
	}
}

static struct redis_server *prepare(void)
{
	struct redis_server *s = mem_zalloc(sizeof *s);

	snprintf(s->folder, sizeof s->folder, "/tmp/certfleet-redis-XXXXXX");
	assert_non_null(mkdtemp(s->folder));
	snprintf(s->socket, sizeof s->socket, "%s/redis.sock", s->folder);
	snprintf(s->ca, sizeof s->ca, "%s/ca.pem", s->folder);
	snprintf(s->cert, sizeof s->cert, "%s/server.pem", s->folder);
	snprintf(s->key, sizeof s->key, "%s/server.key", s->folder);
	s->port = free_port();
	add_arg(s, "redis-server");
	add_number(s, "--port", s->port);
	add_arg(s, "--bind");
	add_arg(s, "127.0.0.1");
	add_arg(s, "--unixsocket");
	add_arg(s, s->socket);
	add_arg(s, "--dir");
	add_arg(s, s->folder);
	add_arg(s, "--save");
	add_arg(s, "");
	return s;
}

struct redis_server *redis_server_start(const char *const *extra_args)
{
	struct redis_server *s = prepare();

	for (size_t i = 0; extra_args && extra_args[i]; i++)
		add_arg(s, extra_args[i]);
	launch(s);
	return s;
}

struct redis_server *redis_server_start_node(void)
{
	struct redis_server *s = prepare();

	s->bus_port = free_port();
	add_arg(s, "--cluster-enabled");
	add_arg(s, "yes");
	add_number(s, "--cluster-port", s->bus_port);
	add_number(s, "--cluster-node-timeout", 1000);
	launch(s);
	return s;
}

uint16_t redis_server_bus_port(const struct redis_server *s)
{
	return s->bus_port;
}

static bool says(const struct redis_server *s, const char *command, const char *expected)
{
	_mem_free_ char *out = redis_server_cli(s, command);

	return strstr(out, expected) != NULL;
}

static void await_saying(const struct redis_server *s, const char *command, const char *expected)
{
	int64_t end = clock_mono_ms() + START_TIMEOUT_MS;

	while (!says(s, command, expected)) {
		if (clock_mono_ms() > end)
			fail_msg("%s does not say %s: see %s", command, expected, s->folder);
		usleep(20000);
	}
}

struct redis_server *redis_server_start_replica(const struct redis_server *primary)
{
	struct redis_server *s = prepare();

	add_arg(s, "--replicaof");
	add_arg(s, "127.0.0.1");
	s->args[s->argc++] = mem_printf("%u", (unsigned)primary->port);
	add_arg(s, "--repl-diskless-sync-delay");
	add_arg(s, "0");
	launch(s);
	await_saying(s, "INFO replication", "master_link_status:up");
	return s;
}

struct redis_server *redis_server_start_sentinel(
	const char *master, uint16_t port, int replicas, const char *more)
{
	struct redis_server *s = prepare();
	_mem_free_ char *path = mem_printf("%s/sentinel.conf", s->folder);
	_mem_free_ char *seen = mem_printf(
		"name=%s,status=ok,address=127.0.0.1:%u,slaves=%d", master, port, replicas);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fprintf(f,
		"port %u\nbind 127.0.0.1\nunixsocket %s\ndir %s\n%s\n"
		"sentinel monitor %s 127.0.0.1 %u 1\n"
		"sentinel down-after-milliseconds %s 500\nsentinel failover-timeout %s 5000\n",
		s->port, s->socket, s->folder, more, master, port, master, master);
	assert_int_equal(fclose(f), 0);
	for (; s->argc; s->argc--)
		free(mem_steal(s->args[s->argc - 1]));
	add_arg(s, "redis-server");
	add_arg(s, path);
	add_arg(s, "--sentinel");
	launch(s);
	if (!*more)
		await_saying(s, "INFO sentinel", seen);
	return s;
}

/* A CA, and a certificate of it for localhost. */
static void make_certificates(const struct redis_server *s)
{
	_mem_free_ char *command = mem_printf(
		"cd %s && exec 2>openssl.log && printf 'subjectAltName=DNS:localhost' >ext &&"
		" openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "
		"ca.key"
		" -out ca.pem -subj '/CN=certfleet test CA' -days 2 &&"
		" openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key"
		" -out server.csr -subj '/CN=redis' &&"
		" openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2"
		" -extfile ext -out server.pem",
		s->folder);

	if (system(command))
		fail_msg("openssl failed: see %s/openssl.log", s->folder);
}

struct redis_server *redis_server_start_tls(void)
{
	struct redis_server *s = prepare();

	make_certificates(s);
	s->tls_port = free_port();
	add_number(s, "--tls-port", s->tls_port);
	add_arg(s, "--tls-cert-file");
	add_arg(s, s->cert);
	add_arg(s, "--tls-key-file");
	add_arg(s, s->key);
	add_arg(s, "--tls-ca-cert-file");
	add_arg(s, s->ca);
	add_arg(s, "--tls-auth-clients");
	add_arg(s, "no");
	launch(s);
	return s;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

void redis_server_kill(struct redis_server *s)
{
	if (s->pid <= 0)
		return;
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
	s->pid = 0;
}

void redis_server_stop(struct redis_server *s)
{
	if (!s)
		return;
	redis_server_kill(s);
	nftw(s->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	for (size_t i = 0; i < s->argc; i++)
		free(s->args[i]);
	free(s);
}

void redis_server_restart(struct redis_server *s)
{
	redis_server_kill(s);
	launch(s);
}

void redis_server_pause(struct redis_server *s)
{
	kill(s->pid, SIGSTOP);
}

void redis_server_resume(struct redis_server *s)
{
	kill(s->pid, SIGCONT);
}

uint16_t redis_server_port(const struct redis_server *s)
{
	return s->port;
}

const char *redis_server_folder(const struct redis_server *s)
{
	return s->folder;
}

void redis_server_options(const struct redis_server *s, struct redis_options *out)
{
	*out = (struct redis_options){.host = "127.0.0.1", .port = s->port, .fleet = "test"};
}

void redis_server_unix_options(const struct redis_server *s, struct redis_options *out)
{
	*out = (struct redis_options){.unix_path = s->socket, .fleet = "test"};
}

void redis_server_tls_options(const struct redis_server *s, struct redis_options *out)
{
	*out = (struct redis_options){.host = "localhost",
		.port = s->tls_port,
		.fleet = "test",
		.tls = true,
		.tls_ca_file = s->ca};
}

char *redis_server_cli(const struct redis_server *s, const char *args)
{
	_mem_free_ char *command = mem_printf("redis-cli -s %s %s", s->socket, args);
	FILE *pipe = popen(command, "r");
	char text[65536];
	size_t n;

	assert_non_null(pipe);
	n = fread(text, 1, sizeof text - 1, pipe);
	pclose(pipe);
	if (n && text[n - 1] == '\n')
		n--;
	text[n] = '\0';
	return mem_strdup(text);
}

#include "tests/unit/worker/acme/pebble.h"

#include "tests/unit/testca.h"

#include "common/clock.h"
#include "common/keypair.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { START_MS = 10000 };

static void die(const char *what)
{
	fprintf(stderr, "pebble: %s\n", what);
	exit(1);
}

static int free_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, n) < 0 ||
		getsockname(fd, (struct sockaddr *)&a, &n) < 0)
		die("no free port");
	close(fd);
	return ntohs(a.sin_port);
}

static void path(const struct pebble *p, const char *name, char out[128])
{
	snprintf(out, 128, "%s/%s", p->folder, name);
}

static void write_certificate(const struct pebble *p)
{
	struct testca_spec spec = {.cn = "pebble of a test",
		.san = "DNS:localhost,IP:127.0.0.1",
		.not_before_ms = clock_wall_ms() - CLOCK_DAY_MS,
		.not_after_ms = clock_wall_ms() + CLOCK_DAY_MS};
	char file[128];
	X509 *cert;
	FILE *f;

	if (keypair_make(KEY_P256, &spec.key) < 0)
		die("no key");
	cert = testca_make(&spec);
	path(p, "cert.pem", file);
	f = fopen(file, "w");
	if (!f || PEM_write_X509(f, cert) != 1)
		die("cannot write the certificate");
	fclose(f);
	path(p, "key.pem", file);
	f = fopen(file, "w");
	if (!f || PEM_write_PrivateKey(f, spec.key, NULL, NULL, 0, NULL, NULL) != 1)
		die("cannot write the key");
	fclose(f);
	X509_free(cert);
	EVP_PKEY_free(spec.key);
}

static void write_config(const struct pebble *p)
{
	char file[128];
	FILE *f;

	path(p, "config.json", file);
	f = fopen(file, "w");
	if (!f)
		die("cannot write the configuration");
	fprintf(f,
		"{ \"pebble\": { \"listenAddress\": \"127.0.0.1:%d\", \"managementListenAddress\": "
		"\"127.0.0.1:%d\","
		" \"certificate\": \"%s/cert.pem\", \"privateKey\": \"%s/key.pem\", \"httpPort\": "
		"%d, \"tlsPort\": %d,"
		" \"domainBlocklist\": [\"blocked.example.net\"], \"retryAfter\": { \"authz\": 0, "
		"\"order\": 0 },"
		" \"keyAlgorithm\": \"ecdsa\","
		" \"profiles\": { \"default\": { \"description\": \"\", \"validityPeriod\": "
		"7776000 } } } }\n",
		p->port, p->management_port, p->folder, p->folder, free_port(), free_port());
	fclose(f);
}

static const char *binary(void)
{
	static const char *const places[] = {"build/deps/bin/pebble", "/usr/bin/pebble"};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	die("not installed: run make deps");
	return NULL;
}

static void run_child(const struct pebble *p, const char *const *env)
{
	char config[128], log[128];
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	path(p, "config.json", config);
	path(p, "log", log);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	dup2(fd, 1);
	dup2(fd, 2);
	putenv((char *)(uintptr_t) "GOMAXPROCS=1");
	putenv((char *)(uintptr_t) "PEBBLE_VA_NOSLEEP=1");
	for (; env && *env; env++)
		putenv((char *)(uintptr_t)*env);
	execl(binary(), "pebble", "-config", config, (char *)NULL);
	_exit(127);
}

static int answers(const struct pebble *p)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)p->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int ok = fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;

	close(fd);
	return ok;
}

void pebble_start(struct pebble *p, const char *const *env)
{
	int64_t until = clock_mono_ms() + START_MS;

	*p = (struct pebble){.folder = "/tmp/certfleet-pebble-XXXXXX"};
	if (!mkdtemp(p->folder))
		die("no temporary folder");
	p->port = free_port();
	p->management_port = free_port();
	write_certificate(p);
	write_config(p);
	path(p, "cert.pem", p->ca_file);
	snprintf(p->directory, sizeof(p->directory), "https://localhost:%d/dir", p->port);
	p->pid = fork();
	if (p->pid == 0)
		run_child(p, env);
	while (!answers(p)) {
		if (clock_mono_ms() > until || waitpid(p->pid, NULL, WNOHANG) == p->pid)
			die("does not start");
		usleep(10000);
	}
}

void pebble_stop(struct pebble *p)
{
	static const char *const files[] = {"cert.pem", "key.pem", "config.json", "log"};
	char file[128];

	kill(p->pid, SIGKILL);
	waitpid(p->pid, NULL, 0);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		path(p, files[i], file);
		unlink(file);
	}
	rmdir(p->folder);
}

void pebble_dump(struct pebble *p)
{
	fprintf(stderr, "Pebble hangs: see %s/log\n", p->folder);
	kill(p->pid, SIGQUIT);
}

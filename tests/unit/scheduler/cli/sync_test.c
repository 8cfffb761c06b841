/* What ends up in files, and what follows the streams: a process of its own, and a Redis that goes
 * and comes. */
#include "scheduler/cli/cli.h"

#include "common/clock.h"
#include "common/event.h"
#include "common/keypair.h"
#include "common/mem.h"
#include "tests/unit/scheduler/cli/fleet_aid.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Certificates */

static void file_has(struct fleet_aid *f, const char *name, const char *first, mode_t mode)
{
	_mem_free_ char *text = fleet_aid_read(f, name);
	_mem_free_ char *path = mem_printf("%s/%s", f->folder, name);
	struct stat st;

	assert_int_equal(strncmp(text, first, strlen(first)), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, mode);
}

static void certificate_export(void **state)
{
	struct fleet_aid *f = *state;
	_mem_free_ char *dir = mem_printf("%s/out", f->folder);

	fleet_aid_endpoint(f, "a.example.com", "acme");
	assert_int_equal(
		FLEET_RUN("certificate", "export", "a.example.com", "--dir", dir), CLI_NOT_YET);
	fleet_aid_contains(f->err, "has no certificate yet");
	fleet_aid_certificate(f, "a.example.com", "0a01", clock_wall_ms() - CLOCK_HOUR_MS, NULL);
	assert_int_equal(
		FLEET_RUN("certificate", "export", "a.example.com", "--dir", dir), CLI_DONE);
	file_has(f, "out/privkey.pem", "-----BEGIN PRIVATE KEY-----", 0600);
	file_has(f, "out/cert.pem", "-----BEGIN CERTIFICATE-----", 0644);
	file_has(f, "out/chain.pem", "-----BEGIN CERTIFICATE-----", 0644);
	file_has(f, "out/fullchain.pem", "-----BEGIN CERTIFICATE-----", 0644);
	file_has(f, "out/combined.pem", "-----BEGIN CERTIFICATE-----", 0600);
	assert_int_equal(FLEET_RUN("certificate", "show", "a.example.com"), CLI_DONE);
	fleet_aid_contains(
		f->out, "  serial      0a01\n  issuer      Test CA 1 (authority testca)\n");
	assert_int_equal(FLEET_RUN("certificate", "show", "a.example.com", "--pem"), CLI_DONE);
	assert_null(strstr(f->out, "PRIVATE"));
}

static void key_that_does_not_fit_is_refused(void **state)
{
	struct fleet_aid *f = *state;
	_mem_free_ char *dir = mem_printf("%s/out", f->folder);
	_mem_free_ char *key_file = mem_printf("%s/certificates.key", f->folder);
	EVP_PKEY *other _keypair_release_ = NULL;

	assert_int_equal(keypair_make(KEY_P256, &other), 0);
	fleet_aid_endpoint(f, "a.example.com", "acme");
	fleet_aid_certificate(f, "a.example.com", "0a01", clock_wall_ms(), other);
	assert_int_equal(
		FLEET_RUN("certificate", "export", "a.example.com", "--dir", dir), CLI_FAILED);
	fleet_aid_contains(f->err, "its private key is not the certificate's");
	FILE *file = fopen(key_file, "we");
	fputs("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n", file);
	fclose(file);
	assert_int_equal(
		FLEET_RUN("certificate", "export", "a.example.com", "--dir", dir), CLI_FAILED);
	fleet_aid_contains(f->err, "it was sealed with another key");
}

/* sync */

static void sync_once_installs_and_never_steps_back(void **state)
{
	struct fleet_aid *f = *state;
	_mem_free_ char *dir = mem_printf("%s/certs", f->folder);
	_mem_free_ char *reload = mem_printf("echo $CERTFLEET_CHANGED >> %s/reloads", f->folder);
	int64_t now = clock_wall_ms();

	fleet_aid_endpoint(f, "a.example.com", "acme");
	fleet_aid_endpoint(f, "b.example.com", "other");
	fleet_aid_endpoint(f, "none.example.com", "acme");
	fleet_aid_certificate(f, "a.example.com", "0a01", now - 2 * CLOCK_DAY_MS, NULL);
	fleet_aid_certificate(f, "b.example.com", "0b01", now - 2 * CLOCK_DAY_MS, NULL);
	assert_int_equal(FLEET_RUN("sync", "--dir", dir, "--reload", reload, "--once"), CLI_DONE);
	fleet_aid_contains(f->out, "installed a.example.com: serial 0a01");
	fleet_aid_contains(f->out, "2 written");
	file_has(f, "certs/a.example.com.pem", "-----BEGIN CERTIFICATE-----", 0600);
	_mem_free_ char *first = fleet_aid_read(f, "certs/a.example.com.pem");
	fleet_aid_contains(first, "-----BEGIN PRIVATE KEY-----");

	assert_int_equal(FLEET_RUN("sync", "--dir", dir, "--reload", reload, "--once"), CLI_DONE);
	fleet_aid_contains(f->out, "2 current, 0 written");
	fleet_aid_certificate(f, "a.example.com", "0a02", now, NULL);
	fleet_aid_redis(f, "ZREM", "@endpoints", "b.example.com", NULL);
	fleet_aid_redis(f, "DEL", "@e:b.example.com", NULL);
	assert_int_equal(FLEET_RUN("sync", "--dir", dir, "--reload", reload, "--once"), CLI_DONE);
	fleet_aid_contains(f->out, "replaced  a.example.com: serial 0a02");
	_mem_free_ char *second = fleet_aid_read(f, "certs/a.example.com.pem");
	assert_string_not_equal(first, second);

	fleet_aid_certificate(f, "a.example.com", "0a03", now - CLOCK_DAY_MS, NULL);
	assert_int_equal(FLEET_RUN("sync", "--dir", dir, "--reload", reload, "--once"), CLI_DONE);
	fleet_aid_contains(f->out, "refused   a.example.com: Redis has an older certificate");
	_mem_free_ char *third = fleet_aid_read(f, "certs/a.example.com.pem");
	assert_string_equal(second, third);
	file_has(f, "certs/b.example.com.pem", "-----BEGIN CERTIFICATE-----", 0600);
	_mem_free_ char *reloads = fleet_aid_read(f, "reloads");
	assert_string_equal(reloads, "a.example.com b.example.com\na.example.com\n");
}

static void sync_mends_a_broken_file_and_tells_of_a_failed_reload(void **state)
{
	struct fleet_aid *f = *state;
	_mem_free_ char *dir = mem_printf("%s/certs", f->folder);
	_mem_free_ char *pem = mem_printf("%s/certs/a.example.com.pem", f->folder);

	fleet_aid_endpoint(f, "a.example.com", "acme");
	fleet_aid_certificate(f, "a.example.com", "0a01", clock_wall_ms(), NULL);
	assert_int_equal(FLEET_RUN("sync", "--dir", dir, "--once", "--tenant", "nobody"), CLI_DONE);
	fleet_aid_contains(f->out, "0 current, 0 written");
	FILE *file = fopen(pem, "we");
	fputs("half a file", file);
	fclose(file);
	assert_int_equal(
		FLEET_RUN("sync", "--dir", dir, "--once", "--reload", "exit 7"), CLI_FAILED);
	fleet_aid_contains(f->out, "holds no certificate");
	fleet_aid_contains(f->out, "installed a.example.com");
	fleet_aid_contains(f->out, "reload failed");
	fleet_aid_contains(f->out, "status 7");
	file_has(f, "certs/a.example.com.pem", "-----BEGIN CERTIFICATE-----", 0600);
}

/** Waits until a file of the folder holds the text. */
static void wait_for_text(struct fleet_aid *f, const char *name, const char *part)
{
	int64_t deadline = clock_mono_ms() + 20000;

	for (;;) {
		_mem_free_ char *text = fleet_aid_read(f, name);
		if (strstr(text, part) != NULL)
			return;
		if (clock_mono_ms() > deadline)
			fail_msg("\"%s\" never came; %s holds:\n%s", part, name, text);
		cli_sleep_ms(20);
	}
}

/** Runs the command line in a process of its own; what it says goes to the file "log". */
static pid_t start(struct fleet_aid *f, ...)
{
	_mem_free_ char *log = mem_printf("%s/log", f->folder);
	char *argv[16] = {(char *)(uintptr_t) "certfleet", (char *)(uintptr_t) "-c", f->config};
	int argc = 3;
	va_list ap;

	va_start(ap, f);
	for (char *arg; (arg = va_arg(ap, char *)) != NULL;)
		argv[argc++] = arg;
	va_end(ap);
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	FILE *out = fopen(log, "we");
	_exit(cli_main(argc, argv, out, out));
}

static void stop(pid_t pid)
{
	int status = -1;

	kill(pid, SIGTERM);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static pid_t start_sync(struct fleet_aid *f)
{
	_mem_free_ char *dir = mem_printf("%s/certs", f->folder);
	_mem_free_ char *reload = mem_printf("echo $CERTFLEET_CHANGED >> %s/reloads", f->folder);

	return start(f, "sync", "--dir", dir, "--reload", reload, NULL);
}

static void sync_follows_and_survives_redis(void **state)
{
	struct fleet_aid *f = *state;
	int64_t now = clock_wall_ms();

	fleet_aid_endpoint(f, "a.example.com", "acme");
	fleet_aid_certificate(f, "a.example.com", "0a01", now - CLOCK_DAY_MS, NULL);
	pid_t pid = start_sync(f);
	wait_for_text(f, "reloads", "a.example.com");

	/* A renewal is told by the stream. */
	fleet_aid_certificate(f, "a.example.com", "0a02", now, NULL);
	fleet_aid_redis(f, "XADD", "@results", "*", "type", EVENT_RENEWED, "subject",
		"a.example.com", NULL);
	wait_for_text(f, "log", "replaced  a.example.com: serial 0a02");
	wait_for_text(f, "reloads", "a.example.com\na.example.com\n");

	/* Redis is gone, then back and empty: the file stays. Then there is a certificate again. */
	redis_server_kill(f->server);
	wait_for_text(f, "log", "waiting");
	redis_server_restart(f->server);
	redis_sync_close(f->redis);
	assert_int_equal(redis_sync_open(&f->options, &f->redis, NULL), 0);
	fleet_aid_endpoint(f, "b.example.com", "acme");
	fleet_aid_certificate(f, "b.example.com", "0b01", now, NULL);
	fleet_aid_redis(
		f, "XADD", "@results", "*", "type", EVENT_ISSUED, "subject", "b.example.com", NULL);
	wait_for_text(f, "log", "installed b.example.com: serial 0b01");
	file_has(f, "certs/a.example.com.pem", "-----BEGIN CERTIFICATE-----", 0600);

	fleet_aid_redis(f, "XADD", "@results", "*", "type", EVENT_REMOVED, "subject",
		"a.example.com", NULL);
	wait_for_text(f, "log", "removed   a.example.com: it left the fleet; the file stays");
	wait_for_text(f, "reloads", "b.example.com");
	stop(pid);
	wait_for_text(f, "log", "ended");
}

static void one_sync_a_folder(void **state)
{
	struct fleet_aid *f = *state;
	_mem_free_ char *dir = mem_printf("%s/certs", f->folder);
	pid_t pid = start_sync(f);

	wait_for_text(f, "log", "looked");
	assert_int_equal(FLEET_RUN("sync", "--dir", dir, "--once"), CLI_FAILED);
	fleet_aid_contains(f->err, "another certfleet sync keeps the folder");
	stop(pid);
}

static void following_survives_redis(void **state)
{
	struct fleet_aid *f = *state;

	fleet_aid_redis(
		f, "XADD", "@results", "*", "type", EVENT_ISSUED, "subject", "before", NULL);
	pid_t pid = start(f, "--json", "results", "--follow", NULL);
	wait_for_text(f, "log", "\"subject\":\"before\"");
	fleet_aid_redis(
		f, "XADD", "@results", "*", "type", EVENT_HEARTBEAT, "subject", "noise", NULL);
	fleet_aid_redis(f, "XADD", "@results", "*", "type", EVENT_ISSUED, "subject", "then", NULL);
	wait_for_text(f, "log", "\"subject\":\"then\"");
	redis_server_restart(f->server);
	redis_sync_close(f->redis);
	assert_int_equal(redis_sync_open(&f->options, &f->redis, NULL), 0);
	/* The clock of the new one is behind: its ids are lower. */
	fleet_aid_redis(
		f, "XADD", "@results", "5-1", "type", EVENT_ISSUED, "subject", "after", NULL);
	wait_for_text(f, "log", "the stream was begun anew");
	wait_for_text(f, "log", "\"subject\":\"after\"");
	_mem_free_ char *log = fleet_aid_read(f, "log");
	assert_null(strstr(log, "noise"));
	stop(pid);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, fleet_aid_setup, fleet_aid_teardown)
	const struct CMUnitTest tests[] = {
		TEST(certificate_export),
		TEST(key_that_does_not_fit_is_refused),
		TEST(sync_once_installs_and_never_steps_back),
		TEST(sync_mends_a_broken_file_and_tells_of_a_failed_reload),
		TEST(sync_follows_and_survives_redis),
		TEST(one_sync_a_folder),
		TEST(following_survives_redis),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

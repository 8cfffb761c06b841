/* The command line on a fleet in a real Redis: what is said, and the exit status. */
#include "scheduler/cli/cli.h"

#include "common/clock.h"
#include "common/event.h"
#include "common/keypair.h"
#include "common/mem.h"
#include "common/mp.h"
#include "tests/unit/scheduler/cli/fleet_aid.h"

#include <locale.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define RUN(...) fleet_aid_run(f, __VA_ARGS__, NULL)

static int fleet(void **state)
{
	setlocale(LC_CTYPE, "C.UTF-8");
	*state = fleet_aid_new();
	return 0;
}

static int no_fleet(void **state)
{
	fleet_aid_free(*state);
	return 0;
}

static void contains(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("\"%s\" is not in:\n%s", part, text);
}

/* Usage */

static void wrong_usage(struct fleet_aid *f, int status, const char *said)
{
	assert_int_equal(status, CLI_USAGE);
	assert_string_equal(f->out, "");
	contains(f->err, said);
}

static void usage(void **state)
{
	struct fleet_aid *f = *state;

	wrong_usage(f, RUN("endpont", "list"),
		"certfleet: unknown command \"endpont\". Did you mean \"endpoint\"?\n");
	wrong_usage(f, RUN("jobs", "lst"), "Did you mean \"jobs list\"?");
	wrong_usage(f, RUN("jobs"), "\"jobs\" needs a second word");
	wrong_usage(f, RUN("endpoint", "list", "--sate", "x"),
		"unknown option --sate. Did you mean --state?");
	wrong_usage(f, RUN("endpoint", "list", "--state"), "--state needs a value: --state STATE");
	wrong_usage(f, RUN("endpoint", "list", "--state", "bad"),
		"--state: expected one of active, waiting_dns");
	wrong_usage(
		f, RUN("endpoint", "list", "--limit", "-1"), "--limit: expected a whole number");
	wrong_usage(f, RUN("endpoint", "wait", "x", "--timeout", "60x"),
		"expected a duration such as 45s");
	wrong_usage(f, RUN("endpoint", "add", "x.example.com"), "--type TYPE is missing");
	wrong_usage(f, RUN("endpoint", "show"),
		"ID... is missing\n  Usage: certfleet endpoint show ID...");
	wrong_usage(f, RUN("status", "x"), "\"x\" is too much");
	wrong_usage(f, RUN("endpoint", "list", "--tenant", "a", "--tenant=b"),
		"--tenant is given twice");
	wrong_usage(f, RUN("status", "--check=1"), "--check takes no value");
	wrong_usage(f, RUN("endpoint", "wait"), "which endpoint?");
}

static void help_for_each_command(void **state)
{
	struct fleet_aid *f = *state;

	for (const struct cli_command *c = cli_commands; c->name != NULL; c++) {
		char first[32];
		char *second = strchr(c->name, ' ');
		snprintf(first, sizeof first, "%.*s", (int)strcspn(c->name, " "), c->name);
		assert_int_equal(RUN("help", first, second ? second + 1 : NULL), CLI_DONE);
		contains(f->out, c->brief);
		assert_true(strlen(c->brief) <= 58); /* what the list has at 80 columns */
		contains(f->out, "Usage\n  certfleet ");
		contains(f->out, "Exit status\n  0 ");
		assert_string_equal(f->err, "");
		for (const struct cli_option *o = c->options; o != NULL && o->name != NULL; o++)
			contains(f->out, o->name);
	}
	assert_int_equal(RUN("records", "--help"), CLI_DONE);
	contains(f->out, "--zone");
	assert_int_equal(RUN("help"), CLI_DONE);
	contains(f->out, "endpoint import     add thousands");
	assert_int_equal(RUN("--version"), CLI_DONE);
	assert_true(strncmp(f->out, "certfleet ", 10) == 0);
}

static void completes_each_command_and_option(void **state)
{
	struct fleet_aid *f = *state;

	for (const struct cli_command *c = cli_commands; c->name != NULL; c++) {
		char first[32];
		char *second = strchr(c->name, ' ');
		snprintf(first, sizeof first, "%.*s", (int)strcspn(c->name, " "), c->name);
		assert_int_equal(RUN("completion", "words", "--", first, second ? second + 1 : "--",
					 second ? "--" : NULL),
			CLI_DONE);
		for (const struct cli_option *o = c->options; o != NULL && o->name != NULL; o++)
			contains(f->out, o->name);
		contains(f->out, "--json\t");
	}
	assert_int_equal(RUN("completion", "words", "--", "endpoint", "show", "--", ""), CLI_DONE);
	assert_int_equal(RUN("completion", "words"), CLI_DONE);
	assert_int_equal(RUN("completion", "words", "--", "--", "=", "-", "x"), CLI_DONE);
	assert_int_equal(RUN("completion", "tcsh"), CLI_USAGE);
}

static void manual_pages(void **state)
{
	struct fleet_aid *f = *state;

	assert_int_equal(RUN("manual", "--date", "2026-01-02"), CLI_DONE);
	contains(f->out, ".TH CERTFLEET 1 \"2026");
	for (const struct cli_command *c = cli_commands; c->name != NULL; c++)
		contains(f->out, c->name);
	assert_int_equal(RUN("manual", "certfleet.yaml.5"), CLI_DONE);
	contains(f->out, "authorities[].directory");
	assert_int_equal(RUN("manual", "certfleet-worker.8"), CLI_DONE);
	assert_int_equal(RUN("manual", "nothing.1"), CLI_USAGE);
	assert_int_equal(RUN("audit", "--watch"), CLI_USAGE);
}

/* Reading */

static void empty_fleet_says_what_to_do(void **state)
{
	struct fleet_aid *f = *state;

	assert_int_equal(RUN("endpoint", "list"), CLI_DONE);
	assert_string_equal(f->out, "");
	contains(f->err, "certfleet endpoint add shop.example.com");
	assert_int_equal(RUN("--json", "endpoint", "list"), CLI_DONE);
	assert_string_equal(f->out, "{\"endpoints\":[]}\n");
	assert_int_equal(RUN("alerts"), CLI_DONE);
	assert_string_equal(f->err, "No alert is open.\n");
	assert_int_equal(RUN("workers"), CLI_DONE);
	contains(f->err, "certfleet-worker -c ");
	assert_int_equal(RUN("status", "--check"), CLI_NOT_YET);
	contains(f->out, "leader      none: no certfleet-scheduler runs\n");
	assert_int_equal(RUN("results"), CLI_DONE);
	assert_int_equal(RUN("jobs", "list"), CLI_DONE);
	contains(f->err, "No job runs");
	assert_int_equal(RUN("audit"), CLI_DONE);
	contains(f->out, "0 endpoints looked at");
}

static void many_endpoints_come_in_pages(void **state)
{
	struct fleet_aid *f = *state;
	size_t lines = 0;

	for (int i = 0; i < 450; i++) {
		char id[32];
		snprintf(id, sizeof id, "n%03d.example.com", i);
		fleet_aid_endpoint(f, id, i % 2 ? "odd" : "even");
	}
	assert_int_equal(RUN("endpoint", "list"), CLI_DONE);
	for (const char *p = f->out; *p; p++)
		lines += *p == '\n';
	assert_int_equal(lines, 451);
	assert_int_equal(
		RUN("--json", "endpoint", "list", "--tenant", "odd", "--limit", "3"), CLI_DONE);
	json_t *j = json_loads(f->out, 0, NULL);
	const json_t *list = json_object_get(j, "endpoints");
	assert_int_equal(json_array_size(list), 3);
	const json_t *first = json_array_get(list, 0);
	assert_string_equal(json_string_value(json_object_get(first, "id")), "n001.example.com");
	assert_int_equal(RUN("endpoint", "list", "n44"), CLI_DONE);
	contains(f->out, "n449.example.com");
	assert_null(strstr(f->out, "n399.example.com"));
	assert_int_equal(RUN("endpoint", "list", "--state", "parked"), CLI_DONE);
	contains(f->err, "None of the 450 endpoints fits.");
	list = json_object_get(first, "reason");
	assert_int_equal(
		RUN("endpoint", "list", "n44", "--reason", json_string_value(list)), CLI_DONE);
	contains(f->out, "n449.example.com");
	assert_int_equal(RUN("endpoint", "list", "--reason", "record_missing"), CLI_DONE);
	contains(f->err, "None of the 450 endpoints fits.");
	assert_int_equal(RUN("endpoint", "list", "--authority", "nobody"), CLI_DONE);
	contains(f->err, "None of the 450 endpoints fits.");
	json_decref(j);
}

static void unknown_endpoint(void **state)
{
	struct fleet_aid *f = *state;

	fleet_aid_endpoint(f, "shop.example.com", "acme");
	assert_int_equal(RUN("endpoint", "show", "shop"), CLI_FAILED);
	contains(f->err,
		"there is no endpoint \"shop\" in fleet test\n  Similar ones: shop.example.com\n");
	assert_int_equal(RUN("certificate", "show", "SHOP"), CLI_FAILED);
	assert_int_equal(RUN("records", "nothing"), CLI_FAILED);
	contains(f->err, "\"certfleet endpoint list\" shows those that there are.");
}

static void records_and_their_check(void **state)
{
	struct fleet_aid *f = *state;

	fleet_aid_endpoint(f, "wiki.example.com", "acme");
	assert_int_equal(RUN("records", "wiki.example.com"), CLI_DONE);
	contains(f->out, "_acme-challenge.wiki.example.com  CNAME  ");
	contains(f->out, ".acme.platform.example  not looked at\n");
	assert_int_equal(RUN("records", "wiki.example.com", "--check"), CLI_NOT_YET);
	assert_int_equal(RUN("records", "wiki.example.com", "--zone"), CLI_DONE);
	contains(f->out, "_acme-challenge.wiki.example.com. IN CNAME ");
	assert_int_equal(RUN("--json", "records", "wiki.example.com"), CLI_DONE);
	json_t *j = json_loads(f->out, 0, NULL);
	assert_int_equal(json_array_size(json_object_get(j, "records")), 1);
	json_decref(j);
}

static void unreadable_records_are_told(void **state)
{
	struct fleet_aid *f = *state;

	fleet_aid_endpoint(f, "a.example.com", "acme");
	fleet_aid_endpoint(f, "b.example.com", "acme");
	fleet_aid_field(f, "a.example.com", "c", "\x01", 1);
	assert_int_equal(RUN("endpoint", "list"), CLI_DONE);
	contains(f->out, "b.example.com");
	contains(f->err, "endpoint a.example.com cannot be read: ");
	assert_int_equal(RUN("endpoint", "show", "a.example.com"), CLI_FAILED);
}

static void redis_and_config_that_are_not_there(void **state)
{
	struct fleet_aid *f = *state;

	redis_server_kill(f->server);
	assert_int_equal(RUN("endpoint", "list"), CLI_FAILED);
	contains(f->err, "Connection refused");
	contains(f->err, "Is Redis running and reachable from here?");
	redis_server_restart(f->server);
	assert_int_equal(RUN("-c", "/nonexistent.yaml", "status"), CLI_USAGE);
	contains(f->err, "--config is given twice");
	FILE *file = fopen(f->config, "ae");
	fputs("flet: x\n", file);
	fclose(file);
	assert_int_equal(RUN("config", "check"), CLI_FAILED);
	contains(f->err, "certfleet.yaml:13:1: unknown key \"flet\"");
}

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
	assert_int_equal(RUN("certificate", "export", "a.example.com", "--dir", dir), CLI_NOT_YET);
	contains(f->err, "has no certificate yet");
	fleet_aid_certificate(f, "a.example.com", "0a01", clock_wall_ms() - CLOCK_HOUR_MS, NULL);
	assert_int_equal(RUN("certificate", "export", "a.example.com", "--dir", dir), CLI_DONE);
	file_has(f, "out/privkey.pem", "-----BEGIN PRIVATE KEY-----", 0600);
	file_has(f, "out/cert.pem", "-----BEGIN CERTIFICATE-----", 0644);
	file_has(f, "out/chain.pem", "-----BEGIN CERTIFICATE-----", 0644);
	file_has(f, "out/fullchain.pem", "-----BEGIN CERTIFICATE-----", 0644);
	file_has(f, "out/combined.pem", "-----BEGIN CERTIFICATE-----", 0600);
	assert_int_equal(RUN("certificate", "show", "a.example.com"), CLI_DONE);
	contains(f->out, "  serial      0a01\n  issuer      Test CA 1 (authority testca)\n");
	assert_int_equal(RUN("certificate", "show", "a.example.com", "--pem"), CLI_DONE);
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
	assert_int_equal(RUN("certificate", "export", "a.example.com", "--dir", dir), CLI_FAILED);
	contains(f->err, "its private key is not the certificate's");
	FILE *file = fopen(key_file, "we");
	fputs("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n", file);
	fclose(file);
	assert_int_equal(RUN("certificate", "export", "a.example.com", "--dir", dir), CLI_FAILED);
	contains(f->err, "it was sealed with another key");
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
	assert_int_equal(RUN("sync", "--dir", dir, "--reload", reload, "--once"), CLI_DONE);
	contains(f->out, "installed a.example.com: serial 0a01");
	contains(f->out, "2 written");
	file_has(f, "certs/a.example.com.pem", "-----BEGIN CERTIFICATE-----", 0600);
	_mem_free_ char *first = fleet_aid_read(f, "certs/a.example.com.pem");
	contains(first, "-----BEGIN PRIVATE KEY-----");

	assert_int_equal(RUN("sync", "--dir", dir, "--reload", reload, "--once"), CLI_DONE);
	contains(f->out, "2 current, 0 written");
	fleet_aid_certificate(f, "a.example.com", "0a02", now, NULL);
	fleet_aid_redis(f, "ZREM", "@endpoints", "b.example.com", NULL);
	fleet_aid_redis(f, "DEL", "@e:b.example.com", NULL);
	assert_int_equal(RUN("sync", "--dir", dir, "--reload", reload, "--once"), CLI_DONE);
	contains(f->out, "replaced  a.example.com: serial 0a02");
	_mem_free_ char *second = fleet_aid_read(f, "certs/a.example.com.pem");
	assert_string_not_equal(first, second);

	fleet_aid_certificate(f, "a.example.com", "0a03", now - CLOCK_DAY_MS, NULL);
	assert_int_equal(RUN("sync", "--dir", dir, "--reload", reload, "--once"), CLI_DONE);
	contains(f->out, "refused   a.example.com: Redis has an older certificate");
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
	assert_int_equal(RUN("sync", "--dir", dir, "--once", "--tenant", "nobody"), CLI_DONE);
	contains(f->out, "0 current, 0 written");
	FILE *file = fopen(pem, "we");
	fputs("half a file", file);
	fclose(file);
	assert_int_equal(RUN("sync", "--dir", dir, "--once", "--reload", "exit 7"), CLI_FAILED);
	contains(f->out, "holds no certificate");
	contains(f->out, "installed a.example.com");
	contains(f->out, "reload failed");
	contains(f->out, "status 7");
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
	assert_int_equal(RUN("sync", "--dir", dir, "--once"), CLI_FAILED);
	contains(f->err, "another certfleet sync keeps the folder");
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

static void redis_that_does_not_answer(void **state)
{
	struct fleet_aid *f = *state;

	fleet_aid_endpoint(f, "a.example.com", "acme");
	redis_server_pause(f->server);
	assert_int_equal(RUN("endpoint", "list"), CLI_FAILED);
	contains(f->err, "did not answer in time");
	redis_server_resume(f->server);
	assert_int_equal(RUN("endpoint", "list"), CLI_DONE);
}

/* Requests: a thread answers as a scheduler would */

struct answerer {
	struct fleet_aid *f;
	size_t n;           /* how many to answer */
	const char *refuse; /* the subject to be refused */
};

static void answer_one(struct redis_sync *r, const struct reply *entry, const struct answerer *a)
{
	_buf_release_ struct buf key = BUF_INIT(500);
	_buf_release_ struct buf data = BUF_INIT(5000);
	const struct reply *fields = reply_at(entry, 1);
	const char *source = "";
	const char *id = "";
	const char *subject = "";

	for (size_t i = 0; i + 1 < reply_len(fields); i += 2) {
		const char *name = reply_str(reply_at(fields, i), NULL);
		const char *value = reply_str(reply_at(fields, i + 1), NULL);
		if (strcmp(name, "source") == 0)
			source = value;
		else if (strcmp(name, "id") == 0)
			id = value;
		else if (strcmp(name, "subject") == 0)
			subject = value;
	}
	bool refused = a->refuse != NULL && strcmp(a->refuse, subject) == 0;
	buf_addf(&key, "cf:{test}:req:%s:%s", source, id);
	size_t map = mp_map_open(&data);
	mp_key_str(&data, "status", refused ? "refused" : "done");
	mp_key_str(&data, "endpoint", refused ? "" : subject);
	mp_key_str(&data, "code", refused ? "exists" : "");
	mp_key_str(&data, "text", refused ? "it is there already" : "");
	mp_key_int(&data, "generation", 1);
	mp_map_close(&data, map);
	const char *argv[] = {"SET", buf_cstr(&key), data.data};
	size_t lens[] = {3, key.len, data.len};
	redis_sync_command(r, NULL, NULL, 3, argv, lens);
}

static void *answer(void *arg)
{
	const struct answerer *a = arg;
	const struct reply *reply;
	struct redis_sync *r = NULL;
	char last[64] = "0-0";

	if (redis_sync_open(&a->f->options, &r, NULL) != 0)
		return NULL;
	for (size_t done = 0; done < a->n;) {
		if (redis_sync_commandv(r, &reply, NULL, "XREAD", "COUNT", "1", "BLOCK", "3000",
			    "STREAMS", "cf:{test}:requests", last, NULL) != 0 ||
			reply_type(reply) == REPLY_NIL)
			break;
		const struct reply *entry = reply_at(reply_at(reply_at(reply, 0), 1), 0);
		snprintf(last, sizeof last, "%s", reply_str(reply_at(entry, 0), NULL));
		answer_one(r, entry, a);
		done++;
	}
	redis_sync_close(r);
	return NULL;
}

static void nobody_answers(void **state)
{
	struct fleet_aid *f = *state;

	assert_int_equal(
		RUN("endpoint", "verify", "a.example.com", "--timeout", "200ms"), CLI_NOT_YET);
	contains(f->err, "no scheduler answered within 200ms: none leads the fleet");
	contains(f->err, "The request stays queued");
	_mem_free_ char *stream = redis_server_cli(f->server, "XRANGE cf:{test}:requests - +");
	contains(stream, "endpoint.verify");
	contains(stream, "application/msgpack");
	contains(stream, "cli/");
}

static void names_are_checked_before_anything_is_sent(void **state)
{
	struct fleet_aid *f = *state;

	assert_int_equal(RUN("endpoint", "add", "192.0.2.1", "--type", "internal"), CLI_FAILED);
	contains(f->err, "192.0.2.1");
	assert_int_equal(RUN("endpoint", "add", "a.example.com", "--type", "external"), CLI_FAILED);
	contains(f->err, "target is missing");
	assert_int_equal(
		RUN("endpoint", "add", "a.example.com", "A.example.com", "--type", "internal"),
		CLI_FAILED);
	contains(f->err, "\"A.example.com\" is named twice");
	assert_int_equal(
		RUN("endpoint", "add", "a.example.com", "--type", "internal", "--authority", "x"),
		CLI_FAILED);
	contains(f->err, "authority \"x\" is not in the configuration, which has: testca");
	assert_int_equal(
		RUN("endpoint", "add", "a.example.com", "--type", "internal", "--id", "A b"),
		CLI_FAILED);
	_mem_free_ char *n = redis_server_cli(f->server, "EXISTS cf:{test}:requests");
	assert_string_equal(n, "0");
}

static void import_goes_on_after_a_refusal(void **state)
{
	struct fleet_aid *f = *state;
	struct answerer a = {.f = f, .n = 3, .refuse = "b"};
	_mem_free_ char *path = mem_printf("%s/fleet.yaml", f->folder);
	pthread_t thread;
	FILE *file = fopen(path, "we");

	fputs("endpoints:\n"
	      "  - {id: a, names: [a.example.com], type: internal}\n"
	      "  - {id: b, names: [b.example.com], type: internal}\n"
	      "  - {id: c, names: [not_a_name], type: internal}\n"
	      "  - {id: d, names: [d.example.com], type: internal}\n",
		file);
	fclose(file);
	assert_int_equal(RUN("endpoint", "import", "--dry-run", path), CLI_FAILED);
	contains(f->err, "fleet.yaml:4:5: ");
	contains(f->err, "3 of 4 endpoints are right; nothing was sent");
	assert_int_equal(pthread_create(&thread, NULL, answer, &a), 0);
	assert_int_equal(RUN("endpoint", "import", path), CLI_FAILED);
	pthread_join(thread, NULL);
	contains(f->out, "2 added, 1 refused, 1 wrong in the file, in ");
	contains(f->err, "fleet.yaml:3:5: b is refused: it is there already\n");
}

/* Jobs: by the queue's own scripts */

static void script(struct fleet_aid *f, const char *name, size_t n, const char *const *argv)
{
	struct why why = {0};

	if (redis_sync_script(f->redis, NULL, &why, name, n, argv, NULL) != 0)
		fail_msg("%s: %s", name, why.text);
}

static void jobs_are_shown_retried_and_cancelled(void **state)
{
	struct fleet_aid *f = *state;
	_mem_free_ char *later = mem_printf("%lld", (long long)clock_wall_ms() + 3600000);
	const char *plan[] = {"verify", "a.example.com", "0", "2", later, "routine", "0"};
	const char *take[] = {"verify", "w1", "0123456789abcdef0123", "8", "60000", "8", "0", "1"};

	fleet_aid_endpoint(f, "a.example.com", "acme");
	assert_int_equal(RUN("jobs", "retry", "a.example.com"), CLI_FAILED);
	contains(f->err, "has no job that waits or is parked");
	script(f, "ask", ARRAY_LEN(plan), plan);
	assert_int_equal(RUN("jobs", "list"), CLI_DONE);
	assert_string_equal(f->out, "");
	assert_int_equal(RUN("jobs", "list", "--all"), CLI_DONE);
	contains(f->out, "a.example.com  verify  due    look  normal  in 59m 59s");
	assert_int_equal(RUN("jobs", "retry", "a.example.com", "--queue", "verify"), CLI_DONE);
	assert_string_equal(f->out, "a.example.com: its verify job is due now\n");
	assert_int_equal(RUN("jobs", "cancel", "a.example.com"), CLI_FAILED);
	contains(f->err, "no job of a.example.com runs now");

	script(f, "take", ARRAY_LEN(take), take);
	assert_int_equal(RUN("jobs", "list", "--where", "running"), CLI_DONE);
	contains(f->out, "a.example.com  verify  running  look  person");
	contains(f->out, "w1\n");
	assert_int_equal(RUN("jobs", "show", "a.example.com"), CLI_DONE);
	contains(f->out, "verify: running\n");
	contains(f->out, "  worker      w1\n");
	assert_int_equal(RUN("jobs", "cancel", "a.example.com"), CLI_DONE);
	assert_string_equal(f->out, "a.example.com: w1 is told to stop its verify job\n");
	assert_int_equal(RUN("jobs", "retry", "none"), CLI_FAILED);
}

static void status_of_a_fleet_that_works(void **state)
{
	struct fleet_aid *f = *state;
	_mem_free_ char *now = mem_printf("%lld", (long long)clock_wall_ms());
	const char *hold[] = {"hold", "sched:1:abc", "0", "60000"};

	script(f, "leader", ARRAY_LEN(hold), hold);
	fleet_aid_redis(f, "ZADD", "@workers", now, "w1", NULL);
	fleet_aid_redis(f, "HSET", "@w:w1", "verify_running", "3", "verify_slots", "10", "dns01",
		"127.0.0.1:53", "started", now, NULL);
	fleet_aid_redis(f, "ZADD", "@workers", "5", "w0", NULL);
	fleet_aid_endpoint(f, "a.example.com", "acme");
	assert_int_equal(RUN("status", "--check"), CLI_DONE);
	contains(f->out, "leader      sched:1:abc, its lease runs ");
	contains(f->out, "workers     1 alive, 1 silent\n");
	contains(f->out, "endpoints   1: 1 provisioning\n");
	assert_int_equal(RUN("workers"), CLI_DONE);
	contains(f->out, "w1      alive");
	contains(f->out, "3/10");
	contains(f->out, "w0      silent");
	assert_int_equal(
		RUN("endpoint", "verify", "a.example.com", "--timeout", "100ms"), CLI_NOT_YET);
	contains(f->err, "one leads, but does not get round to it");
	/* No job is recorded for an endpoint that was made by hand, and no claim. */
	assert_int_equal(RUN("audit"), CLI_NOT_YET);
	contains(f->out, "a.example.com  verify");
	contains(f->out, "2 faults found, 0 repaired");
	assert_int_equal(RUN("--json", "audit", "--repair"), CLI_DONE);
	json_t *j = json_loads(f->out, 0, NULL);
	assert_int_equal(json_integer_value(json_object_get(j, "repaired")), 2);
	json_decref(j);
	assert_int_equal(RUN("audit"), CLI_DONE);
	contains(f->out, "all that is needed is planned");
}

static void wait_ends_and_says_why(void **state)
{
	struct fleet_aid *f = *state;

	fleet_aid_endpoint(f, "a.example.com", "acme");
	assert_int_equal(
		RUN("endpoint", "wait", "a.example.com", "--timeout", "150ms"), CLI_NOT_YET);
	contains(f->err, "not yet after ");
	contains(f->err, "a.example.com is provisioning");
	fleet_aid_certificate(f, "a.example.com", "0a01", clock_wall_ms(), NULL);
	assert_int_equal(RUN("endpoint", "wait", "--all"), CLI_DONE);
	contains(f->err, "a.example.com is active.\n");
	assert_int_equal(RUN("endpoint", "wait", "b.example.com"), CLI_FAILED);
	assert_int_equal(RUN("endpoint", "wait", "b.example.com", "--state", "gone"), CLI_DONE);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, fleet, no_fleet)
	const struct CMUnitTest tests[] = {
		TEST(usage),
		TEST(help_for_each_command),
		TEST(completes_each_command_and_option),
		TEST(manual_pages),
		TEST(empty_fleet_says_what_to_do),
		TEST(many_endpoints_come_in_pages),
		TEST(unknown_endpoint),
		TEST(records_and_their_check),
		TEST(unreadable_records_are_told),
		TEST(redis_and_config_that_are_not_there),
		TEST(certificate_export),
		TEST(key_that_does_not_fit_is_refused),
		TEST(sync_once_installs_and_never_steps_back),
		TEST(sync_mends_a_broken_file_and_tells_of_a_failed_reload),
		TEST(sync_follows_and_survives_redis),
		TEST(one_sync_a_folder),
		TEST(following_survives_redis),
		TEST(redis_that_does_not_answer),
		TEST(nobody_answers),
		TEST(names_are_checked_before_anything_is_sent),
		TEST(import_goes_on_after_a_refusal),
		TEST(jobs_are_shown_retried_and_cancelled),
		TEST(status_of_a_fleet_that_works),
		TEST(wait_ends_and_says_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* common/config*.c: what is read, what is refused and in which words, and that the examples load.
 */
#include "common/config.h"

#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka.h wants setjmp.h, stdarg.h and stddef.h. */
#include <cmocka.h>

#define BASE "fleet: prod\nredis: { url: \"redis://127.0.0.1:6379/0\" }\n"

static struct config *load(const char *text)
{
	struct config *c = NULL;
	struct config_errors errors;

	if (config_parse("f.yaml", text, strlen(text), &c, &errors))
		fail_msg("%s", errors.lines[0]);
	assert_int_equal(errors.n, 0);
	return c;
}

/* All error lines as one text. */
static void refuse(const char *text, const char *expected)
{
	struct config *c = NULL;
	struct config_errors errors;
	_buf_release_ struct buf lines = BUF_INIT(1 << 20);

	assert_int_equal(config_parse("f.yaml", text, strlen(text), &c, &errors), CF_EINVAL);
	assert_null(c);
	assert_true(errors.n > 0);
	config_errors_text(&errors, &lines);
	if (!strstr(buf_cstr(&lines), expected))
		fail_msg("expected: %s\ngot: %s", expected, buf_cstr(&lines));
	config_errors_release(&errors);
}

static void test_least(void **state)
{
	struct config *c = load(BASE);
	char name[80];

	(void)state;
	assert_string_equal(c->fleet, "prod");
	assert_string_equal(c->redis.host, "127.0.0.1");
	assert_int_equal(c->redis.port, 6379);
	assert_int_equal(c->redis.db, 0);
	assert_int_equal(c->redis.timeout_ms, 5000);
	assert_int_equal(c->resolver.servers.n, 1);
	assert_string_equal(c->resolver.servers.items[0].host, "127.0.0.1");
	assert_int_equal(addr_port(&c->resolver.servers.items[0].addr), 53);
	assert_int_equal(c->resolver.roots.n, 0);
	assert_int_equal(c->resolver.authoritative_port, 53);
	assert_int_equal(c->resolver.per_server, 200);
	assert_int_equal(c->worker.roles, ROLE_JOBS | ROLE_HTTP_01 | ROLE_DNS_01);
	assert_int_equal(c->worker.slots.verify, 1000);
	assert_int_equal(c->worker.slots.issue, 200);
	assert_int_equal(c->worker.lease_ms, 30000);
	assert_int_equal(c->worker.drain_ms, 30000);
	assert_null(c->worker.listen.text);
	assert_string_equal(c->worker.http_01.listen.items[0].text, "0.0.0.0:80");
	assert_int_equal(c->worker.http_01.advertise.n, 0);
	assert_int_equal(c->scheduler.verify_every_ms, 3600000);
	assert_int_equal(c->scheduler.verify_fast_ms, 5000);
	assert_string_equal(c->scheduler.listen.text, "127.0.0.1:8080");
	assert_int_equal(c->log.level, LOG_INFO);
	assert_int_equal(c->authorities.n, 0);
	assert_non_null(strchr(config_worker_name(c, name, sizeof name), '-'));
	assert_null(config_authority(c, "x"));
	config_free(c);
	config_free(NULL);
}

static const char full[] =
	"fleet: f1\n"
	"redis:\n"
	"  url: rediss://me@redis.example:6380/3\n"
	"  password_file: /p\n"
	"  tls: { ca_file: /ca, cert_file: /c, key_file: /k }\n"
	"  replicas: 1\n"
	"  timeout: 200ms\n"
	"vault: { accounts_key_file: /a, certificates_key_file: /b }\n"
	"authorities:\n"
	"  - name: letsencrypt\n"
	"    directory: https://acme-v02.api.letsencrypt.org/directory\n"
	"    contact: [\"mailto:ops@platform.example\"]\n"
	"    terms_of_service_agreed: true\n"
	"    profile: classic\n"
	"    caa_identities: [letsencrypt.org]\n"
	"    eab: { kid: k1, hmac_key_file: /h }\n"
	"    limits: { new_orders: 300/3h, duplicates: 5/7d }\n"
	"  - { name: other, directory: \"https://127.0.0.1:14000/dir\", ca_file: /x, max_requests: "
	"7 }\n"
	"challenges:\n"
	"  zones: [ACME.Platform.example]\n"
	"  label_key_file: /l\n"
	"  nameservers:\n"
	"    - { name: ns1.acme.platform.example, addresses: [\"127.0.0.1:5353\", \"[::1]:5354\", "
	"\"2001:db8::1\"] }\n"
	"  trust_target_cname: true\n"
	"targets: [ { host: in.example.com, tenant: t 1 } ]\n"
	"resolver: { servers: [\"127.0.0.1:5300\"], timeout: 1500ms,\n"
	"  roots: [\"127.0.1.1:5353\"], authoritative_port: 5353, per_server: 7 }\n"
	"network: { allow: [127.0.0.0/8, \"fd00::/8\"] }\n"
	"edge: { addresses: [192.0.2.10, \"[2001:db8::10]:8443\"], port: 444, "
	"http_port: 8080 }\n"
	"scheduler: { listen: \"127.0.0.1:0\", verify_every: 200ms, verify_fast: 200ms, "
	"proof_every: 1d, probe_every: 2d, lease: 1s }\n"
	"worker:\n"
	"  name: w-1\n"
	"  roles: [jobs, tls-alpn-01, notify, look]\n"
	"  zone: office\n"
	"  slots: { verify: 5, issue: 6 }\n"
	"  lease: 2s\n"
	"  drain: 0\n"
	"  listen: \"[::1]:9000\"\n"
	"  http_01: { listen: [\"127.0.0.1:8402\"], advertise: [\"node1:80\", \"192.0.2.1\"] }\n"
	"alerts: { webhooks: [ { url: \"https://hook.example/x\", secret_file: /s } ] }\n"
	"log: { level: debug, format: json }\n";

static void check_full(const struct config *c)
{
	const struct config_authority *le = config_authority(c, "letsencrypt");
	const struct config_nameserver *ns = &c->challenges.nameservers.items[0];

	assert_true(c->redis.tls.enabled);
	assert_int_equal(c->edge.http_port, 8080);
	assert_int_equal(c->scheduler.probe_every_ms, INT64_C(172800000));
	assert_string_equal(c->redis.host, "redis.example");
	assert_int_equal(c->redis.port, 6380);
	assert_int_equal(c->redis.db, 3);
	assert_string_equal(c->redis.username, "me");
	assert_int_equal(c->redis.timeout_ms, 200);
	assert_int_equal(c->authorities.n, 2);
	assert_string_equal(le->contact.items[0], "mailto:ops@platform.example");
	assert_true(le->terms_of_service_agreed);
	assert_string_equal(le->eab.kid, "k1");
	assert_int_equal(le->limits.new_orders.count, 300);
	assert_int_equal(le->limits.new_orders.window_ms, 3 * 3600000);
	assert_int_equal(le->limits.failed_authorizations.count, 0);
	assert_int_equal(le->max_requests, 128);
	assert_int_equal(config_authority(c, "other")->max_requests, 7);
	assert_string_equal(c->challenges.zones.items[0], "acme.platform.example");
	assert_int_equal(ns->addresses.n, 3);
	assert_int_equal(ns->addresses.items[0].port, 5353);
	assert_string_equal(ns->addresses.items[1].host, "::1");
	assert_int_equal(ns->addresses.items[1].port, 5354);
	assert_int_equal(ns->addresses.items[2].port, 53);
	assert_true(c->challenges.trust_target_cname);
	assert_string_equal(c->targets.items[0].tenant, "t 1");
	assert_int_equal(addr_port(&c->resolver.roots.items[0].addr), 5353);
	assert_int_equal(c->resolver.authoritative_port, 5353);
	assert_int_equal(c->resolver.per_server, 7);
	assert_int_equal(c->network.allow.n, 2);
	assert_int_equal(c->scheduler.listen.port, 0);
	assert_int_equal(c->edge.addresses.n, 2);
	assert_int_equal(addr_port(&c->edge.addresses.items[0].addr), 443);
	assert_int_equal(addr_port(&c->edge.addresses.items[1].addr), 8443);
	assert_int_equal(c->edge.port, 444);
	assert_true(c->scheduler.proof_every_ms == 86400000);
	assert_int_equal(c->worker.roles, ROLE_JOBS | ROLE_TLS_ALPN_01 | ROLE_NOTIFY | ROLE_LOOK);
	assert_string_equal(c->worker.zone, "office");
	assert_string_equal(c->worker.name, "w-1");
	assert_int_equal(c->worker.drain_ms, 0);
	assert_int_equal(c->worker.listen.port, 9000);
	assert_false(c->worker.http_01.advertise.items[0].is_ip);
	assert_string_equal(c->worker.http_01.advertise.items[0].host, "node1");
	assert_true(c->worker.http_01.advertise.items[1].is_ip);
	assert_int_equal(c->worker.http_01.advertise.items[1].port, 80);
	assert_string_equal(c->alerts.webhooks.items[0].url, "https://hook.example/x");
	assert_int_equal(c->log.level, LOG_DEBUG);
	assert_int_equal(c->log.format, LOG_JSON);
}

static void test_full_and_printed_again(void **state)
{
	_buf_release_ struct buf text = BUF_INIT(1 << 20);
	struct config *c = load(full);

	(void)state;
	check_full(c);
	config_print_effective(c, &text);
	config_free(c);
	c = load(buf_cstr(&text));
	check_full(c);
	config_free(c);
}

static void test_unix_socket(void **state)
{
	struct config *c = load("fleet: f\nredis: { url: \"unix:///run/redis.sock?db=2\" }");
	struct redis_options o;
	struct why why;

	(void)state;
	assert_int_equal(config_redis_options(c, "me", &o, &why), 0);
	assert_null(o.host);
	assert_string_equal(o.unix_path, "/run/redis.sock");
	assert_int_equal(o.db, 2);
	assert_string_equal(o.client_name, "me");
	assert_string_equal(o.fleet, "f");
	config_free(c);
}

static void check_sentinel(struct config *c)
{
	struct redis_options o;
	struct why why;
	char where[128];

	assert_int_equal(config_redis_options(c, "me", &o, &why), 0);
	assert_null(o.host);
	assert_string_equal(o.sentinel_master, "certfleet");
	assert_int_equal(o.nodes_n, 3);
	assert_string_equal(o.nodes[0].host, "10.0.0.1");
	assert_int_equal(o.nodes[0].port, 26379);
	assert_string_equal(o.nodes[1].host, "s2.example");
	assert_int_equal(o.nodes[1].port, 5000);
	assert_string_equal(o.nodes[2].host, "2001:db8::3");
	assert_int_equal(o.db, 4);
	assert_true(o.tls);
	assert_false(o.sentinel_tls);
	assert_string_equal(o.tls_ca_file, "/x");
	assert_string_equal(config_redis_where(c, where, sizeof where),
		"sentinel certfleet at 10.0.0.1 s2.example:5000 [2001:db8::3]");
}

static void test_sentinel(void **state)
{
	struct buf text = BUF_INIT(1 << 20);
	struct config *c =
		load("fleet: f\nredis: { sentinel: { master: certfleet, nodes: "
		     "[10.0.0.1, \"s2.example:5000\", \"[2001:db8::3]\"] }, database: 4, "
		     "tls: { enabled: true, ca_file: /x } }");

	(void)state;
	check_sentinel(c);
	config_print_effective(c, &text);
	config_free(c);
	c = load(buf_cstr(&text));
	check_sentinel(c);
	config_free(c);
	buf_release(&text);
}

static void test_cluster(void **state)
{
	struct config *c = load("fleet: f\nredis: { cluster: { nodes: [a, \"b:7001\"] } }");
	struct redis_options o;
	struct why why;
	char where[128];

	(void)state;
	assert_int_equal(config_redis_options(c, "me", &o, &why), 0);
	assert_null(o.sentinel_master);
	assert_int_equal(o.nodes_n, 2);
	assert_string_equal(o.nodes[0].host, "a");
	assert_int_equal(o.nodes[0].port, 6379);
	assert_int_equal(o.nodes[1].port, 7001);
	assert_string_equal(config_redis_where(c, where, sizeof where), "cluster at a b:7001");
	config_free(c);
}

static void test_password_file(void **state)
{
	char path[] = "/tmp/certfleet-config-XXXXXX";
	int fd = mkstemp(path);
	_mem_free_ char *text = mem_printf(
		"fleet: f\nredis: { url: \"redis://[::1]\", username: u, password_file: %s }",
		path);
	struct config *c = load(text);
	struct redis_options o;
	struct why why;

	(void)state;
	assert_int_equal(config_redis_options(c, "me", &o, &why), CF_EIO); /* empty */
	assert_non_null(strstr(why.text, path));
	assert_int_equal(write(fd, "sesame\n", 7), 7);
	close(fd);
	assert_int_equal(config_redis_options(c, "me", &o, &why), 0);
	assert_string_equal(o.password, "sesame");
	assert_string_equal(o.username, "u");
	assert_string_equal(o.host, "::1");
	assert_int_equal(o.port, 6379);
	config_free(c);
	unlink(path);
	c = load(text);
	assert_int_equal(config_redis_options(c, "me", &o, &why), CF_EIO);
	config_free(c);
}

static const struct {
	const char *more; /* after BASE */
	const char *expected;
} refused[] = {
	{"challenges: { zones: [\"foo bar\"], label_key_file: /l }\n",
		"f.yaml:3:23: challenges.zones[0]: expected a host name, got \"foo bar\""},
	{"challenges: { zonse: [a.b] }\n",
		"f.yaml:3:15: challenges: unknown key \"zonse\": did you mean \"zones\"?"},
	{"chalenges: {}\n", "f.yaml:3:1: unknown key \"chalenges\": did you mean \"challenges\"?"},
	{"zzzzzzzzzz: {}\n", "unknown key \"zzzzzzzzzz\": expected one of fleet, redis"},
	{"fleet: again\n", "f.yaml:3:1: the key \"fleet\" stands here twice"},
	{"worker: { lease: 30 }\n", "f.yaml:3:18: worker.lease: expected a duration from 200ms to "
				    "1h, such as 250ms, 30s, 12h, got \"30\""},
	{"worker: { lease: 2d }\n", "worker.lease: expected a duration"},
	{"worker: { roles: [jobs, http] }\n",
		"f.yaml:3:25: worker.roles[1]: expected some of jobs, http-01, dns-01, "
		"tls-alpn-01, notify, look, got \"http\""},
	{"worker: { zone: \"a b\" }\n", "worker.zone: expected"},
	{"worker: { zone: Office }\n", "worker.zone: expected 1 to 32 of a-z"},
	{"worker: { zone: -x }\n", "worker.zone: expected 1 to 32 of a-z"},
	{"worker: { roles: [look] }\n", "worker.roles: look needs worker.zone"},
	{"worker: { zone: a23456789012345678901234567890123 }\n", "worker.zone: "},
	{"edge: { addresses: [edge.example] }\n", "edge.addresses[0]: expected"},
	{"edge: { port: 0 }\n", "edge.port: expected"},
	{"edge: { port: 65536 }\n", "edge.port: expected"},
	{"worker: { roles: [jobs, jobs] }\n", "\"jobs\" stands here twice"},
	{"worker: { roles: jobs }\n", "worker.roles: expected a list"},
	{"worker: { slots: { issue: -1 } }\n",
		"worker.slots.issue: expected a number from 0 to 100000, got \"-1\""},
	{"worker: { slots: [1] }\n", "worker.slots: expected a section of keys, got a list"},
	{"worker: { http_01: { listen: [\"example.com:80\"] } }\n",
		"worker.http_01.listen[0]: expected an IP address"},
	{"worker: { name: }\n", "worker.name: expected letters"},
	{"worker: 7\n", "f.yaml:3:9: worker: expected a section of keys, got \"7\""},
	{"log: { level: loud }\n",
		"log.level: expected one of debug, info, warn, error, got \"loud\""},
	{"challenges: { trust_target_cname: yes }\n",
		"challenges.trust_target_cname: expected true or false, got \"yes\""},
	{"challenges: { dns_provider: { rfc2136: {} } }\n",
		"rfc2136 is not supported yet), got a section of keys"},
	{"challenges: { dns_provider: rfc2136 }\n", "rfc2136 is not supported yet"},
	{"challenges: { zones: [a.example, A.example.], label_key_file: /l }\n",
		"f.yaml:3:34: challenges.zones[1]: \"a.example\" stands here twice"},
	{"challenges: { zones: [example], label_key_file: /l }\n", "is a top-level domain"},
	{"challenges: { zones: [a.example] }\n", "zones need label_key_file"},
	{"challenges: { nameservers: [ { name: ns1.example, addresses: [] } ] }\n",
		"challenges.nameservers[0].addresses: expected 1 to 16 items, got 0"},
	{"challenges: { nameservers: [ { addresses: [192.0.2.1] } ] }\n",
		"f.yaml:3:30: challenges.nameservers[0].name: missing: expected a host name"},
	{"authorities: [ { name: a, directory: \"http://x/\" } ]\n",
		"authorities[0].directory: expected an https:// URL, got \"http://x/\""},
	{"authorities: [ { name: a, directory: \"https://x/\" }, { name: a, directory: "
	 "\"https://y/\" } ]\n",
		"authorities[1].name: \"a\" stands here twice"},
	{"authorities: [ { name: a, directory: \"https://x/\", limits: { new_orders: 300 } } ]\n",
		"authorities[0].limits.new_orders: expected a rate such as 300/3h, got \"300\""},
	{"authorities: [ { name: a, directory: \"https://x/\", eab: { kid: k } } ]\n",
		"authorities[0].eab: expected both kid and hmac_key_file"},
	{"authorities: [ { name: a, directory: \"https://x/\", contact: [ops@x.example] } ]\n",
		"authorities[0].contact[0]: expected mailto:"},
	{"network: { allow: [10.0.0.0/33] }\n", "network.allow[0]: expected a network"},
	{"targets: [ { host: a.example, tenant: a }, { host: a.example, tenant: b } ]\n",
		"targets[1].host: \"a.example\" stands here twice"},
	{"vault: &x {}\n", "f.yaml:3:8: anchors, aliases and tags are not taken here"},
	{"vault: *x\n", "anchors, aliases and tags are not taken here"},
	{"vault: !!map {}\n", "anchors, aliases and tags"},
	{"vault: {\n", "f.yaml:4:1: not YAML: "},
	{"---\nfleet: b\n", "a second document"},
	{"vault: [[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]\n", "nested too deeply"},
	{"{ a: b }: c\n", "expected a key"},
};

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		_mem_free_ char *text = mem_printf("%s%s", BASE, refused[i].more);

		refuse(text, refused[i].expected);
	}
}

static const struct {
	const char *redis;
	const char *expected;
} redis_refused[] = {
	{"url: \"http://x\"", "redis.url: expected redis://HOST:PORT/DB"},
	{"url: \"redis://u:secret@x\"", "use redis.password_file"},
	{"url: \"redis://x:99999\"", "redis.url: "},
	{"url: \"redis://x/abc\"", "must be a number"},
	{"url: \"redis://\"", "redis.url: "},
	{"url: \"unix://tmp/x\"", "absolute path"},
	{"url: \"redis://x\", username: u", "redis.username: needs redis.password_file"},
	{"url: \"redis://x\", tls: { ca_file: /x }", "redis.url must begin with rediss://"},
	{"url: \"rediss://x\", tls: { key_file: /x }", "key_file needs cert_file"},
	{"url: \"redis://x/2\", database: 3", "redis.database says another one"},
	{"url: \"redis://x\", tls: { enabled: true }", "redis.url must begin with rediss://"},
	{"replicas: 1", "f.yaml:2:8: redis: expected one of url, sentinel and cluster, got none"},
	{"url: \"redis://x\", sentinel: { master: m, nodes: [s] }",
		"redis: expected one of url, sentinel and cluster, got several"},
	{"sentinel: { master: m, nodes: [s] }, cluster: { nodes: [c] }", "got several"},
	{"sentinel: { master: m }", "redis.sentinel: expected both master and nodes"},
	{"sentinel: { nodes: [s] }", "redis.sentinel: expected both master and nodes"},
	{"sentinel: { master: \"a b\", nodes: [s] }",
		"redis.sentinel.master: expected the name under"},
	{"sentinel: { master: m, nodes: [\"s:99999\"] }",
		"redis.sentinel.nodes[0]: expected HOST:PORT"},
	{"sentinel: { master: m, nodes: [s], username: u }",
		"redis.sentinel.username: needs redis.sentinel.password_file"},
	{"sentinel: { master: m, nodes: [s] }, tls: { ca_file: /x }", "set enabled: true"},
	{"cluster: { nodes: [c] }, database: 1", "a cluster has no databases but 0"},
	{"cluster: { nodes: [c] }, username: u", "redis.username: needs redis.password_file"},
};

static void test_redis_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(redis_refused); i++) {
		_mem_free_ char *text =
			mem_printf("fleet: f\nredis: { %s }\n", redis_refused[i].redis);

		refuse(text, redis_refused[i].expected);
	}
}

static void test_all_errors_are_told(void **state)
{
	struct buf text = BUF_INIT(1 << 20);
	struct config *c = NULL;
	struct config_errors errors;

	(void)state;
	buf_adds(&text, "fleet: \"a b\"\nworker: { lease: 1, drain: 2 }\n");
	assert_int_equal(config_parse("f", buf_cstr(&text), text.len, &c, &errors), CF_EINVAL);
	assert_int_equal(errors.n, 3);
	config_errors_release(&errors);
	for (int i = 0; i < 30; i++)
		buf_addf(&text, "k%d: 1\n", i);
	assert_int_equal(config_parse("f", buf_cstr(&text), text.len, &c, &errors), CF_EINVAL);
	assert_int_equal(errors.n, CONFIG_ERRORS_MAX);
	assert_int_equal(errors.more, 13);
	config_errors_release(&errors);
	buf_release(&text);
}

static void test_odd_files(void **state)
{
	struct config *c = NULL;
	struct config_errors errors;
	_mem_free_ char *big = mem_alloc((1 << 20) + 2);

	(void)state;
	refuse("", "f.yaml:1:1: empty");
	refuse("# nothing\n", "empty");
	refuse("- a\n", "f.yaml:1:1: expected a section of keys, got a list");
	refuse("fleet: \"a\\0b\"\n", "a NUL byte");
	refuse("fleet: \xff\xfe\n", "not YAML");
	memset(big, '#', (1 << 20) + 1);
	big[(1 << 20) + 1] = '\0';
	refuse(big, "f.yaml: larger than 1 MiB");
	assert_int_equal(config_load("/nonexistent/c.yaml", &c, &errors), CF_EIO);
	assert_string_equal(errors.lines[0],
		"/nonexistent/c.yaml: cannot be opened: No such file or directory");
	config_errors_release(&errors);
	assert_int_equal(config_load("/tmp", &c, &errors), CF_EIO);
	config_errors_release(&errors);
}

static void put_file(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

static void check_files(const struct config *c, const char *expected)
{
	struct config_errors errors;
	_buf_release_ struct buf lines = BUF_INIT(65536);
	int err = config_check_files(c, &errors);

	config_errors_text(&errors, &lines);
	assert_int_equal(err, expected ? CF_EINVAL : 0);
	if (expected && !strstr(buf_cstr(&lines), expected))
		fail_msg("\"%s\" lacks \"%s\"", buf_cstr(&lines), expected);
	config_errors_release(&errors);
}

static void test_files(void **state)
{
	char path[] = "/tmp/certfleet-config-XXXXXX";
	int fd = mkstemp(path);
	_mem_free_ char *text =
		mem_printf(BASE "authorities: [ { name: a, directory: \"https://x/\","
				" eab: { kid: k, hmac_key_file: %s } } ]\n",
			path);
	struct config *c = load(text);

	(void)state;
	close(fd);
	check_files(c, "authorities[0].eab.hmac_key_file: /tmp/certfleet-config-");
	check_files(c, "is empty");
	put_file(path, "key", 0644);
	check_files(c, "everyone may read");
	put_file(path, "key", 0640);
	check_files(c, NULL);
	unlink(path);
	check_files(c, "No such file");
	config_free(c);
	c = load(BASE "vault: { accounts_key_file: /tmp }\n");
	check_files(c, "vault.accounts_key_file: /tmp is not a plain file");
	config_free(c);
}

static void test_examples_load(void **state)
{
	static const char *const examples[] = {"config/certfleet.yaml", "config/demo.yaml"};
	struct config *c;
	struct config_errors errors;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
		if (config_load(examples[i], &c, &errors))
			fail_msg("%s", errors.lines[0]);
		config_free(c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_least),
		cmocka_unit_test(test_full_and_printed_again),
		cmocka_unit_test(test_unix_socket),
		cmocka_unit_test(test_sentinel),
		cmocka_unit_test(test_cluster),
		cmocka_unit_test(test_password_file),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_redis_refused),
		cmocka_unit_test(test_all_errors_are_told),
		cmocka_unit_test(test_odd_files),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_examples_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "common/clock.h"
#include "common/config_internal.h"

#include <stddef.h>

#define END                 \
	{                   \
		.key = NULL \
	}
/* A key of struct config itself, of a nested struct, and of a list's item. */
#define AT(member)          .offset = offsetof(struct config, member)
#define IN(section, member) .offset = offsetof(struct config_##section, member)

#define HOURS(n)            ((n)*CLOCK_HOUR_MS)
#define DAYS(n)             ((n)*CLOCK_DAY_MS)

static const char *const providers[] = {"builtin", NULL};
static const char *const roles[] = {"jobs", "http-01", "dns-01", "tls-alpn-01", "notify", "look", NULL};
static const char *const ways[] = {"http-01", "dns-01", NULL};
static const char *const events[] = {"alert", "snapshot", "heartbeat", NULL};
static const char *const levels[] = {"debug", "info", "warn", "error", NULL};
static const char *const formats[] = {"logfmt", "json", NULL};

/* A row a key. */
/* clang-format off */

static const struct config_row sentinel[] = {
	{"master", TYPE_WORD, AT(redis.sentinel.master), .most = 64,
	 .expected = "the name under which the Sentinels watch the primary"},
	{"nodes", TYPE_PLACE, AT(redis.sentinel.nodes), .list = REDIS_NODES_MAX, .port = 26379},
	{"username", TYPE_TEXT, AT(redis.sentinel.username), .most = 256,
	 .expected = "the name of an ACL user"},
	{"password_file", TYPE_FILE, AT(redis.sentinel.password_file), .secret = true},
	{"tls", TYPE_BOOL, AT(redis.sentinel.tls), .fallback = "false"},
	END,
};

static const struct config_row cluster[] = {
	{"nodes", TYPE_PLACE, AT(redis.cluster.nodes), .list = REDIS_NODES_MAX, .port = 6379},
	END,
};

static const struct config_row redis_tls[] = {
	{"enabled", TYPE_BOOL, AT(redis.tls.enabled), .fallback = "false"},
	{"ca_file", TYPE_FILE, AT(redis.tls.ca_file)},
	{"cert_file", TYPE_FILE, AT(redis.tls.cert_file)},
	{"key_file", TYPE_FILE, AT(redis.tls.key_file), .secret = true},
	END,
};

static const struct config_row redis[] = {
	{"url", TYPE_TEXT, AT(redis.url),
	 .expected = "redis://HOST:PORT/DB, rediss://HOST:PORT/DB or unix:///PATH"},
	{"sentinel", TYPE_SECTION, .rows = sentinel},
	{"cluster", TYPE_SECTION, .rows = cluster},
	{"database", TYPE_COUNT, AT(redis.db), .fallback = "0", .most = 65535},
	{"username", TYPE_TEXT, AT(redis.username), .most = 256,
	 .expected = "the name of an ACL user"},
	{"password_file", TYPE_FILE, AT(redis.password_file), .secret = true},
	{"tls", TYPE_SECTION, .rows = redis_tls},
	{"replicas", TYPE_COUNT, AT(redis.replicas), .fallback = "0", .most = 16},
	{"barrier_timeout", TYPE_DURATION, AT(redis.barrier_timeout_ms), .fallback = "2s",
	 .least = 10, .most = CLOCK_MINUTE_MS},
	{"timeout", TYPE_DURATION, AT(redis.timeout_ms), .fallback = "5s", .least = 10,
	 .most = CLOCK_MINUTE_MS},
	END,
};

static const struct config_row vault[] = {
	{"accounts_key_file", TYPE_FILE, AT(vault.accounts_key_file), .secret = true},
	{"certificates_key_file", TYPE_FILE, AT(vault.certificates_key_file), .secret = true},
	END,
};

static const struct config_row eab[] = {
	{"kid", TYPE_TEXT, IN(authority, eab.kid), .most = 256},
	{"hmac_key_file", TYPE_FILE, IN(authority, eab.hmac_key_file), .secret = true},
	END,
};

static const struct config_row limits[] = {
	{"new_orders", TYPE_RATE, IN(authority, limits.new_orders)},
	{"certificates_per_registered_domain", TYPE_RATE,
	 IN(authority, limits.certificates_per_registered_domain)},
	{"duplicates", TYPE_RATE, IN(authority, limits.duplicates)},
	{"failed_authorizations", TYPE_RATE, IN(authority, limits.failed_authorizations)},
	{"requests", TYPE_RATE, IN(authority, limits.requests)},
	END,
};

static const struct config_row authority[] = {
	{"name", TYPE_WORD, IN(authority, name), .required = true, .most = 64},
	{"directory", TYPE_HTTPS, IN(authority, directory), .required = true},
	{"contact", TYPE_CONTACT, IN(authority, contact), .list = 8},
	{"terms_of_service_agreed", TYPE_BOOL, IN(authority, terms_of_service_agreed),
	 .fallback = "false"},
	{"profile", TYPE_WORD, IN(authority, profile), .most = 64},
	{"ca_file", TYPE_FILE, IN(authority, ca_file)},
	{"caa_identities", TYPE_HOST, IN(authority, caa_identities), .list = 16},
	{"eab", TYPE_SECTION, .rows = eab},
	{"limits", TYPE_SECTION, .rows = limits},
	{"renewal_info_every", TYPE_DURATION, IN(authority, renewal_info_every_ms), .fallback = "6h",
		.least = 100, .most = DAYS(1)},
	{"max_requests", TYPE_COUNT, IN(authority, max_requests), .fallback = "128", .least = 1,
	 .most = 10000},
	END,
};

static const struct config_row nameserver[] = {
	{"name", TYPE_HOST, IN(nameserver, name), .required = true},
	{"addresses", TYPE_ADDRESS, IN(nameserver, addresses), .required = true, .list = 16,
	 .port = 53},
	END,
};

static const struct config_row challenges[] = {
	{"zones", TYPE_HOST, AT(challenges.zones), .list = 16},
	{"label_key_file", TYPE_FILE, AT(challenges.label_key_file), .secret = true},
	{"nameservers", TYPE_SECTION, AT(challenges.nameservers), .rows = nameserver, .list = 13,
	 .size = sizeof(struct config_nameserver)},
	{"dns_provider", TYPE_CHOICE, AT(challenges.dns_provider), .fallback = "builtin",
	 .choices = providers, .expected = "builtin (rfc2136 is not supported yet)"},
	{"trust_target_cname", TYPE_BOOL, AT(challenges.trust_target_cname), .fallback = "false"},
	END,
};

static const struct config_row breaker[] = {
	{"canary", TYPE_HOST, AT(breaker.canary)},
	{"tenant", TYPE_TEXT, AT(breaker.tenant), .fallback = "default", .most = 64},
	{"challenges", TYPE_FLAGS, AT(breaker.challenges), .fallback = "http-01 dns-01",
	 .choices = ways},
	{"failures", TYPE_COUNT, AT(breaker.failures), .fallback = "5", .least = 2, .most = 16},
	{"window", TYPE_DURATION, AT(breaker.window_ms), .fallback = "10m", .least = 1000,
	 .most = DAYS(1)},
	{"pause", TYPE_DURATION, AT(breaker.pause_ms), .fallback = "30s", .least = 100,
	 .most = HOURS(1)},
	{"longest_pause", TYPE_DURATION, AT(breaker.longest_ms), .fallback = "15m", .least = 100,
	 .most = DAYS(1)},
	END,
};

static const struct config_row target[] = {
	{"host", TYPE_HOST, IN(target, host), .required = true},
	{"tenant", TYPE_TEXT, IN(target, tenant), .required = true, .most = 64},
	END,
};

static const struct config_row resolver[] = {
	{"servers", TYPE_ADDRESS, AT(resolver.servers), .fallback = "127.0.0.1:53", .list = 8,
	 .port = 53},
	{"timeout", TYPE_DURATION, AT(resolver.timeout_ms), .fallback = "3s", .least = 10,
	 .most = CLOCK_MINUTE_MS},
	{"roots", TYPE_ADDRESS, AT(resolver.roots), .list = 13, .port = 53},
	{"authoritative_port", TYPE_COUNT, AT(resolver.authoritative_port), .fallback = "53",
	 .least = 1, .most = 65535},
	{"per_server", TYPE_COUNT, AT(resolver.per_server), .fallback = "200", .least = 1,
	 .most = 1000000},
	END,
};

static const struct config_row network[] = {
	{"allow", TYPE_RANGE, AT(network.allow), .list = 64},
	END,
};

static const struct config_row edge[] = {
	{"addresses", TYPE_ADDRESS, AT(edge.addresses), .list = 16, .port = 443},
	{"port", TYPE_COUNT, AT(edge.port), .fallback = "443", .least = 1, .most = 65535},
	{"http_port", TYPE_COUNT, AT(edge.http_port), .fallback = "80", .least = 1, .most = 65535},
	END,
};

static const struct config_row scheduler[] = {
	{"listen", TYPE_ADDRESS, AT(scheduler.listen), .fallback = "127.0.0.1:8080", .port = 8080},
	{"tokens_file", TYPE_FILE, AT(scheduler.tokens_file), .secret = true},
	{"hosts", TYPE_HOST, AT(scheduler.hosts), .list = 16},
	{"verify_every", TYPE_DURATION, AT(scheduler.verify_every_ms), .fallback = "1h",
	 .least = 100, .most = DAYS(30)},
	{"verify_fast", TYPE_DURATION, AT(scheduler.verify_fast_ms), .fallback = "5s", .least = 50,
	 .most = DAYS(1)},
	{"proof_every", TYPE_DURATION, AT(scheduler.proof_every_ms), .fallback = "24h",
	 .most = DAYS(90)},
	{"probe_every", TYPE_DURATION, AT(scheduler.probe_every_ms), .fallback = "24h",
	 .most = DAYS(90)},
	{"deep_every", TYPE_DURATION, AT(scheduler.deep_every_ms), .fallback = "24h", .least = 100,
	 .most = DAYS(30)},
	{"confirm_after", TYPE_DURATION, AT(scheduler.confirm_after_ms), .fallback = "5m",
	 .least = 100, .most = DAYS(1)},
	{"departed_after", TYPE_DURATION, AT(scheduler.departed_after_ms), .fallback = "14d",
	 .least = 100, .most = DAYS(365)},
	{"lease", TYPE_DURATION, AT(scheduler.lease_ms), .fallback = "5s", .least = 100,
	 .most = 10 * CLOCK_SECOND_MS},
	END,
};

static const struct config_row slots[] = {
	{"verify", TYPE_COUNT, AT(worker.slots.verify), .fallback = "1000", .most = 100000},
	{"issue", TYPE_COUNT, AT(worker.slots.issue), .fallback = "200", .most = 100000},
	END,
};

/* Where the responder of one challenge type listens, and where it is reached. */
#define RESPONDER(type, number, everywhere)                                                      \
	static const struct config_row type[] = {                                                \
		{"listen", TYPE_ADDRESS, AT(worker.type.listen), .fallback = (everywhere),       \
		 .list = 16, .port = (number)},                                                  \
		{"advertise", TYPE_PLACE, AT(worker.type.advertise), .list = 16,                 \
		 .port = (number)},                                                              \
		END,                                                                             \
	}
RESPONDER(http_01, 80, "0.0.0.0:80");
RESPONDER(dns_01, 53, "0.0.0.0:53");
RESPONDER(tls_alpn_01, 443, "0.0.0.0:443");

static const struct config_row worker[] = {
	{"name", TYPE_WORD, AT(worker.name), .most = 64},
	{"roles", TYPE_FLAGS, AT(worker.roles), .fallback = "jobs http-01 dns-01",
	 .choices = roles},
	{"zone", TYPE_WORD, AT(worker.zone), .most = 32},
	{"slots", TYPE_SECTION, .rows = slots},
	{"lease", TYPE_DURATION, AT(worker.lease_ms), .fallback = "30s", .least = 200,
	 .most = HOURS(1)},
	{"drain", TYPE_DURATION, AT(worker.drain_ms), .fallback = "30s", .most = HOURS(1)},
	{"listen", TYPE_ADDRESS, AT(worker.listen), .port = 8081},
	{"http_01", TYPE_SECTION, .rows = http_01},
	{"dns_01", TYPE_SECTION, .rows = dns_01},
	{"tls_alpn_01", TYPE_SECTION, .rows = tls_alpn_01},
	END,
};

static const struct config_row webhook[] = {
	{"name", TYPE_WORD, IN(webhook, name), .most = 48},
	{"url", TYPE_HTTP, IN(webhook, url), .required = true},
	{"secret_file", TYPE_FILE, IN(webhook, secret_file), .secret = true},
	{"ca_file", TYPE_FILE, IN(webhook, ca_file)},
	{"events", TYPE_FLAGS, IN(webhook, events), .fallback = "alert", .choices = events},
	{"in_flight", TYPE_COUNT, IN(webhook, in_flight), .fallback = "8", .least = 1, .most = 64},
	{"timeout", TYPE_DURATION, IN(webhook, timeout_ms), .fallback = "15s", .least = 100,
	 .most = CLOCK_MINUTE_MS},
	END,
};

static const struct config_row alertmanager[] = {
	{"name", TYPE_WORD, IN(alertmanager, name), .most = 48},
	{"url", TYPE_HTTP, IN(alertmanager, url), .required = true},
	{"token_file", TYPE_FILE, IN(alertmanager, token_file), .secret = true},
	{"ca_file", TYPE_FILE, IN(alertmanager, ca_file)},
	{"resend", TYPE_DURATION, IN(alertmanager, resend_ms), .fallback = "1m", .least = 100,
	 .most = HOURS(1)},
	{"timeout", TYPE_DURATION, IN(alertmanager, timeout_ms), .fallback = "15s", .least = 100,
	 .most = CLOCK_MINUTE_MS},
	END,
};

static const struct config_row retry[] = {
	{"first", TYPE_DURATION, AT(alerts.retry.first_ms), .fallback = "1s", .least = 10,
	 .most = HOURS(1)},
	{"longest", TYPE_DURATION, AT(alerts.retry.longest_ms), .fallback = "5m", .least = 10,
	 .most = HOURS(6)},
	{"give_up", TYPE_DURATION, AT(alerts.retry.give_up_ms), .fallback = "1d", .least = 1000,
	 .most = DAYS(7)},
	END,
};

static const struct config_row incident[] = {
	{"endpoints", TYPE_COUNT, AT(alerts.incident.endpoints), .fallback = "5", .least = 2,
	 .most = 64},
	{"window", TYPE_DURATION, AT(alerts.incident.window_ms), .fallback = "2h", .least = 1000,
	 .most = DAYS(7)},
	{"hold", TYPE_DURATION, AT(alerts.incident.hold_ms), .fallback = "30s", .most = 10 * CLOCK_MINUTE_MS},
	END,
};

static const struct config_row alerts[] = {
	{"webhooks", TYPE_SECTION, AT(alerts.webhooks), .rows = webhook, .list = 16,
	 .size = sizeof(struct config_webhook)},
	{"alertmanagers", TYPE_SECTION, AT(alerts.alertmanagers), .rows = alertmanager, .list = 16,
	 .size = sizeof(struct config_alertmanager)},
	{"retry", TYPE_SECTION, .rows = retry},
	{"incident", TYPE_SECTION, .rows = incident},
	END,
};

static const struct config_row streams[] = {
	{"cap", TYPE_COUNT, AT(streams.cap), .fallback = "1000000", .least = 100,
	 .most = 100000000},
	{"keep", TYPE_DURATION, AT(streams.keep_ms), .fallback = "24h", .least = 1000,
	 .most = DAYS(90)},
	END,
};

static const struct config_row log_rows[] = {
	{"level", TYPE_CHOICE, AT(log.level), .fallback = "info", .choices = levels},
	{"format", TYPE_CHOICE, AT(log.format), .fallback = "logfmt", .choices = formats},
	END,
};

const struct config_row config_rows[] = {
	{"fleet", TYPE_WORD, AT(fleet), .required = true, .most = 64},
	{"redis", TYPE_SECTION, .rows = redis, .required = true},
	{"vault", TYPE_SECTION, .rows = vault},
	{"authorities", TYPE_SECTION, AT(authorities), .rows = authority, .list = 16,
	 .size = sizeof(struct config_authority)},
	{"challenges", TYPE_SECTION, .rows = challenges},
	{"breaker", TYPE_SECTION, .rows = breaker},
	{"targets", TYPE_SECTION, AT(targets), .rows = target, .list = 1000,
	 .size = sizeof(struct config_target)},
	{"resolver", TYPE_SECTION, .rows = resolver},
	{"network", TYPE_SECTION, .rows = network},
	{"edge", TYPE_SECTION, .rows = edge},
	{"scheduler", TYPE_SECTION, .rows = scheduler},
	{"worker", TYPE_SECTION, .rows = worker},
	{"alerts", TYPE_SECTION, .rows = alerts},
	{"streams", TYPE_SECTION, .rows = streams},
	{"log", TYPE_SECTION, .rows = log_rows},
	END,
};

/* clang-format on */

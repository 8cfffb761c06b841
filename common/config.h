/* config.h - the configuration file (YAML) read into one plain struct.
 *
 * Every key is a row of the schema (common/config_schema.c): its type, bounds, default and what is
 * expected, so that reading, `config check`, printing and freeing agree. Unknown and doubled keys,
 * wrong types and impossible values are refused; each error reads "FILE:LINE:COL:
 * challenges.zones[0]: expected …, got …", and up to CONFIG_ERRORS_MAX of a file are told at once.
 * Files are at most 1 MiB, 16 levels deep; YAML anchors, aliases, tags and second documents are
 * refused.
 *
 * Secrets are never in the file itself, only paths to them; nothing here opens a key file but
 * config_check_files(), and config_redis_options() for the passwords. Optional strings are NULL,
 * optional lists have n == 0, when not given. The struct owns everything in it, and does not change
 * once loaded.
 */
#pragma once

#include "common/addr.h"
#include "common/buf.h"
#include "common/err.h"
#include "common/log.h"
#include "common/redis.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_ERRORS_MAX 20

struct config_strings {
	char **items;
	size_t n;
};

/** "203.0.113.10:53", "[2001:db8::10]:53"; "host.example:80" where names are allowed (advertise).
 */
struct config_address {
	char *text; /* as it was written */
	char *host; /* the address without brackets, or the host name */
	uint16_t port;
	bool is_ip;
	struct addr addr; /* when is_ip, with the port */
};

struct config_addresses {
	struct config_address *items;
	size_t n;
};

/** "127.0.0.0/8", "fd00::/8". */
struct config_ranges {
	struct addr_range *items;
	size_t n;
};

/** "300/3h": a burst of count, refilled over window_ms. count 0: no limit. */
struct config_rate {
	uint32_t count;
	int64_t window_ms;
};

struct config_limits {
	struct config_rate new_orders;
	struct config_rate certificates_per_registered_domain;
	struct config_rate duplicates;
	struct config_rate failed_authorizations;
	struct config_rate requests; /* "100/1s": to the CA as a whole */
};

struct config_authority {
	char *name;      /* [a-z0-9-], unique */
	char *directory; /* https:// URL */
	struct config_strings contact;
	bool terms_of_service_agreed;
	char *profile;
	char *ca_file; /* whom to trust for the CA's own HTTPS; NULL: the system's */
	struct config_strings caa_identities; /* empty: the directory's */
	struct {
		char *kid;
		char *hmac_key_file;
	} eab; /* both NULL: none */
	struct config_limits limits;
	int64_t renewal_info_every_ms; /* 6 h; asked earlier when the CA says so */
	uint32_t max_requests;         /* live at once; 128 */
};

struct config_authorities {
	struct config_authority *items; /* in order of preference */
	size_t n;
};

struct config_nameserver {
	char *name;
	struct config_addresses addresses; /* port 53 unless given */
};

struct config_nameservers {
	struct config_nameserver *items;
	size_t n;
};

/** A target that belongs to one tenant alone: a CNAME to it proves that tenant's claim. */
struct config_target {
	char *host;
	char *tenant;
};

struct config_targets {
	struct config_target *items;
	size_t n;
};

/** Bits of config_webhook.events. */
enum config_events {
	EVENTS_ALERT = 1 << 0,
	EVENTS_SNAPSHOT = 1 << 1,
	EVENTS_HEARTBEAT = 1 << 2,
};

struct config_webhook {
	char *name; /* NULL: made from the URL */
	char *url;
	char *secret_file;  /* "whsec_…", a line each */
	char *ca_file;      /* whom to trust for its HTTPS; NULL: the system's */
	uint32_t events;    /* enum config_events bits; alert */
	uint32_t in_flight; /* requests at once, each of another alert; 8 */
	int64_t timeout_ms; /* of one request; 15 s */
};

/** Alertmanager's API v2. */
struct config_alertmanager {
	char *name; /* NULL: made from the URL */
	char *url;
	char *token_file; /* bearer token; NULL: none */
	char *ca_file;
	int64_t resend_ms;  /* how often what is open is said again; 1 min */
	int64_t timeout_ms; /* 15 s */
};

struct config_alertmanagers {
	struct config_alertmanager *items;
	size_t n;
};

struct config_webhooks {
	struct config_webhook *items;
	size_t n;
};

/** Bits of config.worker.roles. */
enum config_role {
	ROLE_JOBS = 1 << 0,
	ROLE_HTTP_01 = 1 << 1,
	ROLE_DNS_01 = 1 << 2,
	ROLE_TLS_ALPN_01 = 1 << 3,
	ROLE_NOTIFY = 1 << 4,
	ROLE_LOOK = 1 << 5,
};

enum config_dns_provider { DNS_PROVIDER_BUILTIN };

struct config {
	char *fleet; /* [A-Za-z0-9_-], at most 64 */
	struct {
		char *url;  /* as written; NULL with sentinel or cluster */
		char *host; /* from url; NULL with unix_path */
		char *unix_path;
		uint16_t port;
		uint32_t db;
		char *username;
		char *password_file;
		char *password; /* filled by config_redis_options() */
		struct {
			char *master; /* NULL: no Sentinels */
			struct config_addresses nodes;
			char *username;
			char *password_file;
			char *password; /* filled by config_redis_options() */
			bool tls;
		} sentinel;
		struct {
			struct config_addresses nodes; /* none: no cluster */
		} cluster;
		struct {
			bool enabled; /* rediss://, or said */
			char *ca_file;
			char *cert_file;
			char *key_file;
		} tls;
		uint32_t replicas;          /* how many must acknowledge at a barrier; 0 */
		int64_t barrier_timeout_ms; /* 2 s */
		int64_t timeout_ms;         /* a command's; 5 s */
	} redis;
	struct {
		char *accounts_key_file;
		char *certificates_key_file;
	} vault;
	struct config_authorities authorities;
	struct {
		struct config_strings zones; /* the first gives new labels */
		char *label_key_file;
		struct config_nameservers nameservers;
		uint32_t dns_provider; /* enum config_dns_provider */
		bool trust_target_cname;
	} challenges;
	struct {
		char *canary;        /* a name of the fleet's own; NULL: no breakers */
		char *tenant;        /* whose label it has; "default" */
		uint32_t challenges; /* bits of enum breaker_way: those that it can answer */
		uint32_t failures;   /* of so many domains in a row tries pause; 5 */
		int64_t window_ms;   /* older failures do not count; 10 min */
		int64_t pause_ms;    /* before the canary is tried again, doubling; 30 s */
		int64_t longest_ms;  /* 15 min */
	} breaker;
	struct config_targets targets;
	struct {
		struct config_addresses servers; /* 127.0.0.1:53 */
		int64_t timeout_ms;              /* 3 s */
		struct config_addresses roots;   /* where walks begin; empty: the root hints */
		uint32_t authoritative_port;     /* 53 */
		uint32_t per_server;             /* questions a second to one address; 200 */
	} resolver;
	struct {
		struct config_ranges allow; /* else refused: loopback, private, link-local … */
	} network;
	struct {
		struct config_addresses addresses; /* edges looked at beside the names' own */
		uint32_t port;                     /* 443: at the names' own addresses */
		uint32_t http_port;                /* 80: there */
	} edge;
	struct {
		struct config_address listen; /* text NULL: none; 127.0.0.1:8080 */
		char *tokens_file;
		struct config_strings
			hosts;             /* names under which it is reached, beside loopback's */
		int64_t verify_every_ms;   /* 1 h */
		int64_t verify_fast_ms;    /* 5 s: while a new endpoint waits for its owner */
		int64_t proof_every_ms;    /* 24 h */
		int64_t probe_every_ms;    /* 24 h: http-01 through the front door; 0: never */
		int64_t deep_every_ms;     /* 24 h: each authoritative server is asked */
		int64_t confirm_after_ms;  /* 5 min: what they deny is certain when denied again */
		int64_t departed_after_ms; /* 14 d without any record: the owner left */
		int64_t lease_ms;          /* the leader's; 5 s */
	} scheduler;
	struct {
		char *name;     /* default: hostname-pid */
		uint32_t roles; /* enum config_role bits; jobs, http-01, dns-01 */
		char *zone;     /* the network in which it stands; NULL: none */
		struct {
			uint32_t verify; /* 1000 */
			uint32_t issue;  /* 200 */
		} slots;
		int64_t lease_ms;             /* of a job; 30 s */
		int64_t drain_ms;             /* grace at SIGTERM; 30 s */
		struct config_address listen; /* /healthz, /readyz, /metrics; text NULL: none */
		struct {
			struct config_addresses listen;    /* 0.0.0.0:80 when the role is on */
			struct config_addresses advertise; /* where other workers ask it before the
							      CA is told; empty: listen */
		} http_01, dns_01, tls_alpn_01; /* dns_01: 0.0.0.0:53, tls_alpn_01: 0.0.0.0:443 */
	} worker;
	struct {
		struct config_webhooks webhooks;
		struct config_alertmanagers alertmanagers;
		struct {
			int64_t first_ms;   /* 1 s */
			int64_t longest_ms; /* 5 min */
			int64_t give_up_ms; /* age at which an event is given up; 1 d */
		} retry;
		struct {
			uint32_t endpoints; /* how many with one cause are an incident; 5 */
			int64_t window_ms;  /* within which they come; 2 h */
			int64_t hold_ms;    /* how long two wait for more; 30 s */
		} incident;
	} alerts;
	struct {
		uint32_t cap;    /* entries that a stream holds at most; 1,000,000 */
		int64_t keep_ms; /* for how long they stay below that; 24 h */
	} streams;
	struct {
		uint32_t level;  /* enum log_level; info */
		uint32_t format; /* enum log_format; logfmt */
	} log;
};

/** What was wrong: one line each, "FILE:LINE:COL: path: …". */
struct config_errors {
	char *lines[CONFIG_ERRORS_MAX]; /* owned */
	size_t n;
	size_t more; /* how many were not kept */
};

void config_errors_release(struct config_errors *e);
/** All lines, each ended by a newline. */
void config_errors_text(const struct config_errors *e, struct buf *out);

/** 0: *out is the configuration, to be given to config_free(). CF_EINVAL, CF_ETOOBIG, CF_EIO:
 * errors says why (release it), *out is untouched. errors need not be initialized. */
int config_load(const char *path, struct config **out, struct config_errors *errors);
/** The same from memory; name stands where the file's would. */
int config_parse(const char *name, const char *text, size_t len, struct config **out,
	struct config_errors *errors);
/** NULL is a no-op. */
void config_free(struct config *c);

/** Looks at every file that is named: there, readable, a plain file, of sensible size, and secrets
 * not readable by everyone. Opens them but reads nothing. CF_EINVAL: errors has lines "path: …"
 * (release it). */
int config_check_files(const struct config *c, struct config_errors *errors);

/** Fills *out with pointers that live as long as c; client_name is borrowed. Reads the password
 * files: CF_EIO with a why that names one. */
int config_redis_options(
	struct config *c, const char *client_name, struct redis_options *out, struct why *why);

/** Every key with the value in force, as YAML that config_parse() reads to the same configuration.
 */
void config_print_effective(const struct config *c, struct buf *out);

/** One key of the schema, for documentation. Borrowed. */
struct config_key {
	const char *path;     /* "redis.tls.ca_file", "authorities[].name" */
	const char *expected; /* "a host name"; NULL: a section */
	const char *fallback; /* NULL: none */
	uint32_t list;        /* > 0: a list of at most so many */
	bool required, secret;
};
typedef void config_key_fn(void *arg, const struct config_key *key);
/** All keys, in the order of the schema. */
void config_each_key(config_key_fn *fn, void *arg);

/** What redis says of where it is, for people: "redis://…", "sentinel certfleet", "cluster". */
const char *config_redis_where(const struct config *c, char *buf, size_t size);
/** The authority of that name, NULL if there is none. */
const struct config_authority *config_authority(const struct config *c, const char *name);
/** worker.name, or "hostname-pid" into buf. */
const char *config_worker_name(const struct config *c, char *buf, size_t size);

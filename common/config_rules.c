#include "common/config_internal.h"
#include "common/mem.h"
#include "common/names.h"
#include "common/str.h"

#include <stdio.h>
#include <string.h>

/* --- redis.url */

/* "/3" or nothing. */
static int parse_db(const char *path, uint32_t *db, struct why *why)
{
	uint64_t n = 0;

	if (*path == '/')
		path++;
	if (!*path)
		return 0;
	if (str_parse_u64(path, 65535, &n))
		return why_set(why, CF_EINVAL, "the database after the last / must be a number");
	if (*db && *db != n)
		return why_set(why, CF_EINVAL, "redis.database says another one");
	*db = (uint32_t)n;
	return 0;
}

static int parse_user(char **rest, char **user, struct why *why)
{
	char *at = strchr(*rest, '@');

	*user = NULL;
	if (!at)
		return 0;
	*at = '\0';
	if (strchr(*rest, ':'))
		return why_set(why, CF_EINVAL,
			"a password does not belong into it: use redis.password_file");
	if (**rest)
		*user = *rest;
	*rest = at + 1;
	return 0;
}

static int parse_host_port(const char *text, struct config *c, struct why *why)
{
	char host[ADDR_HOST_SIZE], name[NAME_SIZE];
	struct addr addr;
	uint16_t port;
	int err = addr_split(text, 6379, host, &port, why);

	if (err)
		return err;
	if (!addr_parse(host, 1, &addr, NULL)) {
		c->redis.host = mem_strdup(host);
	} else {
		err = name_parse_host(host, name, why);
		if (err)
			return err;
		c->redis.host = mem_strdup(name);
	}
	c->redis.port = port;
	return 0;
}

static int parse_tcp(char *rest, struct config *c, struct why *why)
{
	char *slash, *user;
	int err = parse_user(&rest, &user, why);

	if (err)
		return err;
	slash = strchr(rest, '/');
	if (slash) {
		err = parse_db(slash, &c->redis.db, why);
		*slash = '\0';
	}
	if (!err)
		err = parse_host_port(rest, c, why);
	if (!err && user && !c->redis.username)
		c->redis.username = mem_strdup(user);
	return err;
}

/* unix:///run/redis.sock?db=3 */
static int parse_unix(char *path, struct config *c, struct why *why)
{
	char *query = strstr(path, "?db=");
	int err = 0;

	if (query) {
		*query = '\0';
		err = parse_db(query + 4, &c->redis.db, why);
	}
	if (*path != '/' || strlen(path) > 100)
		return why_set(
			why, CF_EINVAL, "after unix:// the absolute path of a socket is expected");
	c->redis.unix_path = mem_strdup(path);
	return err;
}

int config_redis_url(const char *url, struct config *c, struct why *why)
{
	_mem_free_ char *copy = mem_strdup(url);

	if (str_starts_with(url, "unix://"))
		return parse_unix(copy + strlen("unix://"), c, why);
	if (str_starts_with(url, "rediss://")) {
		c->redis.tls.enabled = true;
		return parse_tcp(copy + strlen("rediss://"), c, why);
	}
	if (str_starts_with(url, "redis://"))
		return parse_tcp(copy + strlen("redis://"), c, why);
	return why_set(why, CF_EINVAL, "it begins with none of redis://, rediss://, unix://");
}

/* --- errors at the place of a key */

static const struct node *child(const struct node *n, const char *key)
{
	for (const struct node *c = n ? n->child : NULL; c; c = c->next)
		if (c->key && !strcmp(c->key, key))
			return c;
	return n;
}

static const struct node *item(const struct node *n, size_t i)
{
	const struct node *c = n->child;

	while (c && i--)
		c = c->next;
	return c ? c : n;
}

#define COMPLAIN(r, n, path, ...) config_error(r, (n)->line, (n)->column, path, __VA_ARGS__)

static void url_rules(struct reading *r, const struct node *redis, struct config *c)
{
	bool tls = str_starts_with(c->redis.url, "rediss://");
	struct why why;

	if (config_redis_url(c->redis.url, c, &why))
		COMPLAIN(r, child(redis, "url"), "redis.url",
			"expected redis://HOST:PORT/DB, rediss://HOST:PORT/DB or unix:///PATH: %s",
			why.text);
	else if (!tls && (c->redis.tls.enabled || c->redis.tls.ca_file || c->redis.tls.cert_file))
		COMPLAIN(r, child(redis, "tls"), "redis.tls",
			"is without effect: redis.url must begin with rediss://");
}

static void sentinel_rules(struct reading *r, const struct node *n, const struct config *c)
{
	if (!c->redis.sentinel.master || !c->redis.sentinel.nodes.n)
		COMPLAIN(r, n, "redis.sentinel", "expected both master and nodes");
	if (c->redis.sentinel.username && !c->redis.sentinel.password_file)
		COMPLAIN(r, child(n, "username"), "redis.sentinel.username",
			"needs redis.sentinel.password_file beside it");
}

static void guided_rules(struct reading *r, const struct node *redis, const struct config *c)
{
	const struct node *tls = child(redis, "tls");
	bool files = c->redis.tls.ca_file || c->redis.tls.cert_file;

	if (files && !c->redis.tls.enabled && !c->redis.sentinel.tls)
		COMPLAIN(r, tls, "redis.tls", "is without effect: set enabled: true");
	if (c->redis.cluster.nodes.n && c->redis.db)
		COMPLAIN(r, child(redis, "database"), "redis.database",
			"a cluster has no databases but 0");
}

static void redis_rules(struct reading *r, const struct node *root, struct config *c)
{
	const struct node *redis = child(root, "redis"), *sentinel = child(redis, "sentinel");
	bool sentinels = c->redis.sentinel.master || c->redis.sentinel.nodes.n;
	int ways = (c->redis.url != NULL) + sentinels + (c->redis.cluster.nodes.n > 0);

	if (ways != 1)
		COMPLAIN(r, redis, "redis", "expected one of url, sentinel and cluster, got %s",
			ways ? "several" : "none");
	else if (c->redis.url)
		url_rules(r, redis, c);
	else
		guided_rules(r, redis, c);
	if (sentinels)
		sentinel_rules(r, sentinel, c);
	if (c->redis.tls.key_file && !c->redis.tls.cert_file)
		COMPLAIN(r, child(redis, "tls"), "redis.tls", "key_file needs cert_file beside it");
	if (c->redis.username && !c->redis.password_file)
		COMPLAIN(r, child(redis, "username"), "redis.username",
			"needs redis.password_file beside it");
}

/* --- doubled values */

typedef const char *name_fn(const void *items, size_t i);

/* Complains at the second of two that are equal. */
static void unique(struct reading *r, const struct node *list, const char *path, const char *key,
	const void *items, size_t n, name_fn *name)
{
	char where[128];

	for (size_t i = 1; i < n; i++)
		for (size_t j = 0; j < i; j++)
			if (!strcmp(name(items, i), name(items, j))) {
				snprintf(where, sizeof where, "%s[%zu]%s", path, i, key);
				COMPLAIN(r, item(list, i), where, "\"%s\" stands here twice",
					name(items, i));
				break;
			}
}

static const char *authority_name(const void *items, size_t i)
{
	return ((const struct config_authority *)items)[i].name;
}

static const char *nameserver_name(const void *items, size_t i)
{
	return ((const struct config_nameserver *)items)[i].name;
}

static const char *string_name(const void *items, size_t i)
{
	return ((char *const *)items)[i];
}

static const char *target_name(const void *items, size_t i)
{
	return ((const struct config_target *)items)[i].host;
}

static void authority_rules(struct reading *r, const struct node *list, const struct config *c)
{
	char path[64];

	for (size_t i = 0; i < c->authorities.n; i++) {
		const struct config_authority *a = &c->authorities.items[i];

		snprintf(path, sizeof path, "authorities[%zu].eab", i);
		if (!a->eab.kid != !a->eab.hmac_key_file)
			COMPLAIN(r, child(item(list, i), "eab"), path,
				"expected both kid and hmac_key_file");
	}
}

/* Targets are told apart by name; one without is told apart by its URL. */
static const char *webhook_name(const void *items, size_t i)
{
	const struct config_webhook *w = &((const struct config_webhook *)items)[i];

	return w->name ? w->name : w->url;
}

static const char *alertmanager_name(const void *items, size_t i)
{
	const struct config_alertmanager *a = &((const struct config_alertmanager *)items)[i];

	return a->name ? a->name : a->url;
}

static void alert_rules(struct reading *r, const struct node *n, const struct config *c)
{
	const struct node *retry = child(n, "retry");

	unique(r, child(n, "webhooks"), "alerts.webhooks", "", c->alerts.webhooks.items,
		c->alerts.webhooks.n, webhook_name);
	unique(r, child(n, "alertmanagers"), "alerts.alertmanagers", "",
		c->alerts.alertmanagers.items, c->alerts.alertmanagers.n, alertmanager_name);
	if (c->alerts.retry.longest_ms < c->alerts.retry.first_ms)
		COMPLAIN(r, child(retry, "longest"), "alerts.retry.longest",
			"is shorter than alerts.retry.first");
}

static void challenge_rules(struct reading *r, const struct node *n, const struct config *c)
{
	const struct node *zones = child(n, "zones");

	for (size_t i = 0; i < c->challenges.zones.n; i++)
		if (!strchr(c->challenges.zones.items[i], '.'))
			COMPLAIN(r, item(zones, i), "challenges.zones",
				"\"%s\" is a top-level domain, not a zone of yours",
				c->challenges.zones.items[i]);
	if (c->challenges.zones.n && !c->challenges.label_key_file)
		COMPLAIN(r, n, "challenges", "zones need label_key_file beside them");
}

/* An endpoint's zone is written in lower case, and one that differs by that would never be it. */
static void worker_rules(struct reading *r, const struct node *n, const struct config *c)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";
	const char *zone = c->worker.zone;

	if (zone && (zone[strspn(zone, allowed)] || strchr("._-", zone[0])))
		COMPLAIN(r, child(n, "zone"), "worker.zone",
			"expected 1 to 32 of a-z 0-9 . _ -, beginning with a letter or digit, got "
			"\"%s\"",
			zone);
	if (c->worker.roles & ROLE_LOOK && !zone)
		COMPLAIN(r, child(n, "roles"), "worker.roles",
			"look needs worker.zone: the network whose endpoints it can reach");
}

void config_rules(struct reading *r, const struct node *root, struct config *c)
{
	const struct node *challenges = child(root, "challenges");
	const struct node *authorities = child(root, "authorities");

	redis_rules(r, root, c);
	authority_rules(r, authorities, c);
	challenge_rules(r, challenges, c);
	alert_rules(r, child(root, "alerts"), c);
	worker_rules(r, child(root, "worker"), c);
	unique(r, authorities, "authorities", ".name", c->authorities.items, c->authorities.n,
		authority_name);
	unique(r, child(challenges, "zones"), "challenges.zones", "", c->challenges.zones.items,
		c->challenges.zones.n, string_name);
	unique(r, child(challenges, "nameservers"), "challenges.nameservers", ".name",
		c->challenges.nameservers.items, c->challenges.nameservers.n, nameserver_name);
	unique(r, child(root, "targets"), "targets", ".host", c->targets.items, c->targets.n,
		target_name);
}

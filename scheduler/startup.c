#include "scheduler/startup.h"

#include "common/canary.h"
#include "common/log.h"
#include "scheduler/reap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REDIS_LEAST_MAJOR 7

int startup_version(const char *info, size_t len, struct why *why)
{
	char version[32];

	info_field(info, len, "redis_version", version, sizeof version);
	if (version[0] && strtol(version, NULL, 10) < REDIS_LEAST_MAJOR)
		return why_set(why, CF_EVERSION,
			"Redis is of version %s: 7.0 or later (or Valkey 8) is needed", version);
	return 0;
}

const char *startup_durability(const char *info, size_t len, const char *appendfsync, bool *safe)
{
	char aof[8];

	info_field(info, len, "aof_enabled", aof, sizeof aof);
	*safe = false;
	if (strcmp(aof, "1") != 0)
		return "appendonly is off: everything since the last snapshot can be lost";
	if (!strcmp(appendfsync, "no"))
		return "appendfsync no: whatever the operating system holds back can be lost";
	*safe = true;
	if (!strcmp(appendfsync, "always"))
		return "appendfsync always: nothing that was acknowledged is lost";
	if (!strcmp(appendfsync, "everysec"))
		return "appendfsync everysec: up to 2 s can be lost";
	return "appendonly is on";
}

/* INFO names the good replicas only where min-replicas-to-write is set. */
const char *startup_replication(
	const char *info, size_t len, uint32_t replicas, bool failover, const char **fix)
{
	char text[16];
	unsigned long connected;
	bool guarded;

	info_field(info, len, "connected_slaves", text, sizeof text);
	connected = strtoul(text, NULL, 10);
	info_field(info, len, "min_slaves_good_slaves", text, sizeof text);
	guarded = text[0];
	if (connected < replicas) {
		*fix = "connect replicas, or lower redis.replicas";
		return "fewer replicas are connected than redis.replicas asks for: until they are, "
		       "nothing is ordered and no request is answered";
	}
	if (!failover)
		return NULL;
	if (!connected) {
		*fix = "give the primary a replica";
		return "no replica is connected: when this primary dies, the fleet waits for it";
	}
	if (!replicas) {
		*fix = "set redis.replicas: 1";
		return "redis.replicas is 0: a failover can lose what was answered a moment before";
	}
	if (!guarded) {
		*fix = "set min-replicas-to-write 1 and min-replicas-max-lag 10 in Redis";
		return "min-replicas-to-write is 0: a primary that is cut off takes writes that "
		       "are lost when it comes back";
	}
	*fix = NULL;
	if (connected > replicas)
		return "what is promised is on some of the replicas before it is answered: it is "
		       "lost if these are lost together with the primary, or one with less is "
		       "promoted for its priority";
	return "what is promised is on every replica before it is answered: any may be promoted";
}

static void finish(struct startup *s, int err, const struct why *why)
{
	s->busy = false;
	s->done(s->arg, err, why);
}

/* A broken connection is no verdict. */
static bool over(struct startup *s, int err)
{
	if (!s->busy)
		return true;
	if (err && err != CF_EREDIS)
		finish(s, CF_ECONN, &(struct why){""});
	return !s->busy;
}

static void certificates_checked(void *arg, int err, const struct why *why)
{
	struct startup *s = arg;

	if (s->busy)
		finish(s, err == CF_EREDIS || err == CF_ETIMEDOUT ? CF_ECONN : err, why);
}

static void accounts_checked(void *arg, int err, const struct why *why)
{
	struct startup *s = arg;

	if (!s->busy)
		return;
	if (!err && s->certificates)
		canary_check(s->redis, s->vault, VAULT_CERTIFICATES, certificates_checked, s);
	else
		certificates_checked(s, err, why);
}

static void check_vault(struct startup *s)
{
	if (s->vault && s->accounts)
		canary_check(s->redis, s->vault, VAULT_ACCOUNTS, accounts_checked, s);
	else if (s->vault && s->certificates)
		canary_check(s->redis, s->vault, VAULT_CERTIFICATES, certificates_checked, s);
	else
		finish(s, 0, NULL);
}

static void got_memory(void *arg, int err, const struct reply *reply)
{
	struct startup *s = arg;
	char room[32] = "";
	const char *policy = room;
	size_t n = 0;
	const char *text = err ? NULL : reply_str(reply, &n);

	if (over(s, err))
		return;
	if (text)
		policy = info_field(text, n, "maxmemory_policy", room, sizeof room);
	if (policy[0] && strcmp(policy, "noeviction") != 0)
		LOG(WARN, "redis_may_evict", LF("maxmemory_policy", policy),
			LF("fix", "set maxmemory-policy noeviction: evicted keys are lost "
				  "endpoints"));
	check_vault(s);
}

static void got_persistence(void *arg, int err, const struct reply *reply)
{
	struct startup *s = arg;
	size_t n = 0;
	const char *text = err ? NULL : reply_str(reply, &n), *line;
	bool safe;

	if (over(s, err) || !text)
		return;
	line = startup_durability(text, n, s->appendfsync, &safe);
	if (safe)
		LOG(INFO, "redis_durability", LF("what", line));
	else
		LOG(WARN, "redis_durability", LF("what", line), LF("fix", "set appendonly yes"));
}

static void got_replication(void *arg, int err, const struct reply *reply)
{
	struct startup *s = arg;
	size_t n = 0;
	const char *text = err ? NULL : reply_str(reply, &n), *line, *fix;
	char connected[16];

	if (over(s, err) || !text)
		return;
	info_field(text, n, "connected_slaves", connected, sizeof connected);
	line = startup_replication(text, n, s->replicas, s->failover, &fix);
	if (line && fix)
		LOG(WARN, "redis_replication", LF("what", line), LF("fix", fix));
	else if (line)
		LOG(INFO, "redis_replication", LF("what", line), LF("connected", connected),
			LF_INT("acknowledge", s->replicas));
}

/* A user without CONFIG is fine: then the line says less. */
static void got_appendfsync(void *arg, int err, const struct reply *reply)
{
	struct startup *s = arg;
	const char *text = err ? NULL : reply_str(reply_at(reply, 1), NULL);

	snprintf(s->appendfsync, sizeof s->appendfsync, "%s", text ? text : "");
}

static void got_server(void *arg, int err, const struct reply *reply)
{
	struct startup *s = arg;
	struct why why = {""};
	size_t n = 0;
	const char *text = err ? NULL : reply_str(reply, &n);

	if (over(s, err) || !text)
		return;
	err = startup_version(text, n, &why);
	if (err)
		finish(s, err, &why);
}

void startup_look(struct startup *s)
{
	if (s->busy)
		return;
	s->busy = true;
	s->appendfsync[0] = 0;
	redis_commandv(s->redis, got_server, s, "INFO", "server", NULL);
	redis_commandv(s->redis, got_appendfsync, s, "CONFIG", "GET", "appendfsync", NULL);
	redis_commandv(s->redis, got_persistence, s, "INFO", "persistence", NULL);
	redis_commandv(s->redis, got_replication, s, "INFO", "replication", NULL);
	redis_commandv(s->redis, got_memory, s, "INFO", "memory", NULL);
}

/* worker.h - one worker process: what its parts share, and its life from start to drain.
 *
 * A worker is stateless: whatever matters is in Redis, leased and checkpointed. Everything belongs
 * to one loop.
 */
#pragma once

#include "common/addr.h"
#include "common/config.h"
#include "common/endpoint.h"
#include "common/label.h"
#include "common/needs.h"
#include "common/queue.h"
#include "common/redis.h"
#include "common/vault.h"
#include "worker/acme/acme.h"
#include "worker/diagnose/diagnose.h"

#include <uv.h>

struct resolver;
struct survey;
struct handshakes;
struct doors;
struct http_client;
struct responders;
struct httpd;
struct pool;
struct dns_exchanger;
struct authorities;
struct nodes;
struct doubt;
struct again;
struct breaker;
struct notify;
struct zones;

struct worker {
	uv_loop_t loop;
	struct config *config;
	char name[80];
	int64_t started_ms;
	struct redis_options redis_options;
	struct redis *redis;
	struct barrier *barrier;
	struct vault *vault; /* NULL without the role jobs */
	uint8_t label_key[LABEL_KEY_BYTES];
	struct diagnose_policy diagnose_policy;
	struct needs_policy needs_policy;
	int64_t deep_every_ms, departed_after_ms;
	struct dns_exchanger *exchanger; /* questions to single servers */
	struct resolver *resolver;
	struct survey *survey;           /* every authoritative server of a name */
	struct handshakes *handshakes;   /* looks at what edges present; NULL if OpenSSL will not */
	struct doors *doors;             /* http-01 as an authority asks it */
	struct http_client *node_client; /* plain HTTP to the fleet's own responders */
	struct authorities *authorities; /* worker/authorities.h */
	struct doubt *doubt;             /* worker/doubt.h: whether the fleet suspects itself */
	struct breaker *breaker;         /* worker/breaker.h; NULL: none */
	struct zones *zones;             /* worker/zones.h: looks from inside other networks */
	struct nodes *nodes;             /* worker/nodes.h: who answers challenges in the fleet */
	struct pool *pools[2];           /* by enum queue_id; NULL without the role jobs */
	struct responders *responders;
	struct notify *notify; /* worker/notify/notify.h; NULL without the role */
	struct httpd *httpd;   /* /healthz, /readyz, /metrics */
	uv_signal_t sigterm, sigint;
	bool draining, canary_asked;
	unsigned canaries;       /* wraps whose key was found right; jobs start at 2 */
	int pools_left;          /* pools that still drain */
	struct again *agains;    /* writes that wait for Redis: worker/jobs/again.h */
	int64_t redis_lost_ms;   /* when the connection was last seen to break; Unix time */
	int64_t redis_back_ms;   /* when it was last made; 0: for the first time */
	int64_t redis_asked_ms;  /* the oldest sign of life that it has not acknowledged; 0: none */
	int64_t redis_failed_ms; /* when a write that an order waited for was last given up */
	int exit_status;
};

/** Reads secrets and starts every part that the roles ask for. CF_E* with a why. */
int worker_start(struct worker *w, struct config *config, struct why *why);
/** Runs until drained; returns the exit status. */
int worker_run(struct worker *w);
/** SIGTERM: takes no more, finishes or releases, then the loop ends. Asked twice: at once. */
void worker_drain(struct worker *w);
/** Frees every part; also after a failed start. */
void worker_stop(struct worker *w);
